"""Outlines at the size that their picture is reduced to, without a mask of the full size."""

from __future__ import annotations

import numpy as np
from pycocotools import mask as coco_mask

from .coco_parse import rle_runs, to_rle


def scaled_rle(segmentation: list | dict, full: tuple[int, int], size: tuple[int, int]) -> dict:
    """A segmentation of an image of size `full` (height, width) as compressed RLE at `size`.

    Polygons are scaled as polygons; of an RLE, the pixels that are covered by half or more stay.
    """
    if size == full:
        return to_rle(segmentation, *full)
    if isinstance(segmentation, list):
        scale = np.array([size[1] / full[1], size[0] / full[0]])
        polygons = [(np.reshape(polygon, (-1, 2)) * scale).ravel().tolist() for polygon in segmentation]
        return to_rle(polygons, *size)
    return coco_mask.encode(np.asfortranarray(_covered(to_rle(segmentation, *full), full, size)))


def _covered(rle: dict, full: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """The mask at `size`, (height, width) uint8: 1 where a pixel is covered by half or more.

    Counted from the run lengths: the pixels of one column above a row are the covered length up to there less that up
    to the column's top, and the covered length grows evenly within a run.
    """
    small = np.zeros(size, np.uint8)
    if coco_mask.area(rle) == 0:
        return small
    rows, columns = (_bounds(old, new) for old, new in zip(full, size, strict=True))
    x, y, width, height = (int(value) for value in coco_mask.toBbox(rle))
    top, bottom = _cells(rows, y, y + height)
    left, right = _cells(columns, x, x + width)
    runs = np.array(rle_runs(rle["counts"]), np.int64)
    ends = np.concatenate([[0], np.cumsum(runs)])
    lengths = np.concatenate([[0], np.cumsum(np.where(np.arange(len(runs)) % 2, runs, 0))])
    xs, ys = np.arange(columns[left], columns[right]), rows[top : bottom + 1]
    above = np.interp(xs[:, None] * full[0] + ys, ends, lengths)  # (columns, rows of cells + 1)
    counts = np.add.reduceat(np.diff(above, axis=1), columns[left:right] - columns[left], axis=0).T
    areas = np.outer(np.diff(ys), np.diff(columns[left : right + 1]))
    small[top:bottom, left:right] = 2 * counts >= areas
    return small


def _bounds(old: int, new: int) -> np.ndarray:
    """Where each of `new` cells along a side of `old` pixels begins, and the end: (new + 1,) whole pixels."""
    return np.ceil(np.arange(new + 1) * (old / new) - 0.5).astype(np.int64).clip(0, old)


def _cells(bounds: np.ndarray, first: int, end: int) -> tuple[int, int]:
    """The first cell and the end of the cells that pixels `first` … `end` - 1 lie in."""
    return int(np.searchsorted(bounds, first, "right")) - 1, int(np.searchsorted(bounds, end, "left"))
