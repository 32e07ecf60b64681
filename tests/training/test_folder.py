import os
import re
import subprocess
import sys
import threading

import pytest

from mrcnn_edu.training import CheckpointError, FolderInUseError, lock, read_table
from mrcnn_edu.training.folder import RunFolder
from mrcnn_edu.training.lock import FolderLock

from .tiny import Hooked, run, same_tensors, tiny_model, tiny_shapes

HOLDER = """
import sys
from pathlib import Path
from mrcnn_edu.training.folder import RunFolder
with RunFolder(sys.argv[1]) as folder:
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path, root):
    """Another process that holds the folder of a run."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "run")], cwd=root, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"overwrite": True}])
def test_a_second_run_is_refused_by_name(tmp_path, holder, how):
    with pytest.raises(FolderInUseError) as caught:
        run(out=tmp_path / "run", **how)
    words = re.compile(
        rf"{re.escape(str(tmp_path / 'run'))} is in use by another run \(process {holder.pid} on .+, since"
    )
    assert words.match(str(caught.value))
    assert os.listdir(tmp_path / "run") == ["run.lock"]


def test_a_process_that_was_killed_keeps_no_lock(tmp_path, holder):
    holder.kill()
    holder.wait()
    assert (tmp_path / "run" / "run.lock").exists()
    assert run(out=tmp_path / "run")[1].step == 6
    assert not (tmp_path / "run" / "run.lock").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_copy_of_the_process_keeps_no_lock_and_gives_none_back(tmp_path):
    """A worker that lives on when its run is dead does not hold the folder, and its end does not free it."""
    held = FolderLock(tmp_path)
    held.acquire()
    pid = os.fork()
    if not pid:
        held.release()
        os._exit(0 if held.path.exists() and not lock._in_use else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    with pytest.raises(FolderInUseError, match="this process"):
        FolderLock(tmp_path).acquire()
    held.release()
    FolderLock(tmp_path).acquire()


def test_two_threads_of_one_process(tmp_path):
    """The second call is made while the first one trains, by another name of the same folder."""
    (tmp_path / "link").symlink_to(tmp_path / "run")
    refused, calls = [], iter(range(10**6))

    def second():
        try:
            run(out=tmp_path / "link", model=tiny_model(seed=1), overwrite=True)
        except FolderInUseError as error:
            refused.append(str(error))

    def hook(index):
        if next(calls) == 9:
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()

    model, result = run(out=tmp_path / "run", dataset=Hooked(tiny_shapes(), hook))
    assert len(refused) == 1 and "link is in use by another run (this process)" in refused[0]
    assert result.step == 6 and len(read_table(tmp_path / "run" / "losses.csv")) == 6
    assert same_tensors(model.state_dict(), run(dataset=tiny_shapes())[0].state_dict())


def test_of_many_threads_one_gets_it(tmp_path):
    start, got = threading.Barrier(8), []

    def take():
        start.wait()
        try:
            FolderLock(tmp_path).acquire()
            got.append(True)
        except FolderInUseError:
            got.append(False)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 7 + [True]


@pytest.mark.skipif(lock.fcntl is None, reason="needs fcntl")
def test_a_file_system_without_locks_is_said_and_works(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with pytest.warns(UserWarning, match="locks do not work on this file system .*see to it that none does"):
        _, result = run(out=tmp_path / "run")
    assert result.step == 6


def test_a_folder_that_cannot_be_one(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file is a file: give the path of a folder for the run"):
        run(out=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["checkpoint.pt", "losses.csv", "metrics.csv", "model.safetensors"])
def test_any_result_of_another_run_asks_what_to_do(tmp_path, name):
    run(out=tmp_path, val=tiny_shapes(2, seed=9))
    for other in tmp_path.iterdir():
        if other.name != name:
            other.unlink()
    before = (tmp_path / name).read_bytes()
    with pytest.raises(FileExistsError, match=rf"already holds a run: resume it, .* \(it holds {name}\)"):
        run(out=tmp_path)
    assert (tmp_path / name).read_bytes() == before and os.listdir(tmp_path) == [name]
    whole, _ = run()
    again, result = run(out=tmp_path, overwrite=True)
    assert same_tensors(whole.state_dict(), again.state_dict()) and result.step == 6 == len(result.losses)


def test_a_table_of_somebody_else_is_not_replaced(tmp_path):
    (tmp_path / "losses.csv").write_text("profit and loss\n")
    with pytest.raises(FileExistsError, match="it holds losses.csv"):
        run(out=tmp_path)
    assert (tmp_path / "losses.csv").read_text() == "profit and loss\n"


def test_weights_alone_cannot_be_resumed_and_stay(tmp_path):
    run(out=tmp_path)
    (tmp_path / "checkpoint.pt").unlink()
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(FileExistsError, match="holds model.safetensors, but no checkpoint.pt"):
        run(out=tmp_path, resume=True)
    assert (tmp_path / "model.safetensors").read_bytes() == before


def test_what_a_killed_run_left_half_written_goes(tmp_path):
    for name in ("checkpoint.pt.tmp", "losses.csv.tmp", "model.123.partial"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / "mine.txt").write_text("stays")
    run(out=tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.pt", "losses.csv", "metrics.csv", "mine.txt",
                                            "model.safetensors"]  # fmt: skip


@pytest.mark.parametrize(
    "fault",
    [{"dataset": tiny_shapes(length=0)}, {"model": tiny_model(num_classes=3)}, {"device": "cuda:99"},
     {"val": tiny_shapes(length=0)}, {"mistake": "none"}],
)  # fmt: skip
def test_a_run_that_fails_before_its_first_step_blocks_nothing(tmp_path, fault):
    out = tmp_path / "new" / "run"
    with pytest.raises(ValueError):
        run(out=out, **fault)
    assert os.listdir(tmp_path) == []
    assert run(out=out)[1].step == 6
    before = (out / "checkpoint.pt").read_bytes()
    with pytest.raises(ValueError):
        run(out=out, overwrite=True, **fault)
    assert (out / "checkpoint.pt").read_bytes() == before


def test_a_run_whose_first_step_fails_blocks_nothing(tmp_path):
    model = tiny_model()

    def loss(*_):
        raise RuntimeError("a bug")

    model.loss = loss
    with pytest.raises(RuntimeError):
        run(model=model, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_without_steps_saves_what_it_was_given_and_goes_on(tmp_path):
    model, result = run(steps=0, out=tmp_path, val=tiny_shapes(2, seed=9))
    assert result.step == 0 and result.weights.exists() and len(result.metrics) == 1
    assert same_tensors(model.state_dict(), tiny_model().state_dict())
    whole, _ = run()
    with pytest.warns(UserWarning, match="planned for 0 steps, now 6"):
        resumed, _ = run(out=tmp_path, resume=True)
    assert same_tensors(whole.state_dict(), resumed.state_dict())


def test_a_checkpoint_of_other_classes_is_refused(tmp_path):
    class Renamed(Hooked):
        def __init__(self, dataset, names):
            super().__init__(dataset, lambda index: None)
            self.class_names = names

    run(out=tmp_path, dataset=tiny_shapes())
    background, *names = tiny_shapes().class_names
    dataset = Renamed(tiny_shapes(), (background, *reversed(names)))
    with pytest.raises(CheckpointError, match="the classes .*this run has"):
        run(out=tmp_path, dataset=dataset, resume=True)


def test_a_folder_object_says_what_it_holds(tmp_path):
    with RunFolder(tmp_path / "a" / "b") as folder:
        assert folder.results() == [] and not folder.resumes
    assert not (tmp_path / "a").exists()
