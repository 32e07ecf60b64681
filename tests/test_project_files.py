"""Every file of the project: documented, readable in one sitting, free of stray text."""

from __future__ import annotations

import ast
import importlib
import inspect
import re

import pytest

from tests.project import MODULES, ROOT, place, tracked_files


def own_public_things(module):
    """(name, thing) of each public function and class that the module defines, and of the classes' public methods."""
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(thing):
            yield name, thing
            for inner, method in vars(thing).items():
                if not inner.startswith("_") and isinstance(method, (staticmethod, classmethod, property, FUNCTION)):
                    yield f"{name}.{inner}", getattr(thing, inner)
        elif isinstance(thing, FUNCTION):
            yield name, thing


FUNCTION = type(own_public_things)


def written_doc(thing) -> str | None:
    """The docstring somebody wrote; the signature that a dataclass gets by itself is none."""
    doc = inspect.getdoc(thing)
    return None if doc and inspect.isclass(thing) and doc.startswith(f"{thing.__name__}(") else doc


@pytest.mark.parametrize("path", [path for path in MODULES if not path.match("exercises/lesson_*/*.py")], ids=place)
def test_every_public_name_has_a_docstring(path):
    """An overriding method may leave it to the method it overrides; an answer is explained by its exercise."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    module = importlib.import_module(".".join(part for part in parts if part != "__init__"))
    assert inspect.getdoc(module), f"{place(path)} has no docstring of its own"
    missing = [name for name, thing in own_public_things(module) if not written_doc(thing)]
    assert missing == [], place(path)


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_files_and_functions_can_be_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= 400
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    long = [f"{place(path)}:{f.lineno} {f.name}" for f in functions if f.end_lineno - f.lineno + 1 > 60]
    assert long == []


# What may not be in any file

# Spelled in pieces so that this file does not contain what it looks for.
STRAY = {
    "a folder of somebody's machine": r"(?<![\w.:/-])/(?:work|root|home|Users|opt|tmp)/[\w.]",
    "a package registry's address": r"\b(?:pypi"
    + r"\.org|pythonhosted"
    + r"\.org|registry\.npmjs"
    + r"|deb\.debian"
    + r"\.org)",
    "a mark of unfinished work": r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b",
}
TEXT_SUFFIXES = {".py", ".md", ".toml", ".yml", ".json", ".ipynb", ".js", ".css", ".txt", ".cfg", ""}


@pytest.mark.parametrize("what", STRAY)
def test_no_tracked_file_contains(what):
    found = []
    for path in tracked_files():
        if path.suffix in TEXT_SUFFIXES:
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
                if match := re.search(STRAY[what], line):
                    found.append(f"{place(path)}:{number}: {match[0]}")
    assert found == [], f"{what}: {found[:20]}"


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a folder of somebody's machine", "open('/" + "home/ada/x.png')"),
        ("a package registry's address", "https://pypi" + ".org/simple"),
        ("a mark of unfinished work", "# TO" + "DO later"),
    ],
)
def test_the_search_for_stray_text_finds_it(what, line):
    assert re.search(STRAY[what], line)


def test_no_tracked_file_is_large():
    large = {place(path): path.stat().st_size for path in tracked_files() if path.stat().st_size > 9 * 2**20}
    assert large == {}
