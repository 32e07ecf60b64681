"""Random pictures with objects, and models small enough for many tests."""

from __future__ import annotations

import random

import torch
from torch import Tensor
from torchvision.models.resnet import BasicBlock, Bottleneck

from mrcnn_edu.model import Config, MaskRCNN, preset, torchvision_twin


def scene(draw: random.Random, height: int, width: int, objects: int, num_classes: int) -> tuple[Tensor, dict]:
    """A picture of textured ellipses, and its target. The boxes have corners between pixels."""
    generator = torch.Generator().manual_seed(draw.randrange(2**31))
    image = torch.rand(3, height, width, generator=generator) * 0.4
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    image += 0.2 * torch.sin(x / draw.uniform(3, 15) + y / draw.uniform(3, 15))
    boxes, labels, masks = [], [], []
    for _ in range(objects):
        w, h = draw.uniform(0.1, 0.7) * width, draw.uniform(0.1, 0.7) * height
        x1, y1 = draw.uniform(0, width - w), draw.uniform(0, height - h)
        inside = ((x - x1 - w / 2) / (w / 2)) ** 2 + ((y - y1 - h / 2) / (h / 2)) ** 2 <= 1
        colour = torch.rand(3, 1, generator=generator)
        image[:, inside] = 0.5 * image[:, inside] + 0.5 * colour
        boxes.append([x1, y1, x1 + w, y1 + h])
        labels.append(draw.randint(1, num_classes - 1))
        masks.append(inside)
    target = {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.tensor(labels, dtype=torch.int64),
        "masks": torch.stack(masks).to(torch.uint8) if masks else torch.zeros(0, height, width, dtype=torch.uint8),
    }
    return image.clamp(0, 1), target


def scenes(
    seed: int, sizes: list[tuple[int, int]], objects: list[int], num_classes: int
) -> tuple[list[Tensor], list[dict]]:
    """One scene for each size and number of objects."""
    draw = random.Random(seed)
    pairs = [scene(draw, h, w, count, num_classes) for (h, w), count in zip(sizes, objects, strict=True)]
    return [image for image, _ in pairs], [target for _, target in pairs]


def small_config(name: str = "lesson", **changes) -> Config:
    """A preset with few proposals and small images."""
    small = {
        "num_classes": 4, "min_size": (64,), "max_size": 128, "rpn_pre_nms_top_n_train": 60,
        "rpn_pre_nms_top_n_test": 60, "rpn_post_nms_top_n_train": 40, "rpn_post_nms_top_n_test": 40,
        "rpn_batch_size_per_image": 64, "box_batch_size_per_image": 32, "box_detections_per_img": 12,
    }  # fmt: skip
    return preset(name, **{**small, **changes})


def spread(layer: torch.nn.Module, outputs: Tensor, std: float, floor: float = 0.0) -> None:
    """Scale a predictor's weights so that its outputs (rows, channels) have mean 0 and the given deviation.

    floor  outputs that vary by a smaller share of their size get a smaller deviation: rounding errors grow as they do
    """
    with torch.no_grad():
        factor = std / outputs.std().clamp(min=floor * float(outputs.abs().mean()))
        layer.bias.copy_((layer.bias - outputs.mean(dim=0)) * factor)
        layer.weight.mul_(factor)


def condition(model: MaskRCNN, images: list[Tensor], targets: list[dict], passes: int = 1) -> MaskRCNN:
    """Make random weights behave like trained ones: sensible BatchNorm statistics, spread scores, moderate deltas.

    Without it the features of an untrained network grow without bound in evaluation mode, and all scores tie.
    """
    last = {id(m.bn3) for m in model.modules() if isinstance(m, Bottleneck)}
    last |= {id(m.bn2) for m in model.modules() if isinstance(m, BasicBlock)}
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        # A small last scale in each residual block, as training gives: rounding errors then do not grow with depth.
        torch.nn.init.uniform_(norm.weight, *((0.1, 0.3) if id(norm) in last else (0.6, 1.4)))
        torch.nn.init.uniform_(norm.bias, -0.3, 0.3)
        norm.momentum = None  # a plain mean over the passes
    with torch.no_grad():
        for _ in range(passes if norms else 0):
            model.train()
            model.loss(images, targets)
    for norm in norms:
        norm.momentum = 0.1
    model.eval()
    head, heads = model.rpn.head, model.roi_heads
    anchors = model.config.anchors_per_cell
    stages = model.stages(images)
    spread(head.cls_logits, stages.objectness.reshape(-1, anchors), 2.0)
    spread(head.bbox_pred, stages.pred_bbox_deltas.reshape(-1, 4 * anchors), 0.25, floor=0.5)
    stages = model.stages(images)
    spread(heads.box_predictor.cls_score, stages.class_logits, 1.5)
    spread(heads.box_predictor.bbox_pred, stages.box_regression, 0.5, floor=0.5)
    stages = model.stages(images)
    if len(stages.mask_logits):
        logits = stages.mask_logits.permute(0, 2, 3, 1).flatten(0, 2)
        spread(heads.mask_predictor.mask_fcn_logits, logits, 2.0)
    return model


def fixed_twin(model: MaskRCNN) -> torch.nn.Module:
    """torchvision's counterpart, with the right scales of its levels.

    It infers them from the first image that it sees, and keeps them: a first image 66 pixels high, padded to 96, would
    double the scales for every later one.
    """
    twin = torchvision_twin(model)
    levels = {str(k): torch.zeros(1, 1, 64 // 2**k, 64 // 2**k) for k in range(model.config.num_levels)}
    for pool in (twin.roi_heads.box_roi_pool, twin.roi_heads.mask_roi_pool):
        pool(levels, [torch.tensor([[0.0, 0, 9, 9]])], [(256, 256)])
        assert pool.scales == [1 / stride for stride in model.config.strides]
    return twin


def small_model(seed: int = 0, name: str = "lesson", **changes) -> MaskRCNN:
    """A conditioned model of `small_config`, in evaluation mode: it finds something in `small_scenes`."""
    torch.manual_seed(seed)
    model = MaskRCNN(small_config(name, **changes))
    return condition(model, *small_scenes(seed + 100, num_classes=model.config.num_classes))


def small_scenes(seed: int = 0, num_classes: int = 4) -> tuple[list[Tensor], list[dict]]:
    """Two images of different sizes with three and two objects."""
    return scenes(seed, [(64, 80), (90, 70)], [3, 2], num_classes)
