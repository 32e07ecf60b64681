"""Other precisions of model and pictures, and gradients that reach the pictures."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mrcnn_edu.model import MaskRCNN
from tests.model.scenes import fixed_twin, small_model, small_scenes

REAL = [torch.float64, torch.float16, torch.bfloat16]


@pytest.fixture(scope="module")
def fresh() -> MaskRCNN:
    return small_model(3)


@pytest.fixture
def model(fresh) -> MaskRCNN:
    return copy.deepcopy(fresh)


def losses_of(model: nn.Module, images: list, targets: list) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return model.loss(images, targets)


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("kind", ["lesson", "frozen", "v2"])
def test_double_works_whole(kind, fast):
    v2 = {"fpn_norm": True, "rpn_conv_depth": 2, "box_convs": (32,), "box_fcs": (64,), "head_norm": True}
    model = small_model(3, **{"lesson": {}, "frozen": {"norm": "frozen"}, "v2": v2}[kind]).use_fast_forms(fast)
    images, targets = small_scenes()
    expected, losses, stages = model.predict(images), losses_of(model, images, targets), model.stages(images)
    model.double()
    for a, b in zip(model.predict(images), expected, strict=True):
        assert torch.equal(a["labels"], b["labels"])
        assert all(torch.allclose(a[name].float(), b[name], atol=1e-4) for name in ("boxes", "scores"))
        assert float(((a["masks"] > 0.5) != (b["masks"] > 0.5)).float().mean()) <= 1e-4
    found = losses_of(model, images, targets)
    assert all(torch.allclose(found[name].float(), loss, rtol=1e-4) for name, loss in losses.items())
    ours = model.stages(images)
    assert torch.allclose(ours.mask_logits.float(), stages.mask_logits, atol=1e-3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    sum(model.train()(images, targets).values()).backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float64 for p in model.parameters())
    optimizer.step()


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_works_whole(model, dtype, fast):
    images, targets = small_scenes()
    expected = losses_of(model, images, targets)
    model.to(dtype).use_fast_forms(fast)
    found, stages = model.predict(images), model.stages(images)
    assert all(value.dtype in (torch.float32, torch.int64) for image in found for value in image.values())
    assert stages.anchors.dtype == torch.float32 and stages.images.dtype == dtype
    losses = losses_of(model, images, targets)
    # RoIs are drawn from other proposals, so only the size is compared.
    assert all(float(losses[n].detach()) == pytest.approx(float(e.detach()), rel=0.5) for n, e in expected.items())
    sum(model.train()(images, targets).values()).backward()
    assert all(p.grad is not None and p.grad.dtype == dtype for p in model.parameters())


@pytest.mark.parametrize("part", ["backbone", "rpn", "roi_heads"])
def test_a_part_in_another_precision_is_given_its_own(model, part):
    images, targets = small_scenes()
    expected = model.predict(images)
    getattr(model, part).double()
    found = model.predict(images)
    assert all(torch.allclose(a["boxes"].float(), b["boxes"], atol=1e-3) for a, b in zip(found, expected, strict=True))
    sum(losses_of(model, images, targets).values()).backward()


@pytest.mark.parametrize("dtype", REAL)
def test_pictures_of_any_precision_are_taken(model, dtype):
    images, targets = small_scenes()
    images = [image.to(dtype) for image in images]
    expected, losses = (
        model.predict([i.float() for i in images]),
        losses_of(model, [i.float() for i in images], targets),
    )
    for given in (images, [images[0], images[1].float()]):
        for a, b in zip(model.predict(given), expected, strict=True):
            assert torch.equal(a["boxes"], b["boxes"]) and torch.equal(a["masks"], b["masks"])
        assert all(torch.equal(losses_of(model, given, targets)[name], loss) for name, loss in losses.items())


def test_a_picture_on_another_device_is_refused_by_name(model):
    images, targets = small_scenes()
    given = [images[0], images[1].to("meta")]
    for run in (lambda: model.predict(given), lambda: model.loss(given, targets), lambda: model.stages(given)):
        with pytest.raises(ValueError, match="image 1 is on meta, the model on cpu.*image.to"):
            run()


def gradients(model: nn.Module, images: list, targets: list) -> list[torch.Tensor]:
    images = [image.clone().requires_grad_() for image in images]
    torch.manual_seed(1)
    total = sum(model(images, [dict(target) for target in targets]).values())
    return list(torch.autograd.grad(total, images))


@pytest.mark.parametrize("fast", [True, False])
def test_gradients_reach_the_pictures_as_torchvisions_do(fast):
    # Every region is sampled, so that the losses do not hang on the order of near ties.
    every = {"rpn_batch_size_per_image": 10_000, "box_batch_size_per_image": 1000, "norm": "frozen"}
    model = small_model(3, **every).use_fast_forms(fast).train()
    twin = fixed_twin(model).train()
    images, targets = small_scenes()
    for ours, theirs in zip(gradients(model, images, targets), gradients(twin, images, targets), strict=True):
        assert float(theirs.norm()) > 0 and float((ours - theirs).norm()) <= 1e-3 * float(theirs.norm())


@pytest.mark.parametrize("training", [True, False])
def test_a_layer_in_front_learns(model, training):
    images, targets = small_scenes()
    front = nn.Conv2d(3, 3, 1)
    model.train(training)
    sum(losses_of(model, [front(image) for image in images], targets).values()).backward()
    assert all(float(p.grad.abs().sum()) > 0 for p in front.parameters())


def test_in_evaluation_mode_the_graph_is_kept(model):
    images, _ = small_scenes()
    given = [image.clone().requires_grad_() for image in images]
    found = model(given)
    assert sum(len(image["boxes"]) for image in found) >= 4
    for name in ("boxes", "scores", "masks"):
        total = sum(image[name].sum() for image in found)
        assert all(float(g.abs().sum()) > 0 for g in torch.autograd.grad(total, given, retain_graph=True)), name
    assert not any(image["scores"].requires_grad for image in model.predict(given))


def test_a_picture_needs_no_copy_of_the_graph(model):
    """The pictures themselves stay as they were, with and without a gradient."""
    images, targets = small_scenes()
    before = [image.clone() for image in images]
    expected = losses_of(model, images, targets)
    found = losses_of(model, [image.clone().requires_grad_() for image in images], targets)
    assert all(torch.equal(found[name], loss) for name, loss in expected.items())
    assert all(torch.equal(a, b) for a, b in zip(images, before, strict=True))
