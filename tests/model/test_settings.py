"""Settings of torchvision's attribute tree act or are refused by name; a replaced configuration is what is used."""

from __future__ import annotations

import copy
from dataclasses import fields, replace

import pytest
import torch
from torch import nn

from mrcnn_edu.model import Config, MaskRCNN, torchvision_twin
from mrcnn_edu.model.roi_align import PyramidRoIAlign
from mrcnn_edu.model.rpn import RegionProposalNetwork
from mrcnn_edu.model.settings import BUILT, FIELDS
from tests.model.scenes import small_model, small_scenes


@pytest.fixture(scope="module")
def fresh() -> MaskRCNN:
    return small_model(3, masks=True)


@pytest.fixture
def model(fresh) -> MaskRCNN:
    return copy.deepcopy(fresh)


def outcome(model: MaskRCNN) -> list[torch.Tensor]:
    """What a model gives in prediction and in training, with fixed draws."""
    images, targets = small_scenes()
    torch.manual_seed(4)
    stages = model.stages(images)
    losses = model.loss(images, targets)
    found = [value for image in stages.detections for value in image.values()]
    return [stages.images, stages.anchors, stages.box_features, stages.mask_logits, *found, *losses.values()]


def same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return all(a.shape == b.shape and torch.allclose(a, b, atol=1e-6) for a, b in zip(ours, theirs, strict=True))


# A value for each field that another model would have; the rest stay as they are.
CHANGES = {
    "min_size": (80,), "max_size": 70, "image_mean": (0.1, 0.2, 0.3), "image_std": (0.5, 0.4, 0.3),
    "size_divisible": 64, "anchor_sizes": ((12,), (24,), (48,), (96,)), "anchor_ratios": (0.4, 1.0, 2.5),
    "rpn_pre_nms_top_n_train": 20,
    "rpn_pre_nms_top_n_test": 20, "rpn_post_nms_top_n_train": 10, "rpn_post_nms_top_n_test": 10, "rpn_nms_thresh": 0.3,
    "rpn_fg_iou_thresh": 0.45, "rpn_bg_iou_thresh": 0.1, "rpn_batch_size_per_image": 20, "rpn_positive_fraction": 0.05,
    "rpn_score_thresh": 0.95, "sampling_ratio": 1, "canonical_scale": 20, "canonical_level": 6, "box_score_thresh": 0.8,
    "box_nms_thresh": 0.05, "box_detections_per_img": 2, "box_fg_iou_thresh": 0.7, "box_bg_iou_thresh": 0.2,
    "box_batch_size_per_image": 8, "box_positive_fraction": 0.05, "bbox_reg_weights": (5.0, 5.0, 2.0, 2.0),
    "num_classes": 7, "backbone": "resnet18", "norm": "frozen", "norm_eps": 0.1, "trainable_layers": 1,
    "fpn_channels": 8, "fpn_norm": True, "rpn_conv_depth": 2, "box_pool_size": 5, "mask_pool_size": 10,
    "box_convs": (8,), "box_fcs": (9,), "masks": False, "mask_convs": (8,), "mask_dim_reduced": 8, "head_norm": True,
}  # fmt: skip


def changed(config: Config, name: str) -> Config:
    more = {"anchor_sizes": ((32,), (64,), (128,), (256,), (512,))} if name == "backbone" else {}
    return replace(config, **{name: CHANGES[name]}, **more)


@pytest.mark.parametrize("field", [field.name for field in fields(Config)])
def test_every_field_acts_at_the_next_call_or_is_refused_by_name(fresh, model, field):
    before, config = outcome(model), changed(model.config, field)
    if field in BUILT:
        with pytest.raises(ValueError, match=rf"Config\.{field} .*MaskRCNN\(replace"):
            model.config = config
        assert same(outcome(model), before)
        return
    model.config = config
    built = MaskRCNN(config).eval()
    built.load_state_dict(fresh.state_dict())
    assert model.config == built.config == model.rpn.config == model.box_roi_align.config
    found = outcome(model)
    assert same(found, outcome(built)) and not same(found, before)


@pytest.mark.parametrize("field", ["box_score_thresh", "min_size", "rpn_nms_thresh", "anchor_sizes"])
def test_a_field_is_set_on_any_part(model, field):
    setattr(model.roi_heads, field, CHANGES[field])
    assert getattr(model.config, field) == getattr(model, field) == CHANGES[field]


def test_another_number_of_anchors_needs_another_head(model):
    with pytest.raises(ValueError, match=r"anchor_ratios gives 2 anchors at each cell.*3"):
        model.config = replace(model.config, anchor_ratios=(1.0, 2.0))
    with pytest.raises(TypeError, match="config is a dict"):
        model.config = {"box_score_thresh": 0.5}
    with pytest.raises(ValueError, match="box_nms_thresh"):
        model.roi_heads.nms_thresh = float("nan")


ACTING = {
    "roi_heads": {"score_thresh": 0.8, "nms_thresh": 0.05, "detections_per_img": 2},
    "rpn": {"nms_thresh": 0.3, "score_thresh": 0.95},
}


@pytest.mark.parametrize(("part", "name"), [(part, name) for part in ACTING for name in ACTING[part]])
def test_torchvisions_settings_do_what_they_do_there(model, part, name):
    twin = torchvision_twin(model)
    images, _ = small_scenes()
    before = model.predict(images)
    for which in (model, twin):
        setattr(getattr(which, part), name, ACTING[part][name])
    assert getattr(getattr(model, part), name) == ACTING[part][name]
    found = model.predict(images)
    with torch.no_grad():
        theirs = twin(images)
    assert [len(image["boxes"]) for image in found] == [len(image["boxes"]) for image in theirs]
    assert all(torch.allclose(a["scores"], b["scores"], atol=1e-4) for a, b in zip(found, theirs, strict=True))
    assert any(len(a["boxes"]) != len(b["boxes"]) or not torch.equal(a["boxes"], b["boxes"])
               for a, b in zip(found, before, strict=True))  # fmt: skip


PARTS = ["", "backbone", "backbone.body", "backbone.fpn", "rpn", "rpn.head", "roi_heads", "roi_heads.box_roi_pool",
         "roi_heads.mask_roi_pool", "roi_heads.box_head", "roi_heads.box_predictor", "roi_heads.mask_head",
         "roi_heads.mask_predictor", "transform"]  # fmt: skip


def own_names(module: nn.Module) -> set[str]:
    """What torchvision's module has beside what every module has."""
    theirs = {name for name in {*dir(module), *module._modules} if not name.startswith("__")}
    return theirs - set(dir(nn.Sequential()))


@pytest.mark.parametrize("part", PARTS)
def test_nothing_in_torchvisions_tree_is_set_and_ignored(model, part):
    """Whatever torchvision's model has and ours has not, or has under another name, acts or is refused."""
    twin = torchvision_twin(model)
    theirs = twin.get_submodule(part)
    if part == "transform":
        with pytest.raises(AttributeError, match="min_size.*image_mean.*replace"):
            model.transform.min_size = (100,)
        return
    ours = model.get_submodule(part)
    silent = []
    for name in sorted(own_names(theirs)):
        known = name in vars(ours) or name in ours._modules or callable(getattr(type(ours), name, None))
        if known or getattr(ours, name, None) is not None and name in FIELDS | set(getattr(ours, "SETTINGS", {})):
            continue
        try:
            setattr(ours, name, getattr(theirs, name))
        except AttributeError as error:
            assert name in str(error) and len(str(error)) > 60
        else:
            silent.append(name)
    assert silent == []


def test_refusals_name_the_field(model):
    for part, name, field in [
        (model, "transform", "min_size"),
        (model.rpn, "anchor_generator", "anchor_sizes"),
        (model.rpn, "_pre_nms_top_n", "rpn_pre_nms_top_n_test"),
        (model.rpn, "_post_nms_top_n", "rpn_post_nms_top_n_train"),
        (model.rpn, "fg_bg_sampler", "rpn_positive_fraction"),
        (model.roi_heads, "proposal_matcher", "box_fg_iou_thresh"),
        (model.roi_heads, "box_coder", "bbox_reg_weights"),
        (model.roi_heads, "fg_bg_sampler", "box_batch_size_per_image"),
    ]:
        with pytest.raises(AttributeError, match=rf"{name}.*{field}.*model\.config = replace"):
            setattr(part, name, object())
        with pytest.raises(AttributeError, match=field):
            getattr(part, name)
        assert not hasattr(part, name)
    with pytest.raises(AttributeError, match="sampling_ratio"):
        model.roi_heads.box_roi_pool = torchvision_twin(model).roi_heads.box_roi_pool
    with pytest.raises(AttributeError, match="box_pool_size"):
        model.box_roi_align.output_size = 9


def test_parts_built_apart_bring_the_models_configuration(model):
    model.rpn = RegionProposalNetwork(model.config)
    model.mask_roi_align = pool = PyramidRoIAlign(14, model.config)
    assert model.roi_heads.mask_roi_pool is model.mask_roi_align is pool
    model.config = replace(model.config, rpn_nms_thresh=0.2, sampling_ratio=3)
    assert model.rpn.nms_thresh == 0.2 and pool.sampling_ratio == 3
    with pytest.raises(ValueError, match="rpn was built with another rpn_nms_thresh"):
        model.rpn = RegionProposalNetwork(replace(model.config, rpn_nms_thresh=0.9))


def test_copies_have_a_configuration_of_their_own(fresh):
    other = copy.deepcopy(fresh)
    other.roi_heads.score_thresh = 0.9
    assert other.config.box_score_thresh == 0.9 != fresh.config.box_score_thresh


def test_the_anchors_follow_at_once(model):
    made = model.rpn.anchors
    assert model.rpn.anchors is made
    model.config = replace(model.config, anchor_ratios=(0.4, 1.0, 2.5))
    assert model.rpn.anchors is not made and model.rpn.anchors.ratios == (0.4, 1.0, 2.5)
