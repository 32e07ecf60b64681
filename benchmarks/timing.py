"""Clocks: several functions timed by turns, the machine's GEMM rate, and multiply-adds counted by torch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Times:
    """Seconds of one call, a sample a round."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle sample: a pause of the machine in one round does not move it."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median."""
        if len(self.samples) < 4:
            return (max(self.samples) - min(self.samples)) / 2 / self.median
        first, _, third = statistics.quantiles(self.samples, n=4)
        return (third - first) / 2 / self.median


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], object], calls: int, device: torch.device) -> float:
    """Seconds of one call, over `calls` of them."""
    synchronise(device)
    start = time.perf_counter()
    for _ in range(calls):
        run()
    synchronise(device)
    return (time.perf_counter() - start) / calls


def by_turns(runs: list[Callable[[], object]], rounds: int, device: torch.device, least: float = 0.1) -> list[Times]:
    """Time the functions A B A B …: what slows the machine for a while slows both.

    Each is called once to warm up. Every sample lasts at least `least` seconds, by calling a short function
    several times.

    returns  the times of each function, in the order given
    """
    for run in runs:
        run()
    calls = [max(1, round(least / max(1e-6, seconds(run, 1, device)))) for run in runs]
    samples: list[list[float]] = [[] for _ in runs]
    for _ in range(rounds):
        for run, count, own in zip(runs, calls, samples, strict=True):
            own.append(seconds(run, count, device))
    return [Times(tuple(own)) for own in samples]


def gemm(device: torch.device) -> tuple[Callable[[], object], int]:
    """A square matrix product in float32, large enough to run at the machine's full rate, and its operations."""
    side = 8192 if device.type == "cuda" else 2048
    left, right = torch.randn(2, side, side, device=device)
    out = torch.empty(side, side, device=device)
    return lambda: torch.mm(left, right, out=out), 2 * side**3


def operations(run: Callable[[], object]) -> int:
    """Floating point operations (two for a multiply-add) of the convolutions and matrix products in one call."""
    counter = FlopCounterMode(display=False)
    with counter:
        run()
    return counter.get_total_flops()
