"""Heads replaced in the way of torchvision's tutorial, ours or torchvision's, and a detector without masks."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead

from mrcnn_edu.model import MaskRCNN, load_weights, save_weights, torchvision_twin
from mrcnn_edu.model.box_head import BoxPredictor
from mrcnn_edu.model.mask_head import MaskPredictor
from tests.model.scenes import small_config, small_model, small_scenes

BOX, MASK = (FastRCNNPredictor, BoxPredictor), (MaskRCNNPredictor, MaskPredictor)
NAMES = ("background", "disc", "star", "ring")


@pytest.fixture(scope="module")
def fresh() -> MaskRCNN:
    model = small_model(3)
    model.class_names = NAMES
    return model


@pytest.fixture
def model(fresh) -> MaskRCNN:
    return copy.deepcopy(fresh)


def losses_of(model: MaskRCNN, targets: list[dict] | None = None) -> dict[str, torch.Tensor]:
    images, truth = small_scenes(num_classes=3)
    torch.manual_seed(1)
    return model.loss(images, truth if targets is None else targets)


def equal(ours: list[dict], theirs: list[dict]) -> bool:
    return all(
        a.keys() == b.keys() and all(torch.allclose(a[name].float(), b[name].float(), atol=1e-4) for name in a)
        for a, b in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize(("box", "mask"), itertools.product(BOX, MASK), ids=str)
@pytest.mark.parametrize("reduced", [64, 256])
def test_the_tutorials_way(model, box, mask, reduced, tmp_path):
    """As torchvision's tutorial on fine-tuning writes it."""
    model.roi_heads.box_predictor = box(model.roi_heads.box_predictor.cls_score.in_features, 3)
    in_channels = model.roi_heads.mask_predictor.conv5_mask.in_channels
    model.roi_heads.mask_predictor = mask(in_channels, reduced, 3)
    assert (model.config.num_classes, model.config.mask_dim_reduced) == (3, reduced)
    assert model.class_names is None, "the names were those of other classes"
    images, targets = small_scenes(num_classes=3)
    sum(losses_of(model.train()).values()).backward()
    assert all(p.grad is not None for p in model.roi_heads.parameters())
    with pytest.raises(ValueError, match="label of object 0 is 3; the model has 3 classes"):
        model.loss(images, [{**t, "labels": torch.full_like(t["labels"], 3)} for t in targets])
    found = model.predict(images)
    assert all(int(image["labels"].max()) <= 2 for image in found if len(image["labels"]))
    model.class_names = ("background", "disc", "star")
    back = load_weights(save_weights(model, tmp_path / "new.safetensors"))
    assert back.config == model.config and back.class_names == model.class_names
    assert equal(back.predict(images), found)
    twin = torchvision_twin(model.eval())
    with torch.no_grad():
        assert [len(image["boxes"]) for image in twin(images)] == [len(image["boxes"]) for image in found]


@pytest.mark.parametrize("order", [1, -1])
def test_as_many_classes_as_before_keep_their_names(model, order):
    steps = [
        lambda: setattr(model.roi_heads, "box_predictor", FastRCNNPredictor(256, 4)),
        lambda: setattr(model.roi_heads, "mask_predictor", MaskRCNNPredictor(64, 64, 4)),
    ]
    for step in steps[::order]:
        step()
        assert model.class_names == NAMES and model.config.num_classes == 4
        losses_of(model)


def test_layers_replaced_within_a_predictor_count_too(model):
    predictor = model.roi_heads.box_predictor
    predictor.cls_score, predictor.bbox_pred = nn.Linear(256, 3), nn.Linear(256, 12)
    model.roi_heads.mask_predictor.mask_fcn_logits = nn.Conv2d(64, 3, 1)
    assert model.config.num_classes == 3 and model.class_names is None
    sum(losses_of(model).values()).backward()


@pytest.mark.parametrize("which", ["box", "mask"])
def test_one_head_alone_is_refused_by_name(model, which, tmp_path):
    if which == "box":
        model.roi_heads.box_predictor = FastRCNNPredictor(256, 3)
    else:
        model.roi_heads.mask_predictor = MaskRCNNPredictor(64, 64, 3)
    images, targets = small_scenes(num_classes=3)
    for run in (
        lambda: model.predict(images),
        lambda: model.stages(images),
        lambda: model.loss(images, targets),
        lambda: model.eval()(images),
        lambda: save_weights(model, tmp_path / "half.safetensors"),
    ):
        with pytest.raises(ValueError, match=r"box_predictor has \d classes and roi_heads.mask_predictor has \d.*"
                           r"load_weights\(…, num_classes="):  # fmt: skip
            run()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("part", ["mask_predictor", "mask_head", "mask_roi_pool"])
def test_without_masks_it_is_a_detector(fresh, model, part, tmp_path):
    images, targets = small_scenes(num_classes=3)
    expected = fresh.predict(images, masks="none")
    setattr(model.roi_heads, part, None)
    assert model.config.masks is False
    for form in ("soft", "bool", "rle", "none"):
        assert equal(model.predict(images, masks=form), expected)
    assert equal(model(images), expected)
    stages = model.stages(images)
    assert stages.mask_logits is None and equal(stages.detections, expected)
    bare = [{name: target[name] for name in ("boxes", "labels")} for target in targets]
    losses, with_masks = losses_of(model, bare), losses_of(fresh, targets)
    assert set(losses) == set(with_masks) - {"loss_mask"}
    assert all(torch.allclose(loss, with_masks[name]) for name, loss in losses.items())
    model.use_fast_forms(False).use_fast_forms().compile_parts(backend="eager")


def test_a_detector_is_saved_and_loaded(model, tmp_path):
    images, _ = small_scenes()
    for part in ("mask_predictor", "mask_head", "mask_roi_pool"):
        setattr(model.roi_heads, part, None)
    back = load_weights(save_weights(model, tmp_path / "boxes.safetensors"))
    assert not back.config.masks and back.class_names == NAMES
    assert equal(back.predict(images), model.predict(images))
    twin = torchvision_twin(model)
    with torch.no_grad():
        assert equal([{**image} for image in twin(images)], model.predict(images))


def test_a_detector_may_have_another_number_of_classes(model):
    model.roi_heads.mask_predictor = None
    model.roi_heads.box_predictor = FastRCNNPredictor(256, 3)
    assert model.config.num_classes == 3
    assert set(losses_of(model)) == {"loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg"}
    model.roi_heads.mask_predictor = MaskRCNNPredictor(64, 64, 3)
    assert model.config.masks and "masks" in model.predict(small_scenes()[0])[0]


def test_torchvisions_other_heads_fit(fresh, model):
    images, _ = small_scenes()
    head = model.roi_heads.box_head
    theirs = TwoMLPHead(head.fc6.in_features, head.fc6.out_features)
    theirs.load_state_dict(head.state_dict())
    model.roi_heads.box_head = theirs
    rpn = RPNHead(64, 3, conv_depth=1)
    rpn.load_state_dict(model.rpn.head.state_dict())
    model.rpn.head = rpn
    assert equal(model.predict(images), fresh.predict(images))
    sum(losses_of(model).values()).backward()


class Own(nn.Module):
    """A predictor with no layer of torchvision's names."""

    def __init__(self, classes: int, deltas: int):
        super().__init__()
        self.a, self.b = nn.Linear(256, classes), nn.Linear(256, deltas)

    def forward(self, x):
        return self.a(x), self.b(x)


def test_a_predictor_of_ones_own(model):
    images, _ = small_scenes()
    model.roi_heads.box_predictor = Own(4, 16)
    assert model.config.num_classes == 4
    sum(losses_of(model).values()).backward()
    assert model.roi_heads.box_predictor.a.weight.grad is not None
    for classes, deltas in ((5, 20), (4, 4)):
        model.roi_heads.box_predictor = Own(classes, deltas)
        with pytest.raises(ValueError, match=r"box_predictor gives.*model of 4 classes.*num_classes"):
            model.predict(images)


def test_class_names_are_as_many_as_classes(model):
    with pytest.raises(ValueError, match="3 class names for 4 classes"):
        model.class_names = NAMES[:3]
    assert model.class_names == NAMES
    model.class_names = None
    assert model.class_names is None and MaskRCNN(small_config()).category_ids is None
