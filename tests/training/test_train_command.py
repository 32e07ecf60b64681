"""What `python -m mrcnn_edu train` says and leaves when a run does not go through; as a user starts it."""

import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from mrcnn_edu.__main__ import main
from mrcnn_edu.training import load_checkpoint, loop

from ..test_cli import SMALL, call, own_data, refused, scenes  # noqa: F401 - a fixture


def arguments(scenes, out, *more):  # noqa: F811
    val = ["--val-annotations", scenes / "annotations.json"]
    return ["train", *own_data(scenes), *SMALL, *val, "--steps", 2, "--out", out, *more]


@pytest.mark.parametrize("error", [OSError("the drive is gone"), KeyboardInterrupt()], ids=lambda e: type(e).__name__)
def test_a_last_evaluation_that_does_not_go_through(scenes, tmp_path, monkeypatch, error):  # noqa: F811
    def evaluate(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(loop, "evaluate", evaluate)
        status, _, err = call(*arguments(scenes, tmp_path / "run", "--limit", 3))
    assert status == (130 if isinstance(error, KeyboardInterrupt) else 1)
    line = err.splitlines()[-1]
    weights, checkpoint = tmp_path / "run" / "model.safetensors", tmp_path / "run" / "checkpoint.pt"
    assert line.startswith("train: error: the evaluation after the last step ") and "Traceback" not in err
    assert f"saved: {weights} and {checkpoint}" in line and load_checkpoint(checkpoint)["step"] == 2
    later = shlex.split(line.partition("Evaluate later: ")[2])
    assert later[:3] == ["python", "-m", "mrcnn_edu"] and later[-4:-2] == ["--limit", "3"]
    assert main([*later[3:], "--json"]) == 0
    status, out, err = call(*arguments(scenes, tmp_path / "run", "--resume"))
    assert status == 0 and "segm_AP " in out, err


def test_a_broken_validation_picture_is_named_before_the_first_step(scenes, tmp_path):  # noqa: F811
    from mrcnn_edu.datasets import export_coco
    from tests.training.tiny import tiny_shapes

    export_coco(tiny_shapes(length=2), tmp_path / "val")
    picture = sorted((tmp_path / "val" / "images").iterdir())[1]
    picture.write_bytes(picture.read_bytes()[:200])
    words = refused("train", *own_data(scenes), *SMALL, "--steps", 2, "--out", tmp_path / "run",
                    "--val-annotations", tmp_path / "val" / "annotations.json",
                    "--val-images", tmp_path / "val" / "images")  # fmt: skip
    assert "validation set" in words and picture.name in words and not (tmp_path / "run").exists()


START = """
import os, signal, sys, threading, time
import torch
from mrcnn_edu.__main__ import main
from mrcnn_edu.model import MaskRCNN
torch.set_num_threads(1)
real, calls = MaskRCNN.loss, iter(range(10**6))

def loss(self, *arguments):
    if next(calls) == 3:
        for _ in range(int(sys.argv[1])):
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))
            time.sleep(0.01)
    return real(self, *arguments)

MaskRCNN.loss = loss
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.parametrize(("times", "name"), [(1, "SIGINT"), (2, "SIGINT"), (1, "SIGTERM")])
def test_ctrl_c_as_a_user_presses_it(scenes, tmp_path, root, times, name):  # noqa: F811
    """In step 4 of 9, with a checkpoint after every second step."""
    command = [sys.executable, "-c", START, times, name, *arguments(scenes, tmp_path / "run", "--steps", 9)]
    done = subprocess.run([str(part) for part in command], cwd=root, capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stderr
    step = load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"]
    if times == 1:
        assert done.returncode == 0 and step == 4, done.stderr
        assert "stopped after step 4 of 9: the same command with --resume goes on" in done.stdout
        assert (tmp_path / "run" / "model.safetensors").exists()
    else:
        assert done.returncode == 130 and step == 2
        assert done.stderr.splitlines()[-1] == (
            f"train: interrupted; what was saved last is whole: checkpoint.pt in {tmp_path / 'run'}; the same command "
            "with --resume goes on"
        )
        assert not (tmp_path / "run" / "model.safetensors").exists()
    assert not (tmp_path / "run" / "run.lock").exists()


def test_two_commands_cannot_share_a_folder(scenes, tmp_path, root):  # noqa: F811
    # Its workers live on for some seconds when it is killed, and must not keep its lock.
    command = [
        sys.executable,
        "-m",
        "mrcnn_edu",
        *arguments(scenes, tmp_path / "run", "--steps", 100_000, "--workers", 2),
    ]
    first = subprocess.Popen([str(part) for part in command], cwd=root, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        while not (tmp_path / "run" / "checkpoint.pt").exists():
            assert first.poll() is None
            time.sleep(0.1)
        for how in ([], ["--resume"], ["--overwrite"]):
            words = refused(*arguments(scenes, tmp_path / "run", "--steps", 100_000, *how))
            assert f"{tmp_path / 'run'} is in use by another run" in words and f"process {first.pid} " in words
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    saved = load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"]
    status, out, err = call(*arguments(scenes, tmp_path / "run", "--resume", "--steps", saved))
    assert status == 0 and f"weights of step {saved}" in out, err
