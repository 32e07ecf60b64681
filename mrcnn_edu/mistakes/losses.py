"""What can be broken in the losses: which anchors they count as background."""

import torch
from torch import Tensor

from mrcnn_edu.mistakes.base import Mistake


def ignored_are_negative(matched_idxs: Tensor) -> Tensor:
    """Labels of anchors without the third kind: what lies between the two thresholds counts as background."""
    return torch.where(matched_idxs >= 0, 1, 0)  # (N,)


MISTAKES = (
    Mistake(
        "anchor_labels",
        ignored_are_negative,
        5,
        "Anchors whose IoU lies between the two thresholds are trained as background instead of being left out. "
        "It matters only while training. On the generated scenes the masks come out as good; it shows in the "
        "objectness, which is high for fewer proposals around each object.",
    ),
)
