"""One run of the model on one picture, and the walk from a final mask back to its anchor.

    mask logits ← RoI ← proposal ← anchor ← cell of the pyramid

Everything is read from `model.stages(images)`; nothing is computed a second way.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from PIL import Image

from mrcnn_edu.explorers.toolkit.levels import Level, levels, locate
from mrcnn_edu.explorers.toolkit.memory import Memory
from mrcnn_edu.explorers.toolkit.window import Window, photograph
from mrcnn_edu.model.boxes import decode

FRAME = (16, 112, 540, 440)


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


@dataclass
class Scene:
    """One run of the model on one picture, ready to draw. Boxes in pixels of the resized image."""

    stages: object
    names: tuple
    photo: Image.Image
    size: tuple[int, int]  # (height, width) of the resized image
    pyramid: list[Level]
    walks: list[Walk]
    masks: list  # (soft mask cut to its box, its corner) in pixels of the given image
    window: Window
    cache: Memory = field(default_factory=Memory)

    @classmethod
    def run(cls, model, image: torch.Tensor) -> "Scene":
        """Run the model on one (3, H, W) image, with everything that it detects."""
        stages = model.stages([image])
        found = stages.detections[0]
        every = range(len(found["scores"]))
        photo = photograph(image)
        height, width = stages.image_sizes[0]
        names = tuple(model.class_names or [f"class {i}" for i in range(stages.class_logits.shape[1])])
        return cls(
            stages=stages,
            names=names,
            photo=photo,
            size=(height, width),
            pyramid=levels(stages),
            walks=[walk_back(stages, i, model.config.bbox_reg_weights) for i in every],
            masks=[cut(found["masks"][i, 0].numpy(), found["boxes"][i].tolist()) for i in every],
            window=Window.fit(FRAME, (0, 0, width, height)),
        )

    def above(self, score: float) -> "Scene":
        """The same with the detections that score at least so much: they come in the order of their scores."""
        count = sum(walk.score >= score for walk in self.walks)
        return self if count == len(self.walks) else replace(self, walks=self.walks[:count], masks=self.masks[:count])

    @property
    def best(self) -> float:
        """The highest score of the whole run; 0 where nothing was detected."""
        return float(self.stages.detections[0]["scores"].max()) if len(self.stages.detections[0]["scores"]) else 0.0

    @property
    def scale(self) -> tuple[float, float]:
        """Resized pixels per pixel of the given image, (x, y)."""
        return self.size[1] / self.photo.width, self.size[0] / self.photo.height

    def places(self) -> list[tuple[float, float, float, float]]:
        """Where a point belongs to each instance: its box grown to whole pixels, in pixels of the resized image."""
        sx, sy = self.scale
        return [
            (left * sx, top * sy, (left + mask.shape[1]) * sx, (top + mask.shape[0]) * sy)
            for mask, (left, top) in self.masks
        ]

    def instance_at(self, x: float, y: float) -> int | None:
        """The instance under a point: the smallest whose mask covers it, else whose box does, else None."""
        px, py = x / self.scale[0], y / self.scale[1]
        hits = []
        for number, (mask, (left, top)) in enumerate(self.masks):
            row, column = math.floor(py - top), math.floor(px - left)
            if 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1]:
                hits.append((mask[row, column] < 0.5, mask.size, number))
        return min(hits)[2] if hits else None

    def feature_strength(self, level: int) -> np.ndarray:
        """(h, w): mean of |value| over the channels of one level, for the part that the picture covers."""

        def make() -> np.ndarray:
            features = list(self.stages.features.values())[level][0]
            rows = -(-self.size[0] // self.pyramid[level].stride[0])
            columns = -(-self.size[1] // self.pyramid[level].stride[1])
            return features.abs().mean(0)[:rows, :columns].float().numpy()

        return self.cache.get(("features", level), make)


def cut(mask: np.ndarray, box) -> tuple[np.ndarray, tuple[int, int]]:
    """A mask (H, W) cut to its box, grown to whole pixels, and the corner (x, y) of the piece."""
    x1, y1 = max(int(box[0]), 0), max(int(box[1]), 0)
    x2, y2 = min(int(np.ceil(box[2])) + 1, mask.shape[1]), min(int(np.ceil(box[3])) + 1, mask.shape[0])
    return mask[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)].clip(0, 1), (x1, y1)
