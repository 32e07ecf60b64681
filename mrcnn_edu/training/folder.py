"""The folder of a run: who may write there, what lies in it, and what of it belongs to another run."""

from __future__ import annotations

from pathlib import Path

from .lock import FolderLock

CHECKPOINT, WEIGHTS, LOSSES_TABLE, METRICS_TABLE = "checkpoint.pt", "model.safetensors", "losses.csv", "metrics.csv"
# What a run that was killed while writing leaves beside the files it was about to replace.
LEFTOVERS = ("*.tmp", "model.*.partial")


class RunFolder:
    """From entry to exit the folder belongs to one run alone. A run that has saved nothing leaves nothing.

    out        the folder, made if missing; None for a run that keeps nothing on disk
    resume     whether to go on from the checkpoint in it
    overwrite  whether to start anew although it holds a run
    raises     FileExistsError if it holds results and neither is set, or nothing that one can go on from;
               FolderInUseError if another run writes there; ValueError for `resume` without a folder
    """

    def __init__(self, out: str | Path | None, resume: bool = False, overwrite: bool = False):
        if resume and out is None:
            raise ValueError("resume needs the folder of the run: give out=")
        self.path = None if out is None else Path(out)
        self.resume, self.overwrite, self.made = resume, overwrite, []

    def file(self, name: str) -> Path | None:
        """The path of one of its files."""
        return None if self.path is None else self.path / name

    @property
    def resumes(self) -> bool:
        """Whether there is a checkpoint to go on from, and it is wanted."""
        return self.resume and self.file(CHECKPOINT).exists()

    def results(self) -> list[str]:
        """The names of the files in it that hold results of a run: a table with no row is none."""
        found = [name for name in (CHECKPOINT, WEIGHTS) if self.file(name).exists()]
        return found + [name for name in (LOSSES_TABLE, METRICS_TABLE) if _has_rows(self.file(name))]

    def __enter__(self) -> RunFolder:
        if self.path is None:
            return self
        self.made = _make(self.path)
        self.lock = FolderLock(self.path)
        try:
            self.lock.acquire()
        except BaseException:
            self._remove_if_empty()
            raise
        try:
            self._refuse_another_run()
            for pattern in LEFTOVERS:
                for path in self.path.glob(pattern):
                    path.unlink()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        if self.path is not None:
            self.lock.release()
            self._remove_if_empty()

    def clear(self) -> None:
        """Remove the results of the run that is overwritten; the tables are replaced when they are opened."""
        for name in (CHECKPOINT, WEIGHTS):
            self.file(name).unlink(missing_ok=True)

    def _refuse_another_run(self) -> None:
        found = self.results()
        if not found or self.overwrite or self.resumes:
            return
        if not self.resume:
            raise FileExistsError(f"{self.path} already holds a run: resume it, choose another folder, or overwrite it "
                                  f"(it holds {', '.join(found)})")  # fmt: skip
        if WEIGHTS in found:
            raise FileExistsError(f"{self.path} holds {WEIGHTS}, but no {CHECKPOINT} that a run could resume from: "
                                  "choose another folder, or overwrite it")  # fmt: skip

    def _remove_if_empty(self) -> None:
        for folder in self.made:
            try:
                folder.rmdir()
            except OSError:
                return  # It holds something, so it stays, and so do those around it.


def _make(folder: Path) -> list[Path]:
    """Make the folder, and return those that had to be made, the innermost first."""
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: give the path of a folder for the run")
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return made


def _has_rows(path: Path) -> bool:
    """Whether a table holds more than its head; a file that is no table of ours counts as full."""
    if not path.exists():
        return False
    with open(path, "rb") as file:
        head, row = file.readline(), file.readline()
    return bool(row) or bool(head) and not head.startswith(b"step,")
