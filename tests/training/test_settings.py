import math
from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mrcnn_edu.training import TrainSettings, learning_rate
from mrcnn_edu.training.recipes import RECIPES, recipe
from mrcnn_edu.training.settings import make_optimizer, pick_device


def test_cosine_schedule_by_hand():
    settings = TrainSettings(steps=110, warmup=10, lr=1.0, final_lr=0.0)
    assert learning_rate(0, settings) == pytest.approx(0.001)
    assert learning_rate(5, settings) == pytest.approx(0.001 + 0.999 / 2)
    assert learning_rate(10, settings) == 1.0
    assert learning_rate(60, settings) == pytest.approx(0.5)
    assert learning_rate(85, settings) == pytest.approx((1 + math.cos(0.75 * math.pi)) / 2)
    assert learning_rate(110, settings) == pytest.approx(0.0)


def test_step_schedule_divides_by_ten_at_each_milestone():
    settings = TrainSettings(steps=100, warmup=0, lr=1.0, schedule="step", milestones=(0.5, 0.75))
    assert [learning_rate(t, settings) for t in (0, 49, 50, 74, 75)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


@given(
    st.integers(1, 500),
    st.integers(0, 600),
    st.sampled_from(["cosine", "step", "constant"]),
    st.floats(0, 1, allow_subnormal=False),
)
def test_learning_rate_stays_within_its_bounds_and_rises_only_in_the_warmup(steps, warmup, schedule, final):
    settings = TrainSettings(steps=steps, warmup=warmup, lr=0.5, schedule=schedule, final_lr=final)
    rates = [learning_rate(step, settings) for step in range(steps)]
    assert all(0 <= rate <= 0.5 for rate in rates)
    for step in range(1, min(warmup, steps)):
        assert rates[step] >= rates[step - 1]
    for step in range(warmup + 1, steps):
        assert rates[step] <= rates[step - 1] + 1e-12


def test_settings_round_trip_as_plain_values_and_are_frozen():
    settings = TrainSettings(milestones=[0.1, 0.2], ema=0.9)
    assert TrainSettings.from_dict(settings.to_dict()) == settings
    assert settings.to_dict()["milestones"] == [0.1, 0.2]
    with pytest.raises(FrozenInstanceError):
        settings.lr = 1
    with pytest.raises(ValueError, match="unknown training settings: momentom"):
        TrainSettings.from_dict({"momentom": 1})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", -1), ("steps", 2.5), ("batch", 0), ("batch", True), ("workers", -1), ("lr", float("nan")),
        ("lr", -0.1), ("seed", 2**63), ("optimizer", "adam"), ("schedule", "poly"), ("amp", "fp16"),
        ("clip", 0.0), ("ema", 1.0),
    ],
)  # fmt: skip
def test_a_setting_that_makes_no_sense_is_named(name, value):
    with pytest.raises(ValueError, match=f"TrainSettings.{name} must"):
        TrainSettings(**{name: value})


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_biases_and_norms_do_not_decay(name):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2))
    model[2].weight.requires_grad = False
    optimizer = make_optimizer(model, TrainSettings(optimizer=name, weight_decay=0.5))
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decays == {id(p): 0.5 if p is model[0].weight else 0.0 for p in model.parameters() if p.requires_grad}


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_the_fused_form_takes_the_steps_of_the_plain_one(name):
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)).to(memory_format=torch.channels_last)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4))
    plain.load_state_dict(model.state_dict())
    settings = TrainSettings(optimizer=name, lr=0.1)
    fused = make_optimizer(model, settings)
    readable = make_optimizer(plain, settings)
    for group in readable.param_groups:
        group["fused"] = False
    for _ in range(3):
        x = torch.randn(2, 3, 8, 8)
        for net, optimizer in ((model, fused), (plain, readable)):
            optimizer.zero_grad()
            net(x).tanh().square().mean().backward()
            optimizer.step()
    for a, b in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b.contiguous(), rtol=1e-4, atol=1e-5)


def test_a_model_with_nothing_to_train_is_refused():
    model = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameter"):
        make_optimizer(model, TrainSettings())


def test_devices():
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ValueError, match="no device: use cpu"):
        pick_device("gpu0")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no CUDA GPU"):
            pick_device("cuda")


def test_every_recipe_names_a_preset_and_fields_that_exist():
    from mrcnn_edu.datasets import DATASETS
    from mrcnn_edu.model import preset

    assert set(RECIPES) == set(DATASETS)
    for plan in (*RECIPES.values(), recipe(None)):
        assert preset(plan.preset, **plan.config).num_classes >= 2
