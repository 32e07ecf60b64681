"""The key under a picture: what each of its marks means, one beside the other."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mrcnn_edu.explorers.toolkit.paint import Sheet, dashes

SIZE = 12  # of the words
APART = 6  # from a mark to its words
LINE = 17  # from one line to the next


@dataclass(frozen=True)
class Mark:
    """A mark of the picture, drawn small.

    width  CSS pixels
    draw   (sheet, x, y) paints it from x to x + width, y in the middle
    """

    width: float
    draw: Callable[[Sheet, float, float], None]


def stroke(colour: str, width: float = 2.5, dash: tuple[float, float] | None = None, long: float = 22) -> Mark:
    """A piece of a line."""

    def draw(sheet: Sheet, x: float, y: float) -> None:
        for piece in dashes((x, y), (x + long, y), dash):
            sheet.line(piece, colour, width)

    return Mark(long, draw)


def frame(colour: str, width: float, dash: tuple[float, float] | None = None, halo: str | None = None,
          size: tuple[float, float] = (22, 14)) -> Mark:  # fmt: skip
    """A small box."""

    def draw(sheet: Sheet, x: float, y: float) -> None:
        sheet.box((x, y - size[1] / 2, x + size[0], y + size[1] / 2), colour, width, dash, halo)

    return Mark(size[0], draw)


def dot(colour: str, radius: float) -> Mark:
    """A point."""
    return Mark(2 * radius, lambda sheet, x, y: sheet.dot(x + radius, y, radius, colour))


def key(
    sheet: Sheet,
    x: float,
    y: float,
    entries: Iterable[tuple[Mark | None, str]],
    gap: float = 16,
    right: float = math.inf,
) -> float:
    """Marks with their words, one beside the other.

    x, y     where it begins, and the middle of its first line
    entries  (mark, words); words alone where the mark is None
    gap      from one entry to the next
    right    where a new line begins
    returns  where the last entry ends
    """
    start = x
    for mark, words in entries:
        indent = 0 if mark is None else mark.width + APART
        length = indent + sheet.length(words, SIZE)
        if start < x and x + length > right:
            x, y = start, y + LINE
        if mark is not None:
            mark.draw(sheet, x, y)
        sheet.text(x + indent, y, words, SIZE, anchor="lm")
        x += length + gap
    return x - gap
