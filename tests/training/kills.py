"""Training runs that are killed with SIGKILL, each in a forked process; run as a program by test_kills.

Usage: python -m tests.training.kills FOLDER. Ends with status 0 if every killed and resumed run ended bit-identical
to the one that was left alone.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import torch

from mrcnn_edu.training import checkpoint, load_checkpoint, loop, read_table, tables, train

from .tiny import Noisy, same_tensors, tiny_model, tiny_settings, tiny_shapes


def one_run(folder: Path) -> None:
    settings = tiny_settings(steps=9, checkpoint_every=2, eval_every=3, ema=0.9)
    train(tiny_model(), Noisy(tiny_shapes()), settings, tiny_shapes(2, seed=9), folder, resume=True, progress=False)


def die(*_, **__) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def on_call(module, name: str, count: int, half: bool = False) -> None:
    """Die in call number `count` of module.name: before it does anything, or when it has written half its bytes."""
    real, calls = getattr(module, name), iter(range(1, 10**6))

    def wrapped(*arguments, **options):
        if next(calls) < count:
            return real(*arguments, **options)
        if half:
            state, file = arguments
            real(state, _HalfFile(file))
        die()

    setattr(module, name, wrapped)


class _HalfFile:
    def __init__(self, file):
        self.file, self.written = file, 0

    def write(self, data) -> int:
        self.written += len(data)
        if self.written > 100_000:
            self.file.file.flush()
            die()
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


# Each is called in the process that is going to die.
MOMENTS = {
    "before the first step": lambda: on_call(loop.TrainState, "update", 1),
    "before step 4": lambda: on_call(loop.TrainState, "update", 4),
    "between update and row": lambda: on_call(tables.Table, "append", 5),
    "between rows and checkpoint": lambda: (
        on_call(checkpoint, "save_checkpoint", 2) or setattr(loop, "save_checkpoint", checkpoint.save_checkpoint)
    ),
    "half of the checkpoint written": lambda: on_call(torch, "save", 2, half=True),
    "checkpoint written, not in place": lambda: on_call(os, "replace", 5),
    "in an evaluation": lambda: on_call(loop, "evaluate", 2),
    "before the last checkpoint": lambda: on_call(torch, "save", 5),
}


def child(work) -> int:
    """Fork, do the work in the child, and return its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def outcome(pid: int) -> int:
    """How a child ended: its exit status, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def same_run(a: Path, b: Path) -> bool:
    """Whether two runs left the same checkpoint bit for bit and the same tables but for the clock."""

    def table(folder, name):
        return [{k: v for k, v in row.items() if k != "seconds"} for row in read_table(folder / name)]

    checkpoints = same_tensors(load_checkpoint(a / "checkpoint.pt"), load_checkpoint(b / "checkpoint.pt"))
    return checkpoints and all(table(a, name) == table(b, name) for name in ("losses.csv", "metrics.csv"))


def killed_at(moment: str, folder: Path) -> None:
    def work():
        MOMENTS[moment]()
        one_run(folder)

    ended = outcome(child(work))
    assert ended == -signal.SIGKILL, f"{moment}: the run was to be killed, but ended with {ended}"
    assert outcome(child(lambda: one_run(folder))) == 0, f"{moment}: the resumed run failed"


def killed_at_random(folder: Path) -> int:
    """Kill the run after random times until it gets through; returns how many kills it took."""
    dice, kills = random.Random(3), 0
    while True:
        pid = child(lambda: one_run(folder))
        if kills < 8:
            time.sleep(dice.uniform(0.02, 0.5))
            os.kill(pid, signal.SIGKILL)
        ended = outcome(pid)
        if ended == 0:
            return kills
        assert ended == -signal.SIGKILL, f"the resumed run failed with {ended}"
        kills += 1


def main(folder: Path) -> None:
    """All moments, then random ones, against one run that nobody disturbed."""
    torch.set_num_threads(1)
    assert outcome(child(lambda: one_run(folder / "whole"))) == 0
    assert [row["step"] for row in read_table(folder / "whole" / "losses.csv")] == list(range(1, 10))
    for number, moment in enumerate(MOMENTS):
        killed_at(moment, folder / str(number))
        assert same_run(folder / "whole", folder / str(number)), f"{moment}: the resumed run ended otherwise"
        print(f"killed {moment}: bit-identical")
    kills = killed_at_random(folder / "random")
    assert same_run(folder / "whole", folder / "random"), "random kills: the resumed run ended otherwise"
    print(f"killed {kills} times at random: bit-identical")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
