"""Files that torch.save wrote, read without running anything in them."""

from __future__ import annotations

import io
import pickletools
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch

# Where the names come from that a pickle of plain tensors and values asks for.
PLAIN_MODULES = frozenset(
    (
        "collections",
        "torch",
        "torch._tensor",
        "torch._utils",
        "torch.nn.parameter",
        "torch.serialization",
        "torch.storage",
    )
)


class DamagedFileError(ValueError):
    """The file is truncated, changed, or nothing that torch.save wrote."""


class ForeignContentError(ValueError):
    """The file asks for more than tensors and plain values, so it was refused; nothing in it was run."""


def read_plain(path: str | Path):
    """What torch.save wrote to a file, tensors on the CPU. Only tensors and plain values are read: nothing runs.

    raises   OSError for a file that cannot be opened; DamagedFileError, ForeignContentError. Which of the two is found
             in the file itself: the classes and the words of torch's own errors change from version to version
    """
    with open(path, "rb") as file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            kind = ForeignContentError if _asks_for_more(file) else DamagedFileError
            raise kind(next(iter(str(error).splitlines()), type(error).__name__)) from error


def _asks_for_more(file: BinaryIO) -> bool:
    """Whether the pickle in a file names a class or function that plain tensors and values do not need."""
    try:
        for operation, argument in _operations(_pickle_in(file)):
            # Its names lie on the stack; torch.save does not write this operation.
            if operation.name == "STACK_GLOBAL":
                return True
            if operation.name in ("GLOBAL", "INST") and argument.split(" ")[0] not in PLAIN_MODULES:
                return True
    except Exception:  # the end of the file, or damage, and no such name comes before it
        return False
    return False


def _operations(stream: BinaryIO):
    """What the pickles of a stream do, one after the other: before torch 1.6 a file held five. Ends with an error."""
    while True:
        for operation, argument, _ in pickletools.genops(stream):
            yield operation, argument


def _pickle_in(file: BinaryIO) -> BinaryIO:
    """The pickle in a zip, as torch writes it today, or the file itself."""
    file.seek(0)
    if not zipfile.is_zipfile(file):
        file.seek(0)
        return file
    with zipfile.ZipFile(file) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        return io.BytesIO(archive.read(name))
