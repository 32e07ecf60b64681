"""Pixel values of any depth become floats from 0 to 1, by the range that they really have."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

# The largest value of each range, and its bits: a picture has the first that holds all of its values.
RANGES = ((255, 8), (4095, 12), (65535, 16))
# Floats just outside 0 … 1 come from rounding; from this value on they can only be counted in whole levels.
ROUNDING, LEVELS = 1e-3, 16
BITS_PER_SAMPLE = 258  # TIFF's tag
LOWER_BYTES = {"RGB;16B": "RGB;16L", "RGB;16L": "RGB;16B", "RGBA;16B": "RGBA;16L", "RGBA;16L": "RGBA;16B"}
# "N" is the machine's own order of bytes, in which libtiff hands values on.
LOWER_BYTES |= {f"{mode};16N": f"{mode};16{'B' if sys.byteorder == 'little' else 'L'}" for mode in ("RGB", "RGBA")}


class ImageFileError(ValueError):
    """A file that cannot be read as an image; the message names it and the fix."""


@dataclass(frozen=True)
class Stored:
    """How a file holds its values.

    bits  of each value
    raw   Pillow's name for their order, such as "RGB;16B"
    """

    bits: int
    raw: str

    @property
    def deep_colour(self) -> bool:
        """True for 16 bits a channel in colour: Pillow hands on the upper 8 of them."""
        return ";16" in self.raw and not self.raw.startswith("I")


def stored(file: Image.Image) -> Stored:
    """How an opened file, of which no pixel was read yet, holds its values."""
    arguments = file.tile[0][3] if file.tile else ""
    raw = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    raw = raw if isinstance(raw, str) else ""
    tags = getattr(file, "tag_v2", None)
    if tags is not None and tags.get(BITS_PER_SAMPLE):
        return Stored(int(tags[BITS_PER_SAMPLE][0]), raw)
    sixteen = ";16" in raw or file.mode.startswith("I;16") or file.format == "PPM"
    return Stored(16 if sixteen else 32 if file.mode in ("I", "F") else 8, raw)


def whole_colours(picture: Image.Image, path: Path, how: Stored) -> Image.Image:
    """A picture of 16 bits a channel whose upper bytes hold next to nothing, scaled to 8 by the range that it has.

    picture  as Pillow reads it, turned as viewers show it; any other comes back as it is
    """
    if not how.deep_colour or _largest(picture) > RANGES[1][0] >> 8:
        return picture
    lower = LOWER_BYTES.get(how.raw)
    if lower is None:
        if _largest(picture) > 0:
            _warn(path, "the upper 8 of 16 bits a channel are read, and they hold next to nothing: the picture is "
                  "nearly black; save it with 8 bits a channel")  # fmt: skip
        return picture
    upper = np.asarray(picture)
    values = (upper.astype(np.uint16) << 8) | np.asarray(_read_as(path, lower))
    top = _integer_top(int(values[:, :, :3].max()), 16, path)
    scaled = np.minimum(np.round(values * (255.0 / top)), 255).astype(np.uint8)
    if values.shape[2] == 4 and upper[:, :, 3].max() > RANGES[1][0] >> 8:
        scaled[:, :, 3] = upper[:, :, 3]
    return Image.fromarray(scaled)


def pixel_values(image: Image.Image, path: Path, how: Stored) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1].

    raises   ImageFileError for values without a known range
    """
    if 0 in image.size:
        raise ImageFileError(f"{path}: the image has no pixels ({image.width} × {image.height})")
    if image.mode.startswith("I") or image.mode == "F":
        return np.repeat(_grey(image, path, how)[:, :, None], 3, axis=2)
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB")).astype(np.float32) / 255.0


def warn_of_more_pages(file: Image.Image, path: Path) -> None:
    """Say that a file holds more than the one picture that is read."""
    # The second picture of a phone's JPEG file is a preview, or belongs to its depth.
    if file.format == "MPO":
        return
    try:
        pages = getattr(file, "n_frames", 1)
    except Exception:  # a page that is damaged is no reason to refuse the first one
        return
    if pages > 1:
        _warn(path, f"the file holds {pages} pages or frames, and the first is read; save the others as files")


def _grey(image: Image.Image, path: Path, how: Stored) -> np.ndarray:
    values = np.asarray(image).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if image.mode == "F":
        top = _float_top(values, low, high, path)
    elif low < 0 or high > RANGES[-1][0]:
        raise _unknown_range(path, f"{how.bits}-bit integers", low, high)
    else:
        top = _integer_top(int(high), how.bits, path)
    return np.clip(values / np.float32(top), 0, 1)


def _integer_top(highest: int, bits: int, path: Path) -> int:
    """The value that shows white, of integers from 0 to `highest`."""
    if 8 < bits < 16:
        return 2**bits - 1
    top, real = next((top, real) for top, real in RANGES if highest <= top)
    if real < bits and highest > 0:
        _warn(path, f"{real}-bit values in a {bits}-bit file (the largest is {highest}): {top} is taken for white; "
              "if the picture is meant to be darker than that, save it with 8 bits a channel")  # fmt: skip
    return top


def _float_top(values: np.ndarray, low: float, high: float, path: Path) -> float:
    if not np.isfinite(values).all():
        count = int(np.size(values) - np.isfinite(values).sum())
        raise ImageFileError(
            f"{path}: {count} pixel values are not finite (NaN or infinite); "
            "replace them, and save the image with 8 or 16 bits a channel"
        )
    if low >= -ROUNDING and high <= 1 + ROUNDING:
        return 1.0
    # Between 1 and a few levels nobody can tell a bright picture of 0 … 1 from a black one of 0 … 255.
    counted = high >= LEVELS or bool((values == np.round(values)).all())
    if low < 0 or high > RANGES[-1][0] or not counted:
        raise _unknown_range(path, "floats", low, high)
    top, real = next((top, real) for top, real in RANGES if high <= top)
    _warn(path, f"{real}-bit values in a file of floats (the largest is {high:g}): {top} is taken for white; "
          "scale them to 0 … 1, or save the image with 8 or 16 bits a channel")  # fmt: skip
    return float(top)


def _unknown_range(path: Path, kind: str, low: float, high: float) -> ImageFileError:
    expected = "0 to 1, 255, 4095 or 65535" if kind == "floats" else "0 to 255, 4095 or 65535"
    return ImageFileError(
        f"{path}: pixel values ({kind}) run from {low:.10g} to {high:.10g}, expected {expected}; "
        "save the image with 8 or 16 bits a channel"
    )


def _largest(picture: Image.Image) -> int:
    """The largest value of the colours, alpha left out."""
    ranges = picture.getextrema()
    return max(high for _, high in ranges[:3])


def _read_as(path: Path, raw: str) -> Image.Image:
    """The picture with its values taken from other bytes of the file, turned as viewers show it."""
    with Image.open(path) as file:
        file.tile = [
            (codec, area, at, raw if isinstance(a, str) else (raw, *a[1:])) for codec, area, at, a in file.tile
        ]
        return ImageOps.exif_transpose(file)


def _warn(path: Path, text: str) -> None:
    warnings.warn(f"{path}: {text}", stacklevel=3)
