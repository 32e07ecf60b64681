"""What the explorer Deltas draws anew each time: anchor and centres on the picture, and every number."""

import math
import re

from mrcnn_edu.explorers.deltas.backdrop import (
    ANCHOR_INK,
    BOX_INK,
    COLUMNS,
    DECODE,
    EACH,
    FAR,
    FRAME,
    NEAR,
    PLOT,
    RIGHT,
    ROWS,
    SIZES,
    TABLE,
    backdrop,
    left,
    spot,
)
from mrcnn_edu.explorers.deltas.reading import State, finding, rows, short, title
from mrcnn_edu.explorers.toolkit.paint import DASHES, Sheet
from mrcnn_edu.explorers.toolkit.window import cut_to
from mrcnn_edu.explorers.toolkit.words import signed
from mrcnn_edu.figures import PALETTE
from mrcnn_edu.model.boxes import MAX_LOG_RATIO


def draw(sheet: Sheet, state: State) -> None:
    """The whole card, without box and anchor, which the canvas draws while a hand can hold them."""
    reach = FAR if abs(state.plain[2]) > NEAR[0] else NEAR
    sheet.image.paste(backdrop(tuple(state.weights), state.scale, reach))
    sheet.text(16, 12, title(state), 16, "bold")
    sheet.paragraph(16, 38, 888, finding(state), 12.5, fill=PALETTE["faint"])
    picture(sheet, state)
    rulers(sheet, state)
    numbers(sheet, state)
    logarithm(sheet, state, reach)
    sizes(sheet, state)


def picture(sheet: Sheet, state: State) -> None:
    """The photo, the anchor, both centres, and the way from one to the other."""
    sheet.picture(state.photo, state.window.frame)
    if state.beyond:
        place = state.window.place(state.anchor)
        sheet.box(cut_to(FRAME, place), PALETTE["anchor"], 3, DASHES["anchor"], PALETTE["ink"])
    (ax, ay, *_), (bx, by, *_) = state.parts
    x1, y1, x2, y2 = state.window.place((ax, ay, bx, by))
    if not all(FRAME[i % 2] <= v <= FRAME[i % 2] + FRAME[2] for i, v in enumerate((x1, y1, x2, y2))):
        return
    if math.hypot(x2 - x1, y2 - y1) > 14:
        sheet.line((x1, y1, x2, y1, x2, y2), "#FFFFFFC0", 1.5)
        sheet.line((x1, y1, x2, y2), "#FFFFFF", 5)
        sheet.arrow(x1, y1, x2, y2, PALETTE["ink"], 2.5, 11)
    sheet.dot(x1, y1, 5, PALETTE["anchor"], PALETTE["ink"])
    sheet.dot(x2, y2, 5, PALETTE["prediction"], "#FFFFFF")


def rulers(sheet: Sheet, state: State) -> None:
    """Widths under the picture and heights beside it, each where the side lies."""
    (*_, a_w, a_h), (*_, b_w, b_h) = state.parts
    x, y, width, height = FRAME
    kinds = (("a", state.anchor, a_w, a_h, PALETTE["anchor"], ANCHOR_INK),)
    kinds += (("b", state.box, b_w, b_h, PALETTE["prediction"], BOX_INK),)
    for number, (letter, box, w, h, colour, ink) in enumerate(kinds):
        x1, y1, x2, y2 = cut_to(FRAME, state.window.place(box))
        if x1 < x2:
            below = y + height + 10 + 22 * number
            sheet.line((x1, below, x2, below), colour, 4)
            for end in (x1, x2):
                sheet.line((end, below - 5, end, below + 5), ink, 1.5)
            words = f"{letter}_w = {short(w)}"
            left(sheet, x2 + 8, below + 5, words, 14, ink)
        if y1 < y2:
            beside = x + width + 12 + 40 * number
            sheet.line((beside, y1, beside, y2), colour, 4)
            for end in (y1, y2):
                sheet.line((beside - 5, end, beside + 5, end), ink, 1.5)
            room = y1 >= y + 24  # else the words would stand on the line that says what was found
            words = (beside - 4, y1 - 22) if room else (beside + 4, y1 + 14)
            left(sheet, *words, f"{letter}_h", 14, ink)
            sheet.text(words[0], words[1] + 16, short(h), 12, fill=ink, anchor="ls")


def numbers(sheet: Sheet, state: State) -> None:
    """Centres and sides, then each of the four numbers with its arithmetic, there and back."""
    x1, x2 = RIGHT
    for row, (values, ink) in enumerate(zip(state.parts, (ANCHOR_INK, BOX_INK), strict=True)):
        for value, x in zip(values, COLUMNS, strict=True):
            sheet.text(x, 95 + 19 * row, f"{value:.2f}", 13, fill=ink, anchor="ra")
    sheet.dot(x1 - 8, 103 + 19 * state.held, 3, (ANCHOR_INK, BOX_INK)[state.held])  # moved by the numbers x1 to y2
    for number, (name, (forth, back), value) in enumerate(rows(state)):
        y = ROWS + EACH * number
        coloured(sheet, x1, y + 35, forth)
        ink = BOX_INK if state.limited[number] else PALETTE["ink"]
        sheet.text(x1 + DECODE, y + 18, f"{name} = {signed(value)}", 16, "bold", ink, anchor="ls")
        if state.limited[number]:
            limit = MAX_LOG_RATIO * state.weights[number]
            sheet.text(x2 - 8, y + 17, f"counts as {limit:.3f}", 12, fill=BOX_INK, anchor="rs")
        coloured(sheet, x1 + DECODE, y + 35, back)


def coloured(sheet: Sheet, x: float, y: float, arithmetic: str) -> None:
    """Arithmetic with <a>the anchor's numbers</> in its colour and <b>the box's</> in its own."""
    colour, inks = PALETTE["ink"], {"<a>": ANCHOR_INK, "<b>": BOX_INK, "</>": PALETTE["ink"]}
    for words in re.split("(<[ab]>|</>)", arithmetic):
        if words in inks:
            colour = inks[words]
        else:
            sheet.text(x, y, words, 12, fill=colour, anchor="ls")
            x += sheet.length(words, 12)


def logarithm(sheet: Sheet, state: State, reach: tuple[float, float]) -> None:
    """The present dw on the curve."""
    now = state.plain[2]
    if abs(now) <= reach[0]:
        sheet.dot(*spot(now, reach), 5.5, PALETTE["prediction"], "#FFFFFF")
    width = state.parts[0][2]
    words = f"Twice and half as wide lie equally far from 0; in pixels: +{width:.0f} and −{width / 2:.0f}."
    sheet.paragraph(RIGHT[0], PLOT[3] + 24, 196, words, 12)


def sizes(sheet: Sheet, state: State) -> None:
    """Differences and deltas of the same anchor and box at once and twice the size."""
    for size, end in SIZES.items():
        differences, deltas = state.times(size / state.scale)
        for row, index in enumerate((0, 2)):
            y, value = TABLE[1] + 42 + 48 * row, differences[index]
            sheet.text(end, y, f"{signed(value, int(abs(value) < 999.95))} px", 12, anchor="rs")
            sheet.text(end, y + 24, signed(deltas[index]), 12, "bold", anchor="rs")
