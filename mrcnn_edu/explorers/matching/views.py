"""What the explorer of matching draws: the marks over the picture on the left, the counts on the right."""

import numpy as np
from PIL import Image

from mrcnn_edu.explorers.matching.marks import LEAST, Layout, glyph, ring, set_ground, set_marks
from mrcnn_edu.explorers.matching.reading import (
    FORCED,
    IGNORED,
    KINDS,
    NEGATIVE,
    POSITIVE,
    State,
    chosen_words,
    reading,
    title,
)
from mrcnn_edu.explorers.toolkit.keys import Mark, frame, key, stroke
from mrcnn_edu.explorers.toolkit.marks import ALARM, flat, frame_off, hatch, pill
from mrcnn_edu.explorers.toolkit.paint import DASHES, SCALE, Sheet, mix
from mrcnn_edu.explorers.toolkit.window import FRAME, Window, frame_box, photograph
from mrcnn_edu.figures import PALETTE

MARGIN = 20  # CSS pixels around the padded picture
LEFT = FRAME[0] + FRAME[2] + 24
RIGHT = 904
TABLE = 40  # where the table of counts begins, down the card
CHOSEN = 196
OBJECTS = 342
FOOT = 556  # the line of the legend
ROOMY = 10  # up to so many objects each have a line of their own


def window_of(ground, zoom: int, centre: tuple[float, float]) -> Window:
    """The whole padded picture, `zoom` times as large; of an enlarged one the part around a point of it."""
    x, y, width, height = FRAME
    whole = min((width - 2 * MARGIN) / ground.padded[1], (height - 2 * MARGIN) / ground.padded[0])
    piece = []
    for at, room, side in zip(centre, (width, height), ground.padded[::-1], strict=True):
        shown, edge = room / whole / zoom, MARGIN / whole / zoom
        free = side + 2 * edge - shown  # how far the view can be moved along this side
        first = min(max(at - shown / 2, -edge), free - edge) if free > 0 else (side - shown) / 2
        piece += [(first, first + shown)]
    (x1, x2), (y1, y2) = piece
    return Window(FRAME, (x1, y1, x2, y2))


def layout_of(state: State) -> Layout:
    """Where the marks of the level shown stand."""
    anchors, padded = state.ground.anchors, state.ground.padded
    grid, stride = anchors.grids(padded)[state.level], anchors.true_strides(padded)[state.level]
    return Layout(state.window, grid, stride, anchors.per_cell)


def forms(state: State) -> list[tuple[float, float]]:
    """(ratio, size relative to the largest) of each of the A anchors of a cell of the level."""
    sizes = state.ground.anchors.sizes[state.level]
    return [(float(ratio), size / max(sizes)) for ratio in state.ground.anchors.ratios for size in sizes]


def draw(sheet: Sheet, state: State) -> None:
    """The whole card."""
    backdrop(sheet, state)
    places = [state.window.place(box) for box in state.ground.boxes.tolist()]
    unlearned = set(state.matches.unlearned)
    for number, place in enumerate(places):
        if number in unlearned:
            hatch(sheet, place, "#FFFFFF", 7, 3)
            hatch(sheet, place, ALARM, 7)
        sheet.box(place, ALARM if number in unlearned else PALETTE["ground truth"], 2.5)
    overlap(sheet, state, places)
    layout = layout_of(state)
    set_marks(sheet, layout, state.matches.kinds[state.span], state.matches.sampled[state.span], forms(state))
    for number, place in enumerate(places):
        if seen(place):
            words = f"{number + 1}: nobody" if number in unlearned and len(places) <= 12 else f"{number + 1}"
            pill(
                sheet,
                place[0] - 1,
                place[1] - 1,
                words,
                ALARM if number in unlearned else PALETTE["ground truth"],
                FRAME,
            )
    chosen_anchor(sheet, state, layout)
    frame_off(sheet, FRAME)
    sheet.text(16, 14, title(state), 16, "bold")
    sheet.paragraph(16, 40, FRAME[2], reading(state), 12.5, fill=PALETTE["faint"])
    table(sheet, state)
    chosen_panel(sheet, state)
    objects(sheet, state)
    legend(sheet, layout)


def seen(box) -> bool:
    """Whether a box of the card is seen in the frame."""
    x1, y1, x2, y2 = clipped(box)
    return x1 < x2 and y1 < y2


def backdrop(sheet: Sheet, state: State) -> None:
    """The photo in its padding, pale and grey so that colours mean labels only, and all marks as
    negative ones; made once for each view."""
    key = state.window, state.level
    sheet.image.paste(state.ground.views.get(key, lambda: _under(sheet.size, state)))


def _under(size: tuple, state: State) -> Image.Image:
    under = Sheet(*size)
    flat(under, frame_box(FRAME), "#F3F5F7")
    flat(under, clipped(state.window.place((0, 0, *state.ground.padded[::-1]))), "#DDE3E8")
    x1, y1, x2, y2 = (max(v, 0) for v in state.window.piece)
    x2, y2 = min(x2, state.ground.size[1]), min(y2, state.ground.size[0])
    if x1 < x2 and y1 < y2:
        place = [round(v * SCALE) for v in state.window.place((x1, y1, x2, y2))]
        photo = state.ground.cache.get("photo", lambda: _pale(state.ground.image))
        sx, sy = photo.width / state.ground.size[1], photo.height / state.ground.size[0]
        kind = Image.Resampling.BICUBIC if min(photo.size) > 8 else Image.Resampling.NEAREST
        size = max(place[2] - place[0], 1), max(place[3] - place[1], 1)
        part = photo.resize(size, kind, (x1 * sx, y1 * sy, x2 * sx, y2 * sy))
        under.image.paste(part.convert("RGB"), place[:2])
    set_ground(under, layout_of(state), forms(state))
    return under.image


def _pale(image) -> Image.Image:
    grey = photograph(image).convert("L")
    return Image.blend(grey, Image.new("L", grey.size, 255), 0.5)


def clipped(box) -> tuple[float, float, float, float]:
    """A box of the card cut to the frame."""
    x, y, width, height = FRAME
    return max(box[0], x), max(box[1], y), min(box[2], x + width), min(box[3], y + height)


def overlap(sheet: Sheet, state: State, places) -> None:
    """What the chosen anchor shares with its best ground truth."""
    if state.best is not None:
        truth, box = places[state.best[0]], state.window.place(state.box.tolist())
        shared = clipped((max(box[0], truth[0]), max(box[1], truth[1]), min(box[2], truth[2]), min(box[3], truth[3])))
        if seen(shared):
            sheet.fill(shared, PALETTE["anchor"] + "70")
        sheet.box(truth, PALETTE["ground truth"], 4)


def chosen_anchor(sheet: Sheet, state: State, layout: Layout) -> None:
    """The chosen anchor's box with its IoU, and a frame around its mark."""
    box = state.window.place(state.box.tolist())
    sheet.box(box, PALETTE["anchor"], 3, DASHES["anchor"], PALETTE["ink"])
    x, y = layout.place_of(state.chosen)
    reach = max(layout.room * 0.9, 7)
    for grow, colour in ((1.3, "#FFFFFF"), (0, PALETTE["prediction"])):
        frame = (x - reach - grow, y - reach - grow, x + reach + grow, y + reach + grow)
        sheet.fill(frame, None, 4, colour, 2 + 2 * grow)
    if seen(box):
        left, _, _, low = clipped(box)
        pill(
            sheet,
            left,
            low + 21,
            "IoU 0" if state.best is None else f"IoU {state.overlap}",
            PALETTE["anchor"],
            FRAME,
        )


def mark(sheet: Sheet, x: float, y: float, kind: int, ringed: bool = False) -> None:
    """One mark of a kind in the text, its middle at (x, y)."""
    faces = [glyph(kind, 1.0, 1.0, round(14 * SCALE))]
    if ringed:
        faces.append(ring(round(20 * SCALE)))
    for face in faces:
        stamp(sheet, x, y, face)


def stamp(sheet: Sheet, x: float, y: float, face: np.ndarray) -> None:
    """Put a small picture, (h, w, 4) in card pixels, onto the card, its middle at (x, y)."""
    picture = Image.fromarray(face)
    corner = round(x * SCALE - picture.width / 2), round(y * SCALE - picture.height / 2)
    sheet.image.paste(picture, corner, picture)


def table(sheet: Sheet, state: State) -> None:
    """How many anchors of each kind there are at the level and in all, and how many of them are sampled."""
    sheet.text(LEFT, 14, "What becomes of the anchors", 16, "bold")
    right = LEFT + 222, LEFT + 276, RIGHT
    heads = f"on {state.ground.name(state.level)}", "in all", "sampled"
    for at, head in zip(right, heads, strict=True):
        sheet.text(at, TABLE, head, 12.5, fill=PALETTE["faint"], anchor="ra")
    best = "object's best" if state.forced else "switched off"
    meanings = (f"IoU ≥ {state.high:g}", best, "in between", f"IoU < {state.low:g}")
    for kind, (name, meaning) in enumerate(zip(KINDS, meanings, strict=True)):
        y = TABLE + 32 + 26 * kind
        sheet.line((LEFT, y - 13, RIGHT, y - 13), "#D5DCE2", 1)
        mark(sheet, LEFT + 8, y, kind)
        sheet.text(LEFT + 22, y, name, 13, "bold", anchor="lm")
        sheet.text(LEFT + 98, y, meaning, 12, fill=PALETTE["faint"], anchor="lm")
        count = state.matches.count(kind, state.span), state.matches.count(kind), state.matches.drawn(kind)
        values = [f"{v:,}" for v in count]
        if kind == IGNORED:
            values[2] = "never"
        for at, value in zip(right, values, strict=True):
            sheet.text(at, y, value, 13, anchor="rm")


def chosen_panel(sheet: Sheet, state: State) -> None:
    """The chosen anchor in words."""
    flat(sheet, (LEFT - 8, CHOSEN - 8, RIGHT + 8, CHOSEN + 128), "#F3F5F7")
    mark(sheet, LEFT + 8, CHOSEN + 9, state.kind, bool(state.matches.sampled[state.span][state.chosen]))
    sheet.text(LEFT + 24, CHOSEN + 9, f"The chosen anchor: {KINDS[state.kind]}", 14, "bold", anchor="lm")
    y = CHOSEN + 26
    for sentence in chosen_words(state):
        y = sheet.paragraph(LEFT, y, RIGHT - LEFT, sentence, 12.5) + 2


def objects(sheet: Sheet, state: State) -> None:
    """How many anchors learn each object."""
    count = state.matches.objects
    sheet.text(LEFT, OBJECTS, "Who learns which object", 14, "bold")
    if not count:
        sheet.text(LEFT, OBJECTS + 22, "There is none: all that is learned here is background.", 12.5)
        return
    positive, forced = (state.matches.learned(kind).tolist() for kind in (POSITIVE, FORCED))
    if count <= ROOMY:
        sheet.text(RIGHT, OBJECTS + 4, "its anchors", 12, fill=PALETTE["faint"], anchor="ra")
        for number in range(count):
            row(sheet, state, number, OBJECTS + 32 + number * 20, positive[number], forced[number])
        return
    columns = 2 if count <= 2 * ROOMY else 3 if count <= 3 * ROOMY else 6
    most = columns * (ROOMY if count <= columns * ROOMY else ROOMY - 1)
    order = list(range(count))
    if count > most:
        order.sort(key=lambda number: positive[number] + forced[number])
        words = f"The {most} with the fewest; {count - most} more have as many or more."
        sheet.text(LEFT, OBJECTS + 32 + (ROOMY - 1) * 20, words, 12, fill=PALETTE["faint"], anchor="lm")
    wide, rows = (RIGHT - LEFT) / columns, -(-min(count, most) // columns)
    for place, number in enumerate(order[:most]):
        column, line = divmod(place, rows)
        at = LEFT + column * wide, OBJECTS + 32 + line * 20
        cell(sheet, state, *at, wide, number, positive[number], forced[number])


def row(sheet: Sheet, state: State, number: int, y: float, positive: int, forced: int) -> None:
    """One object in a line: its size, and a mark for each anchor that learns it."""
    nobody = positive + forced == 0
    if nobody:
        flat(sheet, (LEFT - 4, y - 9, RIGHT + 4, y + 9), mix(ALARM, "#FFFFFF", 0.16))
    sheet.text(LEFT + 18, y, f"{number + 1}", 12.5, "bold", ALARM if nobody else PALETTE["ground truth"], "rm")
    x1, y1, x2, y2 = state.ground.boxes[number].tolist()
    sheet.text(LEFT + 28, y, f"{x2 - x1:.0f} × {y2 - y1:.0f}", 12.5, anchor="lm")
    if nobody:
        sheet.text(LEFT + 104, y, "nobody learns this object", 12.5, "bold", ink_of_alarm(), "lm")
        return
    room = 13
    for place in range(min(positive + forced, room)):
        mark(sheet, LEFT + 112 + 15 * place, y, POSITIVE if place < positive else FORCED)
    sheet.text(RIGHT, y, f"{positive + forced}", 12.5, "bold", anchor="rm")


def cell(sheet: Sheet, state: State, x: float, y: float, wide: float, number: int, positive: int, forced: int) -> None:
    """One object in little room: its number, its size where there is room for it, and how many anchors learn it."""
    nobody = positive + forced == 0
    if nobody:
        flat(sheet, (x - 2, y - 9, x + wide - 6, y + 9), mix(ALARM, "#FFFFFF", 0.16))
    sheet.text(x + 17, y, f"{number + 1}", 12, "bold", ALARM if nobody else PALETTE["ground truth"], "rm")
    if wide > 150:
        x1, y1, x2, y2 = state.ground.boxes[number].tolist()
        sheet.text(x + 24, y, f"{x2 - x1:.0f} × {y2 - y1:.0f}", 12, anchor="lm")
        x += 60
    if nobody:
        sheet.text(x + 22, y, "nobody" if wide > 80 else "0", 12, "bold", ink_of_alarm(), "lm")
        return
    mark(sheet, x + 28, y, POSITIVE if positive else FORCED)
    sheet.text(x + 38, y, f"{positive + forced}", 12, anchor="lm")


def ink_of_alarm() -> str:
    """The alarm's colour, dark enough for words on its own pale ground."""
    return mix(ALARM, "#000000", 0.72)


def legend(sheet: Sheet, layout: Layout) -> None:
    """What the marks mean, under the picture."""
    drawn = {kind: KINDS[kind] for kind in (POSITIVE, FORCED, IGNORED, NEGATIVE)}
    if layout.room < LEAST:
        drawn[NEGATIVE] = "negative (too many to draw)"
    small = round(14 * SCALE)
    entries = [(stamped(glyph(kind, 1.0, 1.0, small)), words) for kind, words in drawn.items()]
    entries += [
        (stamped(ring(small)), "sampled"),
        (stroke(PALETTE["ground truth"], 2.8, long=20), "object"),
        (frame(PALETTE["anchor"], 2, (4, 3), PALETTE["ink"], size=(20, 12)), "chosen"),
    ]
    key(sheet, 16, FOOT, entries, gap=9)


def stamped(picture: np.ndarray) -> Mark:
    """A mark of the picture, in the key."""
    width = picture.shape[1] / SCALE
    return Mark(width, lambda sheet, x, y: stamp(sheet, x + width / 2, y, picture))
