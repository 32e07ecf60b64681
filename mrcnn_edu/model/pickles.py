"""Files that torch.save wrote, read without running anything that stands in them.

Torch refuses a file that names a class it does not know. `read_plain` says so by name. `read_known` reads what is
beside: training scripts save more than weights, torchvision's own the `argparse.Namespace` of their options. The names
of foreign classes are read from the file first, and wherever it asks for one, an `Unread` is put, whose making runs no
code.
"""

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

# Before torch 1.6: magic number, version, system, the object, the names of its storages; then come numbers alone.
PICKLES_BEFORE_ZIP = 5


class DamagedFileError(ValueError):
    """The file is truncated, changed, or nothing that torch.save wrote."""


class ForeignContentError(ValueError):
    """The file asks for more than tensors and plain values, so it was refused; nothing in it was run."""


class Unread:
    """What stands in a file as an object of a class that is not run."""

    def __init__(self, *_):
        pass

    def __setstate__(self, _):
        pass


def read_plain(path: str | Path):
    """What torch.save wrote to a file, tensors on the CPU. Only tensors and plain values are read: nothing runs.

    raises   OSError for a file that cannot be opened; DamagedFileError, ForeignContentError. Which of the two is found
             in the file itself: the classes and the words of torch's own errors change from version to version
    """
    with open(path, "rb") as file:
        return _load(file, named_in(file))


def read_known(path: str | Path) -> tuple[object, list[str]]:
    """What torch.save wrote to a file, tensors on the CPU, where objects of foreign classes are `Unread`.

    returns  the content, and the names of the classes and functions whose objects were left unread
    raises   as `read_plain`; ForeignContentError only for what torch reads under no circumstances
    """
    unread: set[str] = set()

    def stand_in(name: str) -> type:
        def __new__(cls, *_):
            unread.add(name)
            return super(Unread, cls).__new__(cls)

        return type("Unread", (Unread,), {"__new__": __new__})

    with open(path, "rb") as file:
        names = named_in(file)
        # The pairs are read as names only: none of these classes is imported. Torch's own list of classes comes first.
        with torch.serialization.safe_globals([(stand_in(name), name) for name in names]):
            return _load(file, names), sorted(unread)


def _load(file: BinaryIO, names: set[str]):
    try:
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        foreign = sorted(name for name in names if name.rpartition(".")[0] not in PLAIN_MODULES)
        words = next(iter(str(error).splitlines()), type(error).__name__)
        if foreign:
            raise ForeignContentError(", ".join(foreign[:3]) + (", …" if len(foreign) > 3 else "")) from error
        raise DamagedFileError(words) from error


def named_in(file: BinaryIO) -> set[str]:
    """The full names of the classes and functions that a file asks for, as far as it is whole."""
    names = set()
    try:
        for operation, argument in _operations(_pickle_in(file)):
            if operation.name in ("GLOBAL", "INST"):
                names.add(argument.replace(" ", ".", 1))
            elif operation.name == "STACK_GLOBAL":
                names.add("a name on the stack")  # torch.save does not write this operation.
    except Exception:  # The end of the file, or damage: what comes before it is known.
        return names
    return names


def _operations(stream: BinaryIO):
    """What the pickles of a stream do, one after the other; after the last one ends with an error."""
    for _ in range(PICKLES_BEFORE_ZIP):
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
