"""Augmentation for training: torchvision transforms v2 on (image, target), repeatable under torch's seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from .targets import Sample, Target, boxes_from_masks


class Augmentation(v2.Compose):
    """What `train_transforms` gives: the steps in order, and in `options` the arguments that they were made from."""

    def __init__(self, steps: list[nn.Module], options: dict):
        super().__init__(steps)
        self.options = options


def train_transforms(
    flip: bool = True,
    flip_vertical: bool = False,
    transpose: bool = False,
    degrees: float = 0.0,
    zoom: tuple[float, float] = (0.75, 1.4),
    colour: float = 0.3,
    grey: float = 0.0,
    least_visible: float = 0.3,
) -> Augmentation:
    """Random views of a sample; boxes are recomputed from the masks, objects cut to slivers are dropped.

    flip           mirror left and right, half of the time
    flip_vertical  mirror top and bottom, half of the time; for what is seen from above, not for what stands upright
    transpose      swap rows and columns, half of the time; with both flips, all quarter turns. It changes the size
                   of images that are not square, and so pads batches
    degrees        rotate by an angle from -degrees … degrees
    zoom           enlarge by a factor from this range and cut or pad to the size it had; (1, 1) for none
    colour         change brightness, contrast and saturation by up to this share
    grey           probability of a grey image
    least_visible  an object of which less than this share stays in view is dropped
    returns        a transform that takes and gives (image, target); every random number comes from torch's generator
    raises         ValueError naming the argument that is out of range
    """
    options = {"flip": flip, "flip_vertical": flip_vertical, "transpose": transpose, "degrees": degrees,
               "zoom": tuple(zoom), "colour": colour, "grey": grey, "least_visible": least_visible}  # fmt: skip
    _check_options(options)
    steps: list[nn.Module] = [MeasureAreas()]
    if flip:
        steps.append(v2.RandomHorizontalFlip())
    if flip_vertical:
        steps.append(v2.RandomVerticalFlip())
    if transpose:
        steps.append(RandomTranspose())
    if degrees:
        steps.append(v2.RandomRotation(degrees, interpolation=v2.InterpolationMode.BILINEAR))
    if tuple(zoom) != (1.0, 1.0):
        steps.append(RandomZoom(*zoom))
    if colour:
        steps.append(v2.ColorJitter(colour, colour, colour))
    if grey:
        steps.append(v2.RandomGrayscale(grey))
    return Augmentation([*steps, BoxesFromMasks(least_visible)], options)


NO_AUGMENTATION = {"flip": False, "flip_vertical": False, "transpose": False, "degrees": 0.0, "zoom": (1.0, 1.0),
                   "colour": 0.0, "grey": 0.0}  # fmt: skip


def _check_options(options: dict) -> None:
    for name, most in (("degrees", 180.0), ("colour", 1.0), ("grey", 1.0), ("least_visible", 1.0)):
        if not 0 <= options[name] <= most:
            raise ValueError(f"train_transforms: {name} must lie between 0 and {most:g}, not {options[name]!r}")


def mask_areas(masks: Tensor) -> Tensor:
    """The number of pixels in each mask (N, H, W), as (N,) int64."""
    # Mask by mask: numpy counts one whole array eight times as fast as along an axis.
    return torch.tensor([np.count_nonzero(mask) for mask in masks.numpy()], dtype=torch.int64)


class MeasureAreas(nn.Module):
    """Put the area of each mask into the target, in pixels, and take the boxes out: they follow from the masks."""

    def forward(self, image: Tensor, target: Target) -> Sample:
        target = {**target, "area": mask_areas(target["masks"]).float()}
        del target["boxes"]
        return image, target


class BoxesFromMasks(nn.Module):
    """Drop the objects that were cut to slivers and give the others their tight boxes.

    An object goes if less than `least_visible` of its area is left, or if its mask is narrower than 2 pixels.
    """

    def __init__(self, least_visible: float):
        super().__init__()
        self.least_visible = least_visible

    def forward(self, image: Tensor, target: Target) -> Sample:
        masks = target["masks"].as_subclass(Tensor).numpy()
        boxes = torch.from_numpy(boxes_from_masks(masks))
        left = mask_areas(target["masks"])
        wide = (boxes[:, 2:] - boxes[:, :2]).amin(dim=1) >= 2
        keep = wide & (left >= self.least_visible * target["area"])
        target = {
            key: value[keep] if isinstance(value, Tensor) and value.ndim and len(value) == len(keep) else value
            for key, value in target.items()
            if key not in ("area", "masks")
        }
        target["masks"] = tv_tensors.Mask(torch.from_numpy(masks)[keep])
        target["boxes"] = tv_tensors.BoundingBoxes(boxes[keep], format="XYXY", canvas_size=tuple(image.shape[-2:]))
        return image, target


class RandomTranspose(nn.Module):
    """Swap rows and columns of the image and its masks with probability p."""

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def forward(self, image: Tensor, target: Target) -> Sample:
        if torch.rand(()) >= self.p:
            return image, target
        masks = target["masks"].as_subclass(Tensor).transpose(-2, -1).contiguous()
        image = image.as_subclass(Tensor).transpose(-2, -1).contiguous()
        return tv_tensors.Image(image), {**target, "masks": tv_tensors.Mask(masks)}


class RandomZoom(nn.Module):
    """Enlarge image and masks by a random factor and cut a random window of the old size; pad if they got smaller.

    The factor is drawn evenly on a logarithmic scale between low and high. The padding has the image's mean colour.
    """

    def __init__(self, low: float, high: float):
        super().__init__()
        if not 0 < low <= high:
            raise ValueError(f"zoom: expected 0 < low <= high, got ({low}, {high})")
        self.low, self.high = low, high

    def forward(self, image: Tensor, target: Target) -> Sample:
        size_draw, y_draw, x_draw = torch.rand(3).tolist()
        factor = self.low * (self.high / self.low) ** size_draw
        height, width = image.shape[-2:]
        share = 1 / factor if factor >= 1 else factor  # of the frame that the window, or the shrunk image, takes
        h, w = max(1, round(height * share)), max(1, round(width * share))
        top, left = int(y_draw * (height - h + 1)), int(x_draw * (width - w + 1))
        nearest = v2.InterpolationMode.NEAREST_EXACT
        masks = target["masks"]
        if factor >= 1:
            image = functional.resized_crop(image, top, left, h, w, [height, width], antialias=False)
            masks = functional.resized_crop(masks, top, left, h, w, [height, width], interpolation=nearest)
            area = target["area"] * (height * width / (h * w))
        else:
            padding = [left, top, width - w - left, height - h - top]
            fill = image.as_subclass(Tensor).mean(dim=(1, 2)).tolist()
            image = functional.pad(functional.resize(image, [h, w], antialias=True), padding, fill=fill)
            masks = functional.pad(functional.resize(masks, [h, w], interpolation=nearest), padding)
            area = target["area"] * (h * w / (height * width))
        return image, {**target, "masks": masks, "area": area}


class Transformed(Dataset):
    """A data set whose samples go through a transform; everything else is the data set's own.

    dataset    samples (image, target)
    transform  takes and gives (image, target)
    """

    def __init__(self, dataset: Dataset, transform: Callable):
        self.dataset, self.transform = dataset, transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        return self.transform(*self.dataset[index])

    def __getattr__(self, name: str):
        # "dataset" is not there yet while the object is being unpickled; a picture alone would miss the transform.
        if name in ("dataset", "picture"):
            raise AttributeError(name)
        return getattr(self.dataset, name)
