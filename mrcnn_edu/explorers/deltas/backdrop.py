"""What stands still on the card of the explorer Deltas: headings, formulas, the curve of the logarithm, the legend."""

import math
from functools import cache

import torch
from PIL import Image

from mrcnn_edu.explorers.deltas.reading import formula
from mrcnn_edu.explorers.toolkit.keys import key, stroke
from mrcnn_edu.explorers.toolkit.paint import Sheet, mix, subscripts
from mrcnn_edu.figures import PALETTE
from mrcnn_edu.model.boxes import MAX_LOG_RATIO, decode

WIDTH, HEIGHT = 920, 576
FRAME = (16, 92, 366, 366)
RIGHT = (478, 904)
DECODE = 186  # where the second half of each formula begins, from the left
ROWS, EACH = 156, 46  # the first formula's upper edge, and the distance to the next
COLUMNS = (RIGHT[0] + 170, RIGHT[0] + 255, RIGHT[0] + 340, RIGHT[1] - 8)
PLOT = (500, 392, 640, 496)  # x1, y1, x2, y2
NEAR, FAR = (1.6, 4.4), (5.0, 70.0)  # how far the plot reaches: dw to both sides, width ratio upwards
TABLE = (692, 368)
SIZES = {1: TABLE[0] + 128, 2: RIGHT[1] - 6}  # right edges of the columns for once and twice the size
ANCHOR_INK = mix(PALETTE["anchor"], "#000000", 0.6)  # dark enough for words on white
BOX_INK = mix(PALETTE["prediction"], "#000000", 0.85)


@cache
def backdrop(weights: tuple[float, ...], scale: int, reach: tuple[float, float]) -> Image.Image:
    """The card without what follows anchor and box.

    weights  of the codec
    scale    1 or 2: the column of the table that is tinted
    reach    NEAR or FAR
    """
    sheet = Sheet(WIDTH, HEIGHT)
    legend(sheet)
    headings(sheet, weights)
    logarithm(sheet, reach)
    table(sheet, scale)
    return sheet.image


def left(sheet: Sheet, x: float, y: float, formula: str, size: float, colour: str) -> float:
    """A formula that begins at x on the baseline y; returns where it ends."""
    width = sum(sheet.length(words, size * 0.76**depth, "serif") for words, depth in subscripts(formula))
    sheet.formula(x + width, y, formula, size, colour)
    return x + width


def legend(sheet: Sheet) -> None:
    """What the lines mean."""
    entries = (
        (stroke(PALETTE["anchor"], 3.5, (9, 4)), "anchor a"),
        (stroke(PALETTE["prediction"], 3.5), "box b: drag it, or click the object"),
    )
    key(sheet, FRAME[0], FRAME[1] + FRAME[3] + 70, entries)


def headings(sheet: Sheet, weights: tuple[float, ...]) -> None:
    """The head of the table of centres and sides, and the formulas of encode."""
    x1, x2 = RIGHT
    for words, x in zip(("centre x", "centre y", "width", "height"), COLUMNS, strict=True):
        sheet.text(x, 78, words, 12, fill=PALETTE["faint"], anchor="ra")
    sheet.text(x1, 95, "anchor a", 13, "bold", ANCHOR_INK)
    sheet.text(x1, 114, "box b", 13, "bold", BOX_INK)
    sheet.text(x1, 138, "encode t = (dx, dy, dw, dh)", 12, fill=PALETTE["faint"])
    sheet.text(x1 + DECODE, 138, "decode: deltas → box", 12, fill=PALETTE["faint"])
    for number in range(4):
        y = ROWS + EACH * number
        sheet.fill((x1 - 8, y, x2, y + 42), "#F3F5F7", radius=6)
        left(sheet, x1, y + 17, formula(number, weights), 15, PALETTE["ink"])


def spot(t: float, reach: tuple[float, float]) -> tuple[float, float]:
    """Where dw = t and the width ratio that decode makes of it lie in the plot."""
    x1, y1, x2, y2 = PLOT
    across, top = reach
    box = decode(torch.tensor([[0, 0, t, 0.0]]), torch.tensor([[-0.5, -0.5, 0.5, 0.5]]))[0]
    return x1 + (t + across) / (2 * across) * (x2 - x1), y2 - min(float(box[2] - box[0]), top) / top * (y2 - y1)


def logarithm(sheet: Sheet, reach: tuple[float, float]) -> None:
    """The width ratio against dw: twice as wide and half as wide lie equally far from 0."""
    _, y1, x2, y2 = PLOT
    across, top = reach
    sheet.text(RIGHT[0], 346, "Why the log", 13, "bold")
    left(sheet, RIGHT[0], y1 - 12, "b_w / a_w", 14, PALETTE["ink"])
    sheet.line((PLOT[0], y2, x2 + 10, y2), PALETTE["faint"], 1)
    sheet.line((spot(0, reach)[0], y1 - 8, spot(0, reach)[0], y2), "#C9D0D6", 1)
    steps = [-across + 2 * across * i / 80 for i in range(81)]
    points = [spot(t, reach) for t in steps if math.exp(min(t, MAX_LOG_RATIO)) <= top]
    sheet.line([v for point in points for v in point], PALETTE["here"], 2)
    if reach == FAR:
        x, _ = spot(MAX_LOG_RATIO, reach)
        sheet.line((x, y1 - 8, x, y2), BOX_INK, 1.2)
        sheet.text(x - 4, y1 - 2, f"limit {MAX_LOG_RATIO:.2f}", 12, fill=BOX_INK, anchor="rs")
        ticks = ((-4, "−4"), (0, "0"), (4, "4"))
    else:
        ticks = ((-math.log(2), f"−{math.log(2):.2f}"), (0, "0"), (math.log(2), f"+{math.log(2):.2f}"))
        for t, words in ((-math.log(2), "half"), (math.log(2), "twice")):
            x, y = spot(t, reach)
            sheet.line((x, y, x, y2), PALETTE["here"], 1)
            sheet.dot(x, y, 4, PALETTE["here"], "#FFFFFF")
            sheet.text(x - 8, y - 4, words, 12, anchor="rs")
    for t, words in ticks:
        sheet.text(spot(t, reach)[0], y2 + 5, words, 12, fill=PALETTE["faint"], anchor="ma")
    sheet.text(x2 + 14, y2, "dw", 12, "bold", anchor="lm")


def table(sheet: Sheet, scale: int) -> None:
    """The frame of the table that compares differences and deltas at once and twice the size."""
    x, y = TABLE
    sheet.text(x, 346, "The same, twice as large", 13, "bold")
    for size, end in SIZES.items():
        if size == scale:
            sheet.fill((end - 69, y, end + 6, y + 124), "#FBE5D6", radius=5)
        sheet.text(end, y + 5, f"size × {size}", 12, "bold", anchor="ra")
    for row, (difference, delta) in enumerate((("b_x − a_x", "dx"), ("b_w − a_w", "dw"))):
        left(sheet, x, y + 42 + 48 * row, difference, 13, PALETTE["ink"])
        sheet.text(x, y + 66 + 48 * row, delta, 12, "bold", anchor="ls")
    sheet.paragraph(x, PLOT[3] + 24, 212, "Differences in pixels double. Deltas stay as they are.", 12)
