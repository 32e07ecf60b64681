"""L = L_cls + L_bbox + L_mask, with the RPN's two losses that the sum hides."""

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor

from mrcnn_edu.model.boxes import encode
from mrcnn_edu.model.config import Config
from mrcnn_edu.model.images import nearest_index, resize_masks
from mrcnn_edu.model.matching import BELOW_LOW, match, sample
from mrcnn_edu.model.roi_align import axis_matrix
from mrcnn_edu.model.rpn import Proposals

SMOOTH_L1_BETA = 1 / 9
ADAPTIVE = 0  # as a sampling ratio: as many points as a bin is long
MASK_CHUNK = 2**21  # at most so many pixels of ground-truth masks are floats at a time


def rpn_losses(proposals: Proposals, targets: list[dict], config: Config) -> dict[str, Tensor]:
    """Is there an object (binary cross entropy), and how must the anchor move (smooth L1)?

    Anchors are matched to the ground truths, `rpn_batch_size_per_image` of each image are sampled, and only those
    are encoded. Both losses are divided by the number of all sampled anchors of the batch.

    targets  for each image boxes (G, 4) in pixels of the resized image
    returns  loss_objectness and loss_rpn_box_reg, scalars
    source   Ren et al. 2015, eq. 1
    """
    anchors = proposals.anchors
    positive, negative, gt_of_positive = [], [], []
    for i, target in enumerate(targets):
        matched_idxs = match(
            target["boxes"], anchors, config.rpn_fg_iou_thresh, config.rpn_bg_iou_thresh, low_quality=True
        )
        labels = anchor_labels(matched_idxs)
        image_positive, image_negative = sample(labels, config.rpn_batch_size_per_image, config.rpn_positive_fraction)
        gt_of_positive.append(target["boxes"][matched_idxs[image_positive]])
        positive.append(image_positive + i * len(anchors))
        negative.append(image_negative + i * len(anchors))
    positive, negative = torch.cat(positive), torch.cat(negative)
    sampled = torch.cat([positive, negative])

    logits = proposals.objectness.flatten()[sampled]
    is_object = torch.zeros_like(logits)
    is_object[: len(positive)] = 1.0
    loss_objectness = F.binary_cross_entropy_with_logits(logits, is_object)

    wanted = encode(torch.cat(gt_of_positive), anchors[positive % len(anchors)])
    predicted = proposals.pred_bbox_deltas.flatten(0, 1)[positive]
    box_sum = F.smooth_l1_loss(predicted, wanted, beta=SMOOTH_L1_BETA, reduction="sum")
    return {"loss_objectness": loss_objectness, "loss_rpn_box_reg": box_sum / max(1, len(sampled))}


def anchor_labels(matched_idxs: Tensor) -> Tensor:
    """1 for an anchor on an object, 0 for background, -1 for one that is ignored.

    matched_idxs  (N,) from `match`
    returns       (N,) int64
    """
    return torch.where(matched_idxs >= 0, 1, torch.where(matched_idxs == BELOW_LOW, 0, -1))  # (N,)


def sample_rois(proposals: list[Tensor], targets: list[dict], config: Config):
    """Which regions the heads are trained on, and what each should say.

    The ground-truth boxes are added to the proposals, so that there are positives from the first step on.

    proposals  one (n, 4) an image, pixels of the resized image
    targets    for each image boxes (G, 4), labels (G,), masks (G, h, w)
    returns    for each image: rois (R, 4); labels (R,), 0 for background; matched_idxs (R,), the ground truth of
               each, 0 where there is none
    source     Girshick 2015, section 2.3
    """
    rois, labels, matched = [], [], []
    for boxes, target in zip(proposals, targets, strict=True):
        boxes = torch.cat([boxes, target["boxes"]])
        matched_idxs = match(target["boxes"], boxes, config.box_fg_iou_thresh, config.box_bg_iou_thresh)
        if len(target["boxes"]):
            roi_labels = torch.where(matched_idxs >= 0, target["labels"][matched_idxs.clamp(min=0)], 0)
            # Ignored regions exist only where the two thresholds differ.
            roi_labels = torch.where(matched_idxs < BELOW_LOW, -1, roi_labels)
        else:
            roi_labels = torch.zeros_like(matched_idxs)
        positive, negative = sample(roi_labels, config.box_batch_size_per_image, config.box_positive_fraction)
        sampled = torch.cat([positive, negative]).sort().values
        rois.append(boxes[sampled])
        labels.append(roi_labels[sampled])
        matched.append(matched_idxs[sampled].clamp(min=0))
    return rois, labels, matched


def box_losses(
    class_logits: Tensor,
    box_regression: Tensor,
    rois: list[Tensor],
    labels: list[Tensor],
    gt_boxes: list[Tensor],
    weights: tuple[float, ...],
) -> dict[str, Tensor]:
    """L_cls, cross entropy over all sampled regions, and L_bbox, smooth L1 on the deltas of the true class.

    Only positives have a box to learn, but both losses are divided by the number of all sampled regions.

    class_logits    (R, K)
    box_regression  (R, 4·K)
    rois            one (r, 4) an image; their labels (r,) and, for the positives in order, their ground truths
    gt_boxes        one (p, 4) an image: the ground truth of each positive
    weights         of the codec
    returns         loss_classifier and loss_box_reg, scalars
    source          Girshick 2015, eq. 1 to 3
    """
    labels = torch.cat(labels)
    positive = torch.where(labels > 0)[0]
    loss_classifier = F.cross_entropy(class_logits, labels, reduction="sum") / max(1, len(labels))
    wanted = encode(torch.cat(gt_boxes), torch.cat(rois)[positive], weights)
    predicted = box_regression.view(*class_logits.shape, 4)[positive, labels[positive]]
    box_sum = F.smooth_l1_loss(predicted, wanted, beta=SMOOTH_L1_BETA, reduction="sum")
    return {"loss_classifier": loss_classifier, "loss_box_reg": box_sum / max(1, len(labels))}


def mask_targets(
    gt_masks: Tensor, matched_idxs: Tensor, rois: Tensor, side: int, size: tuple[int, int] | None = None
) -> Tensor:
    """What the mask head should say: the ground truth's mask, read by RoIAlign within the proposal. Soft values.

    Each bin is read at as many points as it is long, rounded up, so that no pixel of a large mask is skipped. Small
    masks are resized with their image and read by torchvision's operator. For large ones, which it reads pixel by
    pixel and wants as floats all at once, RoIAlign is two matrix products, Y · mask · Xᵀ, on a few masks at a time,
    and their resizing, by nearest neighbour, is folded into Y and X.

    gt_masks      (G, H, W) uint8
    matched_idxs  (R,) the mask of each RoI
    rois          (R, 4) xyxy, pixels of the resized image
    size          (height, width) of the resized image; by default that of the masks
    returns       (R, M, M) float32 in [0, 1], M = side
    source        He et al. 2017, section 3.1
    """
    old = tuple(gt_masks.shape[-2:])
    height, width = size = size or old
    if rois.device.type != "cpu" or len(gt_masks) * height * width <= MASK_CHUNK:
        indexed = torch.cat([matched_idxs[:, None].to(rois), rois], dim=1)  # (R, 5)
        masks = resize_masks(gt_masks, size)[:, None].to(rois)
        return torchvision.ops.roi_align(masks, indexed, side, 1.0)[:, 0]  # (R, M, M)
    x1, y1, x2, y2 = rois.unbind(1)
    Y = axis_matrix(y1, y2, side, ADAPTIVE, height, source=(nearest_index(old[0], height), old[0]))
    X = axis_matrix(x1, x2, side, ADAPTIVE, width, source=(nearest_index(old[1], width), old[1]))
    chunk = max(1, MASK_CHUNK // (old[0] * old[1]))
    parts = [
        y @ gt_masks[matched].float() @ x.transpose(1, 2)
        for y, matched, x in zip(Y.split(chunk), matched_idxs.split(chunk), X.split(chunk), strict=True)
    ]
    return torch.cat(parts)  # (R, M, M)


def mask_loss(mask_logits: Tensor, targets: Tensor) -> Tensor:
    """L_mask: binary cross entropy, mean over all pixels of the positives' masks of their true class.

    Without positives it is a zero that keeps its gradient, so that every parameter still has one.

    mask_logits  (R, M, M)
    targets      (R, M, M) in [0, 1]
    returns      scalar
    source       He et al. 2017, section 3
    """
    if mask_logits.numel() == 0:
        return mask_logits.sum() * 0
    return F.binary_cross_entropy_with_logits(mask_logits, targets)
