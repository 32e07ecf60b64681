"""What the explorer of anchors draws: the picture with its grid on the left; the right is in `anchors_data`."""

from mrcnn_edu.explorers import anchors_data
from mrcnn_edu.explorers.anchors_marks import (
    ALARM,
    flat,
    frame_off,
    hatch,
    pill,
    pill_width,
)
from mrcnn_edu.explorers.anchors_state import FRAME, State, reading, sizes_of, title, written
from mrcnn_edu.explorers.keys import Mark, frame, key, stroke
from mrcnn_edu.explorers.paint import DASHES, Sheet
from mrcnn_edu.figures import PALETTE

BEST = (3, 4)  # dashes of the anchor that overlaps an object most: finer than those of the chosen cell's
LABELLED = 5  # anchors of one cell that are labelled beside it; more are listed under the picture


def draw(sheet: Sheet, state: State) -> None:
    """The whole card."""
    view_picture(sheet, state)
    frame_off(sheet, FRAME)
    sheet.text(16, 14, title(state), 16, "bold")
    sheet.paragraph(16, 40, FRAME[2], reading(state), 12.5, fill=PALETTE["faint"])
    legend(sheet, state)
    anchors_data.view_recall(sheet, state)
    anchors_data.view_sides(sheet, state)


def view_picture(sheet: Sheet, state: State) -> None:
    """The photo with its grid, its objects with their best anchors, and the anchors of the chosen cell."""
    window, (height, width) = state.picture.window, state.picture.size
    flat(sheet, (FRAME[0], FRAME[1], FRAME[0] + FRAME[2], FRAME[1] + FRAME[3]), "#E9EDF0")
    x1, y1, x2, y2 = window.place((0, 0, width, height))
    sheet.picture(state.picture.drawn(), (x1, y1, x2 - x1, y2 - y1))
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
