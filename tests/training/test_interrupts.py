import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

from mrcnn_edu.model import MaskRCNN, load_weights
from mrcnn_edu.training import checkpoint, load_checkpoint, loop
from mrcnn_edu.training.interrupts import Interrupts

from .interrupted import weights_of_each_step
from .tiny import Hooked, run, same_tensors, tiny_model, tiny_shapes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_runs_interrupted_at_any_place_leave_a_whole_state(tmp_path, root):
    command = [sys.executable, "-m", "tests.training.interrupted", str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall("^interrupted .* workers: whole$", done.stdout, re.M)) == 30
    assert int(re.search(r"interrupted (\d+) times at random", done.stdout)[1]) >= 1


def test_the_second_does_not_wait():
    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)
        assert interrupts.asked == 1
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0)
        pytest.fail("the second interrupt did not get through")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_nothing_depends_on_it_the_first_does_not_wait_either():
    with Interrupts() as interrupts:
        with pytest.raises(KeyboardInterrupt), interrupts.at_once():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0)
            pytest.fail("the interrupt did not get through")
        with pytest.raises(KeyboardInterrupt), interrupts.at_once():
            pytest.fail("an interrupt that came before is not forgotten")


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None])
def test_who_ignores_or_handles_a_signal_goes_on_doing_so(handler):
    number = signal.SIGINT if handler is signal.SIG_IGN else signal.SIGTERM
    before = signal.signal(number, handler)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), number)
            time.sleep(0)
            assert interrupts.asked == 0
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)


def test_nothing_is_held_in_another_thread():
    seen = []

    def work():
        with Interrupts():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_the_system_asking_the_process_to_end_is_like_ctrl_c(tmp_path, monkeypatch):
    raising(monkeypatch, MaskRCNN, "loss", 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    model, result = run(out=tmp_path)
    assert result.interrupted and result.step == 3 == load_checkpoint(result.checkpoint)["step"]
    assert same_tensors(load_weights(result.weights).state_dict(), model.state_dict())


def raising(monkeypatch, owner, name, count, what=None):
    """Make call number `count` of owner.name raise KeyboardInterrupt, or do `what`, before its work."""
    real, calls = getattr(owner, name), iter(range(1, 10**6))

    def wrapped(*arguments, **options):
        if next(calls) == count:
            if what is None:
                raise KeyboardInterrupt
            what()
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, wrapped)


CUT = {
    "forward": (MaskRCNN, "loss", 4),
    "backward": (torch.Tensor, "backward", 4),
    "clip": (torch.nn.utils, "clip_grad_norm_", 4),
    "optimizer": (torch.amp.GradScaler, "step", 4),
    "after the optimizer": (torch.amp.GradScaler, "update", 4),
    "average": (loop.TrainState, "_average", 4),
}


@pytest.fixture(scope="module")
def steps():
    """The weights after each step of an undisturbed run."""
    return weights_of_each_step(6)


@pytest.mark.parametrize("place", CUT)
def test_weights_never_come_from_an_update_that_was_cut(tmp_path, monkeypatch, place, steps):
    """Interrupted in step 4: disk, result and model hold step 2, the last one that is whole and saved."""
    with monkeypatch.context() as patch:
        raising(patch, *CUT[place])
        model, result = run(out=tmp_path, ema=0.9)
    saved = load_checkpoint(tmp_path / "checkpoint.pt")
    assert result.interrupted and result.step == saved["step"] == 2 == len(result.losses)
    for weights in (saved["model"], load_weights(tmp_path / "model.safetensors").state_dict(), model.state_dict()):
        assert same_tensors(sorted_items(weights), sorted_items(steps[1]))
    whole, _ = run(ema=0.9)
    resumed, _ = run(out=tmp_path, resume=True, ema=0.9)
    assert same_tensors(whole.state_dict(), resumed.state_dict())


def sorted_items(state):
    return dict(sorted(state.items()))


@pytest.mark.parametrize("place", list(CUT)[::2])
def test_where_no_step_is_saved_a_cut_update_leaves_no_weights(tmp_path, monkeypatch, place):
    owner, name, _ = CUT[place]
    with monkeypatch.context() as patch:
        raising(patch, owner, name, 2)
        with pytest.raises(KeyboardInterrupt):
            run(out=tmp_path, checkpoint_every=0)
    assert not (tmp_path / "model.safetensors").exists() and not (tmp_path / "checkpoint.pt").exists()
    whole, _ = run(checkpoint_every=0)
    resumed, _ = run(out=tmp_path, resume=True, checkpoint_every=0)
    assert same_tensors(whole.state_dict(), resumed.state_dict())


@pytest.mark.parametrize(
    ("owner", "name", "count", "step"),
    [
        (loop, "save_checkpoint", 2, 4),
        (checkpoint.os, "replace", 4, 4),
        (loop, "evaluate", 1, 2),
        (loop, "evaluate", 3, 6),
        (loop, "save_weights", 1, 6),
    ],
)
def test_an_interrupt_while_saving_or_evaluating_loses_no_step(tmp_path, monkeypatch, owner, name, count, step):
    val = tiny_shapes(2, seed=9)
    with monkeypatch.context() as patch:
        raising(patch, owner, name, count)
        model, result = run(out=tmp_path, val=val, eval_every=2)
    assert result.interrupted and result.step == step == load_checkpoint(result.checkpoint)["step"]
    assert same_tensors(load_weights(result.weights).state_dict(), model.state_dict())
    _, resumed = run(model=tiny_model(seed=3), out=tmp_path, val=val, eval_every=2, resume=True)
    assert [row["step"] for row in resumed.metrics] == [2, 4, 6] and not resumed.interrupted


def test_a_run_stopped_before_its_first_step_leaves_nothing(tmp_path, monkeypatch):
    out = tmp_path / "new" / "run"

    calls = iter(range(-7, 100))  # The checker looks at all seven images once.

    def press(index):
        if next(calls) == 0:
            os.kill(os.getpid(), signal.SIGINT)

    _, result = run(out=out, dataset=Hooked(tiny_shapes(), press))
    assert result.interrupted and result.step == 0 and result.checkpoint is None and result.weights is None
    assert not (tmp_path / "new").exists()
    assert run(out=out)[1].step == 6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_workers_that_wait_do_not_hold_up_the_end(tmp_path, root):
    """Twice Ctrl-C while both worker processes sleep in an item: the run ends long before they would wake."""
    done = subprocess.run([sys.executable, "-c", SLOW, str(tmp_path)], cwd=root, capture_output=True, text=True,
                          timeout=200)  # fmt: skip
    assert done.returncode == 130, done.stdout + done.stderr
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] >= 2 and done.stderr == ""


SLOW = """
import os, signal, sys, threading, time
import torch
from tests.training.tiny import Hooked, run, tiny_shapes
torch.set_num_threads(1)
main = os.getpid()
seen = iter(range(10**6))

def slow(index):
    if os.getpid() != main and next(seen) > 4:
        time.sleep(1000)

def press():
    while not os.path.exists(sys.argv[1] + "/checkpoint.pt"):
        time.sleep(0.05)
    time.sleep(1)
    for _ in range(2):
        os.kill(main, signal.SIGINT)
        time.sleep(0.5)

threading.Thread(target=press, daemon=True).start()
try:
    run(dataset=Hooked(tiny_shapes(), slow), out=sys.argv[1], workers=2, steps=50)
except KeyboardInterrupt:
    sys.exit(130)
"""
