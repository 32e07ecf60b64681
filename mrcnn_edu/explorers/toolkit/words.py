"""Numbers as the explorers write them."""

import numpy as np


def counted(number: int, one: str) -> str:
    """1, "box" → "1 box"; 3, "box" → "3 boxes"."""
    return f"{number:,} {one}{'' if number == 1 else 'es' if one.endswith('x') else 's'}"


def signed(value: float, digits: int = 3) -> str:
    """+0.125, −0.125, and 0.000 without a sign where nothing is left of it."""
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"


def share(value: float) -> str:
    """0.396 → "40 %"; what is not quite everything never rounds to 100 %, nor a little to 0 %."""
    percent = round(100 * value)
    if 0 < value < 1:
        percent = min(max(percent, 1), 99)
    return f"{percent} %"


def written(value: float, *thresholds: float) -> str:
    """An IoU with two decimals, rounded down where it would else seem to reach a threshold that it is below."""
    rounded = round(value, 2)
    # In float32, as IoUs are compared: 0.7 is not below 0.7.
    if any(np.float32(value) < np.float32(threshold) <= np.float32(rounded) for threshold in thresholds):
        rounded -= 0.01
    return f"{rounded:.2f}"
