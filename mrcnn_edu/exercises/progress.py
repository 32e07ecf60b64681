"""Which exercises are done, kept in a small file outside the repository."""

import json
import os
import tempfile
from pathlib import Path

import pooch


def progress_file() -> Path:
    """The file named by MRCNN_EDU_PROGRESS, or progress.json in the user's cache folder."""
    named = os.environ.get("MRCNN_EDU_PROGRESS")
    return Path(named).expanduser() if named else Path(pooch.os_cache("mrcnn_edu")) / "progress.json"


def read() -> dict[str, str]:
    """{exercise: "right" | "tried"}; empty where there is no file.

    A file that cannot be read is set aside under another name, so that nothing in it is lost.
    """
    path = progress_file()
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        return set_aside(path, str(error))
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        return set_aside(path, "it is not a list of exercises")
    return found


def set_aside(path: Path, reason: str) -> dict[str, str]:
    """Keep an unreadable file under another name, say so, and begin with nothing."""
    other = path.with_suffix(".unreadable.json")
    try:
        path.replace(other)
        print(f"Your progress file could not be read ({reason}). It was kept as {other.name}; a new one begins.")
    except OSError:
        print(f"Your progress file could not be read ({reason}), so progress starts from nothing.")
    return {}


def record(name: str, state: str) -> None:
    """Note "tried" or "right" for an exercise. What was right once stays right.

    A full or read-only disk must not stop a lesson: it is said, and the lesson goes on.
    """
    known = read()
    if known.get(name) in (state, "right"):
        return
    path = progress_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump({**known, name: state}, file, indent=1)
        os.replace(part, path)
    except OSError as error:
        print(f"Your progress could not be saved ({error.strerror or error}); the lesson itself is not affected.")
