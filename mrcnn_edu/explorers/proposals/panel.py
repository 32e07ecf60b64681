"""What the explorer Proposals draws beside its picture: why boxes fall now, the IoU scale, the funnel, the recall."""

import numpy as np
from PIL import Image

from mrcnn_edu.explorers.proposals.reading import FOUND, View, compare, probability
from mrcnn_edu.explorers.proposals.views import STRONG, UNTOUCHED, cross, magnifier
from mrcnn_edu.explorers.toolkit.keys import stroke
from mrcnn_edu.explorers.toolkit.memory import Memory
from mrcnn_edu.explorers.toolkit.paint import SCALE, Sheet
from mrcnn_edu.explorers.toolkit.words import counted
from mrcnn_edu.figures import PALETTE

LEFT, RIGHT = 552, 904
REASONS = (737, 84)
MOST_REASONS = 5
FUNNEL = 276
RECALL = (LEFT + 30, 508, RIGHT - 8, 588)  # the plot's x1, y1, x2, y2
SCALE_LINE = (120, 558, 528, 582)
WIDTH, HEIGHT = 920, 620
PIECES = {"funnel": (FUNNEL - 2, 446), "curve": (RECALL[1] - 8, HEIGHT)}  # upper and lower edge
CURVES = ((FOUND, PALETTE["ground truth"]), (0.7, STRONG))  # the IoUs at which recall is told


def draw(sheet: Sheet, view: View, cache: Memory) -> None:
    """The right column, and the IoU scale under the picture; `cache` keeps what does not change with the step."""
    sheet.text(LEFT, 66, heading(view), 13, "bold")
    if view.chosen is None:
        rule(sheet, view)
    else:
        magnifier(sheet, view, cache)
        reasons(sheet, view)
        iou_scale(sheet, view)
    here = None if view.chosen is None else int(view.run.candidates.level[view.chosen])
    for name, part, key in (("funnel", funnel, here), ("curve", curve, None)):
        kept = cache.get(name, lambda: Memory(1)).get((key, view.run.settings), lambda part=part: piece(part, view))
        sheet.image.paste(kept, (round(LEFT * SCALE), round(PIECES[name][0] * SCALE)))
    recall(sheet, view)


def heading(view: View) -> str:
    """What stands over the small picture. Around a large box there is nothing to magnify: it shows the step alone."""
    if view.chosen is None:
        return "This step" if view.step else "What each step will do"
    return "This step, magnified" if view.magnified().zoom > 1.1 * view.window.zoom else "This step alone"


def rule(sheet: Sheet, view: View) -> None:
    """What every step does, where none is done yet."""
    threshold = view.run.settings[3]
    lines = (
        "1. Of the boxes left, take the one with the highest objectness.",
        f"2. On its level, drop every box whose IoU with it is above {threshold:.2f}.",
        f"3. Repeat, until {view.run.settings[2]:,} are taken or none is left.",
    )
    for number, line in enumerate(lines):
        sheet.paragraph(LEFT, 94 + 46 * number, RIGHT - LEFT, line, 12.5)


def piece(part, view: View) -> Image.Image:
    """What `part` draws, cut from a card of its own."""
    sheet = Sheet(WIDTH, HEIGHT)
    part(sheet, view)
    top, bottom = PIECES[part.__name__]
    return sheet.image.crop(tuple(round(v * SCALE) for v in (LEFT, top, WIDTH, bottom)))


def reason_rows(view: View) -> list[tuple[str, str]]:
    """(mark, words) for the boxes that meet the chosen one: dropped, of another level, too far away."""
    threshold = view.run.settings[3]
    rows = [("cross", f"{compare(view.run.record.iou[b], threshold)}, same level") for b in view.victims]
    if len(rows) > MOST_REASONS:
        rows = [*rows[: MOST_REASONS - 2], ("", f"… {len(rows) - MOST_REASONS + 1:,} more, down to"), rows[-1]]
    others = [("level", f"{iou:.2f}, but on {view.level(b)}") for b, iou in zip(*view.untouched, strict=True)]
    if len(others) > 2:
        others = [others[0], ("level", f"{len(others) - 1} more, other levels")]
    near = np.where(view.same & (view.overlap <= threshold), view.overlap, -1)
    stays = [("stays", f"{compare(near.max(), threshold)}: stays")] if (near > 0).any() else []
    return [*rows, *others, *stays]


def reasons(sheet: Sheet, view: View) -> None:
    """Why each box falls or stays, beside the magnifier."""
    x, y = REASONS
    sheet.text(x, y - 18, "IoU with the chosen", 12, "bold")
    sheet.text(
        x, y + 2, f"{view.level(view.chosen)}, objectness {probability(view.score(view.chosen))}", 12, "bold", STRONG
    )
    y += 22
    rows = reason_rows(view)
    for mark, words in rows:
        if mark == "cross":
            cross(sheet, (x, y + 2, x + 13, y + 12), 1.2)
        elif mark == "level":
            sheet.box((x + 1, y + 2, x + 13, y + 12), PALETTE["proposal"], 1.8, UNTOUCHED, halo=None)
        elif mark == "stays":
            sheet.dot(x + 7, y + 7, 3, PALETTE["proposal"])
        sheet.text(x + 20, y, words, 12)
        y += 18
    if not rows:
        sheet.text(x, y, "no other box overlaps", 12, fill=PALETTE["faint"])


def iou_scale(sheet: Sheet, view: View) -> None:
    """Every box that is left, on a line from IoU 0 to 1 with the chosen box; NMS drops those of its level beyond the
    threshold."""
    x1, y1, x2, y2 = SCALE_LINE
    threshold = view.run.settings[3]
    at = x1 + threshold * (x2 - x1)
    rows = (y1, y2)
    sheet.text(16, y1 - 32, "The boxes that are left, by their IoU with the chosen one", 12, "bold")
    sheet.fill((at, rows[0] - 11, x2 + 8, rows[0] + 11), "#E3E3E3")
    overlap, same = view.overlap, view.same
    names = (f"same level, {view.level(view.chosen)}", "other levels")
    for y, name, which in zip(rows, names, (same, ~same), strict=True):
        sheet.text(16, y, name, 12, anchor="lm")
        sheet.line((x1, y, x2, y), "#C9D0D6", 1)
        # Dots that would cover each other are drawn once.
        for iou in np.unique((overlap[which & (overlap > 0)] * 140).round()) / 140:
            x = x1 + iou * (x2 - x1)
            if iou > threshold and which is same:
                sheet.line((x - 4, y - 4, x + 4, y + 4), PALETTE["faint"], 1.5)
                sheet.line((x - 4, y + 4, x + 4, y - 4), PALETTE["faint"], 1.5)
            else:
                sheet.dot(x, y, 3.2, PALETTE["proposal"], "#FFFFFF")
    sheet.line((at, rows[0] - 11, at, rows[1] + 11), PALETTE["ink"], 2)
    for value in (0, 0.5, 1):
        if abs(value - threshold) > 0.08:
            sheet.text(x1 + value * (x2 - x1), rows[1] + 14, f"{value:g}", 12, fill=PALETTE["faint"], anchor="ma")
    sheet.text(at, rows[1] + 14, f"{threshold:.2f}", 12, "bold", anchor="ma")
    sheet.text(16, rows[1] + 14, "IoU", 12, fill=PALETTE["faint"])


def short(number: int) -> str:
    """15,360 → 15.4k, so that a number fits its column."""
    return (
        f"{number / 1000:.0f}k" if number >= 99_950 else f"{number / 1000:.1f}k" if number >= 10_000 else f"{number:,}"
    )


def funnel(sheet: Sheet, view: View) -> None:
    """How many boxes each stage leaves, on each level and in all."""
    names = [level.name for level in view.run.levels]
    first = LEFT + 130
    each = (RIGHT - first) / (len(names) + 1)
    here = None if view.chosen is None else int(view.run.candidates.level[view.chosen])
    sheet.text(LEFT, FUNNEL, "From anchors to proposals", 13, "bold")
    top = FUNNEL + 22
    rows = view.run.funnel()
    if here is not None:
        x = first + here * each
        sheet.fill((x + 3, top - 2, x + each + 3, top + 18 + 19 * len(rows)), "#FBEFD5", radius=4)
    for number, name in enumerate([*names, "all"]):
        sheet.text(first + (number + 1) * each, top, name, 12, "bold", anchor="ra")
    for row, (words, counts) in enumerate(rows):
        y = top + 19 * (row + 1)
        sheet.line((LEFT, y - 2, RIGHT, y - 2), "#DFE5EA", 1)
        sheet.text(LEFT, y, words, 12)
        for number, value in enumerate([*counts, sum(counts)]):
            weight = "bold" if number == len(names) else "regular"
            sheet.text(first + (number + 1) * each, y, short(value), 12, weight, anchor="ra")


def recall_words(view: View) -> list[str]:
    """How many true boxes the survivors so far cover, at both IoUs."""
    best = view.covered()
    if best is None:
        return ["The true boxes of this picture are not known."]
    if not len(best):
        return ["There is no object here: recall has nothing to count."]
    return [f"IoU ≥ {iou:.1f}: {int((best >= iou).sum())} of {len(best)} found" for iou, _ in CURVES]


def recall(sheet: Sheet, view: View) -> None:
    """Recall in words, and the present step marked on its curve."""
    x1, y1, _, y2 = RECALL
    words = recall_words(view)
    known = len(words) == 2
    sheet.text(LEFT, y1 - 50, f"Recall of the {counted(view.step, 'box')} kept so far", 13, "bold")
    for number, line in enumerate(words):
        x = LEFT + 182 * number
        if known:
            stroke(CURVES[number][1], 2.5, None if number == 0 else (6, 4), 16).draw(sheet, x, y1 - 23)
        sheet.text(x + 22 * known, y1 - 23, line, 12, anchor="lm")
    if known and len(view.run.kept):
        sheet.text(RIGHT, y1 - 49, "log scale", 12, fill=PALETTE["faint"], anchor="ra")
    if known and view.step:
        x = along(view, view.step)
        sheet.line((x, y1 - 4, x, y2 + 3), PALETTE["ink"], 1)
        for iou, colour in CURVES:
            share = (view.covered() >= iou).mean()
            sheet.dot(x, y2 - share * (y2 - y1), 4.5, colour, "#FFFFFF")


def along(view: View, step):
    """Where a step lies on the plot's axis, which is logarithmic."""
    x1, _, x2, _ = RECALL
    return x1 + (x2 - x1) * np.log(np.maximum(step, 1)) / max(np.log(len(view.run.kept)), 1e-9)


def curve(sheet: Sheet, view: View) -> None:
    """Recall against the number of boxes kept, at both IoUs."""
    x1, y1, x2, y2 = RECALL
    kept = len(view.run.kept)
    if not kept or len(recall_words(view)) != 2:
        return
    for share, name in ((0, "0"), (0.5, "½"), (1, "1")):
        y = y2 - share * (y2 - y1)
        sheet.line((x1, y, x2, y), "#DFE5EA", 1)
        sheet.text(x1 - 6, y, name, 12, fill=PALETTE["faint"], anchor="rm")
    for k in (k * power for power in (1, 10, 100, 1000) for k in range(1, 10)):
        if k <= kept:
            x = along(view, k)
            sheet.line((x, y2, x, y2 + 3), PALETTE["faint"], 1)
        if k in (1, 10, 100) and k < kept * 0.4:
            sheet.text(along(view, k), y2 + 5, f"{k:,}", 12, fill=PALETTE["faint"], anchor="ma")
    sheet.text(x2, y2 + 5, f"{kept:,} kept", 12, fill=PALETTE["faint"], anchor="ra")
    steps = np.unique(np.geomspace(1, kept, 120).round().astype(int))
    across = along(view, steps).tolist()
    for number, (iou, colour) in enumerate(CURVES):
        height = (y2 - (view.run.best[:, steps] >= iou).mean(axis=0) * (y2 - y1)).tolist()
        points = [v for point in zip(across, height, strict=True) for v in point]
        if number == 0:
            sheet.line(points, colour, 2.2)
        else:
            for first in range(0, len(points) - 2, 8):
                sheet.line(points[first : first + 6], colour, 2.2)
