"""State dicts and settings go both ways between ours and torchvision's."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import detection
from torchvision.ops import FrozenBatchNorm2d

from mrcnn_edu.model import PRESETS, MaskRCNN, preset, torchvision_twin
from mrcnn_edu.model.tensor_names import rename_old_keys
from mrcnn_edu.model.twin import SAME_NAME

BUILDERS = {
    "resnet50_fpn": detection.maskrcnn_resnet50_fpn,
    "resnet50_fpn_v2": detection.maskrcnn_resnet50_fpn_v2,
}


@pytest.fixture(scope="module", params=BUILDERS)
def pair(request):
    """Ours and what torchvision's own builder makes."""
    theirs = BUILDERS[request.param](weights=None, weights_backbone=None, num_classes=7)
    return MaskRCNN(preset(request.param, num_classes=7)), theirs


def test_state_dicts_load_strictly_both_ways(pair):
    ours, theirs = pair
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict(), strict=True)
    assert all(torch.equal(ours.state_dict()[name], value) for name, value in theirs.state_dict().items())
    torch.nn.init.normal_(ours.rpn.head.cls_logits.weight)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert torch.equal(theirs.rpn.head.cls_logits.weight, ours.rpn.head.cls_logits.weight)


def test_the_presets_are_torchvisions_defaults(pair):
    """Everything that torchvision's builder sets is set alike in the counterpart that the comparison uses."""
    ours, theirs = pair
    twin = torchvision_twin(ours.config)

    def settings(model):
        heads, rpn, transform = model.roi_heads, model.rpn, model.transform
        return {
            "min_size": tuple(transform.min_size), "max_size": transform.max_size,
            "mean": tuple(transform.image_mean), "std": tuple(transform.image_std), "divisor": transform.size_divisible,
            "sizes": rpn.anchor_generator.sizes, "ratios": rpn.anchor_generator.aspect_ratios,
            "pre": rpn._pre_nms_top_n, "post": rpn._post_nms_top_n, "rpn_nms": rpn.nms_thresh,
            "rpn_score": rpn.score_thresh, "rpn_min_side": rpn.min_size,
            "rpn_match": (rpn.proposal_matcher.high_threshold, rpn.proposal_matcher.low_threshold),
            "rpn_sample": vars(rpn.fg_bg_sampler), "rpn_code": rpn.box_coder.weights,
            "match": (heads.proposal_matcher.high_threshold, heads.proposal_matcher.low_threshold),
            "sample": vars(heads.fg_bg_sampler), "code": heads.box_coder.weights,
            "score": heads.score_thresh, "nms": heads.nms_thresh, "count": heads.detections_per_img,
            "pools": [
                (p.featmap_names, p.output_size, p.sampling_ratio, p.canonical_scale, p.canonical_level)
                for p in (heads.box_roi_pool, heads.mask_roi_pool)
            ],
            "epsilons": {m.eps for m in model.modules() if isinstance(m, nn.BatchNorm2d | FrozenBatchNorm2d)},
        }  # fmt: skip

    assert settings(twin) == settings(theirs)
    assert [type(m) for m in twin.modules()] == [type(m) for m in theirs.modules()]


def test_the_trained_parameters_are_torchvisions(pair):
    ours, theirs = pair
    wanted = {name: parameter.requires_grad for name, parameter in theirs.named_parameters()}
    assert {name: parameter.requires_grad for name, parameter in ours.named_parameters()} == wanted


@pytest.mark.parametrize("norm", ["batch", "frozen"])
@pytest.mark.parametrize("name", PRESETS)
def test_the_counterpart_has_the_same_weights_and_mode(name, norm):
    model = MaskRCNN(preset(name, num_classes=3, norm=norm)).eval()
    twin = torchvision_twin(model)
    assert not twin.training
    assert list(twin.state_dict()) == list(model.state_dict())
    assert all(torch.equal(twin.state_dict()[key], value) for key, value in model.state_dict().items())
    model.load_state_dict(twin.state_dict(), strict=True)


def old_name(key: str) -> str:
    """A name of today as torchvision wrote it before version 0.12."""
    parts = key.split(".")
    if parts[:2] == ["backbone", "fpn"]:
        del parts[4]
    elif parts[:3] == ["rpn", "head", "conv"]:
        del parts[3:5]
    elif parts[:2] == ["roi_heads", "mask_head"]:
        parts[2:4] = [f"mask_fcn{int(parts[2]) + 1}"]
    return ".".join(parts)


def test_older_names_load():
    source, target = MaskRCNN(preset("resnet50_fpn", num_classes=3)), MaskRCNN(preset("resnet50_fpn", num_classes=3))
    old = {old_name(key): value for key, value in source.state_dict().items()}
    assert {
        "backbone.fpn.inner_blocks.0.weight", "backbone.fpn.layer_blocks.3.bias", "rpn.head.conv.weight",
        "roi_heads.mask_head.mask_fcn1.weight", "roi_heads.mask_head.mask_fcn4.bias",
    } <= set(old)  # fmt: skip
    assert len(old) == len(source.state_dict())
    target.load_state_dict(old, strict=True)
    assert all(torch.equal(target.state_dict()[key], value) for key, value in source.state_dict().items())


@pytest.mark.parametrize("name", PRESETS)
def test_todays_names_stay(name):
    keys = list(MaskRCNN(preset(name, num_classes=3)).state_dict())
    assert list(rename_old_keys(dict.fromkeys(keys))) == keys


def test_a_missing_or_foreign_tensor_is_an_error():
    model = MaskRCNN(preset("lesson"))
    foreign = {**model.state_dict(), "extra": torch.zeros(1)}
    missing = model.state_dict()
    missing.pop("rpn.head.cls_logits.bias")
    for state in (foreign, missing):
        with pytest.raises(Exception):  # noqa: B017 - torch chooses the class
            model.load_state_dict(state)
    assert model.load_state_dict(foreign, strict=False) == ([], ["extra"])
    assert model.load_state_dict(missing, strict=False) == (["rpn.head.cls_logits.bias"], [])


def test_every_setting_of_torchvision_is_passed_on():
    """A changed setting must reach the counterpart, or the comparison would compare something else."""
    import inspect

    arguments = set(inspect.signature(detection.MaskRCNN.__init__).parameters)
    assert set(SAME_NAME) <= arguments | set(inspect.signature(detection.FasterRCNN.__init__).parameters) | {
        "size_divisible"
    }
    twin = torchvision_twin(preset("lesson", box_nms_thresh=0.33, rpn_score_thresh=0.1, size_divisible=64))
    assert twin.roi_heads.nms_thresh == 0.33 and twin.rpn.score_thresh == 0.1
    assert twin.transform.size_divisible == 64
