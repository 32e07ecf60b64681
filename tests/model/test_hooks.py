"""Hooks fire on every module, and a replaced module is used: in both forms, in training, prediction and stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import nn

from mrcnn_edu.model import Config, MaskRCNN
from mrcnn_edu.model.backbone import Backbone
from tests.model.scenes import small_config, small_model, small_scenes

V2_HEADS = {
    "fpn_norm": True, "rpn_conv_depth": 2, "box_convs": (32,), "box_fcs": (64,), "head_norm": True,
}  # fmt: skip
KINDS = {"lesson": {}, "frozen": {"norm": "frozen"}, "v2": V2_HEADS}
# Lists of modules, which are never called themselves; torchvision's neither.
NEVER_CALLED = ("backbone.fpn.inner_blocks", "backbone.fpn.layer_blocks")
HOOKS = {
    "forward": lambda module, note: module.register_forward_hook(lambda *_: note()),
    "before": lambda module, note: module.register_forward_pre_hook(lambda *_: note()),
    "backward": lambda module, note: module.register_full_backward_hook(lambda *_: note()),
    "before backward": lambda module, note: module.register_full_backward_pre_hook(lambda *_: note()),
}


@pytest.fixture(scope="module", params=KINDS)
def model(request) -> MaskRCNN:
    return small_model(3, **KINDS[request.param])


def losses_of(model: MaskRCNN, seed: int = 1) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return model.loss(*small_scenes())


def gradients_of(model: MaskRCNN) -> dict[str, torch.Tensor]:
    model.zero_grad()
    sum(losses_of(model).values()).backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def close(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor], share: float = 1e-3) -> None:
    assert a.keys() == b.keys()
    for name, value in b.items():
        assert float((a[name] - value).detach().norm()) <= share * float(value.detach().norm().clamp(min=1e-4)), name


def same_detections(ours: list[dict], theirs: list[dict]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a["labels"], b["labels"])
        assert torch.allclose(a["boxes"], b["boxes"], atol=1e-3)
        assert torch.allclose(a["scores"], b["scores"], atol=1e-4)
        assert float(((a["masks"] > 0.5) != (b["masks"] > 0.5)).float().mean()) <= 1e-3


class Listening:
    """Hooks of one kind on every module, counted by the module's name."""

    def __init__(self, model: nn.Module, kind: str):
        self.seen: Counter = Counter()
        self.names = [name for name, _ in model.named_modules() if name and name not in NEVER_CALLED]
        self.handles = [HOOKS[kind](model.get_submodule(name), self.noting(name)) for name in self.names]

    def noting(self, name: str) -> Callable[[], None]:
        return lambda: self.seen.update([name])

    def silent(self) -> list[str]:
        return [name for name in self.names if not self.seen[name]]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for handle in self.handles:
            handle.remove()


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["forward", "before"])
def test_every_module_is_heard(model, kind, training, fast):
    model.train(training).use_fast_forms(fast)
    images, _ = small_scenes()
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.momentum = 0.0  # a training pass then leaves the statistics as they are
    expected, losses = model.predict(images), losses_of(model)
    assert sum(len(found["boxes"]) for found in expected) >= 4
    for run in (lambda: model.predict(images), lambda: model.stages(images), lambda: losses_of(model)):
        with Listening(model, kind) as listening:
            result = run()
        assert listening.silent() == []
        if isinstance(result, list):
            same_detections(result, expected)
        elif isinstance(result, dict):
            close(result, losses)
    model.use_fast_forms().eval()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", ["backward", "before backward"])
def test_every_module_is_heard_on_the_way_back(model, kind, training):
    model.train(training)
    expected = gradients_of(model)
    with Listening(model, kind) as listening:
        found = gradients_of(model)
    # These give their results in lists and dicts, in which torch looks for no gradient; torchvision's do as well.
    assert set(listening.silent()) == {"backbone", "backbone.body", "backbone.fpn", "rpn", "rpn.head"}
    close(found, expected, 5e-3)
    model.eval()


@pytest.mark.parametrize("fold", [True, False])
@pytest.mark.parametrize("kind", ["forward", "backward"])
def test_every_layer_of_a_deep_body_is_heard(fold, kind):
    body = Backbone(Config(backbone="resnet50", norm="frozen", fpn_channels=8)).body.eval()
    body.fold = fold
    images = torch.rand(1, 3, 64, 64, requires_grad=True)
    expected = body(images)
    with Listening(body, kind) as listening:
        found = body(images)
        sum(level.sum() for level in found).backward()
    assert len(listening.names) > 140 and listening.silent() == []
    close(dict(enumerate(found)), dict(enumerate(expected)))


@pytest.mark.parametrize("name", ["backbone.body.layer1.0.conv1", "backbone.body.layer2", "roi_heads.mask_predictor"])
def test_one_hook_leaves_the_rest_as_it_is(name):
    model = small_model(3)
    images, _ = small_scenes()
    expected = model.predict(images)
    seen = []
    handle = model.get_submodule(name).register_forward_hook(lambda module, given, made: seen.append(made))
    same_detections(model.predict(images), expected)
    assert len(seen) == 1
    handle.remove()
    model.predict(images)
    assert len(seen) == 1


def test_what_a_hook_is_given_does_not_change_afterwards(model):
    images, _ = small_scenes()
    kept = {}

    def keep(name: str):
        return lambda module, given, made: kept.update({name: (made, made.clone())})

    layers = (nn.Conv2d, nn.BatchNorm2d, nn.Linear, nn.ConvTranspose2d)
    names = [name for name, module in model.named_modules() if isinstance(module, layers)]
    handles = [model.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    model.predict(images)
    assert len(kept) == len(names) >= 20
    assert all(torch.equal(made, then) for made, then in kept.values())
    for handle in handles:
        handle.remove()


def test_a_hook_on_all_modules_is_one_on_each(model):
    images, _ = small_scenes()
    expected = model.predict(images)
    seen = set()
    handle = nn.modules.module.register_module_forward_hook(lambda module, given, made: seen.add(module))
    try:
        same_detections(model.predict(images), expected)
    finally:
        handle.remove()
    called = {module for name, module in model.named_modules() if name and name not in NEVER_CALLED}
    assert called <= seen


def test_a_hook_may_change_what_goes_on(model):
    """A hook's result counts, on the inner layers and on the predictors, which are asked for one class otherwise."""
    images, _ = small_scenes()
    before = model.predict(images)
    for name in ("backbone.body.layer1.0.bn1", "roi_heads.mask_predictor", "roi_heads"):
        module = model.get_submodule(name)
        with module.register_forward_hook(lambda module, given, made: nothing(made)):
            after = model.predict(images)
        kind = "masks" if name.endswith("mask_predictor") else "scores"
        assert any(a[kind].shape != b[kind].shape or not torch.equal(a[kind], b[kind])
                   for a, b in zip(after, before, strict=True)), name  # fmt: skip


def nothing(made):
    return made * 0 if isinstance(made, torch.Tensor) else tuple(each * 0 for each in made)


def test_grad_cam():
    """The classic recipe: keep the last stage's map and the gradient of a score with respect to it."""
    model = small_model(3)
    kept = {}
    stage = model.backbone.body.layer3
    stage.register_forward_hook(lambda module, given, made: kept.update(map=made))
    stage.register_full_backward_hook(lambda module, given, made: kept.update(gradient=made[0]))
    found = model(small_scenes()[0])[0]
    found["scores"][0].backward()
    weights = kept["gradient"].mean(dim=(2, 3), keepdim=True)
    heat = (weights * kept["map"]).sum(dim=1).relu()
    assert kept["map"].shape == kept["gradient"].shape and float(heat[0].max()) > 0


def test_the_model_of_a_configuration_without_hooks_takes_the_fast_way(monkeypatch):
    from mrcnn_edu.model import folding

    model = MaskRCNN(small_config()).eval()
    folded, real = [], folding.folded_conv
    monkeypatch.setattr(folding, "folded_conv", lambda x, conv, norm: folded.append(conv) or real(x, conv, norm))
    model.backbone(torch.rand(1, 3, 64, 64))
    norms = [module for module in model.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(folded) == len(norms) == 15
    handle = model.backbone.body.layer1[0].conv1.register_forward_hook(lambda *_: None)
    folded.clear()
    model.backbone(torch.rand(1, 3, 64, 64))
    assert len(folded) == len(norms) - 1, "only the layer that is listened to"
    handle.remove()
