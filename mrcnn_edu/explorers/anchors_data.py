"""The right half of the explorer of anchors: the recall on a data set, and the sides of its boxes."""

import numpy as np

from mrcnn_edu.explorers.anchors_marks import ALARM, hatch
from mrcnn_edu.explorers.anchors_recall import recall
from mrcnn_edu.explorers.anchors_state import FRAME, State, share
from mrcnn_edu.explorers.paint import Sheet
from mrcnn_edu.explorers.words import counted
from mrcnn_edu.figures import PALETTE

LEFT = FRAME[0] + FRAME[2] + 24
CURVE = (698, 116, 206, 112)
HISTOGRAM = (592, 362, 312, 162)
THRESHOLDS = np.linspace(0.3, 0.95, 66)


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
