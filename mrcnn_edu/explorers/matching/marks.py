"""The marks of anchors: small shapes, one for each anchor, set thousands at a time."""

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from PIL import Image, ImageDraw

from mrcnn_edu.explorers.matching.reading import FORCED, IGNORED, NEGATIVE, POSITIVE
from mrcnn_edu.explorers.toolkit.paint import SCALE, Sheet
from mrcnn_edu.explorers.toolkit.window import Window
from mrcnn_edu.figures import INSTANCES, PALETTE

FACES = {POSITIVE: PALETTE["right"], FORCED: INSTANCES[3], IGNORED: PALETTE["ignored"], NEGATIVE: "#8795A1"}
FINE = 4  # marks are drawn so many times as large and reduced, so that their edges are smooth
LARGEST = 15.0  # CSS pixels that one mark may take
LEAST = 3.0  # where marks have less room than this, negatives are left out


@dataclass(frozen=True)
class Layout:
    """Where the marks of a level stand on the card: those of a cell in a small block around the corner of the cell,
    which is the centre of its anchors.

    grid      (rows, columns) of cells
    stride    (vertical, horizontal) pixels per cell
    per_cell  A
    """

    window: Window
    grid: tuple[int, int]
    stride: tuple[int, int]
    per_cell: int

    @property
    def room(self) -> float:
        """Side of the square that each mark has for itself, CSS pixels."""
        return min(min(self.stride) * self.window.zoom / len(self.block[0]), LARGEST)

    @cached_property
    def block(self) -> np.ndarray:
        """(2, side, side) offsets x, y in a block, in units of `room`; number n stands in row n // side."""
        side = int(np.ceil(np.sqrt(self.per_cell)))
        row, column = np.divmod(np.arange(side * side), side)
        rows = -(-self.per_cell // side)
        last = self.per_cell - (rows - 1) * side  # marks in the last row, which stands in the middle
        x = column - np.where(row == rows - 1, last - 1, side - 1) / 2
        return np.stack([x, row - (rows - 1) / 2]).reshape(2, side, side)

    @property
    def offsets(self) -> np.ndarray:
        """(A, 2) from the corner of a cell to the middle of each mark, CSS pixels."""
        return self.block.reshape(2, -1).T[: self.per_cell] * self.room

    @property
    def origin(self) -> np.ndarray:
        """(2,) where the corner of the first cell lies on the card."""
        return np.array(self.window.place((0, 0, 0, 0))[:2])

    def places(self, numbers: np.ndarray) -> np.ndarray:
        """(n,) anchors of the level → (n, 2) the middle x, y of their marks, CSS pixels of the card."""
        cell, number = np.divmod(numbers, self.per_cell)
        row, column = np.divmod(cell, self.grid[1])
        corner = np.stack([column * self.stride[1], row * self.stride[0]], axis=1) * self.window.zoom
        return self.origin + corner + self.offsets[number]

    def place_of(self, number: int) -> tuple[float, float]:
        """The middle x, y of one mark, CSS pixels of the card."""
        return tuple(self.places(np.array([number]))[0].tolist())

    def nearest(self, x: float, y: float) -> int | None:
        """The anchor whose mark is nearest to a place of the card; None beside the grid."""
        across, down = (np.array([x, y]) - self.origin) / self.window.zoom
        column, row = round(across / self.stride[1]), round(down / self.stride[0])
        if self.window.unplace(x, y) is None or not (0 <= row < self.grid[0] and 0 <= column < self.grid[1]):
            return None
        first = (row * self.grid[1] + column) * self.per_cell
        apart = self.places(np.arange(first, first + self.per_cell)) - (x, y)
        return first + int((apart**2).sum(axis=1).argmin())


@cache
def glyph(kind: int, ratio: float, size: float, room: int) -> np.ndarray:
    """One mark, (side, side, 4) uint8 RGBA; `ratio` = h / w of the anchor, `size` relative to the largest of its
    cell, `room` in card pixels."""
    full = room * FINE
    longest = (0.94 if kind in (POSITIVE, FORCED) else 0.74) * full * (0.6 + 0.4 * size)
    wide, high = (longest, longest * ratio**0.8) if ratio < 1 else (longest / ratio**0.8, longest)
    picture = Image.new("RGBA", (full, full))
    pen = ImageDraw.Draw(picture)
    middle = full / 2
    box = [middle - wide / 2, middle - high / 2, middle + wide / 2, middle + high / 2]
    line = max(round(full * 0.09), FINE)
    if kind == POSITIVE:
        pen.rectangle(box, FACES[kind], "#0B4A38", line)
    elif kind == FORCED:
        pen.rectangle(box, FACES[kind], PALETTE["ink"], max(round(full * 0.11), FINE))
        dot = full * 0.12
        pen.ellipse([middle - dot, middle - dot, middle + dot, middle + dot], PALETTE["ink"])
    elif kind == IGNORED:
        pen.rectangle(box, FACES[kind])
        if room >= 14:  # with less room it would only blur
            dot = full * 0.11
            pen.ellipse([middle - dot, middle - dot, middle + dot, middle + dot], "#FFFFFF")
    else:
        pen.rectangle(box, "#FFFFFF60", FACES[kind], line)
    return np.asarray(picture.resize((room, room), Image.Resampling.BOX))


@cache
def ring(side: int) -> np.ndarray:
    """The circle around a sampled mark, (side, side, 4) RGBA."""
    full = side * FINE
    picture = Image.new("RGBA", (full, full))
    line = max(round(0.06 * full), FINE)
    ImageDraw.Draw(picture).ellipse([line, line, full - line - 1, full - line - 1], None, PALETTE["ink"], line)
    return np.asarray(picture.resize((side, side), Image.Resampling.BOX))


def set_marks(sheet: Sheet, layout: Layout, kinds: np.ndarray, sampled: np.ndarray, forms) -> None:
    """Draw the marks of a level into the window: those of the other kinds cover the negative ones, see `set_ground`.

    kinds    (n,) of each anchor of the level
    sampled  (n,) which get a ring
    forms    (ratio, relative size) of each of the A anchors of a cell
    """
    room = mark_side(layout)
    # Positives are few and matter most: where marks are small, theirs may reach over the neighbours.
    large = round(room * min(max(16 / room, 1.0), 1.35))
    numbers, (x, y, piece) = np.arange(len(kinds)), cut_out(sheet, layout)
    for kind in (NEGATIVE, IGNORED, POSITIVE, FORCED):
        if kind == NEGATIVE and layout.room < LEAST:
            continue
        side = large if kind in (POSITIVE, FORCED) else room
        for number, form in enumerate(forms if kind != NEGATIVE else ()):
            these = numbers[(kinds == kind) & (numbers % len(forms) == number)]
            set_stamps(piece, layout.places(these) * SCALE - (x, y), glyph(kind, *form, side))
        ringed = numbers[(kinds == kind) & sampled]
        set_stamps(piece, layout.places(ringed) * SCALE - (x, y), ring(round(side * 1.5)))
    sheet.image.paste(Image.fromarray(piece), (x, y))


def set_ground(sheet: Sheet, layout: Layout, forms) -> None:
    """Draw every mark of a level as a negative one: most are, and they stay where they are while thresholds move."""
    if layout.room < LEAST:
        return
    x, y, piece = cut_out(sheet, layout)
    for number, form in enumerate(forms):
        these = np.arange(number, layout.grid[0] * layout.grid[1] * len(forms), len(forms))
        set_stamps(piece, layout.places(these) * SCALE - (x, y), glyph(NEGATIVE, *form, mark_side(layout)))
    sheet.image.paste(Image.fromarray(piece), (x, y))


def mark_side(layout: Layout) -> int:
    """Side of the square that a mark is drawn in, card pixels."""
    return max(round(max(layout.room, LEAST) * SCALE), 3)


def cut_out(sheet: Sheet, layout: Layout) -> tuple[int, int, np.ndarray]:
    """The window's part of the card as an array (H, W, 3), and its corner; card pixels."""
    x, y, width, height = (round(v * SCALE) for v in layout.window.frame)
    return x, y, np.array(sheet.image.crop((x, y, x + width, y + height)))


def set_stamps(piece: np.ndarray, places: np.ndarray, mark: np.ndarray) -> None:
    """Blend a mark (s, s, 4) into a picture (H, W, 3) with its middle at each of the places (n, 2); in place."""
    side = len(mark)
    corners = np.rint(places - side / 2).astype(np.int64)
    inside = ((corners >= 0) & (corners + side <= (piece.shape[1], piece.shape[0]))).all(axis=1)
    down, right = np.nonzero(mark[..., 3] > 20)
    alpha = mark[down, right, 3:].astype(np.uint16)
    rows, columns = corners[inside, 1, None] + down, corners[inside, 0, None] + right  # (n, k)
    under = piece[rows, columns].astype(np.uint16)
    piece[rows, columns] = (under * (255 - alpha) + mark[down, right, :3].astype(np.uint16) * alpha) // 255
