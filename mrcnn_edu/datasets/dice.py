"""Random numbers for generated scenes: one seeded stream, cheap to read one number at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """A seeded stream of random choices.

    A scene needs some two hundred single numbers. Asking numpy for them one by one costs more than
    drawing the picture, so they are taken from blocks.

    entropy  non-negative integers; equal entropy gives an equal stream
    """

    BLOCK = 512

    def __init__(self, *entropy: int):
        self.rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
        self._numbers = iter(())

    def unit(self) -> float:
        """A number in [0, 1)."""
        for number in self._numbers:
            return number
        self._numbers = iter(self.rng.random(self.BLOCK).tolist())
        return next(self._numbers)

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * self.unit()

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.unit() < probability

    def below(self, n: int) -> int:
        """An integer in 0 … n - 1."""
        return min(int(self.unit() * n), n - 1)

    def choice(self, options: Sequence[T]) -> T:
        """One of the options, each as likely as the others."""
        return options[self.below(len(options))]

    def angle(self) -> float:
        """An angle in [0, 2π)."""
        return self.uniform(0.0, 2.0 * math.pi)
