"""Peak memory of one implementation of one row, measured in a process of its own.

What counts is the peak above what stands in memory before the first call: the models, the inputs and the libraries are
there already. A fresh process for each, so that neither finds memory that the other one left behind.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

CALLS = 3


def resident(field: str) -> int | None:
    """A line of Linux's account of this process, in bytes: VmRSS (now) or VmHWM (peak). None elsewhere."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def peak_on_host(run: Callable[[], object]) -> int:
    """Bytes of resident memory that `CALLS` calls add at their peak."""
    before = resident("VmRSS")
    if before is None:
        # Elsewhere only the peak since the start is known; kilobytes, but bytes on a Mac.
        unit = 1 if sys.platform == "darwin" else 1024
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    else:
        # Makes the peak start anew at what is resident now.
        Path("/proc/self/clear_refs").write_text("5")
    for _ in range(CALLS):
        run()
    after = resident("VmHWM")
    if after is None:
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return max(0, after - before)


def peak_on_cuda(run: Callable[[], object]) -> int:
    """Bytes of device memory that `CALLS` calls add at their peak, by torch's own account."""
    run()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    for _ in range(CALLS):
        run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def peak(row: str, which: str, device: str, bfloat16: bool) -> int:
    """Run this file in a fresh process with as many threads; bytes. Raises RuntimeError with the errors it wrote."""
    command = [sys.executable, "-m", "benchmarks.memory", row, which, "--device", device]
    command += ["--threads", str(torch.get_num_threads())]
    command += ["--bfloat16"] if bfloat16 else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"measuring the memory of {row}, {which}, failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print the peak of one implementation of one row, in bytes."""
    from benchmarks.rows import ROWS

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("row", choices=list(ROWS))
    parser.add_argument("which", choices=["ours", "theirs"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    device = torch.device(wanted.device)
    run = getattr(ROWS[wanted.row].build(device, wanted.bfloat16), wanted.which)
    print(json.dumps(peak_on_cuda(run) if device.type == "cuda" else peak_on_host(run)))


if __name__ == "__main__":
    main()
