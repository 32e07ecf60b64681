"""The kernel in which lessons run as tests has the ipywidgets that was asked for."""

import os

import ipywidgets
import pytest
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, start_new_kernel


@pytest.mark.slow
def test_lessons_run_with_the_widgets_that_were_asked_for():
    """MRCNN_EDU_WIDGETS names a version; `make test-widgets7` sets it. Without it: those of these tests."""
    wanted = os.environ.get("MRCNN_EDU_WIDGETS", ipywidgets.__version__)
    manager, client = start_new_kernel(kernel_name=CURRENT_ENV_KERNEL_NAME)
    try:
        question = {"version": "__import__('ipywidgets').__version__"}
        reply = client.execute("", silent=True, user_expressions=question, reply=True, timeout=90)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert reply["content"]["user_expressions"]["version"]["data"]["text/plain"] == repr(wanted)
    assert ipywidgets.__version__ == wanted
