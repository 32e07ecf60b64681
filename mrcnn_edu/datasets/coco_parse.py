"""COCO annotation files: read, checked field by field, and turned into masks."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

LISTS = ("images", "annotations", "categories")


class AnnotationError(ValueError):
    """An annotation file that cannot be used as it is; the message names the entry, the field and the fix."""


@dataclass
class ParsedCoco:
    """A checked COCO file.

    source       the file's name, for messages
    content      the file as read
    by_image     image id -> its sound annotations, in file order
    categories   the file's categories, ascending ids
    faults       one message per annotation that cannot be used
    """

    source: str
    content: dict
    by_image: dict[int, list[dict]] = field(default_factory=dict)
    categories: list[dict] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


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
        raise AnnotationError(f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})") from None


def parse_coco(content: object, source: str) -> ParsedCoco:
    """Check a COCO file's content.

    content  what the JSON holds
    source   the file's name, for messages
    raises   AnnotationError where the file as a whole cannot be used: wrong structure, bad images or categories,
             ids that are repeated or no integers. Annotations that cannot be used are listed in `faults`.
    """
    if not isinstance(content, dict):
        raise AnnotationError(
            f"{source}: a COCO file is a JSON object with the lists {', '.join(LISTS)}, "
            f"this one is a {type(content).__name__} (results of a model are no annotations)"
        )
    for key in LISTS:
        if not isinstance(content.get(key), list):
            raise AnnotationError(f'{source}: the list "{key}" is missing; export the file in COCO instance format')
        for position, entry in enumerate(content[key]):
            if not isinstance(entry, dict):
                raise AnnotationError(f"{source}: {key}[{position}] is {entry!r}, expected an object with fields")
    parsed = ParsedCoco(source, content)
    images = _by_id(content["images"], "images", source)
    categories = _by_id(content["categories"], "categories", source)
    _by_id(content["annotations"], "annotations", source)
    for image in images.values():
        _check_image(image, source)
    for category in categories.values():
        if not isinstance(category.get("name"), str):
            raise AnnotationError(f'{source}: category id {category["id"]}: field "name" must be a text')
    parsed.categories = [categories[key] for key in sorted(categories)]
    parsed.by_image = {key: [] for key in images}
    for annotation in content["annotations"]:
        fault = annotation_fault(annotation, images, categories)
        if fault:
            parsed.faults.append(f"{source}: annotation id {annotation['id']}{fault}")
        else:
            parsed.by_image[annotation["image_id"]].append(annotation)
    return parsed


def annotation_fault(annotation: dict, images: dict[int, dict], categories: dict[int, dict]) -> str:
    """What is wrong with one annotation, as the end of a message; empty if nothing is."""
    image_id, category_id = annotation.get("image_id"), annotation.get("category_id")
    if not is_integer(image_id):
        return f": image_id {image_id!r} is no integer; write the number without quotes"
    if image_id not in images:
        return f": image_id {image_id} is not among the images; add the image or remove the annotation"
    where = f" (image {images[image_id]['file_name']})"
    if not is_integer(category_id):
        return f"{where}: category_id {category_id!r} is no integer; write the number without quotes"
    if category_id not in categories:
        known = ", ".join(str(key) for key in sorted(categories)[:10])
        return f"{where}: unknown category_id {category_id}; the file's categories are {known}"
    if annotation.get("iscrowd", 0) not in (0, 1):
        return f"{where}: iscrowd {annotation['iscrowd']!r} must be 0 or 1"
    fault = box_fault(annotation["bbox"]) if "bbox" in annotation else ""
    fault = fault or segmentation_fault(annotation.get("segmentation"), images[image_id])
    return f"{where}: {fault}" if fault else ""


def box_fault(box: object) -> str:
    """What is wrong with a COCO box (x, y, width, height); empty if nothing is."""
    if not isinstance(box, list) or len(box) != 4 or not all(is_number(value) for value in box):
        return f"bbox {box!r} must be four numbers x, y, width, height"
    if not all(math.isfinite(value) for value in box):
        return f"bbox {box} holds a value that is not finite; recompute it from the mask or leave bbox out"
    if box[2] <= 0 or box[3] <= 0:
        kind = "inverted" if box[2] < 0 or box[3] < 0 else "without area"
        return f"bbox {box} is {kind}: width and height must be positive; recompute it from the mask or leave bbox out"
    return ""


def segmentation_fault(segmentation: object, image: dict) -> str:
    """What is wrong with a segmentation of the given image; empty if nothing is."""
    if isinstance(segmentation, dict):
        return _rle_fault(segmentation, image)
    if not isinstance(segmentation, list) or not segmentation:
        return "segmentation is missing or empty; an instance needs polygons or RLE"
    if is_number(segmentation[0]):
        return "segmentation is one flat list of numbers; a polygon belongs in a list of polygons: [[x1, y1, …]]"
    for number, polygon in enumerate(segmentation):
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            size = len(polygon) if isinstance(polygon, list) else repr(polygon)
            return f"segmentation[{number}] needs an even count of at least 6 coordinates, has {size}"
        if not all(is_number(value) and math.isfinite(value) for value in polygon):
            return f"segmentation[{number}] holds a coordinate that is no finite number"
        # pycocotools walks along every edge in fifths of a pixel: a stray coordinate of 1e9 would take all memory.
        far = 2 * max(image["width"], image["height"])
        if max(polygon) > far or min(polygon) < -far:
            worst = max(polygon, key=abs)
            return f"segmentation[{number}] has a coordinate {worst:g}, far outside the image; give pixels of the image"
    return ""


def _rle_fault(rle: dict, image: dict) -> str:
    size, counts = rle.get("size"), rle.get("counts")
    expected = [image["height"], image["width"]]
    if not isinstance(size, list) or list(size) != expected:
        return (
            f"segmentation size {size} differs from the image's height and width {expected}; "
            "mask and image must have the same size"
        )
    if isinstance(counts, str | bytes):
        runs = rle_runs(counts)
        if runs is None:
            return "segmentation counts is no valid compressed RLE; encode the mask again"
    elif isinstance(counts, list) and all(is_integer(run) for run in counts):
        runs = counts
    else:
        return "segmentation counts must be a list of integers or a compressed text"
    if min(runs, default=-1) < 0 or sum(runs) != expected[0] * expected[1]:
        return f"segmentation counts cover {sum(runs)} pixels, the image has {expected[0] * expected[1]}"
    return ""


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
        return coco_mask.frPyObjects(segmentation, height, width)
    return {"size": list(segmentation["size"]), "counts": _as_bytes(segmentation["counts"])}


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


def _as_bytes(counts: str | bytes) -> bytes:
    return counts.encode("ascii") if isinstance(counts, str) else counts


def _by_id(entries: list[dict], key: str, source: str) -> dict[int, dict]:
    found: dict[int, dict] = {}
    for position, entry in enumerate(entries):
        number = entry.get("id")
        if not is_integer(number):
            raise AnnotationError(
                f"{source}: {key}[{position}]: id {number!r} is no integer; write the number without quotes"
            )
        if number in found:
            raise AnnotationError(f"{source}: {key}: id {number} is used twice; give each entry an id of its own")
        found[number] = entry
    return found


def _check_image(image: dict, source: str) -> None:
    if not isinstance(image.get("file_name"), str) or not image["file_name"]:
        raise AnnotationError(f'{source}: image id {image["id"]}: field "file_name" must be a file\'s name')
    for side in ("width", "height"):
        if not is_integer(image.get(side)) or image[side] < 1:
            raise AnnotationError(
                f"{source}: image id {image['id']} ({image['file_name']}): {side} {image.get(side)!r} "
                "must be a positive integer; write the picture's size in pixels"
            )
    if image["width"] * image["height"] >= 2**31:
        raise AnnotationError(
            f"{source}: image id {image['id']} ({image['file_name']}): width {image['width']} × height "
            f"{image['height']} is beyond what RLE can count (2^31 pixels); correct the size, or cut the picture up"
        )
