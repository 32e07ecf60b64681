"""What every explorer shares: controls around one picture that is drawn with the package's real code."""

import base64
import contextlib
import copy
import functools
import html
import threading
from contextlib import contextmanager

import ipywidgets as widgets

from mrcnn_edu.explorers.toolkit.canvas import make_canvas
from mrcnn_edu.explorers.toolkit.controls import STYLE
from mrcnn_edu.explorers.toolkit.paint import Sheet
from mrcnn_edu.explorers.toolkit.upload import PHOTOS, Upload
from mrcnn_edu.figures import bundle

MOST_STEPS = 1000  # key presses in one event; more is a view that counts from another beginning


class Explorer:
    """A live picture of one idea.

    A subclass sets `name`, `width`, `height` (CSS pixels) and `caption`, makes its controls in `__init__`, ends it with
    `self.start(*controls)`, and implements `draw`; and `describe`, `clicked` with `areas`, `pressed`, `boxes` with
    `dragged`, `hovered` with `hover = True`, and `store`, where it needs them. One that has `store(name, image)`
    and a control "picture" takes the reader's own photographs.

    Any thread may call it: what reads or changes its state does so alone, one after the other.
    """

    name = "Explorer"
    width, height = 900, 600
    caption = ""
    hover = False
    unit = 1.0  # CSS pixels that an arrow key moves a dragged box by; with Shift a tenth
    margin = "2px 20px 2px 2px"  # around each control, as in CSS
    reset_row = photo_row = -1  # of the controls' lines, those that also take the buttons "Reset" and "My photo"
    own: tuple[str, ...] = ()  # attributes that belong to the state beside the controls; Reset brings them back too

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        for name in {"draw", "describe"} & vars(cls).keys():
            setattr(cls, name, _alone(vars(cls)[name]))

    def start(self, *controls) -> None:
        """Make the widgets from the controls and draw the opening picture."""
        self.controls = {control.name: control for control in controls}
        self._state = threading.RLock()
        self._drawing, self._counting = threading.Lock(), threading.Lock()
        self._wanted = self._drawn = self._answered = self._held = 0
        self._steps = [0, 0]
        self.dragging = False
        self.upload = Upload(self) if hasattr(self, "store") else None
        self.canvas = make_canvas(
            self.width,
            self.height,
            self._event,
            self._pointer if self.hover else None,
            self.upload.take if self.upload else None,
        )
        self.drags = hasattr(self.canvas, "boxes")
        self.note = widgets.HTML(
            f'<div style="max-width: {self.width}px; line-height: 1.45">{html.escape(self.caption)}</div>'
        )
        for control in controls:
            control.on_change = lambda value, control=control: self._changed(control.name, value)
            control.lock = self._state
        self.reset_button = widgets.Button(
            description="Reset", tooltip="Back to the opening picture", layout=widgets.Layout(width="54px")
        )
        self.reset_button.on_click(lambda _: self.reset())
        rows = [self._row(line) for line in self.lines()]
        rows[self.reset_row].children += (self.reset_button,)
        if self.upload:
            rows[self.photo_row].children += (self.upload.view,)
        style = widgets.HTML(STYLE, layout=widgets.Layout(display="none"))
        self.view = widgets.VBox([style, *rows, self.canvas, self.note])
        self.view.add_class("mrcnn-view")
        if self.upload:
            PHOTOS.follow(self)
        self._opening = {name: control.value for name, control in self.controls.items()}
        self._opening_own = {name: copy.deepcopy(getattr(self, name)) for name in self.own}
        self.redraw()

    def reset(self) -> None:
        """Bring every control, and what else belongs to the state, back to the opening picture."""
        with self._state, self.together():
            # One control may bound another, or change it by itself, so what is not met now is tried again.
            for _ in self._opening:
                for name, value in self._opening.items():
                    with contextlib.suppress(ValueError):
                        self._find(name).set(value)
                if all(self.get(name) == value for name, value in self._opening.items()):
                    break
            for name, value in self._opening_own.items():
                setattr(self, name, copy.deepcopy(value))
            self.redraw()

    def lines(self):
        """The controls by the lines in which they stand above the picture."""
        return (tuple(self.controls.values()),)

    def _row(self, line) -> widgets.HBox:
        for control in line:
            control.widget.layout.margin = self.margin
        # A magnified page is narrow.
        layout = widgets.Layout(flex_flow="row wrap", align_items="center")
        return widgets.HBox([control.widget for control in line], layout=layout)

    def draw(self) -> Sheet:
        """The picture of the present state."""
        raise NotImplementedError

    def describe(self) -> str:
        """What the present picture shows, in words."""
        return self.caption

    def changed(self, name: str, value) -> None:
        """A control has a new value; the picture is drawn afterwards."""

    def clicked(self, x: float, y: float) -> None:
        """A click at a place of the card, CSS pixels."""

    def areas(self) -> list[tuple[float, float, float, float]]:
        """Where a click acts now, (x1, y1, x2, y2) on the card: there the mouse becomes a hand."""
        return []

    def pressed(self, key: str, shift: bool) -> None:
        """An arrow key, by its name in the browser, where no box can be dragged."""

    def boxes(self) -> list[dict]:
        """The boxes that can be dragged now: "id", "box" (x1, y1, x2, y2), "colour" and "dash", such as "6 4" or "".

        A mark on an axis is a box without width that is "fixed" and goes "along" "x"; see `canvas.Canvas`.
        """
        return []

    def bounds(self) -> tuple[float, float, float, float]:
        """Where boxes can be dragged, CSS pixels of the card."""
        return 0, 0, self.width, self.height

    def dragged(self, name: str, box) -> None:
        """The box of that id was moved to (x1, y1, x2, y2), CSS pixels of the card.

        While `self.dragging` the hand still holds it, so the frame that it lies in must stay where it is.
        """

    def hovered(self, x: float | None, y: float | None) -> None:
        """The mouse is at a place of the card, or has left it."""

    def get(self, name: str):
        """The value of a control."""
        return self.controls[name].value

    def set(self, **values) -> "Explorer":
        """Give controls new values, as a hand would.

        raises   KeyError for an unknown control, ValueError for a value it does not take
        """
        with self._state, self.together():
            for name, value in values.items():
                self._find(name).set(value)
        return self

    def know(self, name: str, image, *more) -> None:
        """Put one more picture, (3, H, W) in [0, 1], into the list, with what else the explorer's `store` takes."""
        with self._state:
            self.store(name, image, *more)
            self._find("picture").add(name)

    def add(self, name: str, image, *more) -> None:
        """Put one more picture into the list and show it; arguments as for `know`."""
        with self._state:
            self.know(name, image, *more)
            self.offer("picture", name)

    def offer(self, control: str, option) -> None:
        """Give a choice one more option and choose it; where it was chosen before, it is taken up anew.

        raises   KeyError for an unknown control
        """
        with self._state:
            choice = self._find(control)
            choice.add(option)
            if choice.value == option:
                self._changed(control, option)
            self.set(**{control: option})

    def hold(self, **values) -> None:
        """Give controls new values, each brought to the nearest one that its control takes, with one picture for all.

        raises   KeyError for an unknown control
        """
        with self._state, self.together():
            for name, value in values.items():
                control = self._find(name)
                control.set(control.nearest(value))

    def _find(self, name: str):
        if name not in self.controls:
            raise KeyError(f"{self.name} has no control {name!r}; it has {', '.join(self.controls)}")
        return self.controls[name]

    @contextmanager
    def together(self):
        """Within it no picture is drawn; one is drawn at its end if any was wanted. The state must be held."""
        before = self._wanted
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if self._wanted != before:
                self._draw_newest()

    def redraw(self) -> None:
        """Draw the newest state. A wish that comes while a picture is being drawn is met once, after it: what lay
        between is dropped."""
        with self._counting:
            self._wanted += 1
        self._draw_newest()

    def _draw_newest(self) -> None:
        while not self._held and self._drawn != self._wanted and self._drawing.acquire(blocking=False):
            try:
                while self._drawn != self._wanted:
                    self._drawn = self._wanted
                    with self._state:
                        self._send(self.draw())
            finally:
                self._drawing.release()

    def _send(self, sheet: Sheet) -> None:
        if not self.drags:
            self._paint_boxes(sheet)
            self.canvas.value = sheet.live()
            return
        with self.canvas.hold_sync():
            self.canvas.value = sheet.live()
            self.canvas.alt = self.describe()
            self.canvas.boxes = [{**box, "box": [float(v) for v in box["box"]]} for box in self.boxes()]
            self.canvas.areas = [[float(v) for v in area] for area in self.areas()]
            self.canvas.bounds = [float(v) for v in self.bounds()]
            self.canvas.unit = float(self.unit)
            self.canvas.answered = self._answered

    def _paint_boxes(self, sheet: Sheet) -> Sheet:
        """What the canvas draws by itself, for pictures without one."""
        for box in self.boxes():
            dash = tuple(float(v) for v in box["dash"].split()) if box["dash"] else None
            sheet.box(box["box"], box["colour"], 2.5, dash)
        return sheet

    def snapshot(self, **values) -> bytes:
        """The present picture as PNG bytes, after setting `values`."""
        with self._state:
            self.set(**values)
            return self._paint_boxes(self.draw()).still()

    def sweep(self):
        """Drive each control through its range, the others at rest, and end where it began. Yields (name, value)."""
        rest = {name: control.value for name, control in self.controls.items()}
        for name, control in self.controls.items():
            for value in control.sweep():
                control.set(value)
                yield name, value
            self.set(**rest)

    def _changed(self, name: str, value) -> None:
        with self._state:
            self.changed(name, value)
        self.redraw()

    def _event(self, event: dict) -> None:
        kind = event.get("kind")
        with self._state, self.together():
            self._answered = event.get("count", self._answered)
            if kind == "click":
                self.clicked(event["x"], event["y"])
            elif kind == "key":
                self._press(event["steps"], event.get("shift", False))
            elif kind in ("drag", "drop"):
                self.dragging = True  # a drop too is given in the frame that the hand saw
                self.dragged(event["id"], event["box"])
                self.dragging = kind == "drag"
                self.redraw()  # where the box may not go, the browser is told

    def _press(self, steps: list[int], shift: bool) -> None:
        """As many key presses as were made since the last event."""
        (dx, dy), self._steps = (new - old for new, old in zip(steps, self._steps, strict=True)), list(steps)
        for step, back, forth in ((dx, "ArrowLeft", "ArrowRight"), (dy, "ArrowUp", "ArrowDown")):
            for _ in range(min(abs(step), MOST_STEPS)):
                self.pressed(forth if step > 0 else back, shift)

    def _pointer(self, x: float | None = None, y: float | None = None) -> None:
        with self._state, self.together():
            self.hovered(x, y)

    def _repr_mimebundle_(self, include=None, exclude=None):
        """The live widget, and the still that stands for it where no kernel runs."""
        with self._state:  # words and picture are of one state
            words = f"{self.name}. {self.describe()}"
            still = base64.b64encode(self.snapshot()).decode()
        return bundle(self.view, **{"image/png": still, "text/plain": words}), {
            "image/png": {"width": self.width, "alt": words}
        }


def _alone(method):
    """The method, called with the explorer's state held."""

    @functools.wraps(method)
    def call(self, *arguments):
        with self._state:
            return method(self, *arguments)

    return call
