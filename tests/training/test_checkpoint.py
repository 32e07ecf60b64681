import builtins
import errno
import os
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from mrcnn_edu.training import CheckpointError, load_checkpoint, save_checkpoint
from mrcnn_edu.training.checkpoint import random_state, set_random_state

STATE = {"weights": {"a": torch.arange(5000.0)}, "step": 7, "name": "x", "list": [1, None, (2.5, True)]}


def test_a_checkpoint_reads_back_and_leaves_one_file(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, STATE)
    save_checkpoint(path, {**STATE, "step": 8})
    state = load_checkpoint(path)
    assert state["step"] == 8 and torch.equal(state["weights"]["a"], STATE["weights"]["a"])
    assert state["list"] == STATE["list"] and os.listdir(tmp_path) == ["checkpoint.pt"]


class FullDisk:
    """Stands in for `open`: files that are written to refuse more than `room` bytes."""

    def __init__(self, room):
        self.room, self.open = room, builtins.open

    def __call__(self, path, mode="r", *args, **kwargs):
        file = self.open(path, mode, *args, **kwargs)
        return _Limited(file, self.room) if mode[0] in "wa" else file


class _Limited:
    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.mark.parametrize("room", [0, 10, 300, 1000, 15_000, 20_500])
def test_a_full_disk_leaves_the_old_checkpoint(tmp_path, monkeypatch, room):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, STATE)
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", FullDisk(room))
        with pytest.raises(
            CheckpointError, match=r"cannot save .*No space left.*last good one is still at .*free some"
        ):
            save_checkpoint(path, {**STATE, "step": 8})
    assert load_checkpoint(path)["step"] == 7 and os.listdir(tmp_path) == ["checkpoint.pt"]
    save_checkpoint(path, {**STATE, "step": 9})
    assert load_checkpoint(path)["step"] == 9


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_file_size_limit_of_the_system_leaves_the_old_checkpoint(tmp_path):
    code = f"""
import resource, torch
from mrcnn_edu.training import save_checkpoint, load_checkpoint, CheckpointError
path = {str(tmp_path / "checkpoint.pt")!r}
save_checkpoint(path, {{"step": 1}})
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
try:
    save_checkpoint(path, {{"step": 2, "weights": torch.zeros(100_000)}})
except CheckpointError as error:
    print(error, load_checkpoint(path)["step"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "cannot save" in done.stdout and done.stdout.strip().endswith("1")


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="no earlier one"):
        save_checkpoint(tmp_path / "missing" / "checkpoint.pt", STATE)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_inside_is_refused_and_does_not_run(tmp_path, write):
    path = tmp_path / "checkpoint.pt"
    write({"model": {}, "bomb": Bomb(tmp_path / "exploded")}, path)
    with pytest.raises(CheckpointError, match="checkpoint.pt is refused.*nothing in it was run"):
        load_checkpoint(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_checkpoint_is_named(tmp_path, share):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, STATE)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CheckpointError, match="checkpoint.pt cannot be read, it may be truncated"):
        load_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"\x89PNG\r\n\x1a\n" + bytes(100)])
def test_a_file_that_is_no_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="weights.pt cannot be read"):
        load_checkpoint(path)


def test_a_bare_state_dict_is_no_checkpoint(tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "weights.pth")
    with pytest.raises(CheckpointError, match="no training checkpoint"):
        load_checkpoint(tmp_path / "weights.pth")


def test_a_missing_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "checkpoint.pt")


def test_random_states_go_through_a_file(tmp_path):
    def draw():
        return random.random(), random.gauss(0, 1), np.random.standard_normal(3).tolist(), torch.randn(3).tolist()  # noqa: NPY002

    draw()
    save_checkpoint(tmp_path / "random.pt", {"random": random_state()})
    first = draw()
    assert draw() != first
    set_random_state(load_checkpoint(tmp_path / "random.pt")["random"])
    assert draw() == first
