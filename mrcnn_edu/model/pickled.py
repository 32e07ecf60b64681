"""Files that torch.save wrote, read without running anything that stands in them.

Training scripts save more than tensors: torchvision's own put the `argparse.Namespace` of their options beside the
weights. Torch refuses a file that names a class it does not know. Here such a class stands for nothing: its name is
read from the file first, and wherever the file asks for it, an `Unread` is put, whose making runs no code.
"""

import io
import pickletools
import zipfile
from pathlib import Path

import torch

# What is of these is torch's own affair: a damaged file is then no file with code in it.
KNOWN_MODULES = ("torch", "collections")

# Before there were zip files: magic number, version, system, the object, the names of its storages.
PARTS_BEFORE_ZIP = 5


class Unread:
    """What stands in a file as an object of a class that is not run."""

    def __init__(self, *_):
        pass

    def __setstate__(self, _):
        pass


def read_pickled(path: Path) -> tuple[object, list[str]]:
    """What torch.save wrote, on the CPU; objects of foreign classes are `Unread`.

    returns  the content, and the names of the classes and functions whose objects were left unread
    raises   ValueError naming the file if it cannot be read, or holds what torch reads under no circumstances
    """
    names, unread = named_in(path), set()

    def stand_in(name: str) -> type:
        def __new__(cls, *_):
            unread.add(name)
            return super(Unread, cls).__new__(cls)

        return type("Unread", (Unread,), {"__new__": __new__})

    try:
        # The pairs are read as names only: none of these classes is imported. Torch's own list of classes comes first.
        with torch.serialization.safe_globals([(stand_in(name), name) for name in names]):
            return torch.load(path, map_location="cpu", weights_only=True), sorted(unread)
    # The classes of torch's errors for a damaged file differ by version and by where the damage lies.
    except Exception as error:
        first = (str(error) or type(error).__name__).splitlines()[0]
        foreign = sorted(unread.union(name for name in names if name.split(".")[0] not in KNOWN_MODULES))
        if foreign:
            raise ValueError(refusal(path, foreign)) from error
        raise ValueError(f"{path} is truncated or no weights file ({first}): fetch or make it again") from error


def refusal(path: Path, foreign: list[str]) -> str:
    """The message for a file whose foreign objects stand where its weights should be."""
    shown = ", ".join(foreign[:3]) + (", …" if len(foreign) > 3 else "")
    return (
        f"{path} holds more than tensors and plain values ({shown}), and was refused: nothing in it was run. "
        "Save a state dict, or use save_weights"
    )


def named_in(path: Path) -> set[str]:
    """The full names of all classes and functions that a file asks for; none where it is damaged."""
    names: set[str] = set()
    for stream in _pickles(path):
        for _ in range(PARTS_BEFORE_ZIP):
            try:
                for operation, argument, _ in pickletools.genops(stream):
                    if operation.name in ("GLOBAL", "INST"):
                        names.add(".".join(argument.split(" ", 1)))
                    elif operation.name == "STACK_GLOBAL":
                        names.add("unknown")  # Torch writes none and reads none.
            # A stream that ends, or is none: what torch says of it is said elsewhere.
            except Exception:
                break
    return names


def _pickles(path: Path) -> list[io.BytesIO]:
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [name for name in archive.namelist() if name.endswith("data.pkl")]
            return [io.BytesIO(archive.read(name)) for name in inside]
    except zipfile.BadZipFile:
        return [io.BytesIO(path.read_bytes())]
