"""Settings: presets, refusals, and the way through JSON."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from mrcnn_edu.model import PRESETS, Config, MaskRCNN, preset


@pytest.mark.parametrize("name", PRESETS)
def test_settings_survive_json(name):
    config = preset(name, num_classes=7, min_size=(96, 128))
    back = Config.from_dict(json.loads(json.dumps(config.to_dict())))
    assert back == config and hash(back) == hash(config)


def test_settings_are_frozen():
    with pytest.raises(FrozenInstanceError):
        preset("lesson").num_classes = 3


def test_a_bare_size_and_lists_are_taken():
    assert Config(min_size=640) == Config(min_size=[640]) == Config(min_size=(640,))
    assert Config(anchor_sizes=[[8], [16], [32], [64], [128]]).anchor_sizes[0] == (8,)


REFUSED = [
    ({"num_classes": 1}, "num_classes is 1.*at least 2"),
    ({"num_classes": 0}, "num_classes is 0"),
    ({"min_size": ()}, "min_size"),
    ({"min_size": 0}, "min_size.*positive"),
    ({"norm": "group"}, 'norm is \'group\'.*"batch" or "frozen"'),
    ({"trainable_layers": 6}, "trainable_layers is 6.*0 to 5"),
    ({"trainable_layers": -1}, "trainable_layers is -1"),
    ({"anchor_sizes": ((32,), (64,))}, "anchor_sizes.*5 tuples"),
    ({"backbone": "lesson"}, "anchor_sizes.*4 tuples"),
    ({"anchor_sizes": ((32,), (64,), (128,), (256,), (512, 600))}, "anchor_sizes.*same number"),
    ({"rpn_positive_fraction": 0.0}, "rpn_positive_fraction.*above 0"),
    ({"box_positive_fraction": 1.5}, "box_positive_fraction is 1.5"),
    ({"rpn_bg_iou_thresh": 0.8}, r"rpn_bg_iou_thresh.*rpn_fg_iou_thresh \(0.7\)"),
    ({"box_bg_iou_thresh": 0.6}, r"box_bg_iou_thresh.*box_fg_iou_thresh \(0.5\)"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=[str(changes) for changes, _ in REFUSED])
def test_wrong_settings_are_refused_by_name(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(Config(), **changes)


def test_unknown_preset_names_those_there_are():
    with pytest.raises(ValueError, match="no preset 'resnet'.*resnet50_fpn.*lesson"):
        preset("resnet")


def test_unknown_fields_are_named():
    with pytest.raises(ValueError, match=r"unknown fields \['learning_rate'\]"):
        Config.from_dict({**Config().to_dict(), "learning_rate": 1})


def test_unknown_backbone_names_those_there_are():
    with pytest.raises(ValueError, match="'resnet51'.*'lesson'.*resnet50"):
        MaskRCNN(Config(backbone="resnet51"))


def test_class_names_must_be_as_many_as_classes():
    with pytest.raises(ValueError, match="2 class names for 5 classes"):
        MaskRCNN(preset("lesson"), ("background", "disc"))


def test_derived_values():
    config = preset("lesson")
    assert (config.num_levels, config.strides, config.anchors_per_cell, config.mask_size) == (3, (4, 8, 16), 3, 28)
    assert Config().strides == (4, 8, 16, 32)


def test_the_lesson_preset_is_small():
    parameters = sum(p.numel() for p in MaskRCNN(preset("lesson")).parameters())
    assert 1e6 < parameters < 3e6
