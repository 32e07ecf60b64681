"""One state of the explorer Deltas, and the words and arithmetic about it."""

import math
import re
from dataclasses import dataclass

import torch
from PIL import Image

from mrcnn_edu.explorers.toolkit.window import Window
from mrcnn_edu.explorers.toolkit.words import signed
from mrcnn_edu.model.boxes import MAX_LOG_RATIO, centres_and_sides, encode

NAMES = ("dx", "dy", "dw", "dh")


@dataclass(frozen=True)
class State:
    """What is drawn. Boxes (4,) xyxy in pixels of the picture as it is shown.

    deltas   (4,) as the controls hold them; dw and dh may be beyond the limit
    weights  of the codec
    scale    1, or 2 where picture, anchor and box are twice as large
    window   the piece of the picture that is shown
    photo    that piece
    held     0 where the numbers x1 to y2 move the anchor, 1 where they move the box
    beyond   whether the anchor reaches beyond the frame, so that no hand can hold it and it is painted
    """

    anchor: torch.Tensor
    box: torch.Tensor
    deltas: torch.Tensor
    weights: tuple[float, ...]
    scale: int
    window: Window
    photo: Image.Image
    held: int = 1
    beyond: bool = False

    @property
    def parts(self) -> tuple[list[float], list[float]]:
        """(x, y, w, h) of the anchor and of the box: centres and sides."""
        centres, sides = centres_and_sides(torch.stack([self.anchor, self.box]))
        return tuple(torch.cat([centres, sides], 1).tolist())

    @property
    def plain(self) -> list[float]:
        """The deltas without their weights."""
        return [float(t) / w for t, w in zip(self.deltas, self.weights, strict=True)]

    @property
    def limited(self) -> list[bool]:
        """Which of the four `decode` does not follow any further."""
        return [i > 1 and t > MAX_LOG_RATIO for i, t in enumerate(self.plain)]

    def times(self, factor: float) -> tuple[list[float], list[float]]:
        """Plain differences (x, y, w, h) in pixels and the deltas, with anchor and box `factor` times as large."""
        anchor, box = (self.anchor * factor)[None], (self.box * factor)[None]
        (a_xy, a_wh), (b_xy, b_wh) = centres_and_sides(anchor), centres_and_sides(box)
        differences = torch.cat([b_xy - a_xy, b_wh - a_wh], 1)[0].tolist()
        return differences, encode(box, anchor, self.weights)[0].tolist()


def title(state: State) -> str:
    """The four numbers."""
    numbers = ", ".join(f"{name} {signed(t)}" for name, t in zip(NAMES, state.deltas.tolist(), strict=True))
    return f"Four numbers move the anchor onto the box: {numbers}"


def finding(state: State) -> str:
    """The four numbers in words."""
    dx, dy, dw, dh = state.plain
    words = (
        f"The centre goes {'right' if dx >= 0 else 'left'} by {abs(dx):.2f} of the anchor's width and "
        f"{'down' if dy >= 0 else 'up'} by {abs(dy):.2f} of its height; the box is {ratio(dw)} times as wide and "
        f"{ratio(dh)} times as high."
    )
    if any(state.limited):
        words += " Larger than 62.5 times is not made: dw and dh count up to log(1000/16) = 4.14."
    if state.weights[0] != 1:
        words += f" The box head multiplies these by {', '.join(f'{w:g}' for w in state.weights)}."
    return words


def ratio(t: float) -> str:
    """e^t, as far as decode goes."""
    return f"{math.exp(min(t, MAX_LOG_RATIO)):.2f}"


def short(pixels: float) -> str:
    """A length with the digits that there is room for."""
    return f"{pixels:.1f}" if abs(pixels) < 999.95 else f"{pixels:.0f}"


def describe(state: State) -> str:
    """The card in words."""
    a, b = state.parts
    words = [f"{title(state)}.", finding(state)]
    for name, (x, y, w, h) in (("Anchor", a), ("Box", b)):
        words.append(f"{name}: centre ({x:.2f}, {y:.2f}), {w:.2f} wide, {h:.2f} high.")
    for i, (name, (forth, back), t) in enumerate(rows(state)):
        told = "" if state.limited[i] else f" = {bare(forth)}"
        words.append(f"{name} = {signed(t)}{told}; back: {bare(back)}.")
    once, twice = state.times(1 / state.scale), state.times(2 / state.scale)
    words.append(
        f"Twice the size: the difference of the widths goes from {signed(once[0][2], 1)} to {signed(twice[0][2], 1)} "
        f"pixels, dw from {signed(once[1][2])} to {signed(twice[1][2])}."
    )
    return " ".join(words)


def formula(i: int, weights: tuple[float, ...]) -> str:
    """How encode makes number i (0 to 3: dx, dy, dw, dh)."""
    letter, weight = "xywh"[i], "" if weights[i] == 1 else f"{weights[i]:g} · "
    if i < 2:
        return f"t_{letter} = {weight}(b_{letter} − a_{letter}) / a_{'wh'[i]}"
    return f"t_{letter} = {weight}log(b_{letter} / a_{letter})"


def rows(state: State) -> list[tuple[str, tuple[str, str], float]]:
    """(name, (encode with numbers, decode with numbers), value) for each of the four; <a> and <b> mark whose it is."""
    a, b = state.parts
    found = []
    for i, name in enumerate(NAMES):
        weight = "" if state.weights[i] == 1 else f"{state.weights[i]:g} · "
        divided = weight and f" / {state.weights[i]:g}"
        t = signed(float(state.deltas[i]))
        if i < 2:
            numbers = f"{weight}(<b>{b[i]:.2f}</> − <a>{a[i]:.2f}</>) / <a>{a[i + 2]:.2f}</>"
            step = f"{'−' if t[0] == '−' else '+'} {t.lstrip('+−')}{divided}"
            back = f"<a>{a[i]:.2f}</> {step} · <a>{a[i + 2]:.2f}</> = <b>{b[i]:.2f}</>"
        else:
            numbers = f"{weight}log(<b>{b[i]:.2f}</> / <a>{a[i]:.2f}</>)"
            power = f"{t.lstrip('+')}{divided}"
            if state.limited[i]:
                power = f"{MAX_LOG_RATIO:.3f}"
                numbers += f" = {MAX_LOG_RATIO * state.weights[i]:.3f}"
            back = f"<a>{a[i]:.2f}</> · exp({power}) = <b>{b[i]:.2f}</>"
        found.append((name, (numbers, back), float(state.deltas[i])))
    return found


def bare(arithmetic: str) -> str:
    """Arithmetic without the marks for its colours."""
    return re.sub("<[ab]>|</>", "", arithmetic)
