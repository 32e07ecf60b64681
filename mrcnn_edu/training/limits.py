"""Limits of the model and of the evaluation that cap a score, said before they do."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from ..datasets.limits import Sizes
from ..model import Config
from .coco_scores import COCO_LIMIT, counted


def scored_detections(model, max_detections: int | None = None) -> int:
    """How many detections of a class count in one picture: as many as asked for, else COCO's 100, or more where the
    model is set to give more. The rule of training's validation and of `evaluate` alike.

    raises   ValueError for a limit that is no whole number of at least 1
    """
    if max_detections is None:
        config = getattr(model, "config", None)
        return max(COCO_LIMIT, getattr(config, "box_detections_per_img", COCO_LIMIT))
    if not isinstance(max_detections, int) or isinstance(max_detections, bool) or max_detections < 1:
        raise ValueError(f"max_detections is {max_detections!r}: give a whole number of at least 1")
    return max_detections


def limit_notes(
    config: Config | None, truth: dict, image_ids: list[int], max_detections: int, class_agnostic: bool = False
) -> list[str]:
    """What keeps even a perfect model from finding every object, a line for each limit. Crowds are not counted.

    config          of the model; None looks at `max_detections` alone
    truth           COCO format
    image_ids       the images that count
    max_detections  detections of a class that count in one picture
    """
    images, annotations = counted(truth, image_ids)
    objects = [annotation for annotation in annotations if not annotation["iscrowd"]]
    boxes = defaultdict(list)
    for annotation in objects:
        boxes[annotation["image_id"]].append(annotation["bbox"])
    sizes = Sizes(config)
    for image in images:
        corners = np.array(boxes[image["id"]], np.float64).reshape(-1, 4)  # (N, 4) xywh
        corners[:, 2:] += corners[:, :2]
        sizes.add(corners, image["height"], image["width"])
    return sizes.notes() + _scored_notes(objects, len(images), max_detections, class_agnostic)


def _scored_notes(objects: list[dict], images: int, limit: int, class_agnostic: bool) -> list[str]:
    """The line on pictures of which the evaluation counts fewer detections of a class than there are objects."""
    counts = Counter((row["image_id"], None if class_agnostic else row["category_id"]) for row in objects)
    over = {key: count for key, count in counts.items() if count > limit}
    if not over:
        return []
    pictures, most = len({image for image, _ in over}), max(over.values())
    missed = sum(over.values()) - limit * len(over)
    what = "objects" if class_agnostic else "objects of one class"
    return [
        f"{pictures} of {images} pictures hold more than {limit} {what} (up to {most}), and `max_detections={limit}` "
        f"limits the detections that are scored: at least {missed} of {len(objects)} objects are missed; "
        f"`max_detections={most}` lifts it"
    ]
