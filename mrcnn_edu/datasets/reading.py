"""How large pictures are read: no larger than a model makes use of. And what was read is kept, within limits."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.utils.data import get_worker_info

from ..model.images import Size, resized_size

# Pictures of more than LARGE times the sides that the model resizes them to are read at SPARE times these sides.
LARGE, SPARE = 2.0, 1.5
# What a data set keeps of reduced pictures and outlines, bytes.
KEPT_BYTES = 512 * 2**20
# Modes of 8 bits in which the mean of two values is the colour between them.
MIXABLE = ("L", "LA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB")
UNMIXABLE = ("1", "P", "PA", "HSV")

ReadFor = tuple[tuple[float, ...], float]
Value = TypeVar("Value")


def read_size(height: int, width: int, read_for: ReadFor | None) -> Size:
    """The rule of reading: height and width in pixels that a picture of a file is read in.

    A model resizes each picture to its `min_size` and `max_size`. A picture of more than twice the sides that it is
    resized to is reduced while it is read, antialiased, to one and a half times these sides. All others are read as
    they are, bit for bit. Of several sizes in `min_size` the largest counts. The rule looks at nothing but the file's
    size and these two settings, so that training, validation, evaluation and prediction see the same pixels, and their
    figures agree.

    One and a half times, so that a zoom of `train_transforms`, by up to 1.4 unless asked for more, shows pixels that
    are there.

    height, width  of the picture in its file, pixels
    read_for       (min_size, max_size) of the model; None reads every picture as it is
    """
    if read_for is None or not min(height, width):
        return height, width
    needed = resized_size((height, width), max(read_for[0]), read_for[1])
    if max(height, width) <= LARGE * max(needed):
        return height, width
    # The side that decides how far the model resizes gets the factor, the other one what the same scale makes of it.
    shorter, longer = max(read_for[0]), read_for[1]
    limit = longer if shorter * max(height, width) > longer * min(height, width) else shorter
    times = math.ceil(SPARE * limit) / limit
    # A hair less, so that no rounding of floats adds a pixel.
    return tuple(min(own, math.ceil(side * times - 1e-6)) for own, side in zip((height, width), needed, strict=True))


def checked_read_for(read_for) -> ReadFor | None:
    """`read_for` with `min_size` as a tuple, as `Config` has it.

    raises   ValueError saying what to give
    """
    if read_for is None:
        return None
    try:
        shorter, longer = read_for
        shorter = tuple(shorter) if isinstance(shorter, tuple | list) else (shorter,)
        sound = len(shorter) > 0 and min(*shorter, longer) > 0
    except (TypeError, ValueError):
        sound = False
    if not sound:
        raise ValueError(f"read_for: {read_for!r} is no pair of positive sizes: give (min_size, max_size) of the model")
    return shorter, longer


def shrink(image: Tensor, size: Size) -> Tensor:
    """The image (3, H, W) at (height, width) pixels, antialiased; the same object if it has that size."""
    if size == tuple(image.shape[-2:]):
        return image
    return functional.interpolate(image[None], size=size, mode="bilinear", antialias=True)[0].clamp_(0, 1)


def shrink_bytes(image: Image.Image, size: Size) -> Image.Image:
    """The same before bytes become floats of four times their size; modes of more than 8 bits stay as they are."""
    if image.mode in UNMIXABLE or (image.mode in MIXABLE and "transparency" in image.info):
        clear = "A" in image.getbands() or "transparency" in image.info
        image = image.convert("RGBA" if clear else "RGB")
    if image.mode not in MIXABLE:
        return image
    return image.resize(size[::-1], Image.Resampling.BILINEAR)


def packed(image: Tensor) -> Tensor:
    """The image in [0, 1] as bytes where `unpacked` gives it back bit for bit, else as it is."""
    in_bytes = (image * 255).round().to(torch.uint8)
    return in_bytes if torch.equal(unpacked(in_bytes), image) else image


def unpacked(image: Tensor) -> Tensor:
    """A new tensor of floats in [0, 1]."""
    return image / 255.0 if image.dtype == torch.uint8 else image.clone()


class Kept:
    """Values that were made before, up to a number of bytes; what finds no room is made each time.

    Nothing makes room for what comes later: in the shuffled order of training each picture comes once an epoch, so
    those that came first are worth as much as any others. May be asked from several threads; a worker process of a
    `DataLoader` starts empty and has its share of the bytes. Callers leave the values as they are.
    """

    def __init__(self, most: int = KEPT_BYTES):
        self.most = most
        self._empty()

    def _empty(self) -> None:
        self._values: dict[Hashable, object] = {}
        self._bytes, self._lock = 0, threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Value], size: Callable[[Value], int]) -> Value:
        """The value of a key, made if it is not there; `size` tells its bytes."""
        if key in self._values:
            return self._values[key]
        value = make()
        worker = get_worker_info()
        most = self.most if worker is None else self.most // worker.num_workers
        with self._lock:
            if key not in self._values and self._bytes + size(value) <= most:
                self._values[key] = value
                self._bytes += size(value)
        return value

    def __getstate__(self) -> int:
        return self.most

    def __setstate__(self, most: int) -> None:
        self.most = most
        self._empty()
