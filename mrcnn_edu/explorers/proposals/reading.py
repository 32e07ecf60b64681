"""One state of the explorer Proposals: which boxes it shows, and the words about them."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from mrcnn_edu.explorers.proposals.record import KEPT, NEVER, Run
from mrcnn_edu.explorers.toolkit.window import Window
from mrcnn_edu.explorers.toolkit.words import counted

FRAME = (16, 84, 520, 396)
MAGNIFIER = (552, 84, 176, 176)
SHOW = ("this step", "survivors", "all boxes")
MOST_WAITING = 80  # drawn at once; more would hide the picture
MOST_FALLEN = 80  # of those suppressed in earlier steps
FOUND = 0.5  # IoU from which a true box counts as covered


@dataclass
class View:
    """One state, ready to draw.

    run       brought in line with the settings
    photo     the picture
    step      steps of NMS that are done
    show      one of SHOW
    selected  the candidate that was clicked, or None
    """

    run: Run
    photo: Image.Image
    step: int
    show: str
    selected: int | None = None

    def __post_init__(self):
        self.window = Window.fit(FRAME, (0, 0, self.run.size[1], self.run.size[0]))
        steps = self.run.record.suppressor
        self.last = self.step == len(self.run.kept)
        self.chosen = int(self.run.kept[self.step - 1]) if self.step else None
        self.survivors = self.run.kept[: self.step]
        self.victims = self.run.record.suppressed_by(self.step - 1) if self.step else np.zeros(0, int)
        nothing = np.zeros(0, int), np.zeros(0), np.zeros(0, bool)
        self.left, self.overlap, self.same = self.run.neighbours(self.step - 1) if self.step else nothing
        self.untouched = self._untouched()
        self.fallen = np.flatnonzero((steps >= 0) & (steps < self.step - 1))
        there = (steps < 0) | (steps >= self.step)
        there[self.survivors] = False
        waiting = np.flatnonzero(there)
        self.waiting = waiting[np.argsort(-self.run.candidates.scores.numpy()[waiting], kind="stable")]

    def _untouched(self) -> tuple[np.ndarray, np.ndarray]:
        """Boxes of other levels that would be suppressed if NMS did not keep levels apart, and their IoUs."""
        which = np.flatnonzero(~self.same & (self.overlap > self.run.settings[3]))
        which = which[np.argsort(-self.overlap[which], kind="stable")]
        return self.left[which], self.overlap[which]

    @property
    def calm(self) -> bool:
        """Whether only the survivors are drawn."""
        return self.show == "survivors" or (self.last and self.show == "this step")

    @property
    def scale(self) -> tuple[float, float]:
        """Resized pixels per pixel of the given image, (x, y)."""
        return self.run.size[1] / self.photo.width, self.run.size[0] / self.photo.height

    def level(self, box: int) -> str:
        """P2, P3, …"""
        return self.run.levels[int(self.run.candidates.level[box])].name

    def score(self, box: int) -> float:
        """Objectness as a probability."""
        return float(self.run.candidates.scores[box])

    def covered(self) -> np.ndarray | None:
        """(G,) best IoU of each true box with the survivors so far, or None where the truth is not known."""
        return None if self.run.best is None else self.run.best[:, self.step]

    def magnified(self) -> Window:
        """A square around the chosen box and what it competes with now."""
        near = self.run.boxes[[self.chosen, *self.victims, *self.untouched[0]]]
        (x1, y1), (x2, y2) = near[:, :2].min(0), near[:, 2:].max(0)
        side, cx, cy = max(x2 - x1, y2 - y1, 4) * 1.12, (x1 + x2) / 2, (y1 + y2) / 2
        return Window(MAGNIFIER, (cx - side / 2, cy - side / 2, cx + side / 2, cy + side / 2))

    def visible(self) -> np.ndarray:
        """The candidates that are drawn, as they can be clicked."""
        if self.calm:
            return self.survivors
        now = [*([] if self.chosen is None else [self.chosen]), *self.victims, *self.untouched[0]]
        rest = [*self.fallen[-MOST_FALLEN:], *self.waiting[:MOST_WAITING]] if self.show == "all boxes" else []
        if self.step == 0:
            rest = self.waiting[:MOST_WAITING]
        return np.array([*now, *self.survivors, *rest], dtype=int)

    def box_at(self, x: float, y: float) -> int | None:
        """The candidate whose outline lies within 6 CSS pixels of a point of the card, else the smallest around it."""
        shown, window = self.visible(), self.window
        if self.chosen is not None and self.magnified().unplace(x, y) is not None:
            shown, window = np.array([self.chosen, *self.victims, *self.untouched[0]]), self.magnified()
        elif window.unplace(x, y) is None:
            return None
        if not len(shown):
            return None
        px, py = window.unplace(x, y)
        x1, y1, x2, y2 = self.run.boxes[shown].T
        outside = np.maximum(np.maximum(np.maximum(x1 - px, px - x2), np.maximum(y1 - py, py - y2)), 0)
        inside = np.minimum(np.minimum(px - x1, x2 - px), np.minimum(py - y1, y2 - py))
        distance = np.where(outside > 0, outside, inside) * window.zoom
        if distance.min() <= 6:
            return int(shown[distance.argmin()])
        around = np.flatnonzero(outside == 0)
        area = ((x2 - x1) * (y2 - y1))[around]
        return int(shown[around[area.argmin()]]) if len(around) else None


def title(view: View) -> str:
    """The finding of a state, with its numbers."""
    run, kept = view.run, len(view.run.kept)
    if not len(run.candidates):
        return f"No box reaches the objectness of {run.settings[0]:.2f}: nothing is proposed"
    if view.step == 0:
        return f"Before NMS: {counted(len(run.candidates), 'box')} from {len(run.stages.anchors):,} anchors"
    if view.last:
        return f"All steps done: {counted(kept, 'proposal')} kept of {counted(len(run.candidates), 'box')}"
    fell = len(view.victims)
    return f"Step {view.step} of {kept}: the best box left, on {view.level(view.chosen)}, suppresses " + (
        f"{fell} of the others" if fell else "no other"
    )


def compare(iou: float, threshold: float) -> str:
    """0.83 > 0.70, with as many digits as it takes to see it."""
    digits = next((d for d in (2, 3, 4) if round(float(iou), d) != round(threshold, d)), 5)
    return f"{iou:.{digits}f} {'>' if iou > threshold else '≤'} {threshold:.2f}"


def probability(value: float) -> str:
    """Three digits after the point, and small ones so that they are not 0."""
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1g}" if value >= 1e-4 else "< 0.0001"


def finding(view: View) -> str:
    """What to see in a state."""
    run = view.run
    if view.selected is not None:
        return about(view, view.selected)
    if not len(run.candidates):
        return "Lower the objectness threshold. Every box below it is dropped before NMS begins."
    if view.step == 0:
        return (
            f"Most lie on the same few objects. Drawn: the best {min(MOST_WAITING, len(view.waiting))}. "
            "Move the step: each takes the best box left and drops what overlaps it too much."
        )
    if view.last:
        beyond = len(run.record.kept) - len(run.kept)
        dropped = int((run.record.suppressor >= 0).sum())
        words = f"NMS suppressed {dropped:,}. "
        if beyond:
            words += f"{counted(beyond, 'more box')} survived it, but only the best {len(run.kept):,} stay. "
        return words + "These are what the box head looks at."
    threshold = run.settings[3]
    words = f"{probability(view.score(view.chosen))} is the highest objectness left. "
    words += f"Boxes of {view.level(view.chosen)} with IoU > {threshold:.2f} are dropped. "
    if len(view.untouched[0]):
        others = ", ".join(dict.fromkeys(view.level(b) for b in view.untouched[0]))
        words += (
            f"{counted(len(view.untouched[0]), 'box')} of {others} overlap{'s' * (len(view.untouched[0]) == 1)} "
            "as much, but NMS compares only boxes of one level: not touched."
        )
    return words


def about(view: View, box: int) -> str:
    """What became of the clicked box, and through whom."""
    run, who = view.run, view.run.suppressor(box)
    words = f"The clicked box: {view.level(box)}, objectness {probability(view.score(box))}. "
    if who == KEPT:
        fell = len(run.record.suppressed_by(run.step_of(box) - 1))
        return words + f"It is kept: step {run.step_of(box)} chooses it, and it suppresses {fell:,}."
    if who == NEVER:
        return words + f"It is not kept: {len(run.kept):,} better boxes come first, and top-n after NMS stops there."
    by = run.kept[who]
    return words + (
        f"Step {who + 1} suppresses it: IoU {compare(run.record.iou[box], run.settings[3])} with the box of "
        f"objectness {probability(view.score(by))}, same level {view.level(by)}."
    )
