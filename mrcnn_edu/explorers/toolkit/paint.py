"""Drawing for live pictures: PIL on a white card, in a few milliseconds, to bytes.

Places are given in CSS pixels, the size the picture has on the page; the card is rendered SCALE times as fine.
"""

import io
import math
import re
from functools import cache, lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from mrcnn_edu.explorers.toolkit.window import Window
from mrcnn_edu.figures import FEATURE_MAP, PALETTE, ink_on, small_png

SCALE = 1.5
FONTS = {
    "regular": "DejaVuSans.ttf",
    "bold": "DejaVuSans-Bold.ttf",
    "mono": "DejaVuSansMono.ttf",
    "serif": "DejaVuSerif-Italic.ttf",
}
DASHES = {"anchor": (6, 4), "proposal": (11, 4), "ignored": (2, 3)}


@cache
def font(weight: str, size: float) -> ImageFont.FreeTypeFont:
    """One of FONTS in a size in CSS pixels."""
    # matplotlib carries these, so that every machine draws the same letters.
    return ImageFont.truetype(
        str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / FONTS[weight]), round(size * SCALE)
    )


@lru_cache(maxsize=4096)
def pixels_of(words: str, weight: str, size: float) -> float:
    """How wide words are."""
    return font(weight, size).getlength(words)


@lru_cache(maxsize=4096)
def wrapped(words: str, width: float, size: float) -> tuple[str, ...]:
    """Words broken into lines of at most `width` CSS pixels; remembered, because measuring takes long."""
    found, line = [], ""
    for word in words.split():
        longer = f"{line} {word}".strip()
        if line and pixels_of(longer, "regular", size) / SCALE > width:
            found.append(line)
            longer = word
        line = longer
    return (*found, line)


@lru_cache(maxsize=4096)
def letters(words: str, weight: str, size: float, anchor: str, stroke: int = 0) -> tuple[Image.Image, int, int]:
    """Words as a mask to paint through, and where its corner lies relative to the anchor. The same words come again
    in the next picture, and drawing letters is the slowest part of one.

    stroke  pixels by which the letters are made thicker all around
    """
    left, top, right, bottom = font(weight, size).getbbox(words, anchor=anchor, stroke_width=stroke)
    left, top = math.floor(left), math.floor(top)
    mask = Image.new("L", (max(math.ceil(right) - left, 1), max(math.ceil(bottom) - top, 1)))
    ImageDraw.Draw(mask).text((-left, -top), words, 255, font(weight, size), anchor, stroke_width=stroke)
    return mask, left, top


@lru_cache(maxsize=4096)
def rimmed(words: str, weight: str, size: float, anchor: str, fill: str, rim: str) -> tuple[Image.Image, int, int]:
    """Words with an outline in another colour, as a picture with alpha; places as in `letters`."""
    edge, left, top = letters(words, weight, size, anchor, round(1.6 * SCALE))
    inner, inner_left, inner_top = letters(words, weight, size, anchor)
    image = Image.new("RGBA", edge.size, rim)
    image.putalpha(edge)
    image.alpha_composite(painted(inner, fill), (max(inner_left - left, 0), max(inner_top - top, 0)))
    return image, left, top


def painted(mask: Image.Image, colour: str) -> Image.Image:
    """A mask in one colour."""
    image = Image.new("RGBA", mask.size, colour)
    image.putalpha(mask)
    return image


@cache
def dash_strips(on: int, off: int, width: int, rim: int, colour: str, halo: str | None):
    """A long dashed line with its halo, RGBA, lying down and standing up; in card pixels."""
    high, long = width + 2 * rim, 4096
    along = np.arange(long)[None] % (on + off)
    across = np.arange(high)[:, None]
    core = (along >= rim) & (along < on + rim) & (across >= rim) & (across < rim + width)
    strip = np.zeros((high, long, 4), np.uint8)
    if halo:
        strip[np.broadcast_to(along < on + 2 * rim, core.shape)] = ImageColor.getcolor(halo, "RGBA")
    strip[core] = ImageColor.getcolor(colour, "RGBA")
    lying = Image.fromarray(strip)
    return lying, lying.transpose(Image.Transpose.TRANSPOSE)


@cache
def colour_table() -> np.ndarray:
    """The 256 colours of feature maps, (256, 3) uint8."""
    return (matplotlib.colormaps[FEATURE_MAP](np.arange(256))[:, :3] * 255).round().astype(np.uint8)  # (256, 3)


def heat(values: np.ndarray, low: float | None = None, high: float | None = None) -> Image.Image:
    """(h, w) numbers → an image in the colours of feature maps, from `low` to `high` (default: their own range)."""
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    steps = (values - low) / max(high - low, 1e-12) * 255
    return Image.fromarray(colour_table()[steps.clip(0, 255).astype(np.uint8)])


def mix(colour: str, other: str, share: float) -> str:
    """`share` of `colour` and the rest of `other`, as #RRGGBB."""
    a, b = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (colour, other))
    return "#" + "".join(f"{round(v):02X}" for v in share * a + (1 - share) * b)


class Sheet:
    """The card of an explorer, `width` × `height` CSS pixels, white unless another `ground` is given."""

    def __init__(self, width: float, height: float, ground: str = PALETTE["card"]):
        self.size = width, height
        self.image = Image.new("RGB", (round(width * SCALE), round(height * SCALE)), ground)
        self.pen = ImageDraw.Draw(self.image, "RGBA")

    def text(self, x, y, words: str, size=13, weight="regular", fill=PALETTE["ink"], anchor="la", rim=None) -> None:
        """Words at a place, with PIL's two letters for the anchor; `rim` outlines them, for words on photos."""
        place = round(x * SCALE), round(y * SCALE)
        if rim:
            image, left, top = rimmed(words, weight, size, anchor, fill, rim)
            self.image.paste(image, (place[0] + left, place[1] + top), image)
        else:
            mask, left, top = letters(words, weight, size, anchor)
            self.pen.bitmap((place[0] + left, place[1] + top), mask, fill)

    def pieces(self, x, y, pieces, size=13, weight="regular", fill=PALETTE["ink"], anchor="la") -> float:
        """Words in pieces, one after the other; returns where they end. Pieces that come again are not drawn anew."""
        for words in pieces:
            self.text(x, y, words, size, weight, fill, anchor)
            x += self.length(words, size, weight)
        return x

    def paragraph(self, x, y, width, words: str, size=13, fill=PALETTE["ink"]) -> float:
        """Words broken into lines of at most `width`; returns where the next line would begin."""
        for line in wrapped(words, width, size):
            self.text(x, y, line, size, fill=fill)
            y += size * 1.3
        return y

    def length(self, words: str, size=13, weight="regular") -> float:
        """Width of words on the card."""
        return pixels_of(words, weight, size) / SCALE

    def formula(self, right, y, formula: str, size=15, fill=PALETTE["ink"]) -> None:
        """A formula with subscripts, such as "F_{R_i} = RoIAlign(F, R_i)", ending at `right` on the baseline `y`."""
        runs = list(subscripts(formula))
        sizes = [size * 0.76**depth for _, depth in runs]
        x = right - sum(self.length(words, s, "serif") for (words, _), s in zip(runs, sizes, strict=True))
        for (words, depth), s in zip(runs, sizes, strict=True):
            self.text(x, y + 0.25 * size * depth, words, s, "serif", fill, anchor="ls")
            x += self.length(words, s, "serif")

    def fill(self, box, colour: str, radius=0, outline=None, width=1) -> None:
        """A filled rectangle (x1, y1, x2, y2), its corners rounded by `radius`."""
        place = [v * SCALE for v in box]
        line = max(round(width * SCALE), 1)
        self.pen.rounded_rectangle(place, radius * SCALE, fill=colour, outline=outline, width=line)

    def line(self, points, colour: str, width=1.5) -> None:
        """A line through points x, y, x, y, …"""
        self.pen.line([v * SCALE for v in points], fill=colour, width=max(round(width * SCALE), 1))

    def dot(self, x, y, radius, colour, outline=None) -> None:
        """A filled circle."""
        place = [(v * SCALE) for v in (x - radius, y - radius, x + radius, y + radius)]
        self.pen.ellipse(place, fill=colour, outline=outline)

    def arrow(self, x1, y1, x2, y2, colour: str, width=2, head=7) -> None:
        """A line with a filled head at its end."""
        length = max(np.hypot(x2 - x1, y2 - y1), 1e-6)
        ux, uy = (x2 - x1) / length, (y2 - y1) / length
        bx, by = x2 - ux * head, y2 - uy * head
        self.line((x1, y1, bx, by), colour, width)
        corners = [
            (x2, y2),
            (bx - uy * head * 0.55, by + ux * head * 0.55),
            (bx + uy * head * 0.55, by - ux * head * 0.55),
        ]
        self.pen.polygon([(x * SCALE, y * SCALE) for x, y in corners], fill=colour)

    def box(self, box, colour: str, width=2.0, dash=None, halo: str | None = "#FFFFFFC8") -> None:
        """The outline of a box, dashed where `dash` = (on, off) is given; the `halo` lets it read on any photo."""
        if dash is not None:
            self._dashed(box, colour, width, dash, halo)
            return
        x1, y1, x2, y2 = box
        for tone, thick in ((halo, width + 2), (colour, width)):
            for line in ((x1, y1, x2, y1), (x2, y1, x2, y2), (x2, y2, x1, y2), (x1, y2, x1, y1)) if tone else ():
                self.line(line, tone, thick)

    def _dashed(self, box, colour: str, width: float, dash, halo: str | None) -> None:
        """A side at a time: that takes a tenth of the time of dash by dash."""
        thick, rim = max(round(width * SCALE), 1), round(0.7 * SCALE) if halo else 0
        lying, standing = dash_strips(*(max(round(v * SCALE), 1) for v in dash), thick, rim, colour, halo)
        x1, y1, x2, y2 = (round(v * SCALE) - thick // 2 - rim for v in box)
        deep = thick + 2 * rim
        most_x, most_y = self.image.size
        for strip, left, top, right, bottom in (
            (lying, x1, y1, x2 + deep, y1 + deep),
            (lying, x1, y2, x2 + deep, y2 + deep),
            (standing, x1, y1, x1 + deep, y2 + deep),
            (standing, x2, y1, x2 + deep, y2 + deep),
        ):
            place = max(left, 0), max(top, 0), min(right, most_x), min(bottom, most_y)
            if place[0] < place[2] and place[1] < place[3]:
                # Beyond its end a strip is empty; only boxes several cards long get there.
                piece = strip.crop((place[0] - left, place[1] - top, place[2] - left, place[3] - top))
                self.image.paste(piece, place, piece)

    def tag(self, x, y, words: str, colour: str, size=12.5, weight="bold") -> None:
        """A label in a filled pill whose lower left corner is (x, y), kept on the card."""
        width, height = self.length(words, size, weight) + 10, size + 7
        x = min(max(x, 2), self.size[0] - width - 2)
        self.fill((x, y - height, x + width, y), colour, radius=4, outline="#FFFFFF")
        self.text(x + 5, y - height / 2, words, size, weight, ink_on(colour), anchor="lm")

    def picture(self, image: Image.Image, frame, smooth=True) -> None:
        """`image` stretched into `frame` (x, y, width, height)."""
        x, y, width, height = (round(v * SCALE) for v in frame)
        kind = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
        size = max(width, 1), max(height, 1)
        self.image.paste(image if image.size == size else image.resize(size, kind), (x, y))

    def mask(self, mask: np.ndarray, corner, window: Window, colour: str, share=0.5, line=2) -> None:
        """A soft mask (h, w) whose upper left pixel lies at `corner` of the image: tinted, with an outline."""
        top_left = window.place((*corner, corner[0] + mask.shape[1], corner[1] + mask.shape[0]))
        x1, y1, x2, y2 = (round(v * SCALE) for v in top_left)
        size = max(x2 - x1, 1), max(y2 - y1, 1)
        grey = Image.fromarray((mask * 255).round().astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
        inside = np.asarray(grey) >= 128
        rim = max(round(line * SCALE / 2), 1)
        deep = np.pad(inside, rim)
        deep = (
            deep[rim:-rim, 2 * rim :]
            & deep[rim:-rim, : -2 * rim]
            & deep[2 * rim :, rim:-rim]
            & deep[: -2 * rim, rim:-rim]
        )
        alpha = np.where(inside & ~deep, 255, np.where(inside, round(255 * share), 0)).astype(np.uint8)
        self.image.paste(Image.new("RGB", size, colour), (x1, y1), Image.fromarray(alpha))

    def live(self) -> bytes:
        """The card for the screen: JPEG, which takes a tenth of PNG's time, its colours at half the columns: that takes
        a quarter less, and at SCALE is not seen."""
        buffer = io.BytesIO()
        self.image.save(buffer, "JPEG", quality=93, subsampling=1)
        return buffer.getvalue()

    def still(self) -> bytes:
        """The card for the stored notebook, one pixel per CSS pixel, as a small PNG."""
        width, height = self.size
        buffer = io.BytesIO()
        self.image.resize((round(width), round(height)), Image.Resampling.LANCZOS).save(buffer, "PNG", compress_level=1)
        return small_png(buffer.getvalue(), 80)


def subscripts(formula: str, depth: int = 0):
    """ "F_{R_i}" → ("F", 0), ("R", 1), ("i", 2)."""
    for piece in re.findall(r"_\{(?:[^{}]|\{[^{}]*\})*\}|_\w|[^_]+", formula):
        if piece.startswith("_{"):
            yield from subscripts(piece[2:-1], depth + 1)
        elif piece.startswith("_"):
            yield piece[1:], depth + 1
        else:
            yield piece, depth


def dashes(start, end, dash):
    """The pieces (x1, y1, x2, y2) of a line; one where `dash` is None."""
    if dash is None:
        yield (*start, *end)
        return
    (x1, y1), (x2, y2) = start, end
    length = math.hypot(x2 - x1, y2 - y1)
    for number in range(math.ceil(length / sum(dash))):
        begin = number * sum(dash)
        a, b = begin / length, min(begin + dash[0], length) / length
        yield x1 + (x2 - x1) * a, y1 + (y2 - y1) * a, x1 + (x2 - x1) * b, y1 + (y2 - y1) * b
