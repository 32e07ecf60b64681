"""The walk of one instance as a list of six rows, each with a small picture and its numbers."""

import numpy as np

from mrcnn_edu.explorers.peel.reading import Walk
from mrcnn_edu.explorers.toolkit.paint import Sheet, heat
from mrcnn_edu.explorers.toolkit.window import Window
from mrcnn_edu.explorers.toolkit.words import signed
from mrcnn_edu.figures import PALETTE

PANEL = (576, 112, 328, 444)
ROWS = 6
EACH = PANEL[3] / ROWS
THUMB = 56
# Which stage each row belongs to, as its number in STAGES.
STAGE_OF_ROW = (1, 2, 3, 4, 4, 5)


def stage_at(x: float, y: float) -> int | None:
    """The stage whose row lies under a point of the card, or None."""
    left, top, width, height = PANEL
    if left <= x < left + width and top <= y < top + height:
        return STAGE_OF_ROW[int((y - top) / EACH)]
    return None


def size(box) -> str:
    """Width × height of a box in whole pixels."""
    return f"{box[2] - box[0]:.0f} × {box[3] - box[1]:.0f}"


def moves(deltas) -> str:
    """dx, dy, dw, dh with two digits; what rounds to nothing has no sign."""
    return " ".join(f"{name} {signed(value, 2)}" for name, value in zip(("dx", "dy", "dw", "dh"), deltas, strict=True))


def rows(scene, walk: Walk) -> list[tuple[str, str, str]]:
    """(what, numbers, more numbers) from the cell at the top to the mask at the bottom."""
    level, roi_level = scene.pyramid[walk.level], scene.pyramid[walk.roi_level]
    channels, side, _ = walk.roi_features.shape
    background = walk.probabilities[0]
    inside = int((walk.mask_logits > 0).sum())
    return [
        (
            f"Cell of {level.name}",
            f"row {walk.row}, column {walk.column} of {level.grid[0]} × {level.grid[1]}",
            f"stride {level.stride[1]}: {level.stride[1]} × {level.stride[0]} pixels",
        ),
        (
            "Anchor",
            f"{size(walk.anchor)}: size {walk.anchor_size:.0f}, ratio {walk.anchor_ratio:.2g}",
            f"number {walk.anchor_number + 1} of {level.anchors_per_cell} at this cell",
        ),
        (
            f"Proposal, rank {walk.proposal_rank + 1:,}",
            f"objectness {walk.objectness:.3f} (logit {signed(walk.objectness_logit, 1)})",
            moves(walk.deltas),
        ),
        (
            "RoI features",
            f"{channels} channels × {side} × {side}",
            f"read from {roi_level.name} by RoIAlign; bright: strong",
        ),
        (
            "Class and box",
            f"{scene.names[walk.label]} {walk.score:.3f}, background {background:.3f}",
            moves(walk.box_deltas),
        ),
        (
            "Mask",
            f"{walk.mask_logits.shape[0]} × {walk.mask_logits.shape[1]} logits, {inside} above 0",
            f"pasted into {size(walk.box)} pixels",
        ),
    ]


def draw(sheet: Sheet, scene, walk: Walk | None, instance: int, stage: int) -> None:
    """The list; the rows of the present stage are tinted, and arrows point the way back."""
    left, top, width, _ = PANEL
    if walk is None:
        sheet.text(left, top + 8, "No instance to follow", 14, "bold")
        sheet.text(left, top + 32, "Nothing here reached the score", 13, fill=PALETTE["faint"])
        sheet.text(left, top + 50, "from which detections are shown.", 13, fill=PALETTE["faint"])
        return
    heading = f"Instance {instance + 1} of {len(scene.walks)}"
    sheet.text(left, top - 30, heading, 13, "bold")
    note = "read upwards: the walk back"
    sheet.text(left + width, top - 29, note, 12, fill=PALETTE["faint"], anchor="ra")
    for number, (head, first, second) in enumerate(rows(scene, walk)):
        y = top + number * EACH
        on = STAGE_OF_ROW[number] == stage
        if on:
            sheet.fill((left - 6, y + 1, left + width, y + EACH - 2), "#E6EBEF", radius=8)
            sheet.fill((left - 6, y + 1, left - 2, y + EACH - 2), PALETTE["here"], radius=2)
        thumb(sheet, scene, walk, number, (left + 4, y + (EACH - THUMB) / 2, THUMB, THUMB))
        x = left + THUMB + 14
        sheet.text(x, y + 9, head, 13, "bold")
        sheet.text(x, y + 28, first, 12)
        sheet.text(x, y + 46, second, 12, fill=PALETTE["faint"])
        if number:
            sheet.arrow(left + 4 + THUMB / 2, y + 8, left + 4 + THUMB / 2, y - 7, PALETTE["faint"], 1.5, 7)


def surroundings(scene, walk: Walk) -> tuple[float, float, float, float]:
    """A square of the image that holds the anchor's centre, the proposal and the box, with room around."""
    boxes = np.stack([walk.anchor, walk.proposal, walk.box])
    x1, y1 = boxes[:, :2].min(0)
    x2, y2 = boxes[:, 2:].max(0)
    side = max(x2 - x1, y2 - y1) * 1.15
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    return cx - side / 2, cy - side / 2, cx + side / 2, cy + side / 2


def thumb(sheet: Sheet, scene, walk: Walk, number: int, frame) -> None:
    """The small picture of row `number`."""
    window = Window(frame, surroundings(scene, walk))
    if number == 3:
        sheet.picture(heat(np.abs(walk.roi_features).mean(0)), frame, smooth=False)
        return
    if number == 5:
        sheet.picture(heat(1 / (1 + np.exp(-walk.mask_logits)), 0, 1), frame, smooth=False)
        return
    sx, sy = scene.scale
    x1, y1, x2, y2 = window.piece
    sheet.picture(scene.photo.crop((round(x1 / sx), round(y1 / sy), round(x2 / sx), round(y2 / sy))), frame)
    if number == 0:
        stride_y, stride_x = scene.pyramid[walk.level].stride
        x, y = walk.column * stride_x, walk.row * stride_y
        sheet.box(window.place((x, y, x + stride_x, y + stride_y)), PALETTE["prediction"], 2)
    if number in (1, 2):
        sheet.box(window.place(walk.anchor), PALETTE["anchor"], 2, (4, 3), PALETTE["ink"])
    if number == 2:
        sheet.box(window.place(walk.proposal), PALETTE["proposal"], 2)
    if number == 4:
        sheet.box(window.place(walk.proposal), PALETTE["proposal"], 1.6, (4, 3))
        sheet.box(window.place(walk.box), PALETTE["prediction"], 2)
