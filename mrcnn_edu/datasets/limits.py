"""Limits of a model that cap its score on a data set, said before they do."""

from __future__ import annotations

import numpy as np


class Sizes:
    """Counts objects a picture and their sizes, as a model with `config` sees them.

    config   settings of the model, a `mrcnn_edu.model.Config`; None counts nothing
    """

    def __init__(self, config=None):
        self.config = config
        self.per_image: list[int] = []
        self.sides: list[np.ndarray] = []

    def add(self, boxes: np.ndarray, height: int, width: int) -> None:
        """Count the objects of one image.

        boxes          (N, 4) xyxy, pixels
        height, width  of the image, pixels
        """
        if self.config is None:
            return
        self.per_image.append(len(boxes))
        # The smallest of the sizes that training draws from: there small objects are smallest.
        shorter = min(self.config.min_size)
        scale = min(shorter / min(height, width), self.config.max_size / max(height, width))
        sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])) * scale  # (N,)
        self.sides.append(sides.astype(np.float32))

    def notes(self) -> list[str]:
        """One line for each limit that the objects reach; empty where they keep within all."""
        if self.config is None or not sum(self.per_image):
            return []
        counts, sides = np.array(self.per_image), np.concatenate(self.sides)
        anchors = sorted({size for level in self.config.anchor_sizes for size in level})
        return [
            note
            for note in (
                self._too_many(counts, self.config.box_detections_per_img, "detections", "box_detections_per_img"),
                self._too_many(counts, self.config.rpn_post_nms_top_n_test, "proposals", "rpn_post_nms_top_n_test"),
                self._too_small(sides, anchors[0]),
                self._too_large(sides, anchors[-1]),
            )
            if note
        ]

    def _too_many(self, counts: np.ndarray, limit: int, what: str, setting: str) -> str:
        above = counts > limit
        if not above.any():
            return ""
        reached = np.minimum(counts, limit).sum() / counts.sum()
        return (
            f"{above.sum()} images hold more objects than the {limit} {what} of the model (up to {counts.max()}): "
            f"at most {reached:.1%} of all objects can be found; raise `{setting}`"
        )

    def _too_small(self, sides: np.ndarray, smallest: int) -> str:
        # Half as wide and high is an IoU of 0.25: below 0.3 an anchor counts as background.
        small = sides < smallest / 2
        if not small.any():
            return ""
        return (
            f"{small.sum()} of {len(sides)} objects are narrower than {smallest / 2:g} pixels in the model (down to "
            f"{sides.min():.1f}), its smallest anchor is {smallest}: raise `min_size` and `max_size`, or lower "
            "`anchor_sizes`"
        )

    def _too_large(self, sides: np.ndarray, largest: int) -> str:
        large = sides > 2 * largest
        if not large.any():
            return ""
        return (
            f"{large.sum()} of {len(sides)} objects are wider than {2 * largest} pixels in the model (up to "
            f"{sides.max():.1f}), its largest anchor is {largest}: lower `min_size` and `max_size`, or raise "
            "`anchor_sizes`"
        )
