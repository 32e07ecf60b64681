"""The photograph of 24 Greek coins from Pompeii that scikit-image ships, with our own outlines."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .coco import CocoDataset
from .files import data_folder


class Coins(CocoDataset):
    """One photograph (303 × 384, grey) with 24 coins, none of which touch; it works without a network.

    The photograph is `skimage.data.coins()`: Brooklyn Museum collection, no known copyright restrictions. The
    outlines in `data/coins/outlines.json` are ours.

    max_side  longest side in pixels; the photograph as it is by default
    raises    FileNotFoundError if the project's data folder is absent
    """

    def __init__(self, max_side: int | None = None):
        folder = data_folder() / "coins"
        super().__init__(folder / "outlines.json", folder, name="coins", max_side=max_side, cache=True)

    def _read(self, entry: dict) -> Tensor:
        from skimage import data

        grey = torch.from_numpy(data.coins().astype(np.float32) / 255.0)
        return grey.expand(3, -1, -1).contiguous()
