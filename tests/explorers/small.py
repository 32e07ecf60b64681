"""A small untrained model and pictures for the tests of explorers."""

from functools import cache

import torch

from mrcnn_edu.datasets import load_dataset
from mrcnn_edu.explorers.peel.explorer import Peel
from mrcnn_edu.model import MaskRCNN, preset

NAMES = ("background", "disc", "box", "triangle", "star")


@cache
def model() -> MaskRCNN:
    """Untrained, and listing whatever it sees, so that there is something to walk back from."""
    torch.manual_seed(0)
    return MaskRCNN(preset("lesson", num_classes=5, box_score_thresh=0.0, box_detections_per_img=12), NAMES).eval()


@cache
def pictures() -> dict:
    scenes = load_dataset("shapes", split="val")
    counts = [len(scenes[i][1]["labels"]) for i in range(40)]
    return {
        "coins": load_dataset("coins")[0][0],
        "empty scene": scenes[counts.index(0)][0] if 0 in counts else torch.full((3, 128, 128), 0.5),
        "one object": scenes[counts.index(1)][0] if 1 in counts else torch.full((3, 128, 128), 0.5),
        "fullest scene": scenes[counts.index(max(counts))][0],
        "one pixel": torch.rand(3, 1, 1),
        "strip": torch.rand(3, 20, 1333),
        "tower": torch.rand(3, 300, 40),
    }


def peel(score: float = 0.0, **images) -> Peel:
    return Peel(
        model(), images or {"coins": pictures()["coins"], "fullest scene": pictures()["fullest scene"]}, score=score
    )
