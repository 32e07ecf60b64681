"""Deltas: the four numbers between an anchor and a box, read both ways."""

import numpy as np
import torch
from PIL import Image

from mrcnn_edu.datasets import load_dataset
from mrcnn_edu.explorers.deltas import views
from mrcnn_edu.explorers.deltas.backdrop import FRAME, HEIGHT, WIDTH
from mrcnn_edu.explorers.deltas.reading import NAMES, State, describe
from mrcnn_edu.explorers.toolkit.base import Explorer
from mrcnn_edu.explorers.toolkit.controls import Choice, Number, Toggle
from mrcnn_edu.explorers.toolkit.memory import Memory
from mrcnn_edu.explorers.toolkit.paint import DASHES, SCALE, Sheet
from mrcnn_edu.explorers.toolkit.window import Window, cut_to, frame_box, photograph
from mrcnn_edu.figures import PALETTE
from mrcnn_edu.model.anchors import cell_anchors
from mrcnn_edu.model.boxes import decode, encode
from mrcnn_edu.model.config import Config, preset

SIDES = ("x1", "y1", "x2", "y2")
SCENE, CELL, LEVEL = 17, (48.0, 64.0), 1  # of the generated scenes one with a triangle, and a cell of P3 beside it
LEAST = 1.0  # pixels, the shortest side of a box
WEIGHTS = {
    "RPN (1, 1, 1, 1)": (1.0, 1.0, 1.0, 1.0),
    f"box head ({', '.join(f'{w:g}' for w in Config().bbox_reg_weights)})": Config().bbox_reg_weights,
}
REACH = ((-2.0, 2.0), (-2.0, 2.0), (-3.0, 5.0), (-3.0, 5.0))  # of the sliders for dx, dy, dw, dh, without weights
BOX, ANCHOR = "the box b", "the anchor a"
SHOWN = 2.4  # how many times the longer side of anchor and box the picture shows


def at_cell(level: int, corner: tuple[float, float]) -> torch.Tensor:
    """The anchors (A, 4) that the lessons' model has on one level for the cell with this corner (x, y)."""
    lesson = preset("lesson")
    return cell_anchors(lesson.anchor_sizes[level], lesson.anchor_ratios) + torch.tensor(corner * 2)


def beside(box: torch.Tensor) -> torch.Tensor:
    """The anchors (A, 4) nearest to a box in size, at the cell that its centre lies in."""
    sides = box[2:] - box[:2]
    scales = torch.tensor(preset("lesson").anchor_sizes)[:, 0]
    level = int((scales.log() - sides.prod().sqrt().log()).abs().argmin())
    stride = 4 * 2**level
    corner = ((box[:2] + sides / 2) // stride * stride).tolist()
    return at_cell(level, tuple(corner))


class Deltas(Explorer):
    """Anchor and box, and the deltas dx, dy, dw, dh between them: move either, the other follows.

    image    (3, H, W) in [0, 1]; None: a generated scene
    boxes    (G, 4) the objects' boxes, xyxy, pixels; the first is where the box begins
    anchors  (A, 4) anchors to choose between; None: those of a cell beside the first object
    raises   ValueError if there is an image without boxes
    """

    name = "Deltas"
    margin = "2px 4px 2px 2px"
    own = ("_anchor", "_box", "_deltas")
    reset_row = 0
    width, height = WIDTH, HEIGHT
    caption = (
        "Drag the box, or the dashed anchor, by an edge, a corner or its middle; the arrow keys move the box by one "
        "pixel, with Shift by a tenth. The deltas follow (encode). Or move a delta, and the box follows (decode). A "
        "click on an object sets the box around it."
    )

    def __init__(self, image=None, boxes=None, anchors=None):
        if image is None:
            image, truth = load_dataset("shapes", split="val")[SCENE]
            boxes, anchors = truth["boxes"], at_cell(LEVEL, CELL)
        if boxes is None or not len(boxes):
            raise ValueError("Deltas needs an object to set a box around: Deltas(image, boxes), boxes (G, 4), G ≥ 1")
        if anchors is None:
            anchors = beside(torch.as_tensor(boxes, dtype=torch.float32)[0])
        self.photo = photograph(image)
        self.objects, self.anchors = (torch.as_tensor(part, dtype=torch.float32) for part in (boxes, anchors))
        self._pieces = Memory()
        names = [f"{x2 - x1:.0f} × {y2 - y1:.0f}" for x1, y1, x2, y2 in self.anchors.tolist()]
        self._anchor_of = {f"{n + 1}: {name}": n for n, name in enumerate(names)}
        self.anchor_choice = Choice("anchor", "Anchor", list(self._anchor_of), width="180px")
        self.codec = Choice("weights", "Weights", list(WEIGHTS), width="270px")
        self.twice = Toggle("twice", "everything twice as large")
        self.held = Choice("held", "x1 to y2 move", [BOX, ANCHOR], width="180px")
        self.sides = [Number(name, name, 0.0, 1.0, 0.1, width="145px") for name in SIDES]
        self.four = [Number(name, name, -1.0, 1.0, 0.001, 0.0, width="145px") for name in NAMES]
        self._anchor = self.anchors[0].clone()
        self._box, self._deltas = self.objects[0].clone(), torch.zeros(4)
        self._encode()
        self._show()
        self.start(self.anchor_choice, self.codec, self.twice, self.held, *self.sides, *self.four)

    @property
    def scale(self) -> int:
        """1, or 2 where everything is twice as large."""
        return 2 if self.twice.value else 1

    @property
    def anchor(self) -> torch.Tensor:
        """(4,) the anchor in pixels of the picture as it is shown: the chosen one, or where a hand has moved it."""
        return self._anchor * self.scale

    @property
    def weights(self) -> tuple[float, ...]:
        """Of the codec."""
        return WEIGHTS[self.codec.value]

    @property
    def state(self) -> State:
        """What is drawn now."""
        window = self.window
        piece, beyond = self._piece(window), not self._fits(window.place(self.anchor))
        shown = self.weights, self.scale, window, piece, (ANCHOR, BOX).index(self.held.value), beyond
        return State(self.anchor, self._box, self._deltas, *shown)

    @property
    def window(self) -> Window:
        """A square of the picture around the objects' first box; the same number of pixels whatever the scale."""
        ends = torch.cat([self.objects[:1], self.anchors])
        side = max(float((ends[:, 2:] - ends[:, :2]).max()) * SHOWN, 8.0)
        side = min(side, max(self.photo.size))
        middle = (self.anchors[0, :2] + self.anchors[0, 2:]) / 2
        corner = []
        for centre, length in zip(middle.tolist(), self.photo.size, strict=True):
            spare = max(length * self.scale - side, 0)
            corner.append(min(max(centre * self.scale - side / 2, 0), spare))
        return Window(FRAME, (*corner, corner[0] + side, corner[1] + side))

    def _piece(self, window: Window) -> Image.Image:
        def make() -> Image.Image:
            size = tuple(round(v * SCALE) for v in FRAME[2:])
            place = tuple(v / scale for v in window.piece)
            smooth = Image.Resampling.BICUBIC
            piece = self.photo.transform(size, Image.Transform.EXTENT, place, smooth, fillcolor="#FFFFFF")
            return Image.blend(piece, Image.new("RGB", size, "white"), 0.15)

        scale = self.scale
        return self._pieces.get(scale, make)

    def lines(self):
        return (self.anchor_choice, self.codec, self.held, self.twice), self.sides, self.four

    def changed(self, name: str, value) -> None:
        if name in SIDES:
            self._move_side(SIDES.index(name), value)
        elif name in NAMES:
            self._deltas[NAMES.index(name)] = value
            self._decode(NAMES.index(name) % 2)
        elif name == "twice":
            self._box = self._box * (2.0 if value else 0.5)
        elif name == "anchor":
            self._anchor = self.anchors[self._anchor_of[value]].clone()
            self._encode()
        else:
            self._encode()
        self._show(but=name)

    def _move_side(self, i: int, value: float) -> None:
        """Side i of the box or anchor to `value`; the other is pushed where it would turn inside out."""
        moved = self.anchor.clone() if self.held.value == ANCHOR else self._box
        moved[i] = value
        other = (i + 2) % 4
        if i < 2:
            moved[other] = max(float(moved[other]), value + LEAST)
        else:
            moved[other] = min(float(moved[other]), value - LEAST)
        if self.held.value == ANCHOR:
            self._anchor = moved / self.scale
        self._encode(i % 2)

    def _encode(self, *axes: int) -> None:
        """The deltas from the box, for the axes named (0: x, 1: y) or both."""
        found = encode(self._box[None], self.anchor[None], self.weights)[0]
        for axis in axes or (0, 1):
            self._deltas[axis::2] = found[axis::2]

    def _decode(self, axis: int) -> None:
        """The box from the deltas, along one axis: what the other holds stays to the last digit."""
        self._box[axis::2] = decode(self._deltas[None], self.anchor[None], self.weights)[0, axis::2]

    def _show(self, but: str = "") -> None:
        """Bring every control but one in line with box and deltas, without being called for it."""
        limits = [(0.0, float(length * self.scale)) for length in self.photo.size] * 2
        limits += [(low * w, high * w) for (low, high), w in zip(REACH, self.weights, strict=True)]
        shown = self.anchor if self.held.value == ANCHOR else self._box
        values = [*shown.tolist(), *self._deltas.tolist()]
        for control, (low, high), value in zip((*self.sides, *self.four), limits, values, strict=True):
            if control.name == but:
                continue
            # A box may reach beyond the picture; its numbers are shown all the same.
            control.limit(min(low, float(np.floor(value))), max(high, float(np.ceil(value))))
            control.hush(control.nearest(value))

    def draw(self) -> Sheet:
        sheet, state = Sheet(self.width, self.height), self.state
        self.unit = state.window.zoom
        views.draw(sheet, state)
        if not self._fits(self.window.place(self._box)) and self._on_frame():
            sheet.box(cut_to(FRAME, state.window.place(self._box)), PALETTE["prediction"], 3)
        return sheet

    def describe(self) -> str:
        return describe(self.state)

    def _on_frame(self) -> bool:
        x1, y1, x2, y2 = cut_to(FRAME, self.window.place(self._box))
        return x1 < x2 and y1 < y2

    def _fits(self, place) -> bool:
        """Whether a place on the card lies in the frame: what reaches beyond it is not for the hand."""
        return max(abs(a - b) for a, b in zip(place, cut_to(FRAME, place), strict=True)) <= 1e-3

    def boxes(self) -> list[dict]:
        found, place = [], self.window.place(self.anchor)
        if self._fits(place):
            dash = " ".join(map(str, DASHES["anchor"]))
            found.append({"id": "anchor", "box": place, "colour": PALETTE["anchor"], "dash": dash, "keys": False})
        place = self.window.place(self._box)
        if self._fits(place):
            found.append({"id": "box", "box": place, "colour": PALETTE["prediction"], "dash": ""})
        return found

    def areas(self) -> list:
        return [cut_to(FRAME, self.window.place(box * self.scale)) for box in self.objects]

    def bounds(self) -> tuple[float, float, float, float]:
        return frame_box(FRAME)

    def dragged(self, name: str, box) -> None:
        x, y = FRAME[:2]
        left, top = self.window.piece[:2]
        places = [(v - (x, y)[i % 2]) / self.window.zoom + (left, top)[i % 2] for i, v in enumerate(box)]
        self._put(places, name)

    def _put(self, places, name: str = "box") -> None:
        """Box or anchor to `places`, on a grid of tenths of a pixel; what is only moved keeps its sides."""
        old = self.anchor if name == "anchor" else self._box
        wanted = torch.tensor(places, dtype=torch.float32)
        sides, before = wanted[2:] - wanted[:2], old[2:] - old[:2]
        corner = (wanted[:2] * 10).round() / 10
        if (sides - before).abs().max() < 0.02:
            end = corner + before
        else:
            end = torch.maximum((wanted[2:] * 10).round() / 10, corner + LEAST)
        if name == "anchor":
            self._anchor = torch.cat([corner, end]) / self.scale
        else:
            self._box = torch.cat([corner, end])
        self._encode()
        self._show()

    def clicked(self, x: float, y: float) -> None:
        point = self.window.unplace(x, y)
        if point is None:
            return
        for box in self.objects * self.scale:
            if box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]:
                self._put(box.tolist())
                self.redraw()
                return

    def pressed(self, key: str, shift: bool) -> None:
        by = 0.1 if shift else 1.0
        dx, dy = {"ArrowLeft": (-by, 0), "ArrowRight": (by, 0), "ArrowUp": (0, -by), "ArrowDown": (0, by)}[key]
        self._put([v + d for v, d in zip(self._box.tolist(), (dx, dy) * 2, strict=True)])
        self.redraw()
