"""What Peel draws: the six stages on the left, the walk of one instance on the right."""

import numpy as np
from PIL import Image

from mrcnn_edu.explorers.peel import panel
from mrcnn_edu.explorers.peel.reading import FRAME, Scene, Walk
from mrcnn_edu.explorers.toolkit.keys import Mark, dot, key, stroke
from mrcnn_edu.explorers.toolkit.paint import DASHES, SCALE, Sheet, heat, mix
from mrcnn_edu.explorers.toolkit.window import Window, cut_to, frame_box
from mrcnn_edu.explorers.toolkit.words import counted
from mrcnn_edu.figures import INSTANCES, PALETTE

STAGES = ("Pixels", "Features", "Anchors", "Proposals", "Boxes", "Masks")
FORMULAS = (
    "I",
    "F = Backbone(I)",
    "where {R_i} start",
    "{R_i} = RPN(F)",
    "p_i, b_i = Classifier(F_{R_i})",
    "M_i = MaskHead(F_{R_i})",
)
BREADCRUMB = (16, 12, 888, 28)
KEY_DASH = (9, 4)
THUMBS, MOST_THUMB = 112, 108  # width of the levels' small maps, and the most height for each
FEATURES = STAGES.index("Features")
MOST_PROPOSALS = 150  # drawn at once; more would hide the picture


def stage_areas() -> list[tuple[float, float, float, float]]:
    """Where a click chooses a stage: the names in the top line, and the list of the walk."""
    return [frame_box(BREADCRUMB), frame_box(panel.PANEL)]


def stage_at(x: float, y: float) -> int | None:
    """The stage whose name in the top line, or whose row in the list, lies under a point of the card."""
    left, top, width, height = BREADCRUMB
    if top <= y < top + height and left <= x < left + width:
        return int((x - left) / width * len(STAGES))
    return panel.stage_at(x, y)


def draw(sheet: Sheet, scene: Scene, stage: int, instance: int, level: int | None = None) -> None:
    """The whole card: top line, title, the stage's picture, the legend, and the walk.

    level  whose features are shown, index into the levels; None for that of the instance's anchor
    """
    walk = scene.walks[instance] if scene.walks else None
    breadcrumb(sheet, stage)
    sheet.text(16, 52, title(scene, stage, walk), 16, "bold")
    sheet.paragraph(16, 74, FRAME[2], finding(scene, stage, walk, level), 12.5, fill=PALETTE["faint"])
    sheet.formula(904, 68, FORMULAS[stage], 16)
    VIEWS[stage](sheet, scene, walk, instance, level)
    legend(sheet, stage, walk)
    panel.draw(sheet, scene, walk, instance, stage)


def breadcrumb(sheet: Sheet, stage: int) -> None:
    """The six stages as a line of pills, the present one dark."""
    left, top, width, height = BREADCRUMB
    each = width / len(STAGES)
    for number, name in enumerate(STAGES):
        x = left + number * each
        on = number == stage
        face = PALETTE["here"] if on else "#DFE5EA" if number < stage else "#F3F5F7"
        sheet.fill((x + 2, top, x + each - 2, top + height), face, radius=14)
        ink = "#FFFFFF" if on else PALETTE["ink"]
        sheet.text(x + each / 2, top + height / 2, name, 13, "bold" if on else "regular", ink, anchor="mm")


def title(scene: Scene, stage: int, walk: Walk | None) -> str:
    """The finding of a stage, with its numbers."""
    found = len(scene.walks)
    return (
        f"A picture of {scene.photo.width} × {scene.photo.height} pixels is a table of numbers",
        f"The backbone writes {next(iter(scene.stages.features.values())).shape[1]} numbers into every cell",
        f"{len(scene.stages.anchors):,} anchors: the same boxes for every picture of this size",
        f"{len(scene.stages.proposals[0]):,} proposals: places worth a closer look",
        f"{counted(found, 'box')} remain{'s' if found == 1 else ''}, each with a class",
        f"{counted(found, 'mask')}: one for each object, not one for each class",
    )[stage]


def finding(scene: Scene, stage: int, walk: Walk | None, chosen: int | None = None) -> str:
    """How to read the picture of a stage."""
    if walk is None:
        return nothing(scene)
    level, anchor_level = scene.pyramid[walk.roi_level], scene.pyramid[walk.level]
    shown = scene.pyramid[level_shown(walk, chosen)]
    name = scene.names[walk.label]
    return (
        "Three numbers a pixel, equal in a grey photo: 0 to 255 in a file, divided by 255 for the model. "
        f"The model resizes the picture to {scene.size[1]} × {scene.size[0]}.",
        f"Shown: level {shown.name}, one cell for {shown.stride[1]} × {shown.stride[0]} pixels. Bright: the cell's "
        "numbers are large. A click on a small map shows that level.",
        f"Every cell of {anchor_level.name} carries {anchor_level.anchors_per_cell} anchors, centred on its upper left "
        f"corner. The dots are those corners; drawn in full: the anchors of one cell.",
        f"The anchor (dashed) was moved and stretched onto the object. Thin: other "
        f"proposals, at most {MOST_PROPOSALS} of them.",
        f"From its RoI on {level.name}: {name} with probability {walk.score:.2f}, and a last correction of the box.",
        f"Of the mask head's maps, one for each class, the object's own is kept: {walk.mask_logits.shape[0]} × "
        f"{walk.mask_logits.shape[1]} numbers. Pasted into its box they give the outline.",
    )[stage]


def nothing(scene: Scene) -> str:
    """What one can do where no detection scores high enough."""
    classes = ", ".join(scene.names[1:6]) + (", …" if len(scene.names) > 6 else "")
    if scene.best:
        return (
            f"Nothing scores high enough; the best score is {scene.best:.2f}. Lower the score slider, or choose "
            f"another picture. This model knows only: {classes}."
        )
    return f"The model found no object here. Choose another picture. This model knows only: {classes}."


def describe(scene: Scene, stage: int, instance: int, level: int | None = None) -> str:
    """The card in words."""
    walk = scene.walks[instance] if scene.walks else None
    words = f"Stage {STAGES[stage].lower()}. {title(scene, stage, walk)}. {finding(scene, stage, walk, level)}"
    if walk is not None:
        words += f" Instance {instance + 1} of {len(scene.walks)}, read upwards: "
        words += "; ".join(f"{head}: {line}" for head, line, *_ in reversed(panel.rows(scene, walk))) + "."
    return words


def photo(sheet: Sheet, scene: Scene, fade: float = 0.0) -> None:
    """The picture, blended with white by the share `fade`."""

    def make() -> Image.Image:
        _, _, width, height = (round(v * SCALE) for v in scene.window.frame)
        picture = scene.photo.resize((width, height), Image.Resampling.BICUBIC)
        return Image.blend(picture, Image.new("RGB", picture.size, "white"), fade)

    sheet.picture(scene.cache.get(fade, make), scene.window.frame)


def view_pixels(sheet: Sheet, scene: Scene, walk: Walk | None, instance: int, level: int | None) -> None:
    """The photo, and a few of its pixels under a magnifier with their numbers."""
    photo(sheet, scene)
    pixels = np.asarray(scene.photo)
    grey = bool((pixels == pixels[..., :1]).all())
    columns, rows = (7, 5) if grey else (5, 3)
    columns, rows = min(columns, scene.photo.width), min(rows, scene.photo.height)
    x, y = rim(scene, instance) if walk is not None else (scene.photo.width // 2, scene.photo.height // 2)
    left = min(max(x - columns // 2, 0), scene.photo.width - columns)
    top = min(max(y - rows // 2, 0), scene.photo.height - rows)
    sx, sy = scene.scale
    spot = scene.window.place((left * sx, top * sy, (left + columns) * sx, (top + rows) * sy))
    wide, high = (38, 32) if grey else (46, 50)
    fx, fy, fw, fh = scene.window.frame
    x0 = fx + 8 if spot[0] > fx + fw / 2 else fx + fw - columns * wide - 8
    y0 = fy + fh - rows * high - 8 if spot[1] < fy + fh / 2 else fy + 8
    sheet.fill((x0 - 4, y0 - 4, x0 + columns * wide + 4, y0 + rows * high + 4), "#FFFFFF", radius=6)
    for row in range(rows):
        for column in range(columns):
            colour = [int(v) for v in pixels[top + row, left + column]]
            cell = (x0 + column * wide, y0 + row * high, x0 + (column + 1) * wide - 1, y0 + (row + 1) * high - 1)
            face = "#{:02X}{:02X}{:02X}".format(*colour)
            sheet.fill(cell, face)
            ink = "#FFFFFF" if np.dot(colour, (0.3, 0.59, 0.11)) < 128 else PALETTE["ink"]
            lines = [str(colour[0])] if grey else [str(v) for v in colour]
            for n, words in enumerate(lines):
                middle = (cell[1] + cell[3]) / 2 + (n - (len(lines) - 1) / 2) * 15
                sheet.text((cell[0] + cell[2]) / 2, middle, words, 12, "mono", ink, anchor="mm")
    sheet.box(spot, PALETTE["prediction"], 2.5)


def rim(scene: Scene, instance: int) -> tuple[int, int]:
    """A pixel of the given image on the left rim of an instance's mask, halfway down."""
    mask, (left, top) = scene.masks[instance]
    row = mask.shape[0] // 2
    inside = np.nonzero(mask[row] >= 0.5)[0]
    return left + int(inside[0] if len(inside) else mask.shape[1] // 2), top + row


def level_shown(walk: Walk | None, chosen: int | None) -> int:
    """The level whose features are shown: the chosen one, else that of the instance's anchor."""
    return chosen if chosen is not None else 0 if walk is None else walk.level


def window_of(scene: Scene, stage: int) -> Window:
    """Where the picture stands on the card in a stage: at Features there is room for the small maps beside it."""
    if stage != FEATURES:
        return scene.window
    x, y, width, height = FRAME
    frame = x, y, width - THUMBS - 12, height - 56
    return Window.fit(frame, (0, 0, scene.size[1], scene.size[0]), top=True)


def thumb_tops(scene: Scene) -> list[float]:
    """Where the small map of each level begins, with its name."""
    each = min(FRAME[3] / len(scene.pyramid), MOST_THUMB)
    return [FRAME[1] + number * each for number in range(len(scene.pyramid))]


def thumbs(scene: Scene) -> list[Window]:
    """Where the small map of each level stands."""
    x, _, width, height = FRAME
    each = min(height / len(scene.pyramid), MOST_THUMB)
    left, piece = x + width - THUMBS, (0, 0, scene.size[1], scene.size[0])
    return [Window.fit((left, top + 17, THUMBS, each - 23), piece) for top in thumb_tops(scene)]


def view_features(sheet: Sheet, scene: Scene, walk: Walk | None, instance: int, level: int | None) -> None:
    """One level large, every level small beside it; where it is the walk's, its cell with all its numbers."""
    window, level = window_of(scene, FEATURES), level_shown(walk, level)
    sheet.picture(heat(scene.feature_strength(level)), window.frame, smooth=False)
    if walk is not None:
        sheet.box(window.place(cell_of(scene, walk)), PALETTE["prediction"], 2.5)
        numbers = list(scene.stages.features.values())[walk.level][0, :, walk.row, walk.column].abs().float().numpy()
        below = window.frame[1] + window.frame[3]
        of = f"the marked cell of {scene.pyramid[walk.level].name}"
        sheet.text(FRAME[0], below + 8, f"the {len(numbers)} numbers of {of}:", 12)
        sheet.picture(heat(numbers[None]), (FRAME[0], below + 28, FRAME[2] - THUMBS - 12, 22), smooth=False)
    for number, (lv, top, thumb) in enumerate(zip(scene.pyramid, thumb_tops(scene), thumbs(scene), strict=True)):
        tx, ty, tw, th = thumb.frame
        weight = "bold" if number == level else "regular"
        left = FRAME[0] + FRAME[2] - THUMBS
        sheet.text(left, top, f"{lv.name}: {lv.grid[0]} × {lv.grid[1]}", 12, weight)
        sheet.picture(heat(scene.feature_strength(number)), thumb.frame, smooth=False)
        if number == level:
            sheet.box((tx - 2, ty - 2, tx + tw + 2, ty + th + 2), PALETTE["prediction"], 2.5, halo=None)


def cell_of(scene: Scene, walk: Walk) -> tuple[float, float, float, float]:
    """The cell of a walk's anchor, in pixels of the resized image."""
    sy, sx = scene.pyramid[walk.level].stride
    return walk.column * sx, walk.row * sy, (walk.column + 1) * sx, (walk.row + 1) * sy


def view_anchors(sheet: Sheet, scene: Scene, walk: Walk | None, instance: int, level: int | None) -> None:
    """The grid of the walk's level as dots, and all anchors of its cell."""
    photo(sheet, scene, fade=0.45)
    if walk is None:
        return
    level = scene.pyramid[walk.level]
    x, y, width, height = scene.window.frame
    zoom = scene.window.zoom
    step = max(1, int(np.ceil(7 / (level.stride[1] * zoom))))
    for row in range(0, int(scene.size[0] / level.stride[0]) + 1, step):
        for column in range(0, int(scene.size[1] / level.stride[1]) + 1, step):
            sheet.dot(x + column * level.stride[1] * zoom, y + row * level.stride[0] * zoom, 1.1, PALETTE["here"])
    first = level.first_anchor + (walk.row * level.grid[1] + walk.column) * level.anchors_per_cell
    for number in range(level.anchors_per_cell):
        box = inside(scene.window.place(scene.stages.anchors[first + number]))
        chosen = number == walk.anchor_number
        halo = PALETTE["ink"] if chosen else PALETTE["ink"] + "70"
        sheet.box(box, PALETTE["anchor"], 3.5 if chosen else 1.6, DASHES["anchor"], halo)
    corner = scene.window.place((*cell_of(scene, walk)[:2], 0, 0))[:2]
    sheet.dot(*corner, 5, PALETTE["prediction"], "#FFFFFF")


def inside(box) -> tuple[float, float, float, float]:
    """A box cut to the left part of the card, so that large anchors do not run into the text."""
    x, y, width, height = FRAME
    return cut_to((x - 8, y - 4, width + 16, height + 8), box)


def view_proposals(sheet: Sheet, scene: Scene, walk: Walk | None, instance: int, level: int | None) -> None:
    """The best proposals, stronger where objectness is higher, and the chosen one with its anchor."""
    photo(sheet, scene, fade=0.35)
    scores = scene.stages.proposal_scores[0][:MOST_PROPOSALS].tolist()
    boxes = scene.stages.proposals[0][:MOST_PROPOSALS].tolist()
    for box, score in reversed(list(zip(boxes, scores, strict=True))):
        sheet.box(scene.window.place(box), PALETTE["proposal"] + f"{round(60 + 160 * score):02X}", 1.2, halo=None)
    if walk is None:
        return
    anchor, proposal = scene.window.place(walk.anchor), scene.window.place(walk.proposal)
    sheet.box(inside(anchor), PALETTE["anchor"], 3, DASHES["anchor"], PALETTE["ink"])
    sheet.box(proposal, PALETTE["proposal"], 3.5)
    sheet.tag(proposal[0], proposal[1] - 2, f"objectness {walk.objectness:.3f}", PALETTE["proposal"])


def view_boxes(sheet: Sheet, scene: Scene, walk: Walk | None, instance: int, level: int | None) -> None:
    """All final boxes; the chosen one with its class and the proposal it was refined from."""
    photo(sheet, scene, fade=0.15)
    for number, other in enumerate(scene.walks):
        if number != instance:
            sheet.box(scene.window.place(other.box), mix(PALETTE["prediction"], "#FFFFFF", 0.8), 1.8)
    if walk is None:
        return
    box = scene.window.place(walk.box)
    sheet.box(scene.window.place(walk.proposal), PALETTE["proposal"], 2.5, DASHES["proposal"])
    sheet.box(box, PALETTE["prediction"], 3.5)
    sheet.tag(box[0], box[1] - 2, f"{scene.names[walk.label]} {walk.score:.2f}", PALETTE["prediction"])


def view_masks(sheet: Sheet, scene: Scene, walk: Walk | None, instance: int, level: int | None) -> None:
    """Every instance in a colour of its own; the chosen one outlined strongly and named."""
    photo(sheet, scene)
    sx, sy = scene.scale
    window = Window(scene.window.frame, (0, 0, scene.photo.width, scene.photo.height))
    if abs(sx - sy) > 0.02 * sx:  # an image whose sides were scaled apart is drawn by its width
        window = Window.fit(scene.window.frame, window.piece)
    for number, (mask, corner) in enumerate(scene.masks):
        chosen = number == instance
        colour = INSTANCES[number % len(INSTANCES)]
        sheet.mask(mask, corner, window, colour, 0.5 if chosen else 0.42, 4 if chosen else 2)
    for number, other in enumerate(scene.walks):
        x1, y1, x2, y2 = scene.window.place(other.box)
        if number != instance and min(x2 - x1, y2 - y1) > 22:
            sheet.text(
                (x1 + x2) / 2, (y1 + y2) / 2, str(number + 1), 12, "bold", "#FFFFFF", anchor="mm", rim=PALETTE["ink"]
            )
    if walk is not None:
        box = scene.window.place(walk.box)
        sheet.box(box, PALETTE["prediction"], 2.5)
        sheet.tag(
            box[0], box[1] - 2, f"{instance + 1}: {scene.names[walk.label]} {walk.score:.2f}", PALETTE["prediction"]
        )


def colour_mark(value: float) -> Mark:
    """A piece of a feature map, its weakest cell at 0, its strongest at 1."""
    piece = heat(np.array([[value]]), 0, 1)
    return Mark(20, lambda sheet, x, y: sheet.picture(piece, (x, y - 6, 20, 13)))


def line_of(kind: str, dashed: bool = False, width: float = 3.5) -> Mark:
    """The line of one of the palette's kinds."""
    return stroke(PALETTE[kind], width, KEY_DASH if dashed else None)


# Of each stage (mark, words, whether it speaks of the chosen instance and is left out where there is none).
LEGENDS = (
    ((line_of("prediction"), "the pixels under the magnifier", True),),
    (
        (line_of("prediction"), "the cell this instance came from", True),
        (colour_mark(0.0), "weak", False),
        (colour_mark(1.0), "strong", False),
    ),
    (
        (line_of("anchor", dashed=True), "this instance's anchor", True),
        (line_of("anchor", dashed=True, width=1.5), "the others of its cell", True),
        (dot(PALETTE["prediction"], 5), "the cell's corner", True),
    ),
    (
        (line_of("anchor", dashed=True), "anchor", True),
        (line_of("proposal"), "its proposal", True),
        (line_of("proposal", width=1.5), "other proposals", True),
    ),
    ((line_of("proposal", dashed=True), "proposal", True), (line_of("prediction"), "final box", True)),
    ((line_of("prediction"), "chosen instance", True), (None, "colours tell instances apart, not classes", False)),
)
WALK_LEGEND = (
    (line_of("anchor", dashed=True), "anchor"),
    (line_of("proposal"), "proposal"),
    (line_of("prediction"), "box"),
)


def legend(sheet: Sheet, stage: int, walk: Walk | None) -> None:
    """What the marks mean, under the picture and under the walk's small pictures."""
    y = FRAME[1] + FRAME[3] + 24
    key(sheet, FRAME[0], y, [(mark, words) for mark, words, own in LEGENDS[stage] if walk is not None or not own])
    if walk is not None:
        key(sheet, panel.PANEL[0] + 4, y, WALK_LEGEND)


VIEWS = (view_pixels, view_features, view_anchors, view_proposals, view_boxes, view_masks)
