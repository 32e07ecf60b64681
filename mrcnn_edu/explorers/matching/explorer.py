"""Matching: which anchors are told that they see an object, which that they do not, and which are left in peace."""

import torch

from mrcnn_edu.explorers.matching import views
from mrcnn_edu.explorers.matching.reading import Ground, Matches, State, describe, opening_anchor, opening_level
from mrcnn_edu.explorers.toolkit.base import Explorer
from mrcnn_edu.explorers.toolkit.controls import Choice, Number, Threshold, Toggle
from mrcnn_edu.explorers.toolkit.memory import Memory
from mrcnn_edu.explorers.toolkit.paint import Sheet
from mrcnn_edu.explorers.toolkit.window import cut_to
from mrcnn_edu.model.config import Config, preset

SHOWN = {"whole picture": 1, "twice as large": 2, "four times": 4}
REMEMBERED = 64  # settings whose matches are kept


class Matching(Explorer):
    """Thresholds, forced matches and sampling, anchor by anchor.

    pictures  {name: (image (3, H, W) in [0, 1], boxes (G, 4) in its pixels)}; boxes may be None
    config    the model's: how pictures are resized, its anchors, thresholds and sampling; the "lesson" preset if
              none is given
    level     to begin with, 0 is the finest; by default that with most to see
    raises    ValueError where there is no picture
    """

    name = "Matching"
    margin = "2px 8px 2px 2px"
    own = ("_over", "_middle")
    width, height = 920, 580
    hover = True
    caption = (
        "Each mark is an anchor. Point at one to see its box and what becomes of it; a click keeps it, and the arrow "
        "keys move on from there. Switch the forced matches off and raise the upper threshold: object after object "
        "loses its last positive anchor, and nobody learns it."
    )

    def __init__(self, pictures: dict, config: Config | None = None, level: int | None = None):
        if not pictures:
            raise ValueError('Matching needs a picture: Matching({"mine": (image, boxes)})')
        self.config = config or preset("lesson")
        self.pictures = dict(pictures)
        self._grounds, self._matches = Memory(), Memory(REMEMBERED)
        self._over, self._middle, self._last = None, (0.0, 0.0), None
        settings = self.config
        count = settings.rpn_batch_size_per_image
        self.picture = Choice("picture", "Picture", self.pictures, width="165px")
        self.level = Number("level", "Level P", 2, 1 + len(settings.anchor_sizes), width="110px")
        self.shown = Choice("shown", "Shown", list(SHOWN), width="165px")
        self.high = Threshold("high", "Positive from", 0.3, 0.95, settings.rpn_fg_iou_thresh, "150px")
        self.low = Threshold("low", "Negative below", 0.0, 0.7, settings.rpn_bg_iou_thresh, "155px")
        self.forced = Toggle("forced", "Forced matches", True)
        self.count = Number("count", "Sampled", 16, max(256, count), 8, count, width="136px")
        self.seed = Number("seed", "Seed", 0, 99, width="95px")
        self.anchor = Number("anchor", "Anchor", 0, 1, width="125px")
        self.high.refuse = lambda value: self._crossed(self.low.value, value)
        self.low.refuse = lambda value: self._crossed(value, self.high.value)
        self.level.hush(2 + (opening_level(self.ground, self.matches) if level is None else level))
        self._choose()
        controls = (self.picture, self.level, self.shown, self.anchor)
        self.start(*controls, self.high, self.low, self.forced, self.count, self.seed)

    @staticmethod
    def _crossed(low: float, high: float) -> str:
        if low <= high:
            return ""
        return f"negative below {low:g} and positive from {high:g} cross: keep the lower threshold at most at the upper"

    @property
    def ground(self) -> Ground:
        """The chosen picture as the model sees it, with its anchors; made once."""
        name = self.picture.value
        return self._grounds.get(name, lambda: Ground.of(*self.pictures[name], self.config))

    @property
    def matches(self) -> Matches:
        """All anchors of the chosen picture, matched and sampled as the controls say."""
        settings = self.high.value, self.low.value, self.forced.value, self.count.value
        key = self.picture.value, *settings, self.seed.value
        fraction = self.config.rpn_positive_fraction
        return self._matches.get(key, lambda: Matches.of(self.ground, *settings, fraction, key[-1]))

    def store(self, name: str, image: torch.Tensor, boxes=None) -> None:
        """Keep one more picture; `boxes` (G, 4) in its pixels, or None where nobody marked them."""
        self.pictures[name] = image, boxes
        self._grounds.forget(lambda key: key == name)
        self._matches.forget(lambda key: key[0] == name)

    def set(self, **values) -> "Matching":
        if "high" in values and "low" in values:  # the one that makes room for the other goes first
            first = "low" if values["high"] < self.low.value else "high"
            values = {first: values[first], **values}
        return super().set(**values)

    def state(self) -> State:
        """What is shown now."""
        chosen = self.anchor.value if self._over is None else self._over
        level = self.level.value - 2
        state = State(
            ground=self.ground,
            matches=self.matches,
            level=level,
            chosen=chosen,
            high=self.high.value,
            low=self.low.value,
            forced=self.forced.value,
            count=self.count.value,
            window=views.window_of(self.ground, SHOWN[self.shown.value], self._middle),
        )
        if state != self._last:  # an equal one has already worked out what it shows
            self._last = state
        return self._last

    def draw(self) -> Sheet:
        sheet = Sheet(self.width, self.height)
        views.draw(sheet, self.state())
        return sheet

    def describe(self) -> str:
        return describe(self.state())

    def lines(self):
        return (
            (self.picture, self.level, self.shown, self.anchor, self.seed),
            (self.high, self.low, self.forced, self.count),
        )

    def changed(self, name: str, value) -> None:
        if name in ("picture", "level"):
            self._over = None
            self._choose()
        elif name == "anchor":
            self._over = None
            self._keep_in_sight()
        elif name == "shown":
            self._look_at(self.anchor.value)
        elif name in ("high", "low"):
            (self.low if name == "high" else self.high).settle()

    def _choose(self) -> None:
        """An anchor of the level to begin with."""
        level = self.level.value - 2
        self.anchor.limit(0, len(self.ground.levels[level]) - 1)
        self.anchor.hush(opening_anchor(self.ground, self.matches, level))
        self._look_at(self.anchor.value)

    def _look_at(self, anchor: int) -> None:
        x1, y1, x2, y2 = self.ground.levels[self.level.value - 2][anchor].tolist()
        self._middle = (x1 + x2) / 2, (y1 + y2) / 2

    def _keep_in_sight(self) -> None:
        state = self.state()
        x, y = views.layout_of(state).place_of(self.anchor.value)
        if state.window.unplace(x, y) is None:
            self._look_at(self.anchor.value)

    def clicked(self, x: float, y: float) -> None:
        found = views.layout_of(self.state()).nearest(x, y)
        if found is not None:
            self._over = None
            self.anchor.set(found)

    def areas(self) -> list:
        layout = views.layout_of(self.state())
        (rows, columns), (down, right) = layout.grid, layout.stride
        around = (-right / 2, -down / 2, (columns - 0.5) * right, (rows - 0.5) * down)
        return [cut_to(layout.window.frame, layout.window.place(around))]

    def hovered(self, x: float | None, y: float | None) -> None:
        found = None if x is None else views.layout_of(self.state()).nearest(x, y)
        if found != self._over:
            self._over = found
            self.redraw()

    def pressed(self, key: str, shift: bool) -> None:
        per_cell = self.ground.anchors.per_cell
        columns = self.ground.anchors.grids(self.ground.padded)[self.level.value - 2][1]
        steps = {"ArrowLeft": -1, "ArrowRight": 1, "ArrowUp": -columns * per_cell, "ArrowDown": columns * per_cell}
        moved = self.anchor.value + steps.get(key, 0)
        if 0 <= moved < len(self.ground.levels[self.level.value - 2]):
            self.anchor.set(moved)
