"""What gets installed, what the Makefile does, and whether the README tells the truth about both."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.project import ROOT, tracked_files


def test_the_wheel_carries_the_package_and_its_data(tmp_path):
    """The build that `pip install` from the repository runs, as on Colab: data/ lands in mrcnn_edu/data/."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = [path.relative_to(ROOT) for path in tracked_files()]
    wanted = {str(path) for path in ours if path.parts[0] == "mrcnn_edu"}
    wanted |= {f"mrcnn_edu/{path}" for path in ours if path.parts[0] == "data"}
    assert wanted <= names
    assert not any(name.startswith(("tests", "notebooks", "benchmarks")) for name in names)
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    program = (
        "from mrcnn_edu.datasets import sample; from mrcnn_edu.mistakes import read_prices; "
        "from mrcnn_edu.model import load_weights; "
        "print(load_weights('lesson').class_names[0], len(sample.load()), 'round_roi' in read_prices())"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["background", "8", "True"], done.stderr


def lesson_rows() -> dict[str, str | None]:
    """Number of each lesson in README's table → the notebook it links to, or None."""
    rows = re.findall(r"^\| *(\d\d) *\| *(.+?) *\|", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    links = {number: re.search(r"\]\(notebooks/([^)]+)\)", title) for number, title in rows}
    return {number: link[1] if link else None for number, link in links.items()}


def test_the_table_of_lessons_agrees_with_the_notebooks():
    rows = lesson_rows()
    assert list(rows) == [f"{i:02d}" for i in range(16)]
    linked = sorted(link for link in rows.values() if link)
    assert linked == sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
    assert all(link is None or link.startswith(number) for number, link in rows.items())


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "data/README.md"])
def test_links_between_files_lead_somewhere(name):
    text = (ROOT / name).read_text()
    links = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not ((ROOT / name).parent / link).exists()] == []


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):(?!=)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def test_every_make_target_that_is_promised_exists():
    promised = {"lab", "test", "test-widgets7", "test-oldest", "test-colab", "lint", "notebooks", "bench", "help"}
    for name in ("README.md", "CONTRIBUTING.md"):
        promised |= set(re.findall(r"(?:^|`)make ([a-z][\w-]*)", (ROOT / name).read_text(), flags=re.MULTILINE))
    assert promised <= make_targets()


def run_make(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """make as from a shell: when it is make that runs the tests, its variables would speak of the outer one."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=folder, env=own, capture_output=True, text=True)


def make_in_empty_folder(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Run the project's Makefile where nothing is installed."""
    (folder / "Makefile").write_text((ROOT / "Makefile").read_text())
    (folder / "pyproject.toml").touch()
    return run_make(folder, *arguments)


def test_make_repeats_no_install_that_is_up_to_date(tmp_path):
    """With a stamp newer than pyproject.toml there is nothing to do; with an older one there is."""
    for name in ("bin/python", ".installed"):
        path = tmp_path / ".venv" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    stamp = tmp_path / ".venv" / ".installed"
    os.utime(stamp, (4e9, 4e9))
    assert "pip install" not in make_in_empty_folder(tmp_path, "-n", "setup").stdout
    os.utime(stamp, (0, 0))
    assert "pip install" in make_in_empty_folder(tmp_path, "-n", "setup").stdout


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('echo "Python 3.8.10"; exit 1', "needs Python 3.10 or newer"),
        ('case "$2" in *ensurepip*) exit 1;; esac', "sudo apt install python3-venv"),
    ],
)
def test_make_says_what_is_wrong_with_a_python(tmp_path, body, message):
    fake = tmp_path / "fake-python"
    fake.write_text(f"#!/bin/sh\n{body}\n")
    fake.chmod(0o755)
    done = make_in_empty_folder(tmp_path, "setup", f"PYTHON={fake}")
    assert done.returncode != 0 and message in done.stdout


def test_make_says_that_no_python_was_found(tmp_path):
    done = make_in_empty_folder(tmp_path, "setup", "PYTHON=no-such-python")
    assert done.returncode != 0 and "no-such-python was not found" in done.stdout


ENVIRONMENTS = (".venv", ".venv-widgets7", ".venv-oldest", ".venv-colab")


def test_clean_removes_every_environment_and_git_sees_none(tmp_path):
    for name in (*ENVIRONMENTS, "notebooks"):
        (tmp_path / name).mkdir()
    assert make_in_empty_folder(tmp_path, "clean").returncode == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["notebooks"]
    folders = [f"{name}/" for name in ENVIRONMENTS]
    ignored = subprocess.run(["git", "check-ignore", *folders], cwd=ROOT, capture_output=True, text=True)
    assert ignored.stdout.split() == folders


@pytest.mark.parametrize(("target", "variable"), [("test-oldest", "OLDEST_PYTHON"), ("test-colab", "COLAB_PYTHON")])
def test_the_versions_environments_fall_back_on_the_python_that_is_here(tmp_path, target, variable):
    """With a Python that only says how it was called, and makes environments of copies of itself."""
    fake = tmp_path / "fake-python"
    body = 'echo "called: $*"; if [ "$2" = venv ]; then mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; fi'
    fake.write_text(f"#!/bin/sh\n{body}\n")
    fake.chmod(0o755)
    for name in ("tests", "notebooks"):
        (tmp_path / name).mkdir()
    (tmp_path / "tests" / "oldest.py").touch()
    done = make_in_empty_folder(tmp_path, target, f"PYTHON={fake}", f"{variable}=no-such-python", "ARGS=-x")
    assert done.returncode == 0, done.stderr
    folder = f".venv-{target.removeprefix('test-')}"
    assert f"no-such-python was not found, so {fake} is used." in done.stdout
    assert f"-c {folder}/versions.txt -e .[lab,test]" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("called: -m pytest tests -m not browser")
    again = run_make(tmp_path, target)
    assert "pip install" not in again.stdout and "called: -m pytest tests" in again.stdout


def test_make_help_names_every_target():
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"^make ([\w-]+)", done.stdout, flags=re.MULTILINE)) == make_targets()


@pytest.mark.parametrize(("ci", "required"), [("true", "browser,photos"), ("", "")])
def test_ci_names_the_photographs_and_forbids_skips(tmp_path, ci, required):
    """.ci/run in a clone beside a folder of photographs, with programs that only say how they were called."""
    clone, programs = tmp_path / "clone", tmp_path / "programs"
    photographs = tmp_path / "shared" / "data"
    for folder in (clone / ".ci", programs, photographs):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", clone / ".ci" / "run")
    calls = {
        "chromium": "exit 1",
        "apt-get": "echo apt-get was called",
        "make": 'echo "make $* in $PWD; data=$MRCNN_EDU_DATA required=$MRCNN_EDU_REQUIRE"; exit 3',
    }
    for name, body in calls.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "CI": ci}
    done = subprocess.run(["bash", ".ci/run"], cwd=clone, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == f"make test in {clone}; data={photographs} required={required}"
    assert done.returncode == 3, "a failing make test must fail the run"
    assert "apt-get" not in done.stdout


def test_ci_installs_a_browser_where_there_is_none(tmp_path):
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, body in {"apt-get": 'echo "apt-get $*"', "make": 'echo "make $*"'}.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    for name in ("bash", "dirname", "sh"):
        (programs / name).symlink_to(shutil.which(name))
    done = subprocess.run(
        ["bash", ".ci/run"], cwd=tmp_path, env={"PATH": str(programs)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    first, second, *made = done.stdout.splitlines()
    assert first == "apt-get update -qq" and "install" in second and "chromium" in second
    assert made == ["make test", "make test-widgets7"]
