"""The heads on the regions: what stands under torchvision's name `roi_heads`, and what of it may be replaced."""

from dataclasses import replace

from torch import Tensor, nn
from torchvision.ops import MultiScaleRoIAlign

from mrcnn_edu.model.box_head import BoxPredictor, make_box_head
from mrcnn_edu.model.config import Config
from mrcnn_edu.model.folding import as_parameters
from mrcnn_edu.model.mask_head import MaskPredictor, make_mask_head, mask_of_class
from mrcnn_edu.model.roi_align import PyramidRoIAlign
from mrcnn_edu.model.settings import Configured, instead, step

MASK_PARTS = ("mask_roi_pool", "mask_head", "mask_predictor")


class RoIHeads(Configured):
    """The two heads on the regions, under the names that torchvision's state dicts have for them.

    Each part may be replaced by a module of yours or of torchvision's: `box_head`, `box_predictor`, `mask_head`,
    `mask_predictor`. The number of classes follows the predictors. Without masks one of the three mask parts is None.
    """

    SETTINGS = {
        "score_thresh": "box_score_thresh",
        "nms_thresh": "box_nms_thresh",
        "detections_per_img": "box_detections_per_img",
        "batch_size_per_image": "box_batch_size_per_image",
        "positive_fraction": "box_positive_fraction",
        "fg_iou_thresh": "box_fg_iou_thresh",
        "bg_iou_thresh": "box_bg_iou_thresh",
    }
    REFUSED = {
        "proposal_matcher": instead("box_fg_iou_thresh", "box_bg_iou_thresh"),
        "fg_bg_sampler": instead("box_batch_size_per_image", "box_positive_fraction"),
        "box_coder": instead("bbox_reg_weights"),
        **dict.fromkeys(
            ("keypoint_roi_pool", "keypoint_head", "keypoint_predictor", "has_keypoint"),
            "this model finds boxes and masks, no keypoints",
        ),
        "has_mask": "mask_predictor = None is a detector without masks",
        "postprocess_detections": step("mrcnn_edu.model.detect.select_detections"),
        **dict.fromkeys(
            (
                "add_gt_proposals", "assign_targets_to_proposals", "select_training_samples", "subsample",
                "box_similarity",
            ),
            step("mrcnn_edu.model.losses.sample_rois"),
        ),
        "check_targets": step("mrcnn_edu.model.images.check_targets"),
    }  # fmt: skip

    def __init__(self, config: Config):
        super().__init__(config)
        self.box_roi_pool = PyramidRoIAlign(config.box_pool_size, config)
        self.box_head = make_box_head(config)
        self.box_predictor = BoxPredictor(config.box_fcs[-1], config.num_classes)
        for name in MASK_PARTS:
            setattr(self, name, None)
        if config.masks:
            self.mask_roi_pool = PyramidRoIAlign(config.mask_pool_size, config)
            self.mask_head = make_mask_head(config)
            self.mask_predictor = MaskPredictor(config.mask_convs[-1], config.mask_dim_reduced, config.num_classes)

    def forward(self, features: Tensor, labels: Tensor | None = None):
        """p_i, b_i = Classifier(F_Ri), or, with labels, M_i = MaskHead(F_Ri).

        features  (R, C, P, P) pooled
        labels    (R,) int64, whose masks are wanted
        returns   class_logits (R, K) and box_regression (R, 4·K), float32; with labels the masks' logits (R, M, M)
        """
        if labels is None:
            class_logits, box_regression = self.box_predictor(self.box_head(as_parameters(features, self.box_head)))
            self._check_outputs(class_logits, box_regression)
            return class_logits.float(), box_regression.float()
        mask_features = self.mask_head(as_parameters(features, self.mask_head))
        if isinstance(self.mask_predictor, MaskPredictor):
            return self.mask_predictor.of_class(mask_features, labels)
        return mask_of_class(self.mask_predictor(mask_features), labels)

    @property
    def has_mask(self) -> bool:
        """Whether there are masks; torchvision's name for it."""
        return all(getattr(self, name) is not None for name in MASK_PARTS)

    def class_counts(self) -> dict[str, int]:
        """K as each predictor has it, as far as its layers tell: by the names that torchvision gives them."""
        counts = {"box_predictor": _outputs(self.box_predictor, "cls_score", "out_features")}
        if self.has_mask:
            counts["mask_predictor"] = _outputs(self.mask_predictor, "mask_fcn_logits", "out_channels")
        return {name: count for name, count in counts.items() if count is not None}

    def described(self, config: Config) -> Config:
        """The configuration with what replaced heads make true: the classes, the masks, the width before them."""
        counts = set(self.class_counts().values())
        reduced = _outputs(self.mask_predictor, "conv5_mask", "out_channels") if self.has_mask else None
        now = {
            "masks": self.has_mask,
            "num_classes": counts.pop() if len(counts) == 1 else config.num_classes,
            "mask_dim_reduced": reduced or config.mask_dim_reduced,
        }
        return config if all(getattr(config, n) == v for n, v in now.items()) else replace(config, **now)

    def check(self) -> None:
        """Refuse predictors that disagree about the number of classes.

        raises   ValueError naming both, and the way to a model with one number
        """
        counts = self.class_counts()
        if len(set(counts.values())) > 1:
            said = " and ".join(f"roi_heads.{name} has {count} classes" for name, count in counts.items())
            raise ValueError(
                f"{said}: replace both, or let load_weights(…, num_classes={counts['box_predictor']}) make them; "
                "roi_heads.mask_predictor = None is a detector without masks"
            )

    def _check_outputs(self, class_logits: Tensor, box_regression: Tensor) -> None:
        K = self.config.num_classes
        shapes = tuple(class_logits.shape[1:]), tuple(box_regression.shape[1:])
        if shapes != ((K,), (4 * K,)):
            raise ValueError(
                f"roi_heads.box_predictor gives class logits (R, {shapes[0]}) and deltas (R, {shapes[1]}) to a model "
                f"of {K} classes: let it give (R, {K}) and (R, {4 * K}), or make the model for another number with "
                "load_weights(…, num_classes=…)"
            )

    def __setattr__(self, name: str, value):
        if name in ("box_roi_pool", "mask_roi_pool") and isinstance(value, MultiScaleRoIAlign):
            raise AttributeError(
                f"{name} of torchvision infers the scales of its levels from the first image that it sees; here "
                + instead("sampling_ratio", "canonical_scale", "canonical_level")
            )
        super().__setattr__(name, value)


def _outputs(predictor: nn.Module, layer: str, attribute: str) -> int | None:
    count = getattr(getattr(predictor, layer, None), attribute, None)
    return count if isinstance(count, int) else None
