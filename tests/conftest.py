"""Fixtures and rules shared by every test.

Photographs   ask for the fixture `photos`: the folder fruits_nuts, read from the folder that MRCNN_EDU_DATA names.
Browser       ask for `page` (or `browser`, or only the program's path: `chromium`).
JupyterLab    ask for `jupyterlab`: a running server whose `url` opens a copy of the lessons.

Where the environment variable MRCNN_EDU_REQUIRE lists `browser` or `photos`, a test that would be skipped for want of
one fails instead, so that continuous integration cannot pass by skipping.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile

# One thread a worker: two workers on two cores would otherwise fight over them. Has to stand before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

from tests import servers  # noqa: E402
from tests.project import module_names  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
# What a required tag is called in the reason of a skip that some test wrote by hand.
REASON_WORDS = {"browser": ("browser", "chromium", "playwright"), "photos": ("photograph", "photos", "fruits_nuts")}

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

# Same examples on every run and no time limits: a test that fails must fail again, on any machine.
settings.register_profile(
    "project", deadline=None, derandomize=True, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("project")


def required_tags() -> set[str]:
    """The tags that MRCNN_EDU_REQUIRE lists. Raises on a tag that nothing knows, so that a typo cannot disable it."""
    tags = {tag.strip() for tag in os.environ.get("MRCNN_EDU_REQUIRE", "").split(",") if tag.strip()}
    unknown = tags - REASON_WORDS.keys()
    if unknown:
        raise pytest.UsageError(f"MRCNN_EDU_REQUIRE: unknown {sorted(unknown)}; known are {sorted(REASON_WORDS)}")
    return tags


def forbid_skip(report, tags_of_test: set[str]) -> None:
    """Turn a skip for want of something required into a failure that says what was missing."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    for tag in required_tags():
        if tag in tags_of_test or any(word in reason.lower() for word in REASON_WORDS[tag]):
            report.outcome = "failed"
            report.longrepr = f"MRCNN_EDU_REQUIRE asks for {tag}, so this may not be skipped: {reason}"
            return


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    fixtures = set(getattr(item, "fixturenames", ()))
    tags = {tag for tag in REASON_WORDS if item.get_closest_marker(tag) or tag in fixtures}
    forbid_skip(report, tags)


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    report = (yield).get_result()
    forbid_skip(report, set())


def pytest_configure(config):
    # A shell starts its background jobs with Ctrl-C ignored; the tests of Ctrl-C need what a terminal gives.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    required_tags()
    # pyproject.toml makes a warning of a line of ours an error here; this does in the kernels and programs of tests.
    os.environ.setdefault("PYTHONWARNINGS", ",".join(f"error:::{name}" for name in module_names()))
    # Lessons that run as tests, and the exercises' own tests, must not mark anything as done for who runs them.
    os.environ.setdefault("MRCNN_EDU_PROGRESS", os.path.join(tempfile.mkdtemp(), "progress.json"))


@pytest.fixture(autouse=True)
def seeds():
    """Every test starts from the same random state."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - scikit-image and older code draw from the global state
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of the fruit photographs (trainval.json, images/). Skips where MRCNN_EDU_DATA does not lead to it."""
    named = os.environ.get("MRCNN_EDU_DATA")
    if not named:
        pytest.skip("the fruit photographs are not here: set MRCNN_EDU_DATA to the folder that holds fruits_nuts/")
    folder = Path(named) / "fruits_nuts"
    if not (folder / "trainval.json").is_file():
        pytest.skip(f"no photographs: MRCNN_EDU_DATA is {named}, but {folder / 'trainval.json'} is missing")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium or Chrome on this machine. Skips where there is none."""
    path = servers.find_chromium()
    if path is None:
        pytest.skip("no Chromium on this machine: looked for " + ", ".join(servers.CHROMIUM_NAMES))
    return path


@pytest.fixture(scope="module")
def browser(chromium):
    """A headless browser (playwright's synchronous Browser).

    Module scope on purpose: while playwright is open, its event loop runs in this thread, and a notebook cell
    tested in the same process could not start its own.
    """
    with servers.open_browser(chromium) as opened:
        yield opened


@pytest.fixture
def page(browser):
    """A fresh page. `page.problems` collects what the page logs as errors and what it throws."""
    with servers.open_page(browser) as fresh:
        yield fresh


@pytest.fixture(scope="session")
def jupyterlab(tmp_path_factory):
    """A running JupyterLab (see servers.JupyterLab): `url`, `notebook_url(name)`, `root`. One for each test process."""
    with servers.JupyterLab.start(ROOT / "notebooks", tmp_path_factory.mktemp("jupyterlab")) as server:
        yield server
