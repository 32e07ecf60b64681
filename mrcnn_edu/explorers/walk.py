"""The walk from a final mask back to its anchor: which numbers of the model made this one instance.

    mask logits ← RoI ← proposal ← anchor ← cell of the pyramid

Everything is read from `model.stages(images)`; nothing is computed a second way.
"""

from dataclasses import dataclass

import numpy as np
import torch

from mrcnn_edu.model.boxes import decode


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


@dataclass(frozen=True)
class Walk:
    """What led to one instance. Boxes are (x1, y1, x2, y2) in pixels of the resized image."""

    label: int
    score: float
    level: int  # of the anchor, index into the levels
    row: int
    column: int
    anchor_number: int  # among the anchors of its cell
    anchor: np.ndarray
    anchor_size: float  # root of its area, pixels
    anchor_ratio: float  # height / width
    objectness_logit: float
    objectness: float  # the logit's sigmoid
    deltas: np.ndarray  # (dx, dy, dw, dh) that move the anchor onto the proposal
    proposal_rank: int  # 0 is the proposal with the highest objectness
    proposal: np.ndarray
    roi_level: int  # the level that RoIAlign reads, index into the levels
    roi_features: np.ndarray  # (C, P, P)
    probabilities: np.ndarray  # (K,) softmax of the class logits
    box_deltas: np.ndarray  # (4,) for the predicted class, in the units of `deltas`
    box: np.ndarray
    mask_logits: np.ndarray  # (M, M) for the predicted class


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


def walk_back(stages, detection: int, box_weights: tuple[float, ...], image: int = 0) -> Walk:
    """Everything behind detection number `detection` of image number `image`.

    box_weights  of the box head's codec: its outputs are the deltas times these
    raises   IndexError naming how many detections there are
    """
    found = stages.detections[image]
    if not 0 <= detection < len(found["labels"]):
        raise IndexError(f"detection {detection} does not exist: this image has {len(found['labels'])}")
    label = int(found["labels"][detection])
    proposal = int(stages.detection_proposals[image][detection])
    anchor = int(stages.proposal_anchors[image][proposal])
    level, row, column, number = locate(anchor, levels(stages))
    roi = sum(len(p) for p in stages.proposals[:image]) + proposal
    mask = sum(len(b) for b in stages.detection_boxes[:image]) + detection
    width, height = (stages.anchors[anchor, 2:] - stages.anchors[anchor, :2]).tolist()
    logit = stages.objectness[image, anchor]
    return Walk(
        label=label,
        score=float(found["scores"][detection]),
        level=level,
        row=row,
        column=column,
        anchor_number=number,
        anchor=numbers(stages.anchors[anchor]),
        anchor_size=(width * height) ** 0.5,
        anchor_ratio=height / width,
        objectness_logit=float(logit),
        objectness=float(logit.sigmoid()),
        deltas=numbers(stages.pred_bbox_deltas[image, anchor]),
        proposal_rank=proposal,
        proposal=numbers(stages.proposals[image][proposal]),
        roi_level=int(stages.roi_levels[roi]),
        roi_features=numbers(stages.box_features[roi]),
        probabilities=numbers(stages.class_logits[roi].softmax(-1)),
        box_deltas=numbers(stages.box_regression[roi].view(-1, 4)[label]) / np.float32(box_weights),
        box=numbers(stages.detection_boxes[image][detection]),
        mask_logits=numbers(stages.mask_logits[mask, label]),
    )


def numbers(tensor: torch.Tensor) -> np.ndarray:
    """A tensor as a float32 array on the CPU."""
    return tensor.detach().float().cpu().numpy()


def moved_anchor(walk: Walk) -> np.ndarray:
    """The anchor moved by its deltas, before it is clipped to the image: R = decode(deltas, anchor)."""
    return numbers(decode(torch.from_numpy(walk.deltas)[None], torch.from_numpy(walk.anchor)[None])[0])
