"""What every explorer shares: controls around one picture that is drawn with the package's real code."""

import base64
import html
import threading

import ipywidgets as widgets

from mrcnn_edu.explorers.canvas import make_canvas
from mrcnn_edu.explorers.paint import Sheet
from mrcnn_edu.figures import bundle


class Explorer:
    """A live picture of one idea.

    A subclass sets `name`, `width`, `height` (CSS pixels) and `caption`, makes its controls in `__init__`, ends it with
    `self.start(*controls)`, and implements `draw`; `describe`, `clicked` and `pressed` where it needs them.
    """

    name = "Explorer"
    width, height = 900, 600
    caption = ""

    def start(self, *controls) -> None:
        """Make the widgets from the controls and draw the opening picture."""
        self.controls = {control.name: control for control in controls}
        self._state = threading.RLock()
        self._drawing = threading.Lock()
        self._wanted = self._drawn = 0
        self.canvas = make_canvas(self.width, self.height, self._event)
        self.note = widgets.HTML(
            f'<div style="max-width: {self.width}px; line-height: 1.45">{html.escape(self.caption)}</div>'
        )
        self.messages = widgets.VBox([control.message for control in controls])
        for control in controls:
            control.on_change = lambda value, control=control: self._changed(control.name, value)
        self.view = widgets.VBox([*self.rows(), self.messages, self.canvas, self.note])
        self.redraw()

    def rows(self) -> list:
        """The controls as lines above the picture."""
        return [control.widget for control in self.controls.values()]

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

    def pressed(self, key: str, shift: bool) -> None:
        """An arrow key, by its name in the browser."""

    def get(self, name: str):
        """The value of a control."""
        return self.controls[name].value

    def set(self, **values) -> "Explorer":
        """Give controls new values, as a hand would.

        raises   KeyError for an unknown control, ValueError for a value it does not take
        """
        for name, value in values.items():
            if name not in self.controls:
                raise KeyError(f"{self.name} has no control {name!r}; it has {', '.join(self.controls)}")
            self.controls[name].set(value)
        return self

    def redraw(self) -> None:
        """Draw the newest state. A wish that comes while a picture is being drawn is met once, after it: what lay
        between is dropped."""
        self._wanted += 1
        while self._drawn != self._wanted and self._drawing.acquire(blocking=False):
            try:
                while self._drawn != self._wanted:
                    self._drawn = self._wanted
                    with self._state:
                        picture, words = self.draw().live(), self.describe()
                    self.canvas.value = picture
                    if hasattr(self.canvas, "alt"):
                        self.canvas.alt = words
            finally:
                self._drawing.release()

    def snapshot(self, **values) -> bytes:
        """The present picture as PNG bytes, after setting `values`."""
        self.set(**values)
        with self._state:
            return self.draw().still()

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
        with self._state:
            if kind == "click":
                self.clicked(event["x"], event["y"])
            elif kind == "key":
                self.pressed(event["key"], event.get("shift", False))

    def _repr_mimebundle_(self, include=None, exclude=None):
        """The live widget, and the still that stands for it where no kernel runs."""
        words = f"{self.name}. {self.describe()}"
        still = base64.b64encode(self.snapshot()).decode()
        return bundle(self.view, **{"image/png": still, "text/plain": words}), {
            "image/png": {"width": self.width, "alt": words}
        }
