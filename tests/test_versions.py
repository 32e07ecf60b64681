"""These tests, and the kernel in which lessons run as tests, have the versions that were asked for."""

from __future__ import annotations

import json
import os
from importlib import metadata

import pytest
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, start_new_kernel
from packaging.requirements import Requirement

from tests.oldest import exact, oldest
from tests.project import project, split_requirement


def asked_for() -> list[Requirement]:
    """What MRCNN_EDU_VERSIONS lists, as `make test-oldest` and its like set it, or else pyproject.toml."""
    named = os.environ.get("MRCNN_EDU_VERSIONS")
    lines = named.split() if named else project()["project"]["dependencies"]
    return [Requirement(line) for line in lines]


def misfits(versions: dict[str, str]) -> list[str]:
    """What was asked for and is not there, of {name: version}."""
    return [
        f"{each}: {versions[each.name]}" for each in asked_for() if not each.specifier.contains(versions[each.name])
    ]


def test_these_tests_run_with_the_versions_that_were_asked_for():
    assert asked_for() and misfits({each.name: metadata.version(each.name) for each in asked_for()}) == []


@pytest.mark.slow
def test_lessons_run_with_the_versions_that_were_asked_for():
    names = [each.name for each in asked_for()]
    question = f"__import__('json').dumps({{n: __import__('importlib.metadata').metadata.version(n) for n in {names}}})"
    manager, client = start_new_kernel(kernel_name=CURRENT_ENV_KERNEL_NAME)
    try:
        reply = client.execute("", silent=True, user_expressions={"versions": question}, reply=True, timeout=90)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    text = reply["content"]["user_expressions"]["versions"]["data"]["text/plain"]
    assert misfits(json.loads(text.strip("'"))) == []


def test_the_oldest_versions_are_the_lower_bounds():
    pins = dict(line.split("==") for line in oldest())
    bounds = dict(map(split_requirement, project()["project"]["dependencies"]))
    assert {name: bounds[name] for name in bounds} == {name: f">={pins[name]}" for name in bounds}


@pytest.mark.parametrize("requirement", ["torch", "torch==2.6", "torch>=2.6,<3", "torch>=2.6rc1", "torch>2.6"])
def test_a_requirement_without_one_lower_bound_is_refused(requirement):
    with pytest.raises(ValueError, match="should give one lower bound"):
        exact(requirement)
