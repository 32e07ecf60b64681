"""The whole model: its three doors, both modes, every intermediate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_codec

from mrcnn_edu.model import MaskRCNN, Stages
from mrcnn_edu.model.boxes import clip_boxes, decode, resize_boxes
from mrcnn_edu.model.detect import paste_masks
from tests.model.scenes import small_config, small_model, small_scenes

LOSSES = {"loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg"}


@pytest.fixture(scope="module")
def model() -> MaskRCNN:
    return small_model()


@pytest.fixture
def scene():
    return small_scenes()


def same(a: list[dict], b: list[dict], tolerance: float = 0.0) -> None:
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert x.keys() == y.keys()
        assert torch.equal(x["labels"], y["labels"])
        for name in set(x) - {"labels"}:
            assert torch.allclose(x[name].float(), y[name].float(), rtol=tolerance, atol=tolerance), name


def test_the_forms_of_masks_agree(model, scene):
    images, _ = scene
    forms = {form: model.predict(images, masks=form) for form in ("soft", "bool", "rle", "none")}
    assert sum(len(image["boxes"]) for image in forms["soft"]) >= 4
    for k, soft in enumerate(forms["soft"]):
        height, width = images[k].shape[1:]
        assert soft["masks"].shape == (len(soft["boxes"]), 1, height, width) and soft["masks"].dtype == torch.float32
        for form, found in forms.items():
            assert all(torch.equal(found[k][name], soft[name]) for name in ("boxes", "labels", "scores")), form
        assert torch.equal(forms["bool"][k]["masks"], soft["masks"] > 0.5)
        assert [mask_codec.decode(code).tolist() for code in forms["rle"][k]["masks"]] == (
            soft["masks"][:, 0] > 0.5
        ).to(torch.uint8).tolist()
        assert all(code["size"] == [height, width] for code in forms["rle"][k]["masks"])
        assert "masks" not in forms["none"][k]


def test_a_form_that_does_not_exist_is_refused(model, scene):
    with pytest.raises(ValueError, match="masks is 'png'.*soft, bool, rle, none"):
        model.predict(scene[0], masks="png")


def test_detections_have_torchvisions_form(model, scene):
    images, _ = scene
    for found, image in zip(model(images), images, strict=True):
        count = len(found["boxes"])
        assert list(found) == ["boxes", "labels", "scores", "masks"]
        assert found["boxes"].shape == (count, 4) and found["boxes"].dtype == torch.float32
        assert found["labels"].dtype == torch.int64 and found["scores"].shape == (count,)
        height, width = image.shape[1:]
        limits = torch.tensor([width, height, width, height])
        assert bool(((found["boxes"] >= 0) & (found["boxes"] <= limits + 1e-3)).all())


def test_predict_works_in_either_mode_and_puts_it_back(model, scene):
    images, _ = scene
    expected = model.eval()(images)
    model.train()
    same(model.predict(images), expected)
    assert all(module.training for module in model.modules())
    model.eval()
    found = model.predict(images)
    assert not any(module.training for module in model.modules())
    assert not any(value.requires_grad for image in found for value in image.values())


def test_the_mode_is_put_back_after_an_error(model):
    model.train()
    with pytest.raises(ValueError):
        model.predict([])
    assert model.training
    model.eval()


def test_loss_works_in_either_mode(model, scene):
    model.eval()
    torch.manual_seed(1)
    validation = model.loss(*scene)
    assert set(validation) == LOSSES and not model.training
    assert all(loss.dim() == 0 and bool(torch.isfinite(loss)) for loss in validation.values())
    torch.manual_seed(1)
    again = model.loss(*scene)
    assert all(torch.equal(again[name], loss) for name, loss in validation.items()), "no state is changed"
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(1)
    trained = model.train()(*scene)
    assert set(trained) == LOSSES
    moved = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert moved and all("running" in name or "num_batches" in name for name in moved)
    model.load_state_dict(before)
    model.eval()


def test_every_parameter_gets_a_gradient(model, scene):
    model.zero_grad()
    sum(model.loss(*scene).values()).backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in model.parameters())
    model.zero_grad()


def test_the_targets_stay_as_they_were(model, scene):
    images, targets = scene
    before = [{name: value.clone() for name, value in target.items()} for target in targets]
    model.loss(images, targets)
    assert all(torch.equal(t[name], b[name]) for t, b in zip(targets, before, strict=True) for name in b)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_extra_fields_and_tv_tensors_are_taken(model, scene, count):
    from torchvision import tv_tensors

    image, target = scene[0][0], scene[1][0]
    size = image.shape[1:]
    wrapped = {
        "boxes": tv_tensors.BoundingBoxes(target["boxes"], format="XYXY", canvas_size=size),
        "labels": target["labels"],
        "masks": tv_tensors.Mask(target["masks"]),
        "image_id": 7,
    }
    torch.manual_seed(count)
    plain = model.loss([image] * count, [target] * count)
    torch.manual_seed(count)
    losses = model.loss([tv_tensors.Image(image)] * count, [wrapped] * count)
    assert all(type(loss) is torch.Tensor and torch.equal(loss, plain[name]) for name, loss in losses.items())
    found = model.predict([tv_tensors.Image(image)])[0]
    assert all(type(value) is torch.Tensor for value in found.values())


def test_bool_masks_are_taken(model, scene):
    images, targets = scene
    torch.manual_seed(1)
    expected = model.loss(images, targets)
    torch.manual_seed(1)
    found = model.loss(images, [{**t, "masks": t["masks"].bool()} for t in targets])
    assert all(torch.equal(found[name], loss) for name, loss in expected.items())


def test_fast_and_readable_forms_agree(model, scene):
    images, _ = scene
    fast = model.predict(images)
    plain = model.use_fast_forms(False).predict(images)
    model.use_fast_forms()
    same(fast, plain, 1e-3)


def test_the_fast_forms_store_channels_last():
    fresh = MaskRCNN(small_config())
    weight = fresh.backbone.body["conv1"].weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    fresh.use_fast_forms(False)
    assert fresh.backbone.body["conv1"].weight.is_contiguous()


def test_a_batch_is_each_image_alone(model):
    """With images of one size nothing depends on the company."""
    images = [image[:, :64, :70] for image in small_scenes()[0]]
    together = model.predict(images)
    same(together, [model.predict([image])[0] for image in images], 1e-4)
    same(together, model.predict(images[::-1])[::-1], 1e-4)


@pytest.fixture(scope="module")
def stages(model) -> Stages:
    return model.stages(small_scenes()[0])


def test_stages_have_the_shapes_they_promise(model, stages):
    config = model.config
    K, C = config.num_classes, config.fpn_channels
    B, _, H, W = stages.images.shape
    assert B == 2 and H % 32 == 0 and W % 32 == 0
    assert stages.original_sizes == [(64, 80), (90, 70)]
    assert all(h <= H and w <= W for h, w in stages.image_sizes)
    assert list(stages.features) == ["0", "1", "2", "pool"]
    N = sum(stages.anchors_per_level)
    for (sy, sx), level, count in zip(stages.strides, stages.features.values(), stages.anchors_per_level, strict=True):
        assert level.shape[:2] == (B, C) and (sy, sx) == (H // level.shape[2], W // level.shape[3])
        assert count == level.shape[2] * level.shape[3] * config.anchors_per_cell
    assert stages.anchors.shape == (N, 4)
    assert stages.objectness.shape == (B, N) and stages.pred_bbox_deltas.shape == (B, N, 4)
    R = sum(len(boxes) for boxes in stages.proposals)
    assert stages.roi_levels.shape == (R,) and stages.box_features.shape == (R, C, 7, 7)
    assert stages.class_logits.shape == (R, K) and stages.box_regression.shape == (R, 4 * K)
    D = sum(len(boxes) for boxes in stages.detection_boxes)
    assert D >= 4 and stages.mask_features.shape == (D, C, 14, 14) and stages.mask_logits.shape == (D, K, 28, 28)
    for i in range(B):
        n, d = len(stages.proposals[i]), len(stages.detections[i]["boxes"])
        assert stages.proposal_scores[i].shape == stages.proposal_anchors[i].shape == (n,)
        assert stages.detection_boxes[i].shape == (d, 4) and stages.detection_proposals[i].shape == (d,)


def test_stages_are_what_predict_gives(model, stages):
    same(stages.detections, model.predict(small_scenes()[0]), 1e-5)


def test_a_detection_leads_back_to_its_proposal_and_its_anchor(model, stages):
    first_roi = first_mask = 0
    for i, size in enumerate(stages.image_sizes):
        index = stages.proposal_anchors[i]
        proposals = decode(stages.pred_bbox_deltas[i, index], stages.anchors[index])
        assert torch.allclose(clip_boxes(proposals, size), stages.proposals[i], atol=1e-3)
        assert torch.allclose(stages.objectness[i, index].sigmoid(), stages.proposal_scores[i], atol=1e-6)

        found, source = stages.detections[i], stages.detection_proposals[i]
        labels, rois = found["labels"], source + first_roi
        deltas = stages.box_regression[rois].view(len(rois), -1, 4)[torch.arange(len(rois)), labels]
        boxes = clip_boxes(decode(deltas, stages.proposals[i][source], model.config.bbox_reg_weights), size)
        assert torch.allclose(boxes, stages.detection_boxes[i], atol=1e-3)
        assert torch.allclose(
            stages.class_logits[rois].softmax(dim=1)[torch.arange(len(rois)), labels], found["scores"]
        )
        original = resize_boxes(stages.detection_boxes[i], size, stages.original_sizes[i])
        assert torch.allclose(original, found["boxes"])

        logits = stages.mask_logits[first_mask : first_mask + len(labels)][torch.arange(len(labels)), labels]
        pasted = paste_masks(logits.sigmoid(), found["boxes"], stages.original_sizes[i])
        assert torch.allclose(pasted, found["masks"], atol=1e-5)
        first_roi, first_mask = first_roi + len(stages.proposals[i]), first_mask + len(labels)


def test_the_levels_are_those_the_features_come_from(model, stages):
    from mrcnn_edu.model.roi_align import roi_align, to_rois

    rois = to_rois(stages.proposals)
    for level in stages.roi_levels.unique().tolist():
        here = torch.where(stages.roi_levels == level)[0][:5]
        pooled = roi_align(stages.features[str(level)], rois[here], 7, 1 / model.config.strides[level])
        assert torch.allclose(pooled, stages.box_features[here], atol=1e-4)


def test_stages_without_detections():
    model = MaskRCNN(small_config(box_score_thresh=1.0)).eval()
    stages = model.stages(small_scenes()[0])
    assert stages.mask_logits.shape == (0, 4, 28, 28)
    assert [image["masks"].shape for image in stages.detections] == [(0, 1, 64, 80), (0, 1, 90, 70)]
    for form in ("soft", "bool", "rle", "none"):
        assert [len(image["boxes"]) for image in model.predict(small_scenes()[0], masks=form)] == [0, 0]


def test_stages_leave_the_mode(model):
    model.train()
    model.stages(small_scenes()[0])
    assert model.training
    model.eval()


def test_compiled_parts_keep_names_and_results():
    model = small_model(3)
    images, targets = small_scenes()
    names, expected = list(model.state_dict()), model.predict(images)
    torch.manual_seed(1)
    losses = model.loss(images, targets)
    model.compile_parts(backend="eager")
    assert list(model.state_dict()) == names
    same(model.predict(images), expected, 1e-5)
    torch.manual_seed(1)
    compiled = model.loss(images, targets)
    assert all(torch.allclose(compiled[name], loss, rtol=1e-4) for name, loss in losses.items())
    sum(compiled.values()).backward()
    assert all(p.grad is not None for p in model.parameters())
    torch._dynamo.reset()


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="torch has no MPS device here")
def test_mps_agrees_with_the_cpu(model, scene):
    images, _ = scene
    expected = model.predict(images)
    try:
        found = model.to("mps").predict([image.to("mps") for image in images])
    finally:
        model.to("cpu")
    assert [len(image["boxes"]) for image in found] == [len(image["boxes"]) for image in expected]
    for a, b in zip(found, expected, strict=True):
        assert np.allclose(a["boxes"].cpu().numpy(), b["boxes"].numpy(), atol=0.05)
