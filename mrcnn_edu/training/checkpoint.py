"""Checkpoints: one file that holds a whole training run, written so that a kill at any moment leaves a good one."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import numpy as np
import torch

from ..model.pickles import DamagedFileError, ForeignContentError, read_plain

FORMAT = "mrcnn_edu checkpoint 1"


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be read, written, or used for this run. The message names the file and the fix."""


class _Recorder:
    """A binary file that remembers its first error, or Ctrl-C: torch.save hides them behind errors of its own."""

    def __init__(self, file):
        self.file, self.error = file, None

    def write(self, data) -> int:
        if self.error is None:
            try:
                return self.file.write(data)
            except BaseException as error:
                self.error = error
        # Torch's zip writer cannot unwind from an error in its destructor; what it still writes goes nowhere.
        return len(data)

    def flush(self) -> None:
        if self.error is None:
            try:
                self.file.flush()
            except BaseException as error:
                self.error = error


def save_checkpoint(path: str | Path, state: dict) -> None:
    """Write `state` to `path` in one move: either the new file is there whole, or the old one still is.

    state    tensors, numbers, strings, None, and lists, tuples and dicts of them
    raises   CheckpointError if the disk is full or the folder cannot be written; the old file survives
    """
    path = Path(path)
    fresh = path.with_name(path.name + ".tmp")
    try:
        with open(fresh, "wb") as file:
            recorder = _Recorder(file)
            torch.save({"format": FORMAT, **state}, recorder)
            if recorder.error is not None:
                raise recorder.error
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
        _sync_folder(path.parent)
    except OSError as error:
        _remove(fresh)
        kept = f"the last good one is still at {path}" if path.exists() else "there is no earlier one"
        fix = "free some space" if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT) else "check the folder"
        raise CheckpointError(f"cannot save checkpoint {path}: {error.strerror or error}; {kept}; {fix}") from error
    except BaseException as error:
        _remove(fresh)
        if isinstance(error.__context__, KeyboardInterrupt):  # Between two writes, torch hides it too.
            raise error.__context__ from None
        raise


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass  # The caller raises the error that matters; a leftover .tmp is overwritten by the next save.


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Elsewhere a folder cannot be opened; the move itself is still atomic.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def load_checkpoint(path: str | Path) -> dict:
    """The state that `save_checkpoint` wrote, with tensors on the CPU. Nothing in the file is run.

    raises   FileNotFoundError; CheckpointError if the file is truncated, is no checkpoint, or holds code
    """
    path = Path(path)
    try:
        state = read_plain(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"no checkpoint at {path}") from None
    except ForeignContentError as error:
        raise CheckpointError(f"{path} is refused: it holds more than tensors and plain values, or is no checkpoint; "
                              "nothing in it was run. Use a file that this package wrote") from error  # fmt: skip
    except (DamagedFileError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read, it may be truncated ({error}). "
                              "Use another checkpoint, or start the run anew") from error  # fmt: skip
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no training checkpoint of this package, so no run can go on from it; "
                              "its weights may still load with load_weights")  # fmt: skip
    return state


def random_state() -> dict:
    """State of the random generators of Python, NumPy, torch and every CUDA device, as plain values and tensors."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    return {
        "python": [version, torch.tensor(words), gauss],
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict) -> None:
    """Put back what `random_state` gave. CUDA states are put back as far as this machine has as many devices."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available():
        for device, cuda_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(cuda_state, device)
