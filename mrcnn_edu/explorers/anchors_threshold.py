"""A threshold of IoU as a control, for the explorers of anchors and of matching."""

from collections.abc import Callable
from contextlib import suppress

from mrcnn_edu.explorers.controls import Number


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
