"""Files that torch.save wrote, read without running anything that stands in them.

A pickle can name any function to be called while it is read. Torch refuses a file that names one it does not know;
`read_plain` says so by name. `read_known` reads what stands beside such things, because training scripts save more than
weights, torchvision's own the `argparse.Namespace` of their options: for every foreign name it puts an `Unread`.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
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

# All that a pickle may have called: what builds tensors from numbers, and plain values.
BUILT = {
    "torch._utils._rebuild_tensor": torch._utils._rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": torch._utils._rebuild_tensor_v2,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
    "torch.Size": tuple,
    "torch.device": lambda *where: str(torch.device(*where)),
    "_codecs.encode": lambda text, encoding="latin1": text.encode("latin1"),
}
BUILTINS = ("builtins", "__builtin__")
VALUES = {
    value.__name__: value for value in (set, frozenset, complex, bytearray, dict, list, tuple, int, float, bool, str)
}
DICTS = ("collections.OrderedDict", "collections.Counter")


class DamagedFileError(ValueError):
    """The file is truncated, changed, or nothing that torch.save wrote."""


class ForeignContentError(ValueError):
    """The file asks for more than tensors and plain values, so it was refused; nothing in it was run."""


class Unread:
    """What stands in a file as an object of a class that is not run: it takes all and does nothing.

    Each kind is a subclass of its own.
    """

    def __new__(cls, *_, **__):
        """Whatever the object would have been made of is not kept."""
        return object.__new__(cls)

    def __init__(self, *_, **__):
        pass

    def __setstate__(self, _):
        pass

    def __setitem__(self, *_):
        pass

    def append(self, _):
        """What would have been put into a list goes nowhere."""

    add = extend = append


def read_plain(path: str | Path):
    """What torch.save wrote to a file, tensors on the CPU. Only tensors and plain values are read: nothing runs.

    raises   OSError for a file that cannot be opened; DamagedFileError, ForeignContentError. Which of the two is found
             in the file itself: the classes and the words of torch's own errors change from version to version
    """
    with open(path, "rb") as file:
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:
            raise _told(error, foreign_in(named_in(file))) from error


def read_known(path: str | Path) -> tuple[object, list[str]]:
    """What torch.save wrote to a file, tensors on the CPU, where objects of foreign classes are `Unread`.

    returns  the content, and the names of the classes and functions whose objects were left unread
    raises   OSError for a file that cannot be opened; DamagedFileError for one that is damaged, or of another program
    """
    unread: set[str] = set()

    class Reader(_Reader):
        foreign = unread

    module = SimpleNamespace(
        __name__="pickle", Unpickler=Reader, load=lambda file, **options: Reader(file, **options).load()
    )
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a source that changed: no source is read
        try:
            # Torch unpacks the file and the numbers in it; what the pickle may name is for `_Reader` to say.
            content = torch.load(file, map_location="cpu", pickle_module=module, weights_only=False)
        except Exception as error:
            raise _told(error, unread or foreign_in(named_in(file))) from error
    return content, sorted(unread)


class _Reader(pickle.Unpickler):
    """A pickle of which only what makes up tensors and plain values is built; nothing is imported.

    What a pickle names it can also set attributes of, so all that it gets is made for it anew.
    """

    foreign: set[str]

    def find_class(self, module: str, name: str):
        full = f"{module}.{name}"
        if full in BUILT:
            function = BUILT[full]
            return lambda *arguments: function(*arguments)
        if module in BUILTINS and name in VALUES:
            return VALUES[name]
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if full in DICTS:
            return type("Dict", (dict,), {"__setstate__": lambda self, state: None})
        self.foreign.add(full)
        return type("Unread", (Unread,), {})


def named(names: Iterable[str]) -> str:
    """The first three names, for a message."""
    names = sorted(names)
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _told(error: Exception, foreign: set[str]) -> ValueError:
    """The error of this file for one of torch's."""
    if foreign:
        return ForeignContentError(named(foreign))
    return DamagedFileError(next(iter(str(error).splitlines()), type(error).__name__))


def foreign_in(names: Iterable[str]) -> set[str]:
    """Those names that plain tensors and values do not need."""
    return {name for name in names if name.rpartition(".")[0] not in PLAIN_MODULES}


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
