"""What was measured, as text: the table on the terminal and benchmarks/RESULTS.md."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import torch

from benchmarks import browser, explorers
from benchmarks.explorers import ninety_fifth
from benchmarks.growth import AXES, Point
from benchmarks.rows import Row
from benchmarks.timing import Times

HOW = """
Both run in one process with the same weights on the same inputs, by turns (ours, torchvision's, a matrix product, ours,
…); times are medians. Before a row is timed its outputs are compared, with the tolerances of 1e-4 on losses and
features (relative), 1e-3 px on boxes and 0.01 % of mask pixels. Training steps are forward, backward and SGD, and both
draw the same samples. The share of GEMM rate is (operations of the convolutions and matrix products, as torch counts
them) / time / (rate of a large float32 matrix product in the same rounds). Memory is the peak above what stood in
memory before the first call, each implementation in a fresh process. On a GPU float32 means float32, without TF32.

The weights are random and seeded. In the R50-FPN rows the last normalisation of each residual block is scaled by 0.2
and the class scores by 30, so that the photograph gives detections as a trained model's would. When the losses are
compared, both heads get torchvision's proposals: among those of random weights two often tie at the threshold of NMS,
and one that is kept or not changes which are sampled. At most 1 % of our own proposals may lack a partner within
1e-3 px.

The row of photographs of 26 megapixels compares no two implementations: it is the same training step twice, with
reading and augmentation, from the large files and from files that were shrunk before, which stand in torchvision's
place.
"""


HOW_EXPLORERS = f"""
From a control's new value to the bytes of the new picture, in Python: the callbacks, the package's own computation,
the drawing and the JPEG. Every control is driven from end to end, {explorers.ROUNDS} times after a first time that is
listed apart: in it each picture goes through the model once. The way to the browser and its own drawing are not in it.
"""


HOW_BROWSER = f"""
The same in JupyterLab and a headless Chromium on this machine, which share its processors and draw without a graphics
card. The clock starts with the hand's event in the page. "arrived": the page has Python's picture, after the way there
and back through the server. "seen": the browser has decoded it and its frame is due. A move follows when the one before
it is answered, {browser.MOVES} after a few to warm up. A dragged box itself follows the hand at once; it does not wait
for Python.
"""


@dataclass(frozen=True)
class Result:
    """What one row gave on one device in one precision; bytes and seconds."""

    name: str
    row: Row
    device: str
    precision: str
    inputs: str
    check: str
    ours: Times
    theirs: Times
    share: float | None
    theirs_share: float | None
    memory: tuple[int, int] | None
    syncs: tuple[int, int] | None

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.theirs.median / self.ours.median


def duration(seconds: float) -> str:
    """Seconds or milliseconds with three digits."""
    if seconds >= 100:
        return f"{seconds:,.0f} s"
    return f"{seconds:.3g} s" if seconds >= 0.9995 else f"{seconds * 1e3:.3g} ms"


def size(count: int) -> str:
    """Bytes as MiB."""
    return f"{count / 2**20:,.0f} MiB"


def percent(share: float | None) -> str:
    """A share, or a dash where it has no meaning."""
    return "–" if share is None else f"{share:.0%}"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, its columns padded so that it also reads well on a terminal."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"

    return "\n".join([line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)])


def times_table(results: list[Result]) -> str:
    """Times, ratio, wanted ratio, shares of GEMM rate; on a GPU also the precision and host syncs per call."""
    on_gpu = any(result.device != "cpu" for result in results)
    head = ["row", "ours", "torchvision", "ratio", *(["precision", "host syncs"] if on_gpu else ["wanted"])]
    head += ["GEMM share: ours", "torchvision's", "spread"]
    rows = []
    for result in results:
        own = [result.row.title, duration(result.ours.median), duration(result.theirs.median), f"{result.ratio:.2f}×"]
        if on_gpu:
            own += [result.precision, "–" if result.syncs is None else f"{result.syncs[0]} / {result.syncs[1]}"]
        else:
            own.append("–" if result.row.expected is None else f"≥ {result.row.expected}×")
        share = percent(result.share)
        if result.row.share is not None and not on_gpu:
            share += f" (≥ {result.row.share:.0%})"
        spread = f"± {max(result.ours.spread, result.theirs.spread):.0%}"
        rows.append([*own, share, percent(result.theirs_share), spread])
    return table(head, rows)


def memory_table(results: list[Result]) -> str:
    """Peak memory of each next to torchvision's."""
    rows = [
        [r.row.title, r.precision, size(r.memory[0]), size(r.memory[1]), f"{r.memory[1] / max(1, r.memory[0]):.2f}×"]
        for r in results
        if r.memory is not None
    ]
    return table(["row", "precision", "ours", "torchvision", "ratio"], rows)


def inputs_table(results: list[Result]) -> str:
    """What each row ran on and how far apart the outputs were."""
    return table(["row", "inputs", "outputs"], [[r.row.title, r.inputs, r.check] for r in results])


def growth_table(growth: dict[str, list[Point]]) -> str:
    """The plot's numbers."""
    rows = [
        [f"{AXES[name].title}: {AXES[name].label}", f"{value:,}", duration(ours), duration(theirs)]
        for name, points in growth.items()
        for value, ours, theirs in points
    ]
    return table(["what grows", "value", "ours", "torchvision"], rows)


def explorers_table(waits: list[explorers.Wait]) -> str:
    """Median and 95th percentile of each explorer beside the target."""
    head = ["explorer", "picture", "events", "median", "p95", "wanted", "", "slowest control", "first sweep, worst"]
    rows = []
    for own in waits:
        control, seconds = own.slowest
        worst = max(seconds for _, seconds in own.first)
        limit = f"≤ {duration(explorers.WANTED)}"
        times = [duration(own.median), duration(own.p95), limit, "met" if own.met else "missed"]
        about = [own.explorer, own.picture, f"{len(own.again):,}"]
        rows.append([*about, *times, f"{control}, {duration(seconds)}", duration(worst)])
    return table(head, rows)


def browser_table(found: list[browser.Answers]) -> str:
    """Median and 95th percentile of each explorer's answers beside the target."""
    head = ["explorer", "hand", "moves", "answered", "arrived: median", "p95", "longest", "wanted", ""]
    head += ["seen: median", "p95"]
    rows = []
    for own in found:
        rows.append([own.explorer, own.hand, f"{own.moves}", f"{len(own.times)}"])
        rows[-1] += [duration(value) for value in (median(own.arrived), ninety_fifth(own.arrived), max(own.arrived))]
        rows[-1] += [f"p95 ≤ {duration(browser.WANTED)}", "met" if own.met else "missed"]
        rows[-1] += [duration(value) for value in (median(own.seen), ninety_fifth(own.seen))]
    return table(head, rows)


def explorers_section(waits: list[explorers.Wait]) -> str:
    """The part of RESULTS.md that is about explorers."""
    return section(explorers.TITLE, HOW_EXPLORERS, explorers_table(waits))


def browser_section(found: list[browser.Answers]) -> str:
    """The part of RESULTS.md that is about explorers in the browser."""
    return section(browser.TITLE, HOW_BROWSER, browser_table(found))


def section(title: str, how: str, measured: str) -> str:
    """A part of RESULTS.md that may be measured alone, so it names its machine itself."""
    return "\n\n".join([f"## {title}", how.strip(), machine(), measured]) + "\n"


def with_section(text: str, section: str) -> str:
    """RESULTS.md with a section put in place of its former self, which ends before the next `## `, or added."""
    title = section.splitlines()[0]
    before, found, after = f"\n{text}".partition(f"\n{title}\n")
    if not found:
        return f"{text.rstrip()}\n\n{section}"
    _, following, rest = after.partition("\n## ")
    return f"{before[1:]}\n{section}{following}{rest}"


def machine() -> str:
    """The machine and the versions, one line each."""
    lines = [f"{processor()}, {torch.get_num_threads()} threads, {platform.system()}"]
    if torch.cuda.is_available():
        lines.append(f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    names = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "numpy"))
    lines.append(f"Python {platform.python_version()}, {names}")
    return "\n".join(f"- {line}" for line in lines)


def processor() -> str:
    """The processor's name, as Linux tells it, else as Python does."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def markdown(
    results: list[Result],
    growth: dict[str, list[Point]],
    rate: float,
    picture: Path | None,
    sections: list[str] = (),
) -> str:
    """The whole of RESULTS.md; `sections` are those that stand for themselves, at its end."""
    parts = ["# Next to torchvision", f"Written by `python -m benchmarks.run {' '.join(sys.argv[1:])}`".rstrip() + "."]
    parts += [
        machine() + (f"\n- GEMM rate, float32: {rate / 1e9:,.0f} GFLOP/s on the CPU" if rate else ""),
        HOW.strip(),
    ]
    for device in dict.fromkeys(result.device for result in results):
        own = [result for result in results if result.device == device]
        parts += [f"## Times, {device.upper()}", times_table(own)]
        if any(result.memory for result in own):
            parts += [f"## Peak memory, {device.upper()}", memory_table(own)]
        parts += [f"## Inputs and outputs, {device.upper()}", inputs_table(own)]
    if growth:
        parts.append("## Growth")
        if picture is not None:
            parts.append(f"![Time against image side, objects, proposals and batch]({picture.name})")
        parts.append(growth_table(growth))
    parts += [section.rstrip() for section in sections]
    return "\n\n".join(parts) + "\n"
