"""What the explorer of anchors knows about its present state, and how it says so in words."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from mrcnn_edu.explorers.anchors_marks import photograph, scaled, wide_window
from mrcnn_edu.explorers.anchors_recall import AnchorSet, Best, BoxSet, as_the_model_sees, recall
from mrcnn_edu.explorers.memory import Memory
from mrcnn_edu.explorers.paint import Window
from mrcnn_edu.explorers.words import counted

FRAME = (16, 84, 524, 456)  # of the picture: x, y, width, height on the card
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

    def drawn(self) -> Image.Image:
        """The photo as large as it stands on the card, a little paled; made once."""
        return self.cache.get("photo", lambda: scaled(self.photo, self.window, self.size, 0.18))


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


def share(value: float) -> str:
    """0.396 → "40 %"; what is not quite everything never rounds to 100 %, nor a little to 0 %."""
    percent = round(100 * value)
    if 0 < value < 1:
        percent = min(max(percent, 1), 99)
    return f"{percent} %"


def written(value: float, *thresholds: float) -> str:
    """An IoU with two decimals, rounded down where it would else seem to reach a threshold that it is below."""
    rounded = round(value, 2)
    # In float32, as IoUs are compared: 0.7 is not below 0.7.
    if any(np.float32(value) < np.float32(threshold) <= np.float32(rounded) for threshold in thresholds):
        rounded -= 0.01
    return f"{rounded:.2f}"


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
