"""What the explorer Proposals draws on its left: the picture with its boxes, the magnifier, and the legend."""

import numpy as np
from PIL import Image

from mrcnn_edu.explorers.proposals.reading import FOUND, FRAME, MAGNIFIER, MOST_FALLEN, MOST_WAITING, View, probability
from mrcnn_edu.explorers.toolkit.keys import Mark, frame, key, stroke
from mrcnn_edu.explorers.toolkit.memory import Memory
from mrcnn_edu.explorers.toolkit.paint import DASHES, SCALE, Sheet, mix
from mrcnn_edu.explorers.toolkit.window import Window
from mrcnn_edu.figures import PALETTE

MOST_OUTLINED = 25
MOST_CROSSED = 4  # more diagonals would hide the object
MOST_UNTOUCHED = 8
FEW = 60  # boxes that can be drawn in strong lines
UNTOUCHED = (2, 3)  # dashes of a box that overlaps the chosen one on another level
FADE = 0.3
FAINT = mix(PALETTE["suppressed"], "#FFFFFF", 0.7)
WAITING = mix(PALETTE["proposal"], "#FFFFFF", 0.6)
FAINT_DASH = (1.4, 4)  # of kept boxes that the RPN hardly calls objects: they are many
STRONG = "#B36B00"  # the proposal colour, darker: the box that is chosen now


def draw(sheet: Sheet, view: View, cache: Memory) -> None:
    """The picture with everything that `view` shows; `cache` keeps what does not change with the step."""
    picture(sheet, view, cache)
    if not view.calm:
        now(sheet, view, view.window)
    truths(sheet, view)
    if view.selected is not None:
        box = view.window.place(view.run.boxes[view.selected])
        sheet.box(box, PALETTE["ink"], 2.5, (2, 2))
        sheet.tag(box[0], box[3] + 21, f"clicked: {view.level(view.selected)}", PALETTE["ink"], 12)
    legend(sheet, view)


def faded(view: View, cache: Memory) -> Image.Image:
    """The photo, paler, at the size it has on the card."""

    def make() -> Image.Image:
        size = tuple(max(round(v * SCALE), 1) for v in view.window.frame[2:])
        photo = view.photo.resize(size, Image.Resampling.BICUBIC)
        return Image.blend(photo, Image.new("RGB", size, "white"), FADE)

    return cache.get("photo", make)


def picture(sheet: Sheet, view: View, cache: Memory) -> None:
    """The photo and the boxes of earlier and later steps."""
    sheet.picture(faded(view, cache), view.window.frame)
    boxes, window = view.run.boxes, view.window
    everything = view.show == "all boxes"
    if everything:
        outlines(sheet, window, boxes[view.fallen[-MOST_FALLEN:]], FAINT, 0.7)
    if everything or view.step == 0:
        outlines(sheet, window, boxes[view.waiting[:MOST_WAITING]], WAITING, 0.7)
    sure, unsure = by_score(view)
    strong = view.calm and len(view.survivors) < FEW
    outlines(sheet, window, boxes[unsure], PALETTE["proposal"], 0.7, FAINT_DASH)
    outlines(sheet, window, boxes[sure], PALETTE["proposal"], 2 if strong else 1.6, DASHES["proposal"])


def by_score(view: View) -> tuple[np.ndarray, np.ndarray]:
    """The boxes kept so far: those that the RPN rather calls an object, and the others."""
    sure = view.run.candidates.scores.numpy()[view.survivors] >= 0.5
    return view.survivors[sure], view.survivors[~sure]


def outlines(sheet: Sheet, window: Window, boxes: np.ndarray, colour: str, width: float, dash=None) -> None:
    """Many boxes of the image, (N, 4), cut at the window's frame; width and dash in CSS pixels.

    The dashes of all boxes fall in step, so that a thousand boxes cost no more than a pen's twenty.
    """
    if not len(boxes):
        return
    x, y, across, height = (round(v * SCALE) for v in window.frame)
    width = max(round(width * SCALE), 1)
    zoom = window.zoom * SCALE
    corners = (boxes - np.tile(window.piece[:2], 2)) * zoom
    corners = np.rint(corners).clip(0, [across, height, across, height]).astype(int)
    # Only the part that holds the boxes is made and pasted.
    start, end = corners[:, :2].min(0), np.maximum(corners[:, 2:].max(0), corners[:, :2].min(0) + 1)
    flat, upright = np.zeros((2, *(end - start)[::-1]), np.uint8)
    for x1, y1, x2, y2 in (corners - np.tile(start, 2)).tolist():
        low, right = max(y2 - width, y1), max(x2 - width, x1)
        flat[y1 : y1 + width, x1:x2] = 255
        flat[low : low + width, x1:x2] = 255
        upright[y1:y2, x1 : x1 + width] = 255
        upright[y1:y2, right : right + width] = 255
    if dash is not None:
        on, period = round(dash[0] * SCALE), round(sum(dash) * SCALE)
        flat *= np.arange(start[0], end[0]) % period < on
        upright *= (np.arange(start[1], end[1]) % period < on)[:, None]
    sheet.image.paste(colour, (x + int(start[0]), y + int(start[1])), Image.fromarray(flat | upright))


def now(sheet: Sheet, view: View, window: Window, tags: bool = True) -> None:
    """What the present step does: the chosen box, those it suppresses, those of other levels that it does not touch."""
    if view.chosen is None:
        return
    crossed = [*view.victims[: MOST_CROSSED - 1], *view.victims[MOST_CROSSED - 1 :][-1:]]
    outlines(sheet, window, view.run.boxes[view.victims[:MOST_OUTLINED]], PALETTE["suppressed"], 1)
    for box in crossed:
        cross(sheet, window.place(view.run.boxes[box]), 1.4)
    outlines(sheet, window, view.run.boxes[view.untouched[0][:MOST_UNTOUCHED]], PALETTE["proposal"], 1.8, UNTOUCHED)
    place = window.place(view.run.boxes[view.chosen])
    sheet.box(place, STRONG, 3.5)
    if tags:
        words = f"{view.level(view.chosen)}: {probability(view.score(view.chosen))}"
        y = place[1] - 2 if place[1] > FRAME[1] + 20 else place[3] + 21
        sheet.tag(place[0], min(y, FRAME[1] + FRAME[3]), words, STRONG)


def cross(sheet: Sheet, box, width: float) -> None:
    """A suppressed box: grey, with both diagonals."""
    x1, y1, x2, y2 = box
    sheet.box(box, PALETTE["suppressed"], width, halo=None)
    sheet.line((x1, y1, x2, y2), PALETTE["suppressed"], width)
    sheet.line((x1, y2, x2, y1), PALETTE["suppressed"], width)


def truths(sheet: Sheet, view: View) -> None:
    """The true boxes that no survivor covers yet; at the end they are missed."""
    best = view.covered()
    if best is None:
        return
    for box, iou in zip(view.run.truth.tolist(), best.tolist(), strict=True):
        if iou >= FOUND:
            continue
        place = view.window.place(box)
        sheet.box(place, PALETTE["ground truth"], 3 if view.last else 1.4)
        if view.last:
            y = place[1] - 2 if place[1] > FRAME[1] + 20 else place[3] - 2
            sheet.tag(place[0], y, "missed", PALETTE["ground truth"])


def magnifier(sheet: Sheet, view: View, cache: Memory) -> None:
    """The chosen box and its competitors, larger."""
    pale = cache.get("pale", lambda: Image.blend(view.photo, Image.new("RGB", view.photo.size, "white"), FADE))
    window = view.magnified()
    sx, sy = view.scale
    x1, y1, x2, y2 = window.piece
    pixels = (round(MAGNIFIER[2] * SCALE), round(MAGNIFIER[3] * SCALE))
    piece = pale.transform(
        pixels,
        Image.Transform.EXTENT,
        (x1 / sx, y1 / sy, x2 / sx, y2 / sy),
        Image.Resampling.BILINEAR,
        fillcolor="#FFFFFF",
    )
    sheet.picture(piece, MAGNIFIER)
    now(sheet, view, window, tags=False)
    x, y, width, height = MAGNIFIER
    sheet.box((x, y, x + width, y + height), PALETTE["faint"], 1, halo=None)


def legend(sheet: Sheet, view: View) -> None:
    """What the lines mean, and how many boxes are not drawn."""
    entries = []
    if view.chosen is not None and not view.calm:
        entries += [(stroke(STRONG, 3.5), "chosen"), (CROSSED, "suppressed now")]
        if len(view.untouched[0]):
            entries.append((frame(PALETTE["proposal"], 1.8, UNTOUCHED, size=SMALL), "other level, stays"))
    sure, unsure = by_score(view)
    if len(sure):
        entries.append((stroke(PALETTE["proposal"], 2.5, (9, 4)), f"kept ({len(sure):,})"))
    if len(unsure):
        faint = frame(PALETTE["proposal"], 0.7, FAINT_DASH, size=SMALL)
        entries.append((faint, f"kept, objectness < ½ ({len(unsure):,})"))
    best = view.covered()
    if best is not None and (best < FOUND).any():
        words = "missed" if view.last else "true, not covered yet"
        entries.append((stroke(PALETTE["ground truth"]), f"{words} ({int((best < FOUND).sum())})"))
    if view.show == "all boxes" and len(view.fallen):
        entries.append((stroke(FAINT, 1.2), some("suppressed before", view.fallen, MOST_FALLEN)))
    if len(view.waiting) and (view.show == "all boxes" or view.step == 0):
        words = "beyond top-n" if view.last else "waiting"
        entries.append((stroke(WAITING, 1.2), some(words, view.waiting, MOST_WAITING)))
    x, y, width, height = FRAME
    key(sheet, x, y + height + 16, entries, right=x + width + 4)


SMALL = (18, 12)  # a box in the key
CROSSED = Mark(SMALL[0], lambda sheet, x, y: cross(sheet, (x, y - SMALL[1] / 2, x + SMALL[0], y + SMALL[1] / 2), 1.5))


def some(words: str, boxes, most: int) -> str:
    """How many there are, and how many of them are drawn."""
    return f"{words} ({len(boxes):,})" if len(boxes) <= most else f"{words} ({len(boxes):,}, {most} drawn)"
