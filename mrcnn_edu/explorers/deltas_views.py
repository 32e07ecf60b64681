"""What the explorer Deltas draws: anchor and box on the picture, the formulas with their numbers, and why the log."""

import math
import re
from dataclasses import dataclass

import torch
from PIL import Image

from mrcnn_edu.explorers.paint import DASHES, Sheet, Window, mix, subscripts
from mrcnn_edu.figures import PALETTE
from mrcnn_edu.model.boxes import MAX_LOG_RATIO, centres_and_sides, decode, encode

FRAME = (16, 84, 372, 372)
RIGHT = (478, 904)
PLOT = (500, 392, 640, 496)  # x1, y1, x2, y2
TABLE = (692, 368)
DECODE = 186  # where the second half of each formula begins, from the left
ANCHOR_INK = mix(PALETTE["anchor"], "#000000", 0.6)  # dark enough for words on white
BOX_INK = mix(PALETTE["prediction"], "#000000", 0.85)
NAMES = ("dx", "dy", "dw", "dh")
LEVER = math.log(2)


@dataclass(frozen=True)
class State:
    """What is drawn. Boxes (4,) xyxy in pixels of the picture as it is shown.

    deltas   (4,) as the controls hold them; dw and dh may be beyond the limit
    weights  of the codec
    scale    1, or 2 where picture, anchor and box are twice as large
    window   the piece of the picture that is shown
    photo    that piece
    """

    anchor: torch.Tensor
    box: torch.Tensor
    deltas: torch.Tensor
    weights: tuple[float, ...]
    scale: int
    window: Window
    photo: Image.Image

    @property
    def parts(self) -> tuple[list[float], list[float]]:
        """(x, y, w, h) of the anchor and of the box: centres and sides."""
        centres, sides = centres_and_sides(torch.stack([self.anchor, self.box]))
        return tuple(torch.cat([centres, sides], 1).tolist())

    @property
    def plain(self) -> list[float]:
        """The deltas without their weights."""
        return [float(t) / w for t, w in zip(self.deltas, self.weights, strict=True)]

    @property
    def limited(self) -> list[bool]:
        """Which of the four `decode` does not follow any further."""
        return [i > 1 and t > MAX_LOG_RATIO for i, t in enumerate(self.plain)]

    def times(self, factor: float) -> tuple[list[float], list[float]]:
        """Plain differences (x, y, w, h) in pixels and the deltas, with anchor and box `factor` times as large."""
        anchor, box = (self.anchor * factor)[None], (self.box * factor)[None]
        (a_xy, a_wh), (b_xy, b_wh) = centres_and_sides(anchor), centres_and_sides(box)
        differences = torch.cat([b_xy - a_xy, b_wh - a_wh], 1)[0].tolist()
        return differences, encode(box, anchor, self.weights)[0].tolist()


def draw(sheet: Sheet, state: State) -> None:
    """The whole card, without the box, which the canvas draws."""
    sheet.text(16, 12, title(state), 16, "bold")
    sheet.paragraph(16, 38, 888, finding(state), 12.5, fill=PALETTE["faint"])
    picture(sheet, state)
    rulers(sheet, state)
    legend(sheet)
    formulas(sheet, state)
    logarithm(sheet, state)
    sizes(sheet, state)


def title(state: State) -> str:
    """The four numbers."""
    numbers = ", ".join(f"{name} {signed(t)}" for name, t in zip(NAMES, state.deltas.tolist(), strict=True))
    return f"Four numbers move the anchor onto the box: {numbers}"


def finding(state: State) -> str:
    """The four numbers in words."""
    dx, dy, dw, dh = state.plain
    words = (
        f"The centre goes {'right' if dx >= 0 else 'left'} by {abs(dx):.2f} of the anchor's width and "
        f"{'down' if dy >= 0 else 'up'} by {abs(dy):.2f} of its height; the box is {ratio(dw)} times as wide and "
        f"{ratio(dh)} times as high."
    )
    if any(state.limited):
        words += " Larger than 62.5 times is not made: dw and dh count up to log(1000/16) = 4.14."
    if state.weights[0] != 1:
        words += f" The box head multiplies these by {', '.join(f'{w:g}' for w in state.weights)}."
    return words


def ratio(t: float) -> str:
    """e^t, as far as decode goes."""
    return f"{math.exp(min(t, MAX_LOG_RATIO)):.2f}"


def signed(value: float, digits: int = 3) -> str:
    """+0.125, −0.125, and 0.000 without a sign."""
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"


def describe(state: State) -> str:
    """The card in words."""
    a, b = state.parts
    words = [f"{title(state)}.", finding(state)]
    for name, (x, y, w, h) in (("Anchor", a), ("Box", b)):
        words.append(f"{name}: centre ({x:.2f}, {y:.2f}), {w:.2f} wide, {h:.2f} high.")
    for i, (name, (_, forth, back), t) in enumerate(rows(state)):
        told = "" if state.limited[i] else f" = {bare(forth)}"
        words.append(f"{name} = {signed(t)}{told}; back: {bare(back)}.")
    once, twice = state.times(1 / state.scale), state.times(2 / state.scale)
    words.append(
        f"Twice the size: the difference of the widths goes from {signed(once[0][2], 1)} to {signed(twice[0][2], 1)} "
        f"pixels, dw from {signed(once[1][2])} to {signed(twice[1][2])}."
    )
    return " ".join(words)


def rows(state: State) -> list[tuple[str, tuple[str, str, str], float]]:
    """(name, (formula of encode, the same with numbers, decode with numbers), value) for each of the four."""
    a, b = state.parts
    found = []
    for i, (name, letter) in enumerate(zip(NAMES, "xywh", strict=True)):
        weight = "" if state.weights[i] == 1 else f"{state.weights[i]:g} · "
        divided = weight and f" / {state.weights[i]:g}"
        t = signed(float(state.deltas[i]))
        if i < 2:
            side = "wh"[i]
            formula = f"t_{letter} = {weight}(b_{letter} − a_{letter}) / a_{side}"
            numbers = f"{weight}(<b>{b[i]:.2f}</> − <a>{a[i]:.2f}</>) / <a>{a[i + 2]:.2f}</>"
            step = f"{'−' if t[0] == '−' else '+'} {t.lstrip('+−')}{divided}"
            back = f"<a>{a[i]:.2f}</> {step} · <a>{a[i + 2]:.2f}</> = <b>{b[i]:.2f}</>"
        else:
            formula = f"t_{letter} = {weight}log(b_{letter} / a_{letter})"
            numbers = f"{weight}log(<b>{b[i]:.2f}</> / <a>{a[i]:.2f}</>)"
            power = f"{t.lstrip('+')}{divided}"
            if state.limited[i]:
                power = f"{MAX_LOG_RATIO:.3f}"
                numbers += f" = {MAX_LOG_RATIO * state.weights[i]:.3f}"
            back = f"<a>{a[i]:.2f}</> · exp({power}) = <b>{b[i]:.2f}</>"
        found.append((name, (formula, numbers, back), float(state.deltas[i])))
    return found


def bare(arithmetic: str) -> str:
    """Arithmetic without the marks for its colours."""
    return re.sub("<[ab]>|</>", "", arithmetic)


def picture(sheet: Sheet, state: State) -> None:
    """The photo, the anchor, both centres, and the way from one to the other."""
    sheet.picture(state.photo, state.window.frame)
    place = state.window.place(state.anchor)
    sheet.box(inside(place), PALETTE["anchor"], 3, DASHES["anchor"], PALETTE["ink"])
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


def inside(box) -> tuple[float, float, float, float]:
    """A box cut to the frame."""
    x, y, width, height = FRAME
    x1, y1, x2, y2 = box
    return max(x1, x), max(y1, y), min(x2, x + width), min(y2, y + height)


def rulers(sheet: Sheet, state: State) -> None:
    """Widths under the picture and heights beside it, each where the side lies."""
    (*_, a_w, a_h), (*_, b_w, b_h) = state.parts
    x, y, width, height = FRAME
    kinds = (("a", state.anchor, a_w, a_h, PALETTE["anchor"], ANCHOR_INK),)
    kinds += (("b", state.box, b_w, b_h, PALETTE["prediction"], BOX_INK),)
    for number, (letter, box, w, h, colour, ink) in enumerate(kinds):
        x1, y1, x2, y2 = inside(state.window.place(box))
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
            above = max(y1, y + 14)
            left(sheet, beside - 4, above - 22, f"{letter}_h", 14, ink)
            sheet.text(beside - 4, above - 6, short(h), 12, fill=ink, anchor="ls")


def short(pixels: float) -> str:
    """A length with the digits that there is room for."""
    return f"{pixels:.1f}" if abs(pixels) < 999.95 else f"{pixels:.0f}"


def left(sheet: Sheet, x: float, y: float, formula: str, size: float, colour: str) -> float:
    """A formula that begins at x on the baseline y; returns where it ends."""
    width = sum(sheet.length(words, size * 0.76**depth, "serif") for words, depth in subscripts(formula))
    sheet.formula(x + width, y, formula, size, colour)
    return x + width


def legend(sheet: Sheet) -> None:
    """What the lines mean."""
    x, y = FRAME[0], FRAME[1] + FRAME[3] + 72
    entries = (
        ("anchor a", PALETTE["anchor"], True),
        ("box b: drag it, or click the object", PALETTE["prediction"], False),
    )
    for words, colour, dashed in entries:
        for piece in ((x, x + 9), (x + 13, x + 22)) if dashed else ((x, x + 22),):
            sheet.line((piece[0], y, piece[1], y), colour, 3.5)
        sheet.text(x + 29, y, words, 12, anchor="lm")
        x += 50 + sheet.length(words, 12)


def formulas(sheet: Sheet, state: State) -> None:
    """Centres and sides, then each of the four numbers with its arithmetic, there and back."""
    x1, x2 = RIGHT
    a, b = state.parts
    columns = [x1 + 170, x1 + 255, x1 + 340, x2 - 8]
    for letter, x in zip(("centre x", "centre y", "width", "height"), columns, strict=True):
        sheet.text(x, 78, letter, 12, fill=PALETTE["faint"], anchor="ra")
    for row, (name, values, ink) in enumerate((("anchor a", a, ANCHOR_INK), ("box b", b, BOX_INK))):
        sheet.text(x1, 95 + 19 * row, name, 13, "bold", ink)
        for value, x in zip(values, columns, strict=True):
            sheet.text(x, 95 + 19 * row, f"{value:.2f}", 13, fill=ink, anchor="ra")
    sheet.text(x1, 138, "encode t = (dx, dy, dw, dh)", 12, fill=PALETTE["faint"])
    sheet.text(x1 + DECODE, 138, "decode: deltas → box", 12, fill=PALETTE["faint"])
    for number, (name, (formula, forth, back), value) in enumerate(rows(state)):
        y = 156 + 46 * number
        sheet.fill((x1 - 8, y, x2, y + 42), "#F3F5F7", radius=6)
        left(sheet, x1, y + 17, formula, 15, PALETTE["ink"])
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


def logarithm(sheet: Sheet, state: State) -> None:
    """The width ratio against dw: twice as wide and half as wide lie equally far from 0."""
    x1, y1, x2, y2 = PLOT
    now = state.plain[2]
    wide = abs(now) > 1.5
    reach, top = (5.0, 70.0) if wide else (1.6, 4.4)

    def at(t: float) -> tuple[float, float]:
        anchor = torch.tensor([[-0.5, -0.5, 0.5, 0.5]])
        box = decode(torch.tensor([[0, 0, t, 0.0]]), anchor)[0]
        width = float(box[2] - box[0])
        return x1 + (t + reach) / (2 * reach) * (x2 - x1), y2 - min(width, top) / top * (y2 - y1)

    sheet.text(RIGHT[0], 346, "Why the log", 13, "bold")
    left(sheet, RIGHT[0], y1 - 12, "b_w / a_w", 14, PALETTE["ink"])
    sheet.line((x1, y2, x2 + 10, y2), PALETTE["faint"], 1)
    sheet.line((at(0)[0], y1 - 8, at(0)[0], y2), "#C9D0D6", 1)
    points = [at(t) for t in (-reach + 2 * reach * i / 80 for i in range(81)) if math.exp(t) <= top or wide]
    sheet.line([v for point in points for v in point], PALETTE["here"], 2)
    if wide:
        limit = at(MAX_LOG_RATIO)
        sheet.line((limit[0], y1 - 8, limit[0], y2), BOX_INK, 1.2)
        sheet.text(limit[0] - 4, y1 - 2, "limit 4.14", 12, fill=BOX_INK, anchor="rs")
        ticks = ((-4, "−4"), (0, "0"), (4, "4"))
    else:
        ticks = ((-LEVER, f"−{LEVER:.2f}"), (0, "0"), (LEVER, f"+{LEVER:.2f}"))
        for t, words in ((-LEVER, "half"), (LEVER, "twice")):
            x, y = at(t)
            sheet.line((x, y, x, y2), PALETTE["here"], 1)
            sheet.dot(x, y, 4, PALETTE["here"], "#FFFFFF")
            sheet.text(x - 8, y - 4, words, 12, anchor="rs")
    for t, words in ticks:
        sheet.text(at(t)[0], y2 + 5, words, 12, fill=PALETTE["faint"], anchor="ma")
    sheet.text(x2 + 14, y2, "dw", 12, "bold", anchor="lm")
    if abs(now) <= reach:
        sheet.dot(*at(now), 5.5, PALETTE["prediction"], "#FFFFFF")
    width = state.parts[0][2]
    words = f"Equally far from 0; in pixels +{width:.0f} and −{width / 2:.0f}."
    sheet.paragraph(RIGHT[0], y2 + 24, 196, words, 12)


def sizes(sheet: Sheet, state: State) -> None:
    """Differences and deltas of the same anchor and box at once and twice the size."""
    x, y = TABLE
    sheet.text(x, 346, "The same, twice as large", 13, "bold")
    columns = {1: x + 128, 2: RIGHT[1] - 6}
    for scale, end in columns.items():
        if scale == state.scale:
            sheet.fill((end - 69, y, end + 6, y + 124), "#FBE5D6", radius=5)
        sheet.text(end, y + 5, f"size × {scale}", 12, "bold", anchor="ra")
    found = {scale: state.times(scale / state.scale) for scale in columns}
    table = (("b_x − a_x", 0, False), ("dx", 0, True), ("b_w − a_w", 2, False), ("dw", 2, True))
    for row, (name, index, is_delta) in enumerate(table):
        line = y + 42 + 24 * row
        if is_delta:
            sheet.text(x, line, name, 12, "bold", anchor="ls")
        else:
            left(sheet, x, line, name, 13, PALETTE["ink"])
        for scale, end in columns.items():
            value = found[scale][is_delta][index]
            words = signed(value) if is_delta else f"{signed(value, int(abs(value) < 999.95))} px"
            sheet.text(end, line, words, 12, "bold" if is_delta else "regular", anchor="rs")
    sheet.paragraph(x, PLOT[3] + 24, 212, "Differences in pixels double. Deltas stay as they are.", 12)
