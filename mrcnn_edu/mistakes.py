"""Classic mistakes that can be switched on in the real model, and the reader's own functions put into it.

`break_it("round_roi")` makes every model of this process round its RoIs while it is switched on.
`swapped("nms", function)` runs every model with another NMS. Both replace what one part of `mrcnn_edu.model` calls,
and put it back afterwards.
"""

import html
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torchvision
from torch import Tensor

from mrcnn_edu.model import anchors, detect, losses, roi_align, rpn
from mrcnn_edu.model.weights import DATA_FOLDER

PRICES_FILE = DATA_FOLDER / "prices.json"


@dataclass(frozen=True)
class Patch:
    """One attribute of a module or class, and what stands there while a swap is on."""

    owner: object
    attribute: str
    replacement: object


def _roi_align(function: Callable) -> list[Patch]:
    def kernel(level_map, rois, output_size, spatial_scale, sampling_ratio):
        return function(level_map, rois, output_size, spatial_scale, sampling_ratio, False)

    module = roi_align.PyramidRoIAlign
    return [
        Patch(module, "_at_once", lambda self, maps, rois: False),
        Patch(module, "_kernel", lambda self, level_map: kernel),
    ]


def _decode(function: Callable) -> list[Patch]:
    def decode(deltas, anchors, weights=(1.0, 1.0, 1.0, 1.0)):
        return function(deltas, anchors, weights)

    return [Patch(rpn, "decode", decode), Patch(detect, "decode", decode)]


def _encode(function: Callable) -> list[Patch]:
    def encode(boxes, anchors, weights=(1.0, 1.0, 1.0, 1.0)):
        return function(boxes, anchors, weights)

    return [Patch(losses, "encode", encode)]


def _nms(function: Callable) -> list[Patch]:
    def grouped(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
        boxes, scores = boxes.float(), scores.float()
        kept = [torch.zeros(0, dtype=torch.int64, device=boxes.device)]
        for group in groups.unique():
            own = torch.where(groups == group)[0]
            kept.append(own[torch.as_tensor(function(boxes[own], scores[own], iou_threshold), dtype=torch.int64)])
        kept = torch.cat(kept)
        return kept[scores[kept].argsort(descending=True, stable=True)]

    return [Patch(rpn, "grouped_nms", grouped), Patch(detect, "grouped_nms", grouped)]


def _grouped_nms(function: Callable) -> list[Patch]:
    def grouped(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
        return torch.as_tensor(function(boxes.float(), scores.float(), groups, iou_threshold), dtype=torch.int64)

    return [Patch(rpn, "grouped_nms", grouped), Patch(detect, "grouped_nms", grouped)]


def _anchors(of_cell: Callable, of_grid: Callable) -> list[Patch]:
    # The model keeps the anchors it has made: those of a swap are made anew each time, and none of them is kept.
    def grids(self, image_size, grids, device):
        strides = anchors.strides(image_size, grids)
        return [of_grid(of_cell(sizes, self.ratios).to(device), grid, stride)
                for sizes, grid, stride in zip(self.sizes, grids, strides, strict=True)]  # fmt: skip

    return [Patch(anchors.Anchors, "__call__", grids)]


def _match(function: Callable) -> list[Patch]:
    def match(gt_boxes, boxes, high, low, low_quality=False):
        return function(gt_boxes, boxes, high, low, low_quality)

    return [Patch(losses, "match", match)]


PARTS: dict[str, Callable[[Callable], list[Patch]]] = {
    "roi_align": _roi_align,
    "decode": _decode,
    "encode": _encode,
    "nms": _nms,
    "grouped_nms": _grouped_nms,
    "to_rois": lambda function: [Patch(roi_align, "to_rois", function)],
    "cell_anchors": lambda function: _anchors(function, anchors.grid_anchors),
    "grid_anchors": lambda function: _anchors(anchors.cell_anchors, function),
    "match": _match,
    "anchor_labels": lambda function: [Patch(losses, "anchor_labels", function)],
    "sample": lambda function: [Patch(losses, "sample", function)],
}

# What only the losses call: a swap of these changes nothing that a trained model predicts.
TRAINING_PARTS = ("encode", "match", "anchor_labels", "sample")

_on: list["Swap"] = []


class Swap:
    """A switch, and a context, that puts a function into one part of every model of this process."""

    def __init__(self, part: str, function: Callable, title: str):
        self.part, self.function, self.title = part, function, title
        self._undo: list[tuple] = []

    @property
    def is_on(self) -> bool:
        """Whether it is switched on."""
        return self in _on

    def on(self) -> "Swap":
        """Switch it on.

        raises   RuntimeError if it is on already, or another swap of the same part is
        """
        if self.is_on:
            raise RuntimeError(f"{self.title} is on already; off() switches it off")
        patches = PARTS[self.part](self.function)
        wanted = {(patch.owner, patch.attribute) for patch in patches}
        for other in _on:
            if wanted & {(owner, attribute) for owner, attribute, _ in other._undo}:
                raise RuntimeError(
                    f"{self.title} and {other.title} both replace the model's {other.part}, and the second is on: "
                    "switch it off first"
                )
        _on.append(self)
        for patch in patches:
            self._undo.append((patch.owner, patch.attribute, vars(patch.owner)[patch.attribute]))
            setattr(patch.owner, patch.attribute, patch.replacement)
        return self

    def off(self) -> None:
        """Switch it off; the model is as it was. Nothing happens where it is off."""
        while self._undo:
            setattr(*self._undo.pop())
        if self.is_on:
            _on.remove(self)

    def __enter__(self):
        return self.on()

    def __exit__(self, *error):
        self.off()


def switched_on() -> list[Swap]:
    """All swaps that are on."""
    return list(_on)


def swapped(part: str, function: Callable) -> Swap:
    """Every model of this process with `function` as one of its parts, within a `with` block.

    function  what it is called with, and what it gives, by part:
              roi_align      (features (B, C, H, W), rois (R, 5), output_size, spatial_scale, sampling_ratio, aligned)
                             → (R, C, P, P), once a level
              to_rois        (boxes, one (N, 4) an image) → (R, 5)
              decode         (deltas (N, 4), anchors (N, 4), weights) → boxes (N, 4)
              encode         (boxes (N, 4), anchors (N, 4), weights) → deltas (N, 4)
              nms            (boxes (N, 4), scores (N,), iou_threshold) → indices of those kept; once a level and class
              cell_anchors   (sizes, ratios) → (A, 4), once a level
              grid_anchors   (base (A, 4), (h, w) cells, stride) → (h·w·A, 4), once a level
              match          (gt_boxes (G, 4), boxes (N, 4), high, low, low_quality) → (N,)
              anchor_labels  (matched_idxs (N,)) → (N,)
              sample         (labels (N,), count, positive_fraction) → indices of positives and of negatives
    raises    ValueError naming the parts there are
    """
    if part not in PARTS:
        raise ValueError(f"the model has no part {part!r} to swap; there are {', '.join(PARTS)}")
    return Swap(part, function, f"swapped({part!r}, {getattr(function, '__name__', 'function')})")


def round_roi(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """RoIAlign of a RoI whose corners were first moved to whole cells: the first of RoIPool's two roundings."""
    corners = (rois[:, 1:] * spatial_scale + 0.5).floor() / spatial_scale  # (R, 4)
    rois = torch.cat([rois[:, :1], corners], dim=1)  # (R, 5)
    # The quick form reads every bin at the same number of points; below 1 asks for as many as the bin is long.
    read = roi_align.level_roi_align if sampling_ratio >= 1 else torchvision.ops.roi_align
    return read(features, rois, output_size, spatial_scale, sampling_ratio)


def roi_pool(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """RoIPool: corners and bins rounded to whole cells, then the largest value of each bin.

    source   Girshick 2015, section 2.1
    """
    return torchvision.ops.roi_pool(features, rois, output_size, spatial_scale)


def half_pixel(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """RoIAlign shifted by half a cell, for a model that was trained without the shift."""
    return torchvision.ops.roi_align(features, rois, output_size, spatial_scale, sampling_ratio, aligned=True)


def ratio_on_one_side(sizes: tuple[int, ...], ratios: tuple[float, ...]) -> Tensor:
    """Cell anchors whose width grows with √r as the height does: every one is square, and its area changes."""
    scales = torch.tensor(sizes, dtype=torch.float32)
    heights = (torch.tensor(ratios, dtype=torch.float32).sqrt()[:, None] * scales).flatten()  # (A,)
    return (torch.stack([-heights, -heights, heights, heights], dim=1) / 2).round()  # (A, 4)


def ignored_are_negative(matched_idxs: Tensor) -> Tensor:
    """Labels of anchors without the third kind: what lies between the two thresholds counts as background."""
    return torch.where(matched_idxs >= 0, 1, 0)  # (N,)


class Mistake(Swap):
    """A classic mistake: `with break_it("round_roi"): …`, or its switch `on()` and `off()`.

    Printed, or as the last line of a cell, it says what goes wrong and what that costs.

    name      as in break_it(name)
    lesson    number of the lesson that explains it
    what      what goes wrong, in a sentence or two
    """

    def __init__(self, part: str, function: Callable, lesson: int, what: str):
        self.name, self.lesson, self.what = function.__name__, lesson, what
        super().__init__(part, function, f"break_it({self.name!r})")

    @property
    def only_training(self) -> bool:
        """Whether it changes nothing that a trained model predicts."""
        return self.part in TRAINING_PARTS

    @property
    def prices(self) -> dict[str, dict]:
        """What it costs, measured: "switched_on" in the sound model, "trained" with it from the start.

        Either may be missing. Each holds `sound` and `broken`, {"bbox": {"AP", "AP75"}, "segm": {…}}, `scenes`, how
        many were evaluated, the `commands` that did it, and the `date`.
        """
        return read_prices().get(self.name, {})

    def __str__(self):
        lines = [f"{self.name} (lesson {self.lesson:02d}, {'on' if self.is_on else 'off'}). {self.what}"]
        rows = price_rows(self.prices)
        if rows:
            lines.append(f"{'':40}{''.join(f'{name:>11}' for name in COLUMNS)}")
            lines += [f"{name:40}{''.join(f'{value:11.3f}' for value in values)}" for name, values in rows]
        return "\n".join([*lines, *price_notes(self)])

    def _repr_html_(self):
        cell = 'style="text-align: right; padding: 2px 10px"'
        head = "".join(f"<th {cell}>{name}</th>" for name in ("", *COLUMNS))
        rows = "".join(
            f'<tr><td style="text-align: left; padding: 2px 10px">{name}</td>'
            + "".join(f"<td {cell}>{value:.3f}</td>" for value in values)
            + "</tr>"
            for name, values in price_rows(self.prices)
        )
        table = f'<table style="margin: 6px 0"><tr>{head}</tr>{rows}</table>' if rows else ""
        notes = "".join(f'<div style="font-size: 90%">{html.escape(note)}</div>' for note in price_notes(self))
        return (
            '<div style="border-left: 5px solid #D55E00; padding: 4px 12px; max-width: 860px; line-height: 1.45">'
            f"<b>Break it: <code>{self.name}</code></b> (lesson {self.lesson:02d}, {'on' if self.is_on else 'off'}). "
            f"{html.escape(self.what)}{table}{notes}</div>"
        )

    def _repr_pretty_(self, printer, cycle):
        printer.text(str(self))


COLUMNS = {
    "mask AP": ("segm", "AP"),
    "mask AP75": ("segm", "AP75"),
    "box AP": ("bbox", "AP"),
    "box AP75": ("bbox", "AP75"),
}
KINDS = {"switched_on": "switched on in the sound model", "trained": "trained with it from the start"}


def price_rows(prices: dict[str, dict]) -> list[tuple[str, list[float]]]:
    """The lines of a mistake's table, values as in COLUMNS: the sound model, then each way of making the mistake."""
    rows = []
    for kind, price in prices.items():
        for name, scores in (("sound model", price["sound"]), (KINDS[kind], price["broken"])):
            row = name, [scores[group][metric] for group, metric in COLUMNS.values()]
            if row not in rows:
                rows.append(row)
    return rows


def price_notes(mistake: Mistake) -> list[str]:
    """How each price was computed, and what has none."""
    notes = []
    if mistake.prices:
        notes.append(
            "AP is the average precision over IoU thresholds from 0.50 to 0.95, AP75 that at 0.75; 1 is perfect."
        )
    for kind, price in mistake.prices.items():
        commands = ", then ".join(price["commands"])
        runs = " (one run)" if kind == "trained" else ""
        notes.append(
            f"{KINDS[kind].capitalize()}{runs}: {price['scenes']} validation scenes, {price['date']}, {commands}"
        )
    if mistake.only_training:
        notes.append("Switched on in a trained model it changes no prediction.")
    if not mistake.prices:
        options = f"--trained {mistake.name}=FILE" if mistake.only_training else mistake.name
        notes.append(f"Its price has not been measured yet: python -m mrcnn_edu.training.prices {options}")
    return notes


def read_prices(path: Path | None = None) -> dict[str, dict]:
    """{mistake: its prices}, as `mrcnn_edu.training.prices` measured them; empty where there is no file.

    path   by default the file that ships
    """
    path = path or PRICES_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


MISTAKES = {
    mistake.name: mistake
    for mistake in (
        Mistake(
            "roi_align",
            round_roi,
            6,
            "The corners of each RoI are rounded to whole cells of the feature map before RoIAlign reads it. A cell is "
            "4 to 16 pixels wide here, so the heads see a region that lies up to half a cell beside the true one.",
        ),
        Mistake(
            "roi_align",
            roi_pool,
            6,
            "RoIPool in place of RoIAlign: the corners and the bins are rounded to whole cells, and each bin keeps "
            "its largest value.",
        ),
        Mistake(
            "roi_align",
            half_pixel,
            6,
            "RoIAlign reads with aligned=True, half a cell further up and left, although the model was trained with "
            "aligned=False.",
        ),
        Mistake(
            "cell_anchors",
            ratio_on_one_side,
            4,
            "The height of an anchor is s · √r, and so is its width, which should be s / √r: every anchor is a square. "
            "Most objects of the scenes are about as wide as high, and squares fit those; one that is 1.6 "
            "times as long as wide finds no anchor of IoU 0.7 any more.",
        ),
        Mistake(
            "anchor_labels",
            ignored_are_negative,
            5,
            "Anchors whose IoU lies between the two thresholds are trained as background instead of being left out. "
            "It matters only while training. On the generated scenes the masks come out as good; it shows in the "
            "objectness, which is high for fewer proposals around each object.",
        ),
    )
}


def break_it(name: str) -> Mistake:
    """A classic mistake by name; the same switch each time.

    raises   ValueError naming the mistakes there are
    """
    if name not in MISTAKES:
        raise ValueError(f"there is no mistake {name!r}; there are {', '.join(MISTAKES)}")
    return MISTAKES[name]
