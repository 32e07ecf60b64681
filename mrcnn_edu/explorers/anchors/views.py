"""What the explorer of anchors draws: the picture with its grid, the recall on a data set, the sides of its boxes."""

import numpy as np

from mrcnn_edu.explorers.anchors.reading import State, reading, recall, sizes_of, title
from mrcnn_edu.explorers.toolkit.keys import Mark, frame, key, stroke
from mrcnn_edu.explorers.toolkit.marks import ALARM, flat, frame_off, hatch, pill, pill_width, scaled
from mrcnn_edu.explorers.toolkit.paint import DASHES, Sheet
from mrcnn_edu.explorers.toolkit.window import FRAME, frame_box
from mrcnn_edu.explorers.toolkit.words import counted, share, written
from mrcnn_edu.figures import PALETTE

LEFT = FRAME[0] + FRAME[2] + 24
CURVE = (698, 116, 206, 112)
HISTOGRAM = (592, 362, 312, 162)
THRESHOLDS = np.linspace(0.3, 0.95, 66)

BEST = (3, 4)  # dashes of the anchor that overlaps an object most: finer than those of the chosen cell's
LABELLED = 5  # anchors of one cell that are labelled beside it; more are listed under the picture


def draw(sheet: Sheet, state: State) -> None:
    """The whole card."""
    view_picture(sheet, state)
    frame_off(sheet, FRAME)
    sheet.text(16, 14, title(state), 16, "bold")
    sheet.paragraph(16, 40, FRAME[2], reading(state), 12.5, fill=PALETTE["faint"])
    legend(sheet, state)
    view_recall(sheet, state)
    view_sides(sheet, state)


def view_picture(sheet: Sheet, state: State) -> None:
    """The photo with its grid, its objects with their best anchors, and the anchors of the chosen cell."""
    window, (height, width) = state.picture.window, state.picture.size
    flat(sheet, frame_box(FRAME), "#E9EDF0")
    x1, y1, x2, y2 = window.place((0, 0, width, height))
    shown = state.picture
    photo = shown.cache.get("photo", lambda: scaled(shown.photo, window, shown.size, 0.18))
    sheet.picture(photo, (x1, y1, x2 - x1, y2 - y1))
    grid(sheet, state)
    truth = state.picture.truth.boxes
    places = [window.place(box) for box in truth]
    for place, reached in zip(places, state.reached, strict=True):
        if not reached:
            hatch(sheet, place, "#FFFFFF", 7, 3)
            hatch(sheet, place, ALARM, 7)
        sheet.box(place, PALETTE["ground truth"], 2.5)
    for box in state.best_boxes:
        sheet.box(window.place(box), PALETTE["anchor"], 1.7, BEST, "#FFFFFF")
    chosen_cell(sheet, state)
    taken = []
    for place, reached, iou in zip(places, state.reached, state.found.iou.tolist(), strict=True):
        number = written(iou, state.threshold)
        words = number if reached else f"missed {number}"
        if pill_width(words) > max(place[2] - place[0], 40):
            words = number
        pill(sheet, place[0] - 1, place[1] - 2, words, PALETTE["ground truth"] if reached else ALARM, FRAME)
        taken.append((place[0], place[1] - 24, place[0] + pill_width(words), place[1]))
    if state.anchors.per_cell <= LABELLED:
        labels(sheet, [window.place(box) for box in state.cell_anchors], sizes_of(state.cell_anchors), taken)


def grid(sheet: Sheet, state: State) -> None:
    """The cells of the level as thin lines; where they would be closer than 5 pixels, every second, fourth, … line."""
    window, padded = state.picture.window, state.picture.padded
    down, right = state.anchors.true_strides(padded)[state.level]
    rows, columns = state.anchors.grids(padded)[state.level]
    height, width = state.picture.size
    step = 1
    while min(down, right) * window.zoom * step < 5:
        step *= 2
    x1, y1, x2, y2 = window.place((0, 0, width, height))
    for column in range(0, min(columns, -(-width // right)), step):
        x = x1 + column * right * window.zoom
        sheet.line((x, y1, x, y2), "#FFFFFF70", 0.7)
    for row in range(0, min(rows, -(-height // down)), step):
        y = y1 + row * down * window.zoom
        sheet.line((x1, y, x2, y), "#FFFFFF70", 0.7)


def chosen_cell(sheet: Sheet, state: State) -> None:
    """The chosen cell, its corner, and its anchors with their width and height."""
    window = state.picture.window
    down, right = state.anchors.true_strides(state.picture.padded)[state.level]
    row, column = state.cell
    cell = window.place((column * right, row * down, (column + 1) * right, (row + 1) * down))
    for box in state.cell_anchors:
        sheet.box(window.place(box), PALETTE["anchor"], 2.8, DASHES["anchor"], PALETTE["ink"])
    sheet.fill(cell, PALETTE["proposal"] + "90", outline=PALETTE["ink"])
    sheet.dot(cell[0], cell[1], 4, PALETTE["proposal"], PALETTE["ink"])


def labels(sheet: Sheet, places, words, taken) -> None:
    """Width × height of each anchor: on its lower or upper edge where those are far enough apart, on any edge in sight
    where the anchors are larger than the frame, else one under the other beside the group, with a line to each. Of the
    two sides that one is chosen which covers fewer of the boxes `taken`."""
    x, y, width, height = FRAME
    for side, down in ((3, 18), (1, -2)):
        edges = sorted(place[side] for place in places)
        apart = all(b - a >= 22 for a, b in zip(edges, edges[1:], strict=False))
        if apart and edges[0] > y + 22 and edges[-1] < y + height - 22:
            for place, word in zip(places, words, strict=True):
                pill(sheet, place[0] + 3, place[side] + down, word, PALETTE["anchor"], FRAME)
            return
    if max(place[2] - place[0] for place in places) > width / 2:
        for number, (place, word) in enumerate(zip(places, words, strict=True)):
            across = min(max(x + width * (0.25 + 0.15 * number), place[0]), place[2])
            down = min(max(y + height * (0.25 + 0.15 * number), place[1]), place[3])
            edges = ((place[0], down), (place[2], down), (across, place[1]), (across, place[3]))
            seen = [edge for edge in edges if x < edge[0] < x + width and y < edge[1] < y + height]
            if seen:
                pill(sheet, seen[0][0] - 24, seen[0][1] + 10, word, PALETTE["anchor"], FRAME)
        return
    wide = max(pill_width(w) for w in words)
    first, high = min(place[1] for place in places), 22 * len(places)
    top = min(max(first - 8, y + 2), y + height - high - 2)
    beside = max(place[2] for place in places) + 16, min(place[0] for place in places) - 16 - wide
    fitting = [at for at in beside if x < at < x + width - wide] or [x + 4]
    left = min(fitting, key=lambda at: sum(meet((at, top, at + wide, top + high), other) for other in taken))
    at_right = left == beside[0]
    order = sorted(range(len(places)), key=lambda i: places[i][1])
    for line, i in enumerate(order):
        middle = top + 22 * line + 10
        corner = places[i][2] if at_right else places[i][0]
        sheet.line((corner, max(places[i][1], y), left if at_right else left + wide, middle), PALETTE["ink"], 1.2)
        pill(sheet, left, middle + 10, words[i], PALETTE["anchor"], FRAME)


def meet(box, other) -> bool:
    """Whether two boxes of the card share anything."""
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]


def legend(sheet: Sheet, state: State) -> None:
    """What the marks mean, under the picture; and the cell's anchors where they are too many to label."""
    y = FRAME[1] + FRAME[3] + 16
    entries = [(frame(PALETTE["anchor"], 2.8, DASHES["anchor"], PALETTE["ink"]), "anchors of the cell")]
    if len(state.found.iou):
        entries += [
            (stroke(PALETTE["ground truth"], 2.8), "object"),
            (frame(PALETTE["anchor"], 1.7, BEST, "#FFFFFF"), "its best anchor, IoU"),
            (MISSED, f"missed: IoU < {state.threshold:g}"),
        ]
    key(sheet, 16, y, entries, gap=12)
    if state.anchors.per_cell > LABELLED:
        sizes, words = sizes_of(state.cell_anchors), f"The cell's {state.anchors.per_cell} anchors: "
        fitting = len(sizes)
        while sheet.length(words + ", ".join(sizes[:fitting]) + ", …", 12) > 888:
            fitting -= 1
        rest = ", …" if fitting < len(sizes) else ""
        sheet.text(16, y + 20, words + ", ".join(sizes[:fitting]) + rest, 12, anchor="lm")


def missed_mark(sheet: Sheet, x, y) -> None:
    """An object that no anchor of the picture reaches."""
    hatch(sheet, (x, y - 7, x + 22, y + 7), ALARM)
    sheet.box((x, y - 7, x + 22, y + 7), PALETTE["ground truth"], 2, halo=None)


MISSED = Mark(22, missed_mark)


def view_recall(sheet: Sheet, state: State) -> None:
    """Recall on the data set as two large numbers and a curve."""
    boxes = len(state.data.boxes)
    sheet.text(LEFT, 14, f"Recall on {state.data_name}", 16, "bold")
    pictures = f"{counted(state.data.pictures, 'picture')}, {counted(boxes, 'box')}. "
    reach = "Which share has an anchor that overlaps it enough?" if boxes else "Without boxes there is no recall."
    sheet.paragraph(LEFT, 40, 904 - LEFT, pictures + reach, 12.5, fill=PALETTE["faint"])
    anchor_count(sheet, state, LEFT, 270)
    if not boxes:
        return
    for number, threshold in enumerate((0.5, 0.7)):
        y = 96 + 76 * number
        value = float(recall(state.data_found.iou, (threshold,))[0])
        sheet.text(LEFT, y, share(value), 27, "bold", PALETTE["ground truth"])
        sheet.text(LEFT, y + 40, f"IoU ≥ {threshold}", 12.5)
    x, y, width, height = CURVE
    places = x + (THRESHOLDS - 0.3) / 0.65 * width
    for level in (0, 0.5, 1):
        sheet.line((x, y + height * (1 - level), x + width, y + height * (1 - level)), "#D5DCE2", 1)
        sheet.text(x - 5, y + height * (1 - level), f"{100 * level:.0f}", 12, fill=PALETTE["faint"], anchor="rm")
    for threshold in (0.3, 0.5, 0.7, 0.9):
        at = x + (threshold - 0.3) / 0.65 * width
        sheet.text(at, y + height + 4, f"{threshold:g}", 12, fill=PALETTE["faint"], anchor="ma")
    sheet.text(x - 26, y - 20, "recall in %, by IoU threshold", 12, fill=PALETTE["faint"])
    at = x + (state.threshold - 0.3) / 0.65 * width
    if x <= at <= x + width:
        sheet.line((at, y, at, y + height), ALARM, 1.5)
    for best, colour, line in ((state.opening, PALETTE["suppressed"], 1.6), (state.data_found, None, 3)):
        heights = y + height * (1 - recall(best.iou, THRESHOLDS))
        sheet.line(np.stack([places, heights], 1).ravel().tolist(), colour or PALETTE["ground truth"], line)
    for threshold in (0.5, 0.7):
        value = float(recall(state.data_found.iou, (threshold,))[0])
        sheet.dot(
            x + (threshold - 0.3) / 0.65 * width, y + height * (1 - value), 4.5, PALETTE["ground truth"], "#FFFFFF"
        )
    if not np.array_equal(state.opening.iou, state.data_found.iou):
        sheet.line((x + 40, y + height + 28, x + 60, y + height + 28), PALETTE["suppressed"], 1.6)
        sheet.text(x + 65, y + height + 28, "with the first anchors", 12, fill=PALETTE["faint"], anchor="lm")


def anchor_count(sheet: Sheet, state: State, x: float, y: float) -> None:
    """How many anchors the picture has, as a number for each cell times the cells of all levels."""
    cells = [h * w for h, w in state.anchors.grids(state.picture.padded)]
    words = f"{counted(state.anchors.count(state.picture.padded), 'anchor')} in this picture"
    sheet.text(x, y, words, 13, "bold")
    levels = " + ".join(map(str, cells))
    sheet.text(x, y + 19, f"= {state.anchors.per_cell} × ({levels}) cells", 12, fill=PALETTE["faint"])


def octaves(state: State) -> tuple[int, int]:
    """The range of the histogram: powers of two around the boxes' sides and the anchor scales."""
    values = np.concatenate([state.data.sides, np.array(state.anchors.sizes, float).ravel()])
    values = values[values > 0]
    return int(np.floor(np.log2(values.min()))), int(np.floor(np.log2(values.max()))) + 1


def bars(state: State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The histogram: edges (n + 1,) in log2 of pixels, and how many boxes of each bar are reached and missed (n,)."""
    low, high = octaves(state)
    edges = np.linspace(low, high, (high - low) * (6 if high - low <= 4 else 4) + 1)
    sides = np.log2(np.maximum(state.data.sides, 2.0**low))
    reached = state.data_found.iou >= np.float32(state.threshold)
    return edges, np.histogram(sides[reached], edges)[0], np.histogram(sides[~reached], edges)[0]


def round_marks(most: int) -> list[int]:
    """0 and the multiples of 1, 2 or 5 times a power of ten up to `most`; at least two, at most five."""
    steps = (first * 10**power for power in range(len(str(most))) for first in (1, 2, 5))
    step = next(step for step in steps if 4 * step >= most)
    return list(range(0, most + 1, step))


def view_sides(sheet: Sheet, state: State) -> None:
    """How large the data set's boxes are, which are missed, and where the anchor scales lie."""
    x, y, width, height = HISTOGRAM
    edges, reached, missed = bars(state)
    low, high = edges[0], edges[-1]
    most = max(int((reached + missed).max()), 1)

    def place(value):
        return x + (value - low) / (high - low) * width

    for count in round_marks(most):
        level = y + height * (1 - count / most)
        sheet.line((x, level, x + width, level), "#D5DCE2", 1)
        sheet.text(x - 5, level, f"{count}", 12, fill=PALETTE["faint"], anchor="rm")
    for a, b, good, bad in zip(edges[:-1], edges[1:], reached.tolist(), missed.tolist(), strict=True):
        x1, x2 = place(a) + 1, place(b) - 1
        top, middle = y + height * (1 - (good + bad) / most), y + height * (1 - good / most)
        if bad:
            sheet.fill((x1, top, x2, middle), "#FBE3D6")
            hatch(sheet, (x1, top, x2, middle), ALARM, 4.2, 1.2)
        if good:
            sheet.fill((x1, middle, x2, y + height), PALETTE["ground truth"])
    sheet.line((x, y + height, x + width, y + height), PALETTE["faint"], 1)
    for power in range(int(low), int(high) + 1):
        sheet.text(place(power), y + height + 4, f"{2.0**power:g}", 12, fill=PALETTE["faint"], anchor="ma")
    for number, sizes in enumerate(state.anchors.sizes):
        for step, scale in enumerate(sizes):
            at = place(np.log2(scale))
            for top in np.arange(y - 12, y + height, 10).tolist():
                sheet.line(
                    (at, top, at, min(top + 6, y + height)), PALETTE["ink"], 2.4 if number == state.level else 1.2
                )
            if step == 0:
                weight = "bold" if number == state.level else "regular"
                sheet.text(at, y - 14, f"{scale}", 12, weight, anchor="ms")
    sheet.text(LEFT, y - 32, "Sides of its boxes, anchor scales dashed", 13, "bold", anchor="ls")
    foot = y + height + 32
    sheet.text(LEFT, foot, "side = √area, pixels", 12, fill=PALETTE["faint"], anchor="lm")
    sheet.fill((LEFT + 142, foot - 6, LEFT + 156, foot + 6), PALETTE["ground truth"])
    sheet.text(LEFT + 161, foot, "reached", 12, anchor="lm")
    sheet.fill((LEFT + 220, foot - 6, LEFT + 234, foot + 6), "#FBE3D6")
    hatch(sheet, (LEFT + 220, foot - 6, LEFT + 234, foot + 6), ALARM, 4.2, 1.2)
    sheet.text(LEFT + 239, foot, f"missed at {state.threshold:g}", 12, anchor="lm")
