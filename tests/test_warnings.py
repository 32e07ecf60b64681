"""A warning whose line is one of ours is an error: in these tests, in programs that they start, and in lessons."""

from __future__ import annotations

import importlib
import subprocess
import sys
import warnings

import pytest
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, start_new_kernel

from tests.project import MODULES, module_names, place

WARN = "__import__('warnings').warn_explicit('old', {category}, 'a file', 1, module={module!r})"
OURS = ("mrcnn_edu.model.boxes", "mrcnn_edu.training.commands", "mrcnn_edu")


@pytest.mark.parametrize("category", [UserWarning, DeprecationWarning, FutureWarning, RuntimeWarning])
@pytest.mark.parametrize("module", OURS)
def test_a_warning_of_ours_is_an_error_here(module, category):
    with pytest.raises(category, match="old"):
        warnings.warn_explicit("old", category, "a file", 1, module=module)


@pytest.mark.parametrize("module", OURS)
def test_a_warning_of_ours_is_an_error_in_programs_that_tests_start(module):
    code = WARN.format(category="DeprecationWarning", module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.strip().endswith("DeprecationWarning: old")
    code = WARN.format(category="DeprecationWarning", module="another_library")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.slow
def test_a_warning_of_ours_is_an_error_in_lessons():
    manager, client = start_new_kernel(kernel_name=CURRENT_ENV_KERNEL_NAME)
    try:
        lines = [WARN.format(category="FutureWarning", module=module) for module in (*OURS, "another_library")]
        replies = [client.execute(line, reply=True, timeout=90, stop_on_error=False)["content"] for line in lines]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert [reply["status"] for reply in replies] == ["error"] * len(OURS) + ["ok"]
    assert {reply["ename"] for reply in replies[:-1]} == {"FutureWarning"}


def test_every_module_is_found_and_loads_without_a_warning():
    for name in module_names():
        if not name.endswith("__main__"):
            assert importlib.import_module(name).__name__ == name


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_python_compiles_every_file_without_a_warning(path):
    """Such a warning names no module, and is given only where no compiled file is kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compile(path.read_text(encoding="utf-8"), str(path), "exec", dont_inherit=True)
