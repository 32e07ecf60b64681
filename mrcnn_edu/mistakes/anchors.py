"""What can be broken in the anchors: their shape."""

import torch
from torch import Tensor

from mrcnn_edu.mistakes.base import Mistake


def ratio_on_one_side(sizes: tuple[int, ...], ratios: tuple[float, ...]) -> Tensor:
    """Cell anchors whose width grows with √r as the height does: every one is square, and its area changes."""
    scales = torch.tensor(sizes, dtype=torch.float32)
    heights = (torch.tensor(ratios, dtype=torch.float32).sqrt()[:, None] * scales).flatten()  # (A,)
    return (torch.stack([-heights, -heights, heights, heights], dim=1) / 2).round()  # (A, 4)


MISTAKES = (
    Mistake(
        "cell_anchors",
        ratio_on_one_side,
        4,
        "The height of an anchor is s · √r, and so is its width, which should be s / √r: every anchor is a square. "
        "Most objects of the scenes are about as wide as high, and squares fit those; one that is 1.6 "
        "times as long as wide finds no anchor of IoU 0.7 any more.",
    ),
)
