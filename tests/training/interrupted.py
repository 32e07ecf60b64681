"""Training runs that are interrupted once or twice at many places, each in a forked process; a program of its own.

Usage: python -m tests.training.interrupted FOLDER. Ends with status 0 if, after each, the folder holds the state of a
step that an undisturbed run has too, and the resumed run ends bit-identical to that one.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import safetensors.torch
import torch

from mrcnn_edu.model import MaskRCNN, weights
from mrcnn_edu.training import checkpoint, load_checkpoint, loop, tables, train

from .kills import _HalfFile, child, outcome, same_run
from .tiny import Noisy, same_tensors, tiny_model, tiny_settings, tiny_shapes

ONCE, TWICE = 10, 11  # how a child says that its run was stopped, and that it was ended at once


def one_run(folder: Path, workers: int = 0, **more) -> loop.TrainResult:
    settings = tiny_settings(steps=7, checkpoint_every=2, eval_every=3, ema=0.9, workers=workers, **more)
    return train(tiny_model(), Noisy(tiny_shapes()), settings, tiny_shapes(2, seed=9), folder, True, progress=False)


def weights_of_each_step(steps: int) -> list[dict]:
    """What an undisturbed run of so many steps would save as weights after each of them."""
    found, update = [], loop.TrainState.update

    def watched(self, *arguments):
        row = update(self, *arguments)
        found.append({name: value.clone() for name, value in self.best_model.state_dict().items()})
        return row

    loop.TrainState.update = watched
    try:
        train(tiny_model(), Noisy(tiny_shapes()), tiny_settings(steps=steps, ema=0.9), progress=False)
    finally:
        loop.TrainState.update = update
    return found


def press(times: int) -> None:
    """Ctrl-C, so many times; the second comes when the first has been seen."""
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):
            pass  # Python calls a handler between two instructions.


def on_call(owner, name: str, count: int, times: int, after: bool = False) -> None:
    """Press in call number `count` of owner.name: before it does anything, or when it has done its work."""
    real, calls = getattr(owner, name), iter(range(1, 10**6))

    def wrapped(*arguments, **options):
        if next(calls) != count:
            return real(*arguments, **options)
        if not after:
            press(times)
        result = real(*arguments, **options)
        if after:
            press(times)
        return result

    setattr(owner, name, wrapped)


def half_a_checkpoint(times: int, inside: bool) -> None:
    """Press when half of the second checkpoint is written: inside the file's own write, or beside it."""
    real, calls = torch.save, iter(range(1, 10**6))

    def save(state, file):
        if next(calls) == 2:
            if inside:
                file.file = _Pressing(file.file, times)
            else:
                file = _Pressing(file, times)
        real(state, file)

    torch.save = save


class _Pressing(_HalfFile):
    def __init__(self, file, times: int):
        super().__init__(file)
        self.times = times

    def write(self, data) -> int:
        self.written += len(data)
        if self.written > 100_000 and self.times:
            self.times, times = 0, self.times
            press(times)
        return self.file.write(data)

    def fileno(self) -> int:
        return self.file.fileno()


PLACES = {
    "in the forward pass": lambda n: on_call(MaskRCNN, "loss", 4, n),
    "after the optimizer's step": lambda n: on_call(torch.amp.GradScaler, "step", 4, n, after=True),
    "before the row": lambda n: on_call(tables.Table, "append", 6, n),
    "after the row": lambda n: on_call(tables.Table, "append", 6, n, after=True),
    "in a checkpoint": lambda n: half_a_checkpoint(n, inside=True),
    "in a checkpoint, beside its writes": lambda n: half_a_checkpoint(n, inside=False),
    "checkpoint written, not in place": lambda n: on_call(checkpoint.os, "replace", 4, n),
    "in the last checkpoint": lambda n: on_call(torch, "save", 4, n),
    "before the weights": lambda n: on_call(loop, "save_weights", 1, n),
    "weights written, not in place": lambda n: on_call(weights.os, "replace", 7, n),
    "while loading": lambda n: on_call(Noisy, "__getitem__", 7 + 6, n),
}
# Where the first interrupt need not wait, the second comes while the run is being saved.
AT_ONCE = {
    "in an evaluation": lambda n: on_call(loop, "evaluate", 2, 1) or n > 1 and on_call(loop, "save_weights", 1, 1),
    "after an evaluation": lambda n: (
        on_call(loop, "evaluate", 2, 1, after=True) or n > 1 and on_call(loop, "save_weights", 1, 1)
    ),
    "in the last evaluation": lambda n: on_call(loop, "evaluate", 3, 1) or n > 1 and on_call(loop._Run, "keep", 2, 1),
}


def interrupted_run(folder: Path, place: str, times: int, workers: int) -> int:
    def work():
        (PLACES | AT_ONCE)[place](times)
        try:
            result = one_run(folder, workers)
        except KeyboardInterrupt:
            os._exit(TWICE)
        os._exit(ONCE if result.interrupted else 0)

    return outcome(child(work))


def weights_in(folder: Path) -> dict:
    return dict(sorted(safetensors.torch.load_file(folder / "model.safetensors").items()))


def check_whole(folder: Path, steps: list[dict], what: str) -> None:
    """The checkpoint and the weights on disk are those that a step of the undisturbed run has."""
    if (folder / "checkpoint.pt").exists():
        saved = load_checkpoint(folder / "checkpoint.pt")
        assert same_tensors(dict(saved["model"]), steps[saved["step"] - 1]), f"{what}: the checkpoint is torn"
    if (folder / "model.safetensors").exists():
        found = weights_in(folder)
        assert any(same_tensors(found, dict(sorted(step.items()))) for step in steps), f"{what}: torn weights"
    leftovers = [path.name for path in folder.glob("*.tmp")] if folder.exists() else []
    assert not leftovers, f"{what}: {leftovers}"


def main(folder: Path) -> None:
    """All places once and twice, some with worker processes, then random moments."""
    torch.set_num_threads(1)
    steps = weights_of_each_step(7)
    assert outcome(child(lambda: one_run(folder / "whole"))) == 0
    tries = [(place, times, 0) for place in PLACES | AT_ONCE for times in (1, 2)]
    tries += [("in an evaluation", 1, 2), ("before the row", 2, 2)]
    for number, (place, times, workers) in enumerate(tries):
        what, here = f"{place}, {times}x, {workers} workers", folder / str(number)
        ended = interrupted_run(here, place, times, workers)
        assert ended == (ONCE if times == 1 else TWICE), f"{what}: ended with {ended}"
        check_whole(here, steps, what)
        if times == 1:
            kept = load_checkpoint(here / "checkpoint.pt")["model"]
            assert same_tensors(weights_in(here), dict(sorted(kept.items()))), what
        else:
            assert outcome(child(lambda here=here: one_run(here))) == 0, f"{what}: the resumed run failed"
            assert same_run(folder / "whole", here), f"{what}: the resumed run ended otherwise"
        print(f"interrupted {what}: whole")
    print(f"interrupted {at_random(folder, steps)} times at random: whole")


def at_random(folder: Path, steps: list[dict]) -> int:
    """Interrupt a run after random times, once or twice, until it gets through; returns how many it took."""
    dice, count, here = random.Random(5), 0, folder / "random"

    def work():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            os._exit(ONCE if one_run(here).interrupted else 0)
        except KeyboardInterrupt:
            os._exit(TWICE)

    while True:
        pid = child(work)
        if count < 10:
            time.sleep(dice.uniform(0.05, 0.6))
            for _ in range(1 + count % 2):
                os.kill(pid, signal.SIGINT)
                time.sleep(dice.uniform(0, 0.02))
        ended = outcome(pid)
        check_whole(here, steps, f"random {count}")
        if ended == 0:
            assert same_run(folder / "whole", here), "random interrupts: the run ended otherwise"
            return count
        assert ended in (ONCE, TWICE), f"the interrupted run ended with {ended}"
        count += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
