"""What is due is saved before it is evaluated, and no fault of another part costs the steps that are done."""

import errno
import os
import signal

import pytest
import torch

from mrcnn_edu.model import load_weights
from mrcnn_edu.training import CheckpointError, EvaluationError, load_checkpoint, loop, read_table

from .test_checkpoint import FullDisk
from .tiny import Hooked, Noisy, run, same_tensors, tiny_model, tiny_shapes

VAL = tiny_shapes(2, seed=9)
FAILURES = [torch.cuda.OutOfMemoryError("CUDA out of memory"), MemoryError(), KeyError("masks"),
            OSError(errno.EIO, "input/output error")]  # fmt: skip


def failing(monkeypatch, calls, error, seen=lambda: None):
    """Let the evaluations with these numbers fail."""
    real, count = loop.evaluate, iter(range(1, 100))

    def evaluate(*arguments, **options):
        seen()
        if next(count) in calls:
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(loop, "evaluate", evaluate)


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_failed_last_evaluation_leaves_all_and_says_so(tmp_path, monkeypatch, error):
    with monkeypatch.context() as patch:
        failing(patch, {1}, error)
        model = tiny_model()
        with pytest.raises(EvaluationError) as caught:
            run(model=model, out=tmp_path, val=VAL, ema=0.9)
    result = caught.value.result
    assert caught.value.__cause__ is error and type(error).__name__ in caught.value.reason
    assert str(tmp_path / "model.safetensors") in str(caught.value)
    assert result.step == 6 and result.checkpoint.exists() and result.weights == tmp_path / "model.safetensors"
    whole, reference = run(out=tmp_path / "whole", val=VAL, ema=0.9)
    for weights in (model, load_weights(result.weights), load_weights(result.checkpoint)):
        assert same_tensors(ordered(weights), ordered(whole))
    _, later = run(model=tiny_model(seed=4), out=tmp_path, val=VAL, ema=0.9, resume=True)
    assert untimed(later.metrics) == untimed(reference.metrics) and len(later.metrics) == 1


def ordered(model):
    return dict(sorted(model.state_dict().items()))


def untimed(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_without_a_folder_the_model_holds_the_weights(monkeypatch):
    failing(monkeypatch, {1}, RuntimeError("gone"))
    model = tiny_model()
    with pytest.raises(EvaluationError, match="whole in the model") as caught:
        run(model=model, val=VAL, ema=0.9)
    assert caught.value.result.weights is None and caught.value.result.step == 6
    assert same_tensors(ordered(model), ordered(run(ema=0.9)[0]))


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_failed_evaluation_between_steps_is_left_out(tmp_path, monkeypatch, error):
    failing(monkeypatch, {2}, error)
    with pytest.warns(UserWarning, match=f"after step 4 failed and is left out.*{type(error).__name__}"):
        model, result = run(out=tmp_path, val=VAL, eval_every=2)
    assert [row["step"] for row in result.metrics] == [2, 6]
    assert same_tensors(ordered(model), ordered(run()[0]))


def test_a_checkpoint_that_is_due_is_there_before_the_evaluation(tmp_path, monkeypatch):
    steps = []

    def look():
        saved = load_checkpoint(tmp_path / "checkpoint.pt")
        steps.append(
            (saved["step"], len(read_table(tmp_path / "losses.csv")), (tmp_path / "model.safetensors").exists())
        )

    failing(monkeypatch, (), None, look)
    run(out=tmp_path, val=VAL, eval_every=2)
    assert steps == [(2, 2, False), (4, 4, False), (6, 6, True)]


def test_an_error_of_the_data_keeps_the_steps_that_are_done(tmp_path):
    served = iter(range(-7, 100))

    def hook(index):
        if next(served) == 7:
            raise OSError("the drive is gone")

    with pytest.raises(OSError, match="the drive is gone"), pytest.warns(UserWarning, match="3 steps done are saved"):
        run(out=tmp_path, dataset=Hooked(Noisy(tiny_shapes()), hook), checkpoint_every=0)
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 3
    whole, _ = run(checkpoint_every=0)
    resumed, _ = run(out=tmp_path, resume=True, checkpoint_every=0)
    assert same_tensors(ordered(whole), ordered(resumed))


class FullFor:
    """Stands in for `open`: files with this ending take no more than `room` bytes."""

    def __init__(self, ending, room):
        self.ending, self.full, self.real = ending, FullDisk(room), open

    def __call__(self, path, mode="r", *arguments, **options):
        chosen = self.full if str(path).endswith(self.ending) else self.real
        return chosen(path, mode, *arguments, **options)


@pytest.mark.parametrize(
    ("ending", "room"),
    [("losses.csv", 0), ("losses.csv", 200), ("metrics.csv", 0), ("metrics.csv", 200), ("losses.csv.tmp", 200),
     ("metrics.csv.tmp", 50), ("checkpoint.pt.tmp", 0), ("checkpoint.pt.tmp", 100_000), (".partial", 0),
     (".partial", 1000)],
)  # fmt: skip
def test_a_full_disk_loses_nothing_that_was_good(tmp_path, monkeypatch, ending, room):
    """A run stopped after two steps goes on while one file cannot grow, and then once more."""
    cut = iter(range(-7, 100))
    dataset = Hooked(Noisy(tiny_shapes()), lambda index: stop() if next(cut) == 4 else None)
    run(out=tmp_path, dataset=dataset, val=VAL, eval_every=1)
    before = load_checkpoint(tmp_path / "checkpoint.pt")
    old_weights = (tmp_path / "model.safetensors").read_bytes()
    assert before["step"] == 2
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", FullFor(ending, room))
        with pytest.raises((OSError, CheckpointError)) as caught:
            run(out=tmp_path, val=VAL, eval_every=1, resume=True)
    named = "model.safetensors" if ending == ".partial" else ending.removesuffix(".tmp")
    assert named in str(caught.value) and "free some space" in str(caught.value)
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] >= 2
    if (tmp_path / "model.safetensors").read_bytes() != old_weights:  # Only the last row did not fit.
        saved = [load_weights(tmp_path / name) for name in ("model.safetensors", "checkpoint.pt")]
        assert ending == "metrics.csv" and same_tensors(*map(ordered, saved))
    whole, reference = run(out=tmp_path / "whole", val=VAL, eval_every=1)
    resumed, result = run(out=tmp_path, val=VAL, eval_every=1, resume=True)
    assert same_tensors(ordered(whole), ordered(resumed)) and untimed(result.losses) == untimed(reference.losses)
    assert untimed(result.metrics) == untimed(reference.metrics)


def stop():
    os.kill(os.getpid(), signal.SIGINT)


def test_a_model_that_the_weights_file_cannot_hold_is_in_the_checkpoint(tmp_path):
    model = tiny_model()
    model.again = model.rpn.head  # two names for one tensor
    with pytest.warns(UserWarning, match="model.safetensors was not written .* the same weights are in"):
        _, result = run(model=model, out=tmp_path)
    assert result.step == 6 and result.weights is None and load_checkpoint(result.checkpoint)["step"] == 6
