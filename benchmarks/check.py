"""Same weights, same outputs: no row is timed before this has been shown on its own inputs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

LOSS_TOLERANCE = 1e-4  # relative
FEATURE_TOLERANCE = 1e-4  # relative to the largest value
BOX_TOLERANCE = 1e-3  # pixels
SCORE_TOLERANCE = 1e-4
MASK_TOLERANCE = 1e-4  # share of pixels that may differ after the threshold
PICTURE_TOLERANCE = 0.02  # mean difference of pixels that were reduced in two ways, of 1
OBJECT_TOLERANCE = 3.0  # pixels of the larger of two pictures, between boxes of one object
PROPOSAL_TOLERANCE = 0.01  # share of the proposals that may have no partner: ties at an NMS threshold


class Differs(AssertionError):
    """The two implementations gave different outputs."""


def same_losses(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> str:
    """Hold two dicts of losses against each other. Raises Differs; returns the largest relative difference in words."""
    if ours.keys() != theirs.keys():
        raise Differs(f"losses {sorted(ours)} against {sorted(theirs)}")
    worst = 0.0
    for name, theirs_value in theirs.items():
        difference = abs(float(ours[name]) - float(theirs_value)) / max(1e-8, abs(float(theirs_value)))
        if not difference <= LOSS_TOLERANCE:
            raise Differs(f"{name}: {float(ours[name])} against {float(theirs_value)}")
        worst = max(worst, difference)
    return f"losses differ by {worst:.0e} at most"


def same_values(ours: Tensor, theirs: Tensor, what: str) -> str:
    """Hold two float tensors against each other, relative to the largest value."""
    if ours.shape != theirs.shape:
        raise Differs(f"{what}: shape {tuple(ours.shape)} against {tuple(theirs.shape)}")
    scale = max(1e-12, float(theirs.abs().max()))
    difference = float((ours - theirs).abs().max()) / scale
    if not difference <= FEATURE_TOLERANCE:
        raise Differs(f"{what}: relative difference {difference}")
    return f"{what} differ by {difference:.0e} at most"


def same_pictures(ours: Tensor, theirs: Tensor) -> str:
    """Hold two reductions of one picture against each other, by the mean difference of their pixels."""
    difference = float((ours - theirs).abs().mean()) if ours.shape == theirs.shape else float("nan")
    if not difference <= PICTURE_TOLERANCE:
        raise Differs(f"pictures: {tuple(ours.shape)} and {tuple(theirs.shape)}, mean difference {difference}")
    return f"pictures differ by {difference:.0e} on average"


def same_objects(ours: dict[str, Tensor], theirs: dict[str, Tensor], times: float) -> str:
    """Hold the boxes of two samples of one picture against each other; ours is `times` as large as theirs."""
    if ours["boxes"].shape != theirs["boxes"].shape:
        raise Differs(f"{len(ours['boxes'])} objects against {len(theirs['boxes'])}")
    difference = float((ours["boxes"] - theirs["boxes"] * times).abs().max())
    if not difference <= OBJECT_TOLERANCE:
        raise Differs(f"boxes differ by {difference} pixels")
    return f"boxes differ by {difference:.1f} px at most"


def same_masks(ours: Tensor, theirs: Tensor) -> str:
    """Hold two tensors of binary masks against each other, by their share of differing pixels."""
    if ours.shape != theirs.shape:
        raise Differs(f"masks: shape {tuple(ours.shape)} against {tuple(theirs.shape)}")
    share = float((ours.bool() != theirs.bool()).double().mean())
    if not share <= MASK_TOLERANCE:
        raise Differs(f"masks differ in {share:.2%} of their pixels")
    return f"{share:.4%} of mask pixels differ"


def same_detections(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> str:
    """Hold the detections of one image against each other as sets: each of theirs takes its nearest of ours."""
    if len(ours["boxes"]) != len(theirs["boxes"]):
        raise Differs(f"{len(ours['boxes'])} detections against {len(theirs['boxes'])}")
    if not len(theirs["boxes"]):
        return "no detections on either side"
    partner = match_detections(ours, theirs)
    box = float((ours["boxes"][partner] - theirs["boxes"]).abs().max())
    score = float((ours["scores"][partner] - theirs["scores"]).abs().max())
    if not (box <= BOX_TOLERANCE and score <= SCORE_TOLERANCE):
        raise Differs(f"boxes differ by {box} pixels, scores by {score}")
    masks = same_masks(ours["masks"][partner] > 0.5, theirs["masks"] > 0.5)
    return f"{len(partner)} detections, boxes differ by {box:.0e} px at most, {masks}"


@contextmanager
def same_regions(model: nn.Module, twin: nn.Module):
    """Within it, run the twin first: our heads then work on the twin's proposals.

    Rounding decides which of two boxes survives whose overlap is a threshold to seven digits, and one other region
    among 512 moves a mean by more than any tolerance. So proposals are held against each other as sets (nearly all
    of them have a partner), and the heads on the same ones.
    """
    theirs: list[Tensor] = []

    def keep(module, arguments, output):
        theirs[:] = output[0]

    def exchange(module, arguments, output):
        for own, other in zip(output.boxes, theirs, strict=True):
            same_proposals(own, other)
        return replace(output, boxes=list(theirs))

    hooks = [twin.rpn.register_forward_hook(keep), model.rpn.register_forward_hook(exchange)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def same_proposals(ours: Tensor, theirs: Tensor) -> None:
    """Raises Differs unless nearly every proposal of each side lies within the tolerance of one of the other's."""
    near = torch.cdist(ours, theirs, p=float("inf")) <= BOX_TOLERANCE
    for alone, total in (((~near.any(dim=1)).sum(), len(ours)), ((~near.any(dim=0)).sum(), len(theirs))):
        if int(alone) > PROPOSAL_TOLERANCE * total:
            raise Differs(f"{int(alone)} of {total} proposals have no partner")


def match_detections(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> Tensor:
    """For each of theirs the index of ours with the same label, and the nearest box; each of ours once."""
    distance = torch.cdist(theirs["boxes"], ours["boxes"], p=float("inf"))
    distance[theirs["labels"][:, None] != ours["labels"]] = float("inf")
    partner = distance.argmin(dim=1)
    if float(distance.min(dim=1).values.max()) == float("inf") or len(partner.unique()) != len(partner):
        raise Differs("the labels of the detections differ")
    return partner
