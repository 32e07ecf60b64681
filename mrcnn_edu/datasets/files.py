"""Image files in, float32 tensors out; every failure names the file and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from torch import Tensor

from .missing import explain_missing
from .pixels import ImageFileError, pixel_values, stored, warn_of_more_pages, whole_colours
from .reading import ReadFor, checked_read_for, read_size, shrink, shrink_bytes

PACKAGE_ROOT = Path(__file__).resolve().parents[1]

# Modes of 8 bits a channel: any value in them is one that a picture can have.
PLAIN_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")
# The file that is being read, for who prints the warnings of a library that does not name it.
BEING_READ: ContextVar[str | None] = ContextVar("being_read", default=None)
# The EXIF tag of how a camera was held, and its values for a quarter turn.
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)


def read_image(path: str | Path, max_side: int | None = None, read_for: ReadFor | None = None) -> Tensor:
    """The picture in a file as the model takes it: (3, H, W) float32 in [0, 1].

    Grey becomes three equal channels. Transparent parts show white, as most viewers show them. An EXIF rotation is
    carried out, so that the picture stands as viewers show it. Of several pages or frames the first is read.

    8-bit values are divided by 255. In files that could hold larger values the largest that is there decides, for
    each picture on its own: up to 255 they are taken for 8-bit values, up to 4095 for 12-bit, up to 65535 for 16-bit
    values, and divided by that; floats up to 1 stay. Where that is less than the file could hold, a warning names
    the file and the range.

    path      any format that Pillow reads
    max_side  longest side in pixels; larger pictures are reduced with antialiasing, smaller ones stay
    read_for  (min_size, max_size) of a model: pictures much larger than it needs are reduced while they are read, see
              `read_size`
    raises    FileNotFoundError for a missing file; ImageFileError for a file that is truncated, is no image, or
              holds values without a known range
    """
    return read_sized(path, max_side, read_for)[0]


def read_sized(
    path: str | Path, max_side: int | None = None, read_for: ReadFor | None = None
) -> tuple[Tensor, tuple[int, int]]:
    """What `read_image` gives, and the (height, width) that the picture has in its file."""
    path, read_for = Path(path), checked_read_for(read_for)
    _require_file(path)
    try:
        with _reading(path), Image.open(path) as file:
            how = stored(file)
            full = _draft(file, max_side, read_for)
            picture = whole_colours(ImageOps.exif_transpose(file), path, how)
            full = full or picture.size[::-1]
            wanted = reduced_size(*full, max_side)
            size = read_size(*wanted, read_for)
            if size != wanted:
                picture = shrink_bytes(picture, size)
            pixels = pixel_values(picture, path, how)
            warn_of_more_pages(file, path)
    except (ImageFileError, MemoryError, Warning):
        raise
    except UnidentifiedImageError:
        raise ImageFileError(_no_image(path)) from None
    except Image.DecompressionBombError as error:
        raise ImageFileError(f"{path}: too large to open ({error}); reduce the picture first") from None
    except PermissionError:
        raise PermissionError(f"{path}: this file may not be read; change its permissions") from None
    except Exception as error:  # each of Pillow's formats has its own classes for damage, and they change
        raise ImageFileError(f"{path}: the image is truncated or damaged ({error}); fetch or save it again") from None
    return shrink(torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), size), full


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of the picture that `read_image` would give; it is decoded once, without a copy in floats.

    raises   as `read_image` does
    """
    try:
        with _reading(path), Image.open(path) as file:
            how = stored(file)
            file.load()
            turned = file.getexif().get(ORIENTATION) in TURNED
            if file.mode in PLAIN_MODES and not how.deep_colour and 0 not in file.size:
                warn_of_more_pages(file, Path(path))
                return file.size if turned else file.size[::-1]
    except Exception:  # whatever Pillow raises: the reader below has the words for it
        pass
    return tuple(read_image(path).shape[1:])


def reduced_size(height: int, width: int, max_side: int | None) -> tuple[int, int]:
    """Height and width after the longest side is brought down to max_side; unchanged if it is not longer."""
    longest = max(height, width)
    if max_side is None or longest <= max_side:
        return height, width
    return max(1, round(height * max_side / longest)), max(1, round(width * max_side / longest))


def _draft(file: Image.Image, max_side: int | None, read_for: ReadFor | None) -> tuple[int, int] | None:
    """Let a JPEG file be decoded at ½, ¼ or ⅛ of its size where that is enough: most of the work is never done.

    returns  (height, width) of the picture as viewers show it; None for other formats, which have no such way
    """
    if not isinstance(file, JpegImageFile):
        return None
    turned = file.getexif().get(ORIENTATION) in TURNED
    full = file.size if turned else file.size[::-1]
    wanted = reduced_size(*full, max_side)
    size = read_size(*wanted, read_for)
    if size != wanted:
        file.draft(None, size if turned else size[::-1])
    return full


def data_folder() -> Path:
    """The folder `data/` that ships with the project: beside the package in a clone, inside it when installed.

    raises  FileNotFoundError naming both places
    """
    places = (PACKAGE_ROOT.parent / "data", PACKAGE_ROOT / "data")
    for place in places:
        if (place / "README.md").is_file():
            return place
    raise FileNotFoundError(
        f"the project's data folder is neither at {places[0]} nor at {places[1]}; "
        "install the package from a complete clone (pip install -e .)"
    )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    token = BEING_READ.set(str(path))
    try:
        yield
    finally:
        BEING_READ.reset(token)


def _require_file(path: Path) -> None:
    try:
        there = path.exists()
    except OSError:  # a name that is too long for any file
        there = False
    if not there:
        raise FileNotFoundError(f"{path}: no such image file; {explain_missing(path)}")
    if path.is_dir():
        raise ImageFileError(f"{path}: this is a folder, not an image file; give the path of one picture")
    if not path.is_file():
        raise ImageFileError(f"{path}: this is a device or a pipe, not an image file; save the picture in a file first")


def _no_image(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(16)
    if not start:
        return f"{path}: the file is empty; fetch or save it again"
    if start.startswith((b"II*\0", b"MM\0*")):
        return f"{path}: a TIFF file of a kind that Pillow cannot read; save it with 8 or 16 bits a channel"
    return f"{path}: this is no image that Pillow can read (it starts with {start!r}); give a PNG or JPEG file"
