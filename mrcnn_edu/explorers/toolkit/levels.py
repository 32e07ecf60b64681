"""The levels of the pyramid: their names, their cells, and where their anchors lie in the flat list."""

from dataclasses import dataclass

import numpy as np


def level_name(stride: tuple[int, int]) -> str:
    """P2 for stride 4, P3 for 8, …: a level is named after the power of two of its stride."""
    return f"P{round(np.log2(stride[0]))}"


@dataclass(frozen=True)
class Level:
    """One level of the pyramid: where its cells and its anchors lie."""

    name: str
    stride: tuple[int, int]  # image pixels per cell, (y, x)
    grid: tuple[int, int]  # cells, (rows, columns)
    first_anchor: int  # index into all anchors
    anchors_per_cell: int


def levels(stages) -> list[Level]:
    """The levels of a run, finest first, with the place of their anchors in the flat list."""
    found, first = [], 0
    for features, count, stride in zip(stages.features.values(), stages.anchors_per_level, stages.strides, strict=True):
        grid = tuple(features.shape[-2:])
        found.append(Level(level_name(stride), tuple(stride), grid, first, count // (grid[0] * grid[1])))
        first += count
    return found


def locate(anchor: int, pyramid: list[Level]) -> tuple[int, int, int, int]:
    """Index of an anchor → (level, row, column, number at its cell); the order in the flat list is (h, w, A)."""
    level = max(i for i, lv in enumerate(pyramid) if lv.first_anchor <= anchor)
    cell, number = divmod(anchor - pyramid[level].first_anchor, pyramid[level].anchors_per_cell)
    row, column = divmod(cell, pyramid[level].grid[1])
    return level, row, column, number
