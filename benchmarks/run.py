"""Measure the rows next to torchvision, print the table, write RESULTS.md and the plot beside this file.

python -m benchmarks.run                     everything
python -m benchmarks.run --rows paste resize two rows; nothing is written
python -m benchmarks.run --rows explorers    from event to picture; replaces that part of RESULTS.md alone
python -m benchmarks.run --rows browser      from a hand's move to the picture in JupyterLab; the same
python -m benchmarks.run --quick             every row once; shows that all works, its times mean little
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import browser, explorers, growth, memory, report
from benchmarks.rows import ROWS
from benchmarks.timing import by_turns, gemm, operations, synchronise

HERE = Path(__file__).resolve().parent
ROUNDS = 7
SECTIONS = ("explorers", "browser")  # parts of RESULTS.md that can be measured and replaced alone
APART = ("growth", *SECTIONS)  # what is measured in its own way and shown in its own table


def arguments(given: list[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round of each row, the smallest growth, no memory")
    names = [*ROWS, *APART]
    parser.add_argument("--rows", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--device", choices=["cpu", "cuda"], help="this one only; all there are if not given")
    parser.add_argument("--no-memory", action="store_true", help="leave the peak memory out")
    parser.add_argument("--threads", type=int, help="threads of the CPU; all cores if not given")
    parser.add_argument("--out", type=Path, help="write RESULTS.md and growth.png into this folder")
    return parser.parse_args(given)


def host_syncs(run: Callable[[], object], device: torch.device) -> int:
    """How often one call makes the host wait for the GPU: what torch warns of beyond what it warns of anyhow."""
    run()
    synchronise(device)
    anyhow = warnings_in(run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the mode itself, which torch calls a prototype
        torch.cuda.set_sync_debug_mode("warn")
    try:
        return warnings_in(run) - anyhow
    finally:
        torch.cuda.set_sync_debug_mode("default")


def warnings_in(run: Callable[[], object]) -> int:
    """How many warnings one call gives."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        run()
    return len(seen)


def measure(name: str, device: torch.device, precision: str, wanted: argparse.Namespace) -> report.Result:
    """One row on one device in one precision. Raises `check.Differs` if the outputs are not the same."""
    row = ROWS[name]
    bfloat16 = precision == "bfloat16"
    case = row.build(device, bfloat16)
    difference = case.check()
    product, product_operations = gemm(device)
    rounds = 1 if wanted.quick else ROUNDS
    ours, theirs, matrix = by_turns([case.ours, case.theirs, product], rounds, device)
    rate = product_operations / matrix.median
    # A share of the float32 rate says nothing about a bfloat16 run.
    counted = case.counted and not bfloat16
    shares = [
        operations(run) / times.median / rate if counted else None
        for run, times in ((case.ours, ours), (case.theirs, theirs))
    ]
    gpu = device.type == "cuda"
    syncs = (host_syncs(case.ours, device), host_syncs(case.theirs, device)) if gpu else None
    peaks = None
    if not (wanted.no_memory or wanted.quick):
        peaks = tuple(memory.peak(name, which, device.type, bfloat16) for which in ("ours", "theirs"))
    return report.Result(
        name, row, device.type, precision, case.inputs, difference, ours, theirs, *shares, peaks, syncs
    )


def cpu_rate() -> float:
    """The machine's rate of a large float32 matrix product, operations per second."""
    product, count = gemm(torch.device("cpu"))
    (times,) = by_turns([product], rounds=5, device=torch.device("cpu"))
    return count / times.median


def sections(names: list[str], wanted: argparse.Namespace) -> list[str]:
    """Measure the explorers as asked for. Raises browser.NoBrowser where the browser was named and is missing."""
    found = []
    if "explorers" in names:
        found.append(report.explorers_section(explorers.measure(wanted.quick)))
    if "browser" in names:
        try:
            found.append(report.browser_section(browser.measure(wanted.quick)))
        except browser.NoBrowser as missing:
            if wanted.rows:
                raise
            print(f"browser: left out, {missing}", flush=True)
    return found


def publish(section: str, wanted: argparse.Namespace) -> None:
    """Print a section and, unless the run was a quick one, put it into RESULTS.md beside the rest."""
    print("\n" + section)
    out = wanted.out or (None if wanted.quick else HERE)
    if out:
        results = out / "RESULTS.md"
        before = results.read_text(encoding="utf-8") if results.is_file() else ""
        out.mkdir(parents=True, exist_ok=True)
        results.write_text(report.with_section(before, section).lstrip(), encoding="utf-8")


def main(given: list[str] | None = None) -> int:
    """Measure what was asked for; returns the exit status."""
    wanted = arguments(given)
    if wanted.threads:
        torch.set_num_threads(wanted.threads)
    names = wanted.rows or [*ROWS, *APART]
    devices = [wanted.device] if wanted.device else ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    # float32 rows are float32: a GPU would use fewer bits for convolutions by itself.
    torch.backends.cudnn.allow_tf32 = False
    results = []
    for device in map(torch.device, devices):
        for name in (name for name in names if name not in APART):
            for precision in ROWS[name].precisions if device.type == "cuda" else ("float32",):
                result = measure(name, device, precision, wanted)
                results.append(result)
                print(
                    f"{device.type} {precision} {result.row.title}: {report.duration(result.ours.median)}, torchvision "
                    f"{report.duration(result.theirs.median)}, {result.ratio:.2f}×; {result.check}",
                    flush=True,
                )
    grown = dict(growth.measure(torch.device("cpu"), wanted.quick)) if "growth" in names else {}
    measured = sections(names, wanted)
    if set(names) <= set(SECTIONS):
        for section in measured:
            publish(section, wanted)
        return 0
    # Only a full run may replace what stands beside this file.
    out = wanted.out or (HERE if not (wanted.rows or wanted.quick or wanted.device) else None)
    picture = out / "growth.png" if out and grown else None
    text = report.markdown(results, grown, cpu_rate(), picture, measured)
    print("\n" + text)
    if out:
        out.mkdir(parents=True, exist_ok=True)
        if picture:
            growth.plot(grown, picture)
        (out / "RESULTS.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
