"""Every intermediate of one prediction, without hooks."""

from dataclasses import dataclass

from torch import Tensor

from mrcnn_edu.model.images import ImageBatch
from mrcnn_edu.model.rpn import Proposals


@dataclass
class Stages:
    """Every intermediate of one prediction. Letters as in `mrcnn_edu.model`.

    images               (B, 3, H, W) normalised and padded
    image_sizes          (height, width) of each image within the padding
    original_sizes       (height, width) of each image as it came
    features             level name → (B, C, h, w)
    anchors              (N, 4) all levels, pixels of the padded batch
    anchors_per_level    how many of them each level has
    strides              (vertical, horizontal) pixels per cell of each level
    objectness           (B, N) logits
    pred_bbox_deltas     (B, N, 4)
    proposals            one (n, 4) an image, pixels of the resized image
    proposal_scores      one (n,) an image, probabilities
    proposal_anchors     one (n,) an image, index into `anchors`
    roi_levels           (R,) the level each proposal is pooled from, 0 the finest
    box_features         (R, C, P, P)
    class_logits         (R, K)
    box_regression       (R, 4·K)
    detections           for each image what `predict` gives: boxes, labels, scores, masks in pixels of the original
    detection_boxes      one (D, 4) an image, pixels of the resized image
    detection_proposals  one (D,) an image, index into that image's proposals
    mask_features        (all D, C, 14, 14)
    mask_logits          (all D, K, M, M); it and `mask_features` are None in a model without masks
    """

    images: Tensor
    image_sizes: list[tuple[int, int]]
    original_sizes: list[tuple[int, int]]
    features: dict[str, Tensor]
    anchors: Tensor
    anchors_per_level: list[int]
    strides: list[tuple[int, int]]
    objectness: Tensor
    pred_bbox_deltas: Tensor
    proposals: list[Tensor]
    proposal_scores: list[Tensor]
    proposal_anchors: list[Tensor]
    roi_levels: Tensor
    box_features: Tensor
    class_logits: Tensor
    box_regression: Tensor
    detections: list[dict]
    detection_boxes: list[Tensor]
    detection_proposals: list[Tensor]
    mask_features: Tensor | None
    mask_logits: Tensor | None

    @classmethod
    def of(
        cls,
        batch: ImageBatch,
        features: dict[str, Tensor],
        proposals: Proposals,
        found: list[dict],
        detections: list[dict],
        **tensors: Tensor | None,
    ) -> "Stages":
        """Gather what the parts of the model gave.

        found       the detections in pixels of the resized images
        detections  the same in pixels of the originals, with masks
        tensors     the fields that none of the others holds
        """
        size = batch.tensors.shape[-2:]
        return cls(
            images=batch.tensors,
            image_sizes=batch.image_sizes,
            original_sizes=batch.original_sizes,
            features=features,
            anchors=proposals.anchors,
            anchors_per_level=proposals.anchors_per_level,
            strides=[(size[0] // x.shape[2], size[1] // x.shape[3]) for x in features.values()],
            objectness=proposals.objectness,
            pred_bbox_deltas=proposals.pred_bbox_deltas,
            proposals=proposals.boxes,
            proposal_scores=proposals.scores,
            proposal_anchors=proposals.anchor_index,
            detections=detections,
            detection_boxes=[image["boxes"] for image in found],
            detection_proposals=[image["proposals"] for image in found],
            **tensors,
        )
