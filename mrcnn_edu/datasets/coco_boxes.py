"""Does an annotation's bbox, and its area, belong to its outline? And if not, which convention was it written in?"""

from __future__ import annotations

import numpy as np

from .faults import numbers, short

# A box may overhang by a pixel (rounding) and be loose by two pixels or a tenth of its side (drawn by hand).
OVERHANG, LOOSE_PIXELS, LOOSE_SHARE = 1.0, 2.0, 0.1
# The strictest IoU that COCO's AP asks for is 0.95: a box that overlaps its mask's by more costs no detection a point.
KEPT_IOU = 0.96
# Polygons and pixels count an area differently, and so do overlapping parts: half as much again is no contradiction.
AREA_FACTOR = 1.5

NORMALISED = "multiply x and width by the picture's width, y and height by its height"
FIXES = {
    "the corners x1, y1, x2, y2": "COCO boxes are x, y, width, height: write x2 - x1 and y2 - y1 in place of x2 and y2",
    "y, x, height, width": "swap them: COCO boxes are x, y, width, height",
    "the corners y1, x1, y2, x2": "COCO boxes are x, y, width, height: write x1, y1, x2 - x1, y2 - y1",
    "x, y, height, width": "swap the last two: COCO boxes are x, y, width, height",
    "the centre, width and height": "COCO boxes begin at the corner: take half of width and height off x and y",
    "normalised x, y, width, height": NORMALISED,
    "normalised corners": f"write x, y, width, height, then {NORMALISED}",
    "normalised centre, width, height": f"take half of width and height off x and y, then {NORMALISED}",
    "per cent of the picture": f"divide by 100, then {NORMALISED}",
}


def box_misfit(tight: np.ndarray, box: np.ndarray) -> bool:
    """True if a box is no box of what lies in `tight`: an edge is off by more than rounding and a careless hand.

    tight, box  (4,) xyxy, pixels
    """
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    return bool((np.abs(tight - box) > np.maximum(LOOSE_PIXELS, LOOSE_SHARE * sides)).any())


def bbox_fault(
    bbox: list[float], tight: np.ndarray, whole: np.ndarray, height: int, width: int
) -> tuple[str, str] | None:
    """The problem and the fix of a bbox that contradicts its outline; None if it fits.

    bbox           x, y, width, height as the file has them, finite and positive
    tight          (4,) xyxy, the pixels that the outline covers
    whole          (4,) xyxy, the outline with what lies outside the picture
    height, width  of the picture
    """
    x, y, w, h = bbox
    plain = np.array([x, y, x + w, y + h], np.float64)
    off = min(_off(plain, tight), _off(plain, whole))
    fits = not box_misfit(tight, plain) or not box_misfit(whole, plain)
    # Where the plain reading fits, another one has to be exact to be believed, and clearly better.
    if fits and (off <= 1 or overlap(plain, tight) >= KEPT_IOU):
        return None
    readings = {kind: box for kind, box in _readings(x, y, w, h, height, width).items() if (box[2:] > box[:2]).all()}
    kind = min(readings, key=lambda name: _off(readings[name], tight), default=None)
    found = None if kind is None else readings[kind]
    if found is not None and (_off(found, tight) + 1 <= off and _off(found, tight) <= 1 if fits else
                              not box_misfit(tight, found)):  # fmt: skip
        return f"bbox {short(bbox)} gives {kind} of the outline in {numbers(tight)}", FIXES[kind]
    if fits:
        return None
    return (
        f"bbox {short(bbox)} spans {numbers(plain)}, the outline {numbers(tight)}",
        "recompute the bbox from the outline, or leave it out",
    )


def area_fault(
    area: float, pixels: int, outline: float, box: list[float], tight: np.ndarray
) -> tuple[str, bool] | None:
    """The problem of an area that is not its outline's, and whether it is harmless; None if it fits.

    area     as the file has it, finite
    pixels   that the outline covers
    outline  area inside the polygons, pixels², what lies outside the picture included
    box      the annotation's bbox x, y, width, height
    tight    (4,) xyxy, the pixels that the outline covers
    """
    sides = float(tight[2] - tight[0] + tight[3] - tight[1])
    least, most = (of(pixels, outline) for of in (min, max))
    if 0 < area and least / AREA_FACTOR - sides <= area <= most * AREA_FACTOR + sides:
        return None
    problem = f"area {area:g} is far from the {pixels} pixels of the outline"
    boxes = (box[2] * box[3], float(tight[2] - tight[0]) * float(tight[3] - tight[1]))
    if any(abs(area - of_box) <= 0.01 * of_box + 1 for of_box in boxes) and area > 0:
        return f"area {area:g} is the box's, the outline covers {pixels} pixels", True
    return problem, False


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (4,) xyxy with sides > 0."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    both = float(sides.clip(min=0).prod())
    return both / float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - both)


def _off(box: np.ndarray, other: np.ndarray) -> float:
    """By how many pixels the worst edge differs."""
    return float(np.abs(box - other).max())


def _readings(x: float, y: float, w: float, h: float, height: int, width: int) -> dict[str, np.ndarray]:
    """The box, xyxy in pixels, that the four numbers mean in each convention that people have used."""
    corners, centre = (x, y, w, h), (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    plain, scale = (x, y, x + w, y + h), np.array([width, height] * 2, np.float64)
    found = {
        "the corners x1, y1, x2, y2": np.array(corners),
        "y, x, height, width": np.array([y, x, y + h, x + w]),
        "the corners y1, x1, y2, x2": np.array([y, x, h, w]),
        "x, y, height, width": np.array([x, y, x + h, y + w]),
        "the centre, width and height": np.array(centre),
    }
    if max(x, y, w, h) <= 1:
        for kind, box in (("x, y, width, height", plain), ("corners", corners), ("centre, width, height", centre)):
            found[f"normalised {kind}"] = np.array(box) * scale
    elif max(x, y, w, h) <= 100:
        found["per cent of the picture"] = np.array(plain) * scale / 100
    return found
