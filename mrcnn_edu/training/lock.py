"""A lock on the folder of a run, kept by the operating system: it ends with the process, however that ends."""

from __future__ import annotations

import os
import socket
import threading
import time
import warnings
from pathlib import Path

try:
    import fcntl
except ImportError:
    fcntl = None
try:
    import msvcrt
except ImportError:
    msvcrt = None

LOCK = "run.lock"
# On Windows a locked byte cannot be read by others, so it lies behind the owner's name.
FAR = 1 << 20


class FolderInUseError(OSError):
    """Another run writes to the folder; the message names folder, process and machine."""


class _NoLocksError(Exception):
    pass


# Folders in use by this process: the system's locks do not keep its threads apart everywhere.
_in_use: dict[str, int | None] = {}
_guard = threading.Lock()


class FolderLock:
    """The right to write to a folder that exists, from `acquire` to `release`.

    raises   FolderInUseError if another process or thread has it; OSError if the folder cannot be written
    """

    def __init__(self, folder: Path):
        self.folder, self.path, self.key = folder, folder / LOCK, os.path.realpath(folder)
        self.process = self.handle = None

    def acquire(self) -> None:
        """Take the lock; where the file system has none, say so and go on."""
        with _guard:
            if self.key in _in_use:
                raise FolderInUseError(_refusal(self.folder, "this process"))
            _in_use[self.key] = None
        try:
            self.handle = self._locked_file()
        except BaseException:
            _in_use.pop(self.key, None)
            raise
        _in_use[self.key], self.process = self.handle, os.getpid()
        self._sign()

    def release(self) -> None:
        """Give it back; the file goes, unless this is a copy of the process that took the lock."""
        if self.process != os.getpid():
            return
        if os.name == "posix":  # Elsewhere a file that is open cannot be removed.
            _remove(self.path)
        os.close(self.handle)
        if os.name != "posix":
            _remove(self.path)
        self.process = None
        _in_use.pop(self.key, None)

    def _locked_file(self) -> int:
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                _lock(handle)
            except BlockingIOError:
                owner = _owner(handle)
                os.close(handle)
                raise FolderInUseError(_refusal(self.folder, owner)) from None
            except _NoLocksError as error:
                text = (f"{self.folder}: locks do not work on this file system ({error}): nothing keeps a second run "
                        "from writing here at the same time, so see to it that none does")  # fmt: skip
                warnings.warn(text, stacklevel=6)
                return handle
            if self._still_there(handle):
                return handle
            os.close(handle)  # The run before removed the file between our opening and locking it.

    def _still_there(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self.path))
        except FileNotFoundError:
            return False

    def _sign(self) -> None:
        text = f"process {os.getpid()} on {socket.gethostname()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}\n"
        try:
            os.ftruncate(self.handle, 0)
            os.lseek(self.handle, 0, os.SEEK_SET)
            os.write(self.handle, text.encode())
        except OSError:
            pass  # On a full disk the lock holds all the same; only its owner is not named.


def _lock(handle: int) -> None:
    """Lock an open file without waiting. Raises BlockingIOError if another has it, _NoLocksError if there are none."""
    if fcntl is None and msvcrt is None:
        raise _NoLocksError("this Python has none")
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            os.lseek(handle, FAR, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        raise BlockingIOError from None
    except OSError as error:
        raise _NoLocksError(error.strerror) from None


def _owner(handle: int) -> str:
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        return os.read(handle, 200).decode(errors="replace").strip() or "another process"
    except OSError:
        return "another process"


def _refusal(folder: Path, owner: str) -> str:
    return f"{folder} is in use by another run ({owner}): wait for its end, or choose another folder"


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        pass  # Another may hold it already; an unlocked file that stays is taken over by the next run.


def _let_go_in_a_copy() -> None:
    """A forked process must not keep the lock of one that dies before it."""
    global _guard
    for handle in _in_use.values():
        if handle is not None:
            os.close(handle)
    _in_use.clear()
    _guard = threading.Lock()  # Another thread may have held it at the moment of the fork.


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_a_copy)
