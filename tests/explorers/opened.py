"""How each explorer is opened, on pictures that are easy and on pictures that are hard.

    opened("Peel", "fifty objects")

The sweeps, the browser tests and the benchmark all open explorers here. A new explorer needs one entry in OPENINGS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from mrcnn_edu import explorers
from mrcnn_edu.datasets import load_dataset
from mrcnn_edu.explorers.toolkit.base import Explorer
from mrcnn_edu.model import MaskRCNN, load_weights

KINDS = ("scene", "coins", "empty", "one object", "fifty objects")
COMPANION = 331  # the scene that stands beside each kind, so that there are two pictures to choose between


@dataclass(frozen=True)
class Opening:
    """How one explorer is opened, and what a hand finds on it.

    make     called with the name of a kind; returns the explorer with that kind's picture chosen
    slider   the number that tests move by mouse and keyboard; its number box is where they type
    kind     the picture that those tests use
    box      the id of the box that they drag, or None
    sides    the numbers that hold that box's x1, y1, x2, y2
    refused  the kinds that it cannot be opened on
    """

    make: Callable[[str], Explorer]
    slider: str
    kind: str = "scene"
    box: str | None = None
    sides: tuple[str, str, str, str] | None = None
    refused: tuple[str, ...] = ()


@cache
def model() -> MaskRCNN:
    """The model whose weights ship with the lessons."""
    return load_weights("lesson").eval()


@cache
def sample(kind: str) -> tuple[Tensor, dict]:
    """The image (3, H, W) and the ground truth of a kind."""
    if kind == "coins":
        return load_dataset("coins")[0]
    if kind == "fifty objects":
        return fifty_rectangles()
    if kind == "scene":
        return load_dataset("shapes", split="val")[325]
    return first_scene_with({"empty": 0, "one object": 1}[kind])


def first_scene_with(count: int) -> tuple[Tensor, dict]:
    """The first generated scene that holds so many objects."""
    scenes = load_dataset("shapes", split="val")
    return next(scene for scene in map(scenes.__getitem__, range(len(scenes))) if len(scene[1]["labels"]) == count)


def fifty_rectangles() -> tuple[Tensor, dict]:
    """Ten columns and five rows of grey rectangles on a dark ground, 128 × 256, and their targets."""
    image, boxes, masks = torch.full((3, 128, 256), 0.15), [], torch.zeros(50, 128, 256, dtype=torch.uint8)
    for number in range(50):
        row, column = divmod(number, 10)
        left, top, right, bottom = box = (column * 25 + 5, row * 25 + 4, column * 25 + 21, row * 25 + 18 + row % 3)
        boxes.append(box)
        masks[number, top:bottom, left:right] = 1
        image[:, top:bottom, left:right] = 0.4 + 0.01 * number
    labels = torch.full((50,), 2)
    return image, {"boxes": torch.tensor(boxes, dtype=torch.float32), "labels": labels, "masks": masks}


def images(kind: str) -> dict[str, Tensor]:
    """The picture of a kind, and another one to change to."""
    return {kind: sample(kind)[0], "another": load_dataset("shapes", split="val")[COMPANION][0]}


def marked(kind: str) -> dict[str, tuple[Tensor, Tensor]]:
    """The same pictures with their true boxes."""
    samples = {kind: sample(kind), "another": load_dataset("shapes", split="val")[COMPANION]}
    return {name: (image, target["boxes"]) for name, (image, target) in samples.items()}


def anchors(kind: str) -> Explorer:
    sets = {"scenes": load_dataset("shapes", split="val", length=40), "coins": load_dataset("coins")}
    return explorers.Anchors(marked(kind), sets, model().config)


def deltas(kind: str) -> Explorer:
    image, target = sample(kind)
    return explorers.Deltas(image, target["boxes"])


def proposals(kind: str) -> Explorer:
    return explorers.Proposals(model(), images(kind), {name: boxes for name, (_, boxes) in marked(kind).items()})


SIDES = ("x1", "y1", "x2", "y2")
OPENINGS = {
    "Anchors": Opening(anchors, slider="cell"),
    "Deltas": Opening(deltas, slider="dx", box="box", sides=SIDES, refused=("empty",)),
    "Matching": Opening(lambda kind: explorers.Matching(marked(kind), model().config), slider="anchor"),
    "Peel": Opening(lambda kind: explorers.Peel(model(), images(kind)), slider="instance", kind="coins"),
    "Proposals": Opening(proposals, slider="step"),
    "RoIAlign": Opening(lambda kind: explorers.RoIAlign(model(), images(kind)), "channel", box="roi", sides=SIDES),
}


def opened(name: str, kind: str = "scene") -> Explorer:
    """The explorer of that name on the picture of that kind. Raises KeyError where OPENINGS lacks the name."""
    return OPENINGS[name].make(kind)
