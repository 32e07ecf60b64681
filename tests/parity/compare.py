"""How losses and detections of two models are compared, and how a near tie is told from an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from mrcnn_edu.model import MaskRCNN

BOX_TOLERANCE = 1e-3  # pixels
STRAY_TOLERANCE = 2e-3  # pixels, for one box in STRAY_SHARE
STRAY_SHARE = 1000
SCORE_TOLERANCE = 1e-4
PIXEL_SHARE = 1e-4  # of all pixels of all masks
NUDGE = 1e-4
NUDGES = 16
MOST_FLIPS = 2


def relative_error(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """The largest difference of two dicts of tensors, each relative to the largest value of its tensor."""
    assert set(ours) == set(theirs)
    errors = []
    for name, wanted in theirs.items():
        assert ours[name].shape == wanted.shape and bool(torch.isfinite(ours[name]).all())
        errors.append(float((ours[name] - wanted).abs().max() / wanted.abs().max().clamp(min=1e-6)))
    return max(errors)


def pair(ours: dict, theirs: dict, pixels: float = BOX_TOLERANCE) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Detections as sets: the pairs with the same label and nearly the same box, and what is left on either side."""
    pairs, free = [], set(range(len(ours["boxes"])))
    for j in range(len(theirs["boxes"])):
        distance = (ours["boxes"] - theirs["boxes"][j]).abs().amax(dim=1)
        near = [i for i in free if distance[i] <= pixels and ours["labels"][i] == theirs["labels"][j]]
        if near:
            best = min(near, key=lambda i: float(distance[i]))
            free.remove(best)
            pairs.append((best, j))
    matched = {j for _, j in pairs}
    return pairs, sorted(free), [j for j in range(len(theirs["boxes"])) if j not in matched]


def moved_windows(ours: Tensor, theirs: Tensor) -> Tensor:
    """Which masks are pasted into another window of whole pixels, (D,) bool.

    The boxes agree within a thousandth of a pixel, so an edge of such a window lies that near to a whole number.
    """
    edges = []
    for boxes in (ours, theirs):
        half = (boxes[:, 2:] - boxes[:, :2]) / 2 * (30 / 28)
        centre = (boxes[:, 2:] + boxes[:, :2]) / 2
        edges.append(torch.cat([centre - half, centre + half], dim=1))
    assert not len(ours) or float((edges[0] - edges[1]).abs().max()) <= 2 * BOX_TOLERANCE
    return (edges[0].long() != edges[1].long()).any(dim=1)


def check_pairs(ours: dict, theirs: dict, pairs: list[tuple[int, int]]) -> tuple[int, int]:
    """Scores of paired detections agree; returns how many mask pixels differ, and of how many.

    Left out are at most two masks whose window moves by a pixel: see `moved_windows`.
    """
    i, j = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).unbind(1)
    assert torch.allclose(ours["scores"][i], theirs["scores"][j], rtol=0, atol=SCORE_TOLERANCE)
    moved = moved_windows(ours["boxes"][i], theirs["boxes"][j])
    assert int(moved.sum()) <= MOST_FLIPS
    a, b = ours["masks"][i[~moved]] > 0.5, theirs["masks"][j[~moved]] > 0.5
    assert a.shape == b.shape
    return int((a != b).sum()), a.numel()


def disagreements(ours: list[dict], theirs: list[dict], strayed: list | None = None):
    """Holds the detections of a batch against torchvision's; gives what has no partner on either side of each image.

    strayed  where given, boxes that miss their partner by a little more than the tolerance are put here instead: of
             weights drawn at random some amplify rounding more than others
    """
    left, wrong, pixels = [], 0, 0
    for mine, wanted in zip(ours, theirs, strict=True):
        pairs, *rest = pair(mine, wanted)
        if strayed is not None and any(rest):
            near, *rest = pair(mine, wanted, STRAY_TOLERANCE)
            strayed += sorted(set(near) - set(pairs))
        left.append(tuple(rest))
        image_wrong, image_pixels = check_pairs(mine, wanted, pairs)
        wrong, pixels = wrong + image_wrong, pixels + image_pixels
    assert wrong <= PIXEL_SHARE * pixels, f"{wrong} of {pixels} mask pixels differ"
    return left


@contextmanager
def nudged(twin: nn.Module, seed: int) -> Iterator[None]:
    """torchvision's model with its scores and deltas moved by a ten-thousandth at random."""
    generator = torch.Generator().manual_seed(seed)

    def shake(value: Tensor) -> Tensor:
        return value + NUDGE * torch.randn(value.shape, generator=generator)

    def of_rpn(module, inputs, output):
        return [shake(level) for level in output[0]], [shake(level) for level in output[1]]

    hooks = [
        twin.rpn.head.register_forward_hook(of_rpn),
        twin.roi_heads.box_predictor.register_forward_hook(lambda m, i, out: (shake(out[0]), shake(out[1]))),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def unexplained(ours: list[dict], theirs: list[dict], left, twin: nn.Module, images: list[Tensor]) -> list[str]:
    """What has no partner and is no near tie either.

    A near tie is what torchvision itself decides otherwise when its scores and deltas move by 1e-4: a detection of
    ours alone must turn up there, one of torchvision's alone must disappear.
    """
    ours_open = {(i, k) for i, (mine, _) in enumerate(left) for k in mine}
    theirs_open = {(i, k) for i, (_, wanted) in enumerate(left) for k in wanted}
    for seed in range(NUDGES):
        if not ours_open and not theirs_open:
            break
        with nudged(twin, seed), torch.no_grad():
            moved = twin(images)
        for i, shaken in enumerate(moved):
            _, mine_alone, _ = pair(ours[i], shaken, pixels=0.1)
            ours_open -= {(i, k) for k in range(len(ours[i]["boxes"])) if k not in mine_alone}
            _, _, wanted_alone = pair(shaken, theirs[i], pixels=0.1)
            theirs_open -= {(i, k) for k in wanted_alone}
    return [f"only ours: image {i}, {k}" for i, k in sorted(ours_open)] + [
        f"only torchvision's: image {i}, {k}" for i, k in sorted(theirs_open)
    ]


@contextmanager
def every_roi(model: MaskRCNN, twin: nn.Module) -> Iterator[None]:
    """The box and mask losses see every RoI, so that they do not hang on the order of the proposals.

    Where two proposals' scores are equal to the last digit, rounding may swap them, and then the same random draw
    picks another RoI.
    """
    config, sampler = model.config, twin.roi_heads.fg_bg_sampler
    before = (sampler.batch_size_per_image, sampler.positive_fraction)
    model.config = replace(config, box_batch_size_per_image=10_000, box_positive_fraction=1.0)
    sampler.batch_size_per_image, sampler.positive_fraction = 10_000, 1.0
    try:
        yield
    finally:
        model.config = config
        sampler.batch_size_per_image, sampler.positive_fraction = before


def seeded_losses(model: nn.Module, images: list[Tensor], targets: list[dict], seed: int) -> dict[str, Tensor]:
    """The losses in training mode with a given random state."""
    model.train()
    torch.manual_seed(seed)
    return model(images, [dict(target) for target in targets])


def within_nudges(ours: dict[str, Tensor], twin: nn.Module, images, targets, seed: int, tolerance: float) -> bool:
    """Whether each loss lies in the range that torchvision's own take when its scores move by 1e-4."""
    seen = []
    for nudge in range(NUDGES):
        with nudged(twin, nudge):
            seen.append(seeded_losses(twin, images, targets, seed))
    return all(
        min(s[name] for s in seen) * (1 - tolerance) <= loss <= max(s[name] for s in seen) * (1 + tolerance)
        for name, loss in ours.items()
    )
