"""The browser and the JupyterLab server that the browser tests talk to.

A browser test looks like this:

    @pytest.mark.browser
    def test_opens(page, jupyterlab):
        page.goto(jupyterlab.notebook_url("00_start_here.ipynb"))
        page.get_by_role("menuitem", name="Run", exact=True).click()
        ...
        assert page.problems == []
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The last six keep the browser from calling its maker's services: tests must run without a network.
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
)
# Settings that make the lab quiet: no question about news, no look for updates.
LAB_SETTINGS = {
    "@jupyterlab/apputils-extension/notification.jupyterlab-settings": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
}


def find_chromium() -> str | None:
    """The path of the first Chromium or Chrome found on PATH, or None."""
    return next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)


@contextlib.contextmanager
def open_browser(executable: str) -> Iterator:
    """A headless playwright Browser that runs the given program, closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def open_page(browser) -> Iterator:
    """A fresh page. `page.problems` collects what the page logs as errors and what it throws."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(f"thrown: {error}"))
    page.on("console", lambda line: page.problems.append(f"console: {line.text}") if line.type == "error" else None)
    try:
        yield page
    finally:
        context.close()


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class JupyterLab:
    """A JupyterLab that serves a copy of the lessons.

    url     address of the server, no slash at the end; no token, no password
    root    the folder it serves: a copy, so that a test may save over a lesson
    log     file with the server's output, for a look when a test fails
    """

    url: str
    root: Path
    log: Path
    process: subprocess.Popen

    @property
    def runtime(self) -> Path:
        """The folder with the connection files of its kernels."""
        return self.log.parent / "runtime"

    def notebook_url(self, name: str) -> str:
        """Address that opens the notebook in the lab, in a workspace that no earlier test has touched."""
        return f"{self.url}/lab/workspaces/test-{time.monotonic_ns()}/tree/{name}?reset"

    @classmethod
    @contextlib.contextmanager
    def start(cls, notebooks: Path, scratch: Path, timeout: float = 120.0) -> Iterator[JupyterLab]:
        """Serve a copy of `notebooks` made under `scratch`; stop the server and its kernels at the end.

        raises   RuntimeError with the end of the server's log if it does not answer within `timeout` seconds
        """
        scratch.mkdir(parents=True, exist_ok=True)
        root = scratch / "notebooks"
        shutil.copytree(notebooks, root, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "out"))
        port = free_port()
        log = scratch / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                server_command(port, root),
                env=server_environment(scratch),
                cwd=root,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        server = cls(f"http://127.0.0.1:{port}", root, log, process)
        try:
            server.wait(timeout)
            yield server
        finally:
            server.stop()

    def wait(self, timeout: float) -> None:
        """Return when the server answers. Raises RuntimeError when it does not, or has ended."""
        end = time.monotonic() + timeout
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                with urllib.request.urlopen(f"{self.url}/api/status", timeout=5) as answer:
                    if answer.status == 200:
                        return
            time.sleep(0.2)
        raise RuntimeError(f"JupyterLab did not answer at {self.url}:\n{self.log.read_text(errors='replace')[-4000:]}")

    def stop(self) -> None:
        """End the server and every kernel it started (they share its process group)."""
        for sent in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, sent)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=10)
                if sent is signal.SIGKILL:
                    return


def server_command(port: int, root: Path) -> list[str]:
    """The command that serves `root` on `port` to this machine alone."""
    options = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.root_dir": root,
        "ServerApp.open_browser": False,
        "ServerApp.allow_root": True,
        "ServerApp.disable_check_xsrf": True,
        "IdentityProvider.token": "",
        "PasswordIdentityProvider.hashed_password": "",
        "LabApp.news_url": None,
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    return [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]


def server_environment(scratch: Path) -> dict[str, str]:
    """This process's environment with Jupyter's folders under `scratch`: no setting or kernel of the user's own."""
    settings = scratch / "settings"
    for name, values in LAB_SETTINGS.items():
        path = settings / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    changes = {
        "JUPYTER_CONFIG_DIR": scratch / "config",
        "JUPYTER_DATA_DIR": scratch / "data",
        "JUPYTER_RUNTIME_DIR": scratch / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": settings,
        "JUPYTERLAB_WORKSPACES_DIR": scratch / "workspaces",
        "JUPYTER_PREFER_ENV_PATH": 1,
        "JUPYTER_PLATFORM_DIRS": 1,
    }
    environment = {name: value for name, value in os.environ.items() if name != "JUPYTER_PATH"}
    return environment | {name: str(value) for name, value in changes.items()}
