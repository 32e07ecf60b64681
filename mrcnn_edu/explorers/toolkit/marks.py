"""Marks on the card that the explorers of anchors share: hatching, pills, frames that cut off."""

from functools import cache, lru_cache

import numpy as np
from PIL import Image

from mrcnn_edu.explorers.toolkit.paint import SCALE, Sheet, font
from mrcnn_edu.explorers.toolkit.window import Window
from mrcnn_edu.figures import PALETTE

ALARM = PALETTE["prediction"]  # the colour of what is wrong, as in the verdicts of exercises


def scaled(photo: Image.Image, window: Window, size, fade: float) -> Image.Image:
    """The photo as it stands in the window, blended with white by the share `fade`."""
    _, _, width, height = (max(round(v * window.zoom * SCALE), 1) for v in (0, 0, size[1], size[0]))
    kind = Image.Resampling.BICUBIC if min(photo.size) > 8 else Image.Resampling.NEAREST
    large = photo.resize((width, height), kind)
    return Image.blend(large, Image.new("RGB", large.size, "white"), fade) if fade else large


@cache
def hatch_mask(size: tuple[int, int], gap: float, width: float) -> Image.Image:
    """Diagonal lines, rising to the right, over a whole card of `size` card pixels; smooth at their edges."""
    x, y = np.arange(size[0])[None], np.arange(size[1])[:, None]
    period, half = gap * SCALE * 2**0.5, width * SCALE / 2
    apart = np.abs(((x + y) / 2**0.5 + period / 2) % period - period / 2)  # from the nearest line, card pixels
    return Image.fromarray(((half + 0.5 - apart).clip(0, 1) * 255).astype(np.uint8))


def hatch(sheet: Sheet, box, colour: str, gap: float = 5.0, width: float = 1.5) -> None:
    """Diagonal lines inside a box (x1, y1, x2, y2); they run on from box to box."""
    most_x, most_y = sheet.image.size
    x1, y1, x2, y2 = (round(v * SCALE) for v in box)
    place = max(x1, 0), max(y1, 0), min(x2, most_x), min(y2, most_y)
    if place[0] < place[2] and place[1] < place[3]:
        sheet.image.paste(colour, place, hatch_mask(sheet.image.size, gap, width).crop(place))


def flat(sheet: Sheet, box, colour: str) -> None:
    """A rectangle in one opaque colour: pasted, which for large ones is quicker than drawn."""
    sheet.image.paste(colour, [round(v * SCALE) for v in box])


def frame_off(sheet: Sheet, frame) -> None:
    """Paint everything outside `frame` white: what was drawn beyond its edges is cut off."""
    x, y, width, height = frame
    most_x, most_y = sheet.size
    for box in ((0, 0, most_x, y), (0, y + height, most_x, most_y), (0, 0, x, most_y), (x + width, 0, most_x, most_y)):
        flat(sheet, box, PALETTE["card"])


@lru_cache(4096)
def pill_picture(words: str, colour: str, size: float) -> tuple[Image.Image, Image.Image]:
    """A label in its pill and the mask of its round corners; labels repeat, and pasting is quicker than drawing."""
    width, height = font("bold", size).getlength(words) / SCALE + 12, size + 10
    picture, shape = Sheet(width, height), Sheet(width, height)
    picture.tag(1, height - 1.5, words, colour, size)
    shape.fill((0, 0, width, height), "#000000")
    shape.fill((1, 1.5, width - 1, height - 1.5), "#FFFFFF", radius=4, outline="#FFFFFF")
    return picture.image, shape.image.convert("L")


def pill(sheet: Sheet, x, y, words: str, colour: str, frame, size=12) -> None:
    """A label whose lower left corner is (x, y), moved as little as it takes to stand in `frame`."""
    picture, mask = pill_picture(words, colour, size)
    fx, fy, width, height = (round(v * SCALE) for v in frame)
    left = min(max(round(x * SCALE), fx), fx + width - picture.width)
    top = min(max(round(y * SCALE) - picture.height, fy), fy + height - picture.height)
    sheet.image.paste(picture, (left, top), mask)


def pill_width(words: str, size=12) -> float:
    """Width of a label with its pill, CSS pixels."""
    return pill_picture(words, "#000000", size)[0].width / SCALE
