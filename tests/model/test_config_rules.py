"""Every field of the configuration is checked when it is set; what torchvision takes is taken."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from mrcnn_edu.model import Config, MaskRCNN
from mrcnn_edu.model.config_rules import RULES
from mrcnn_edu.model.images import draw_min_sizes, make_batch
from tests.model.scenes import fixed_twin, small_config, small_model, small_scenes

NAN, INF = float("nan"), float("inf")
NUMBERS = [NAN, "0.5", None, (0.5,)]
WRONG = {
    **dict.fromkeys(
        ["num_classes", "rpn_pre_nms_top_n_train", "rpn_pre_nms_top_n_test", "rpn_post_nms_top_n_train",
         "rpn_post_nms_top_n_test", "rpn_batch_size_per_image", "box_detections_per_img", "box_batch_size_per_image",
         "size_divisible", "fpn_channels", "box_pool_size", "mask_pool_size", "mask_dim_reduced"],
        [0, -1, 2.5, True, INF, *NUMBERS],
    ),
    **dict.fromkeys(
        ["rpn_nms_thresh", "rpn_fg_iou_thresh", "rpn_bg_iou_thresh", "box_nms_thresh", "box_fg_iou_thresh",
         "box_bg_iou_thresh", "norm_eps"],
        [-0.1, -INF, True, *NUMBERS],
    ),
    **dict.fromkeys(["rpn_positive_fraction", "box_positive_fraction"], [0, -0.1, 1.5, INF, *NUMBERS]),
    **dict.fromkeys(["rpn_score_thresh", "box_score_thresh"], NUMBERS),
    **dict.fromkeys(["fpn_norm", "head_norm", "masks"], [1, 0, None, "yes", NAN]),
    **dict.fromkeys(["box_fcs", "mask_convs"], [(), (0,), (-4,), (2.5,), 64, None, ("64",)]),
    "box_convs": [(0,), (-4,), (2.5,), 64, None],
    "min_size": [(), 0, -5, NAN, INF, "800", None, (800, "600"), (800, NAN)],
    "max_size": [0, -5, *NUMBERS],
    "image_mean": [(0.5, 0.5), 0.5, (0.5, NAN, 0.5), "grey"],
    "image_std": [(0.5, 0.5), 0.5, (0.5, NAN, 0.5), (0.5, 0.0, 0.5), (0.5, -0.2, 0.5)],
    "backbone": [None, 50, ("resnet50",)],
    "norm": [None, "group", True],
    "trainable_layers": [-1, 6, 2.5, NAN, None],
    "anchor_sizes": [((32,),) * 4, (32, 64, 128, 256, 512), ((32,), (64,), (128,), (256,), ()), ((0,),) * 5, None,
                     ((NAN,),) * 5, ((32,), (64,), (128,), (256,), (512, 600))],
    "anchor_ratios": [(), (0,), (-1.0,), (NAN,), 1.0, None, ((0.5, 1.0, 2.0),) * 5],
    "rpn_conv_depth": [-1, 1.5, None],
    "sampling_ratio": [1.5, None, NAN],
    "canonical_scale": [0, -5, *NUMBERS],
    "canonical_level": NUMBERS,
    "bbox_reg_weights": [(10, 10, 5), (10, 10, 5, 0), (10, 10, 5, -1), (10, 10, 5, NAN), 10],
}  # fmt: skip


def test_every_field_has_a_rule():
    assert set(RULES) == set(WRONG) == {field.name for field in fields(Config)}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]], ids=str)
def test_a_wrong_value_is_refused_when_it_is_set(name, value):
    with pytest.raises(ValueError, match=rf"^Config\.{name} is .*: give"):
        replace(Config(), **{name: value})


def test_none_is_the_default_where_torchvision_says_so():
    config = Config(bbox_reg_weights=None, image_mean=None, image_std=None)
    assert config == Config() and config.bbox_reg_weights == (10.0, 10.0, 5.0, 5.0)


def test_numbers_of_numpy_become_plain_ones():
    config = Config(num_classes=np.int64(3), min_size=np.array([640, 800]).tolist(), box_nms_thresh=np.float64(0.25))
    other = Config(num_classes=3, min_size=(640, 800), box_nms_thresh=np.float32(0.25))
    assert config == other and type(config.num_classes) is int
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


SIZES = [((200,), 100), ((64, 300), 128), ((70.5,), 128), (66.6, 99.9), ((64,), INF)]


@pytest.mark.parametrize(("min_size", "max_size"), SIZES, ids=str)
def test_sizes_are_taken_as_torchvision_takes_them(min_size, max_size):
    config = Config(min_size=min_size, max_size=max_size)
    images, _ = small_scenes()
    batch = make_batch(images, config, draw_min_sizes(config, len(images), training=False))
    theirs = GeneralizedRCNNTransform(min_size, max_size, list(config.image_mean), list(config.image_std)).eval()
    wanted, _ = theirs(images)
    assert batch.image_sizes == wanted.image_sizes and torch.equal(batch.tensors, wanted.tensors)


TAKEN = [
    {"box_score_thresh": -1.0}, {"rpn_score_thresh": -1.0}, {"box_score_thresh": 1.0}, {"box_nms_thresh": 1.0},
    {"box_nms_thresh": 0.0}, {"rpn_nms_thresh": 2.0}, {"sampling_ratio": 0}, {"sampling_ratio": -1},
    {"min_size": (100,), "max_size": 70}, {"min_size": 60.5}, {"bbox_reg_weights": None}, {"rpn_fg_iou_thresh": 1.1},
]  # fmt: skip


@pytest.mark.parametrize("changes", TAKEN, ids=str)
def test_what_is_odd_and_taken_acts_as_in_torchvision(changes):
    source = small_model(3)
    model = MaskRCNN(small_config(**changes)).eval()
    model.load_state_dict(source.state_dict())
    twin = fixed_twin(model).eval()
    images, _ = small_scenes()
    found = model.predict(images)
    with torch.no_grad():
        theirs = twin(images)
    assert [len(image["boxes"]) for image in found] == [len(image["boxes"]) for image in theirs]
    assert all(torch.allclose(a["boxes"], b["boxes"], atol=1e-2) for a, b in zip(found, theirs, strict=True))
