import os
import re
import subprocess
import sys

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_runs_killed_at_any_moment_end_bit_identical(tmp_path, root):
    command = [sys.executable, "-m", "tests.training.kills", str(tmp_path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall("^killed .*: bit-identical$", done.stdout, re.M)) == 9
    assert int(re.search(r"killed (\d+) times at random", done.stdout)[1]) >= 1
