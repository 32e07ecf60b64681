"""The controls of explorers, in the subset that ipywidgets 7.7.1 and 8 share.

A control has a name, a value, one widget, and says which values a sweep visits. A number has a slider for the hand and
a box for the keyboard; a value that is not one turns the box red and a line under it says why.
"""

import html
import math
import re
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress

import ipywidgets as widgets

# Once for all controls of an explorer.
STYLE = (
    "<style>.mrcnn-wrong input { border: 2px solid #D55E00 !important; background: #FFE9DC !important; "
    "color: #1F2933 !important }</style>"
)


class Control:
    """One control. `on_change` is called with the new value after each change, by hand or by `set`.

    widget   what the hand moves, and where something can be wrong, the line beside it that says so
    lock     held while the value changes and `on_change` runs; an explorer gives all its controls the same, so that no
             thread sees one control's new value before the others have followed it
    """

    def __init__(self, name: str, label: str):
        self.name, self.label = name, label
        self.on_change = lambda value: None
        self.lock = threading.RLock()

    def set(self, value) -> None:
        """Give the control a value; raises ValueError saying which values it takes."""
        raise NotImplementedError

    def nearest(self, value):
        """The value nearest to this one that the control takes."""
        return value

    def enable(self, on: bool) -> None:
        """Whether a hand can move it; what would change nothing now is pale."""
        self.hand.disabled = not on

    @property
    def disabled(self) -> bool:
        """Whether no hand can move it."""
        return self.hand.disabled

    @property
    def value(self):
        """What the control holds now; of a number, typed or set, it need not be on a step."""
        return self._value

    def follow_hand(self) -> None:
        """Take over the hand's value, now and whenever it changes."""
        self._value = self.hand.value
        self.hand.observe(self._followed, "value")

    def _followed(self, change) -> None:
        with self.lock:
            self._value = change["new"]
            self.on_change(self._value)


def player(most: int, value: int, interval: int) -> widgets.Play:
    """A play button that walks from 0 to `most`, one step in `interval` milliseconds.

    The page itself moves the slider that it is linked to: a step waits for no answer of Python.
    """
    return widgets.Play(
        min=0,
        max=most,
        value=value,
        interval=interval,
        show_repeat=False,
        layout=widgets.Layout(width="auto"),
    )


def plain(text: str) -> str:
    """A number as Python reads it: with a true minus sign, a decimal comma, or spaces between thousands before."""
    text = re.sub(r"\s", "", text).replace("\N{MINUS SIGN}", "-")
    return text.replace(",", ".") if text.count(",") == 1 and "." not in text else text


class Choice(Control):
    """One of a few named options: a slider with stops where they have an order, a drop-down list where they do not.

    play  milliseconds for each option where a play button walks through them; 0 for none
    """

    def __init__(
        self, name: str, label: str, options, value=None, ordered: bool = False, width: str = "280px", play: int = 0
    ):
        super().__init__(name, label)
        self.options = list(options)
        kind = widgets.SelectionSlider if ordered else widgets.Dropdown
        self.hand = kind(
            options=self.options,
            value=self.options[0] if value is None else value,
            description=label,
            style={"description_width": "initial"},
            layout=widgets.Layout(width=width),
        )
        self.widget = self.hand
        if play:
            self.player = player(len(self.options) - 1, self.hand.index, play)
            widgets.jslink((self.player, "value"), (self.hand, "index"))
            self.widget = widgets.HBox([self.hand, self.player], layout=widgets.Layout(flex_flow="row wrap"))
        self.follow_hand()

    def set(self, value) -> None:
        if value not in self.options:
            raise ValueError(f"{self.name} is one of {', '.join(map(repr, self.options))}, not {value!r}")
        with self.lock:
            self.hand.value = value

    def add(self, option) -> None:
        """One more option; the chosen one stays chosen."""
        with self.lock:
            chosen = self.value
            if option not in self.options:
                self.options.append(option)
                self.hand.options = tuple(self.options)
                self.hand.value = chosen

    def sweep(self):
        """The values that a sweep visits, both ends among them."""
        return list(self.options)


class Toggle(Control):
    """On or off."""

    def __init__(self, name: str, label: str, value: bool = False):
        super().__init__(name, label)
        self.widget = self.hand = widgets.Checkbox(
            value=value, description=label, indent=False, layout=widgets.Layout(width="auto", min_width="70px")
        )
        self.follow_hand()

    def set(self, value) -> None:
        if not isinstance(value, bool):
            raise ValueError(f"{self.name} is True or False, not {value!r}")
        with self.lock:
            self.hand.value = value

    def sweep(self):
        """The values that a sweep visits."""
        return [not self.value, self.value]


class Number(Control):
    """A number from `low` to `high` in steps of `step`: a slider, a number box, and a line for what is wrong.

    The slider counts whole steps. A slider of floats answers each value that it is given with its own rounding of it;
    two such answers on their way at once chase each other for ever (jupyter-widgets/ipywidgets#3951).

    message  the line that says what is wrong; it takes no room while nothing is
    play     milliseconds for each step where a play button walks through them; 0 for none
    """

    def __init__(self, name: str, label: str, low, high, step=1, value=None, width: str = "240px", play: int = 0):
        super().__init__(name, label)
        self.kind = int if all(isinstance(v, int) for v in (low, high, step)) else float
        self.low, self.high, self.step = low, high, step
        self._value = low if value is None else value
        self.hand = self.slider = widgets.IntSlider(
            value=self._place(self._value),
            min=math.floor(self._steps(low)),
            max=math.ceil(self._steps(high)),
            description=label,
            readout=False,
            style={"description_width": "initial"},
            layout=widgets.Layout(width=width),
        )
        self.box = widgets.Text(value=f"{self._value:g}", continuous_update=False, layout=widgets.Layout(width="50px"))
        line = [self.slider, self.box]
        self.player = None
        if play:
            self.player = player(self.slider.max, self.slider.value, play)
            self.player.min = self.slider.min
            widgets.jslink((self.player, "value"), (self.slider, "value"))
            line.append(self.player)
        self.message = widgets.HTML("", layout=widgets.Layout(display="none", max_width="320px"))
        self.line = widgets.HBox(line, layout=widgets.Layout(flex_flow="row wrap"))
        self.line.add_class("mrcnn-number")
        self.widget = widgets.VBox([self.line, self.message])
        self._writes = False
        self.slider.observe(self._slid, "value")
        self.box.observe(self._typed, "value")

    def set(self, value) -> None:
        try:
            number = self.kind(value)
        except (TypeError, ValueError):
            raise ValueError(f"{value!r} is not a {'whole ' if self.kind is int else ''}number") from None
        if not self.low <= number <= self.high:  # also refuses NaN
            raise ValueError(f"{value} is outside {self.low:g} to {self.high:g}")
        self._hold(number)

    def nearest(self, value):
        return self._at(self._place(min(max(value, self.low), self.high)))

    def enable(self, on: bool) -> None:
        self.slider.disabled = self.box.disabled = not on

    def hush(self, value) -> None:
        """`set`, without calling `on_change`."""
        with self.lock, self._unheard():
            self.set(value)

    def limit(self, low, high) -> None:
        """New bounds; the value is kept within them, without calling `on_change`."""
        least, most = math.floor(self._steps(low)), math.ceil(self._steps(high))
        self.low, self.high = low, high
        parts = [part for part in (self.slider, self.player) if part is not None]
        with self.lock, self._unheard():
            # First wider, then the value, then narrower: a browser that finds a value outside its bounds would bring it
            # inside by itself, and say so.
            for part in parts:
                self._bound(part, min(least, part.min), max(most, part.max))
            self._hold(min(max(self._value, low), high))
            for part in parts:
                part.value = self._place(self._value)
                self._bound(part, least, most)
            self.enable(low != high)

    @staticmethod
    def _bound(part, low: int, high: int) -> None:
        with part.hold_sync():
            part.min, part.max = low, high

    def sweep(self, steps: int = 12):
        """The values that a sweep visits, both ends among them."""
        stride = max((self.high - self.low) / steps, self.step)
        values = [self.low + i * stride for i in range(int((self.high - self.low) / stride) + 1)]
        return list(dict.fromkeys([*map(self.nearest, values), self.high]))

    def _steps(self, value) -> float:
        return round(value / self.step, 6)

    def _place(self, value) -> int:
        """Where the slider stands for a value."""
        return round(self._steps(value))

    def _at(self, place: int):
        """The value where the slider stands at a place."""
        return min(max(self.kind(round(place * self.step, 9)), self.low), self.high)

    def _hold(self, value) -> None:
        """Take a right value and show it."""
        with self.lock:
            before, self._value = self._value, value
            self._tell("")
            self._show(value)
            if value != before:
                self.on_change(value)

    def _show(self, value) -> None:
        """Bring slider and box to a value."""
        self._writes = True
        try:
            self.slider.value = self._place(value)
            self.box.value = f"{value:g}"
        finally:
            self._writes = False

    def _slid(self, change) -> None:
        with self.lock:
            if not self._writes:
                self._hold(self._at(change["new"]))

    def _typed(self, change) -> None:
        with self.lock:
            if self._writes:  # what the slider wrote may be rounded, and must not move it
                return
            try:
                self.set(plain(change["new"]))
            except ValueError as error:
                self._tell(str(error))

    @contextmanager
    def _unheard(self):
        called, self.on_change = self.on_change, lambda value: None
        try:
            yield
        finally:
            self.on_change = called

    def _tell(self, reason: str) -> None:
        if reason:
            self.box.add_class("mrcnn-wrong")
            self.message.value = f'<span role="alert">&#9888; {html.escape(f"{self.label}: {reason}")}</span>'
            self.message.layout.display = ""
        elif self.message.value:
            self.box.remove_class("mrcnn-wrong")
            self.message.value = ""
            self.message.layout.display = "none"


class Threshold(Number):
    """A threshold of IoU with at most four digits, which can be checked against another: `refuse(value)` is a reason
    against a value, or nothing.

    A wrong value turns the box red and says why; `value` stays the last right one meanwhile.
    """

    def __init__(self, name: str, label: str, low: float, high: float, value: float, width: str):
        self.refuse: Callable[[float], str] = lambda value: ""
        super().__init__(name, label, low, high, 0.05, value, width)

    def set(self, value) -> None:
        try:
            number = round(float(value), 4)
        except (TypeError, ValueError):
            number = value  # the base class says what is wrong with it
        else:
            if self.low <= number <= self.high and self.refuse(number):
                raise ValueError(self.refuse(number))
        super().set(number)

    def settle(self) -> None:
        """Take the value that the box shows, where it was refused and is right by now; without calling `on_change`."""
        if self.message.value:
            with self.lock, self._unheard(), suppress(ValueError):
                self.set(self.box.value)

    def sweep(self, *steps):
        return [value for value in super().sweep(*steps) if not self.refuse(round(value, 4))]

    def _slid(self, change) -> None:
        with self.lock:
            shown = self._at(change["new"])
            if not self._writes and self.refuse(shown):
                self._show(shown)
                self._tell(self.refuse(shown))
            else:
                super()._slid(change)
