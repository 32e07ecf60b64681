"""Mask R-CNN: the equations, in order."""

from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mrcnn_edu.model.backbone import Backbone
from mrcnn_edu.model.box_head import BoxPredictor, make_box_head
from mrcnn_edu.model.boxes import resize_boxes
from mrcnn_edu.model.config import Config
from mrcnn_edu.model.detect import MASK_FORMS, paste_masks, select_detections
from mrcnn_edu.model.images import (
    ImageBatch,
    Size,
    check_images,
    check_sizes,
    check_targets,
    draw_min_sizes,
    make_batch,
    resize_targets,
)
from mrcnn_edu.model.losses import box_losses, mask_loss, mask_targets, rpn_losses, sample_rois
from mrcnn_edu.model.mask_head import MaskPredictor, make_mask_head
from mrcnn_edu.model.old_names import rename_old_keys
from mrcnn_edu.model.roi_align import PyramidRoIAlign
from mrcnn_edu.model.rpn import RegionProposalNetwork
from mrcnn_edu.model.stages import Stages


class RoIHeads(nn.Module):
    """The two heads on the regions, under the names that torchvision's state dicts have for them."""

    def __init__(self, config: Config):
        super().__init__()
        self.box_head = make_box_head(config)
        self.box_predictor = BoxPredictor(config.box_fcs[-1], config.num_classes)
        self.mask_head = make_mask_head(config)
        self.mask_predictor = MaskPredictor(config.mask_convs[-1], config.mask_dim_reduced, config.num_classes)


class MaskRCNN(nn.Module):
    """Mask R-CNN.

    In training mode `model(images, targets)` gives the five losses, in evaluation mode `model(images)` the
    detections, both as torchvision's does. `loss`, `predict` and `stages` do the same, and more, in either mode.

    config       see `Config` and `preset`
    class_names  one a class, "background" first; kept with the weights
    raises       ValueError if there are not `num_classes` names
    source       He et al. 2017
    """

    def __init__(self, config: Config, class_names: tuple[str, ...] | None = None):
        super().__init__()
        if class_names is not None and len(class_names) != config.num_classes:
            raise ValueError(
                f"{len(class_names)} class names for {config.num_classes} classes: name each, 'background' first"
            )
        self.config = config
        self.class_names = tuple(class_names) if class_names is not None else None
        self.backbone = Backbone(config)
        self.rpn = RegionProposalNetwork(config)
        self.roi_heads = RoIHeads(config)
        self.box_roi_align = PyramidRoIAlign(config.box_pool_size, config)
        self.mask_roi_align = PyramidRoIAlign(config.mask_pool_size, config)
        self.use_fast_forms()

    def forward(self, images: list[Tensor], targets: list[dict] | None = None):
        """
        images   (3, H, W) each, floats from 0 to 1, of any sizes
        targets  for each image boxes (G, 4) xyxy in pixels, labels (G,) from 1 to K - 1, masks (G, H, W)
        returns  in training mode the losses, else the detections: see `loss` and `predict`
        """
        if self.training:
            return self.loss(images, targets)
        return self._predict(images, "soft")

    def loss(self, images: list[Tensor], targets: list[dict]) -> dict[str, Tensor]:
        """The five losses: loss_classifier, loss_box_reg, loss_mask, loss_objectness, loss_rpn_box_reg.

        In evaluation mode too, which is how a validation loss is had.

        images, targets  as for `forward`
        raises           ValueError or TypeError naming the image, the object, the field and the fix
        """
        check_images(images)
        check_targets(images, targets, self.config.num_classes)
        batch = self._batch(images, training=True)
        targets = resize_targets(targets, batch)

        features = self.backbone(batch.tensors)  # F = Backbone(I)
        proposals = self.rpn(batch, features, training=True)  # {R_i} = RPN(F)
        with torch.autocast(batch.tensors.device.type, enabled=False):
            rpn = rpn_losses(proposals, targets, self.config)
            rois, labels, matched_idxs = sample_rois(proposals.boxes, targets, self.config)
        box_features = self.box_roi_align(features, rois)  # F_Ri = RoIAlign(F, R_i)
        class_logits, box_regression = self._classifier(box_features)  # p_i, b_i = Classifier(F_Ri)
        positive = [image_labels > 0 for image_labels in labels]
        mask_rois = [r[p] for r, p in zip(rois, positive, strict=True)]
        gt = [m[p] for m, p in zip(matched_idxs, positive, strict=True)]
        mask_features = self.mask_roi_align(features, mask_rois)  # F_Ri = RoIAlign(F, R_i)
        positive_labels = torch.cat([la[p] for la, p in zip(labels, positive, strict=True)])
        mask_logits = self._mask_of_class(mask_features, positive_labels)  # M_i = MaskHead(F_Ri)

        with torch.autocast(batch.tensors.device.type, enabled=False):
            gt_boxes = [t["boxes"][g] for t, g in zip(targets, gt, strict=True)]
            box = box_losses(class_logits, box_regression, rois, labels, gt_boxes, self.config.bbox_reg_weights)
            wanted = [
                mask_targets(t["masks"], g, r, self.config.mask_size, size)
                for t, g, r, size in zip(targets, gt, mask_rois, batch.image_sizes, strict=True)
            ]
            return {**box, "loss_mask": mask_loss(mask_logits, torch.cat(wanted)), **rpn}

    @torch.no_grad()
    def predict(self, images: list[Tensor], masks: str = "soft", sizes: list[Size] | None = None) -> list[dict]:
        """The detections of each image, best first.

        Runs in evaluation mode without gradients, and puts the mode back.

        images   as for `forward`
        masks    "soft": (D, 1, H, W) floats. "bool": the same, > ½. "rle": a list of COCO run lengths. "none"
        sizes    (height, width) that the detections of each image are given in: of the file, where the image was read
                 smaller. None: of the images themselves
        returns  for each image boxes (D, 4) in its pixels, labels (D,), scores (D,), and masks
        raises   ValueError or TypeError naming the image and the fix
        """
        with self._evaluating():
            return self._predict(images, masks, sizes)

    def _predict(self, images: list[Tensor], masks: str, sizes: list[Size] | None = None) -> list[dict]:
        if masks not in MASK_FORMS:
            raise ValueError(f"masks is {masks!r}: give one of {', '.join(MASK_FORMS)}")
        batch = self._batch(images, training=False)
        if sizes is not None:
            batch.original_sizes = check_sizes(images, sizes)
        features = self.backbone(batch.tensors)  # F = Backbone(I)
        proposals = self.rpn(batch, features, training=False)  # {R_i} = RPN(F)
        box_features = self.box_roi_align(features, proposals.boxes)  # F_Ri = RoIAlign(F, R_i)
        class_logits, box_regression = self._classifier(box_features)  # p_i, b_i = Classifier(F_Ri)
        found = select_detections(class_logits, box_regression, proposals.boxes, batch.image_sizes, self.config)
        if masks == "none":
            return self._to_original(found, None, batch, masks)
        mask_features = self.mask_roi_align(features, [image["boxes"] for image in found])  # F_Ri = RoIAlign(F, R_i)
        labels = torch.cat([image["labels"] for image in found])
        mask_logits = self._mask_of_class(mask_features, labels)  # M_i = MaskHead(F_Ri)
        return self._to_original(found, mask_logits.sigmoid(), batch, masks)

    def _batch(self, images: list[Tensor], training: bool) -> ImageBatch:
        check_images(images)
        batch = make_batch(images, self.config, draw_min_sizes(self.config, len(images), training))
        if self.backbone.body.fold:
            batch.tensors = batch.tensors.to(memory_format=torch.channels_last)
        return batch

    def _classifier(self, box_features: Tensor):
        """Class logits (R, K) and deltas (R, 4·K) from the pooled features (R, C, P, P)."""
        return self.roi_heads.box_predictor(self.roi_heads.box_head(box_features))

    def _mask_of_class(self, mask_features: Tensor, labels: Tensor) -> Tensor:
        """Logits (R, M, M) of the mask of one class each, from the pooled features (R, C, P, P)."""
        return self.roi_heads.mask_predictor.of_class(self.roi_heads.mask_head(mask_features), labels)

    def _to_original(self, found: list[dict], masks: Tensor | None, batch: ImageBatch, form: str) -> list[dict]:
        """Detections in the pixels of the images as they came."""
        counts = [len(image["boxes"]) for image in found]
        masks = [None] * len(found) if masks is None else masks.split(counts)
        results = []
        for image, image_masks, size, original in zip(
            found, masks, batch.image_sizes, batch.original_sizes, strict=True
        ):
            boxes = resize_boxes(image["boxes"], size, original)
            result = {"boxes": boxes, "labels": image["labels"], "scores": image["scores"]}
            if form != "none":
                result["masks"] = paste_masks(image_masks, boxes, original, form)
            results.append(result)
        return results

    @torch.no_grad()
    def stages(self, images: list[Tensor]) -> Stages:
        """One prediction with every intermediate: what the lessons and the explorers show.

        images   as for `forward`
        """
        with self._evaluating():
            batch = self._batch(images, training=False)
            features = self.backbone(batch.tensors)
            proposals = self.rpn(batch, features, training=False)
            box_features = self.box_roi_align(features, proposals.boxes)
            class_logits, box_regression = self._classifier(box_features)
            found = select_detections(class_logits, box_regression, proposals.boxes, batch.image_sizes, self.config)
            mask_features = self.mask_roi_align(features, [image["boxes"] for image in found])
            mask_logits = self.roi_heads.mask_predictor(self.roi_heads.mask_head(mask_features))
            labels = torch.cat([image["labels"] for image in found])
            of_class = mask_logits[torch.arange(len(labels), device=labels.device), labels]
            detections = self._to_original(found, of_class.sigmoid(), batch, "soft")
        return Stages.of(
            batch,
            features,
            proposals,
            found,
            detections,
            roi_levels=self.box_roi_align.levels(torch.cat(proposals.boxes)),
            box_features=box_features,
            class_logits=class_logits,
            box_regression=box_regression,
            mask_features=mask_features,
            mask_logits=mask_logits,
        )

    @contextmanager
    def _evaluating(self):
        training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(training)

    def compile_parts(self, **options) -> "MaskRCNN":
        """`torch.compile` the parts whose shapes are regular: the backbone and the heads. Weights keep their names.

        options  of `torch.compile`
        """
        for part in (self.backbone, self.rpn.head, self.roi_heads.box_head, self.roi_heads.mask_head):
            part.compile(**options)
        return self

    def use_fast_forms(self, fast: bool = True) -> "MaskRCNN":
        """Choose between the fast forms (the default) and the readable ones that they stand in for."""
        self.to(memory_format=torch.channels_last if fast else torch.contiguous_format)
        self.backbone.body.fold = fast
        self.box_roi_align.fast = fast
        self.mask_roi_align.fast = fast
        return self

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        """As torch's, and older torchvision checkpoints are understood too: see `rename_old_keys`."""
        return super().load_state_dict(rename_old_keys(state_dict), strict, assign)
