"""How the time grows with the image, the objects, the proposals and the batch; one small plot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks import inputs
from benchmarks.rows import lesson_model, resnet50_model, training_case
from benchmarks.timing import by_turns
from mrcnn_edu.model import MaskRCNN, torchvision_twin

Pair = tuple[Callable[[], object], Callable[[], object]]


@dataclass(frozen=True)
class Axis:
    """One panel of the plot: what grows, over which values, and the pair of functions at one value."""

    label: str
    title: str
    values: tuple[int, ...]
    pair: Callable[[int, torch.device], Pair]


def at_side(side: int, device: torch.device) -> Pair:
    """Inference of resnet50_fpn on a square image that is not resized."""
    small = resnet50_model(device).eval()
    model = MaskRCNN(replace(small.config, min_size=(side,), max_size=side)).to(device).eval()
    model.load_state_dict(small.state_dict())
    twin = torchvision_twin(model).to(device).eval()
    image = torch.nn.functional.interpolate(inputs.photo()[0][None], size=(side, side), mode="bilinear")[0].to(device)

    def run(which) -> Callable[[], object]:
        def call():
            with torch.inference_mode():
                return which([image])

        return call

    return run(model), run(twin)


def with_objects(count: int, device: torch.device) -> Pair:
    """A training step of the lesson preset on one image of 512 × 512 with so many objects."""
    size = (512, 512)
    target = inputs.target_of(inputs.random_boxes(count, size, 12, 70), size, num_classes=5)
    image = torch.rand(3, *size, generator=inputs.generator())
    case = training_case(lesson_model(device, min_size=(512,)), [image], [target], "", device, False)
    return case.ours, case.theirs


def with_proposals(count: int, device: torch.device) -> Pair:
    """RoIAlign and the box head of resnet50_fpn on so many proposals."""
    model = resnet50_model(device).eval()
    twin = torchvision_twin(model).to(device).eval()
    maps = inputs.to_device(inputs.pyramid(), device)
    boxes = [inputs.random_boxes(count, (800, 1066), 16, 600).to(device)]

    def ours():
        with torch.inference_mode():
            return model.roi_heads.box_predictor(model.roi_heads.box_head(model.box_roi_align(maps, boxes)))

    def theirs():
        heads = twin.roi_heads
        with torch.inference_mode():
            return heads.box_predictor(heads.box_head(heads.box_roi_pool(maps, boxes, [(800, 1088)])))

    return ours, theirs


def with_batch(count: int, device: torch.device) -> Pair:
    """A training step of the lesson preset on so many scenes of 128 × 128."""
    images, targets = inputs.scenes(count, objects=6)
    case = training_case(lesson_model(device), images, targets, "", device, False)
    return case.ours, case.theirs


AXES = {
    "side": Axis("image side, px", "R50-FPN, inference", (256, 512, 1024, 2048), at_side),
    "objects": Axis(
        "objects in a 512 × 512 image", "lesson preset, training step", (1, 10, 100, 1000, 2000), with_objects
    ),
    "proposals": Axis("proposals", "RoIAlign and box head", (1, 10, 100, 1000), with_proposals),
    "batch": Axis("images in the batch", "lesson preset, training step", (1, 2, 4, 8, 16), with_batch),
}

Point = tuple[int, float, float]


def measure(device: torch.device, quick: bool) -> Iterator[tuple[str, list[Point]]]:
    """For each axis its name and (value, our seconds, torchvision's seconds). `quick` takes the two smallest values."""
    for name, axis in AXES.items():
        points = []
        for value in axis.values[: 2 if quick else None]:
            pair = axis.pair(value, device)
            ours, theirs = by_turns(list(pair), rounds=1 if quick else 3, device=device)
            points.append((value, ours.median, theirs.median))
        yield name, points


def plot(growth: dict[str, list[Point]], path: Path) -> None:
    """Write the plot: a panel for each axis, both implementations, both axes logarithmic."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    from mrcnn_edu.figures import PALETTE

    figure = Figure(figsize=(10, 6.4), layout="constrained", facecolor="white")
    for panel, (name, points) in zip(figure.subplots(2, 2).flat, growth.items(), strict=True):
        values, ours, theirs = zip(*points, strict=True)
        panel.loglog(values, theirs, "s--", color=PALETTE["ground truth"], label="torchvision")
        panel.loglog(values, ours, "o-", color=PALETTE["prediction"], label="mrcnn_edu")
        # "1k" and "2k" stand beside each other where "1,000" and "2,000" would touch.
        panel.set_xticks(values, [f"{v // 1000}k" if v % 1000 == 0 else f"{v:,}" for v in values])
        # Room enough that at least one of 1, 2, 5, 10, … is on the axis.
        panel.set_ylim(min(ours + theirs) / 1.7, max(ours + theirs) * 1.7)
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.minorticks_off()
        panel.set(title=AXES[name].title, xlabel=AXES[name].label, ylabel="seconds")
        panel.grid(True, alpha=0.3)
        panel.legend(frameon=False)
    figure.savefig(path, dpi=110)
