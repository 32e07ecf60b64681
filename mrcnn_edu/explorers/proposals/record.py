"""From the RPN's logits to its proposals, with a record of what non-maximum suppression did at each step.

The boxes and the survivors come from the package's functions; the record adds who suppressed whom.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mrcnn_edu.explorers.toolkit.levels import levels
from mrcnn_edu.explorers.toolkit.memory import Memory
from mrcnn_edu.model.boxes import box_iou, clip_boxes, decode, grouped_nms, large_enough, resize_boxes
from mrcnn_edu.model.rpn import MIN_SIDE
from mrcnn_edu.training.proposal_recall import recall_curve

KEPT, NEVER = -1, -2  # in place of a suppressor: the box is kept; no kept box came to suppress it


@dataclass(frozen=True)
class Candidates:
    """Boxes that NMS may choose from, in the order of the levels.

    boxes   (N, 4) xyxy, pixels of the resized image, clipped to it
    scores  (N,) objectness as a probability
    anchor  (N,) index into all anchors
    level   (N,) index into the levels
    """

    boxes: Tensor
    scores: Tensor
    anchor: Tensor
    level: Tensor

    def __len__(self) -> int:
        return len(self.boxes)

    def only(self, which: Tensor) -> "Candidates":
        """Those that `which`, (N,) bool, says."""
        return Candidates(self.boxes[which], self.scores[which], self.anchor[which], self.level[which])

    def per_level(self, count: int) -> list[int]:
        """How many lie on each of `count` levels."""
        return torch.bincount(self.level, minlength=count).tolist()


def best_of_each_level(stages, top_n: int) -> Candidates:
    """The `top_n` anchors of each level with the highest logits, decoded and clipped, as the RPN does it."""
    parts, first = [], 0
    for level, count in enumerate(stages.anchors_per_level):
        own = slice(first, first + count)
        logits, top = stages.objectness[:1, own].topk(min(top_n, count), dim=1)
        deltas = stages.pred_bbox_deltas[:1, own].gather(1, top[..., None].expand(-1, -1, 4))
        boxes = decode(deltas.flatten(0, 1), stages.anchors[own][top.flatten()])
        parts.append((boxes, logits[0], top[0] + first, torch.full_like(top[0], level)))
        first += count
    boxes, logits, anchor, level = (torch.cat(column).cpu() for column in zip(*parts, strict=True))
    return Candidates(clip_boxes(boxes, stages.image_sizes[0]), logits.sigmoid(), anchor, level)


def sound(candidates: Candidates) -> Candidates:
    """Those whose sides are long enough after clipping."""
    return candidates.only(large_enough(candidates.boxes, MIN_SIDE))


@dataclass(frozen=True)
class Record:
    """What NMS did, one step for each box it kept.

    kept        (n,) index into the candidates, best first: what `grouped_nms` gives
    suppressor  (N,) the step whose box suppressed each candidate (from 0), or KEPT
    iou         (N,) IoU with that box; 1 for kept boxes
    """

    kept: np.ndarray
    suppressor: np.ndarray
    iou: np.ndarray

    @classmethod
    def of(cls, candidates: Candidates, iou_threshold: float) -> "Record":
        """Run NMS within each level and find, for each box it dropped, the first kept box that overlaps it too much.

        candidates     (N,) boxes with their levels
        iou_threshold  boxes are dropped where IoU is above it
        """
        boxes, scores, level = candidates.boxes, candidates.scores, candidates.level
        kept = grouped_nms(boxes, scores, level, iou_threshold)
        rank = torch.empty(len(scores), dtype=torch.int64)
        rank[scores.argsort(descending=True, stable=True)] = torch.arange(len(scores))
        suppressor = torch.full((len(scores),), KEPT)
        iou = torch.ones(len(scores))
        is_kept = torch.zeros(len(scores), dtype=torch.bool)
        is_kept[kept] = True
        limit = np.float32(iou_threshold)
        if limit > iou_threshold:  # the operator compares in double precision: round down, so that > means the same
            limit = np.nextafter(limit, np.float32(-1))
        limit = float(limit)
        for one in level.unique():
            steps = torch.where(level[kept] == one)[0]
            dropped = torch.where((level == one) & ~is_kept)[0]
            if len(dropped):
                own = kept[steps]
                overlap = box_iou(boxes[dropped], boxes[own])  # (dropped, kept)
                better = rank[own] < rank[dropped][:, None]  # a box is never dropped by a worse one
                above = (overlap > limit) & better
                who = above.byte().argmax(dim=1)
                # NMS compares boxes moved apart, whose IoU may differ in its last digit: then the nearest counts.
                lost = torch.where(~above.any(dim=1))[0]
                who[lost] = torch.where(better[lost], overlap[lost], -1.0).argmax(dim=1)
                suppressor[dropped] = steps[who]
                iou[dropped] = overlap.gather(1, who[:, None])[:, 0]
        return cls(kept.numpy(), suppressor.numpy(), iou.numpy())

    def suppressed_by(self, step: int) -> np.ndarray:
        """The candidates that fell at `step` (from 0), those with the largest IoU first."""
        fallen = np.flatnonzero(self.suppressor == step)
        return fallen[np.argsort(-self.iou[fallen], kind="stable")]


class Run:
    """The model's run on one picture, and all that follows from it for the present settings.

    Each part is computed again only when something it depends on has changed.

    model  a MaskRCNN
    image  (3, H, W) in [0, 1]
    truth  (G, 4) xyxy in pixels of the image, or None where it is not known
    """

    def __init__(self, model, image: Tensor, truth: Tensor | None):
        self.stages = model.stages([image])
        self.size, original = self.stages.image_sizes[0], self.stages.original_sizes[0]
        self.levels = levels(self.stages)
        self.truth = None if truth is None else resize_boxes(truth.float().reshape(-1, 4), original, self.size)
        self._parts = Memory()

    def _part(self, name: str, key, make):
        return self._parts.get(name, lambda: Memory(1)).get(key, make)

    def update(self, score: float, top_before: int, top_after: int, iou: float) -> "Run":
        """Bring everything in line with the settings.

        score       objectness below this is dropped
        top_before  anchors of each level before NMS
        top_after   proposals kept after it
        iou         threshold of NMS
        """
        self.settings = score, top_before, top_after, iou
        before, after = (top_before,), (top_before, score)
        self.top = self._part("top", before, lambda: best_of_each_level(self.stages, top_before))
        self.valid = self._part("valid", before, lambda: sound(self.top))
        self.candidates = self._part("score", after, lambda: self.valid.only(self.valid.scores >= score))
        self.record = self._part("record", (*after, iou), lambda: Record.of(self.candidates, iou))
        self.kept = self.record.kept[:top_after]
        self.boxes = self._part("boxes", after, lambda: self.candidates.boxes.numpy())
        self.best = self._part("best", self.settings, self._recall)
        return self

    def _recall(self) -> np.ndarray | None:
        return None if self.truth is None else recall_curve(self.truth, self.candidates.boxes[self.kept])

    @property
    def proposals(self) -> Tensor:
        """(n, 4) the proposals that are kept in the end, best first."""
        return self.candidates.boxes[self.kept]

    def suppressor(self, box: int) -> int:
        """The step that suppressed a candidate (from 0), KEPT, or NEVER where enough were kept before it was due."""
        step = int(self.record.suppressor[box])
        if step == KEPT:
            return KEPT if box in self.kept else NEVER
        return step if step < len(self.kept) else NEVER

    def step_of(self, box: int) -> int | None:
        """The step (from 1) that decides about a candidate, or None."""
        step = self.suppressor(box)
        if step == KEPT:
            return int(np.flatnonzero(self.kept == box)[0]) + 1
        return None if step == NEVER else step + 1

    def funnel(self) -> list[tuple[str, list[int]]]:
        """What each stage leaves: (words, count on each level)."""
        score, top_before, top_after, iou = self.settings
        count = len(self.levels)
        survivors = torch.bincount(self.candidates.level[self.record.kept], minlength=count).tolist()
        kept = torch.bincount(self.candidates.level[self.kept], minlength=count).tolist()
        return [
            ("anchors", list(self.stages.anchors_per_level)),
            (f"best {top_before:,} a level", self.top.per_level(count)),
            ("valid after clipping", self.valid.per_level(count)),
            (f"objectness ≥ {score:.2f}", self.candidates.per_level(count)),
            (f"after NMS, IoU {iou:.2f}", survivors),
            (f"best {top_after:,} kept", kept),
        ]

    def neighbours(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All boxes that are still there when step `step` (from 0) chooses its own, itself excepted.

        returns  (m,) index, (m,) IoU with the chosen box, (m,) whether on its level
        """
        chosen = self.kept[step]
        gone = (self.record.suppressor >= 0) & (self.record.suppressor < step)
        gone[self.kept[: step + 1]] = True
        left = np.flatnonzero(~gone)
        overlap = box_iou(self.candidates.boxes[chosen][None], self.candidates.boxes[left])[0].numpy()
        level = self.candidates.level.numpy()
        return left, overlap, level[left] == level[chosen]

    def telling_step(self) -> int:
        """A step (from 1) worth opening with: it suppresses several, and leaves a box of another level alone.

        returns  0 where nothing is kept
        """
        counts = np.bincount(self.record.suppressor[self.record.suppressor >= 0], minlength=len(self.kept))
        for step in range(min(len(self.kept), 30)):
            _, overlap, same = self.neighbours(step)
            if counts[step] >= 5 and (~same & (overlap > self.settings[3])).any():
                return step + 1
        return int(counts[: len(self.kept)].argmax()) + 1 if len(self.kept) else 0
