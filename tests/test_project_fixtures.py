"""The tests' own machinery: required things may not be skipped, and the lab that browser tests use works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests import servers
from tests.browser.lab import wait_for_kernel

SKIPPED = """
import pytest

def test_by_fixture(photos):
    pass

def test_by_reason():
    pytest.skip("no Chromium here")

@pytest.mark.browser
def test_by_marker():
    pytest.skip("not today")

def test_free_to_skip():
    pytest.skip("needs a CUDA device")
"""


def run_pytest(folder: Path, root: Path, require: str) -> str:
    """The output of pytest on one small file that skips, with this project's conftest and no photographs."""
    (folder / "tests").mkdir()
    for name in ("__init__.py", "conftest.py", "project.py", "servers.py"):
        shutil.copy(root / "tests" / name, folder / "tests" / name)
    (folder / "tests" / "test_skips.py").write_text(SKIPPED)
    shutil.copy(root / "pyproject.toml", folder)
    environment = {**os.environ, "MRCNN_EDU_REQUIRE": require, "MRCNN_EDU_DATA": ""}
    # The worker's variables would make the inner pytest think it is a worker of the outer one.
    environment = {name: value for name, value in environment.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True).stdout


def test_required_things_may_not_be_skipped(tmp_path, root):
    output = run_pytest(tmp_path, root, "browser,photos")
    assert "1 skipped" in output
    assert "2 failed, 1 skipped, 1 error" in output
    assert "MRCNN_EDU_REQUIRE asks for photos" in output
    assert "MRCNN_EDU_REQUIRE asks for browser" in output


def test_they_may_be_skipped_where_nothing_is_required(tmp_path, root):
    assert "4 skipped" in run_pytest(tmp_path, root, "")


def test_a_required_tag_that_nothing_knows_is_refused(tmp_path, root):
    output = run_pytest(tmp_path, root, "browsr")
    assert "passed" not in output and "skipped" not in output


@pytest.mark.browser
@pytest.mark.slow
def test_the_lab_runs_a_notebook_with_this_python(tmp_path, page):
    """The server serves a copy, its kernel is this very Python, and the page that shows it logs no error."""
    lessons = tmp_path / "lessons"
    lessons.mkdir()
    cell = nbformat.v4.new_code_cell("import sys; print('kernel:', sys.prefix)")
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    nbformat.write(notebook, lessons / "tiny.ipynb")
    with servers.JupyterLab.start(lessons, tmp_path / "scratch_of_the_lab") as server:
        page.goto(server.notebook_url("tiny.ipynb"))
        wait_for_kernel(page)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        printed = page.locator(".jp-OutputArea-output").filter(has_text="kernel:")
        printed.wait_for(timeout=120_000)
        assert printed.inner_text().strip() == f"kernel: {sys.prefix}"
        assert (server.root / "tiny.ipynb").is_file() and server.root != lessons
        assert page.problems == []
    assert server.process.poll() is not None


def test_a_server_that_cannot_start_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(servers, "server_command", lambda port, root: [sys.executable, "-c", "print('no such luck')"])
    lessons = tmp_path / "lessons"
    lessons.mkdir()
    with pytest.raises(RuntimeError, match="no such luck"):
        with servers.JupyterLab.start(lessons, tmp_path):
            pass
