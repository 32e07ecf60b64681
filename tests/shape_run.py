"""Train one step and predict with every shape of mrcnn_edu.model checked; print what was found as one line of JSON.

A program of its own, because the package must not have been imported before its comments are read.
"""

from __future__ import annotations

import importlib
import json
import re

import torch

from tests.shape_reader import Record, install

PACKAGE = "mrcnn_edu.model"


def legend() -> set[str]:
    """The capitals that the package's docstring gives a meaning: `    B  images in the batch`, several a line."""
    text = importlib.import_module(PACKAGE).__doc__
    found = re.findall(r"(?:^ {4}| {2})([A-Z](?:, [A-Z])*)  (?=\S)", text, flags=re.MULTILINE)
    return {letter for letters in found for letter in letters.split(", ")}


def scene(height: int, width: int, objects: int) -> tuple[torch.Tensor, dict]:
    """An image with some bright boxes on noise, and its target."""
    image = torch.rand(3, height, width) * 0.3
    boxes = torch.tensor([[8.0 + 14 * i, 10.0, 30.0 + 14 * i, 40.0 + i] for i in range(objects)]).reshape(-1, 4)
    masks = torch.zeros(objects, height, width, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.int().tolist(), strict=True):
        mask[y1:y2, x1:x2] = 1
        image[:, y1:y2, x1:x2] += 0.5
    return image, {"boxes": boxes, "labels": torch.arange(objects) % 2 + 1, "masks": masks}


def run_model(name: str, forms: tuple[str, ...], **changes) -> None:
    """Losses with and without objects, the named forms of masks, all stages; images of two sizes."""
    from mrcnn_edu.model import MaskRCNN, preset

    torch.manual_seed(0)
    few = {"box_score_thresh": 0.0, "box_detections_per_img": 7, "rpn_post_nms_top_n_test": 40}
    model = MaskRCNN(preset(name, num_classes=3, **few, **changes))
    images, targets = zip(scene(96, 128, 3), scene(110, 90, 2), strict=True)
    model.train()
    sum(model(list(images), list(targets)).values()).backward()
    empty = [scene(96, 128, 0), scene(64, 64, 0)]
    model.loss([image for image, _ in empty], [target for _, target in empty])
    model.eval()
    for form in forms:
        model.predict(list(images), masks=form)
    model.stages(list(images))
    model.box_roi_align.fast = model.mask_roi_align.fast = False
    model.predict(list(images))


def run_readable_forms() -> None:
    """What the fast paths leave out: the readable forms that stand beside them."""
    from mrcnn_edu.model import boxes, folding, images, losses, roi_align

    corners = torch.tensor([[0.0, 0, 4, 2], [2, 0, 6, 2], [0, 0, 4, 3]])
    boxes.nms(corners, torch.tensor([0.9, 0.8, 0.7]), 0.5)
    roi_align.axis_samples(corners[:, 0], corners[:, 2], 7, 2, torch.tensor([8, 8, 8]), aligned=True)
    roi_align.level_roi_align(torch.zeros(1, 3, 8, 9), roi_align.to_rois([corners]), 7, 0.5, 2)
    folding.scale_and_shift(torch.nn.BatchNorm2d(4).half())
    masks = torch.zeros(2, 6, 8, dtype=torch.uint8)
    images.resize_masks(masks, (12, 9))
    # Tensors without data take the road of a GPU's.
    whole, losses.MASK_CHUNK = losses.MASK_CHUNK, 1
    losses.mask_targets(masks, torch.zeros(3, dtype=torch.int64), corners, 28)
    losses.MASK_CHUNK = whole
    losses.mask_targets(masks.to("meta"), torch.zeros(3, dtype=torch.int64, device="meta"), corners.to("meta"), 28)


def report(record: Record) -> dict:
    known = legend()
    unknown = {place: sorted(used - known) for place, used in record.letters.items() if used - known}
    return {
        "wrong": record.wrong,
        "unreached": sorted(record.written - record.checked),
        "checked": len(record.checked),
        "letters_without_meaning": unknown,
    }


def main() -> None:
    torch.set_num_threads(1)
    record = install(PACKAGE)
    run_model("lesson", ("soft", "bool", "rle", "none"), min_size=(64,), max_size=128)
    run_model("resnet50_fpn_v2", ("bool",), min_size=(64,), max_size=96)
    run_readable_forms()
    print(json.dumps(report(record)))


if __name__ == "__main__":
    main()
