"""RoI Align: one region, dragged over the feature grid by tenths of a pixel, and read both ways."""

import torch

from mrcnn_edu.explorers.roi_align import grid, views
from mrcnn_edu.explorers.roi_align.reading import Reading, RoIScene
from mrcnn_edu.explorers.toolkit.base import Explorer
from mrcnn_edu.explorers.toolkit.controls import Choice, Number, Toggle
from mrcnn_edu.explorers.toolkit.memory import Memory
from mrcnn_edu.explorers.toolkit.paint import Sheet
from mrcnn_edu.explorers.toolkit.window import cut_to, frame_box
from mrcnn_edu.figures import PALETTE

SIDES = ("x1", "y1", "x2", "y2")
LEAST = 1.0  # pixels, the shortest side of the RoI
SAMPLES = {"1": 1, "2": 2, "3": 3, "4": 4, "adaptive": 0}
VIEWS = {"8 cells": 8, "16 cells": 16, "whole map": 0}

TENTHS = 10  # of a cell, that the region glides to either side


class RoIAlign(Explorer):
    """Drag a RoI over the feature grid; see every sample, its weights, and what RoIPool would have read.

    model   a MaskRCNN with class names
    images  {name: (3, H, W) float image in [0, 1]}; more can come later through `add`
    masks   {name: (G, H, W) true masks}, for the pictures where they are known
    roi     (x1, y1, x2, y2) to begin with, pixels of the first image as the model resizes it; None: its best detection
    """

    name = "RoI Align"
    margin = "1px 6px 1px 2px"
    own = ("_corner", "_level", "_bins_before", "_start")
    width, height = 920, 632
    caption = (
        "Drag the region by an edge, a corner or its middle, or move it with the arrow keys: one pixel a step, with "
        "Shift a tenth. A click on an object in the small picture puts the region around it. A click on a bin, in the "
        "grid or in one of the two small maps, shows how its value comes about. Glide, or its play button, moves the "
        "region sideways by tenths of a cell."
    )

    def __init__(self, model, images: dict, masks: dict | None = None, roi=None, channel: int = 0):
        if not images:
            raise ValueError('RoIAlign needs at least one picture: RoIAlign(model, {"my photo": image})')
        self.model, self.images, self.masks = model, dict(images), dict(masks or {})
        self._scenes, self._readings = Memory(), Memory(1)
        self._corner = self._level = None
        levels = [f"P{2 + n}" for n in range(len(model.config.strides))]
        self.picture = Choice("picture", "Picture", self.images, width="165px")
        self.level = Choice("level", "Level", ["by size", *levels], width="140px")
        self.channel = Number("channel", "Channel", 0, model.config.fpn_channels - 1, value=channel, width="150px")
        self.view_size = Choice("view", "Shown", list(VIEWS), width="140px")
        self.sides = [Number(name, name, 0.0, 1.0, 0.1, width="105px") for name in SIDES]
        self.glide = Number("glide", "Glide", -TENTHS, TENTHS, 1, 0, width="115px", play=300)
        self._start = None  # where the region stood before it began to glide
        self.bins = Number("bins", "Bins P", 1, 14, value=3, width="150px")
        self.samples = Choice("samples", "Samples", list(SAMPLES), "2", width="150px")
        self.aligned = Toggle("aligned", "aligned", False)
        self.score = Number("score", "Score ≥", 0.0, 1.0, 0.01, 0.5, width="125px")
        self.bin = Number("bin", "Bin", 1, 9, value=5, width="150px")
        self._place(roi)
        controls = (self.picture, self.level, self.channel, self.view_size, *self.sides)
        self.start(*controls, self.bins, self.samples, self.aligned, self.bin, self.score, self.glide)

    @property
    def scene(self) -> RoIScene:
        """The model's run on the chosen picture; made once."""
        name = self.picture.value
        masks = self.masks.get(name)
        masks = None if masks is None else torch.as_tensor(masks).bool()
        return self._scenes.get(name, lambda: RoIScene(self.model, self.images[name], masks))

    @property
    def roi(self) -> torch.Tensor:
        """(4,) the region, pixels of the resized image."""
        return torch.tensor([side.value for side in self.sides], dtype=torch.float32)

    @property
    def reading(self) -> Reading:
        """What is read in the present state."""
        chosen = self.level.value
        roi, channel, bins = tuple(side.value for side in self.sides), self.channel.value, self.bins.value
        asked = (self.picture.value, roi, chosen, channel, bins, SAMPLES[self.samples.value], self.aligned.value)
        return self._readings.get((asked, self.dragging), lambda: self._read(chosen, *asked[3:]))

    def _read(self, chosen: str, *settings) -> Reading:
        if not self.dragging or self._level is None:
            self._level = self.scene.level_of(self.roi) if chosen == "by size" else int(chosen[1:]) - 2
        return Reading(self.scene, self.roi, self._level, *settings)

    @property
    def chosen_bin(self) -> tuple[int, int]:
        """Row and column of the chosen bin."""
        return divmod(self.bin.value - 1, self.bins.value)

    def store(self, name: str, image: torch.Tensor) -> None:
        """Keep one more picture."""
        self.images[name] = image
        self.masks.pop(name, None)
        self._scenes.forget(lambda key: key == name)
        self._readings.forget(lambda key: True)

    def lines(self):
        return (
            (self.picture, self.level, self.channel, self.view_size, self.score),
            (*self.sides, self.glide),
            (self.bins, self.samples, self.aligned, self.bin),
        )

    def changed(self, name: str, value) -> None:
        if name == "picture":
            self._place(None)
        elif name == "glide":
            self._glide(value)
        elif name in SIDES:
            self._keep_sides(name)
        elif name == "bins":
            row, column = divmod(self.bin.value - 1, self._bins_before)
            self.bin.limit(1, value * value)
            self.bin.hush(min(row, value - 1) * value + min(column, value - 1) + 1)
            self._bins_before = value
        if name in (*SIDES, "level", "picture"):
            self._rest()
        if name in ("level", "view", "picture"):
            self._corner = None

    def _place(self, roi) -> None:
        """Set the limits of the sides to the picture, and the RoI to `roi` or to the best detection."""
        height, width = self.scene.size
        for side, most in zip(self.sides, (width, height) * 2, strict=True):
            side.limit(0.0, float(most))
        self.score.enable(bool(self.scene.scores))
        if roi is None:
            found = self.scene.detections
            middle = torch.tensor([width * 0.25, height * 0.25, width * 0.75, height * 0.75])
            roi = (found[0] if len(found) else middle).tolist()
        for side, value in zip(self.sides, roi, strict=True):
            side.hush(side.nearest(value))
        self._bins_before = self.bins.value
        self._keep_sides("x1")
        self._keep_sides("y1")

    def _glide(self, tenths: int) -> None:
        """The region sideways by tenths of a cell from where it stood, as far as the picture goes."""
        if self._start is None:
            self._start = self.roi.tolist()
        x1, _, x2, _ = self._start
        shift = min(max(tenths / 10 * self.reading.stride, -x1), self.scene.size[1] - x2)
        for side, value in ((self.sides[0], x1 + shift), (self.sides[2], x2 + shift)):
            side.hush(side.nearest(value))

    def _rest(self) -> None:
        """A region that was moved otherwise begins a new glide."""
        self._start = None
        self.glide.hush(0)

    def _keep_sides(self, moved: str) -> None:
        """The RoI stays at least LEAST wide: the side that was not moved gives way, at the picture's edge the moved."""
        axis = moved[0]
        low, high = self.sides[SIDES.index(axis + "1")], self.sides[SIDES.index(axis + "2")]
        if high.value - low.value >= LEAST - 1e-6:
            return
        if moved.endswith("1"):
            high.hush(high.nearest(low.value + LEAST))
            low.hush(low.nearest(max(high.value - LEAST, 0.0)))
        else:
            low.hush(low.nearest(high.value - LEAST))
            high.hush(high.nearest(low.value + LEAST))

    def draw(self) -> Sheet:
        sheet = Sheet(self.width, self.height)
        reading = self.reading
        views.draw(sheet, reading, self.window(reading), self.chosen_bin, self.objects())
        return sheet

    def window(self, reading: Reading):
        """The piece of the feature grid that is shown; it moves on in whole cells when the RoI leaves it."""
        wanted = VIEWS[self.view_size.value]
        if not self.dragging or self._corner is None:
            self._corner = grid.corner(reading, wanted, self._corner)
        return grid.grid_window(reading, wanted, self._corner)

    @property
    def unit(self) -> float:
        """CSS pixels of the card for one pixel of the picture: what an arrow key moves the RoI by."""
        return self.window(self.reading).zoom / self.reading.stride

    def boxes(self) -> list[dict]:
        reading = self.reading
        box = self.window(reading).place(reading.cells)
        return [{"id": "roi", "box": box, "colour": PALETTE["region"], "dash": ""}]

    def bounds(self):
        return frame_box(self.window(self.reading).frame)

    def dragged(self, name: str, box) -> None:
        window, stride = self.window(self.reading), self.reading.stride
        corners = [*window.unplace_any(*box[:2]), *window.unplace_any(*box[2:])]
        self.place_roi([value * stride for value in corners])

    def place_roi(self, roi) -> None:
        """Move the RoI to (x1, y1, x2, y2), pixels, brought to tenths and into the picture, with one new picture."""
        with self.together():
            self._rest()
            for side, value in zip(self.sides, roi, strict=True):
                side.hush(side.nearest(value))
            self._keep_sides("x1")
            self._keep_sides("y1")
            self.redraw()

    def objects(self) -> list[list[float]]:
        """The detections that score high enough, as boxes in pixels of the resized image."""
        scene = self.scene
        return [box for box, score in zip(scene.detections.tolist(), scene.scores, strict=True)
                if score >= self.score.value]  # fmt: skip

    def areas(self) -> list:
        reading = self.reading
        window, photo = self.window(reading), views.photo_window(reading)
        grid_area = cut_to(window.frame, window.place(reading.read_box()))
        return [grid_area, *views.map_areas(), *(cut_to(photo.frame, photo.place(box)) for box in self.objects())]

    def clicked(self, x: float, y: float) -> None:
        point = views.photo_window(self.reading).unplace(x, y)
        if point is not None:
            here = [b for b in self.objects() if b[0] <= point[0] <= b[2] and b[1] <= point[1] <= b[3]]
            if here:
                self._corner = None
                self.place_roi(min(here, key=lambda b: (b[2] - b[0]) * (b[3] - b[1])))
            return
        found = views.bin_at(self.reading, self.window(self.reading), x, y)
        if found is not None:
            self.bin.set(found[0] * self.bins.value + found[1] + 1)

    def describe(self) -> str:
        words = views.describe(self.reading, self.chosen_bin)
        return words if self.objects() else f"{words} {views.nothing(self.scene)}"
