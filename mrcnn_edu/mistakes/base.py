"""A mistake: a switch that says what goes wrong and what that costs."""

import html
from collections.abc import Callable

from mrcnn_edu.mistakes.parts import TRAINING_PARTS
from mrcnn_edu.mistakes.prices import COLUMNS, price_notes, price_rows, read_prices
from mrcnn_edu.mistakes.swap import Swap


class Mistake(Swap):
    """A classic mistake: `with break_it("round_roi"): …`, or its switch `on()` and `off()`.

    Printed, or as the last line of a cell, it says what goes wrong and what that costs.

    name      as in break_it(name)
    lesson    number of the lesson that explains it
    what      what goes wrong, in a sentence or two
    """

    def __init__(self, part: str, function: Callable, lesson: int, what: str):
        self.name, self.lesson, self.what = function.__name__, lesson, what
        super().__init__(part, function, f"break_it({self.name!r})")

    @property
    def only_training(self) -> bool:
        """Whether it changes nothing that a trained model predicts."""
        return self.part in TRAINING_PARTS

    @property
    def prices(self) -> dict[str, dict]:
        """What it costs, measured: "switched_on" in the sound model, "trained" with it from the start.

        Either may be missing. Each holds `sound` and `broken`, {"bbox": {"AP", "AP75"}, "segm": {…}}, `scenes`, how
        many were evaluated, the `commands` that did it, and the `date`.
        """
        return read_prices().get(self.name, {})

    @property
    def notes(self) -> list[str]:
        """How its prices were computed, and which is missing."""
        return price_notes(self.name, self.prices, self.only_training)

    def __str__(self):
        lines = [f"{self.name} (lesson {self.lesson:02d}, {'on' if self.is_on else 'off'}). {self.what}"]
        rows = price_rows(self.prices)
        if rows:
            lines.append(f"{'':40}{''.join(f'{name:>11}' for name in COLUMNS)}")
            lines += [f"{name:40}{''.join(f'{value:11.3f}' for value in values)}" for name, values in rows]
        return "\n".join([*lines, *self.notes])

    def _repr_html_(self):
        cell = 'style="text-align: right; padding: 2px 10px"'
        head = "".join(f"<th {cell}>{name}</th>" for name in ("", *COLUMNS))
        rows = "".join(
            f'<tr><td style="text-align: left; padding: 2px 10px">{name}</td>'
            + "".join(f"<td {cell}>{value:.3f}</td>" for value in values)
            + "</tr>"
            for name, values in price_rows(self.prices)
        )
        table = f'<table style="margin: 6px 0"><tr>{head}</tr>{rows}</table>' if rows else ""
        notes = "".join(f'<div style="font-size: 90%">{html.escape(note)}</div>' for note in self.notes)
        return (
            '<div style="border-left: 5px solid #D55E00; padding: 4px 12px; max-width: 860px; line-height: 1.45">'
            f"<b>Break it: <code>{self.name}</code></b> (lesson {self.lesson:02d}, {'on' if self.is_on else 'off'}). "
            f"{html.escape(self.what)}{table}{notes}</div>"
        )

    def _repr_pretty_(self, printer, cycle):
        printer.text(str(self))
