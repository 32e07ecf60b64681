"""On a CUDA device: the same answers as on the CPU, and no tensor left on the wrong side."""

from __future__ import annotations

import pytest
import torch

from mrcnn_edu.model import MaskRCNN, load_weights, save_weights
from tests.model.scenes import small_model, small_scenes

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.fixture(scope="module", autouse=True)
def full_precision():
    """TF32 would round the inputs of every product to ten bits."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


@pytest.fixture(scope="module")
def pair() -> tuple[MaskRCNN, MaskRCNN]:
    return small_model(), small_model().to("cuda")


def on_gpu(scene):
    images, targets = scene
    return [i.to("cuda") for i in images], [{k: v.to("cuda") for k, v in t.items()} for t in targets]


@pytest.mark.parametrize("fast", [True, False])
def test_detections_agree_with_the_cpu(pair, fast):
    ours, theirs = pair
    ours.use_fast_forms(fast), theirs.use_fast_forms(fast)
    scene = small_scenes()
    for a, b in zip(theirs.predict(on_gpu(scene)[0]), ours.predict(scene[0]), strict=True):
        assert all(value.is_cuda for value in a.values())
        assert torch.equal(a["labels"].cpu(), b["labels"])
        assert torch.allclose(a["boxes"].cpu(), b["boxes"], atol=1e-3)
        assert torch.allclose(a["scores"].cpu(), b["scores"], atol=1e-4)
        differ = ((a["masks"].cpu() > 0.5) != (b["masks"] > 0.5)).float().mean()
        assert float(differ) <= 1e-4


def test_losses_agree_with_the_cpu_where_nothing_is_drawn(pair):
    """The two devices draw different random numbers, so every anchor and RoI is sampled."""
    from dataclasses import replace

    scene = small_scenes()
    changes = {"box_batch_size_per_image": 10_000, "box_positive_fraction": 1.0}
    changes |= {"rpn_batch_size_per_image": 100_000, "rpn_positive_fraction": 1.0}
    models = []
    for model in pair:
        every = MaskRCNN(replace(model.config, **changes)).eval()
        every.load_state_dict(model.state_dict())
        models.append(every)
    cpu = models[0].loss(*scene)
    gpu = models[1].to("cuda").loss(*on_gpu(scene))
    for name, loss in cpu.items():
        assert float(gpu[name]) == pytest.approx(float(loss), rel=1e-3), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, None])
@pytest.mark.parametrize("fast", [True, False])
def test_a_training_step_runs(dtype, fast):
    model = small_model(2).to("cuda").train().use_fast_forms(fast)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    images, targets = on_gpu(small_scenes())
    with torch.autocast("cuda", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        losses = model(images, targets)
    assert all(loss.dtype == torch.float32 and loss.is_cuda for loss in losses.values())
    sum(losses.values()).backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in model.parameters())
    before = model.roi_heads.box_predictor.cls_score.weight.clone()
    optimizer.step()
    assert not torch.equal(model.roi_heads.box_predictor.cls_score.weight, before)


def test_every_public_method_runs_on_the_device(pair, tmp_path):
    model = pair[1].eval()
    images, targets = on_gpu(small_scenes())
    assert all(image["masks"].is_cuda for image in model(images))
    soft = model.predict(images)
    for form in ("bool", "rle", "none"):
        found = model.predict(images, masks=form)
        assert [len(image["boxes"]) for image in found] == [len(image["boxes"]) for image in soft]
    assert isinstance(model.predict(images, masks="rle")[0]["masks"][0]["counts"], bytes)
    stages = model.stages(images)
    tensors = [value for value in vars(stages).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) >= 9 and all(tensor.is_cuda for tensor in tensors)
    empty = [{**t, **{k: t[k][:0] for k in ("boxes", "labels", "masks")}} for t in targets]
    assert all(bool(torch.isfinite(loss)) for loss in model.loss(images, empty).values())
    loaded = load_weights(save_weights(model, tmp_path / "gpu.safetensors"))
    assert all(p.device.type == "cpu" for p in loaded.parameters())


def test_autocast_anchors_stay_float32(pair):
    model = pair[1]
    images, _ = on_gpu(small_scenes())
    plain = model.stages(images)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        half = model.stages(images)
    assert torch.equal(plain.anchors, half.anchors) and half.features["0"].dtype == torch.bfloat16


def test_moving_the_model_moves_its_anchors():
    model = small_model(3)
    images, _ = small_scenes()
    expected = model.predict(images, masks="none")
    model.to("cuda").predict(on_gpu(small_scenes())[0])
    again = model.to("cpu").predict(images, masks="none")
    assert all(torch.equal(a["boxes"], b["boxes"]) for a, b in zip(again, expected, strict=True))
