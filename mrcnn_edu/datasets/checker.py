"""What poisons training, found before the first step: which image, which object, which field, and the fix."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from tqdm.auto import tqdm

from .coco import CocoDataset
from .coco_boxes import OVERHANG, box_misfit
from .coco_contents import CROWDS
from .faults import DatasetError, Fault, Report, file_fault, grouped, numbers
from .limits import Sizes
from .targets import boxes_from_masks
from .transforms import Transformed

# Of a transform over annotated pictures, so many samples are made: what breaks one object breaks the first ones too.
TRANSFORMED = 4


def check_dataset(dataset: Dataset, limit: int | None = None, progress: bool = False, config=None) -> Report:
    """Look at every image and object of a data set, and report what would poison training.

    Images that cannot be read count as faults of the field "file". An image without objects is fine; a set without
    any is not, because there is nothing to learn from. Of a `CocoDataset` the annotations are checked when it is made;
    here each picture is decoded once, and no mask is: memory does not grow with the number of objects. Any other data
    set is asked for its samples, and their masks are looked at one by one.

    dataset   samples (image, target); `class_names`, `name`, `describe(i)` and `annotation_ids(i)` are used if there
    limit     look at the first so many images only; the annotations of a COCO file are looked at in any case
    progress  show a bar
    config    settings of the model to train: notes say where its anchors, proposals and detections cap the score
    """
    report = Report(getattr(dataset, "name", type(dataset).__name__))
    file = _file_behind(dataset)
    if file is not None:
        report.faults += file.faults
    count = len(dataset) if limit is None else min(limit, len(dataset))
    seen = _Seen(Sizes(config))
    look = _look_at_sample if file is None else _look_at_picture
    for index in tqdm(range(count), desc=f"checking {report.name}", disable=not progress):
        report.images += 1
        try:
            look(dataset if file is None else file, index, report, seen)
            if file is not None and file is not dataset and index < TRANSFORMED:
                image, target = dataset[index]
                report.faults += check_sample(image, target, _num_classes(dataset), describe(dataset, index))
        except (OSError, ValueError) as error:
            report.faults.append(file_fault(describe(dataset, index), error))
    report.faults.extend(
        Fault(report.name, "", "image_id", f"{number} is used by {times} images", "give each image an id of its own")
        for number, times in seen.ids.items()
        if times > 1
    )
    if report.objects == 0 and not (file is not None and file.faults):
        report.faults.append(_nothing_to_learn(report.name, count, seen.crowds))
    _add_notes(report, getattr(dataset, "class_names", ()), seen)
    report.notes += seen.sizes.notes() + ([] if file is None else grouped([*file.notes, *seen.notes]))
    return report


class _Seen:
    """What adds up over the images of a data set."""

    def __init__(self, sizes: Sizes):
        self.sizes, self.crowds = sizes, 0
        self.ids: Counter[int] = Counter()
        self.per_label: Counter[int] = Counter()
        self.empty: list[str] = []
        self.notes: list[Fault] = []
        self.files: dict[tuple[int, int], str] = {}
        self.of_length: dict[int, list[tuple[str, Path]]] = {}

    def objects(self, report: Report, name: str, labels: list[int], boxes: np.ndarray, size: tuple[int, int]) -> None:
        """Count the objects of one image."""
        report.objects += len(labels)
        self.per_label.update(labels)
        self.sizes.add(boxes, *size)


def _file_behind(dataset: Dataset) -> CocoDataset | None:
    """The COCO file whose pictures are the data set's own, if its samples are read or transformed by this package."""
    inner = dataset.dataset if type(dataset) is Transformed else dataset
    own = isinstance(inner, CocoDataset) and all(
        getattr(type(inner), name) is getattr(CocoDataset, name) for name in ("__getitem__", "_load", "_read")
    )
    return inner if own else None


def _look_at_picture(dataset: CocoDataset, index: int, report: Report, seen: _Seen) -> None:
    name, entry = describe(dataset, index), dataset.images[index]
    labels, boxes = dataset.outlines(index)
    size = dataset.check_picture(index)
    seen.objects(report, name, labels, boxes, size)
    seen.crowds += dataset.crowd_count(index)
    seen.ids[entry["id"]] += 1
    # With annotations left out as faulty, an image without objects is nothing that the file meant.
    if not labels and not dataset.faults:
        seen.empty.append(name)
    _compare_files(name, dataset.folder / entry["file_name"], report, seen)


def _compare_files(name: str, path: Path, report: Report, seen: _Seen) -> None:
    """Name pictures that are one file under two names, and copies of one another."""
    status = path.stat()
    other = seen.files.setdefault((status.st_dev, status.st_ino), name)
    # File systems without numbers of their own for files give 0.
    if other != name and status.st_ino:
        fix = "keep one of the entries, and give its id to the annotations of both"
        report.faults.append(Fault(name, "", "file_name", f"is the same file as {other}: one picture twice", fix))
        return
    twins = seen.of_length.setdefault(status.st_size, [])
    if twins:
        content = _digest(path)
        same = next((twin for twin, where in twins if _digest(where) == content), None)
        if same is not None:
            seen.notes.append(Fault(name, "", "file", f"the picture is a copy of {same}", "each counts on its own"))
    twins.append((name, path))


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _look_at_sample(dataset: Dataset, index: int, report: Report, seen: _Seen) -> None:
    name = describe(dataset, index)
    image, target = dataset[index]
    found = check_sample(image, target, _num_classes(dataset), name, _object_names(dataset, index, target))
    report.faults.extend(found)
    labels = _flat(target.get("labels")) if isinstance(target, dict) else []
    sound = not found and len(labels) > 0
    boxes = np.asarray(target["boxes"].tolist(), np.float64).reshape(-1, 4) if sound else np.zeros((0, 4))
    seen.objects(report, name, labels, boxes, tuple(image.shape[-2:]) if sound else (1, 1))
    if not labels and not found:
        seen.empty.append(name)
    if isinstance(target, dict) and "image_id" in target:
        seen.ids[int(target["image_id"])] += 1


def _nothing_to_learn(name: str, count: int, crowds: int) -> Fault:
    if crowds:
        problem = f"all {crowds} annotations are crowd regions (iscrowd 1), which are no objects to learn"
        return Fault(name, "", "iscrowd", problem, CROWDS)
    problem = "the whole set holds no object" if count else "the set holds no image"
    return Fault(name, "", "boxes", problem, "add annotated images")


def _num_classes(dataset: Dataset) -> int | None:
    return len(dataset.class_names) if hasattr(dataset, "class_names") else None


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
    for i, who in enumerate(names):
        box_problem = _box_problem(boxes[i], height, width)
        problems = [("boxes", *box_problem)] if box_problem else []
        problems += [("labels", *problem) for problem in [_label_problem(labels[i], num_classes)] if problem]
        mask_problem = _mask_problem(masks[i], None if box_problem else boxes[i])
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
    text = numbers(box)
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


def _mask_problem(mask: np.ndarray, box: np.ndarray | None) -> tuple[str, str] | None:
    tight = boxes_from_masks(mask[None])[0]
    if not tight.any():
        return "the mask is empty", "remove the object, or draw its mask inside the image"
    if not np.isfinite(mask).all() or mask.min() < 0 or mask.max() > 1:
        return f"values run from {mask.min():g} to {mask.max():g}, expected 0 and 1", "write 1 for every pixel inside"
    if box is not None and box_misfit(tight.tolist(), box.tolist()):
        return f"the mask fills {numbers(tight)}, the box is {numbers(box)}", "recompute the box from the mask"
    return None


def _object_names(dataset: Dataset, index: int, target: dict) -> list[str] | None:
    if not hasattr(dataset, "annotation_ids"):
        return None
    return [f"annotation id {number}" for number in dataset.annotation_ids(index)]


def _flat(labels: object) -> list[int]:
    return torch.as_tensor(labels).reshape(-1).tolist() if labels is not None else []


def _add_notes(report: Report, class_names: tuple[str, ...], seen: _Seen) -> None:
    if seen.empty:
        shown = ", ".join(seen.empty[:5]) + (", …" if len(seen.empty) > 5 else "")
        report.notes.append(f"{len(seen.empty)} images hold no object, which is allowed: {shown}")
    unseen = [name for label, name in enumerate(class_names) if label and not seen.per_label[label]]
    if unseen and report.objects:
        report.notes.append(f"no object of class {', '.join(unseen)}")
