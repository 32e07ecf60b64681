"""How long each explorer takes from an event to the bytes of the new picture."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

from mrcnn_edu.explorers.toolkit.base import Explorer
from tests.explorers.opened import OPENINGS, opened

PICTURES = ("scene", "coins")
ROUNDS = 3
WANTED = 0.030  # seconds, for 95 of 100 events
TITLE = "Explorers"


@dataclass(frozen=True)
class Wait:
    """Seconds from event to bytes of one explorer on one picture, and the control that made each event.

    first    the events of the first sweep, in which pictures chosen for the first time go through the model
    again    those of the sweeps after it
    """

    explorer: str
    picture: str
    first: tuple[tuple[str, float], ...]
    again: tuple[tuple[str, float], ...]

    @property
    def median(self) -> float:
        """The middle event."""
        return median(seconds for _, seconds in self.again)

    @property
    def p95(self) -> float:
        """The time within which 95 of 100 events are answered."""
        return ninety_fifth([seconds for _, seconds in self.again])

    @property
    def slowest(self) -> tuple[str, float]:
        """The control whose middle event takes longest, and how long that takes."""
        by_control: dict[str, list[float]] = {}
        for control, seconds in self.again:
            by_control.setdefault(control, []).append(seconds)
        return max(((control, median(times)) for control, times in by_control.items()), key=lambda pair: pair[1])

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.p95 <= WANTED


def ninety_fifth(values: list[float]) -> float:
    """The smallest of the values that at least 95 of 100 do not exceed."""
    return sorted(values)[-(-95 * len(values) // 100) - 1]


def events(explorer: Explorer):
    """Sweep every control; yields (control, seconds) for each change that brought a new picture.

    The clock runs from the control's new value until the canvas holds the picture's bytes; those that show what was
    there before are no event.
    """
    rest = {name: control.value for name, control in explorer.controls.items()}
    for name, control in explorer.controls.items():
        for value in control.sweep():
            before = explorer.canvas.value
            start = time.perf_counter()
            control.set(value)
            seconds = time.perf_counter() - start
            if explorer.canvas.value != before:
                yield name, seconds
        explorer.set(**rest)


def wait(name: str, picture: str, rounds: int = ROUNDS) -> Wait:
    """Open an explorer on a picture and sweep it once to warm up, then `rounds` times."""
    explorer = opened(name, picture)
    first = tuple(events(explorer))
    return Wait(name, picture, first, tuple(event for _ in range(rounds) for event in events(explorer)))


def measure(quick: bool = False) -> list[Wait]:
    """Every explorer on every picture; `quick` sweeps once more instead of ROUNDS times."""
    return [wait(name, picture, 1 if quick else ROUNDS) for name in OPENINGS for picture in PICTURES]
