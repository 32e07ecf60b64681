"""The kernel behind a notebook on the page, asked from outside the browser."""

import ast
import json
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from jupyter_client import BlockingKernelClient

PATIENCE = 90  # seconds; two busy cores


class Kernel:
    """A second client of the kernel that a notebook runs in; its questions are answered between the reader's events.

    server    the running JupyterLab
    notebook  the notebook's name in the folder that the server serves
    """

    def __init__(self, server, notebook: str):
        self.notebook = notebook
        with urllib.request.urlopen(f"{server.url}/api/sessions", timeout=PATIENCE) as answer:
            kernels = [one["kernel"]["id"] for one in json.load(answer) if one["path"] == notebook]
        assert len(kernels) == 1, f"{len(kernels)} kernels run {notebook}"
        self.address = f"{server.url}/api/kernels/{kernels[0]}"
        self.client = BlockingKernelClient(connection_file=str(server.runtime / f"kernel-{kernels[0]}.json"))
        self.client.load_connection_file()
        # Not iopub: what the kernel publishes would pile up in it for a client that does not read.
        self.client.start_channels(iopub=False, stdin=False, hb=False, control=False)

    def run(self, code: str) -> None:
        """Run statements. Raises AssertionError with the kernel's own error."""
        reply = self.client.execute(code, silent=True, reply=True, timeout=PATIENCE)
        assert reply["content"]["status"] == "ok", reply["content"]

    def ask(self, expression: str):
        """The value of an expression that JSON can carry."""
        questions = {"value": f"__import__('json').dumps({expression})"}
        reply = self.client.execute("", silent=True, user_expressions=questions, reply=True, timeout=PATIENCE)
        answer = reply["content"]["user_expressions"]["value"]
        assert answer["status"] == "ok", answer
        return json.loads(ast.literal_eval(answer["data"]["text/plain"]))

    def wait_until(self, expression: str) -> None:
        """Return when the expression is true. Raises AssertionError when it does not become so."""
        end = time.monotonic() + PATIENCE
        while not self.ask(expression):
            assert time.monotonic() < end, f"not within {PATIENCE} s: {expression}"
            time.sleep(0.1)

    @contextmanager
    def busy(self, folder: Path):
        """Within it the kernel is at work on the explorer and answers nobody: what moves on the page moves without it.

        A widget's messages may come in a thread of their own, so the explorer's lock is held too.
        """
        started, done = folder / "started", folder / "done"
        for mark in (started, done):
            mark.unlink(missing_ok=True)
        code = f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\n"
        code += f"with explorer._state:\n    while not pathlib.Path({str(done)!r}).exists(): time.sleep(0.02)"
        self.client.execute(code, silent=True)
        end = time.monotonic() + PATIENCE
        while not started.exists():
            assert time.monotonic() < end, "the kernel does not come to its work"
            time.sleep(0.02)
        try:
            yield
        finally:
            done.touch()
            self.client.get_shell_msg(timeout=PATIENCE)

    def close(self) -> None:
        """End the kernel, so that it does not compete with the next one's."""
        self.client.stop_channels()
        urllib.request.urlopen(urllib.request.Request(self.address, method="DELETE"), timeout=PATIENCE)
