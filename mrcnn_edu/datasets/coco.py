"""Any data set in COCO format."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from .coco_contents import CocoContents, fault_text, parse_coco
from .coco_parse import AnnotationError, decode_masks, is_integer, read_json, to_rle
from .faults import Fault
from .files import ImageFileError, image_size, read_image, reduce_image, reduced_size
from .targets import Sample, boxes_from_masks, make_target

FAULTY, CROWDS = ("raise", "drop", "report"), ("regions", "objects")


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
    cache        keep decoded samples in memory
    faulty       "raise" an error for annotations that cannot be used, "drop" them with a warning, or "report" them:
                 they are left out and listed in `faults`, where `check_dataset` finds them
    outside      allow a `file_name` that leads out of the folder, such as ../../x.png or an absolute path; symbolic
                 links inside the folder are followed in any case
    crowds       annotations with iscrowd 1 are "regions", left out of the targets, or "objects" like all others, for
                 files whose tool sets it on every mask
    raises       AnnotationError naming file, entry, field and fix; FileNotFoundError for a missing file or folder

    What the file got wrong without harm is listed in `notes`. A bbox that is missing, or that overlaps its outline by
    an IoU below 0.96, is computed from the outline: with a looser one a perfect detection would not count as one.
    """

    def __init__(
        self,
        annotations: str | Path | dict,
        images: str | Path,
        *,
        name: str | None = None,
        subset: Iterable[int] | None = None,
        max_side: int | None = None,
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
        self._vanished: dict[int, set[int]] = {}

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.name} has {len(self)} images, there is no image {index}")
        index %= len(self)
        if self.cache is None:
            return self._load(index)
        if index not in self.cache:
            self.cache[index] = self._load(index)
        image, target = self.cache[index]
        # A caller may change what it is given; the stored sample stays as it was read.
        return image.clone(), {k: v if isinstance(v, int) else v.clone() for k, v in target.items()}

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
        """The ground truth of these images in COCO format, crowds included, at the size that samples have.

        Segmentations are the file's own, or RLE where images are reduced; `bbox`, `area` and `iscrowd` are filled in
        where the file leaves them out, and `bbox` where it is looser than a detection may be.
        """
        images, annotations = [], []
        for entry in self.images:
            height, width = self._size(entry)
            images.append({**entry, "height": height, "width": width})
            annotations += [self._coco_annotation(entry, annotation) for annotation in self._kept(entry)]
        return {
            "info": copy.deepcopy(self.content.get("info", {})),
            "licenses": copy.deepcopy(self.content.get("licenses", [])),
            "images": images,
            "annotations": annotations,
            "categories": copy.deepcopy(self.categories),
        }

    def _coco_annotation(self, entry: dict, annotation: dict) -> dict:
        full, size = copy.deepcopy(annotation), self._size(entry)
        if size != (entry["height"], entry["width"]):
            rle = scaled_rle(annotation["segmentation"], (entry["height"], entry["width"]), size)
            full["segmentation"] = {"size": [int(s) for s in rle["size"]], "counts": rle["counts"].decode("ascii")}
            full["bbox"] = [float(value) for value in coco_mask.toBbox(rle)]
            full["area"] = float(coco_mask.area(rle))
        return full

    def _load(self, index: int) -> Sample:
        entry = self.images[index]
        image = reduce_image(self._read(entry), self.max_side)
        objects, full = self._objects(entry), (entry["height"], entry["width"])
        rles = [scaled_rle(annotation["segmentation"], full, self._size(entry)) for annotation in objects]
        masks = decode_masks(rles, *image.shape[1:])
        labels = np.array([self.labels[annotation["category_id"]] for annotation in objects], np.int64)
        return tv_tensors.Image(image), make_target(boxes_from_masks(masks), labels, masks, entry["id"])

    def _read(self, entry: dict) -> Tensor:
        """The picture of one entry of `images` at its full size, (3, H, W) float32."""
        path = self.folder / entry["file_name"]
        image = read_image(path)
        _require_size(path, entry, *image.shape[1:])
        return image

    def _size(self, entry: dict) -> tuple[int, int]:
        return reduced_size(entry["height"], entry["width"], self.max_side)

    def _objects(self, entry: dict) -> list[dict]:
        """The image's annotations that belong to its target."""
        return [annotation for annotation in self._kept(entry) if not annotation["iscrowd"]]

    def _kept(self, entry: dict) -> list[dict]:
        """The image's annotations that have a pixel at the size that samples have."""
        annotations, size, full = self.by_image[entry["id"]], self._size(entry), (entry["height"], entry["width"])
        if size == full:
            return annotations
        if entry["id"] not in self._vanished:
            areas = [coco_mask.area(scaled_rle(one["segmentation"], full, size)) for one in annotations]
            gone = [one["id"] for one, area in zip(annotations, areas, strict=True) if area == 0]
            self._vanished[entry["id"]] = set(gone)
            if gone:
                several = f" and {len(gone) - 1} more have" if len(gone) > 1 else " has"
                warnings.warn(
                    f"{entry['file_name']}: annotation id {gone[0]}{several} no pixel left at {size[1]} × {size[0]} "
                    f"pixels: left out; load the images larger (`max_side` is {self.max_side})",
                    stacklevel=3,
                )
        return [one for one in annotations if one["id"] not in self._vanished[entry["id"]]]


def scaled_rle(segmentation: list | dict, full: tuple[int, int], size: tuple[int, int]) -> dict:
    """A segmentation of an image of size `full` (height, width) as compressed RLE at `size`.

    Polygons are scaled as polygons; of an RLE, the pixels that are covered by half or more stay.
    """
    if size == full:
        return to_rle(segmentation, *full)
    if isinstance(segmentation, list):
        scale = np.array([size[1] / full[1], size[0] / full[0]])
        polygons = [(np.reshape(polygon, (-1, 2)) * scale).ravel().tolist() for polygon in segmentation]
        return to_rle(polygons, *size)
    mask = decode_masks([to_rle(segmentation, *full)], *full)[0] * 255
    small = np.asarray(Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.BOX)) >= 128
    return coco_mask.encode(np.asfortranarray(small.astype(np.uint8)))


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
