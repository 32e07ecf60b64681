"""The outline of one annotation: its form as COCO asks for it, and how much of it the picture holds."""

from __future__ import annotations

import numpy as np

from .coco_boxes import OVERHANG, Corners
from .coco_parse import all_finite, is_integer, is_number, rle_runs
from .faults import numbers, short

# An outline may reach out of its picture by up to half of its area: tools let people draw past the edge.
MOST_OUTSIDE, SAID_OUTSIDE = 0.5, 0.1
# Of pictures this small a coordinate below 1 can be a pixel; of larger ones it is a share of the side.
SMALL_PICTURE = 16

DRAW_HERE = "draw the outline on this picture, in its pixels, or correct the picture's width and height"


def segmentation_fault(segmentation: object, image: dict, box: object = None) -> tuple[str, str] | None:
    """Problem and fix of a segmentation of the given image as such; None if it has the form that COCO asks for."""
    if isinstance(segmentation, dict):
        return _rle_fault(segmentation, image)
    if not segmentation:
        given = ", only a box is given" if box is not None else ""
        return (
            f"segmentation is missing or empty{given}; an instance needs polygons or RLE",
            "draw the outline, or export polygons or masks: a mask cannot be learnt from a box",
        )
    if not isinstance(segmentation, list):
        return (
            f"segmentation {short(segmentation)} is no list of polygons and no RLE",
            "write [[x1, y1, x2, y2, …]], or an object with size and counts",
        )
    if is_number(segmentation[0]):
        return "segmentation is one flat list of numbers", "a polygon belongs in a list of polygons: [[x1, y1, …]]"
    for number, polygon in enumerate(segmentation):
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            size = len(polygon) if isinstance(polygon, list) else short(polygon)
            return (
                f"segmentation[{number}] needs an even count of at least 6 coordinates, has {size}",
                "draw at least three points",
            )
        if not all_finite(polygon):
            return (
                f"segmentation[{number}] holds a coordinate that is no finite number",
                "write numbers, without quotes, in pixels",
            )
        # pycocotools walks along every edge in fifths of a pixel: a stray coordinate of 1e9 would take all memory.
        far = 2 * max(image["width"], image["height"])
        if max(polygon) > far or min(polygon) < -far:
            worst = max(polygon, key=abs)
            return f"segmentation[{number}] has a coordinate {worst:g}, far outside the image", DRAW_HERE
    return _normalised_fault(segmentation, image)


def _normalised_fault(polygons: list[list[float]], image: dict) -> tuple[str, str] | None:
    if max(image["width"], image["height"]) <= SMALL_PICTURE:
        return None
    values = [value for polygon in polygons for value in polygon]
    if 0 <= min(values) and max(values) <= 1 and any(value != int(value) for value in values):
        return (
            f"segmentation runs from {min(values):g} to {max(values):g}: the coordinates are normalised",
            "multiply x by the picture's width and y by its height",
        )
    return None


def _rle_fault(rle: dict, image: dict) -> tuple[str, str] | None:
    size, counts = rle.get("size"), rle.get("counts")
    expected = [image["height"], image["width"]]
    if not isinstance(size, list) or size != expected:
        turned = ": height and width are swapped" if size == expected[::-1] else ""
        return (
            f"segmentation size {short(size)} differs from the image's height and width {expected}{turned}",
            "mask and image must have the same size",
        )
    if isinstance(counts, str | bytes):
        runs = rle_runs(counts)
        if runs is None:
            return "segmentation counts is no valid compressed RLE", "encode the mask again"
    elif isinstance(counts, list) and all(is_integer(run) for run in counts):
        runs = counts
    else:
        return "segmentation counts must be a list of integers or a compressed text", "encode the mask again"
    if min(runs, default=-1) < 0 or sum(runs) != expected[0] * expected[1]:
        covered, pixels = short(sum(runs)), expected[0] * expected[1]
        return f"segmentation counts cover {covered} pixels, the image has {pixels}", "encode the mask again"
    return None


def reach(polygons: list[list[float]]) -> Corners:
    """The box of polygons, what lies outside the picture included."""
    across = [value for polygon in polygons for value in polygon[::2]]
    down = [value for polygon in polygons for value in polygon[1::2]]
    return float(min(across)), float(min(down)), float(max(across)), float(max(down))


def outline_area(polygons: list[list[float]]) -> float:
    """The area inside polygons in pixels², what lies outside the picture included; parts that overlap count twice."""
    return sum(_area(_points(polygon)) for polygon in polygons)


def share_outside(polygons: list[list[float]], whole: Corners, height: int, width: int) -> float:
    """The share of the polygons' area that lies outside the picture.

    whole          their box
    height, width  of the picture
    """
    area = outline_area(polygons) if leaves(whole, height, width) else 0
    if area == 0:
        return 0.0
    return 1 - sum(_area(_clipped(_points(polygon), height, width)) for polygon in polygons) / area


def leaves(whole: Corners, height: int, width: int) -> bool:
    """True if a box reaches out of the picture by more than rounding explains."""
    return min(whole) < -OVERHANG or whole[2] > width + OVERHANG or whole[3] > height + OVERHANG


def outline_fault(pixels: int, whole: Corners, outside: float, height: int, width: int) -> tuple[str, str] | None:
    """Problem and fix of an outline of sound form that the picture does not hold; None if it does.

    pixels         that it covers
    whole          its box, what lies outside the picture included
    outside        share of its area outside the picture
    height, width  of the picture
    """
    if pixels == 0 and leaves(whole, height, width):
        return f"the outline in {numbers(whole)} lies outside the picture of {width} × {height}", DRAW_HERE
    if pixels == 0:
        return "the mask is empty: the outline covers no pixel", "draw it around the object, or remove the annotation"
    if outside > MOST_OUTSIDE:
        share = f"{outside:.0%} of the outline in {numbers(whole)}"
        return f"{share} lie outside the picture of {width} × {height}", DRAW_HERE
    return None


def _points(polygon: list[float]) -> np.ndarray:
    return np.asarray(polygon, np.float64).reshape(-1, 2)


def _area(points: np.ndarray) -> float:
    """Area inside a polygon of points (P, 2)."""
    x, y = points[:, 0], points[:, 1]
    return abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())) / 2


def _clipped(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """The part of a polygon (P, 2) inside the picture, as points (Q, 2).

    source   Sutherland and Hodgman 1974
    """
    for axis, side, limit in ((0, 1, 0.0), (0, -1, width), (1, 1, 0.0), (1, -1, height)):
        depth = side * (points[:, axis] - limit)
        kept: list[np.ndarray] = []
        for k, point in enumerate(points):
            before, d, e = points[k - 1], depth[k], depth[k - 1]
            if (d >= 0) != (e >= 0):
                kept.append(before + (point - before) * (e / (e - d)))
            if d >= 0:
                kept.append(point)
        if not kept:
            return np.zeros((1, 2))
        points = np.stack(kept)  # (Q, 2)
    return points
