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

from .coco_parse import AnnotationError, decode_masks, parse_coco, read_json, to_rle
from .files import ImageFileError, read_image, reduce_image, reduced_size
from .targets import Sample, boxes_from_masks, make_target


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
    faulty       "raise" an error for annotations that cannot be used, or "drop" them with a warning
    raises       AnnotationError naming file, entry, field and fix; FileNotFoundError for a missing file or folder
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
    ):
        if faulty not in ("raise", "drop"):
            raise ValueError(f"faulty: {faulty!r} is neither 'raise' nor 'drop'")
        if max_side is not None and max_side < 1:
            raise ValueError(f"max_side: {max_side} must be a positive number of pixels")
        from_dict = isinstance(annotations, dict)
        source = "annotations" if from_dict else str(annotations)
        self.folder = Path(images)
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{self.folder}: no such folder of images; check the path")
        parsed = parse_coco(annotations if from_dict else read_json(annotations), source)
        if parsed.faults:
            _report_faults(parsed.faults, faulty)
        entries = parsed.content["images"]
        self.images = entries if subset is None else [entries[position] for position in subset]
        self.content, self.by_image = parsed.content, parsed.by_image
        self.categories = parsed.categories
        self.class_names = ("background", *(category["name"] for category in parsed.categories))
        self.category_ids = (0, *(category["id"] for category in parsed.categories))
        self.labels = {category_id: label for label, category_id in enumerate(self.category_ids) if label}
        self.name = name or (Path(source).stem if not from_dict else "coco")
        self.max_side, self.cache = max_side, {} if cache else None
        self._vanished: set[int] = set()

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
        entry = self.images[index]
        return [annotation["id"] for annotation, _ in self._instances(entry) if not annotation.get("iscrowd", 0)]

    def coco(self) -> dict:
        """The ground truth of these images in COCO format, crowds included, at the size that samples have.

        Segmentations are the file's own, or RLE where images are reduced; `bbox`, `area` and `iscrowd` are filled in
        where the file leaves them out.
        """
        images, annotations = [], []
        for entry in self.images:
            height, width = self._size(entry)
            images.append({**entry, "height": height, "width": width})
            for annotation, rle in self._instances(entry):
                annotations.append(self._coco_annotation(entry, annotation, rle))
        return {
            "info": copy.deepcopy(self.content.get("info", {})),
            "licenses": copy.deepcopy(self.content.get("licenses", [])),
            "images": images,
            "annotations": annotations,
            "categories": copy.deepcopy(self.categories),
        }

    def _coco_annotation(self, entry: dict, annotation: dict, rle: dict) -> dict:
        full = copy.deepcopy(annotation)
        full.setdefault("iscrowd", 0)
        if self._size(entry) != (entry["height"], entry["width"]):
            full["segmentation"] = {"size": [int(s) for s in rle["size"]], "counts": rle["counts"].decode("ascii")}
            full.pop("bbox", None), full.pop("area", None)
        full.setdefault("bbox", [float(value) for value in coco_mask.toBbox(rle)])
        full.setdefault("area", float(coco_mask.area(rle)))
        return full

    def _load(self, index: int) -> Sample:
        entry = self.images[index]
        image = reduce_image(self._read(entry), self.max_side)
        instances = [pair for pair in self._instances(entry) if not pair[0].get("iscrowd", 0)]
        masks = decode_masks([rle for _, rle in instances], *image.shape[1:])
        labels = np.array([self.labels[annotation["category_id"]] for annotation, _ in instances], np.int64)
        return tv_tensors.Image(image), make_target(boxes_from_masks(masks), labels, masks, entry["id"])

    def _read(self, entry: dict) -> Tensor:
        """The picture of one entry of `images` at its full size, (3, H, W) float32."""
        path = self.folder / entry["file_name"]
        image = read_image(path)
        height, width = image.shape[1:]
        if (height, width) != (entry["height"], entry["width"]):
            raise ImageFileError(_size_message(path, entry, height, width))
        return image

    def _size(self, entry: dict) -> tuple[int, int]:
        return reduced_size(entry["height"], entry["width"], self.max_side)

    def _instances(self, entry: dict) -> list[tuple[dict, dict]]:
        """The image's annotations with their RLE at the size that samples have."""
        size, full = self._size(entry), (entry["height"], entry["width"])
        pairs = []
        for annotation in self.by_image[entry["id"]]:
            rle = scaled_rle(annotation["segmentation"], full, size)
            if size != full and coco_mask.area(rle) == 0:
                if annotation["id"] not in self._vanished:
                    self._vanished.add(annotation["id"])
                    warnings.warn(
                        f"{entry['file_name']}: annotation id {annotation['id']} has no pixel left at "
                        f"max_side={self.max_side} and is left out; load the images larger",
                        stacklevel=3,
                    )
                continue
            pairs.append((annotation, rle))
        return pairs


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


def _report_faults(faults: list[str], faulty: str) -> None:
    shown = "\n".join(faults[:10]) + (f"\n… and {len(faults) - 10} more" if len(faults) > 10 else "")
    if faulty == "raise":
        raise AnnotationError(f'{shown}\nRepair the file, or pass faulty="drop" to leave these annotations out.')
    warnings.warn(f"{len(faults)} faulty annotations are left out:\n{shown}", stacklevel=3)


def _size_message(path: Path, entry: dict, height: int, width: int) -> str:
    declared = f"width {entry['width']} and height {entry['height']}"
    turned = (width, height) == (entry["height"], entry["width"])
    fix = (
        "the file has an EXIF rotation or was turned after it was annotated: annotate it as viewers show it"
        if turned
        else "use the picture that was annotated, or correct the size in the annotation file"
    )
    return f"{path}: the picture is {width} × {height}, the annotations say {declared}; {fix}"
