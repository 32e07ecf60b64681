"""What the mistakes cost, as it was measured: read from the file that ships, and put into a table and notes."""

import json
from pathlib import Path

from mrcnn_edu.model.weights import DATA_FOLDER

PRICES_FILE = DATA_FOLDER / "prices.json"
COLUMNS = {
    "mask AP": ("segm", "AP"),
    "mask AP75": ("segm", "AP75"),
    "box AP": ("bbox", "AP"),
    "box AP75": ("bbox", "AP75"),
}
KINDS = {"switched_on": "switched on in the sound model", "trained": "trained with it from the start"}


def price_rows(prices: dict[str, dict]) -> list[tuple[str, list[float]]]:
    """The lines of a mistake's table, values as in COLUMNS: the sound model, then each way of making the mistake."""
    rows = []
    for kind, price in prices.items():
        for name, scores in (("sound model", price["sound"]), (KINDS[kind], price["broken"])):
            row = name, [scores[group][metric] for group, metric in COLUMNS.values()]
            if row not in rows:
                rows.append(row)
    return rows


def price_notes(name: str, prices: dict[str, dict], only_training: bool) -> list[str]:
    """How each price of the mistake of that name was computed, and what has none."""
    notes = []
    if prices:
        notes.append(
            "AP is the average precision over IoU thresholds from 0.50 to 0.95, AP75 that at 0.75; 1 is perfect."
        )
    for kind, price in prices.items():
        commands = ", then ".join(price["commands"])
        runs = " (one run)" if kind == "trained" else ""
        notes.append(
            f"{KINDS[kind].capitalize()}{runs}: {price['scenes']} validation scenes, {price['date']}, {commands}"
        )
    if only_training:
        notes.append("Switched on in a trained model it changes no prediction.")
    if not prices:
        options = f"--trained {name}=FILE" if only_training else name
        notes.append(f"Its price has not been measured yet: python -m mrcnn_edu.training.prices {options}")
    return notes


def read_prices(path: Path | None = None) -> dict[str, dict]:
    """{mistake: its prices}, as `mrcnn_edu.training.prices` measured them; empty where there is no file.

    path   by default the file that ships
    """
    path = path or PRICES_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
