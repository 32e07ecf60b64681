"""The small sample of generated scenes that ships in `data/shapes`.

`python -m mrcnn_edu.datasets.sample` writes it again, into the folder given or into `data/shapes`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .coco import CocoDataset
from .coco_export import export_coco
from .files import data_folder
from .shapes import Shapes

SEED, LENGTH = 27, 8


def generate() -> Shapes:
    """The scenes of the sample, drawn anew."""
    return Shapes(length=LENGTH, seed=SEED)


def load() -> CocoDataset:
    """The sample as it ships, read from its PNG files and COCO annotations."""
    folder = data_folder() / "shapes"
    return CocoDataset(folder / "annotations.json", folder / "images", name="shapes sample")


if __name__ == "__main__":
    print(export_coco(generate(), Path(sys.argv[1]) if len(sys.argv) > 1 else data_folder() / "shapes"))
