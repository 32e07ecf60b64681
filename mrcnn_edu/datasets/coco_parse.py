"""COCO annotation files: the JSON in, polygons and run lengths as masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

# Beyond this a number is no coordinate, size or area of any picture.
HUGE = 1e15


class AnnotationError(ValueError):
    """An annotation file that cannot be used as it is; the message names the entry, the field and the fix."""


def read_json(path: str | Path) -> object:
    """The content of a JSON file.

    raises  FileNotFoundError, or AnnotationError with line and column where the file stops being JSON
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such annotation file; check the name and the folder")
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        cut = " (the file ends there: it is truncated)" if error.pos >= len(error.doc.rstrip()) else ""
        raise AnnotationError(
            f"{path}: not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}{cut}; "
            "export or download the file again"
        ) from None
    except RecursionError:
        raise AnnotationError(f"{path}: lists nested too deeply to be a COCO file; export it again") from None
    except UnicodeDecodeError as error:
        raise AnnotationError(
            f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start}); export it again as JSON"
        ) from None
    except ValueError:
        raise AnnotationError(
            f"{path}: holds a number of thousands of digits, which no field of a COCO file has; export it again"
        ) from None


def rle_runs(counts: str | bytes) -> list[int] | None:
    """The run lengths in a compressed RLE text, or None if it is malformed.

    pycocotools trusts its input and reads past the end of a damaged text, so it is read here first.
    """
    codes = counts.encode("utf-8") if isinstance(counts, str) else counts
    runs: list[int] = []
    value = shift = 0
    for code in codes:
        code -= 48
        if not 0 <= code < 64:
            return None
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            if code & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs if shift == 0 else None


def to_rle(segmentation: list | dict, height: int, width: int) -> dict:
    """Polygons or RLE of any form as one compressed RLE (counts are bytes)."""
    if isinstance(segmentation, list):
        return coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return coco_mask.frPyObjects({"size": [height, width], "counts": segmentation["counts"]}, height, width)
    return {"size": [height, width], "counts": _as_bytes(segmentation["counts"])}


def decode_masks(rles: list[dict], height: int, width: int) -> np.ndarray:
    """Compressed RLEs as masks, (N, height, width) uint8."""
    if not rles:
        return np.zeros((0, height, width), np.uint8)
    return np.ascontiguousarray(coco_mask.decode(rles).transpose(2, 0, 1))


def encode_mask(mask: np.ndarray) -> dict:
    """A mask (H, W) as compressed RLE with counts as text, ready for JSON."""
    rle = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode("ascii")}


def is_integer(value: object) -> bool:
    """True for an integer that is not a truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """True for an integer or a float that is not a truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: object) -> bool:
    """True for a number that a picture can have: no truth value, not NaN, not infinite, not beyond all sizes."""
    # Compared and not converted: a JSON file may hold integers that no float can.
    return is_number(value) and -HUGE < value < HUGE


def all_finite(values: list) -> bool:
    """True if `is_finite` holds for every value."""
    # Almost every coordinate is a plain number, which takes a tenth of the time to see.
    if {type(value) for value in values} <= {int, float}:
        return all(-HUGE < value < HUGE for value in values)
    return all(is_finite(value) for value in values)


def _as_bytes(counts: str | bytes) -> bytes:
    return counts.encode("ascii") if isinstance(counts, str) else counts
