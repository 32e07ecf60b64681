"""Match boxes to ground truths, and sample which of them the losses see."""

import torch
from torch import Tensor

from mrcnn_edu.model.boxes import IOU_CHUNK, box_iou

BELOW_LOW = -1  # background
BETWEEN = -2  # ignored: neither object nor background


def match(gt_boxes: Tensor, boxes: Tensor, high: float, low: float, low_quality: bool = False) -> Tensor:
    """For each box the ground truth it overlaps most: its index if IoU ≥ high, -1 if IoU < low, -2 between.

    With `low_quality`, each ground truth also takes back the boxes that overlap it most of all, however little,
    and each of those is matched to its own best ground truth. A ground truth that no box touches takes none.
    (torchvision gives it every box, because all of them tie at IoU 0.)

    Works through the ground truths in chunks, so that 2,000 of them on 268,000 anchors need no 2 GB table.

    gt_boxes  (G, 4) xyxy, pixels
    boxes     (N, 4) xyxy, pixels
    returns   (N,) int64
    source    Ren et al. 2015, section 3.1.2
    """
    num_gt, num_boxes = len(gt_boxes), len(boxes)
    best_iou = boxes.new_full((num_boxes,), -1.0)  # (N,)
    best_gt = torch.zeros(num_boxes, dtype=torch.int64, device=boxes.device)  # (N,)
    forced = torch.zeros(num_boxes, dtype=torch.bool, device=boxes.device)  # (N,)
    chunk = max(1, IOU_CHUNK // max(1, num_boxes))
    for start in range(0, num_gt, chunk):
        iou = box_iou(gt_boxes[start : start + chunk], boxes)
        chunk_iou, chunk_gt = iou.max(dim=0)  # (N,), (N,)
        better = chunk_iou > best_iou  # (N,)
        best_gt = torch.where(better, chunk_gt + start, best_gt)  # (N,)
        best_iou = torch.maximum(best_iou, chunk_iou)  # (N,)
        if low_quality and num_boxes:
            peak = iou.max(dim=1, keepdim=True).values
            forced |= ((iou == peak) & (peak > 0)).any(dim=0)  # (N,)
    matched_idxs = torch.where(best_iou < high, BETWEEN, best_gt)  # (N,)
    matched_idxs = torch.where(best_iou < low, BELOW_LOW, matched_idxs)  # (N,)
    return torch.where(forced, best_gt, matched_idxs)  # (N,)


def sample(labels: Tensor, count: int, positive_fraction: float) -> tuple[Tensor, Tensor]:
    """Draw at most `count` boxes, at most that share of them positive; negatives fill up.

    Two random permutations are drawn, that of the positives first: a seeded run of torchvision draws the same.

    labels   (N,) above 0 positive, 0 negative, below 0 ignored
    returns  two int64 vectors of indices, positives and negatives, each ascending
    source   Girshick 2015, section 2.3; Ren et al. 2015, section 3.1.3
    """
    positive = torch.where(labels >= 1)[0]
    negative = torch.where(labels == 0)[0]
    num_positive = min(len(positive), int(count * positive_fraction))
    num_negative = min(len(negative), count - num_positive)
    chosen_positive = torch.randperm(len(positive), device=labels.device)[:num_positive]
    chosen_negative = torch.randperm(len(negative), device=labels.device)[:num_negative]
    return positive[chosen_positive].sort().values, negative[chosen_negative].sort().values
