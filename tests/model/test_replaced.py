"""Modules that a user puts into the model are used, never bypassed, whatever kind they are."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune
from torchvision.models.feature_extraction import create_feature_extractor

from mrcnn_edu.model import MaskRCNN
from tests.model.scenes import small_config, small_model, small_scenes

PLACES = [
    "backbone.body.conv1", "backbone.body.bn1", "backbone.body.relu", "backbone.body.maxpool", "backbone.body.layer1",
    "backbone.body.layer2.0", "backbone.body.layer1.0.conv1", "backbone.body.layer1.0.bn2",
    "backbone.body.layer1.1.relu", "backbone.body.layer2.0.downsample", "backbone.body.layer2.0.downsample.0",
    "backbone.body", "backbone.fpn", "backbone", "backbone.fpn.inner_blocks.1", "backbone.fpn.layer_blocks.0.0",
    "rpn", "rpn.head", "rpn.head.conv", "rpn.head.conv.0", "rpn.head.conv.0.1", "rpn.head.cls_logits",
    "roi_heads", "roi_heads.box_head", "roi_heads.box_head.fc6", "roi_heads.box_predictor",
    "roi_heads.box_predictor.cls_score", "roi_heads.mask_head", "roi_heads.mask_head.0", "roi_heads.mask_head.0.0",
    "roi_heads.mask_predictor", "roi_heads.mask_predictor.conv5_mask", "roi_heads.mask_predictor.relu",
    "roi_heads.mask_predictor.mask_fcn_logits", "roi_heads.box_roi_pool", "roi_heads.mask_roi_pool",
]  # fmt: skip


class Wrapper(nn.Module):
    """What it wraps, with a forward of its own that counts."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner
        self.calls = 0

    def forward(self, *given, **named):
        self.calls += 1
        return self.inner(*given, **named)

    def __getattr__(self, name: str):
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)


def put(model: nn.Module, place: str, module: nn.Module) -> None:
    parent, _, name = place.rpartition(".")
    setattr(model.get_submodule(parent), name, module)


def losses_of(model: MaskRCNN) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return model.loss(*small_scenes())


def agree(ours: list[dict], theirs: list[dict]) -> None:
    assert sum(len(found["boxes"]) for found in theirs) >= 4
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a["labels"], b["labels"])
        assert torch.allclose(a["boxes"], b["boxes"], atol=1e-3) and torch.allclose(a["scores"], b["scores"], atol=1e-4)
        assert float((a["masks"] - b["masks"]).abs().mean()) <= 1e-4


@pytest.fixture(scope="module")
def fresh() -> MaskRCNN:
    return small_model(3)


@pytest.fixture
def model(fresh) -> MaskRCNN:
    return copy.deepcopy(fresh)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("place", PLACES)
def test_a_wrapper_is_used(fresh, model, place, fast):
    images, _ = small_scenes()
    expected, losses = fresh.predict(images), losses_of(fresh)
    wrapper = Wrapper(model.get_submodule(place))
    put(model, place, wrapper)
    model.use_fast_forms(fast)
    calls = []
    for training in (False, True):
        model.train(training)
        for run in (lambda: model.predict(images), lambda: model.stages(images), lambda: losses_of(model)):
            before = wrapper.calls
            result = run()
            calls.append(wrapper.calls - before)
            if isinstance(result, list):
                agree(result, expected)
            elif isinstance(result, dict) and not training:
                assert all(torch.allclose(result[name], loss, rtol=1e-3) for name, loss in losses.items())
    assert min(calls) >= 1, calls


class LowRank(nn.Module):
    """LoRA's way: the layer as it was, and a product of two small matrices beside it."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer, outputs = layer, layer.weight.shape[0]
        self.down, self.up = nn.Linear(1, 1), nn.Parameter(torch.full((outputs,), 0.3))

    def forward(self, x):
        y = self.layer(x)
        return y + self.up.view(1, -1, *[1] * (y.dim() - 2)) * y.mean(dim=1, keepdim=True)


def lora(model: MaskRCNN, place: str) -> None:
    put(model, place, LowRank(model.get_submodule(place)))


def doubled(module: nn.Module) -> None:
    class Twice(nn.Module):
        def forward(self, w):
            return w * 2

    parametrize.register_parametrization(module, "weight", Twice())


def patched(module: nn.Module) -> None:
    before = module.forward
    module.forward = lambda x: before(x) * 2


def pruned(model: MaskRCNN, place: str) -> None:
    model.use_fast_forms(False)
    prune.l1_unstructured(model.get_submodule(place), "weight", amount=0.5)
    model.use_fast_forms()


CHANGES = {
    "low rank": lambda model, place: lora(model, place),
    "parametrization": lambda model, place: doubled(model.get_submodule(place)),
    "spectral norm": lambda model, place: parametrizations.spectral_norm(model.get_submodule(place)),
    "old spectral norm": lambda model, place: nn.utils.spectral_norm(model.get_submodule(place)),
    "pruning": lambda model, place: pruned(model, place),
    "its forward replaced": lambda model, place: patched(model.get_submodule(place)),
}
CONVOLUTIONS = [
    "backbone.body.conv1", "backbone.body.layer1.0.conv1", "backbone.body.layer2.0.downsample.0",
    "backbone.fpn.layer_blocks.0.0", "rpn.head.conv.0.0", "roi_heads.box_head.fc6", "roi_heads.mask_head.0.0",
    "roi_heads.mask_predictor.conv5_mask", "roi_heads.mask_predictor.mask_fcn_logits",
]  # fmt: skip


def outputs_of(model: MaskRCNN) -> list[torch.Tensor]:
    """What the layers compute, without the choices that follow."""
    draw = torch.Generator().manual_seed(5)
    images, box, mask = (
        torch.rand(*shape, generator=draw) for shape in ((1, 3, 64, 64), (9, 64, 7, 7), (9, 64, 14, 14))
    )
    with torch.no_grad():
        maps = list(model.backbone(images).values())
        heads = model.roi_heads
        return [*maps, *sum(model.rpn.head(maps), []), *heads(box), heads(mask, torch.arange(9) % 4)]


def largest_difference(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> float:
    return max(float((a - b).norm() / b.norm().clamp(min=1e-6)) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("place", CONVOLUTIONS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_layer_acts_in_both_forms_alike(fresh, model, change, place):
    """With hooks on all layers each of them is called; without them it must give the same, and not what was before."""
    CHANGES[change](model, place)
    model.eval()
    handles = [module.register_forward_hook(lambda *_: None) for module in model.modules()]
    called = outputs_of(model)
    for handle in handles:
        handle.remove()
    assert largest_difference(outputs_of(model), called) <= 1e-4
    assert largest_difference(outputs_of(fresh), called) > 1e-2
    assert len(model.predict(small_scenes()[0])) == 2


@pytest.mark.parametrize("place", CONVOLUTIONS)
@pytest.mark.parametrize("change", ["old spectral norm", "spectral norm", "pruning", "low rank"])
def test_a_changed_layer_trains(model, change, place):
    CHANGES[change](model, place)
    model.train()
    sum(losses_of(model).values()).backward()
    inner = [p for p in model.get_submodule(place).parameters() if p.requires_grad and p.numel() > 1]
    assert inner and all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in inner)


def test_weight_norm_learns_what_predict_shows(model):
    """Its hook writes the weight before each call: a prediction in training mode must not show an older one."""
    layer = model.backbone.body.layer1[0].conv1
    nn.utils.weight_norm(layer) if hasattr(nn.utils, "weight_norm") else parametrizations.weight_norm(layer)
    images, _ = small_scenes()
    model.train()
    before = model.predict(images)
    with torch.no_grad():
        dict(model.backbone.body.layer1[0].conv1.named_parameters())[next(
            n for n, _ in layer.named_parameters() if n.endswith(("weight_g", "original0"))
        )].mul_(3)  # fmt: skip
    after = model.predict(images)
    assert any(len(a["scores"]) != len(b["scores"]) or not torch.allclose(a["scores"], b["scores"])
               for a, b in zip(before, after, strict=True))  # fmt: skip
    agree(model.eval().predict(images), after)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1),
        nn.ConvTranspose2d(64, 64, 2, stride=2, bias=False),
        nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(64, 64, 3, padding=1)),
    ],
    ids=["kernel 4", "no bias", "another class"],
)
def test_another_deconvolution_is_used(model, layer):
    images, _ = small_scenes()
    model.roi_heads.mask_predictor.conv5_mask = layer
    stages, found = model.stages(images), model.predict(images)
    agree(found, stages.detections)
    loss = losses_of(model)["loss_mask"]
    loss.backward()
    assert all(p.grad is not None for p in layer.parameters())


@pytest.mark.parametrize("norm", [lambda: nn.GroupNorm(4, 32), lambda: nn.BatchNorm2d(32, affine=False),
                                  lambda: nn.BatchNorm2d(32, track_running_stats=False), nn.Identity,
                                  lambda: nn.InstanceNorm2d(32, affine=True)])  # fmt: skip
def test_another_normalisation_is_used(model, norm):
    images, _ = small_scenes()
    block = model.backbone.body.layer1[0]
    block.bn1 = norm().eval()
    x = torch.rand(1, 32, 16, 16)
    wanted = torch.relu(block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x))))) + x)
    assert torch.allclose(block(x), wanted, atol=1e-5)
    assert all(bool(torch.isfinite(found["boxes"]).all()) for found in model.predict(images))


def test_padding_by_reflection_is_used(model):
    images, _ = small_scenes()
    conv = model.backbone.body.layer1[0].conv1
    conv.padding_mode = "reflect"
    conv._reversed_padding_repeated_twice = [1, 1, 1, 1]
    agree(model.predict(images), model.use_fast_forms(False).predict(images))


@pytest.mark.parametrize("place", ["backbone.body.layer1.0.conv1", "backbone.body.layer1", "roi_heads.mask_predictor"])
@pytest.mark.parametrize("way", ["the module", "its call"])
def test_compiled_parts_are_used(fresh, model, place, way):
    images, _ = small_scenes()
    expected = fresh.predict(images)
    if way == "the module":
        put(model, place, torch.compile(model.get_submodule(place), backend="eager"))
    else:
        model.get_submodule(place).compile(backend="eager")
    for training in (False, True):
        model.train(training)
        agree(model.predict(images), expected)
        assert set(losses_of(model)) >= {"loss_mask"}
    torch._dynamo.reset()


def test_a_scripted_part_is_used(fresh, model):
    images, _ = small_scenes()
    model.roi_heads.box_head.fc7 = torch.jit.trace(model.roi_heads.box_head.fc7, torch.rand(2, 256))
    for training in (False, True):
        agree(model.train(training).predict(images), fresh.predict(images))
        assert model.roi_heads.box_head.fc7.training is training


def test_a_scripted_normalisation_learns_nothing_from_a_prediction(model):
    norm = torch.jit.script(model.backbone.body.bn1)
    model.backbone.body.bn1 = norm
    model.train()
    before = norm.running_mean.clone()
    found = model.predict(small_scenes()[0])
    assert norm.training and torch.equal(norm.running_mean, before)
    agree(found, model.eval().predict(small_scenes()[0]))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("fast", [True, False])
def test_features_of_the_body_are_extracted(model, fast, training):
    """torchvision's extractor traces the layers; what it makes gives the maps of the body itself."""
    model.use_fast_forms(fast).train(training)
    extractor = create_feature_extractor(model.backbone.body, {"layer1": "fine", "layer3": "coarse"})
    images = torch.rand(1, 3, 64, 96)
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = 0.0
    maps = model.backbone.body(images)
    found = extractor(images)
    assert torch.allclose(found["fine"], maps[0], atol=1e-4) and torch.allclose(found["coarse"], maps[2], atol=1e-4)
    whole = create_feature_extractor(model.backbone, ["body.layer2", "fpn.layer_blocks.0"])(images)
    assert torch.allclose(whole["body.layer2"], maps[1], atol=1e-4)


def test_own_attributes_are_allowed():
    model = MaskRCNN(small_config())
    model.note, model.roi_heads.threshold, model.rpn.history = "mine", 0.7, []
    assert (model.note, model.roi_heads.threshold, model.rpn.history) == ("mine", 0.7, [])
