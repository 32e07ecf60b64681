"""The files of `predict`: which pictures the paths mean, and under which names results are written."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .shared import written_whole

SHOWN = 3
# Bytes that a file's name may have on the usual disks, less those of a number.
LONGEST_NAME = 255 - 8
# What a drawn picture says of itself, so that a later call knows it for a result and no photograph.
MADE_BY = ("Software", "python -m mrcnn_edu predict")


def pictures_in(folder: Path) -> tuple[list[Path], list[str]]:
    """The pictures in a folder, by name, and what was left out, in words; folders in it are not entered.

    A picture is a file with an extension of a format that Pillow reads. Results of an earlier call are none.
    """
    formats = {ending for ending, name in Image.registered_extensions().items() if name in Image.OPEN}
    left: dict[str, list[str]] = {}
    pictures = []
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            left.setdefault("inner folders", []).append(path.name)
        elif path.suffix.lower() not in formats:
            left.setdefault("files that are no pictures", []).append(path.name)
        elif path.name.startswith("."):
            left.setdefault("hidden files", []).append(path.name)
        elif is_result(path):
            left.setdefault("results of an earlier call", []).append(path.name)
        else:
            pictures.append(path)
    return pictures, [f"{what}: {_listed(names)}" for what, names in left.items()]


def is_result(path: Path) -> bool:
    """True for a picture that `predict` drew."""
    if path.suffix.lower() != ".png":
        return False
    try:
        with Image.open(path) as file:
            return file.info.get(MADE_BY[0]) == MADE_BY[1]
    except Exception:  # what cannot be read is no result: reading it says what it is
        return False


def require_folder(out: Path) -> None:
    """Refuse a folder for results that cannot be one, before any work is done.

    raises   NotADirectoryError or PermissionError with the fix
    """
    nearest = out
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise NotADirectoryError(f"--out {out}: {nearest} is a file; name a folder for the results")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(f"--out {out}: nothing may be written in {nearest}; name another folder")


class OutputNames:
    """Names in the folder of results that are those of no picture given, and of no other result of the call.

    Two names are one if they differ in upper and lower case only, or in how accents are encoded: some disks hold
    them for one file. A picture in the folder that is no result of `predict` keeps its name too.

    inputs  the pictures that are given
    """

    def __init__(self, out: Path, inputs: Iterable[Path]):
        self.out = out
        self.taken = {key for path in inputs for key in (_key(path), _key(Path(os.path.realpath(path))))}

    def free(self, stem: str, ending: str) -> Path:
        """`stem` and `ending`, with _2, _3, … between them if the name is taken; a stem that is too long is cut."""
        while len(os.fsencode(stem + ending)) > LONGEST_NAME:
            stem = stem[:-1]
        number = 1
        while True:
            path = self.out / f"{stem}{'' if number == 1 else f'_{number}'}{ending}"
            replaceable = path.is_file() if ending == ".json" else is_result(path)
            if _key(path) not in self.taken and (replaceable or not path.exists()):
                self.taken.add(_key(path))
                return path
            number += 1


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a drawn picture as PNG, marked as a result."""
    mark = PngInfo()
    mark.add_text(*MADE_BY)
    with written_whole(path) as fresh:
        picture.save(fresh, format="PNG", pnginfo=mark)


def _key(path: Path) -> str:
    folder, name = os.path.split(os.path.abspath(path))
    return unicodedata.normalize("NFC", os.path.join(os.path.realpath(folder), name)).casefold()


def _listed(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
