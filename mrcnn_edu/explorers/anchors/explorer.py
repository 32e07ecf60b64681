"""Anchors: choose scales, ratios and strides, and see at once which objects of a data set they reach."""

import numpy as np
import torch

from mrcnn_edu.explorers.anchors import views
from mrcnn_edu.explorers.anchors.reading import AnchorSet, Best, BoxSet, Picture, State, best_anchors, describe
from mrcnn_edu.explorers.toolkit.base import Explorer
from mrcnn_edu.explorers.toolkit.controls import Choice, Number, Threshold
from mrcnn_edu.explorers.toolkit.memory import Memory
from mrcnn_edu.explorers.toolkit.paint import Sheet
from mrcnn_edu.explorers.toolkit.window import cut_to
from mrcnn_edu.model.config import Config, preset

RATIOS = {"1": (1.0,), "½, 1, 2": (0.5, 1.0, 2.0), "⅓, ½, 1, 2, 3": (1 / 3, 0.5, 1.0, 2.0, 3.0)}
REMEMBERED = 64  # choices of anchors whose IoUs are kept for each data set


class Anchors(Explorer):
    """Live recall of the anchors one chooses, on a picture and on whole data sets.

    pictures  {name: (image (3, H, W) in [0, 1], boxes (G, 4) in its pixels)}; boxes may be None
    datasets  {name: data set}, any with samples[i] = (image, {"boxes": (G, 4), …}); or {name: BoxSet}. Each is read
              once, when it is first shown
    config    says how pictures are resized and which anchors are there to begin with; the "lesson" preset by default
    cell      (level, row, column) to begin with; by default the cell of the first picture's smallest object
    raises    ValueError where there is no picture or no data set
    """

    name = "Anchors"
    margin = "2px 8px 2px 2px"
    own = ("_centre",)
    photo_row = 0
    width, height = 920, 600
    caption = (
        "Click a cell to see its anchors, or move on with the arrow keys. Change scales, ratios and stride, and watch "
        "the recall: which share of all boxes of the data set has an anchor that overlaps it enough. "
        "The grey curve stays with the anchors of the beginning, for comparison."
    )

    def __init__(self, pictures: dict, datasets: dict, config: Config | None = None, cell=None):
        if not pictures or not datasets:
            raise ValueError('Anchors needs a picture and a data set: Anchors({"mine": (image, boxes)}, {"all": data})')
        self.config = config or preset("lesson")
        self.pictures, self.datasets = dict(pictures), dict(datasets)
        self._seen, self._read, self._found = Memory(), Memory(), Memory(REMEMBERED)
        sizes, ratios = self.config.anchor_sizes, dict(RATIOS)
        given = next((name for name, values in ratios.items() if values == self.config.anchor_ratios), None)
        if given is None:
            given = ", ".join(f"{ratio:g}" for ratio in self.config.anchor_ratios)
            ratios[given] = self.config.anchor_ratios
        self._ratios = ratios
        steps = sorted({1, 2, 3, len(sizes[0])})
        self.smallest = Number("smallest", "Smallest scale", 4, 64, value=min(max(sizes[0][0], 4), 64), width="160px")
        self.per_level = Choice("scales", "Scales per level", steps, len(sizes[0]), width="150px")
        self.ratios = Choice("ratios", "Ratios h / w", ratios, given, width="166px")
        self.stride = Choice("stride", "Finest stride", [4, 8, 16, 32], self.config.strides[0], width="130px")
        self.levels = Choice("levels", "Levels", [1, 2, 3, 4, 5, 6], len(sizes), width="98px")
        self.data = Choice("data", "Data", self.datasets, width="150px")
        self.picture = Choice("picture", "Picture", self.pictures, width="165px")
        self.level = Number("level", "Level", 1, len(sizes), width="90px")
        self.cell = Number("cell", "Cell", 0, 1, width="100px")
        start = self.config.rpn_fg_iou_thresh
        self.threshold = Threshold("threshold", "Reached from", 0.3, 0.95, start, "155px")
        self.first = self.anchors
        self._place(cell)
        controls = (self.smallest, self.per_level, self.ratios, self.stride, self.levels, self.data, self.picture)
        self.start(*controls, self.level, self.cell, self.threshold)

    @property
    def anchors(self) -> AnchorSet:
        """The anchors as chosen."""
        ratios = self._ratios[self.ratios.value]
        return AnchorSet.octaves(
            self.smallest.value, self.levels.value, self.per_level.value, ratios, self.stride.value
        )

    @property
    def seen(self) -> Picture:
        """The chosen picture as the model sees it; made once."""
        name = self.picture.value
        return self._seen.get(name, lambda: Picture.of(*self.pictures[name], self.config))

    @property
    def boxes_of_data(self) -> BoxSet:
        """The boxes of the chosen data set; read once."""
        name = self.data.value
        samples = self.datasets[name]
        return samples if isinstance(samples, BoxSet) else self._read.get(name, lambda: BoxSet.of(samples, self.config))

    def best(self, anchors: AnchorSet) -> Best:
        """The best anchor of each box of the chosen data set."""
        key = self.data.value, anchors
        return self._found.get(key, lambda: best_anchors(self.boxes_of_data, anchors))

    def store(self, name: str, image: torch.Tensor, boxes=None) -> None:
        """Keep one more picture; `boxes` (G, 4) in its pixels, or None where nobody marked them."""
        self.pictures[name] = image, boxes
        self._seen.forget(lambda key: key == name)

    def measure(self, name: str, samples) -> None:
        """Add a data set (or a BoxSet) to the list and measure the recall on it."""
        self.datasets[name] = samples
        self._read.forget(lambda key: key == name)
        self._found.forget(lambda key: key[0] == name)
        self.offer("data", name)

    @property
    def grid(self) -> tuple[int, int]:
        """Cells (h, w) of the level shown."""
        return self.anchors.grids(self.seen.padded)[self.level.value - 1]

    @property
    def place(self) -> tuple[int, int]:
        """Row and column of the chosen cell."""
        return divmod(self.cell.value, self.grid[1])

    def state(self) -> State:
        """What is shown now."""
        return State(
            picture=self.seen,
            anchors=self.anchors,
            level=self.level.value - 1,
            cell=self.place,
            threshold=self.threshold.value,
            found=best_anchors(self.seen.truth, self.anchors),
            data=self.boxes_of_data,
            data_name=self.data.value,
            data_found=self.best(self.anchors),
            opening=self.best(self.first),
        )

    def draw(self) -> Sheet:
        sheet = Sheet(self.width, self.height)
        views.draw(sheet, self.state())
        return sheet

    def describe(self) -> str:
        return describe(self.state())

    def lines(self):
        return (
            (self.smallest, self.per_level, self.ratios, self.stride, self.levels),
            (self.data, self.picture, self.level, self.cell, self.threshold),
        )

    def changed(self, name: str, value) -> None:
        if name == "levels":
            self.level.limit(1, value)
        if name == "picture":
            self._place(None, self.level.value - 1)
        if name in ("levels", "level", "stride"):
            self._go(*self._centre)
        if name == "cell":
            self._remember()

    def _place(self, cell, level: int | None = None) -> None:
        """Choose a cell: the one given as (level, row, column), else that of the smallest object's best anchor; with
        `level`, among the objects whose best anchor lies there, if there are any."""
        height, width = self.seen.size
        middle = (
            level or 0,
            height // 2 // self.stride.value >> (level or 0),
            width // 2 // self.stride.value >> (level or 0),
        )
        if cell is None:
            found, sides = best_anchors(self.seen.truth, self.anchors), self.seen.truth.sides
            here = np.flatnonzero(found.level == level) if level is not None else np.arange(len(sides))
            i = here[sides[here].argmin()] if len(here) else None
            cell = middle if i is None else tuple(int(v[i]) for v in (found.level, found.row, found.column))
        self.level.hush(self.level.nearest(cell[0] + 1))
        self._go_to(cell[1], cell[2])
        self._remember()

    def _remember(self) -> None:
        """The chosen place as a point of the picture, so that it stays when the grid changes."""
        down, right = self.anchors.true_strides(self.seen.padded)[self.level.value - 1]
        row, column = self.place
        height, width = self.seen.size
        self._centre = (column + 0.5) * right / width, (row + 0.5) * down / height

    def _go(self, x: float, y: float) -> None:
        """Choose the cell under a point, given as shares of the picture's sides."""
        down, right = self.anchors.true_strides(self.seen.padded)[self.level.value - 1]
        height, width = self.seen.size
        self._go_to(int(y * height // down), int(x * width // right))

    def _go_to(self, row: int, column: int) -> None:
        rows, columns = self.grid
        self.cell.limit(0, rows * columns - 1)
        self.cell.hush(min(max(row, 0), rows - 1) * columns + min(max(column, 0), columns - 1))

    def clicked(self, x: float, y: float) -> None:
        point = self.seen.window.unplace(x, y)
        if point is None:
            return
        down, right = self.anchors.true_strides(self.seen.padded)[self.level.value - 1]
        column, row = int(point[0] // right), int(point[1] // down)
        rows, columns = self.grid
        if 0 <= row < rows and 0 <= column < columns:
            self.cell.set(row * columns + column)

    def areas(self) -> list:
        down, right = self.anchors.true_strides(self.seen.padded)[self.level.value - 1]
        rows, columns = self.grid
        window = self.seen.window
        return [cut_to(window.frame, window.place((0, 0, columns * right, rows * down)))]

    def pressed(self, key: str, shift: bool) -> None:
        rows, columns = self.grid
        row, column = self.place
        row += {"ArrowUp": -1, "ArrowDown": 1}.get(key, 0)
        column += {"ArrowLeft": -1, "ArrowRight": 1}.get(key, 0)
        self.cell.set(min(max(row, 0), rows - 1) * columns + min(max(column, 0), columns - 1))
