"""Boxes: areas, IoU, clipping, the codec between boxes and deltas, and non-maximum suppression.

Boxes are (x1, y1, x2, y2) in absolute pixels, float32. Half precision and small integers are taken too, and computed in
float32 and int32: an area of 300 × 300 overflows the one, one of 12 × 12 the other.
"""

import math

import torch
import torchvision
from torch import Tensor

# dw and dh are clamped from above only, so that exp cannot overflow: no box grows more than 62.5 times.
MAX_LOG_RATIO = math.log(1000.0 / 16)

# So many boxes torchvision's batched NMS moves apart on a CPU; for fewer than the first number the loop does not pay.
FEW_BOXES, MOVED_BOXES = 200, 1000

# One chunk of the (G, N) table of IoUs holds at most this many numbers (8 MiB of float32).
IOU_CHUNK = 2**21


def check_boxes(name: str, boxes: Tensor) -> None:
    """Refuse what has not the shape of boxes; no value is looked at.

    raises   ValueError naming the argument and its shape
    """
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise ValueError(f"{name} has shape {tuple(boxes.shape)}, give (N, 4): x1, y1, x2, y2 of each box")


def check_one_each(name: str, values: Tensor, boxes: Tensor) -> None:
    """Refuse a vector that has not one value for each box.

    raises   ValueError naming the argument and its shape
    """
    if values.shape != boxes.shape[:1]:
        raise ValueError(f"{name} has shape {tuple(values.shape)}, give ({len(boxes)},): one for each box")


def as_floats(values: Tensor) -> Tensor:
    """The values in float32, or in float64 where they are that: what is divided or scaled has fractions."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def upcast(values: Tensor) -> Tensor:
    """The values in a type in which products of coordinates fit: float32, float64, int32 or int64."""
    if values.is_floating_point():
        return as_floats(values)
    return values if values.dtype in (torch.int32, torch.int64) else values.int()


def box_area(boxes: Tensor) -> Tensor:
    """Area of each box: (x2 - x1)(y2 - y1).

    boxes    (N, 4) xyxy, pixels
    returns  (N,) square pixels
    raises   ValueError for another shape
    """
    check_boxes("boxes", boxes)
    boxes = upcast(boxes)
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU of every pair: |a ∩ b| / |a ∪ b|.

    One axis at a time: the (G, N, 2) temporaries of the textbook form never exist.

    boxes1   (G, 4) xyxy, pixels
    boxes2   (N, 4) xyxy, pixels
    returns  (G, N) in [0, 1]; two boxes without area have no IoU, which is NaN, as 0 / 0 is
    raises   ValueError for another shape
    source   Everingham et al. 2010, section 4.2
    """
    check_boxes("boxes1", boxes1)
    check_boxes("boxes2", boxes2)
    boxes1, boxes2 = upcast(boxes1), upcast(boxes2)
    if boxes1.dtype != boxes2.dtype:
        common = torch.promote_types(boxes1.dtype, boxes2.dtype)
        boxes1, boxes2 = boxes1.to(common), boxes2.to(common)
    left = torch.maximum(boxes1[:, None, 0], boxes2[:, 0])  # (G, N)
    width = torch.minimum(boxes1[:, None, 2], boxes2[:, 2]).sub_(left).clamp_(min=0)  # (G, N)
    top = torch.maximum(boxes1[:, None, 1], boxes2[:, 1])  # (G, N)
    height = torch.minimum(boxes1[:, None, 3], boxes2[:, 3]).sub_(top).clamp_(min=0)  # (G, N)
    intersection = width.mul_(height)  # (G, N)
    union = (box_area(boxes1)[:, None] + box_area(boxes2)).sub_(intersection)  # (G, N)
    return intersection.div_(union) if union.is_floating_point() else intersection / union


def clip_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Move every corner into the image.

    boxes    (..., 4) xyxy, pixels
    size     (height, width) of the image, pixels
    returns  (..., 4)
    raises   ValueError for another shape
    """
    if boxes.shape[-1:] != (4,):
        raise ValueError(f"boxes has shape {tuple(boxes.shape)}, give (…, 4): x1, y1, x2, y2 of each box")
    height, width = size
    wide = upcast(boxes)
    limits = wide.new_tensor([width, height, width, height])  # (4,)
    return torch.minimum(wide.clamp(min=0), limits).to(boxes.dtype)


def resize_boxes(boxes: Tensor, old_size: tuple[int, int], new_size: tuple[int, int]) -> Tensor:
    """Scale boxes with their image, each axis by its own ratio.

    The ratio is that of the whole-pixel sizes, which differs a little from the scale the image was resized with.

    boxes    (N, 4) xyxy, pixels of the old image
    returns  (N, 4) pixels of the new image
    raises   ValueError for another shape
    """
    check_boxes("boxes", boxes)
    height, width = (
        torch.tensor(new, dtype=torch.float32) / torch.tensor(old, dtype=torch.float32)
        for new, old in zip(new_size, old_size, strict=True)
    )
    boxes = as_floats(boxes)
    return boxes * torch.stack([width, height, width, height]).to(boxes)


def centres_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Centre (x, y) and sides (w, h) of each box.

    boxes    (N, 4) xyxy, pixels
    returns  (N, 2) and (N, 2), pixels
    raises   ValueError for another shape
    """
    check_boxes("boxes", boxes)
    boxes = as_floats(boxes)
    sides = boxes[:, 2:] - boxes[:, :2]  # (N, 2)
    return boxes[:, :2] + 0.5 * sides, sides


def encode(boxes: Tensor, anchors: Tensor, weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Deltas t that move each anchor a onto its box b: t = encode(b, a).

    t_x = w_x (b_x - a_x) / a_w        t_w = w_w log(b_w / a_w)        (likewise y, h; x, y are centres)

    boxes    (N, 4) xyxy, pixels, sides > 0
    anchors  (N, 4) xyxy, pixels, sides > 0
    returns  (N, 4) deltas (dx, dy, dw, dh), no unit
    source   Girshick et al. 2014, appendix C; Ren et al. 2015, eq. 2
    """
    b_xy, b_wh = centres_and_sides(boxes)  # (N, 2), (N, 2)
    a_xy, a_wh = centres_and_sides(anchors)  # (N, 2), (N, 2)
    w_xy, w_wh = b_xy.new_tensor(weights).view(2, 2)
    return torch.cat([w_xy * (b_xy - a_xy) / a_wh, w_wh * torch.log(b_wh / a_wh)], dim=1)  # (N, 4)


def decode(deltas: Tensor, anchors: Tensor, weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Boxes b that the deltas t make of the anchors a: the inverse of `encode`.

    b_x = a_x + a_w t_x / w_x        b_w = a_w exp(min(t_w / w_w, log(1000 / 16)))        (likewise y, h)

    deltas   (N, 4) (dx, dy, dw, dh)
    anchors  (N, 4) xyxy, pixels
    returns  (N, 4) xyxy, pixels
    source   Girshick et al. 2014, eqs. 1 to 4
    """
    check_boxes("deltas", deltas)
    deltas = as_floats(deltas)
    a_xy, a_wh = centres_and_sides(anchors)  # (N, 2), (N, 2)
    w_xy, w_wh = deltas.new_tensor(weights).view(2, 2)
    b_xy = deltas[:, :2] / w_xy * a_wh + a_xy  # (N, 2)
    b_wh = torch.exp((deltas[:, 2:] / w_wh).clamp(max=MAX_LOG_RATIO)) * a_wh  # (N, 2)
    return torch.cat([b_xy - 0.5 * b_wh, b_xy + 0.5 * b_wh], dim=1)  # (N, 4)


def large_enough(boxes: Tensor, min_side: float) -> Tensor:
    """Which boxes have both sides at least `min_side` pixels long.

    boxes    (N, 4) xyxy, pixels
    returns  (N,) bool
    raises   ValueError for another shape
    """
    check_boxes("boxes", boxes)
    boxes = upcast(boxes)
    return ((boxes[:, 2:] - boxes[:, :2]) >= min_side).all(dim=1)  # (N,)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Non-maximum suppression: take the best box, drop what overlaps it by more than the threshold, repeat.

    The readable form; `grouped_nms` runs torchvision's operator, which keeps the same boxes. A box without area
    overlaps nothing, its equal neither.

    boxes    (N, 4) xyxy, pixels
    scores   (N,)
    returns  (n,) int64, indices of the kept boxes, best first
    raises   ValueError for other shapes
    source   Girshick et al. 2014, section 2.2
    """
    check_boxes("boxes", boxes)
    check_one_each("scores", scores, boxes)
    order = scores.argsort(descending=True, stable=True)  # (N,)
    kept = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        overlap = box_iou(boxes[best][None], boxes[order])[0]
        order = order[~(overlap > iou_threshold)]
    return torch.stack(kept) if kept else order


def grouped_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
    """Non-maximum suppression within each group (a level of the pyramid, or a class).

    torchvision's `batched_nms`, in float32 whatever the scores' precision: half-precision coordinates are off by
    whole pixels, and the operator has no half-precision form on a CPU.

    Up to 1000 boxes torchvision moves the groups apart and runs one NMS, which compares each box with all others. On
    a CPU the same moved boxes go through it here one group at a time: the same boxes are kept in a third of the time.

    boxes    (N, 4) xyxy, pixels
    scores   (N,)
    groups   (N,) int64
    returns  (n,) int64, indices of the kept boxes, best first
    raises   ValueError for other shapes
    """
    check_boxes("boxes", boxes)
    check_one_each("scores", scores, boxes)
    check_one_each("groups", groups, boxes)
    boxes, scores = boxes.float(), scores.float()
    # Boxes of one group that lie below 0 reach into the group before, there and so here.
    if boxes.device.type != "cpu" or not FEW_BOXES < len(boxes) <= MOVED_BOXES or bool(boxes.min() < 0):
        return torchvision.ops.batched_nms(boxes, scores, groups, iou_threshold)
    moved = boxes + (groups.to(boxes) * (boxes.max() + 1))[:, None]
    is_kept = torch.zeros(len(boxes), dtype=torch.bool)
    for group in groups.unique():
        own = torch.where(groups == group)[0]
        is_kept[own[torchvision.ops.nms(moved[own], scores[own], iou_threshold)]] = True
    order = scores.argsort(descending=True, stable=True)
    return order[is_kept[order]]
