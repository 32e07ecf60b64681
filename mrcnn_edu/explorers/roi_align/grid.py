"""The feature grid of RoI Align: cells, region, bins, samples, and RoIPool's two roundings."""

import math
from itertools import product

import numpy as np
from PIL import Image

from mrcnn_edu.explorers.roi_align.reading import Reading
from mrcnn_edu.explorers.toolkit.keys import dot, key, stroke
from mrcnn_edu.explorers.toolkit.paint import SCALE, Sheet, heat
from mrcnn_edu.explorers.toolkit.window import Window
from mrcnn_edu.figures import PALETTE

GRID = (24, 46, 376, 376)
WRITTEN = 36  # CSS pixels; in smaller cells no number is legible
MOST_ROWS = 4  # samples whose arithmetic is written out
MOST_NUMBERED = 4  # bins on a side; with more, lines and dots would cover the numbers
CROWDED = 3  # CSS pixels between two samples; closer together only those of the chosen bin are drawn
ALIGN, POOL = PALETTE["ground truth"], PALETTE["rounded"]
ROI = PALETTE["region"]
POOL_DASH, BIN_DASH = (9, 4), (3, 3)


def number(value: float, digits: int = 3) -> str:
    """A number with a real minus sign."""
    return f"{value:.{digits}f}".replace("-", "\u2212")


def pale(image: Image.Image) -> Image.Image:
    """The colours of feature maps, lighter, so that lines and numbers read on them."""
    return Image.blend(image, Image.new("RGB", image.size, "#FFFFFF"), 0.42)


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


def grid(sheet: Sheet, reading: Reading, window: Window, chosen, low: float, high: float) -> None:
    """The feature grid with the bins, the samples, and RoIPool's two roundings."""
    x, y, width, height = window.frame
    # A sheet of its own cuts off what reaches over the frame.
    layer, inner = Sheet(width, height), Window((0, 0, width, height), window.piece)
    layer.image.paste(ground(reading, inner, low, high))
    bins(layer, reading, inner, chosen)
    pool_boxes(layer, reading, inner, chosen)
    neighbours(layer, reading, inner, chosen)
    if inner.zoom >= WRITTEN and reading.bins <= MOST_NUMBERED:
        cell_values(layer, reading, inner, low, high)
    samples(layer, reading, inner, chosen)
    sheet.image.paste(layer.image, (round(x * SCALE), round(y * SCALE)))
    sheet.fill((x, y, x + width, y + height), None, outline=PALETTE["faint"])
    rulers(sheet, reading, window)


def ground(reading: Reading, window: Window, low: float, high: float) -> Image.Image:
    """The cells in their colours. While the region moves over the same piece of the map they stay as they are."""
    key = (reading.level, reading.channel, window)
    return reading.scene.grounds.get(key, lambda: _ground(reading, window, low, high))


def _ground(reading: Reading, window: Window, low: float, high: float) -> Image.Image:
    layer = Sheet(*window.frame[2:], "#EEF1F4")
    left, top, right, bottom = shown(reading, window)
    x1, y1, x2, y2 = window.place((left, top, right, bottom))
    colours = pale(heat(reading.map[top:bottom, left:right].numpy(), low, high))
    layer.picture(colours, (x1, y1, x2 - x1, y2 - y1), smooth=False)
    cell_lines(layer, reading, window)
    return layer.image


def shown(reading: Reading, window: Window) -> tuple[int, int, int, int]:
    """The cells of the map that the window shows: left, top, and the first ones beyond at the right and the bottom."""
    left, top, right, bottom = (int(np.floor(v)) for v in window.piece)
    rows, columns = reading.map.shape
    return max(left, 0), max(top, 0), min(right, columns), min(bottom, rows)


def cell_lines(sheet: Sheet, reading: Reading, window: Window) -> None:
    """Lines between the cells."""
    if window.zoom < 6:
        return
    x1, y1, x2, y2 = window.place(shown(reading, window))
    for x in np.arange(x1, x2 + 1, window.zoom).tolist():
        sheet.line((x, y1, x, y2), "#FFFFFF90", 1)
    for y in np.arange(y1, y2 + 1, window.zoom).tolist():
        sheet.line((x1, y, x2, y), "#FFFFFF90", 1)


def cell_values(sheet: Sheet, reading: Reading, window: Window, low: float, high: float) -> None:
    """The value of each cell, at its middle, with a pale rim against the lines under it."""
    left, top, right, bottom = shown(reading, window)
    values = reading.map[top:bottom, left:right].tolist()
    for r, c in product(range(top, bottom), range(left, right)):
        value = values[r - top][c - left]
        share = (value - low) / max(high - low, 1e-12)
        x1, y1, x2, y2 = window.place((c, r, c + 1, r + 1))
        ink = "#3A4650" if share > 0.25 else "#10181F"
        rim = "#DCE8E4" if share > 0.25 else "#C9C9DC"
        sheet.text((x1 + x2) / 2, (y1 + y2) / 2, number(value, 2), 12, fill=ink, anchor="mm", rim=rim)


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


def written_out(terms: list, window: Window) -> bool:
    """Whether the samples of a bin are so few, and their cells so large, that each is explained."""
    return len(terms) <= MOST_ROWS and window.zoom >= 14


def neighbours(sheet: Sheet, reading: Reading, window: Window, chosen) -> None:
    """Lines from the samples of the chosen bin to their four cells. They lie under the values, to which they lead."""
    terms = reading.terms(*chosen)
    if not written_out(terms, window):
        return
    for term in terms:
        start = window.place((term["at"][1], term["at"][0]) * 2)[:2]
        for row, column in product(term["rows"], term["columns"]):
            end = window.place((column + 0.5, row + 0.5) * 2)[:2]
            sheet.line((*start, *end), ALIGN, 1)
            sheet.dot(*end, 2, ALIGN)


def samples(sheet: Sheet, reading: Reading, window: Window, chosen) -> None:
    """All samples as dots; those of the chosen bin strong, and numbered where each is explained."""
    ys, xs = reading.places(0), reading.places(1)
    small = 2.2 if ys.numel() * xs.numel() <= 400 else 1.4
    apart = window.zoom * min(gap(ys), gap(xs))
    if apart >= CROWDED:
        for y, x in product(ys.flatten().tolist(), xs.flatten().tolist()):
            px, py, _, _ = window.place((x, y, x, y))
            sheet.dot(px, py, small, PALETTE["ink"])
    terms = reading.terms(*chosen)
    for count, term in enumerate(terms):
        px, py, _, _ = window.place((term["at"][1], term["at"][0]) * 2)
        if written_out(terms, window):
            sheet.dot(px, py, 8, ALIGN, "#FFFFFF")
            sheet.text(px, py, str(count + 1), 12, "bold", "#FFFFFF", anchor="mm")
        else:
            sheet.dot(px, py, small + 1.2, ALIGN, "#FFFFFF")


def gap(places) -> float:
    """The distance between neighbouring samples along an axis, in cells; a whole cell where there is only one."""
    flat = places.flatten()
    return float(flat[1] - flat[0]) if len(flat) > 1 else 1.0


def legend(sheet: Sheet, aligned: bool) -> None:
    """What the lines in the grid mean."""
    y = GRID[1] + GRID[3] + 13
    entries = (
        (stroke(ROI), "region"),
        (stroke(POOL, dash=POOL_DASH), "RoIPool: its cells"),
        (stroke(POOL, dash=BIN_DASH), "in the bin"),
        (dot(PALETTE["ink"], 3), "samples"),
    )
    key(sheet, GRID[0], y, entries, gap=12)
    where = "where the region lies" if aligned else "half a cell right of and below the region"
    words = f"aligned {'on' if aligned else 'off'}: bins lie {where}."
    sheet.text(GRID[0], y + 17, words, 12, fill=PALETTE["faint"], anchor="lm")
