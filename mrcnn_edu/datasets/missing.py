"""A file that is not there: what lies in its place, under nearly its name or in another folder."""

from __future__ import annotations

import os
import unicodedata
from collections import deque
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

# Entries that are looked at below a folder: a hint is not worth walking through a whole disk.
LOOKED_AT = 100_000
SHOWN = 2


def explain_missing(path: Path) -> str:
    """The end of a message about a file that is not there: a file that may be meant, or what to check.

    Looked for below the nearest folder of the path that exists, among its first 100,000 entries: the same name in
    another folder; a name that differs in upper and lower case, in how its letters are encoded (`%20`, accents), or
    in a backslash between folders; the same name with another extension.
    """
    try:
        return _explain(Path(path))
    except (OSError, ValueError):  # a name that no file can have
        return "check the name and the folder"


def _explain(path: Path) -> str:
    folder = _nearest_folder(path)
    if folder == Path(folder.anchor) and str(folder):
        return f"there is no folder {path.parent}; check the name and the folder"
    by_name, by_stem = _below(str(folder), folder.stat().st_mtime_ns)
    name = _plain(path.name).replace("\\", "/").rpartition("/")[2]
    for found, how in ((by_name.get(name), ""), (by_stem.get(_stem(name)), " (another extension)")):
        there = [place for place in found or () if os.path.isfile(place)]
        if there:
            exact = [place for place in there if os.path.basename(place) == path.name] or there
            return f"there is {_listed(exact)}{how or _difference(path, exact)}; correct the name or the folder"
    if folder != path.parent:
        return f"there is no folder {path.parent}; check the name and the folder"
    return "check the name and the folder"


def _nearest_folder(path: Path) -> Path:
    folder = path.parent
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


@lru_cache(maxsize=2)
def _below(folder: str, changed: int) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Files below a folder, nearest first, by their plain name and by that without its extension.

    changed  when the folder changed last: a listing is good for as long as that stays
    """
    by_name, by_stem, folders, looked = {}, {}, deque([folder]), 0
    while folders and looked < LOOKED_AT:
        try:
            entries = sorted(os.scandir(folders.popleft()), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries[: LOOKED_AT - looked]:
            looked += 1
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                name = _plain(entry.name)
                by_name.setdefault(name, []).append(entry.path)
                by_stem.setdefault(_stem(name), []).append(entry.path)
    return by_name, by_stem


def _plain(name: str) -> str:
    """A name as one would say it aloud."""
    return unicodedata.normalize("NFC", unquote(name)).casefold().strip()


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name


def _difference(path: Path, found: list[str]) -> str:
    name = os.path.basename(found[0])
    if name == path.name:
        return ""
    if name.casefold() == path.name.casefold():
        return " (upper and lower case differ)"
    return " (the name is written in another way)"


def _listed(places: list[str]) -> str:
    more = len(places) - SHOWN
    return ", ".join(places[:SHOWN]) + (f" and {more} more" if more > 0 else "")
