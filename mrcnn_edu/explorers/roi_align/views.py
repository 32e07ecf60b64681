"""What RoI Align draws: the grid, and beside it the arithmetic of one bin, the pooled maps, the curve and the masks."""

import math

import numpy as np
from PIL import Image

from mrcnn_edu.explorers.roi_align.grid import (
    ALIGN,
    MOST_ROWS,
    POOL,
    POOL_DASH,
    ROI,
    WRITTEN,
    grid,
    legend,
    number,
    pale,
)
from mrcnn_edu.explorers.roi_align.reading import Reading
from mrcnn_edu.explorers.toolkit.keys import key, stroke
from mrcnn_edu.explorers.toolkit.paint import SCALE, Sheet, heat
from mrcnn_edu.explorers.toolkit.window import Window, frame_box
from mrcnn_edu.explorers.toolkit.words import counted
from mrcnn_edu.figures import PALETTE

MAPS = {"photo": 420, "align": 582, "pool": 744}  # left edges
MAP_TOP, MAP_SIDE = 58, 132
TABLE = (420, 206)
CURVE = (464, 474, 440, 0)
MASK_TOP, MASK_SIDE = 506, 104
FINE = PALETTE["faint"]
CURVES = {"pool": (POOL, 2, None), "align": (ALIGN, 2.5, None), "fine": (FINE, 1.5, (4, 3))}
STRIP = 52


def draw(sheet: Sheet, reading: Reading, window: Window, chosen: tuple[int, int], objects=()) -> None:
    """The whole card.

    objects  boxes in pixels of the resized image, which a click on the picture chooses
    """
    low, high = float(reading.map.min()), float(reading.map.max())
    sheet.text(16, 10, title(reading, chosen), 15, "bold")
    sheet.formula(904, 26, "F_{R_i} = RoIAlign(F, R_i)", 16)
    grid(sheet, reading, window, chosen, low, high)
    legend(sheet, reading.aligned)
    photo(sheet, reading, objects)
    pooled_map(sheet, MAPS["align"], "RoIAlign", ALIGN, reading.align.numpy(), chosen, (low, high))
    pooled_map(sheet, MAPS["pool"], "RoIPool", POOL, reading.pool.numpy(), chosen, (low, high))
    arithmetic(sheet, reading, chosen)
    curve(sheet, reading, chosen)
    masks(sheet, reading)


def title(reading: Reading, chosen: tuple[int, int]) -> str:
    """The finding: what both read in the chosen bin."""
    p, q = chosen
    align, pool = float(reading.align[p, q]), float(reading.pool[p, q])
    words = f"Bin [{p}, {q}] of {reading.bins} × {reading.bins}: "
    return words + f"RoIAlign reads {number(align)}, RoIPool {number(pool)}"


def photo_window(reading: Reading) -> Window:
    """Where the whole picture stands."""
    height, width = reading.scene.size
    return Window.fit((MAPS["photo"], MAP_TOP, MAP_SIDE, MAP_SIDE), (0, 0, width, height), top=True)


def map_areas() -> list[tuple[float, float, float, float]]:
    """Where the two pooled maps stand."""
    return [frame_box((MAPS[name], MAP_TOP, MAP_SIDE, MAP_SIDE)) for name in ("align", "pool")]


def nothing(scene) -> str:
    """What one can do where no object scores high enough to be chosen."""
    best = f"the best is {max(scene.scores):.2f}: lower the score" if scene.scores else "the model found none"
    return f"No object to choose; {best}, or drag the region."


def photo(sheet: Sheet, reading: Reading, objects) -> None:
    """The whole picture with the region, the objects that can be chosen, and which level it is read from."""
    window = photo_window(reading)
    sheet.text(
        MAPS["photo"], MAP_TOP - 18, f"level P{reading.level + 2}, {counted(len(objects), 'object')}", 13, "bold"
    )
    sheet.picture(reading.scene.stretched(*(round(v * SCALE) for v in window.frame[2:])), window.frame)
    if not objects:
        below = window.frame[1] + window.frame[3]
        if below + 30 < MAP_TOP + MAP_SIDE:
            sheet.paragraph(MAPS["photo"], below + 2, MAP_SIDE + 20, nothing(reading.scene), 12, PALETTE["faint"])
    for box in objects:
        sheet.box(window.place(box), "#FFFFFFB0", 1, halo=None)
    sheet.box(window.place(reading.roi.tolist()), ROI, 2)


def pooled_map(sheet: Sheet, left: float, name: str, colour: str, values: np.ndarray, chosen, span) -> None:
    """A pooled map (P, P) in the grid's colours, with numbers where there is room, the chosen bin framed."""
    sheet.text(left, MAP_TOP - 18, f"{name}: {len(values)} × {len(values)}", 13, "bold", colour)
    sheet.picture(pale(heat(values, *span)), (left, MAP_TOP, MAP_SIDE, MAP_SIDE), smooth=False)
    each = MAP_SIDE / len(values)
    if each >= WRITTEN:
        for p, row in enumerate(values.tolist()):
            for q, value in enumerate(row):
                place = left + (q + 0.5) * each, MAP_TOP + (p + 0.5) * each
                sheet.text(*place, number(value, 2), 12, anchor="mm", fill="#10181F")
    p, q = chosen
    box = (left + q * each, MAP_TOP + p * each, left + (q + 1) * each, MAP_TOP + (p + 1) * each)
    sheet.box(box, colour, 2.5, POOL_DASH if name == "RoIPool" else None)


def arithmetic(sheet: Sheet, reading: Reading, chosen) -> None:
    """The samples of the chosen bin: weights, values and products, and what they add up to."""
    x, y = TABLE
    p, q = chosen
    terms = reading.terms(p, q)
    sheet.text(x, y, "Each sample: four weights times the four cells around it", 13, "bold")
    y += 20
    shown = terms[:MOST_ROWS]
    for count, term in enumerate(shown):
        row, column = (value - 0.5 for value in term["at"])
        sheet.dot(x + 8, y + 10, 8, ALIGN)
        sheet.text(x + 8, y + 10, str(count + 1), 12, "bold", "#FFFFFF", anchor="mm")
        words = ("at y = ", *split(row), ", x = ", *split(column), ":", *between(term))
        sheet.pieces(x + 24, y + 1, words, 12, fill=PALETTE["faint"])
        products = []
        for sign, w, v in zip(("", " + ", " + ", " + "), term["weights"], term["values"], strict=True):
            products += [sign, f"{w:.2f}", "·", *split(v)]
        end = sheet.pieces(x + 24, y + 17, [*products, " = "], 12, "mono")
        sheet.text(end, y + 17, number(term["value"]), 12, "mono", ALIGN)
        y += 36
    if len(terms) > len(shown):
        rest = len(terms) - len(shown)
        sheet.text(x + 24, y, f"… and {rest} more in this bin", 12, fill=PALETTE["faint"])
        y += 18
    totals(sheet, reading, chosen, terms, y + 4)


def split(value: float) -> tuple[str, str]:
    """A number with two digits, before the point and from it on."""
    whole, part = number(value, 2).split(".")
    return whole, f".{part}"


def between(term: dict) -> tuple[str, ...]:
    """Which rows and columns a sample lies between, in pieces."""
    rows, columns = (dict.fromkeys(term[name]) for name in ("rows", "columns"))
    if not any(term["weights"]):
        return (" outside the map, counts as 0",)
    return (
        f" row{'s' * (len(rows) > 1)} {' and '.join(map(str, rows))},",
        f" column{'s' * (len(columns) > 1)} {' and '.join(map(str, columns))}",
    )


def totals(sheet: Sheet, reading: Reading, chosen, terms, y: float) -> None:
    """The pooled value of both, and torchvision's beside ours."""
    x, _ = TABLE
    p, q = chosen
    mean, theirs = float(reading.align[p, q]), float(reading.align_torchvision[p, q])
    words = f"RoIAlign, mean of {len(terms)}: {number(mean, 4)}" if len(terms) > 1 else f"RoIAlign: {number(mean, 4)}"
    sheet.text(x, y, words, 13, "bold", ALIGN)
    beside = f"torchvision {number(theirs, 4)}, difference {abs(mean - theirs):.0e}"
    sheet.text(904, y, beside, 12, fill=PALETTE["faint"], anchor="ra")
    x1, y1, x2, y2 = reading.pool_bin(p, q)
    count = max(x2 - x1, 0) * max(y2 - y1, 0)
    words = f"RoIPool, largest of {counted(count, 'whole cell')}: {number(float(reading.pool[p, q]), 4)}"
    sheet.text(x, y + 19, words, 13, "bold", POOL)


def curve(sheet: Sheet, reading: Reading, chosen) -> None:
    """One pooled value while the region glides sideways by one cell each way: a strip for each way of reading."""
    values = reading.glide(*chosen)
    x, y, width, _ = CURVE
    sheet.text(420, y - 38, "The same bin while the region glides sideways", 13, "bold")
    sheet.text(904, y - 38, "each on its own scale", 12, fill=PALETTE["faint"], anchor="ra")
    curve_legend(sheet, 420, y - 12)
    strip(sheet, values, ("pool",), y)
    strip(sheet, values, ("fine", "align"), y + STRIP + 8)
    reach, bottom = float(values["shift"][-1]), y + 2 * STRIP + 8
    for share, words, anchor in ((0, f"\u2212{reach:g} px", "la"), (0.5, "here", "ma"), (1, f"{reach:g} px", "ra")):
        sheet.text(x + share * width, bottom + 3, words, 12, fill=PALETTE["faint"], anchor=anchor)
    sheet.text(420, bottom + 20, glide_words(values), 12)


def strip(sheet: Sheet, values: dict, names, top: float) -> None:
    """The curves of `names` in a strip of the card, on a scale of their own; the 2 pixels around here are grey."""
    x, _, width, _ = CURVE
    low, high = min(float(values[n].min()) for n in names), max(float(values[n].max()) for n in names)
    margin = max((high - low) * 0.12, 1e-3)
    shift = values["shift"]
    across = x + (shift - shift[0]) / (shift[-1] - shift[0]) * width
    one = width / float(shift[-1] - shift[0])
    sheet.fill((x + width / 2 - one, top, x + width / 2 + one, top + STRIP), "#E4E9ED")
    for value in (low, high):
        level = top + STRIP - (value - low + margin) / (high - low + 2 * margin) * STRIP
        sheet.text(x - 6, level, number(value, 2), 12, fill=PALETTE["faint"], anchor="rm")
        if high - low < 1e-6:
            break
    sheet.line((x, top + STRIP, x + width, top + STRIP), "#C6CED5", 1)
    sheet.line((x + width / 2, top, x + width / 2, top + STRIP), PALETTE["ink"], 1)
    for name in names:
        level = top + STRIP - (values[name] - low + margin) / (high - low + 2 * margin) * STRIP
        points = list(zip(across.tolist(), level.tolist(), strict=True))
        colour, thick, dash = CURVES[name]
        pieces = zip(points[::2], points[1::2], strict=False) if dash else [points]
        for piece in pieces:
            sheet.line([v for point in piece for v in point], colour, thick)


def curve_legend(sheet: Sheet, x: float, y: float) -> None:
    """Names of the three curves, each in its line."""
    names = {"pool": "RoIPool", "align": "RoIAlign", "fine": "RoIAlign with 8 × 8 samples a bin"}
    key(sheet, x, y, [(stroke(*CURVES[name]), words) for name, words in names.items()])


def glide_words(values: dict) -> str:
    """What happens within the two pixels around the present place."""
    near = values["shift"].abs() <= 1
    pool = values["pool"][near]
    jumps = int((pool.diff().abs() > 1e-6).sum())
    way = float(values["align"][near].max() - values["align"][near].min())
    stands = "stands still" if jumps == 0 else f"jumps {counted(jumps, 'time')}"
    return f"Within the 2 grey pixels RoIPool {stands}; RoIAlign moves smoothly by {way:.3f}."


def masks(sheet: Sheet, reading: Reading) -> None:
    """The mask that the trained model draws from each of the two readings, on the picture."""
    label, read, pooled = reading.masks
    names = reading.scene.model.class_names
    words = names[label] if names else f"number {label}"
    sheet.text(16, MASK_TOP - 38, f"The mask of class \u201c{words}\u201d that follows", 13, "bold")
    x1, y1, x2, y2 = reading.roi.tolist()
    half = max(x2 - x1, y2 - y1, 4) * 0.62
    piece = ((x1 + x2) / 2 - half, (y1 + y2) / 2 - half, (x1 + x2) / 2 + half, (y1 + y2) / 2 + half)
    window = Window((0, 0, MASK_SIDE, MASK_SIDE), piece)
    ground = Sheet(MASK_SIDE, MASK_SIDE, "#EEF1F4")
    show_piece(ground, reading, window)
    place = window.place((x1, y1, x2, y2))
    if reading.scene.true_mask(reading.roi) is not None:
        sheet.text(288, MASK_TOP, "white line:", 12, fill=PALETTE["faint"])
        sheet.text(288, MASK_TOP + 16, "the true mask", 12, fill=PALETTE["faint"])
    for left, name, colour, mask in ((16, "RoIAlign", ALIGN, read), (172, "RoIPool", POOL, pooled)):
        sheet.text(left, MASK_TOP - 18, f"from {name}", 12, fill=colour)
        layer = Sheet(MASK_SIDE, MASK_SIDE)
        layer.image.paste(ground.image)
        grown = stretched(mask, place)
        layer.mask(grown, place[:2], Window((0, 0, 1, 1), (0, 0, 1, 1)), colour)
        show_truth(layer, reading, window)
        layer.box(place, ROI, 2)
        sheet.image.paste(layer.image, (round(left * SCALE), round(MASK_TOP * SCALE)))
        quality = reading.scene.mask_quality(mask, reading.roi)
        if quality is not None:
            sheet.text(left, MASK_TOP + MASK_SIDE + 4, f"IoU with truth {quality:.2f}", 12)
        elif left == 16:
            sheet.text(left, MASK_TOP + MASK_SIDE + 4, "no true mask known here", 12, fill=PALETTE["faint"])


def show_piece(sheet: Sheet, reading: Reading, window: Window) -> None:
    """The part of the photo that a window of the resized image shows, as far as there is one."""
    (height, width), photo = reading.scene.size, reading.scene.photo
    x1, y1, x2, y2 = window.piece
    x1, y1, x2, y2 = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    left, top, right, bottom = window.place((x1, y1, x2, y2))
    size = max(round((right - left) * SCALE), 1), max(round((bottom - top) * SCALE), 1)
    across, down = photo.width / width, photo.height / height
    part = photo.resize(size, Image.Resampling.BICUBIC, (x1 * across, y1 * down, x2 * across, y2 * down))
    sheet.image.paste(part, (round(left * SCALE), round(top * SCALE)))


def show_truth(sheet: Sheet, reading: Reading, window: Window) -> None:
    """The outline of the true mask, where it is known."""
    true = reading.scene.true_mask(reading.roi)
    if true is None:
        return
    (height, width), (rows, columns) = reading.scene.size, true.shape
    across, down = columns / width, rows / height
    x1, y1, x2, y2 = window.piece
    left, top = max(math.floor(x1 * across), 0), max(math.floor(y1 * down), 0)
    piece = true[top : math.ceil(y2 * down), left : math.ceil(x2 * across)]
    if piece.numel():
        inner = Window(window.frame, (x1 * across, y1 * down, x2 * across, y2 * down))
        sheet.mask(piece.numpy().astype(float), (left, top), inner, "#FFFFFF", share=0, line=1.5)


def stretched(mask, box) -> np.ndarray:
    """A mask (M, M) brought to the size of its box, CSS pixels."""
    size = max(round(box[2] - box[0]), 1), max(round(box[3] - box[1]), 1)
    picture = Image.fromarray((mask.numpy() * 255).round().astype(np.uint8))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR)) / 255


def bin_at(reading: Reading, window: Window, x: float, y: float) -> tuple[int, int] | None:
    """The bin under a point of the card, in the grid or in one of the two pooled maps; None where there is none."""
    P = reading.bins
    for left in (MAPS["align"], MAPS["pool"]):
        if left <= x < left + MAP_SIDE and MAP_TOP <= y < MAP_TOP + MAP_SIDE:
            return int((y - MAP_TOP) / MAP_SIDE * P), int((x - left) / MAP_SIDE * P)
    point = window.unplace(x, y)
    if point is None:
        return None
    x1, y1, x2, y2 = reading.read_box()
    p, q = int((point[1] - y1) / (y2 - y1) * P // 1), int((point[0] - x1) / (x2 - x1) * P // 1)
    return (p, q) if 0 <= p < P and 0 <= q < P and point[0] >= x1 and point[1] >= y1 else None


def describe(reading: Reading, chosen) -> str:
    """The card in words."""
    x1, y1, x2, y2 = reading.roi.tolist()
    left, top, right, bottom = reading.pool_box()
    first, count = reading.terms(*chosen)[0], len(reading.terms(*chosen))
    products = " + ".join(
        f"{w:.2f} times {number(v, 2)}" for w, v in zip(first["weights"], first["values"], strict=True)
    )
    cells = ", ".join(number(v, 2) for v in reading.cells.tolist())
    return (
        f"The region from ({x1:.1f}, {y1:.1f}) to ({x2:.1f}, {y2:.1f}) pixels lies on the grid of "
        f"P{reading.level + 2}, stride {reading.stride}, at ({cells}) cells. RoIPool takes whole cells: columns {left} "
        f"to {right - 1}, rows {top} to {bottom - 1}. {title(reading, chosen)}. RoIAlign's is the mean of {count} "
        f"sample{'s' * (count > 1)}; the first one, from the four cells around it, is {products} = "
        f"{number(first['value'])}. {glide_words(reading.glide(*chosen))}"
    )
