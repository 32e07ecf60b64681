"""What the tests of the project itself share: its files, its list of dependencies, its imports."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "mrcnn_edu"
MODULES = sorted(PACKAGE.rglob("*.py"))


@cache
def project() -> dict:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file that git tracks, or would add: what a reader of the repository gets."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout, so there is no list of tracked files")
    return tuple(path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file())


def place(path: Path) -> str:
    """The path as a reader of the repository names it."""
    return str(path.relative_to(ROOT))


def module_names() -> list[str]:
    """Every module of the package, as Python names it: mrcnn_edu.model.boxes."""
    return [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in MODULES]


def split_requirement(text: str) -> tuple[str, str]:
    """The name and the bound of a requirement: torch and >=2.6 of "torch>=2.6; marker"."""
    name, bound = re.fullmatch(r"([A-Za-z0-9_.-]+)\s*([^;]*?)\s*(?:;.*)?", text).groups()
    return name, bound


def required() -> list[str]:
    """Every requirement: the package's own and those of the extras."""
    extras = project()["project"]["optional-dependencies"]
    return [*project()["project"]["dependencies"], *extras["lab"], *extras["test"]]


def imported_modules(path: Path) -> set[str]:
    """Full names of what a file imports, anywhere in it; `from package import module` counts as package.module."""
    found = set()
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names} | {base}
    return found


def inner_imports(folder: Path, prefix: str) -> dict[str, set[str]]:
    """Place of each file under a folder → the parts of `prefix` (its direct submodules) that it imports."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        inner = [name.removeprefix(prefix) for name in imported_modules(path) if name.startswith(prefix)]
        found[place(path)] = {name.partition(".")[0] for name in inner}
    return found
