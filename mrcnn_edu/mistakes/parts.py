"""The parts of the model that can be replaced, and where the model calls each of them."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mrcnn_edu.model import anchors, detect, losses, roi_align, rpn


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
