"""Mask R-CNN: the equations, in order."""

import torch
from torch import Tensor, nn

from mrcnn_edu.model.backbone import Backbone
from mrcnn_edu.model.boxes import resize_boxes
from mrcnn_edu.model.config import Config
from mrcnn_edu.model.detect import MASK_FORMS, paste_masks, select_detections
from mrcnn_edu.model.folding import as_parameters, parameter_dtype
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
from mrcnn_edu.model.mask_head import mask_of_class
from mrcnn_edu.model.roi_heads import RoIHeads
from mrcnn_edu.model.rpn import RegionProposalNetwork
from mrcnn_edu.model.settings import Configured, PerClass, instead, step
from mrcnn_edu.model.stages import Stages
from mrcnn_edu.model.stand_in import evaluating
from mrcnn_edu.model.tensor_names import own_names


class MaskRCNN(Configured):
    """Mask R-CNN.

    In training mode `model(images, targets)` gives the five losses, in evaluation mode `model(images)` the
    detections, both as torchvision's does. `loss`, `predict` and `stages` do the same, and more, in either mode, and
    from any thread: none of them changes the mode.

    config       see `Config` and `preset`; replaced in a model, it acts at the next call
    class_names  one a class, "background" first; kept with the weights
    category_ids the annotation file's id of each class, 0 for the background first; kept with the weights
    raises       ValueError if there are not `num_classes` names or ids
    source       He et al. 2017
    """

    REFUSED = {
        "transform": instead("min_size", "max_size", "image_mean", "image_std", "size_divisible"),
        "eager_outputs": step("MaskRCNN.forward"),
        "_has_warned": "no warning hangs on it",
    }

    class_names = PerClass("class names")
    category_ids = PerClass("category ids")

    def __init__(
        self,
        config: Config,
        class_names: tuple[str, ...] | None = None,
        category_ids: tuple[int, ...] | None = None,
    ):
        super().__init__(config)
        self.class_names = class_names
        self.category_ids = category_ids
        self.backbone = Backbone(config)
        self.rpn = RegionProposalNetwork(config)
        self.roi_heads = RoIHeads(config)
        self.use_fast_forms()

    @property
    def config(self) -> Config:
        """The settings. What replaced heads have changed is in them; set, they act at the next call.

        raises   ValueError naming a field that the layers were built from
        """
        if "roi_heads" in self._modules:
            self.shared.config = self.roi_heads.described(self.shared.config)
        return self.shared.config

    @config.setter
    def config(self, config: Config) -> None:
        Configured.config.fset(self, config)

    @property
    def box_roi_align(self) -> nn.Module:
        """F_Ri = RoIAlign(F, R_i) for the box head; torchvision's name is `roi_heads.box_roi_pool`."""
        return self.roi_heads.box_roi_pool

    @property
    def mask_roi_align(self) -> nn.Module | None:
        """F_Ri = RoIAlign(F, R_i) for the mask head; torchvision's name is `roi_heads.mask_roi_pool`."""
        return self.roi_heads.mask_roi_pool

    def __setattr__(self, name: str, value):
        if name in ("box_roi_align", "mask_roi_align"):
            setattr(self.roi_heads, name.replace("align", "pool"), value)
        else:
            super().__setattr__(name, value)

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
        has_mask = self.roi_heads.has_mask
        check_images(images)
        check_targets(images, targets, self.config.num_classes, has_mask)
        batch = self._batch(images, training=True)
        targets = resize_targets(targets, batch, has_mask)

        features = self.backbone(batch.tensors)  # F = Backbone(I)
        proposals = self.rpn(batch, features, training=True)  # {R_i} = RPN(F)
        with torch.autocast(batch.tensors.device.type, enabled=False):
            rpn = rpn_losses(proposals, targets, self.config)
            rois, labels, matched_idxs = sample_rois(proposals.boxes, targets, self.config)
        box_features = self.box_roi_align(features, rois)  # F_Ri = RoIAlign(F, R_i)
        class_logits, box_regression = self._classifier(box_features)  # p_i, b_i = Classifier(F_Ri)
        positive = [image_labels > 0 for image_labels in labels]
        gt = [m[p] for m, p in zip(matched_idxs, positive, strict=True)]
        with torch.autocast(batch.tensors.device.type, enabled=False):
            gt_boxes = [t["boxes"][g] for t, g in zip(targets, gt, strict=True)]
            box = box_losses(class_logits, box_regression, rois, labels, gt_boxes, self.config.bbox_reg_weights)
        if not has_mask:
            return {**box, **rpn}

        mask_rois = [r[p] for r, p in zip(rois, positive, strict=True)]
        mask_features = self.mask_roi_align(features, mask_rois)  # F_Ri = RoIAlign(F, R_i)
        positive_labels = torch.cat([la[p] for la, p in zip(labels, positive, strict=True)])
        mask_logits = self._mask_of_class(mask_features, positive_labels)  # M_i = MaskHead(F_Ri)
        with torch.autocast(batch.tensors.device.type, enabled=False):
            wanted = [
                mask_targets(t["masks"], g, r, mask_logits.shape[-1], size)
                for t, g, r, size in zip(targets, gt, mask_rois, batch.image_sizes, strict=True)
            ]
            return {**box, "loss_mask": mask_loss(mask_logits, torch.cat(wanted)), **rpn}

    @torch.no_grad()
    @evaluating
    def predict(self, images: list[Tensor], masks: str = "soft", sizes: list[Size] | None = None) -> list[dict]:
        """The detections of each image, best first.

        Runs as in evaluation mode, without gradients. The mode stays, also that of a model that another thread
        trains just now.

        images   as for `forward`
        masks    "soft": (D, 1, H, W) floats. "bool": the same, > ½. "rle": a list of COCO run lengths. "none"
        sizes    (height, width) that the detections of each image are given in: of the file, where the image was read
                 smaller. None: of the images themselves
        returns  for each image boxes (D, 4) in its pixels, labels (D,), scores (D,), and masks
        raises   ValueError or TypeError naming the image and the fix
        """
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
        if masks == "none" or not self.roi_heads.has_mask:
            return self._to_original(found, None, batch, "none")
        mask_features = self.mask_roi_align(features, [image["boxes"] for image in found])  # F_Ri = RoIAlign(F, R_i)
        labels = torch.cat([image["labels"] for image in found])
        mask_logits = self._mask_of_class(mask_features, labels)  # M_i = MaskHead(F_Ri)
        return self._to_original(found, mask_logits.sigmoid(), batch, masks)

    def _batch(self, images: list[Tensor], training: bool) -> ImageBatch:
        self.roi_heads.check()
        first = next(self.backbone.parameters(), None)
        check_images(images, None if first is None else first.device)
        sizes = draw_min_sizes(self.config, len(images), training)
        batch = make_batch(images, self.config, sizes, parameter_dtype(self.backbone))
        if getattr(self.backbone.body, "fold", False):
            batch.tensors = batch.tensors.to(memory_format=torch.channels_last)
        return batch

    def _classifier(self, box_features: Tensor):
        """Class logits (R, K) and deltas (R, 4·K) from the pooled features (R, C, P, P)."""
        return self.roi_heads(box_features)

    def _mask_of_class(self, mask_features: Tensor, labels: Tensor) -> Tensor:
        """Logits (R, M, M) of the mask of one class each, from the pooled features (R, C, P, P)."""
        return self.roi_heads(mask_features, labels)

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
    @evaluating
    def stages(self, images: list[Tensor]) -> Stages:
        """One prediction with every intermediate: what the lessons and the explorers show.

        images   as for `forward`
        """
        batch = self._batch(images, training=False)
        features = self.backbone(batch.tensors)
        proposals = self.rpn(batch, features, training=False)
        box_features = self.box_roi_align(features, proposals.boxes)
        class_logits, box_regression = self._classifier(box_features)
        found = select_detections(class_logits, box_regression, proposals.boxes, batch.image_sizes, self.config)
        mask_features = mask_logits = None
        if self.roi_heads.has_mask:
            mask_features = self.mask_roi_align(features, [image["boxes"] for image in found])
            mask_features = as_parameters(mask_features, self.roi_heads.mask_head)
            mask_logits = self.roi_heads.mask_predictor(self.roi_heads.mask_head(mask_features)).float()
            of_class = mask_of_class(mask_logits, torch.cat([image["labels"] for image in found]))
            detections = self._to_original(found, of_class.sigmoid(), batch, "soft")
        else:
            detections = self._to_original(found, None, batch, "none")
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

    def compile_parts(self, **options) -> "MaskRCNN":
        """`torch.compile` the parts whose shapes are regular: the backbone and the heads. Weights keep their names.

        options  of `torch.compile`
        """
        masks = [self.roi_heads.mask_head] if self.roi_heads.has_mask else []
        for part in (self.backbone, self.rpn.head, self.roi_heads.box_head, *masks):
            part.compile(**options)
        return self

    def use_fast_forms(self, fast: bool = True) -> "MaskRCNN":
        """Choose between the fast forms (the default) and the readable ones that they stand in for.

        The fast ones store the weights channels last. A tool that wants them flat, as `torch.nn.utils.prune` does,
        works after `use_fast_forms(False)`; the model may be made fast again afterwards.
        """
        self.to(memory_format=torch.channels_last if fast else torch.contiguous_format)
        self.backbone.body.fold = fast
        for pool in (self.box_roi_align, self.mask_roi_align):
            if pool is not None:
                pool.fast = fast
        return self

    def load_state_dict(self, state_dict, strict: bool = True, assign: bool = False):
        """As torch's; older torchvision checkpoints and wrapped models are understood too: see `own_names`."""
        # Parts of this model may be wrapped themselves.
        here = own_names({name: name for name in self.state_dict()})
        given = {here.get(name, name): value for name, value in own_names(state_dict).items()}
        return super().load_state_dict(given, strict, assign)
