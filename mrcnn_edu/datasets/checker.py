"""What poisons training, found before the first step: which image, which object, which field, and the fix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from .targets import boxes_from_masks

# Boxes may overhang by a pixel (rounding) and be loose by two pixels or a tenth of their side (drawn by hand).
OVERHANG, LOOSE_PIXELS, LOOSE_SHARE = 1.0, 2.0, 0.1


class DatasetError(ValueError):
    """A data set or sample that would poison training; the message names image, object, field and fix."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    image    the image's name
    object   which object of the image, such as "annotation id 17" or "object 3"; empty if it concerns the image
    field    "image", "boxes", "labels", "masks", "image_id" or "file"
    problem  what is wrong, with the value
    fix      what to do
    """

    image: str
    object: str
    field: str
    problem: str
    fix: str

    def __str__(self) -> str:
        where = f"{self.image}, {self.object}" if self.object else self.image
        return f"{where}: {self.field}: {self.problem}; {self.fix}"


@dataclass
class Report:
    """What `check_dataset` found; `str(report)` is for people.

    name     the data set's name
    images   number of images looked at
    objects  number of objects in them
    faults   what would poison training
    notes    what is allowed but worth knowing, such as images without objects
    """

    name: str
    images: int = 0
    objects: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if nothing is wrong."""
        return not self.faults

    def __str__(self) -> str:
        verdict = "no faults" if self.ok else f"{len(self.faults)} fault{'s' if len(self.faults) > 1 else ''}"
        lines = [f"{self.name}: {self.images} images, {self.objects} objects, {verdict}"]
        lines += [f"  fault: {fault}" for fault in self.faults]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def raise_if_faulty(self) -> None:
        """Raise DatasetError with the report's text if there is a fault."""
        if not self.ok:
            raise DatasetError(str(self))


def check_dataset(dataset: Dataset, limit: int | None = None, progress: bool = False) -> Report:
    """Look at every image and object of a data set, and report what would poison training.

    Images that cannot be read count as faults of the field "file". An image without objects is fine; a set without
    any is not, because there is nothing to learn from.

    dataset   samples (image, target); `class_names`, `name`, `describe(i)` and `annotation_ids(i)` are used if there
    limit     look at the first so many images only
    progress  show a bar
    """
    report = Report(getattr(dataset, "name", type(dataset).__name__))
    num_classes = len(dataset.class_names) if hasattr(dataset, "class_names") else None
    count = len(dataset) if limit is None else min(limit, len(dataset))
    ids, per_label, empty = Counter(), Counter(), []
    for index in tqdm(range(count), desc=f"checking {report.name}", disable=not progress):
        name = describe(dataset, index)
        report.images += 1
        try:
            image, target = dataset[index]
        except (OSError, ValueError) as error:
            report.faults.append(Fault(name, "", "file", str(error), "repair or remove this image"))
            continue
        found = check_sample(image, target, num_classes, name, _object_names(dataset, index, target))
        report.faults.extend(found)
        labels = _flat(target.get("labels")) if isinstance(target, dict) else []
        report.objects += len(labels)
        per_label.update(labels)
        if not labels and not found:
            empty.append(name)
        if isinstance(target, dict) and "image_id" in target:
            ids[int(target["image_id"])] += 1
    report.faults.extend(
        Fault(report.name, "", "image_id", f"{number} is used by {times} images", "give each image an id of its own")
        for number, times in ids.items()
        if times > 1
    )
    if report.objects == 0:
        problem = "the whole set holds no object" if count else "the set holds no image"
        report.faults.append(Fault(report.name, "", "boxes", problem, "add annotated images"))
    _add_notes(report, getattr(dataset, "class_names", ()), per_label, empty)
    return report


def check_sample(
    image: Tensor, target: dict, num_classes: int | None = None, name: str = "image", objects: list[str] | None = None
) -> list[Fault]:
    """What is wrong with one sample; cheap enough to run on every sample before the first training step.

    image        (3, H, W) floating point, expected in [0, 1]
    target       dict of boxes (N, 4) xyxy in pixels, labels (N,) int64, masks (N, H, W) of 0 and 1
    num_classes  K, background counted; labels must lie in 1 … K - 1; only the lower bound is checked if None
    name         the image's name in messages
    objects      the objects' names in messages
    """
    faults = [Fault(name, "", "image", problem, fix) for problem, fix in _image_problems(image)]
    missing = [key for key in ("boxes", "labels", "masks") if not isinstance(target, dict) or key not in target]
    if missing:
        return [*faults, *(Fault(name, "", key, "missing from the target", "add it to the dict") for key in missing)]
    shape_problems = list(_shape_problems(image, target))
    if shape_problems:
        return [*faults, *(Fault(name, "", key, problem, fix) for key, problem, fix in shape_problems)]
    height, width = image.shape[-2:]
    boxes, labels = np.asarray(target["boxes"].tolist(), np.float64).reshape(-1, 4), _flat(target["labels"])
    masks = np.asarray(torch.as_tensor(target["masks"]).cpu())
    names = (
        objects if objects is not None and len(objects) == len(labels) else [f"object {i}" for i in range(len(labels))]
    )
    tight = boxes_from_masks(masks)
    for i, who in enumerate(names):
        box_problem = _box_problem(boxes[i], height, width)
        problems = [("boxes", *box_problem)] if box_problem else []
        problems += [("labels", *problem) for problem in [_label_problem(labels[i], num_classes)] if problem]
        mask_problem = _mask_problem(masks[i], tight[i], None if box_problem else boxes[i])
        problems += [("masks", *mask_problem)] if mask_problem else []
        faults += [Fault(name, who, key, problem, fix) for key, problem, fix in problems]
    return faults


def require_sound(images: Iterable[Tensor], targets: Iterable[dict], num_classes: int, names: Iterable[str]) -> None:
    """Raise DatasetError with every fault of a batch; an empty image or batch is no fault.

    raises  DatasetError
    """
    faults = []
    for image, target, name in zip(images, targets, names, strict=True):
        faults += check_sample(image, target, num_classes, name)
    if faults:
        raise DatasetError("\n".join(str(fault) for fault in faults))


def describe(dataset: Dataset, index: int) -> str:
    """The name of an image in messages: the data set's own, or its number."""
    return dataset.describe(index) if hasattr(dataset, "describe") else f"image {index}"


def _image_problems(image: Tensor) -> Iterable[tuple[str, str]]:
    if not isinstance(image, Tensor) or image.ndim != 3 or image.shape[0] != 3:
        shape = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
        yield f"{shape}, expected a tensor (3, H, W)", "read it with read_image"
    elif not image.is_floating_point():
        yield f"values of type {image.dtype}, expected float32 in [0, 1]", "divide by the largest value"
    elif 0 in image.shape:
        yield f"size {tuple(image.shape)} has no pixels", "remove the image"
    elif not bool(torch.isfinite(image).all()):
        yield "holds NaN or infinite values", "read the file again"
    elif float(image.min()) < -0.01 or float(image.max()) > 1.01:
        low, high = float(image.min()), float(image.max())
        yield f"values run from {low:g} to {high:g}, expected 0 to 1", "scale to [0, 1]; the model normalises"


def _shape_problems(image: Tensor, target: dict) -> Iterable[tuple[str, str, str]]:
    boxes, labels, masks = target["boxes"], target["labels"], target["masks"]
    for key in ("boxes", "labels", "masks"):
        if not isinstance(target[key], Tensor):
            yield key, f"is a {type(target[key]).__name__}, expected a tensor", "convert it with torch.as_tensor"
            return
    if boxes.ndim != 2 or boxes.shape[-1] != 4:
        yield "boxes", f"shape {tuple(boxes.shape)}, expected (N, 4)", "use torch.zeros(0, 4) for no objects"
    elif not boxes.is_floating_point():
        yield "boxes", f"values of type {boxes.dtype}, expected float32", "convert them with boxes.float()"
    if labels.ndim != 1 or labels.dtype != torch.int64:
        yield "labels", f"shape {tuple(labels.shape)} of {labels.dtype}, expected (N,) of int64", "convert them"
    if masks.ndim != 3:
        yield "masks", f"shape {tuple(masks.shape)}, expected (N, H, W)", "use torch.zeros(0, H, W) for no objects"
    elif isinstance(image, Tensor) and image.ndim == 3 and masks.shape[-2:] != image.shape[-2:]:
        sizes = f"size {tuple(masks.shape[-2:])} differs from the image's {tuple(image.shape[-2:])}"
        yield "masks", sizes, "draw the masks on the image as it is, or resize both together"
    if len({len(boxes), len(labels), len(masks)}) > 1:
        counts = f"{len(boxes)} boxes, {len(labels)} labels and {len(masks)} masks"
        yield "boxes", counts, "give each object one of each"


def _box_problem(box: np.ndarray, height: int, width: int) -> tuple[str, str] | None:
    text = "(" + ", ".join(f"{value:g}" for value in box) + ")"
    x1, y1, x2, y2 = box
    if not np.isfinite(box).all():
        return f"{text} is not finite", "recompute the box from the mask"
    if x2 < x1 or y2 < y1:
        return f"{text} is inverted", "write it as x1, y1, x2, y2 with x1 < x2 and y1 < y2"
    if x2 == x1 or y2 == y1:
        return f"{text} has no area", "remove the object, or recompute the box from the mask"
    if x1 < -OVERHANG or y1 < -OVERHANG or x2 > width + OVERHANG or y2 > height + OVERHANG:
        return f"{text} lies outside the image of {width} × {height}", "clip the box to the image"
    return None


def _label_problem(label: int, num_classes: int | None) -> tuple[str, str] | None:
    if label == 0:
        return "0 is the background", "number the classes from 1"
    if label < 0:
        return f"{label} is negative", "number the classes from 1"
    if num_classes is not None and label >= num_classes:
        return f"{label} is no class", f"use 1 to {num_classes - 1}, or a model with more than {num_classes} classes"
    return None


def _mask_problem(mask: np.ndarray, tight: np.ndarray, box: np.ndarray | None) -> tuple[str, str] | None:
    if not tight.any():
        return "the mask is empty", "remove the object, or draw its mask inside the image"
    if not np.isfinite(mask).all() or mask.min() < 0 or mask.max() > 1:
        return f"values run from {mask.min():g} to {mask.max():g}, expected 0 and 1", "write 1 for every pixel inside"
    if box is None:
        return None
    sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    if (np.abs(tight - box) > np.maximum(LOOSE_PIXELS, LOOSE_SHARE * sides)).any():
        outline = "(" + ", ".join(f"{value:g}" for value in tight) + ")"
        given = "(" + ", ".join(f"{value:g}" for value in box) + ")"
        return f"the mask fills {outline}, the box is {given}", "recompute the box from the mask"
    return None


def _object_names(dataset: Dataset, index: int, target: dict) -> list[str] | None:
    if not hasattr(dataset, "annotation_ids"):
        return None
    return [f"annotation id {number}" for number in dataset.annotation_ids(index)]


def _flat(labels: object) -> list[int]:
    return torch.as_tensor(labels).reshape(-1).tolist() if labels is not None else []


def _add_notes(report: Report, class_names: tuple[str, ...], per_label: Counter, empty: list[str]) -> None:
    if empty:
        shown = ", ".join(empty[:5]) + (", …" if len(empty) > 5 else "")
        report.notes.append(f"{len(empty)} images hold no object, which is allowed: {shown}")
    unseen = [name for label, name in enumerate(class_names) if label and not per_label[label]]
    if unseen and report.objects:
        report.notes.append(f"no object of class {', '.join(unseen)}")
