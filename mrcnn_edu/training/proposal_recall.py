"""What the RPN finds: how many of a data set's true boxes its proposals reach."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from ..datasets.limits import limit_note, size_notes
from ..model import MaskRCNN
from ..model.boxes import box_iou, resize_boxes
from .errors import explained_out_of_memory

COUNTS = (10, 50, 200)
THRESHOLDS = (0.5, 0.7)


def recall_curve(truth: Tensor, proposals: Tensor) -> np.ndarray:
    """Best IoU of each true box with the first k proposals, for each k.

    truth      (G, 4) xyxy, pixels
    proposals  (n, 4) in the same pixels, best first
    returns    (G, n + 1), column 0 is 0
    """
    best = np.zeros((len(truth), len(proposals) + 1), dtype=np.float32)
    if len(truth) and len(proposals):
        best[:, 1:] = np.maximum.accumulate(box_iou(truth, proposals).cpu().numpy(), axis=1)
    return best


def proposal_recall(model: MaskRCNN, dataset: Dataset, limit: int | None = None, progress: bool = False) -> dict:
    """Recall of the proposals of a data set, whatever their class: the share of true boxes that one of the first k of
    their image overlaps by at least a threshold. The boxes of all images are pooled; crowds are not asked for.

    Each picture is resized and padded on its own, as in `evaluate`.

    limit    only the first `limit` images
    returns  images, objects: how many; proposals: how many an image, on average; called_objects: how many of them have
             an objectness of at least 1/2; recall: {"10": {"0.5": ..., "0.7": ...}, "50": ..., "200": ...}, the number
             of proposals and the least IoU; -1 if there is no object to find; notes: a line for each limit of the
             model that keeps objects from being found
    raises   torch.cuda.OutOfMemoryError that says what to lower
    source   Hosang et al. 2016, What makes for effective detection proposals?, recall of a number of proposals
    """
    device = next(model.parameters()).device
    count = len(dataset) if limit is None else min(limit, len(dataset))
    reached = {k: [] for k in COUNTS}
    proposals = called = 0
    truths = []
    for index in tqdm(range(count), desc="proposing", unit="image", disable=not progress):
        image, target = dataset[index]
        with explained_out_of_memory("evaluation", model, 1):
            stages = model.stages([image.as_subclass(torch.Tensor).to(device)])
        boxes, scores = stages.proposals[0], stages.proposal_scores[0]
        proposals += len(boxes)
        called += int((scores >= 0.5).sum())
        truth = target["boxes"].as_subclass(torch.Tensor).float().reshape(-1, 4).to(device)
        truth = resize_boxes(truth, stages.original_sizes[0], stages.image_sizes[0])
        truths.append(truth.cpu().numpy())
        curve = recall_curve(truth, boxes)
        for k, best in reached.items():
            best.extend(curve[:, min(k, len(boxes))].tolist())
    objects = len(reached[COUNTS[0]])
    return {
        "images": count,
        "objects": objects,
        "proposals": proposals / count if count else 0.0,
        "called_objects": called / count if count else 0.0,
        "recall": {
            str(k): {str(least): float(np.mean(np.array(best) >= least)) if objects else -1.0 for least in THRESHOLDS}
            for k, best in reached.items()
        },
        "notes": _notes(model, truths),
    }


def _notes(model: MaskRCNN, truths: list[np.ndarray]) -> list[str]:
    corners = np.concatenate([np.zeros((0, 4)), *truths])  # (G, 4) of all pictures
    if not len(corners):
        return ["there is no object in the pictures looked at, so every recall is -1"]
    counts, limit = np.array([len(boxes) for boxes in truths]), model.config.rpn_post_nms_top_n_test
    notes = limit_note(counts, "rpn_post_nms_top_n_test", limit, "regions of a picture that the model looks at")
    return notes + size_notes(model.config, *(corners[:, 2:] - corners[:, :2]).T)
