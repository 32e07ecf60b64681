"""Predictions and losses from one thread while another trains the same model."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from mrcnn_edu.model import MaskRCNN
from tests.model.scenes import small_model, small_scenes

ROUNDS = 12


@pytest.fixture
def model() -> MaskRCNN:
    return small_model(3).train()


def statistics(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.named_buffers()}


def together(*jobs) -> None:
    """Run the jobs at the same time; their errors are raised here."""
    errors = []

    def guarded(job):
        try:
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_the_mode_of_no_module_ever_changes(model, monkeypatch):
    """Not even for a moment: every write of a module's mode is seen."""
    images, targets = small_scenes()
    writes, real = [], nn.Module.__setattr__

    def watched(module, name, value):
        if name == "training":
            writes.append(type(module).__name__)
        real(module, name, value)

    monkeypatch.setattr(nn.Module, "__setattr__", watched)
    before = statistics(model)
    model.predict(images)
    model.stages(images)
    assert writes == [] and all(module.training for module in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    model.loss(images, targets)
    assert writes == []


def test_mixed_modes_stay(model):
    model.backbone.body.layer1.eval()
    modes = [module.training for module in model.modules()]
    model.predict(small_scenes()[0])
    assert [module.training for module in model.modules()] == modes and len(set(modes)) == 2


def test_a_prediction_in_training_mode_is_that_of_evaluation_mode(model):
    images, _ = small_scenes()
    found = model.predict(images)
    for a, b in zip(found, model.eval().predict(images), strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("listened", [False, True])
def test_training_and_predicting_at_once(model, listened):
    """With a rate of 0 the weights stay, so each prediction is known, and what training sees must be as if alone."""
    images, targets = small_scenes()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    alone = small_model(3).train()
    seen = []
    if listened:
        model.backbone.body.layer1[0].conv1.register_forward_hook(lambda module, *_: seen.append(module.training))
    expected = model.eval().predict(images)
    model.train()
    for norm in norms:
        norm.momentum = 0.0
    found, modes = [], []

    def train():
        for _ in range(ROUNDS):
            sum(model(images, targets).values()).backward()
            modes.extend(module.training for module in model.modules())

    def predict():
        for _ in range(ROUNDS):
            found.append(model.predict(images))
            found.append(model.stages(images).detections)

    together(train, predict, predict)
    assert all(modes) and len(found) == 4 * ROUNDS
    for result in found:
        for a, b in zip(result, expected, strict=True):
            assert torch.equal(a["labels"], b["labels"]) and torch.allclose(a["boxes"], b["boxes"], atol=1e-3)
    for _ in range(ROUNDS):
        sum(alone(images, targets).values()).backward()
    counts = [int(norm.num_batches_tracked) for norm in norms]
    assert counts == [int(m.num_batches_tracked) for m in alone.modules() if isinstance(m, nn.BatchNorm2d)]
    if listened:
        assert set(seen[1:]) == {True, False}


def test_losses_in_either_mode_from_several_threads(model):
    images, targets = small_scenes()
    losses = []
    for training in (True, False):
        model.train(training)
        together(*[lambda: losses.append(model.loss(images, targets))] * 4)
        assert all(module.training is training for module in model.modules())
    assert len(losses) == 8 and all(bool(torch.isfinite(loss)) for each in losses for loss in each.values())


class Counting(nn.Module):
    """A wrapper that keeps something for its owner to read."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner, self.calls, self.kept, self.history = inner, 0, None, []

    def forward(self, x):
        assert not self.training
        self.calls += 1
        self.kept = self.inner(x)
        self.history.append(self.calls)
        return self.kept


def test_what_a_module_of_the_users_keeps_is_kept(model):
    model.backbone.body.layer2 = wrapper = Counting(model.backbone.body.layer2)
    model.train()
    for _ in range(2):
        model.predict(small_scenes()[0])
    assert wrapper.calls == 2 and wrapper.history == [1, 2] and wrapper.kept.shape[1] == 64 and wrapper.training
