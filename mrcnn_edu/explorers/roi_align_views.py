"""What RoI Align draws: the feature grid, the arithmetic of one bin, the pooled maps, the curve, and the masks."""

import math

import numpy as np
from PIL import Image

from mrcnn_edu.explorers.paint import SCALE, Sheet, Window, dashes, heat
from mrcnn_edu.explorers.roi_align_reading import Reading
from mrcnn_edu.figures import PALETTE

GRID = (24, 46, 376, 376)
MAPS = {"photo": 420, "align": 582, "pool": 744}  # left edges
MAP_TOP, MAP_SIDE = 58, 132
TABLE = (420, 206)
CURVE = (464, 474, 440, 0)
MASK_TOP, MASK_SIDE = 506, 104
WRITTEN = 36  # CSS pixels; in smaller cells no number is legible
MOST_ROWS = 4  # samples whose arithmetic is written out
ALIGN, POOL, FINE = PALETTE["ground truth"], PALETTE["rounded"], PALETTE["faint"]
ROI = PALETTE["region"]
POOL_DASH, BIN_DASH = (9, 4), (3, 3)
CURVES = {"pool": (POOL, 2, None), "align": (ALIGN, 2.5, None), "fine": (FINE, 1.5, (4, 3))}
STRIP = 52


def corner(reading: Reading, wanted: int, before) -> tuple[int, int, int]:
    """Column, row and side of the piece of the grid to show: `before` as long as the RoI lies within it.

    wanted  cells on a side; 0 for the whole map
    """
    height, width = reading.map.shape
    if not wanted:
        return 0, 0, max(height, width)
    boxes = reading.cells.tolist(), reading.read_box(), reading.pool_box()
    x1, y1, x2, y2 = (pick(values) for pick, values in zip((min, min, max, max), zip(*boxes, strict=True), strict=True))
    side = max(wanted, math.ceil(max(x2 - x1, y2 - y1)) + 1)
    if before is not None and before[2] == side:
        left, top, _ = before
        if left <= x1 and x2 <= left + side and top <= y1 and y2 <= top + side:
            return before
    return *(place((low + high) / 2, side, size) for low, high, size in ((x1, x2, width), (y1, y2, height))), side


def place(middle: float, side: int, size: int) -> int:
    """Where a window of `side` cells begins so that `middle` is in its middle; at most one cell beyond the map."""
    if size + 2 <= side:
        return (size - side) // 2
    return min(max(int(round(middle - side / 2)), -1), size + 1 - side)


def grid_window(reading: Reading, wanted: int, piece) -> Window:
    """The window of the piece that `corner` chose; places in it are in cells."""
    height, width = reading.map.shape
    if not wanted:
        return Window.fit(GRID, (0, 0, width, height), top=True)
    left, top, side = piece
    return Window(GRID, (left, top, left + side, top + side))


def draw(sheet: Sheet, reading: Reading, window: Window, chosen: tuple[int, int]) -> None:
    """The whole card."""
    low, high = float(reading.map.min()), float(reading.map.max())
    sheet.text(16, 10, title(reading, chosen), 15, "bold")
    sheet.formula(904, 26, "F_{R_i} = RoIAlign(F, R_i)", 16)
    grid(sheet, reading, window, chosen, low, high)
    legend(sheet, reading.aligned)
    photo(sheet, reading)
    pooled_map(sheet, MAPS["align"], "RoIAlign", ALIGN, reading.align.numpy(), chosen, (low, high))
    pooled_map(sheet, MAPS["pool"], "RoIPool", POOL, reading.pool.numpy(), chosen, (low, high))
    arithmetic(sheet, reading, chosen)
    curve(sheet, reading, chosen)
    masks(sheet, reading)


def title(reading: Reading, chosen: tuple[int, int]) -> str:
    """The finding: what both read in the chosen bin."""
    p, q = chosen
    align, pool = float(reading.align[p, q]), float(reading.pool[p, q])
    words = f"Row {p + 1}, column {q + 1} of {reading.bins} × {reading.bins} bins: "
    return words + f"RoIAlign reads {number(align)}, RoIPool {number(pool)}"


def number(value: float, digits: int = 3) -> str:
    """A number with a real minus sign."""
    return f"{value:.{digits}f}".replace("-", "\u2212")


def pale(image: Image.Image) -> Image.Image:
    """The colours of feature maps, lighter, so that lines and numbers read on them."""
    return Image.blend(image, Image.new("RGB", image.size, "#FFFFFF"), 0.42)


def grid(sheet: Sheet, reading: Reading, window: Window, chosen, low: float, high: float) -> None:
    """The feature grid with the bins, the samples, and RoIPool's two roundings."""
    x, y, width, height = window.frame
    # A sheet of its own cuts off what reaches over the frame.
    layer, inner = Sheet(width, height), Window((0, 0, width, height), window.piece)
    layer.fill((0, 0, width, height), "#EEF1F4")
    x1, y1, x2, y2 = inner.place((0, 0, *reversed(reading.map.shape)))
    layer.picture(pale(heat(reading.map.numpy(), low, high)), (x1, y1, x2 - x1, y2 - y1), smooth=False)
    cells(layer, reading, inner, low, high)
    bins(layer, reading, inner, chosen)
    pool_boxes(layer, reading, inner, chosen)
    samples(layer, reading, inner, chosen)
    sheet.image.paste(layer.image, (round(x * SCALE), round(y * SCALE)))
    sheet.fill((x, y, x + width, y + height), None, outline=PALETTE["faint"])
    rulers(sheet, reading, window)


def cells(sheet: Sheet, reading: Reading, window: Window, low: float, high: float) -> None:
    """Lines between the cells, and the value of each where there is room."""
    left, top, right, bottom = (int(np.floor(v)) for v in window.piece)
    rows, columns = reading.map.shape
    shown = [(r, c) for r in range(max(top, 0), min(bottom, rows)) for c in range(max(left, 0), min(right, columns))]
    if window.zoom >= 6:
        x1, y1, x2, y2 = window.place((max(left, 0), max(top, 0), min(right, columns), min(bottom, rows)))
        for x in np.arange(x1, x2 + 1, window.zoom).tolist():
            sheet.line((x, y1, x, y2), "#FFFFFF90", 1)
        for y in np.arange(y1, y2 + 1, window.zoom).tolist():
            sheet.line((x1, y, x2, y), "#FFFFFF90", 1)
    if window.zoom < WRITTEN:
        return
    values = reading.map.tolist()
    for r, c in shown:
        share = (values[r][c] - low) / max(high - low, 1e-12)
        x1, y1, x2, y2 = window.place((c, r, c + 1, r + 1))
        ink = "#3A4650" if share > 0.25 else "#10181F"
        sheet.text((x1 + x2) / 2, (y1 + y2) / 2, number(values[r][c], 2), 12, fill=ink, anchor="mm")


def rulers(sheet: Sheet, reading: Reading, window: Window) -> None:
    """The numbers of the rows and columns, each at its middle."""
    left, top, right, bottom = (int(v) for v in window.piece)
    rows, columns = reading.map.shape
    every = max(math.ceil(22 / window.zoom), 1)
    for column in range(max(left, 0), min(right, columns), every):
        x = window.place((column + 0.5, 0, 0, 0))[0]
        sheet.text(x, GRID[1] - 2, str(column), 12, fill=PALETTE["faint"], anchor="mb")
    for row in range(max(top, 0), min(bottom, rows), every):
        y = window.place((0, row + 0.5, 0, 0))[1]
        sheet.text(GRID[0] - 4, y, str(row), 12, fill=PALETTE["faint"], anchor="rm")


def bins(sheet: Sheet, reading: Reading, window: Window, chosen) -> None:
    """The region that is read, cut into bins; the chosen one strong."""
    x1, y1, x2, y2 = reading.read_box()
    P = reading.bins
    xs, ys = np.linspace(x1, x2, P + 1), np.linspace(y1, y2, P + 1)
    for x in xs:
        sheet.line(window.place((x, y1, x, y2)), "#1F2933B0", 1)
    for y in ys:
        sheet.line(window.place((x1, y, x2, y)), "#1F2933B0", 1)
    p, q = chosen
    sheet.box(window.place((xs[q], ys[p], xs[q + 1], ys[p + 1])), ALIGN, 2.5)


def pool_boxes(sheet: Sheet, reading: Reading, window: Window, chosen) -> None:
    """RoIPool's two roundings: the region in whole cells, and the chosen bin in whole cells."""
    x1, y1, x2, y2 = reading.pool_bin(*chosen)
    if x2 > x1 and y2 > y1:
        sheet.box(window.place((x1 + 0.05, y1 + 0.05, x2 - 0.05, y2 - 0.05)), POOL, 2, BIN_DASH)
    sheet.box(window.place(reading.pool_box()), POOL, 2.5, POOL_DASH)


def samples(sheet: Sheet, reading: Reading, window: Window, chosen) -> None:
    """All samples as dots; those of the chosen bin with a number and lines to their four cells."""
    ys, xs = reading.places(0), reading.places(1)
    small = 2.2 if ys.numel() * xs.numel() <= 400 else 1.4
    for y in ys.flatten().tolist():
        for x in xs.flatten().tolist():
            px, py, _, _ = window.place((x, y, x, y))
            sheet.dot(px, py, small, PALETTE["ink"])
    terms = reading.terms(*chosen)
    if len(terms) <= MOST_ROWS and window.zoom >= 14:
        for term in terms:
            start = window.place((term["at"][1], term["at"][0]) * 2)[:2]
            for row in term["rows"]:
                for column in term["columns"]:
                    end = window.place((column + 0.5, row + 0.5) * 2)[:2]
                    sheet.line((*start, *end), ALIGN, 1)
                    sheet.dot(*end, 2, ALIGN)
    for count, term in enumerate(terms):
        px, py, _, _ = window.place((term["at"][1], term["at"][0]) * 2)
        if len(terms) <= MOST_ROWS and window.zoom >= 14:
            sheet.dot(px, py, 8, ALIGN, "#FFFFFF")
            sheet.text(px, py, str(count + 1), 12, "bold", "#FFFFFF", anchor="mm")
        else:
            sheet.dot(px, py, small + 1.2, ALIGN, "#FFFFFF")


def legend(sheet: Sheet, aligned: bool) -> None:
    """What the lines in the grid mean."""
    y = GRID[1] + GRID[3] + 13
    x = GRID[0]
    for words, colour, dash in (
        ("region", ROI, None),
        ("RoIPool: its cells", POOL, POOL_DASH),
        ("in the bin", POOL, BIN_DASH),
    ):
        for piece in dashes((x, y), (x + 22, y), dash):
            sheet.line(piece, colour, 2.5)
        sheet.text(x + 27, y, words, 12, anchor="lm")
        x += 27 + sheet.length(words, 12) + 12
    sheet.dot(x + 3, y, 3, PALETTE["ink"])
    sheet.text(x + 10, y, "samples", 12, anchor="lm")
    where = "where the region lies" if aligned else "half a cell right of and below the region"
    words = f"aligned {'on' if aligned else 'off'}: bins lie {where}."
    sheet.text(GRID[0], y + 17, words, 12, fill=PALETTE["faint"], anchor="lm")


def photo(sheet: Sheet, reading: Reading) -> None:
    """The whole picture with the region, and which level it is read from."""
    height, width = reading.scene.size
    window = Window.fit((MAPS["photo"], MAP_TOP, MAP_SIDE, MAP_SIDE), (0, 0, width, height), top=True)
    sheet.text(MAPS["photo"], MAP_TOP - 18, f"Picture, level P{reading.level + 2}", 13, "bold")
    sheet.picture(reading.scene.photo, window.frame)
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
    letter = sheet.length("0", 12, "mono")
    shown = terms[:MOST_ROWS]
    for count, term in enumerate(shown):
        row, column = (value - 0.5 for value in term["at"])
        sheet.dot(x + 8, y + 10, 8, ALIGN)
        sheet.text(x + 8, y + 10, str(count + 1), 12, "bold", "#FFFFFF", anchor="mm")
        words = f"at y = {number(row, 2)}, x = {number(column, 2)}: {between(term)}"
        sheet.text(x + 24, y + 1, words, 12, fill=PALETTE["faint"])
        written = x + 24
        for sign, w, v in zip(("", " + ", " + ", " + "), term["weights"], term["values"], strict=True):
            # Piece by piece: the same pieces come again, and are then not drawn anew.
            for piece in (sign, f"{w:.2f}", f"·{number(v, 2)}"):
                sheet.text(written, y + 17, piece, 12, "mono")
                written += len(piece) * letter
        sheet.text(written, y + 17, " = ", 12, "mono")
        sheet.text(written + 3 * letter, y + 17, number(term["value"]), 12, "mono", ALIGN)
        y += 36
    if len(terms) > len(shown):
        rest = len(terms) - len(shown)
        sheet.text(x + 24, y, f"… and {rest} more in this bin", 12, fill=PALETTE["faint"])
        y += 18
    totals(sheet, reading, chosen, terms, y + 4)


def between(term: dict) -> str:
    """Which rows and columns a sample lies between."""
    rows, columns = (dict.fromkeys(term[name]) for name in ("rows", "columns"))
    if not any(term["weights"]):
        return "outside the map, counts as 0"
    words = f"row{'s' * (len(rows) > 1)} {' and '.join(map(str, rows))}"
    return f"{words}, column{'s' * (len(columns) > 1)} {' and '.join(map(str, columns))}"


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
    words = f"RoIPool, largest of {count} whole cell{'' if count == 1 else 's'}: {number(float(reading.pool[p, q]), 4)}"
    sheet.text(x, y + 19, words, 13, "bold", POOL)


def curve(sheet: Sheet, reading: Reading, chosen) -> None:
    """One pooled value while the region glides sideways by one cell each way: a strip for each way of reading."""
    values = reading.glide(*chosen)
    x, y, width, _ = CURVE
    sheet.text(420, y - 38, "The same bin while the region glides sideways", 13, "bold")
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
    for name, words in (("pool", "RoIPool"), ("align", "RoIAlign"), ("fine", "RoIAlign with 8 × 8 samples a bin")):
        colour, width, dash = CURVES[name]
        for piece in dashes((x, y), (x + 22, y), dash):
            sheet.line(piece, colour, width)
        sheet.text(x + 27, y, words, 12, anchor="lm")
        x += 27 + sheet.length(words, 12) + 16


def glide_words(values: dict) -> str:
    """What happens within the two pixels around the present place."""
    near = values["shift"].abs() <= 1
    pool = values["pool"][near]
    jumps = int((pool.diff().abs() > 1e-6).sum())
    way = float(values["align"][near].max() - values["align"][near].min())
    stands = "stands still" if jumps == 0 else f"jumps {jumps} time{'' if jumps == 1 else 's'}"
    return f"Within the 2 grey pixels RoIPool {stands}; RoIAlign moves smoothly by {way:.3f}."


def masks(sheet: Sheet, reading: Reading) -> None:
    """The mask that the trained model draws from each of the two readings, on the picture."""
    label, read, pooled = reading.masks
    names = reading.scene.model.class_names
    words = names[label] if names else f"number {label}"
    sheet.text(16, MASK_TOP - 38, f"The mask of class {words} that follows", 13, "bold")
    x1, y1, x2, y2 = reading.roi.tolist()
    half = max(x2 - x1, y2 - y1, 4) * 0.62
    piece = ((x1 + x2) / 2 - half, (y1 + y2) / 2 - half, (x1 + x2) / 2 + half, (y1 + y2) / 2 + half)
    window = Window((0, 0, MASK_SIDE, MASK_SIDE), piece)
    ground = Sheet(MASK_SIDE, MASK_SIDE)
    ground.fill((0, 0, MASK_SIDE, MASK_SIDE), "#EEF1F4")
    show_piece(ground, reading, window)
    place = window.place((x1, y1, x2, y2))
    for left, name, colour, mask in ((16, "RoIAlign", ALIGN, read), (172, "RoIPool", POOL, pooled)):
        sheet.text(left, MASK_TOP - 18, f"from {name}", 12, fill=colour)
        layer = Sheet(MASK_SIDE, MASK_SIDE)
        layer.image.paste(ground.image)
        grown = stretched(mask, place)
        layer.mask(grown, place[:2], Window((0, 0, 1, 1), (0, 0, 1, 1)), colour)
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
    p, q = chosen
    first = reading.terms(p, q)[0]
    products = " + ".join(
        f"{w:.2f} times {number(v, 2)}" for w, v in zip(first["weights"], first["values"], strict=True)
    )
    return (
        f"The region from ({x1:.1f}, {y1:.1f}) to ({x2:.1f}, {y2:.1f}) on level P{reading.level + 2}, "
        f"stride {reading.stride}, channel {reading.channel}. {title(reading, chosen)}. "
        f"First sample: {products} = {number(first['value'])}. "
        f"{glide_words(reading.glide(p, q))} "
        f"RoIPool takes the whole cells {reading.pool_box()}; in cells the region is "
        f"({', '.join(number(v, 2) for v in reading.cells.tolist())})."
    )
