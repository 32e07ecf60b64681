"""Numbers as the explorers write them."""


def counted(number: int, one: str) -> str:
    """1, "box" → "1 box"; 3, "box" → "3 boxes"."""
    return f"{number:,} {one}{'' if number == 1 else 'es' if one.endswith('x') else 's'}"


def signed(value: float, digits: int = 3) -> str:
    """+0.125, −0.125, and 0.000 without a sign where nothing is left of it."""
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else f"{'+' if value > 0 else '−'}{text}"
