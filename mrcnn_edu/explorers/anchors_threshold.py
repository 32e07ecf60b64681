"""A threshold of IoU as a control, for the explorers of anchors and of matching."""

from collections.abc import Callable

from mrcnn_edu.explorers.controls import Number


class Threshold(Number):
    """A threshold of IoU with at most four digits, which can be checked against another: `refuse(value)` is a reason
    against a value, or nothing.

    A wrong value turns the box red and says why; `value` stays the last right one meanwhile.
    """

    def __init__(self, name: str, label: str, low: float, high: float, value: float, width: str):
        self.refuse: Callable[[float], str] = lambda value: ""
        self._good = value
        super().__init__(name, label, low, high, 0.05, value, width)

    @property
    def value(self) -> float:
        """The last right value."""
        return self._good

    def set(self, value) -> None:
        try:
            number = round(float(value), 4)
        except (TypeError, ValueError):
            number = float("nan")  # the base class says what is wrong with it
        if self.slider.min <= number <= self.slider.max and self.refuse(number):
            raise ValueError(self.refuse(number))
        super().set(value)
        self._accept()

    def settle(self) -> None:
        """Take the value that the slider shows, where it was refused and is right by now."""
        if not self.refuse(round(self.slider.value, 4)):
            self._tell("")
            self._good = round(self.slider.value, 4)

    def sweep(self, *steps):
        return [value for value in super().sweep(*steps) if not self.refuse(round(value, 4))]

    def _accept(self) -> None:
        value = round(self.slider.value, 4)
        if value != self._good:
            self._good = value
            self.on_change(value)

    def _slid(self, change) -> None:
        value = round(change["new"], 4)
        self.box.value = f"{value:g}"
        reason = self.refuse(value)
        self._tell(reason)
        if not reason:
            self._accept()
