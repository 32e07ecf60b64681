"""Limits of the model and of the evaluation that cap a score, said before they do."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from ..model import Config
from ..model.anchors import cell_anchors
from ..model.images import resized_size
from .coco_scores import COCO_LIMIT, counted

# The options of the command line that set what the notes name.
OPTIONS = {
    "box_detections_per_img": "--detections",
    "rpn_post_nms_top_n_test": "--proposals-kept",
    "max_detections": "--max-detections",
    "anchor_sizes": "--anchors",
    "min_size": "--min-size",
}


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
    config: Config | None,
    truth: dict,
    image_ids: list[int],
    max_detections: int | None = None,
    class_agnostic: bool = False,
) -> list[str]:
    """What keeps even a perfect model from finding every object, a line for each limit. Crowds are not counted.

    config          of the model; None looks at `max_detections` alone
    truth           COCO format
    image_ids       the images that count
    max_detections  detections of a class that count in one picture; None looks at the model's limits alone
    """
    images, annotations = counted(truth, image_ids)
    objects = [annotation for annotation in annotations if not annotation["iscrowd"]]
    a_picture = Counter(annotation["image_id"] for annotation in objects)
    of_a_class = Counter((annotation["image_id"], annotation["category_id"]) for annotation in objects)
    notes = []
    if config is not None:
        limit = config.box_detections_per_img
        what = "objects that the model finds in a picture"
        notes += _capped(a_picture, len(images), "box_detections_per_img", limit, "objects", what)
        notes += proposal_notes(config, a_picture, len(images))
    if max_detections is not None:
        counts, what = (a_picture, "objects") if class_agnostic else (of_a_class, "objects of one class")
        notes += _capped(counts, len(images), "max_detections", max_detections, what, "detections that are scored")
    if config is not None:
        notes += size_notes(config, *_sides(config, images, objects))
    return notes


def proposal_notes(config: Config, counts: Counter, images: int) -> list[str]:
    """The line on pictures with more objects than the RPN keeps proposals.

    counts  objects of each picture
    images  how many pictures there are
    """
    limit = config.rpn_post_nms_top_n_test
    what = "regions of a picture that the model looks at"
    return _capped(counts, images, "rpn_post_nms_top_n_test", limit, "objects", what)


def _capped(counts: Counter, images: int, name: str, limit: int, objects: str, what: str) -> list[str]:
    over = [key for key, count in counts.items() if count > limit]
    if not over:
        return []
    pictures = len({key[0] if isinstance(key, tuple) else key for key in over})
    most, total = max(counts.values()), sum(counts.values())
    missed = sum(counts[key] - limit for key in over)
    return [f"{pictures} of {images} pictures hold more than {limit} {objects} (up to {most}), and {name}={limit} "
            f"limits the {what}: at least {missed} of {total} objects are missed; {name}={most} lifts it"]  # fmt: skip


def _sides(config: Config, images: list[dict], objects: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Widths and heights (N,) of the objects' boxes at the model's scale."""
    scales = {}
    for image in images:
        size = image["height"], image["width"]
        new = resized_size(size, config.min_size[-1], config.max_size)
        scales[image["id"]] = new[1] / size[1], new[0] / size[0]
    sides = [(o["bbox"][2] * scales[o["image_id"]][0], o["bbox"][3] * scales[o["image_id"]][1]) for o in objects]
    widths, heights = np.array(sides, np.float64).reshape(-1, 2).T
    return widths, heights


def size_notes(config: Config, widths: np.ndarray, heights: np.ndarray) -> list[str]:
    """Lines on objects that no anchor fits: with each, concentric, the IoU is below `rpn_bg_iou_thresh`, under which
    an anchor is taught to be background.

    widths, heights  (N,) of boxes at the model's scale, pixels
    """
    anchors = np.concatenate([cell_anchors(sizes, config.anchor_ratios).numpy() for sizes in config.anchor_sizes])
    anchor_widths, anchor_heights = anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]  # (A,) of all levels
    overlap = np.minimum(widths[:, None], anchor_widths) * np.minimum(heights[:, None], anchor_heights)
    areas, anchor_areas = widths * heights, anchor_widths * anchor_heights
    iou = overlap / np.maximum(areas[:, None] + anchor_areas - overlap, 1e-9)
    misfit = iou.max(axis=1, initial=0.0) < config.rpn_bg_iou_thresh
    sizes = ", ".join(str(size) for level in config.anchor_sizes for size in level)
    small, large = misfit & (areas < anchor_areas.min()), misfit & (areas > anchor_areas.max())
    notes = []
    for which, word, fix, extreme in ((small, "small", "larger", np.argmin), (large, "large", "smaller", np.argmax)):
        if which.any():
            worst = np.flatnonzero(which)[extreme(areas[which])]
            notes.append(
                f"{which.sum()} of {len(areas)} objects are too {word} for every anchor (IoU below "
                f"{config.rpn_bg_iou_thresh:g}): at the model's scale one has {widths[worst]:.0f} × "
                f"{heights[worst]:.0f} pixels, and the anchors are for sides of {sizes}; a {fix} min_size than "
                f"{config.min_size[-1]}, or training with other anchor_sizes, lifts it"
            )
    return notes


def in_options(note: str) -> str:
    """A note in the words of the command line: `max_detections=300` becomes `--max-detections 300`."""
    for name, option in OPTIONS.items():
        note = re.sub(rf"\b{name}=", f"{option} ", note)
        note = re.sub(rf"\b{name}\b", option, note)
    return note
