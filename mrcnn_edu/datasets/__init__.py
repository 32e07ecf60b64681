"""Data sets: generated shapes, coins, fruit photographs, any COCO file; the checker and the transforms.

A data set is a map-style torch `Dataset`. `dataset[i]` is `(image, target)`: an image (3, H, W) float32 in [0, 1] and
a dict of boxes (N, 4) float32 xyxy in pixels, labels (N,) int64 in 1 … K - 1, masks (N, H, W) uint8 and image_id.
Names below load on first use.
"""

from __future__ import annotations

import importlib

_HOME = {
    "Shapes": "shapes",
    "boxes_from_masks": "targets",
    "collate": "targets",
    "make_target": "targets",
    "load_dataset": "registry",
    "DATASETS": "registry",
    "CocoDataset": "coco",
    "AnnotationError": "coco_parse",
    "coco_from_samples": "coco_export",
    "export_coco": "coco_export",
    "read_image": "files",
    "ImageFileError": "files",
    "Coins": "coins",
    "FruitsNuts": "fruits_nuts",
    "check_dataset": "checker",
    "check_sample": "checker",
    "require_sound": "checker",
    "DatasetError": "faults",
    "Fault": "faults",
    "Report": "faults",
    "train_transforms": "transforms",
    "Transformed": "transforms",
}

__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
