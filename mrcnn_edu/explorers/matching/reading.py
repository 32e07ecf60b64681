"""What matching and sampling make of every anchor of a picture, and how the explorer says so in words."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from mrcnn_edu.explorers.anchors.reading import AnchorSet, as_the_model_sees
from mrcnn_edu.explorers.toolkit.levels import level_name
from mrcnn_edu.explorers.toolkit.memory import Memory
from mrcnn_edu.explorers.toolkit.words import counted, written
from mrcnn_edu.model.boxes import box_iou
from mrcnn_edu.model.losses import anchor_labels
from mrcnn_edu.model.matching import match, sample

POSITIVE, FORCED, IGNORED, NEGATIVE = range(4)
KINDS = ("positive", "forced", "ignored", "negative")


@dataclass(eq=False)
class Ground:
    """One picture as the model sees it, with all its anchors.

    size    (height, width) of the resized picture; `padded` with its padding
    boxes   (G, 4) ground truth, pixels of the resized picture
    known   whether anyone said where the objects are
    levels  one (h·w·A, 4) a level
    """

    image: Tensor
    size: tuple[int, int]
    padded: tuple[int, int]
    boxes: Tensor
    known: bool
    anchors: AnchorSet
    levels: list[Tensor]
    cache: Memory = field(default_factory=Memory)  # the photo, for good
    views: Memory = field(default_factory=lambda: Memory(1))  # what lies under the marks of the last view

    @classmethod
    def of(cls, image: Tensor, boxes, config) -> "Ground":
        """image (3, H, W) in [0, 1]; boxes (G, 4) in its pixels, or None where nobody marked them."""
        given = torch.zeros(0, 4) if boxes is None else boxes
        resized, size, padded = as_the_model_sees(given, tuple(image.shape[-2:]), config)
        strides = (*config.strides, 2 * config.strides[-1])
        anchors = AnchorSet(config.anchor_sizes, config.anchor_ratios, strides)
        return cls(image, size, padded, resized, boxes is not None, anchors, anchors.all(padded))

    @cached_property
    def everything(self) -> Tensor:
        """(N, 4) the anchors of all levels, in the order in which the model has them."""
        return torch.cat(self.levels)

    def span(self, level: int) -> slice:
        """Which of all anchors belong to a level."""
        first = sum(len(anchors) for anchors in self.levels[:level])
        return slice(first, first + len(self.levels[level]))

    def name(self, level: int) -> str:
        """P2 for a stride of 4, P3 for 8, …"""
        return level_name((self.anchors.strides[level],))

    @cached_property
    def peaks(self) -> Tensor:
        """(G,) the largest IoU of each ground truth with any anchor."""
        return torch.stack([box_iou(box[None], self.everything).max() for box in self.boxes])


@dataclass(frozen=True, eq=False)
class Matches:
    """Every anchor of a picture after matching and sampling; N anchors, G ground truths.

    matched_idxs  (N,) from `match`
    kinds         (N,) index into KINDS
    sampled       (N,) whether the losses see it
    """

    matched_idxs: Tensor
    kinds: np.ndarray
    sampled: np.ndarray
    objects: int

    @classmethod
    def of(cls, ground: Ground, high: float, low: float, forced: bool, count: int, fraction: float, seed: int):
        """Match as the RPN's loss does, with and without the rule that forces matches, and sample with a seed."""
        boxes, anchors = ground.boxes, ground.everything
        by_thresholds = match(boxes, anchors, high, low)
        matched_idxs = match(boxes, anchors, high, low, low_quality=True) if forced else by_thresholds
        labels = anchor_labels(matched_idxs)
        kinds = np.where(labels == 1, POSITIVE, np.where(labels == 0, NEGATIVE, IGNORED))
        kinds[((labels == 1) & (by_thresholds < 0)).numpy()] = FORCED
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            positive, negative = sample(labels, count, fraction)
        sampled = np.zeros(len(labels), bool)
        sampled[torch.cat([positive, negative]).numpy()] = True
        return cls(matched_idxs, kinds, sampled, len(boxes))

    def count(self, kind: int, span: slice | None = None) -> int:
        """How many anchors of a kind there are, of all or in the span of a level."""
        return int((self.kinds[span or slice(None)] == kind).sum())

    def drawn(self, kind: int) -> int:
        """How many anchors of a kind were sampled, of all levels."""
        return int(((self.kinds == kind) & self.sampled).sum())

    def learned(self, kind: int) -> np.ndarray:
        """(G,) how many anchors of a kind each ground truth has."""
        return np.bincount(self.matched_idxs[self.kinds == kind].numpy(), minlength=self.objects)

    @cached_property
    def unlearned(self) -> list[int]:
        """The ground truths without any positive anchor."""
        return np.flatnonzero(self.learned(POSITIVE) + self.learned(FORCED) == 0).tolist()


@dataclass(frozen=True)
class State:
    """Everything that one drawing shows. `chosen` is the index of an anchor of the level."""

    ground: Ground
    matches: Matches
    level: int
    chosen: int
    high: float
    low: float
    forced: bool
    count: int
    window: object

    @cached_property
    def span(self) -> slice:
        """The anchors of the level shown."""
        return self.ground.span(self.level)

    @cached_property
    def box(self) -> Tensor:
        """(4,) the chosen anchor."""
        return self.ground.levels[self.level][self.chosen]

    @cached_property
    def best(self) -> tuple[int, float] | None:
        """The ground truth that the chosen anchor overlaps most, and the IoU; None where it touches none."""
        if not len(self.ground.boxes):
            return None
        iou = box_iou(self.ground.boxes, self.box[None])[:, 0]
        number = int(iou.argmax())
        return (number, float(iou[number])) if iou[number] > 0 else None

    @property
    def overlap(self) -> str:
        """The IoU with that ground truth, as it is written."""
        return written(0.0 if self.best is None else self.best[1], self.high, self.low)

    @cached_property
    def kind(self) -> int:
        """Of the chosen anchor."""
        return int(self.matches.kinds[self.span][self.chosen])


def title(state: State) -> str:
    """The finding."""
    objects, unlearned = state.matches.objects, len(state.matches.unlearned)
    if not state.ground.known:
        return "Nobody has marked the objects of this picture: every anchor is negative"
    if not objects:
        return "A picture without objects: every anchor is negative"
    if unlearned == objects:
        return f"No object has a positive anchor: nobody learns {'it' if objects == 1 else 'them'}"
    if unlearned:
        return f"{unlearned} of {objects} objects {'has' if unlearned == 1 else 'have'} no positive anchor"
    positive, forced = state.matches.count(POSITIVE), state.matches.count(FORCED)
    if not forced:
        return f"{counted(objects, 'object')}, {counted(positive, 'positive anchor')}"
    if not positive:
        return f"{counted(objects, 'object')}, {counted(forced, 'positive anchor')}, all of them forced"
    return f"{counted(objects, 'object')}: {counted(positive, 'positive anchor')}, {forced} more by force"


def reading(state: State) -> str:
    """How to read the marks."""
    grid = state.ground.anchors.grids(state.ground.padded)[state.level]
    per_cell = state.ground.anchors.per_cell
    return (
        f"Level {state.ground.name(state.level)}: {grid[0]} × {grid[1]} cells with {counted(per_cell, 'anchor')} each. "
        "A cell's marks stand side by side around its anchors' centre."
    )


def chosen_words(state: State) -> list[str]:
    """The chosen anchor, its best ground truth, and what follows from it, a sentence each."""
    ground = state.ground
    width, height = (state.box[2:] - state.box[:2]).tolist()
    cell, _ = divmod(state.chosen, ground.anchors.per_cell)
    row, column = divmod(cell, ground.anchors.grids(ground.padded)[state.level][1])
    where = f"{width:g} × {height:g} pixels at row {row}, column {column} of {ground.name(state.level)}."
    return [where, overlap_words(state), *reasons(state)]


def overlap_words(state: State) -> str:
    """Which object the chosen anchor overlaps most."""
    if state.best is None:
        return "It touches no object."
    return f"It overlaps object {state.best[0] + 1} most: IoU {state.overlap}."


def reasons(state: State) -> list[str]:
    """Why the chosen anchor is what it is, and whether the losses see it."""
    if state.kind == POSITIVE:
        why = f"At least {state.high:g}: positive."
    elif state.kind == FORCED:
        why = forced_words(state)
    elif state.kind == NEGATIVE:
        why = f"Below {state.low:g}: negative." if state.best else "Negative: this is background."
    else:
        why = f"{state.low:g} ≤ {state.overlap} < {state.high:g}: ignored, it teaches nothing."
    if state.kind == IGNORED:
        return [why]
    seen = state.matches.sampled[state.span][state.chosen]
    return [why, "Sampled: the losses see it." if seen else "Not sampled this time: the losses do not see it."]


def forced_words(state: State) -> str:
    """For which object the chosen anchor was forced."""
    number, _ = state.best
    iou = box_iou(state.ground.boxes, state.box[None])[:, 0]
    forcing = torch.where((iou == state.ground.peaks) & (iou > 0))[0].tolist()
    if number in forcing:
        return f"Below {state.high:g}, but no anchor overlaps object {number + 1} more: forced to be positive."
    return f"Forced, because no anchor overlaps object {forcing[0] + 1} more; yet it learns object {number + 1}."


def describe(state: State) -> str:
    """The card in words."""
    matches, span = state.matches, state.span
    words = f"{title(state)}. {reading(state)} Thresholds: positive from IoU {state.high:g}, negative below "
    words += f"{state.low:g}, forced matches {'on' if state.forced else 'off'}. "
    for kind, name in enumerate(KINDS):
        words += f"{name.capitalize()}: {matches.count(kind, span):,} at this level, {matches.count(kind):,} in all"
        words += ". " if kind == IGNORED else f", {matches.drawn(kind):,} of them sampled. "
    positive, forced = matches.learned(POSITIVE).tolist(), matches.learned(FORCED).tolist()
    objects = [f"{i + 1}: {a} and {b} forced" for i, (a, b) in enumerate(zip(positive, forced, strict=True))]
    if objects:
        words += f"Positive anchors of each object: {', '.join(objects)}. "
    if matches.unlearned:
        words += f"Nobody learns object {', '.join(str(i + 1) for i in matches.unlearned)}. "
    return words + f"The chosen anchor is {KINDS[state.kind]}: " + " ".join(chosen_words(state))


def opening_anchor(ground: Ground, matches: Matches, level: int) -> int:
    """An anchor of a level worth looking at first: a forced one, else a positive or ignored one, else that with the
    largest IoU, else one in the middle."""
    kinds = matches.kinds[ground.span(level)]
    for kind in (FORCED, POSITIVE, IGNORED):
        if (kinds == kind).any():
            return int(np.flatnonzero(kinds == kind)[0])
    anchors = ground.levels[level]
    if len(ground.boxes):
        return int(box_iou(ground.boxes, anchors).max(dim=0).values.argmax())
    rows, columns = ground.anchors.grids(ground.padded)[level]
    return (rows // 2 * columns + columns // 2) * ground.anchors.per_cell


def opening_level(ground: Ground, matches: Matches) -> int:
    """The level with most to see: as many kinds of anchors as possible, then as many positive ones."""
    found = [matches.kinds[ground.span(level)] for level in range(len(ground.levels))]
    return max(range(len(found)), key=lambda i: (len(np.unique(found[i])), (found[i] <= FORCED).sum(), -i))
