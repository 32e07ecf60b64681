"""I: images of any size become one batch, their targets follow, and bad input is refused by name."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mrcnn_edu.model.boxes import resize_boxes
from mrcnn_edu.model.config import Config

Size = tuple[int, int]  # (height, width), pixels


@dataclass
class ImageBatch:
    """Normalised, resized images, padded with zeros at the right and the bottom to one size.

    tensors         (B, 3, H, W)
    image_sizes     (height, width) of each image within the padding
    original_sizes  (height, width) of each image as it came
    """

    tensors: Tensor
    image_sizes: list[Size]
    original_sizes: list[Size]


def check_images(images: list[Tensor], device: torch.device | None = None) -> None:
    """Refuse what is not a list of float images (3, H, W).

    device   where they must be
    raises   ValueError or TypeError naming the image and the fix
    """
    if isinstance(images, Tensor) and images.dim() == 3:
        raise ValueError("images is one image: give a list of images, [image]")
    if len(images) == 0:
        raise ValueError("images is empty: give at least one image")
    for i, image in enumerate(images):
        if not isinstance(image, Tensor):
            raise TypeError(f"image {i} is a {type(image).__name__}: give a tensor (3, H, W); read_image makes one")
        if image.dim() != 3 or image.shape[0] != 3:
            raise ValueError(f"image {i} has shape {tuple(image.shape)}: give (3, H, W), red, green and blue")
        if not image.is_floating_point():
            raise TypeError(f"image {i} has type {image.dtype}: give floats from 0 to 1, for example image / 255")
        if image.shape[1] == 0 or image.shape[2] == 0:
            raise ValueError(f"image {i} has no pixels: its shape is {tuple(image.shape)}")
        if device is not None and image.device != device:
            raise ValueError(f"image {i} is on {image.device}, the model on {device}: move it, image.to(device)")


def check_sizes(images: list[Tensor], sizes: list[Size]) -> list[Size]:
    """The sizes (height, width) that detections are wanted in, one an image, as whole numbers.

    raises   ValueError naming the image and the fix
    """
    if len(sizes) != len(images):
        raise ValueError(
            f"there are {len(images)} images and {len(sizes)} sizes: give one size (height, width) an image"
        )
    whole = []
    for i, size in enumerate(sizes):
        numbers = [int(side) for side in size]
        if len(numbers) != 2 or min(numbers) < 1 or numbers != list(size):
            raise ValueError(f"size {i} is {tuple(size)}: give (height, width), whole pixels")
        whole.append((numbers[0], numbers[1]))
    return whole


def check_targets(images: list[Tensor], targets: list[dict], num_classes: int, masks: bool = True) -> None:
    """Refuse targets that would poison the loss.

    masks    whether the model needs them
    raises   ValueError or TypeError naming the image, the box or object, the field and the fix
    """
    if targets is None or len(targets) != len(images):
        given = "none" if targets is None else len(targets)
        raise ValueError(f"there are {len(images)} images and {given} targets: give one target an image")
    for i, (image, target) in enumerate(zip(images, targets, strict=True)):
        if not isinstance(target, dict):
            raise TypeError(f"target of image {i} is a {type(target).__name__}: give a dict of boxes, labels, masks")
        for field in ("boxes", "labels", *(["masks"] if masks else [])):
            if not isinstance(target.get(field), Tensor):
                raise TypeError(f"target of image {i}: field {field!r} is missing or no tensor")
        _check_boxes(i, target["boxes"])
        _check_labels(i, target["labels"], len(target["boxes"]), num_classes)
        expected = (len(target["boxes"]), *image.shape[-2:])
        if masks and tuple(target["masks"].shape) != expected:
            raise ValueError(
                f"target of image {i}: masks has shape {tuple(target['masks'].shape)}, give {expected}: "
                "one mask a box, as large as the image"
            )


def _check_boxes(i: int, boxes: Tensor) -> None:
    if boxes.dim() != 2 or boxes.shape[-1] != 4:
        raise ValueError(f"target of image {i}: boxes has shape {tuple(boxes.shape)}, give (N, 4)")
    if not boxes.is_floating_point():
        raise TypeError(f"target of image {i}: boxes has type {boxes.dtype}, give floats")
    # Written so that NaN fails it too.
    sound = ((boxes[:, 2:] > boxes[:, :2]) & torch.isfinite(boxes[:, 2:]) & torch.isfinite(boxes[:, :2])).all(dim=1)
    if not bool(sound.all()):
        bad = int((~sound).nonzero()[0])
        raise ValueError(
            f"target of image {i}: box {bad} is {boxes[bad].tolist()}; all bounding boxes should have finite corners "
            "and positive width and height (x1 < x2, y1 < y2): mend or drop it, check_dataset lists all such boxes"
        )


def _check_labels(i: int, labels: Tensor, num_boxes: int, num_classes: int) -> None:
    if labels.shape != (num_boxes,):
        raise ValueError(f"target of image {i}: {num_boxes} boxes and labels of shape {tuple(labels.shape)}")
    if labels.dtype != torch.int64:
        raise TypeError(f"target of image {i}: labels has type {labels.dtype}, give int64")
    wrong = (labels < 1) | (labels >= num_classes)
    if bool(wrong.any()):
        bad = int(wrong.nonzero()[0])
        raise ValueError(
            f"target of image {i}: the label of object {bad} is {int(labels[bad])}; the model has {num_classes} "
            f"classes with the background as 0, so give labels from 1 to {num_classes - 1} (or raise num_classes)"
        )


def resized_size(size: Size, min_size: int, max_size: int) -> Size:
    """The size an image is resized to: short side `min_size`, unless the long side would pass `max_size`.

    Rounded down, as torchvision does, but never to less than one pixel.
    """
    scale = min(min_size / min(size), max_size / max(size))
    return max(1, int(size[0] * scale)), max(1, int(size[1] * scale))


def resize_masks(masks: Tensor, size: Size) -> Tensor:
    """Nearest-neighbour resize of binary masks: rows and columns are picked, without a detour through floats.

    masks    (G, H, W) uint8
    size     (height, width), pixels
    returns  (G, height, width) uint8
    """
    if masks.shape[-2:] == torch.Size(size):
        return masks
    rows, columns = (nearest_index(old, new) for old, new in zip(masks.shape[-2:], size, strict=True))
    if masks.device.type != "cpu":
        return masks.index_select(2, columns.to(masks.device)).index_select(1, rows.to(masks.device))
    # numpy picks bytes three to four times as fast as torch does; mask by mask what lies between stays in the cache.
    # The arrays are made by numpy too (an ndarray is made by its class): it asks for large pages, which come faster.
    source, rows, columns = masks.numpy(), rows.numpy(), columns.numpy()
    resized = type(source)((len(source), *size), source.dtype)
    widened = type(source)((source.shape[1], size[1]), source.dtype)
    for mask, target in zip(source, resized, strict=True):
        mask.take(columns, axis=1, out=widened, mode="clip").take(rows, axis=0, out=target, mode="clip")
    return torch.from_numpy(resized)


def nearest_index(old: int, new: int) -> Tensor:
    """The source index of each of `new` pixels of a side that had `old`, as `F.interpolate(mode="nearest")` takes it.

    returns  (new,) int64
    """
    scale = torch.tensor(old, dtype=torch.float32) / new
    index = (torch.arange(new, dtype=torch.float32) * scale).floor().long()
    return index.clamp(max=old - 1)


def make_batch(
    images: list[Tensor], config: Config, min_sizes: list[int], dtype: torch.dtype | None = None
) -> ImageBatch:
    """Normalise, then resize, then pad: the input of the backbone. Gradients reach the images.

    images     (3, H, W) each, floats from 0 to 1
    min_sizes  the length of the short side for each image, pixels
    dtype      of the batch; by default that of the first image. Half precision is computed in float32
    """
    original_sizes = [tuple(image.shape[-2:]) for image in images]
    image_sizes = [
        resized_size(size, min_size, config.max_size) for size, min_size in zip(original_sizes, min_sizes, strict=True)
    ]
    step = config.size_divisible
    height, width = (-(-max(side) // step) * step for side in zip(*image_sizes, strict=True))
    dtype = dtype or images[0].dtype
    exact = dtype if dtype == torch.float64 else torch.float32
    batch = torch.zeros((len(images), 3, height, width), dtype=dtype, device=images[0].device)
    mean = batch.new_tensor(config.image_mean, dtype=exact)[:, None, None]
    std = batch.new_tensor(config.image_std, dtype=exact)[:, None, None]
    for i, (image, size) in enumerate(zip(images, image_sizes, strict=True)):
        normal = (image.as_subclass(Tensor).to(exact) - mean) / std
        if size != tuple(image.shape[-2:]):
            normal = F.interpolate(normal[None], size=size, mode="bilinear", align_corners=False)[0]
        # By index: into the views that a loop over the batch gives, autograd lets nothing be written.
        batch[i, :, : size[0], : size[1]] = normal
    return ImageBatch(batch, image_sizes, original_sizes)


def draw_min_sizes(config: Config, count: int, training: bool) -> list[int]:
    """The short side for each image: a random one of `config.min_size` while training, else the last.

    One number is drawn an image even where there is no choice, so that a seeded run draws what torchvision draws.
    """
    if not training:
        return [config.min_size[-1]] * count
    draws = [torch.empty(1).uniform_(0.0, float(len(config.min_size))) for _ in range(count)]
    return [config.min_size[int(draw)] for draw in draws]


def resize_targets(targets: list[dict], batch: ImageBatch, masks: bool = True) -> list[dict]:
    """Boxes in the pixels of the resized images; labels as they are, and masks too: see `mask_targets`.

    masks    whether the model needs them
    returns  for each image boxes (G, 4) float32, labels (G,), masks (G, H, W) uint8 of the original size
    """
    return [
        {
            "boxes": resize_boxes(target["boxes"].as_subclass(Tensor).float(), old, new),
            "labels": target["labels"],
            **({"masks": target["masks"].as_subclass(Tensor).to(torch.uint8)} if masks else {}),
        }
        for target, old, new in zip(targets, batch.original_sizes, batch.image_sizes, strict=True)
    ]
