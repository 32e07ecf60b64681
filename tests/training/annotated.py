"""Small scenes with annotations written by hand, and detections to hold against them."""

from __future__ import annotations

import torch

from .tiny import Noisy, as_detection

NOTHING = {
    "boxes": torch.zeros(0, 4),
    "labels": torch.zeros(0, dtype=torch.int64),
    "scores": torch.zeros(0),
    "masks": [],
}


class Scene(Noisy):
    """Images of one size with the COCO annotations that it is given."""

    def __init__(self, annotations, images=1, size=(20, 30), names=("background", "thing"), ids=(0, 7)):
        self.annotations, self.images, self.size = annotations, images, size
        self.class_names, self.category_ids, self.name = names, ids, "scene"

    def __len__(self):
        return self.images

    def __getitem__(self, index):
        return torch.zeros(3, *self.size), {"image_id": index + 100}

    def describe(self, index):
        return f"scene {index}"

    def coco(self):
        height, width = self.size
        images = [{"id": index + 100, "height": height, "width": width} for index in range(self.images)]
        categories = [
            {"id": number, "name": name}
            for number, name in zip(self.category_ids[1:], self.class_names[1:], strict=True)
        ]
        return {"images": images, "annotations": self.annotations, "categories": categories}


def box_mask(x1, y1, x2, y2, size=(20, 30)):
    mask = torch.zeros(size, dtype=torch.uint8)
    mask[y1:y2, x1:x2] = 1
    return mask


def found(*boxes, scores=None, label=1):
    target = {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.full((len(boxes),), label),
        "masks": torch.stack([box_mask(*box) for box in boxes]),
    }
    return as_detection(target, None if scores is None else torch.tensor(scores))


def annotation(number, box, image=100, **more):
    x1, y1, x2, y2 = box
    polygon = [[x1, y1, x2, y1, x2, y2, x1, y2]]
    return {"id": number, "image_id": image, "category_id": 7, "segmentation": polygon,
            "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1), "iscrowd": 0, **more}  # fmt: skip
