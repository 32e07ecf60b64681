"""Colours, patterns and noise of generated scenes."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from .dice import Dice
from .outlines import Outline

# Widths of the smoothing kernel, in pixels of a scene of 128 pixels.
GRAINS = {"fine": 0.8, "medium": 1.7, "coarse": 4.5, "broad": 13.0}
PATTERNS = ("flat", "gradient", "stripes", "checks", "noise", "rings", "coin")


class NoiseBank:
    """Ready-made noise that scenes of one size take random windows from.

    Smooth noise costs a Fourier transform; a window of a stored tile costs a view.

    tiles      grain name -> (P, P) float32, mean 0, deviation 1
    slopes     grain name -> its derivatives along x and y, deviation 1: relief under slanting light
    fibre      (P, P) float32, noise drawn out along x, like wood or cloth
    sensor     (n,) float32 of independent normal numbers
    """

    def __init__(self, size: int):
        rng = np.random.default_rng([size, 7])
        side = max(256, 2 * size)
        unit = size / 128.0
        self.side = side
        white = rng.standard_normal((side, side))
        self.tiles = {name: _smooth(white, width * unit, width * unit) for name, width in GRAINS.items()}
        self.fibre = _smooth(white.T, 1.2 * unit, 18.0 * unit)
        self.slopes = {}
        for name in ("fine", "medium", "coarse"):
            dy, dx = np.gradient(self.tiles[name])
            scale = dx.std()
            self.slopes[name] = ((dx / scale).astype(np.float32), (dy / scale).astype(np.float32))
        self.sensor = rng.standard_normal(4 * 3 * size * size, dtype=np.float32)

    def corner(self, dice: Dice, h: int, w: int) -> tuple[slice, slice]:
        """A random window of h × w pixels."""
        top, left = dice.below(self.side - h + 1), dice.below(self.side - w + 1)
        return slice(top, top + h), slice(left, left + w)


@lru_cache(maxsize=4)
def noise_bank(size: int) -> NoiseBank:
    """The noise for scenes of one size, made on first use (about 0.1 s at size 128)."""
    return NoiseBank(size)


def _smooth(white: np.ndarray, sigma_y: float, sigma_x: float) -> np.ndarray:
    fy, fx = np.fft.fftfreq(white.shape[0]), np.fft.rfftfreq(white.shape[1])
    kernel = np.exp(-2 * math.pi**2 * ((fy[:, None] * sigma_y) ** 2 + (fx * sigma_x) ** 2))
    kernel[0, 0] = 0.0
    smooth = np.fft.irfft2(np.fft.rfft2(white) * kernel, s=white.shape)
    return (smooth / smooth.std()).astype(np.float32)


def contrast(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """The largest difference in a channel between two colours, 0 … 1."""
    if len(a) == 1:  # half of all scenes are grey, and this is called some fifty times a scene
        return abs(a[0] - b[0])
    return max(abs(a[0] - b[0]), abs(a[1] - b[1]), abs(a[2] - b[2]))


def random_colour(dice: Dice, channels: int) -> tuple[float, ...]:
    """A colour with values in 0.04 … 0.96: grey for one channel, from muted to vivid for three."""
    level = dice.uniform(0.04, 0.96)
    if channels == 1:
        return (level,)
    saturation = dice.unit() ** 0.7
    return (
        level + saturation * (dice.uniform(0.04, 0.96) - level),
        level + saturation * (dice.uniform(0.04, 0.96) - level),
        level + saturation * (dice.uniform(0.04, 0.96) - level),
    )


def colour_apart(dice: Dice, channels: int, others: list[tuple[float, ...]], least: float) -> tuple[float, ...]:
    """A random colour whose contrast with each of the others is at least `least`, or the best of ten."""
    best, best_contrast = None, -1.0
    for _ in range(10):
        colour = random_colour(dice, channels)
        seen = 1.0
        for other in others:
            seen = min(seen, contrast(colour, other))
        if seen >= least:
            return colour
        if seen > best_contrast:
            best, best_contrast = colour, seen
    return best


def shifted_colour(dice: Dice, colour: tuple[float, ...], least: float, most: float) -> tuple[float, ...]:
    """The colour made lighter or darker by an amount between least and most, toward the side with more room."""
    level = sum(colour) / len(colour)
    lighter = dice.chance(0.8) if level < 0.45 else dice.chance(0.2) if level > 0.6 else dice.chance(0.5)
    step = dice.uniform(least, most) * (1.0 if lighter else -1.0)
    return tuple(min(max(value + step, 0.02), 0.98) for value in colour)


def mix(first: tuple[float, ...], second: tuple[float, ...], share: np.ndarray | float) -> np.ndarray:
    """Colours between two: (C, h, w) from share (h, w), or (C, 1, 1) from a number."""
    a = np.array(first, np.float32)[:, None, None]
    b = np.array(second, np.float32)[:, None, None]
    mixed = (b - a) * share
    mixed += a
    return mixed


def ramp(values: np.ndarray, slope: float, offset: float) -> np.ndarray:
    """slope · values + offset, limited to 0 … 1; same shape as values."""
    out = values * slope
    out += offset
    # np.clip does the same, but on arrays as small as these spends most of its time before it starts.
    np.maximum(out, 0.0, out=out)
    return np.minimum(out, 1.0, out=out)


def background(
    dice: Dice, size: int, first: tuple[float, ...], second: tuple[float, ...], kinds: tuple[str, ...]
) -> np.ndarray:
    """An empty scene between two colours, (C, size, size) float32."""
    bank, kind = noise_bank(size), dice.choice(kinds)
    if kind == "flat":
        share: np.ndarray | float = 0.0
    elif kind == "gradient":
        angle, axis = dice.angle(), np.linspace(-0.5, 0.5, size, dtype=np.float32)
        share = 0.5 + 0.7 * (math.cos(angle) * axis + (math.sin(angle) * axis)[:, None])
    elif kind == "stripes":
        angle = dice.choice((0.0, math.pi / 2, dice.angle()))
        period = size * dice.uniform(0.04, 0.2)
        axis = np.arange(size, dtype=np.float32) * (2 * math.pi / period)
        share = 0.5 + 0.5 * np.sin(math.cos(angle) * axis + (math.sin(angle) * axis)[:, None])
    elif kind == "checks":
        cell = max(2, int(size * dice.uniform(0.03, 0.14)))
        odd = (np.arange(size) // cell) % 2
        share = (odd ^ odd[:, None]).astype(np.float32)
    elif kind == "edge":
        angle, axis = dice.angle(), np.linspace(-0.5, 0.5, size, dtype=np.float32)
        side = math.cos(angle) * axis + (math.sin(angle) * axis)[:, None]
        share = np.clip((side - dice.uniform(0.1, 0.45)) * size + 0.5, 0.0, 1.0)
    elif kind == "fibre":
        share = 0.5 + 0.3 * bank.fibre[bank.corner(dice, size, size)]
        share = share.T if dice.chance(0.5) else share
    else:
        share = 0.5 + 0.3 * bank.tiles[kind][bank.corner(dice, size, size)]
    picture = np.empty((len(first), size, size), np.float32)
    picture[:] = mix(first, second, share)
    return picture


def pattern(
    dice: Dice, kind: str, outline: Outline, x: np.ndarray, y: np.ndarray, distance: np.ndarray, size: int
) -> np.ndarray | float:
    """How far each pixel of a shape is from its first colour to its second, about 0 … 1.

    x (1, w) and y (h, 1) are pixels from the centre, distance (h, w) pixels to the outline.
    """
    bank, radius = noise_bank(size), outline.radius
    h, w = distance.shape
    if kind == "flat":
        return 0.0
    if kind == "coin":
        return coin_relief(dice, outline, x, y, distance, size)
    if kind == "noise":
        grain = dice.choice(("fine", "medium", "coarse"))
        return 0.5 + 0.35 * bank.tiles[grain][bank.corner(dice, h, w)]
    if kind == "rings":
        return 0.5 + 0.5 * np.cos(distance * (2 * math.pi / (radius * dice.uniform(0.3, 0.6))))
    angle = dice.angle()
    cos, sin = math.cos(angle), math.sin(angle)
    u = (cos / radius) * x + (sin / radius) * y
    if kind == "gradient":
        return 0.5 + 0.5 * u
    periods = dice.uniform(1.5, 4.0) if radius > size * 0.08 else dice.uniform(1.0, 2.0)
    u = np.sin(u * (math.pi * periods))
    if kind == "checks":
        u = u * np.sin(((cos / radius) * y - (sin / radius) * x) * (math.pi * periods))
    sharpness = dice.choice((0.5, 2.0, 4.0))
    return ramp(u, sharpness, 0.5)


def coin_relief(
    dice: Dice, outline: Outline, x: np.ndarray, y: np.ndarray, distance: np.ndarray, size: int
) -> np.ndarray:
    """A struck coin under slanting light: a worn figure in relief inside a raised rim; same arguments as `pattern`."""
    bank, radius = noise_bank(size), outline.radius
    h, w = distance.shape
    angle = dice.angle()
    lx, ly = math.cos(angle), math.sin(angle)
    grain = "fine" if radius < size * 0.1 else dice.choice(("fine", "medium", "medium"))
    corner = bank.corner(dice, h, w)
    dx, dy = bank.slopes[grain]
    depth = dice.uniform(0.03, 0.16)
    share = 0.5 + (depth * lx) * dx[corner] + (depth * ly) * dy[corner]
    dx, dy = bank.slopes["coarse"]
    depth = dice.uniform(0.0, 0.13)
    share += (depth * lx) * dx[corner] + (depth * ly) * dy[corner]
    if dice.chance(0.75):
        # A ridge along the rim: bright on the side that faces the light, dark behind it.
        width = max(radius * dice.uniform(0.05, 0.1), 0.8)
        p = (distance - width * dice.uniform(0.8, 2.2)) * (1.0 / width)
        ridge = np.exp(-p * p)
        share += dice.uniform(0.0, 0.35) * ridge
        facing = (lx / radius) * x + (ly / radius) * y
        share += (dice.uniform(0.3, 1.0) * p) * ridge * facing
    return share
