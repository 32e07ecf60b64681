"""Data sets written out in COCO format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from .coco_parse import encode_mask


def coco_from_samples(dataset: Dataset) -> dict:
    """The annotations of a data set in COCO format, from its targets; masks as compressed RLE.

    dataset  anything with class_names, category_ids, and samples (image, target)
    """
    images, annotations = [], []
    for index in range(len(dataset)):
        image, target = dataset[index]
        height, width = image.shape[-2:]
        entry = {"id": target["image_id"], "file_name": f"{index:06d}.png", "width": width, "height": height}
        images.append(entry)
        for label, mask in zip(target["labels"].tolist(), target["masks"].numpy(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": entry["id"],
                    "category_id": dataset.category_ids[label],
                    "segmentation": encode_mask(mask),
                    "bbox": mask_box(mask),
                    "area": int(mask.sum()),
                    "iscrowd": 0,
                }
            )
    names = zip(dataset.category_ids[1:], dataset.class_names[1:], strict=True)
    categories = [{"id": number, "name": name} for number, name in names]
    return {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": categories}


def mask_box(mask: np.ndarray) -> list[int]:
    """The tight box of a mask as COCO writes it: x, y, width, height; zeros for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return [0, 0, 0, 0]
    x, y = int(columns[0]), int(rows[0])
    return [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y]


def export_coco(dataset: Dataset, folder: str | Path) -> Path:
    """Write a data set as `folder/annotations.json` and `folder/images/*.png`, and return the JSON file's path.

    `CocoDataset(folder / "annotations.json", folder / "images")` reads the same boxes, labels and masks back; images
    come back within half a grey level, because PNG holds 8 bits.

    dataset  anything with `coco()` and samples (image, target); the images are numbered in its order
    """
    folder = Path(folder)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    content = dataset.coco()
    for index, entry in enumerate(content["images"]):
        entry["file_name"] = f"{index:06d}.png"
        image, _ = dataset[index]
        pixels = (image.numpy() * 255.0).round().astype(np.uint8).transpose(1, 2, 0)
        # Most generated scenes are grey; one channel is a third of the file and reads back the same.
        grey = (pixels == pixels[:, :, :1]).all()
        Image.fromarray(pixels[:, :, 0] if grey else pixels).save(folder / "images" / entry["file_name"], optimize=True)
    path = folder / "annotations.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return path
