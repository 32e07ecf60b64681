"""Signed distances of the four shapes to their outline, on a small pixel window.

Each function takes pixel coordinates x (1, w) and y (h, 1) relative to the shape's centre and gives (h, w)
float32: pixels to the outline, positive inside. Coverage of a pixel is clip(0.5 + distance, 0, 1), so
"distance >= 0" is "coverage >= 0.5", which is the mask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .dice import Dice

CLASSES = ("disc", "box", "triangle", "star")


@dataclass(frozen=True)
class Outline:
    """One shape: its kind, circumscribed radius in pixels, rotation in radians, and the numbers of its form."""

    kind: str
    radius: float
    angle: float
    form: tuple[float, ...]

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Signed distance in pixels, (h, w) float32, positive inside."""
        return DISTANCES[self.kind](self, x, y)

    def rotated(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates along the shape's own axes, two (h, w) arrays in pixels."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return cos * x + sin * y, cos * y - sin * x


def disc(outline: Outline, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """form: (second half-axis / first, two amplitudes of a slow wobble of the rim, as struck coins have)."""
    aspect, wave_2, wave_3 = outline.form
    u, v = outline.rotated(x, y)
    v = v / aspect
    uu, vv = u * u, v * v
    squared = uu + vv
    r = np.sqrt(squared)
    rim = outline.radius * (1.0 - abs(wave_2) - abs(wave_3))
    if wave_2 or wave_3:
        squared += 1e-6
        # cos 2φ and cos 3φ without a trigonometric function of every pixel
        wobble = (wave_2 * (uu - vv) + (wave_3 * u) * (uu - 3.0 * vv) / (r + 1e-3)) / squared
        return (rim + outline.radius * wobble - r) * aspect**0.5
    return (rim - r) * aspect**0.5


def box(outline: Outline, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """form: (height / width,)."""
    (aspect,) = outline.form
    half_width = outline.radius / math.hypot(1.0, aspect)
    u, v = outline.rotated(x, y)
    return np.minimum(half_width - np.abs(u), half_width * aspect - np.abs(v))


def triangle(outline: Outline, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """form: three corner angles in radians, ascending, relative to the shape's rotation."""
    corners = [
        (outline.radius * math.cos(outline.angle + a), outline.radius * math.sin(outline.angle + a))
        for a in outline.form
    ]
    distance = None
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        length = math.hypot(x2 - x1, y2 - y1)
        nx, ny = (y1 - y2) / length, (x2 - x1) / length
        side = (nx * x - (nx * x1 + ny * y1)) + ny * y
        distance = side if distance is None else np.minimum(distance, side)
    return distance


def star(outline: Outline, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """form: (number of points, inner radius / outer radius)."""
    points, inner = outline.form
    sector = math.pi / points
    # The edge from the tip (1, 0) to the inner corner: its normal's direction and its distance from the centre.
    tip_to_corner = inner * math.cos(sector) - 1.0, inner * math.sin(sector)
    length = math.hypot(*tip_to_corner)
    normal = tip_to_corner[1] / length, -tip_to_corner[0] / length
    offset, direction = outline.radius * normal[0], math.atan2(normal[1], normal[0])
    theta = np.arctan2(y, x)
    theta -= outline.angle
    theta *= 1.0 / (2.0 * sector)
    theta -= np.rint(theta)  # every point of the star folded onto one
    folded = np.abs(theta)
    folded *= 2.0 * sector
    folded -= direction
    return offset - np.sqrt(x * x + y * y) * np.cos(folded)


DISTANCES = {"disc": disc, "box": box, "triangle": triangle, "star": star}


def random_outline(dice: Dice, kind: str, radius: float) -> Outline:
    """A shape of the given kind inside a circle of the given radius (pixels)."""
    angle = dice.angle()
    if kind == "disc":
        round_one = dice.chance(0.5)
        waves = (0.0, 0.0) if round_one else (dice.uniform(-0.03, 0.03), dice.uniform(-0.035, 0.035))
        form: tuple[float, ...] = (1.0 if round_one else dice.uniform(0.84, 1.0), *waves)
    elif kind == "box":
        form = (dice.uniform(0.5, 1.0),)
        if dice.chance(0.35):
            angle = 0.0
    elif kind == "triangle":
        third = 2.0 * math.pi / 3.0
        form = tuple(i * third + dice.uniform(-0.35, 0.35) for i in range(3))
    elif kind == "star":
        points = dice.choice((4, 5, 5, 5, 6, 7))
        form = (float(points), dice.uniform(0.42, 0.58))
    else:
        raise ValueError(f"kind: {kind!r} is no shape; choose one of {', '.join(CLASSES)}")
    return Outline(kind, radius, angle, form)
