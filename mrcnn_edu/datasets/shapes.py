"""Generated scenes: an endless, seeded data set of discs, boxes, triangles and stars with exact masks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from .dice import Dice
from .outlines import CLASSES, Outline, random_outline
from .targets import Sample, boxes_from_masks, make_target
from .textures import PATTERNS, background, colour_apart, mix, noise_bank, pattern, ramp, random_colour, shifted_colour

# Diameters as a share of the image's side: 12 to 64 pixels at size 128.
SMALLEST, LARGEST = 12 / 128, 64 / 128
SKEW = 0.5
# A newcomer that would leave an earlier object less than this share of its pixels is not drawn.
LEAST_VISIBLE = 0.55
BACKGROUNDS = (
    "flat",
    "gradient",
    "gradient",
    "fine",
    "medium",
    "coarse",
    "broad",
    "broad",
    "fibre",
    "stripes",
    "checks",
    "edge",
)
TRAY_BACKGROUNDS = ("flat", "gradient", "broad", "broad", "fine", "fibre", "edge")


@dataclass
class Style:
    """What the objects of one scene share."""

    channels: int
    grounds: tuple[tuple[float, ...], tuple[float, ...]]
    kinds: tuple[str, ...]
    patterns: tuple[str, ...]
    colour: tuple[float, ...] | None
    diameter: tuple[float, float]
    shadow: tuple[float, float, float, float] | None
    bevel: float
    touching: float


@dataclass
class Canvas:
    """A scene while it is painted: the picture, who owns each pixel, and the objects so far."""

    picture: np.ndarray
    owner: np.ndarray
    labels: list[int] = field(default_factory=list)
    circles: list[tuple[float, float, float]] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)
    visible: list[int] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Side of the picture, pixels."""
        return self.owner.shape[0]


class Shapes(Dataset):
    """Generated scenes with discs, boxes, triangles and stars, endless and the same for the same seed.

    Scene i of a seed is drawn from the pair (seed, i) alone: nothing is stored, and any order of access gives the
    same scenes. Later objects hide earlier ones; a mask is the visible part, and its pixels are exactly those that
    the object covers by half or more. Every object that is drawn is annotated: one that would leave an earlier
    object less than 55 % of its pixels is not drawn at all, and a centre lies inside the image, so that there are
    no slivers. About one scene in twenty-five is empty; about one in seven is a tray of coins.

    length       number of scenes, any size
    seed         non-negative integer
    size         side of the square image in pixels, at least 32; object diameters are 3/32 to 1/2 of it
    max_objects  the most objects in a scene, except that trays of coins hold up to 24 unless it is below 12
    raises       ValueError for a negative seed or length, or a size below 32
    """

    class_names = ("background", *CLASSES)
    category_ids = (0, 1, 2, 3, 4)

    def __init__(self, length: int = 10_000, seed: int = 0, size: int = 128, max_objects: int = 12):
        if length < 0 or seed < 0:
            raise ValueError(f"Shapes: length and seed must not be negative, got length={length}, seed={seed}")
        if size < 32:
            raise ValueError(f"Shapes: size={size} leaves objects of three pixels; use a size of at least 32")
        if max_objects < 0:
            raise ValueError(f"Shapes: max_objects={max_objects} must not be negative")
        self.length, self.seed, self.size, self.max_objects = length, seed, size, max_objects
        self.name = "shapes"

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        if not -self.length <= index < self.length:
            raise IndexError(f"shapes has {self.length} scenes, there is no scene {index}")
        index = int(index) % self.length
        picture, labels, masks = draw_scene(Dice(self.seed, index), self.size, self.max_objects)
        target = make_target(boxes_from_masks(masks), labels, masks, index)
        return tv_tensors.Image(torch.from_numpy(picture)), target

    def picture(self, index: int) -> tuple[Tensor, int]:
        """The image of scene `index`, (3, H, W), and its image id."""
        image, target = self[index]
        return image, target["image_id"]

    def describe(self, index: int) -> str:
        """The scene's name in messages."""
        return f"shapes seed {self.seed} image {index}"

    def coco(self) -> dict:
        """The annotations of all scenes in COCO format, masks as compressed RLE. Draws every scene once."""
        from .coco_export import coco_from_samples

        return coco_from_samples(self)


def draw_scene(dice: Dice, size: int, max_objects: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One scene: image (3, size, size) float32 in [0, 1], labels (N,) int64, masks (N, size, size) uint8."""
    tray = dice.chance(0.14)
    style = tray_style(dice) if tray else free_style(dice)
    picture = background(dice, size, *style.grounds, TRAY_BACKGROUNDS if tray else BACKGROUNDS)
    canvas = Canvas(picture, np.full((size, size), -1, np.int16))
    for outline, x, y in row_places(dice, style, size, max_objects) if tray and dice.chance(0.75) else ():
        add_object(dice, canvas, style, outline, x, y)
    if not canvas.labels:
        scatter(dice, canvas, style, max_objects)
    picture = develop(dice, canvas.picture, haze=0.6 if tray else 0.15)
    count = len(canvas.labels)
    masks = (canvas.owner == np.arange(count, dtype=np.int16)[:, None, None]).view(np.uint8)
    return picture, np.array(canvas.labels, np.int64), masks


def free_style(dice: Dice) -> Style:
    """Any mixture of shapes, colours and patterns."""
    channels = 1 if dice.chance(0.35) else 3
    ground = random_colour(dice, channels)
    grounds = ground, shifted_colour(dice, ground, 0.02, 0.3)
    alike = dice.chance(0.35)
    colour = colour_apart(dice, channels, list(grounds), 0.25) if alike and dice.chance(0.5) else None
    return Style(
        channels=channels,
        grounds=grounds,
        kinds=(dice.choice(CLASSES),) if alike else CLASSES,
        patterns=(dice.choice(PATTERNS[:-1]),) if dice.chance(0.2) else PATTERNS,
        colour=colour,
        diameter=(SMALLEST, LARGEST),
        shadow=random_shadow(dice, 0.5),
        bevel=dice.uniform(0.12, 0.35) if colour or dice.chance(0.5) else 0.0,
        touching=dice.choice((0.0, 0.3, 0.7)),
    )


def tray_style(dice: Dice) -> Style:
    """Coins on a tray: mostly grey discs of one metal, in relief, often in loose rows."""
    channels = 1 if dice.chance(0.8) else 3
    level = dice.uniform(0.08, 0.42)
    ground = (level,) if channels == 1 else tuple(level + dice.uniform(-0.06, 0.06) for _ in range(3))
    metal = tuple(level + dice.uniform(0.16, 0.42) + 0.04 * (1 - i) * (channels == 3) for i in range(channels))
    low = dice.uniform(SMALLEST, 0.26)
    return Style(
        channels=channels,
        grounds=(ground, shifted_colour(dice, ground, 0.03, 0.12)),
        kinds=("disc",),
        patterns=("coin",) if dice.chance(0.8) else ("coin", "flat", "noise", "gradient"),
        colour=metal if dice.chance(0.8) else None,
        diameter=(low, min(low * dice.uniform(1.15, 1.9), LARGEST)),
        shadow=random_shadow(dice, 0.4),
        bevel=dice.uniform(0.0, 0.2),
        touching=dice.choice((0.0, 0.0, 0.5)),
    )


def random_shadow(dice: Dice, probability: float) -> tuple[float, float, float, float] | None:
    """Offset x and y and softness as shares of the object's radius, and strength; or no shadow."""
    if not dice.chance(probability):
        return None
    angle, reach = dice.angle(), dice.uniform(0.05, 0.3)
    return reach * math.cos(angle), reach * math.sin(angle), dice.uniform(0.15, 0.5), dice.uniform(0.25, 0.65)


def random_radius(dice: Dice, style: Style, size: int, kind: str) -> float:
    """Radius of the circle around a new object, pixels."""
    small, large = style.diameter
    # Large ones more often than small ones: below some 16 pixels, a mask of 28 × 28 cells that is pasted back loses
    # a fifth of its IoU to rounding, and scenes full of those would measure the rounding, not the model.
    radius = 0.5 * size * small * (large / small) ** (dice.unit() ** SKEW)
    # Triangles and stars fill little of their circle; this keeps the smallest ones readable.
    return min(radius * (1.2 if kind in ("triangle", "star") else 1.0), 0.5 * size * LARGEST)


def row_places(dice: Dice, style: Style, size: int, max_objects: int) -> list[tuple[Outline, float, float]]:
    """Coins in loose rows that fill the image, up to two dozen."""
    pitch = size * style.diameter[1] * dice.uniform(1.02, 1.4)
    columns, rows = max(1, int(size / pitch)), max(1, int(size / (pitch * dice.uniform(0.95, 1.25))))
    rows = max(1, min(rows, (24 if max_objects >= 12 else max_objects) // columns))
    loose, places = dice.uniform(0.0, 0.12) * pitch, []
    if max_objects == 0:
        return places
    for row in range(rows):
        for column in range(columns):
            radius = random_radius(dice, style, size, "disc")
            outline = random_outline(dice, "disc", radius)
            if dice.chance(0.06):
                continue
            x = (column + 0.5) * size / columns + dice.uniform(-loose, loose)
            y = (row + 0.5) * size / rows + dice.uniform(-loose, loose)
            places.append((outline, x, y))
    return places if max_objects >= 12 else places[:max_objects]


def scatter(dice: Dice, canvas: Canvas, style: Style, max_objects: int) -> None:
    """Objects anywhere, some pushed against an earlier one."""
    wanted = 0 if dice.chance(0.04) else 1 + int(max_objects * dice.unit() ** 0.95)
    for _ in range(2 * wanted):
        if len(canvas.labels) >= min(wanted, max_objects):
            return
        kind = dice.choice(style.kinds)
        outline = random_outline(dice, kind, random_radius(dice, style, canvas.size, kind))
        place = free_place(dice, canvas, style, outline.radius)
        if place is not None:
            add_object(dice, canvas, style, outline, *place)


def free_place(dice: Dice, canvas: Canvas, style: Style, radius: float) -> tuple[float, float] | None:
    """A centre for a circle of the given radius that does not bury an earlier object, or None after eight tries."""
    margin = min(0.55 * radius, 0.3 * canvas.size)
    for _ in range(8):
        if canvas.circles and dice.chance(style.touching):
            near_x, near_y, near_radius = dice.choice(canvas.circles)
            angle, gap = dice.angle(), (radius + near_radius) * dice.uniform(0.7, 1.03)
            x, y = near_x + gap * math.cos(angle), near_y + gap * math.sin(angle)
        else:
            x, y = dice.uniform(margin, canvas.size - margin), dice.uniform(margin, canvas.size - margin)
        if not (margin <= x <= canvas.size - margin and margin <= y <= canvas.size - margin):
            continue
        apart = 0.68 if style.touching or dice.chance(0.3) else 1.02
        if all(math.hypot(x - cx, y - cy) >= apart * (radius + r) for cx, cy, r in canvas.circles):
            return x, y
    return None


def add_object(dice: Dice, canvas: Canvas, style: Style, outline: Outline, cx: float, cy: float) -> bool:
    """Paint one object over the scene, unless it would hide an earlier one too far. True if it was painted."""
    size, reach = canvas.size, outline.radius * (1.35 if style.shadow else 1.0) + 1.5
    left, right = max(int(cx - reach), 0), min(int(cx + reach) + 1, size)
    top, bottom = max(int(cy - reach), 0), min(int(cy + reach) + 1, size)
    x = np.arange(left, right, dtype=np.float32)[None, :] + np.float32(0.5 - cx)
    y = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5 - cy)
    distance = outline.distance(x, y)
    inside = distance >= 0
    owner = canvas.owner[top:bottom, left:right]
    area, remains = int(np.count_nonzero(inside)), list(canvas.visible)
    for number, (other_x, other_y, other_radius) in enumerate(canvas.circles):
        if math.hypot(cx - other_x, cy - other_y) < outline.radius + other_radius + 1.0:
            remains[number] -= int(np.count_nonzero(inside & (owner == number)))
    if area == 0 or any(r < LEAST_VISIBLE * d for r, d in zip(remains, canvas.drawn, strict=True)):
        return False
    if style.shadow:
        cast_shadow(canvas.picture, distance, left, top, style.shadow, outline.radius)
    window = canvas.picture[:, top:bottom, left:right]
    fill = paint(dice, style, outline, x, y, distance, size)
    fill = fill - window
    fill *= ramp(distance, 1.0, 0.5)
    window += fill
    np.copyto(owner, np.int16(len(canvas.labels)), where=inside)
    canvas.labels.append(1 + CLASSES.index(outline.kind))
    canvas.circles.append((cx, cy, outline.radius))
    canvas.visible = [*remains, area]
    canvas.drawn.append(area)
    return True


def paint(
    dice: Dice, style: Style, outline: Outline, x: np.ndarray, y: np.ndarray, distance: np.ndarray, size: int
) -> np.ndarray:
    """The colours of one object before it is cut out, (C, h, w) float32."""
    kind = dice.choice(style.patterns)
    if kind == "coin" and outline.kind != "disc" and dice.chance(0.7):
        kind = "flat"
    if style.colour:
        first = tuple(value + dice.uniform(-0.06, 0.06) for value in style.colour[:1]) * style.channels
        first = tuple(f + v - style.colour[0] for f, v in zip(first, style.colour, strict=True))
    else:
        first = colour_apart(dice, style.channels, list(style.grounds), 0.25)
    if kind in ("coin", "noise", "gradient"):
        second = shifted_colour(dice, first, 0.1, 0.4)
    else:
        second = colour_apart(dice, style.channels, [first, *style.grounds], 0.15)
    if kind == "coin":
        # Relief swings about the metal's colour; contrast with the tray must not depend on the second colour.
        low, high = (tuple(v + step for v in first) for step in (-0.3, 0.3))
        first, second = low, high
    fill = mix(first, second, pattern(dice, kind, outline, x, y, distance, size))
    if style.bevel:
        # Light falls on the edges from one side: neighbours of one colour stay apart.
        angle, width = dice.angle(), max(0.18 * outline.radius, 1.2)
        edge = ramp(distance, -1.0 / width, 1.0)
        slope = (math.cos(angle) / outline.radius) * x + (math.sin(angle) / outline.radius) * y
        slope -= 0.35
        slope *= style.bevel
        fill = fill + edge * slope
    return fill


def cast_shadow(
    picture: np.ndarray,
    distance: np.ndarray,
    left: int,
    top: int,
    shadow: tuple[float, float, float, float],
    radius: float,
) -> None:
    """Darken what lies beside an object; `distance` (h, w) is its outline's, at (left, top) of the picture."""
    dx, dy = round(shadow[0] * radius), round(shadow[1] * radius)
    softness, strength = max(shadow[2] * radius, 1.0), shadow[3]
    h, w = distance.shape
    size = picture.shape[1]
    x0, x1 = max(left + dx, 0), min(left + dx + w, size)
    y0, y1 = max(top + dy, 0), min(top + dy + h, size)
    part = distance[y0 - top - dy : y1 - top - dy, x0 - left - dx : x1 - left - dx]
    picture[:, y0:y1, x0:x1] *= 1.0 - strength * ramp(part, 1.0 / softness, 0.5)


def develop(dice: Dice, picture: np.ndarray, haze: float) -> np.ndarray:
    """What a camera adds: uneven light, haze, blur, sensor noise. (C, size, size) to (3, size, size) in [0, 1].

    haze  the probability of stray light that lowers the contrast toward one side
    """
    size = picture.shape[1]
    axis = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    if dice.chance(0.6):
        slope_x, slope_y, bend = dice.uniform(-0.3, 0.3), dice.uniform(-0.3, 0.3), dice.uniform(-0.2, 0.1)
        along = 1.0 + slope_x * axis + bend * axis * axis
        picture *= along + (slope_y * axis + bend * axis * axis)[:, None]
    if dice.chance(haze):
        angle, most, level = dice.angle(), dice.uniform(0.15, 0.55), dice.uniform(0.3, 0.7)
        x, y = (0.36 * most * math.cos(angle)) * axis, (0.36 * most * math.sin(angle)) * axis
        veil = (x + 0.5 * most) + y[:, None]
        picture += veil * (level - picture)
    if dice.chance(0.45):
        picture = soften(picture, dice.uniform(0.05, 0.25))
    if dice.chance(0.8):
        sensor = noise_bank(size).sensor
        start = dice.below(sensor.size - picture.size + 1)
        picture += (0.045 * dice.unit() ** 2) * sensor[start : start + picture.size].reshape(picture.shape)
    np.clip(picture, 0.0, 1.0, out=picture)
    return picture if len(picture) == 3 else np.repeat(picture, 3, axis=0)


def soften(picture: np.ndarray, weight: float) -> np.ndarray:
    """Blur with the kernel (weight, 1 - 2 weight, weight) along both axes; border pixels only along the border."""
    half = (1.0 - 2.0 * weight) * picture
    half[:, 1:-1] += weight * (picture[:, :-2] + picture[:, 2:])
    half[:, [0, -1]] = picture[:, [0, -1]]
    out = (1.0 - 2.0 * weight) * half
    out[:, :, 1:-1] += weight * (half[:, :, :-2] + half[:, :, 2:])
    out[:, :, [0, -1]] = half[:, :, [0, -1]]
    return out
