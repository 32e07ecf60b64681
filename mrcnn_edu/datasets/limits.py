"""Limits of a model that cap its score on a data set, said before they do."""

from __future__ import annotations

import numpy as np

from ..model.anchors import cell_anchors
from ..model.images import resized_size


class Sizes:
    """Counts objects a picture and their sizes, as a model with `config` sees them.

    config   settings of the model, a `mrcnn_edu.model.Config`; None counts nothing
    """

    def __init__(self, config=None):
        self.config = config
        self.counts: list[int] = []
        self.sides: list[np.ndarray] = []

    def add(self, boxes: np.ndarray, height: int, width: int) -> None:
        """Count the objects of one image.

        boxes          (N, 4) xyxy, pixels
        height, width  of the image, pixels
        """
        if self.config is None:
            return
        self.counts.append(len(boxes))
        new_height, new_width = resized_size((height, width), self.config.min_size[-1], self.config.max_size)
        scale = np.array([new_width / width, new_height / height])
        self.sides.append(((boxes[:, 2:] - boxes[:, :2]) * scale).astype(np.float32))  # (N, 2)

    def notes(self) -> list[str]:
        """One line for each limit that the objects reach; empty where they keep within all."""
        config = self.config
        if config is None or not sum(self.counts):
            return []
        notes = []
        for name, what in (
            ("box_detections_per_img", "objects that the model finds in a picture"),
            ("rpn_post_nms_top_n_test", "regions of a picture that the model looks at"),
        ):
            notes += limit_note(np.array(self.counts), name, getattr(config, name), what)
        widths, heights = np.concatenate(self.sides).T
        return notes + size_notes(config, widths, heights)


def limit_note(counts: np.ndarray, name: str, limit: int, what: str) -> list[str]:
    """The line on pictures that hold more than a model or an evaluation takes of one; no line if none does.

    counts  (B,) objects of each picture
    name    of the setting that limits them
    limit   its value
    what    it limits, in words
    """
    over = counts[counts > limit]
    if not len(over):
        return []
    missed, total = int((over - limit).sum()), int(counts.sum())
    return [
        f"{len(over)} of {len(counts)} pictures hold more than {limit} objects (up to {counts.max()}), and "
        f"`{name}={limit}` limits the {what}: at least {missed} of {total} objects are missed, so that "
        f"{1 - missed / total:.1%} of them can be found at most; `{name}={counts.max()}` lifts it"
    ]


def size_notes(config, widths: np.ndarray, heights: np.ndarray) -> list[str]:
    """Lines on objects that no anchor fits: with each, concentric, the IoU is below `rpn_bg_iou_thresh`, under which
    an anchor is taught to be background.

    widths, heights  (N,) of boxes at the model's scale, pixels
    """
    anchors = np.concatenate([cell_anchors(sizes, config.anchor_ratios).numpy() for sizes in config.anchor_sizes])
    anchor_widths, anchor_heights = anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]  # (A,) of all levels
    areas, anchor_areas, best = widths * heights, anchor_widths * anchor_heights, np.zeros(len(widths))
    for width, height, area in zip(anchor_widths, anchor_heights, anchor_areas, strict=True):
        both = np.minimum(widths, width) * np.minimum(heights, height)
        best = np.maximum(best, both / np.maximum(areas + area - both, 1e-9))
    misfit = best < config.rpn_bg_iou_thresh
    sizes = ", ".join(str(size) for level in config.anchor_sizes for size in level)
    small, large = misfit & (areas < anchor_areas.min()), misfit & (areas > anchor_areas.max())
    scale = f"`min_size` than {config.min_size[-1]}, or training with other `anchor_sizes`, lifts it"
    kinds = (
        (small, "small", -areas, f"a larger {scale}"),
        (large, "large", areas, f"a smaller {scale}"),
        (misfit & ~small & ~large, "thin", -best, "a model with other `anchor_ratios` lifts it"),
    )
    notes = []
    for which, word, badness, fix in kinds:
        if which.any():
            worst = np.flatnonzero(which)[badness[which].argmax()]
            notes.append(
                f"{which.sum()} of {len(areas)} objects are too {word} for every anchor (IoU below "
                f"{config.rpn_bg_iou_thresh:g}): at the model's scale one has {widths[worst]:.1f} × "
                f"{heights[worst]:.1f} pixels, and the anchors are for sides of {sizes}; {fix}"
            )
    return notes
