"""What each field of the configuration takes, and what is said where it is given something else."""

import math
import sys
from collections.abc import Callable

LARGEST = sys.float_info.max


def _whole(least: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and value >= least


def _number(low: float, high: float = math.inf, open_below: bool = False) -> Callable[[object], bool]:
    def check(value):
        # Written so that NaN fails it too.
        return type(value) in (int, float) and (low < value if open_below else low <= value) and value <= high

    return check


def _several(each: Callable[[object], bool], count: int | None = None, least: int = 1) -> Callable[[object], bool]:
    def check(value):
        enough = isinstance(value, tuple) and (len(value) == count if count else len(value) >= least)
        return enough and all(each(v) for v in value)

    return check


_FINITE = _number(-LARGEST, LARGEST)
_POSITIVE = _number(0, LARGEST, open_below=True)
_SIZE = _number(1, LARGEST)
_WIDTH = _whole(1)

# What each field takes: a test, and the words of a refusal.
RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "num_classes": (_whole(2), "give at least 2, the background and one class"),
    "min_size": (_several(_SIZE), "give a positive number of pixels, or several to draw from"),
    "max_size": (_number(1), "give a positive number of pixels"),
    "image_mean": (_several(_FINITE, 3), "give three numbers: red, green, blue"),
    "image_std": (_several(_POSITIVE, 3), "give three positive numbers: red, green, blue"),
    "backbone": (lambda value: isinstance(value, str), "give the name of a torchvision ResNet, or \"lesson\""),
    "norm": (lambda value: value in ("batch", "frozen"), 'give "batch" or "frozen"'),
    "norm_eps": (_number(0, LARGEST), "give a number that is not negative"),
    "trainable_layers": (lambda value: _whole(0)(value) and value <= 5, "give 0 to 5"),
    "anchor_sizes": (
        _several(_several(_POSITIVE)),
        "give one tuple of positive sizes in pixels for each level: ((32,), (64,), …)",
    ),
    "anchor_ratios": (_several(_POSITIVE), "give positive ratios h / w, the same for all levels: (0.5, 1.0, 2.0)"),
    "rpn_conv_depth": (_whole(0), "give a whole number that is not negative"),
    "sampling_ratio": (lambda value: type(value) is int, "give a whole number; 0 reads as often as a bin is long"),
    "canonical_scale": (_POSITIVE, "give a positive number of pixels"),
    "canonical_level": (_FINITE, "give a level of the pyramid, 4 as a rule"),
    "box_convs": (_several(_WIDTH, least=0), "give the widths of the convolutions, () for none"),
    "box_fcs": (_several(_WIDTH), "give the widths of the layers, at least one"),
    "bbox_reg_weights": (_several(_POSITIVE, 4), "give four positive numbers, None for (10, 10, 5, 5)"),
    "mask_convs": (_several(_WIDTH), "give the widths of the convolutions, at least one"),
    **dict.fromkeys(("fpn_norm", "head_norm", "masks"), (lambda value: type(value) is bool, "give True or False")),
    **dict.fromkeys(
        ("rpn_positive_fraction", "box_positive_fraction"),
        (_number(0, 1, open_below=True), "give a share above 0 and at most 1"),
    ),
    **dict.fromkeys(
        (
            "rpn_nms_thresh", "rpn_fg_iou_thresh", "rpn_bg_iou_thresh",
            "box_nms_thresh", "box_fg_iou_thresh", "box_bg_iou_thresh",
        ),
        (_number(0), "give an IoU, which is not negative"),
    ),
    # Scores below 0 do not exist, but torchvision's users write -1 for "keep all".
    **dict.fromkeys(("rpn_score_thresh", "box_score_thresh"), (_number(-math.inf), "give a probability, 0 for all")),
    **dict.fromkeys(
        (
            "size_divisible", "fpn_channels", "rpn_pre_nms_top_n_train", "rpn_pre_nms_top_n_test",
            "rpn_post_nms_top_n_train", "rpn_post_nms_top_n_test", "rpn_batch_size_per_image", "box_pool_size",
            "mask_pool_size", "box_detections_per_img", "box_batch_size_per_image", "mask_dim_reduced",
        ),
        (_WIDTH, "give a whole number, at least 1"),
    ),
}  # fmt: skip
