"""One annotation of a COCO file: what is wrong with it, what is worth knowing, and how it is read."""

from __future__ import annotations

from dataclasses import dataclass, field

from pycocotools import mask as coco_mask

from .coco_boxes import area_fault, bbox_fault, corners, loosely, within
from .coco_outlines import (
    SAID_OUTSIDE,
    outline_area,
    outline_fault,
    reach,
    segmentation_fault,
    share_outside,
)
from .coco_parse import is_finite, is_integer, is_number, to_rle
from .faults import Fault, numbers, short

COMPUTED = "it is computed from the outline"


@dataclass
class Reading:
    """One annotation, read.

    sound     the annotation with iscrowd, bbox and area filled in; None if it cannot be used
    pixels    the pixels inside, as compressed RLE at the picture's size; None without a usable outline
    faults    why it cannot be used
    notes     what is harmless, but not as it should be
    """

    sound: dict | None = None
    pixels: dict | None = None
    faults: list[Fault] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)


class AnnotationReader:
    """Reads the annotations of one file.

    images, categories  sound entries by id
    crowds_are_objects  take annotations with iscrowd 1 as objects
    source              the file's name, for annotations whose image is not known
    """

    def __init__(self, images: dict[int, dict], categories: dict[int, dict], crowds_are_objects: bool, source: str):
        self.images, self.categories = images, categories
        self.crowds_are_objects, self.source = crowds_are_objects, source

    def read(self, annotation: dict) -> Reading:
        """Look at one annotation, whose id is sound."""
        reading, who = Reading(), f"annotation id {annotation['id']}"
        image = self._image(annotation, reading, who)
        if image is None:
            return reading

        def fault(key: str, problem: str, fix: str) -> None:
            reading.faults.append(Fault(image["file_name"], who, key, problem, fix))

        def note(key: str, problem: str, fix: str) -> None:
            reading.notes.append(Fault(image["file_name"], who, key, problem, fix))

        category_fault = self._category_fault(annotation.get("category_id"))
        if category_fault:
            fault("category_id", *category_fault)
        sound = {**annotation, "iscrowd": self._crowd(annotation, fault, note)}
        for key, wrong in (("bbox", box_fault), ("area", number_fault)):
            value = annotation.get(key)
            # Many tools leave a bbox out as null or []; an area of null is what becomes of NaN.
            if key not in annotation or key == "bbox" and value in (None, []):
                sound[key] = None
                note(key, f"{key} is {short(value)}" if key in annotation else f"{key} is missing", COMPUTED)
            elif problem := wrong(value):
                fault(key, *problem)
        problem = segmentation_fault(annotation.get("segmentation"), image, sound.get("bbox"))
        if problem:
            fault("segmentation", *problem)
        if not reading.faults:
            _read_outline(sound, image, reading, fault, note)
        reading.sound = None if reading.faults else sound
        return reading

    def _image(self, annotation: dict, reading: Reading, who: str) -> dict | None:
        number = annotation.get("image_id")
        if not is_integer(number):
            problem, fix = f"image_id {short(number)} is no integer", "write the number without quotes"
        elif number not in self.images:
            problem = f"image_id {short(number)} is not among the images"
            fix = "add the image or remove the annotation"
        else:
            return self.images[number]
        reading.faults.append(Fault(self.source, who, "image_id", problem, fix))
        return None

    def _category_fault(self, number: object) -> tuple[str, str] | None:
        if not is_integer(number):
            return f"category_id {short(number)} is no integer", "write the number without quotes"
        if number not in self.categories:
            known = ", ".join(str(key) for key in sorted(self.categories)[:10])
            return f"unknown category_id {short(number)}", f"the file's categories are {known or 'none'}"
        return None

    def _crowd(self, annotation: dict, fault, note) -> int:
        crowd = annotation.get("iscrowd", 0)
        if crowd is None:
            note("iscrowd", "iscrowd is null", "it is taken as 0")
            crowd = 0
        if not isinstance(crowd, int | float) or crowd not in (0, 1):
            fault("iscrowd", f"iscrowd {short(crowd)} must be 0 or 1", "write 0 for an object, 1 for a crowd region")
            return 0
        return 0 if self.crowds_are_objects else int(crowd)


def _read_outline(sound: dict, image: dict, reading: Reading, fault, note) -> None:
    """Compare outline, bbox and area, and fill in what the file leaves out or gives loosely."""
    height, width = image["height"], image["width"]
    reading.pixels = rle = to_rle(sound["segmentation"], height, width)
    pixels, box = int(coco_mask.area(rle)), coco_mask.toBbox(rle).tolist()
    tight, polygons = corners(box), sound["segmentation"] if isinstance(sound["segmentation"], list) else []
    whole = reach(polygons) if polygons else tight
    outside = share_outside(polygons, whole, height, width)
    problem = outline_fault(pixels, whole, outside, height, width)
    if problem and not (pixels == 0 and sound["iscrowd"]):
        return fault("segmentation", *problem)
    if outside > SAID_OUTSIDE:
        note("segmentation", f"{outside:.0%} of the outline lie outside the picture", "the part inside counts")
    if sound["bbox"] is not None and pixels:
        problem = bbox_fault(sound["bbox"], tight, whole, height, width)
        if problem:
            fault("bbox", *problem)
        elif loosely(corners(sound["bbox"]), tight, within(whole, height, width)):
            note("bbox", f"bbox {short(sound['bbox'])} differs a little from its outline in {numbers(tight)}", COMPUTED)
            sound["bbox"] = None
    if sound["area"] is not None and pixels:
        inside = outline_area(polygons) if abs(sound["area"] - pixels) > 0.1 * pixels and polygons else pixels
        problem = area_fault(sound["area"], pixels, inside, sound["bbox"] or box, tight)
        if problem and problem[1]:
            note("area", problem[0], "it only counts where scores are given by size")
        elif problem:
            fault("area", problem[0], "recompute it from the outline, or leave area out")
    sound["bbox"] = box if sound["bbox"] is None else sound["bbox"]
    sound["area"] = float(pixels) if sound["area"] is None else sound["area"]
    return None


def box_fault(box: object) -> tuple[str, str] | None:
    """Problem and fix of a COCO box (x, y, width, height) as such; None if it is one."""
    mend = "recompute it from the mask or leave bbox out"
    if not isinstance(box, list) or len(box) != 4 or not all(is_number(value) for value in box):
        return f"bbox {short(box)} must be four numbers x, y, width, height", mend
    if not all(is_finite(value) for value in box):
        return f"bbox {short(box)} holds a value that is not finite", mend
    if box[2] <= 0 or box[3] <= 0:
        kind = "inverted" if box[2] < 0 or box[3] < 0 else "without area"
        return f"bbox {short(box)} is {kind}: width and height must be positive", mend
    return None


def number_fault(area: object) -> tuple[str, str] | None:
    """Problem and fix of an area as such; None if it is a number of pixels."""
    if is_finite(area) and area >= 0:
        return None
    return f"area {short(area)} is no positive number", "write the outline's area in pixels, or leave area out"
