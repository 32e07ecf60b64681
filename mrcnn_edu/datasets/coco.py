"""Any data set in COCO format."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from .coco_contents import CocoContents, fault_text, parse_coco
from .coco_parse import AnnotationError, decode_masks, is_integer, read_json, to_rle
from .faults import Fault
from .files import ImageFileError, image_size, read_sized, reduced_size
from .reading import Kept, ReadFor, checked_read_for, packed, read_size, shrink, unpacked
from .scaling import scaled_rle
from .targets import Sample, boxes_from_masks, make_target

FAULTY, CROWDS = ("raise", "drop", "report"), ("regions", "objects")
# What an RLE takes in memory beside the text of its counts, about.
RLE_BYTES = 400


class CocoDataset(Dataset):
    """Images and instance masks from a COCO annotation file.

    Segmentations may be polygons, compressed or uncompressed RLE. Boxes are computed from the masks. Crowd regions
    are left out of the targets and kept in `coco()`, where evaluation needs them. Category ids may be sparse: label
    k is the k-th category in ascending order of ids, and `category_ids[k]` is its id.

    annotations  path of the JSON file, or its content as a dict
    images       folder that `file_name` refers to
    name         the data set's name; the annotation file's by default
    subset       positions in the file's `images` that belong to this data set; all by default
    max_side     longest side in pixels; larger images and their masks are reduced
    read_for     (min_size, max_size) of the model that the samples are for: images much larger than it needs, and
                 their masks, are reduced while they are read, see `read_size`, and up to 512 MiB of what was reduced
                 are kept. `coco()` stays at the files' own size. May be set later
    cache        keep decoded samples in memory
    faulty       "raise" an error for annotations that cannot be used, "drop" them with a warning, or "report" them:
                 they are left out and listed in `faults`, where `check_dataset` finds them
    outside      allow a `file_name` that leads out of the folder, such as ../../x.png or an absolute path; symbolic
                 links inside the folder are followed in any case
    crowds       annotations with iscrowd 1 are "regions", left out of the targets, or "objects" like all others, for
                 files whose tool sets it on every mask
    raises       AnnotationError naming file, entry, field and fix; FileNotFoundError for a missing file or folder

    What the file got wrong without harm is listed in `notes`. A bbox that is missing is computed from the outline, and
    so is one that is not that of the polygons and overlaps the mask by an IoU below 0.96: with a looser one a perfect
    detection would not count as one.
    """

    def __init__(
        self,
        annotations: str | Path | dict,
        images: str | Path,
        *,
        name: str | None = None,
        subset: Iterable[int] | None = None,
        max_side: int | None = None,
        read_for: ReadFor | None = None,
        cache: bool = False,
        faulty: str = "raise",
        outside: bool = False,
        crowds: str = "regions",
    ):
        for name_of, value, choices in (("faulty", faulty, FAULTY), ("crowds", crowds, CROWDS)):
            if value not in choices:
                raise ValueError(f"{name_of}: {value!r} is none of {', '.join(choices)}")
        if max_side is not None and max_side < 1:
            raise ValueError(f"max_side: {max_side} must be a positive number of pixels")
        from_dict = isinstance(annotations, dict)
        source = "annotations" if from_dict else str(annotations)
        self.folder = Path(images)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{self.folder}: no such folder of images; check the path")
        content = annotations if from_dict else read_json(annotations)
        found = parse_coco(content, source, outside, crowds == "objects")
        self.faults, self.notes = _settled(found, faulty), found.notes
        entries = content["images"]
        chosen = entries if subset is None else [entries[position] for position in subset]
        self.images = [
            entry for entry in chosen if is_integer(entry.get("id")) and found.images.get(entry["id"]) is entry
        ]
        self.content, self.by_image, self.categories = content, found.by_image, found.categories
        self.class_names = ("background", *(category["name"] for category in self.categories))
        self.category_ids = (0, *(category["id"] for category in self.categories))
        self.labels = {category_id: label for label, category_id in enumerate(self.category_ids) if label}
        self.name = name or (Path(source).stem if not from_dict else "coco")
        self.max_side, self.cache = max_side, {} if cache else None
        self.read_for = read_for

    @property
    def read_for(self) -> ReadFor | None:
        """(min_size, max_size) of the model that images are read for; None reads them at `max_side`."""
        return self._read_for

    @read_for.setter
    def read_for(self, sizes: ReadFor | None) -> None:
        self._read_for = checked_read_for(sizes)
        self._kept = Kept()
        self._vanished: dict[tuple[int, tuple[int, int]], set[int]] = {}
        if self.cache:
            self.cache.clear()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        index = self._position(index)
        if self.cache is None:
            return self._load(index)
        if index not in self.cache:
            self.cache[index] = self._load(index)
        image, target = self.cache[index]
        # A caller may change what it is given; the stored sample stays as it was read.
        return image.clone(), {k: v if isinstance(v, int) else v.clone() for k, v in target.items()}

    def picture(self, index: int) -> tuple[Tensor, int]:
        """The image of sample `index`, (3, H, W), and its image id; no mask is decoded."""
        index = self._position(index)
        number = self.images[index]["id"]
        if self.cache is not None and index in self.cache:
            return self.cache[index][0].clone(), number
        return tv_tensors.Image(self._picture(self.images[index])), number

    def _position(self, index: int) -> int:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.name} has {len(self)} images, there is no image {index}")
        return index % len(self)

    def describe(self, index: int) -> str:
        """The image's file name, for messages."""
        return self.images[index]["file_name"]

    def annotation_ids(self, index: int) -> list[int]:
        """The file's annotation id of each object in the target of image `index`, in order."""
        return [annotation["id"] for annotation in self._objects(self.images[index])]

    def outlines(self, index: int) -> tuple[list[int], np.ndarray]:
        """Labels and boxes (N, 4) xyxy of the target of image `index`, from the annotations: no mask is decoded."""
        entry = self.images[index]
        objects = self._objects(entry)
        boxes = np.array([annotation["bbox"] for annotation in objects], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        height, width = self._size(entry)
        scale = np.array([width / entry["width"], height / entry["height"]] * 2)
        return [self.labels[annotation["category_id"]] for annotation in objects], boxes * scale

    def check_picture(self, index: int) -> tuple[int, int]:
        """Decode the picture of image `index` once, as it lies on disk, and give the (height, width) of its sample.

        raises   as reading the sample does: FileNotFoundError, ImageFileError
        """
        entry = self.images[index]
        path = self.folder / entry["file_name"]
        _require_size(path, entry, *image_size(path))
        return self._size(entry)

    def crowd_count(self, index: int) -> int:
        """The number of crowd regions in image `index`."""
        return sum(annotation["iscrowd"] for annotation in self.by_image[self.images[index]["id"]])

    def coco(self) -> dict:
        """The ground truth of these images in COCO format, crowds included, at the files' size or that of `max_side`.

        Segmentations are the file's own, or RLE where `max_side` reduces images; `bbox`, `area` and `iscrowd` are
        filled in where the file leaves them out, and `bbox` where it is looser than a detection may be.
        """
        images, annotations = [], []
        for entry in self.images:
            size = self._true_size(entry)
            images.append({**entry, "height": size[0], "width": size[1]})
            annotations += self._coco_annotations(entry, size)
        return {
            "info": copy.deepcopy(self.content.get("info", {})),
            "licenses": copy.deepcopy(self.content.get("licenses", [])),
            "images": images,
            "annotations": annotations,
            "categories": copy.deepcopy(self.categories),
        }

    def _coco_annotations(self, entry: dict, size: tuple[int, int]) -> list[dict]:
        found = copy.deepcopy(self._with_pixels(entry, size))
        if size != (entry["height"], entry["width"]):
            for annotation, rle in zip(found, self._rles(entry, found, size), strict=True):
                text = rle["counts"].decode("ascii")
                annotation["segmentation"] = {"size": [int(side) for side in rle["size"]], "counts": text}
                annotation["bbox"] = [float(value) for value in coco_mask.toBbox(rle)]
                annotation["area"] = float(coco_mask.area(rle))
        return found

    def _load(self, index: int) -> Sample:
        entry = self.images[index]
        image = self._picture(entry)
        objects = self._objects(entry)
        masks = decode_masks(self._rles(entry, objects, self._size(entry)), *image.shape[1:])
        labels = np.array([self.labels[annotation["category_id"]] for annotation in objects], np.int64)
        return tv_tensors.Image(image), make_target(boxes_from_masks(masks), labels, masks, entry["id"])

    def _picture(self, entry: dict) -> Tensor:
        """The picture of one entry of `images` at the size that samples have; the caller may change it."""
        size = self._size(entry)
        if size == self._true_size(entry):
            return shrink(self._read(entry), size)
        kept = self._kept.get(
            ("picture", entry["id"]),
            lambda: packed(shrink(self._read(entry), size)),
            lambda image: image.numel() * image.element_size(),
        )
        return unpacked(kept)

    def _read(self, entry: dict) -> Tensor:
        """The picture of one entry of `images`, (3, H, W) float32; read smaller as `max_side` and `read_for` say."""
        path = self.folder / entry["file_name"]
        image, full = read_sized(path, self.max_side, self.read_for)
        _require_size(path, entry, *full)
        return image

    def _true_size(self, entry: dict) -> tuple[int, int]:
        """(height, width) of the ground truth of an image."""
        return reduced_size(entry["height"], entry["width"], self.max_side)

    def _size(self, entry: dict) -> tuple[int, int]:
        """(height, width) of the sample of an image."""
        return read_size(*self._true_size(entry), self.read_for)

    def _objects(self, entry: dict) -> list[dict]:
        """The image's annotations that belong to its target."""
        return [one for one in self._with_pixels(entry, self._size(entry)) if not one["iscrowd"]]

    def _with_pixels(self, entry: dict, size: tuple[int, int]) -> list[dict]:
        """The image's annotations that have a pixel at a size (height, width)."""
        annotations = self.by_image[entry["id"]]
        if size == (entry["height"], entry["width"]):
            return annotations
        key = entry["id"], size
        if key not in self._vanished:
            rles = self._rles(entry, annotations, size)
            gone = [one["id"] for one, rle in zip(annotations, rles, strict=True) if coco_mask.area(rle) == 0]
            self._vanished[key] = set(gone)
            if gone:
                self._warn_of_vanished(entry, size, gone)
        return [one for one in annotations if one["id"] not in self._vanished[key]]

    def _rles(self, entry: dict, annotations: list[dict], size: tuple[int, int]) -> list[dict]:
        """Compressed RLE of some of the image's annotations at a size (height, width)."""
        full = entry["height"], entry["width"]
        if size == full:
            return [to_rle(annotation["segmentation"], *full) for annotation in annotations]
        of_all = self._kept.get(
            (entry["id"], size),
            lambda: {one["id"]: scaled_rle(one["segmentation"], full, size) for one in self.by_image[entry["id"]]},
            lambda rles: sum(len(rle["counts"]) + RLE_BYTES for rle in rles.values()),
        )
        return [of_all[annotation["id"]] for annotation in annotations]

    def _warn_of_vanished(self, entry: dict, size: tuple[int, int], gone: list[int]) -> None:
        several = f" and {len(gone) - 1} more have" if len(gone) > 1 else " has"
        if size == self._true_size(entry):
            why = f"`max_side={self.max_side}`): left out; load the images larger"
        else:
            why = (
                "as `min_size` and `max_size` need them): left out of the samples; raise these sizes, or read pictures "
                "whole with `read_for=None`"
            )
        warnings.warn(
            f"{entry['file_name']}: annotation id {gone[0]}{several} no pixel left at {size[1]} × {size[0]} "
            f"pixels ({why}",
            stacklevel=5,
        )


def _settled(found: CocoContents, faulty: str) -> list[Fault]:
    """Raise, warn or hand on what is wrong with a file, as `faulty` says."""
    faults = [*found.file_faults, *found.faults]
    if faulty == "report":
        return faults
    # Without an image or a category there is more missing than an annotation: only the user can settle that.
    if found.file_faults or (faults and faulty == "raise"):
        leave_out = "" if found.file_faults else ', or pass `faulty="drop"` to leave these annotations out'
        raise AnnotationError(f"{fault_text(found.source, faults)}\nRepair the file{leave_out}.")
    if faults:
        count = len({(fault.image, fault.object) for fault in faults})
        lines = fault_text(found.source, faults)
        warnings.warn(f"{count} faulty annotations are left out:\n{lines}", stacklevel=3)
    return []


def _require_size(path: Path, entry: dict, height: int, width: int) -> None:
    if (height, width) != (entry["height"], entry["width"]):
        raise ImageFileError(_size_message(path, entry, height, width))


def _size_message(path: Path, entry: dict, height: int, width: int) -> str:
    declared = f"width {entry['width']} and height {entry['height']}"
    turned = (width, height) == (entry["height"], entry["width"])
    fix = (
        "width and height are swapped, or the picture has an EXIF rotation or was turned after it was annotated: "
        "swap them, or annotate the picture as viewers show it"
        if turned
        else "use the picture that was annotated, or correct the size in the annotation file"
    )
    return f"{path}: the picture is {width} × {height}, the annotations say {declared}; {fix}"
