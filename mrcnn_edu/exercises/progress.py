"""Which exercises are done, kept in a small file outside the repository.

Whatever lies at the file's place, a lesson goes on: nothing is raised, nothing that a person may want is overwritten,
and one line says what became of the progress.
"""

import json
import os
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pooch

VARIABLE = "MRCNN_EDU_PROGRESS"
STATES = ("right", "tried")


@dataclass(frozen=True)
class Found:
    """What lies at the place of the progress file.

    states   {exercise: "right" | "tried"}, as far as it can be read
    damage   why the file, or a part of it, cannot be read; "" where all of it can
    keep     whether a damaged file holds anything worth keeping
    blocked  why no file can be kept there, with what to do; "" where one can
    """

    states: dict[str, str] = field(default_factory=dict)
    damage: str = ""
    keep: bool = False
    blocked: str = ""


def progress_file() -> Path:
    """The file named by MRCNN_EDU_PROGRESS, or progress.json in the user's cache folder.

    raises   RuntimeError where the path begins with the home of a user who does not exist
    """
    named = os.environ.get(VARIABLE) or Path(pooch.os_cache("mrcnn_edu")) / "progress.json"
    # What a link leads to is the file that counts: it would be lost behind a new file in the link's place.
    return Path(os.path.realpath(Path(named).expanduser()))


def read() -> dict[str, str]:
    """{exercise: "right" | "tried"}; empty where there is no file. Only reads: whatever lies there stays as it is."""
    found = look()
    if found.blocked:
        print(f"Your progress is not kept: {found.blocked}.")
    elif found.damage:
        print(f"Your progress file could not be read ({found.damage}). It stays until the next exercise is recorded.")
    return found.states


def look() -> Found:
    """Read the progress file; never raises."""
    try:
        path = progress_file()
    except RuntimeError:
        named = os.environ.get(VARIABLE, "the cache folder")
        return Found(blocked=f"the user whose home {named} begins with was not found; {ELSEWHERE}")
    try:
        mode = path.stat().st_mode
        # Reading a pipe would wait for ever, and a device is no file to replace.
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "no ordinary file"
            return Found(blocked=f"{path} is {kind}; {ELSEWHERE}")
        content = path.read_bytes()
    except FileNotFoundError:
        return Found()
    except (OSError, ValueError) as error:
        return Found(blocked=f"{path} could not be read ({reason(error)}); {ELSEWHERE}")
    return parse(content)


ELSEWHERE = f"let {VARIABLE} name another file"


def parse(content: bytes) -> Found:
    """The entries of a progress file. What is no entry counts as damage, and the others are taken."""
    if not content.strip():
        return Found(damage="it is empty")
    try:
        entries = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return Found(damage=reason(error), keep=True)
    if not isinstance(entries, dict):
        return Found(damage="it is not a list of exercises", keep=True)
    states = {name: state for name, state in entries.items() if state in STATES}
    strange = [name for name in entries if name not in states]
    damage = f'{strange[0][:40]!r} is neither "right" nor "tried"' if strange else ""
    return Found(states, damage, keep=bool(strange))


def reason(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())


def record(name: str, state: str) -> None:
    """Note "tried" or "right" for an exercise. What was right once stays right.

    A damaged file is kept under another name. A full or read-only disk must not stop a lesson: it is said, and the
    lesson goes on.
    """
    found = look()
    if found.blocked or found.states.get(name) in (state, "right"):
        read()
        return
    try:
        kept = replace(progress_file(), {**found.states, name: state}, found.keep)
    except OSError as error:
        print(f"Your progress could not be saved ({reason(error)}); the lesson itself is not affected.")
        return
    if found.damage:
        old = f" It was kept as {kept.name}; a new one begins." if kept else " A new one begins."
        print(f"Your progress file could not be read ({found.damage}).{old}")


def replace(path: Path, states: dict[str, str], keep: bool) -> Path | None:
    """Write the file in one move. With `keep`, the old one gets another name, which is given back.

    raises   OSError; nothing of the old file is lost then
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # A file in a writable folder can be replaced although it is marked as read-only; whoever marked it meant it.
    if path.exists() and not (path.stat().st_mode & 0o222 and os.access(path, os.W_OK)):
        raise PermissionError(f"{path} is read-only")
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(states, file, indent=1)
        kept = path.rename(free_name(path)) if keep else None
        os.replace(part, path)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise
    return kept


def free_name(path: Path) -> Path:
    """A name beside the file that nothing has yet: progress.unreadable.json, progress.unreadable-2.json, …"""
    number, other = 1, path.with_name(f"{path.stem}.unreadable.json")
    while os.path.lexists(other):
        number += 1
        other = path.with_name(f"{path.stem}.unreadable-{number}.json")
    return other
