"""Does an annotation's bbox, and its area, belong to its outline? And if not, which convention was it written in?"""

from __future__ import annotations

from .faults import numbers, short

# A box x1, y1, x2, y2 in pixels. Plain floats: files hold a million boxes, and NumPy takes longer to begin than to end.
Corners = tuple[float, float, float, float]

# A box may overhang by a pixel (rounding) and be loose by two pixels or a tenth of its side (drawn by hand).
OVERHANG, LOOSE_PIXELS, LOOSE_SHARE = 1.0, 2.0, 0.1
# The strictest IoU that COCO's AP asks for is 0.95: a box that overlaps its mask's by more costs no detection a point.
KEPT_IOU = 0.96
# Files round the corners of a polygon's box to whole pixels or to fractions.
ROUNDED = 0.5
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


def box_misfit(tight: Corners, box: Corners) -> bool:
    """True if a box is no box of what lies in `tight`: an edge is off by more than rounding and a careless hand."""
    loose = [max(LOOSE_PIXELS, LOOSE_SHARE * (box[k + 2] - box[k])) for k in (0, 1)] * 2
    return any(abs(edge - other) > most for edge, other, most in zip(box, tight, loose, strict=True))


def loosely(box: Corners, tight: Corners, whole: Corners) -> bool:
    """True if a box that fits is drawn so loosely that a perfect detection would lose points by it.

    A box that spans the polygons, as COCO's own files have it, is none of these, however few pixels they cover: scores
    on such a file are those of pycocotools.

    tight  box of the pixels that the outline covers
    whole  of the polygons within the picture
    """
    of_polygons = all(abs(edge - other) <= ROUNDED for edge, other in zip(box, whole, strict=True))
    return not of_polygons and overlap(box, tight) < KEPT_IOU


def within(box: Corners, height: int, width: int) -> Corners:
    """The part of a box in the picture."""
    return max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)


def bbox_fault(bbox: list[float], tight: Corners, whole: Corners, height: int, width: int) -> tuple[str, str] | None:
    """The problem and the fix of a bbox that contradicts its outline; None if it fits.

    bbox           x, y, width, height as the file has them, finite and positive
    tight          of the pixels that the outline covers
    whole          of the outline with what lies outside the picture
    height, width  of the picture
    """
    plain = corners(bbox)
    off = min(_off(plain, tight), _off(plain, whole))
    fits = not box_misfit(tight, plain) or not box_misfit(whole, plain)
    # Where the plain reading fits, another one has to be exact to be believed, and clearly better.
    if fits and (off <= 1 or overlap(plain, tight) >= KEPT_IOU):
        return None
    kind, found = min(_readings(bbox, height, width).items(), key=lambda reading: _off(reading[1], tight))
    other_off = _off(found, tight)
    meant = other_off <= min(1, off - 1) if fits else not box_misfit(tight, found)
    if meant and found[2] > found[0] and found[3] > found[1]:
        return f"bbox {short(bbox)} gives {kind} of the outline in {numbers(tight)}", FIXES[kind]
    if fits:
        return None
    return (
        f"bbox {short(bbox)} spans {numbers(plain)}, the outline {numbers(tight)}",
        "recompute the bbox from the outline, or leave it out",
    )


def area_fault(area: float, pixels: int, outline: float, bbox: list[float], tight: Corners) -> tuple[str, bool] | None:
    """The problem of an area that is not its outline's, and whether it is harmless; None if it fits.

    area     as the file has it, finite
    pixels   that the outline covers
    outline  area inside the polygons, pixels², what lies outside the picture included
    bbox     the annotation's x, y, width, height
    tight    of the pixels that the outline covers
    """
    width, height = tight[2] - tight[0], tight[3] - tight[1]
    least, most = (of(pixels, outline) for of in (min, max))
    if 0 < area and least / AREA_FACTOR - width - height <= area <= most * AREA_FACTOR + width + height:
        return None
    of_boxes = (bbox[2] * bbox[3], width * height)
    if area > 0 and any(abs(area - of_box) <= 0.01 * of_box + 1 for of_box in of_boxes):
        return f"area {area:g} is the box's, the outline covers {pixels} pixels", True
    return f"area {area:g} is far from the {pixels} pixels of the outline", False


def corners(bbox: list[float]) -> Corners:
    """The corners x1, y1, x2, y2 of a box x, y, width, height."""
    x, y, w, h = bbox
    return x, y, x + w, y + h


def overlap(a: Corners, b: Corners) -> float:
    """Intersection over union of two boxes with sides > 0."""
    both = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _off(box: Corners, other: Corners) -> float:
    """By how many pixels the worst edge differs."""
    return max(abs(a - b) for a, b in zip(box, other, strict=True))


def _readings(bbox: list[float], height: int, width: int) -> dict[str, Corners]:
    """The corners in pixels that the four numbers mean in each convention that people have used."""
    x, y, w, h = bbox
    plain, given, centred = corners(bbox), (x, y, w, h), (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    found = {
        "the corners x1, y1, x2, y2": given,
        "y, x, height, width": (y, x, y + h, x + w),
        "the corners y1, x1, y2, x2": (y, x, h, w),
        "x, y, height, width": (x, y, x + h, y + w),
        "the centre, width and height": centred,
    }
    if max(bbox) <= 1:
        for kind, box in (("x, y, width, height", plain), ("corners", given), ("centre, width, height", centred)):
            found[f"normalised {kind}"] = _scaled(box, width, height)
    elif max(bbox) <= 100:
        found["per cent of the picture"] = _scaled(plain, width / 100, height / 100)
    return found


def _scaled(box: Corners, across: float, down: float) -> Corners:
    return box[0] * across, box[1] * down, box[2] * across, box[3] * down
