"""What the rows run on: a photograph, scenes, feature maps, regions and masks; all seeded."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

PHOTO_SIZE = (480, 640)


@cache
def photo() -> tuple[Tensor, str]:
    """A photograph (3, 480, 640) in [0, 1] and where it is from.

    The first fruit photograph where MRCNN_EDU_DATA leads to it, else the cup of coffee that scikit-image ships.
    """
    from mrcnn_edu.datasets import read_image

    folder = Path(os.environ.get("MRCNN_EDU_DATA") or "none") / "fruits_nuts"
    if (folder / "trainval.json").is_file():
        name = json.loads((folder / "trainval.json").read_text())["images"][0]["file_name"]
        image, source = read_image(folder / "images" / Path(name).name), f"fruit photograph {Path(name).name}"
    else:
        from skimage import data

        image, source = torch.from_numpy(data.coffee().copy()).permute(2, 0, 1) / 255, "skimage.data.coffee"
    return F.interpolate(image[None], size=PHOTO_SIZE, mode="bilinear", antialias=True)[0].contiguous(), source


def generator(seed: int = 0) -> torch.Generator:
    """A stream of random numbers of its own."""
    return torch.Generator().manual_seed(seed)


def random_boxes(count: int, size: tuple[int, int], smallest: float, largest: float, seed: int = 0) -> Tensor:
    """Boxes within an image whose sides are spread evenly in logarithm.

    size     (height, width), pixels
    returns  (count, 4) xyxy, pixels
    """
    draw = generator(seed)
    limits = torch.tensor([size[1], size[0]], dtype=torch.float32)
    ratio = torch.rand(count, 2, generator=draw)
    sides = torch.minimum(smallest * (largest / smallest) ** ratio, limits * 0.95)
    corner = torch.rand(count, 2, generator=draw) * (limits - sides)
    return torch.cat([corner, corner + sides], dim=1)


def target_of(boxes: Tensor, size: tuple[int, int], num_classes: int) -> dict[str, Tensor]:
    """A target whose masks are the ellipses that fill the boxes.

    returns  boxes (G, 4), labels (G,), masks (G, H, W) uint8
    """
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    masks = torch.zeros(len(boxes), *size, dtype=torch.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.tolist(), strict=True):
        across = (2 * x - x1 - x2) / (x2 - x1)
        down = (2 * y - y1 - y2) / (y2 - y1)
        mask.copy_(across**2 + down**2 <= 1)
    labels = torch.arange(len(boxes)) % (num_classes - 1) + 1
    return {"boxes": boxes, "labels": labels, "masks": masks}


def scenes(count: int, objects: int, size: int = 128) -> tuple[list[Tensor], list[dict]]:
    """Generated scenes with as near to the wanted number of objects as the first 40 · count scenes offer."""
    from mrcnn_edu.datasets import Shapes

    dataset = Shapes(length=40 * count, seed=3, size=size)
    samples = sorted((dataset[i] for i in range(len(dataset))), key=lambda s: abs(len(s[1]["labels"]) - objects))
    images = [image.as_subclass(Tensor) for image, _ in samples[:count]]
    fields = ("boxes", "labels", "masks")
    return images, [{name: target[name].as_subclass(Tensor) for name in fields} for _, target in samples[:count]]


def pyramid(size: tuple[int, int] = (800, 1088), channels: int = 256, batch: int = 1) -> OrderedDict[str, Tensor]:
    """Random feature maps at strides 4, 8, 16 and 32 in the layout that a backbone gives."""
    draw = generator()
    maps = OrderedDict()
    for level in range(4):
        grid = (batch, channels, size[0] // (4 << level), size[1] // (4 << level))
        maps[str(level)] = torch.randn(grid, generator=draw).contiguous(memory_format=torch.channels_last)
    return maps


def soft_masks(count: int, side: int = 28) -> Tensor:
    """Smooth blobs (count, side, side) in [0, 1], as a mask head gives them."""
    coarse = torch.randn(count, 1, 7, 7, generator=generator())
    return F.interpolate(coarse * 3, size=(side, side), mode="bicubic").sigmoid()[:, 0]


def binary_masks(count: int, size: tuple[int, int]) -> Tensor:
    """Ellipses (count, H, W) uint8."""
    return target_of(random_boxes(count, size, 30, 300), size, num_classes=2)["masks"]


def to_device(value, device: torch.device):
    """Tensors in lists and dicts, moved."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return type(value)((name, to_device(one, device)) for name, one in value.items())
    return [to_device(one, device) for one in value]


def four_photographs() -> tuple[list[Tensor], list[dict], str]:
    """Four images of at most 320 pixels with their targets, and where they are from.

    The first fruit photographs where MRCNN_EDU_DATA leads to them, else generated scenes of 240 × 240.
    """
    from mrcnn_edu.datasets import FruitsNuts

    if not os.environ.get("MRCNN_EDU_DATA"):
        images, targets = scenes(4, objects=9, size=240)
        for target in targets:
            target["labels"] = target["labels"].clamp(max=3)
        return images, targets, "4 generated scenes of 240 × 240"
    dataset = FruitsNuts("train")
    samples = [dataset[i] for i in range(4)]
    fields = ("boxes", "labels", "masks")
    targets = [{name: target[name].as_subclass(Tensor) for name in fields} for _, target in samples]
    return [image.as_subclass(Tensor) for image, _ in samples], targets, "4 fruit photographs of 320 × 240"
