"""Anchors one can choose, how well they reach the boxes of a data set, and what the explorer says about that.

The best anchor of a box is found without a table of all anchors: see `best_anchors`.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mrcnn_edu.explorers.toolkit.memory import Memory
from mrcnn_edu.explorers.toolkit.window import FRAME, Window, photograph, wide_window
from mrcnn_edu.explorers.toolkit.words import counted, share, written
from mrcnn_edu.model import anchors as model_anchors
from mrcnn_edu.model.anchors import cell_anchors
from mrcnn_edu.model.boxes import resize_boxes
from mrcnn_edu.model.config import Config
from mrcnn_edu.model.images import resized_size

Size = tuple[int, int]  # (height, width), pixels


@dataclass(frozen=True)
class AnchorSet:
    """Which anchors lie where: one tuple of scales a level, the same ratios at all levels, and the levels' strides.

    sizes    sides of the square anchors, pixels, one tuple a level
    ratios   h / w
    strides  pixels per cell of each level
    """

    sizes: tuple[tuple[int, ...], ...]
    ratios: tuple[float, ...]
    strides: tuple[int, ...]

    @classmethod
    def octaves(cls, smallest: int, levels: int, per_level: int, ratios: tuple[float, ...], stride: int) -> "AnchorSet":
        """Scales that double from level to level, like the strides, with `per_level` even steps in each doubling."""
        sizes = tuple(
            tuple(round(smallest * 2 ** (level + step / per_level)) for step in range(per_level))
            for level in range(levels)
        )
        return cls(sizes, tuple(ratios), tuple(stride * 2**level for level in range(levels)))

    @property
    def per_cell(self) -> int:
        """A."""
        return len(self.sizes[0]) * len(self.ratios)

    def grids(self, size: Size) -> list[tuple[int, int]]:
        """Cells (h, w) of each level on a padded picture, as a backbone that halves its map at each step has them."""
        return [(-(-size[0] // stride), -(-size[1] // stride)) for stride in self.strides]

    def true_strides(self, size: Size) -> list[tuple[int, int]]:
        """Pixels per cell (vertical, horizontal) of each level on a padded picture."""
        return model_anchors.strides(size, self.grids(size))

    def all(self, size: Size) -> list[Tensor]:
        """Every anchor of each level on a padded picture: one (h·w·A, 4) a level, xyxy, pixels."""
        return model_anchors.Anchors(self.sizes, self.ratios)(size, self.grids(size), torch.device("cpu"))

    def count(self, size: Size) -> int:
        """How many anchors a padded picture has."""
        return sum(h * w for h, w in self.grids(size)) * self.per_cell

    @cached_property
    def base(self) -> list[np.ndarray]:
        """(A, 4) of each level: the anchors of one cell, centred on (0, 0)."""
        return [cell_anchors(sizes, self.ratios).numpy() for sizes in self.sizes]


@dataclass(frozen=True)
class BoxSet:
    """The boxes of a data set in the pixels of the pictures as the model resizes them.

    boxes     (N, 4) float32 xyxy
    sizes     (N, 2) int64, (height, width) of each box's picture with its padding
    pictures  how many pictures they come from
    """

    boxes: np.ndarray
    sizes: np.ndarray
    pictures: int

    @classmethod
    def of(cls, samples, config: Config) -> "BoxSet":
        """Read every picture's size and boxes once.

        samples  a data set: samples[i] is (image (3, H, W), target with boxes (G, 4))
        """
        boxes, sizes = [np.zeros((0, 4), np.float32)], [np.zeros((0, 2), np.int64)]
        for index in range(len(samples)):
            image, target = samples[index]
            resized, _, padded = as_the_model_sees(target["boxes"], tuple(image.shape[-2:]), config)
            boxes.append(resized.numpy())
            sizes.append(np.tile(np.array(padded, np.int64), (len(resized), 1)))
        return cls(np.concatenate(boxes), np.concatenate(sizes), len(samples))

    @cached_property
    def sides(self) -> np.ndarray:
        """(N,) root of each box's area, pixels."""
        return np.sqrt(np.prod(self.boxes[:, 2:] - self.boxes[:, :2], axis=1))


def as_the_model_sees(boxes, size: Size, config: Config) -> tuple[Tensor, Size, Size]:
    """Boxes of a picture of `size` → boxes of the resized picture, its size, and its size with padding."""
    boxes = torch.as_tensor(boxes).as_subclass(Tensor).reshape(-1, 4).float()
    new = resized_size(size, config.min_size[-1], config.max_size)
    step = config.size_divisible
    return resize_boxes(boxes, size, new), new, (-(-new[0] // step) * step, -(-new[1] // step) * step)


@dataclass(frozen=True)
class Best:
    """The best anchor of each of N boxes: its IoU with the box, its level, row and column of its cell, its number
    among the A of the cell; each (N,)."""

    iou: np.ndarray
    level: np.ndarray
    row: np.ndarray
    column: np.ndarray
    number: np.ndarray


def best_anchors(found: BoxSet, anchors: AnchorSet) -> Best:
    """The anchor with the largest IoU for each box, without looking at every anchor.

    Anchors of one shape differ only in their centre. Their areas are equal, so the IoU is largest where the overlap
    is; the overlap is a width times a height; and along each axis the overlap never grows as the centres move apart.
    So of all anchors of a shape the one whose centre is nearest to the box's, row and column each for itself, has the
    largest IoU: A comparisons a level instead of h·w·A. At the border the nearest centre is the outermost of the grid.
    """
    count = len(found.boxes)
    best = Best(np.full(count, -1.0, np.float32), *(np.zeros(count, np.int64) for _ in range(4)))
    shapes, which = np.unique(found.sizes, axis=0, return_inverse=True)
    grids = [anchors.grids(tuple(shape)) for shape in shapes.tolist()]
    strides = [anchors.true_strides(tuple(shape)) for shape in shapes.tolist()]
    x1, y1, x2, y2 = np.ascontiguousarray(found.boxes.T)
    areas = (x2 - x1) * (y2 - y1)  # (N,)
    everyone = np.arange(count)
    for level, base in enumerate(anchors.base if count else ()):
        rows, columns = np.array([grid[level] for grid in grids], np.float32)[which.reshape(-1)].T
        down, right = np.array([stride[level] for stride in strides], np.float32)[which.reshape(-1)].T
        # Half way between two centres the first one is taken, as by an argmax over all anchors.
        row = np.ceil((y1 + y2) / 2 / down - 0.5).clip(0, rows - 1)
        column = np.ceil((x1 + x2) / 2 / right - 0.5).clip(0, columns - 1)
        y, x = row * down, column * right
        left, top, far, low = base.T[:, :, None]  # each (A, 1)
        width = np.minimum(x2, x + far) - np.maximum(x1, x + left)  # (A, N)
        height = np.minimum(y2, y + low) - np.maximum(y1, y + top)  # (A, N)
        overlap = width.clip(0) * height.clip(0)
        iou = overlap / (areas + (far - left) * (low - top) - overlap)
        number = iou.argmax(axis=0)
        iou = iou[number, everyone]
        better = iou > best.iou
        for old, new in ((best.iou, iou), (best.row, row), (best.column, column), (best.number, number)):
            old[better] = new[better]
        best.level[better] = level
    return best


def recall(iou: np.ndarray, thresholds) -> np.ndarray:
    """The share of boxes whose best anchor has at least each of these IoUs; 0 where there are no boxes.

    iou         (N,) of each box's best anchor
    thresholds  (T,)
    returns     (T,) in [0, 1]
    """
    below = np.searchsorted(np.sort(iou), np.asarray(thresholds, np.float32), side="left")
    return (len(iou) - below) / max(len(iou), 1)


MARGIN = 34  # CSS pixels around the picture, so that anchors which stick out are seen to


@dataclass
class Picture:
    """One picture as the model sees it: its photo, its size resized and padded, and its boxes."""

    photo: Image.Image
    size: tuple[int, int]
    truth: BoxSet
    padded: tuple[int, int]
    window: Window
    known: bool  # whether anyone said where the objects are
    cache: Memory = field(default_factory=Memory)

    @classmethod
    def of(cls, image, boxes, config) -> "Picture":
        """image (3, H, W) in [0, 1]; boxes (G, 4) in its pixels, or None."""
        given = np.zeros((0, 4), np.float32) if boxes is None else boxes
        resized, size, padded = as_the_model_sees(given, tuple(image.shape[-2:]), config)
        truth = BoxSet(resized.numpy(), np.tile(np.array(padded, np.int64), (len(resized), 1)), 1)
        return cls(photograph(image), size, truth, padded, wide_window(FRAME, size, MARGIN), boxes is not None)


@dataclass(frozen=True)
class State:
    """Everything that one drawing shows."""

    picture: Picture
    anchors: AnchorSet
    level: int
    cell: tuple[int, int]  # row, column
    threshold: float
    found: Best  # for the boxes of the picture
    data: BoxSet
    data_name: str
    data_found: Best
    opening: Best  # the data set's boxes with the anchors that the explorer opened with

    @property
    def cell_anchors(self) -> np.ndarray:
        """(A, 4) anchors of the chosen cell, pixels of the resized picture."""
        down, right = self.anchors.true_strides(self.picture.padded)[self.level]
        row, column = self.cell
        return self.anchors.base[self.level] + np.array([column * right, row * down] * 2, np.float32)

    @property
    def best_boxes(self) -> np.ndarray:
        """(G, 4) the best anchor of each object of the picture."""
        found, strides = self.found, self.anchors.true_strides(self.picture.padded)
        boxes = np.zeros((len(found.iou), 4), np.float32)
        for i, level in enumerate(found.level.tolist()):
            down, right = strides[level]
            centre = np.array([found.column[i] * right, found.row[i] * down] * 2)
            boxes[i] = self.anchors.base[level][found.number[i]] + centre
        return boxes

    @property
    def reached(self) -> np.ndarray:
        """(G,) whether each object of the picture has an anchor that overlaps it enough."""
        return self.found.iou >= np.float32(self.threshold)


def title(state: State) -> str:
    """The finding of the picture."""
    objects, reached = len(state.found.iou), int(state.reached.sum())
    if not state.picture.known:
        return "The anchors of one cell, on a picture whose objects nobody has marked"
    if not objects:
        return "A picture without objects: no anchor has anything to find"
    has = "has" if objects == 1 else "have"
    return f"{reached} of {counted(objects, 'object')} {has} an anchor with IoU ≥ {state.threshold:g}"


def reading(state: State) -> str:
    """How to read the picture on the left."""
    down, right = state.anchors.true_strides(state.picture.padded)[state.level]
    h, w = state.anchors.grids(state.picture.padded)[state.level]
    return (
        f"Level {state.level + 1} of {len(state.anchors.strides)}: {h} × {w} cells, one for {down} × {right} pixels. "
        f"Each cell carries {counted(state.anchors.per_cell, 'anchor')}, centred on its upper left corner."
    )


def sizes_of(boxes: np.ndarray) -> list[str]:
    """ "w × h" of each box."""
    return [f"{w:g} × {h:g}" for w, h in (boxes[:, 2:] - boxes[:, :2]).tolist()]


def describe(state: State) -> str:
    """The card in words."""
    row, column = state.cell
    words = f"{title(state)}. {reading(state)} The chosen cell, row {row}, column {column}, has anchors of "
    words += ", ".join(sizes_of(state.cell_anchors)) + " pixels (width × height). "
    if len(state.found.iou):
        words += (
            "Best IoU of each object: "
            + ", ".join(written(iou, state.threshold) for iou in state.found.iou.tolist())
            + ". "
        )
    words += f"{counted(state.anchors.count(state.picture.padded), 'anchor')} in this picture. "
    half, most, now = recall(state.data_found.iou, (0.5, 0.7, state.threshold))
    if not len(state.data.boxes):
        return words + f"The data set {state.data_name} has no boxes."
    asked = "" if state.threshold in (0.5, 0.7) else f", {share(now)} one of at least {state.threshold:g}"
    return words + (
        f"Of the {counted(len(state.data.boxes), 'box')} of {state.data_name}, {share(half)} have an anchor with IoU "
        f"of at least 0.5, {share(most)} one of at least 0.7{asked}. "
        f"Anchor scales: {', '.join(f'{s}' for sizes in state.anchors.sizes for s in sizes)}; the boxes' sides run "
        f"from {state.data.sides.min():.0f} to {state.data.sides.max():.0f} pixels."
    )
