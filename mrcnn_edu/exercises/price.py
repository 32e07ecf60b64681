"""What a reader's function costs as a part of the trained model."""

import html
import io
import math
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import cache, wraps

import torch

from mrcnn_edu.datasets import load_dataset
from mrcnn_edu.mistakes import TRAINING_PARTS, Swap, swapped, switched_on
from mrcnn_edu.model import load_weights
from mrcnn_edu.training.coco_scores import average_precision
from mrcnn_edu.training.evaluation import coco_results

SCENES = 12
TOGETHER = 2  # images in one call, so that a function that mixes up the images of a batch is seen
PATIENCE = 8.0  # seconds that a function may take; then the scenes that are done count
SEED = 0  # of the draws while losses are computed
LITTLE = 0.01  # AP; so few scenes do not tell a smaller change from chance
NOTICED = 1e-3  # pixels, scores and shares of a loss below this are rounding


@dataclass(frozen=True)
class Price:
    """What became of the trained model with one part swapped.

    part      the part, as `swapped` names it
    scenes    on how many validation scenes both models ran
    sound     {"bbox": {"AP", …}, "segm": {…}} of the model as it is; of parts that only training needs its five losses
    swapped   the same with the function
    boxes     largest distance of a corner of a detected box to that of the nearest one of its class, pixels; infinite
              where a class is not found any more
    scores    largest difference of the scores of those two
    draw      how far another random draw alone moves a loss, as a share of it; for the part "sample"
    error     why the model could not run with the function, or None; then the other fields say nothing
    """

    part: str
    scenes: int = 0
    sound: dict = field(default_factory=dict)
    swapped: dict = field(default_factory=dict)
    boxes: float = 0.0
    scores: float = 0.0
    draw: float = 0.0
    error: str | None = None

    @property
    def moved(self) -> tuple[str, float]:
        """The loss that differs most, and by which share of it."""
        # A loss of almost nothing may double, and it is nothing still.
        least = 0.01 * sum(self.sound.values())
        shares = {name: abs(self.swapped[name] - value) / max(value, least) for name, value in self.sound.items()}
        name = max(shares, key=lambda each: math.inf if math.isnan(shares[each]) else shares[each])
        return name, shares[name]

    @property
    def gap(self) -> str:
        """The differences of boxes and scores in words."""
        if self.boxes == math.inf:
            return "some detections are gone"
        if self.boxes == self.scores == 0:
            return "no box and no score changes"
        return f"boxes differ by at most {small(self.boxes)} px, scores by {small(self.scores)}"

    def of_right(self) -> str:
        """The sentence under a right answer."""
        if self.error:
            return f"Swapped into the trained model it could not run: {self.error}"
        start = f"Swapped into the trained model, on {self.scenes} scenes: "
        if self.part in TRAINING_PARTS:
            name, share = self.moved
            if share <= NOTICED:
                return f"{start}all five losses are as before (largest difference {small(100 * share)} %)."
            other = f"; another random draw alone moves one by {100 * self.draw:.1f} %" if self.draw else ""
            return f"{start}the losses differ by at most {100 * share:.1f} % ({name}){other}."
        before, after = self.sound["segm"]["AP"], self.swapped["segm"]["AP"]
        ap = f"mask AP {before:.3f}, as before" if abs(after - before) < 5e-4 else f"mask AP {before:.3f} → {after:.3f}"
        return f"{start}{self.gap}; {ap}."

    def of_wrong(self) -> str | None:
        """The sentence under a wrong answer; None where the model could not run with it."""
        if self.error:
            return None
        unseen = "these scenes do not show the mistake"
        if self.part in TRAINING_PARTS:
            name, share = self.moved
            if share <= max(NOTICED, self.draw):
                return f"With your version the model's five losses on {self.scenes} scenes stay as they are: {unseen}."
            before, after = self.sound[name], self.swapped[name]
            smaller = " Smaller is not better here: what the loss is measured on has changed." if after < before else ""
            where = f"{name} of the trained model on {self.scenes} scenes"
            return f"With your version {where} goes from {before:.3g} to {after:.3g}.{smaller}"
        before, after = self.sound["segm"]["AP"], self.swapped["segm"]["AP"]
        start = f"With your version the model's mask AP on {self.scenes} scenes"
        if abs(after - before) < 5e-4:
            return f"{start} stays at {before:.3f}: {unseen}."
        if abs(after - before) < LITTLE:
            return f"{start} hardly changes, {before:.3f} → {after:.3f}: {unseen}."
        if after > before:
            return f"{start} goes from {before:.3f} to {after:.3f}, where a right one changes nothing."
        return f"{start} falls from {before:.3f} to {after:.3f}."


@dataclass(frozen=True)
class Line:
    """One sentence below a verdict."""

    text: str

    def __str__(self):
        return f"  {self.text}"

    def _repr_html_(self):
        return (
            '<div style="border-left: 5px solid #56B4E9; padding: 4px 12px; max-width: 860px; line-height: 1.45">'
            f"{html.escape(self.text)}</div>"
        )

    def _repr_pretty_(self, printer, cycle):
        printer.text(str(self))


def small(value: float) -> str:
    """A difference in few digits: 0, 3e-06, 0.25, 140."""
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


# A swap and a seed act on the whole process: what is computed beside them would be wrong, and be remembered.
_turn = threading.RLock()


def remembered(function: Callable) -> Callable:
    """The function, computed once for each of its arguments; it waits until nothing else is being priced."""
    known = cache(function)

    @wraps(function)
    def call(*arguments):
        with _turn:
            return known(*arguments)

    return call


class _OutOfPatience(Exception):
    pass


def price(part: str, function: Callable, scenes: int = SCENES) -> Price:
    """Run the lesson model on validation scenes, as it is and with `function` as one of its parts.

    part      as in `mrcnn_edu.mistakes.swapped`
    function  gets copies; whatever it raises or returns is reported, not raised
    scenes    fewer count where the function takes too long
    raises    ValueError for a part that does not exist; RuntimeError while a mistake is switched on
    """
    with _turn:
        swap = swapped(part, guarded(function, time.perf_counter() + PATIENCE))
        if switched_on():
            raise RuntimeError(f"{switched_on()[0].title} is on: switch it off before a function is priced")
        return _priced(part, swap, scenes)


def _priced(part: str, swap: Swap, scenes: int) -> Price:
    run = losses_of if part in TRAINING_PARTS else detections_of
    found, error = [], None
    # What the function prints it has printed in the checks already.
    with swap, redirect_stdout(io.StringIO()):
        try:
            for first in range(0, scenes, TOGETHER):
                found.append(run(first, scenes))
        except _OutOfPatience:
            error = None if found else f"it takes more than {PATIENCE:.0f} s for {TOGETHER} scenes."
        except Exception as raised:  # whatever the reader's code raises belongs in the report
            error = f"{type(raised).__name__}: {str(raised).splitlines()[0] if str(raised) else 'no message'}"
    if error:
        return Price(part, error=error)
    compare = compare_losses if part in TRAINING_PARTS else compare_detections
    return compare(part, found, scenes)


def guarded(function: Callable, deadline: float) -> Callable:
    """The function, called with copies of its tensors, and not after the deadline."""

    def call(*arguments):
        if time.perf_counter() > deadline:
            raise _OutOfPatience
        return function(*(copied(argument) for argument in arguments))

    call.__name__ = getattr(function, "__name__", "function")
    return call


def copied(value):
    """A tensor, or a list of them, with memory of its own."""
    if isinstance(value, list):
        return [copied(each) for each in value]
    return value.clone() if isinstance(value, torch.Tensor) else value


@remembered
def lesson_model():
    """The trained model of the lessons, loaded once."""
    return load_weights("lesson")


@remembered
def scenes_of(first: int, scenes: int) -> tuple[list, list]:
    """The images and targets of one call."""
    dataset = load_dataset("shapes", split="val")
    pairs = [dataset[index] for index in range(first, min(first + TOGETHER, scenes))]
    images, targets = zip(*pairs, strict=True)
    return [image.as_subclass(torch.Tensor) for image in images], list(targets)


def detections_of(first: int, scenes: int) -> list[dict]:
    """What the model finds in the images of one call, masks as run lengths."""
    return lesson_model().predict(scenes_of(first, scenes)[0], masks="rle")


def losses_of(first: int, scenes: int, seed: int = SEED) -> dict[str, float]:
    """The five losses of the images of one call, with the same random draws each time."""
    # Loading draws random numbers too, so it comes before the seed.
    model, (images, targets) = lesson_model(), scenes_of(first, scenes)
    with _turn, torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed + first)
        losses = model.loss(images, targets)
    return {name: value.item() for name, value in losses.items()}


@remembered
def sound_detections(first: int, scenes: int) -> list[dict]:
    """The same with the model as it is, kept for the next function."""
    return detections_of(first, scenes)


@remembered
def sound_losses(first: int, scenes: int, seed: int) -> dict[str, float]:
    """The same with the model as it is, kept for the next function."""
    return losses_of(first, scenes, seed)


@remembered
def truth_of(scenes: int) -> dict:
    """The annotations of the scenes in COCO format."""
    return load_dataset("shapes", split="val", length=scenes).coco()


def scores_of(found: list[dict]) -> dict:
    """AP of the detections of the first scenes."""
    truth = truth_of(len(found))
    ids = [image["id"] for image in truth["images"]]
    results = [row for each, image_id in zip(found, ids, strict=True) for row in coco_results(each, image_id)]
    return average_precision(truth, results, ids, by_size=False)


def compare_detections(part: str, found: list[list[dict]], scenes: int) -> Price:
    """The price of a part that predictions need, from the detections of each call."""
    sound = [image for call in range(len(found)) for image in sound_detections(call * TOGETHER, scenes)]
    other = [image for call in found for image in call]
    gaps = [largest_gap(a, b) for a, b in zip(sound, other, strict=True)]
    try:
        after = scores_of(other)
    except Exception as raised:  # detections that are no numbers, or no boxes
        return Price(part, error=f"its detections cannot be scored ({type(raised).__name__}: {raised})")
    boxes, scores = (max(values) for values in zip(*gaps, strict=True))
    return Price(part, len(other), scores_of(sound), after, boxes, scores)


def largest_gap(sound: dict, other: dict) -> tuple[float, float]:
    """Pixels and score by which the detections of one image differ at most, each from the nearest of its class."""
    boxes = scores = 0.0
    for box, label, score in zip(sound["boxes"], sound["labels"], sound["scores"], strict=True):
        same = torch.where(other["labels"] == label)[0]
        if not len(same):
            return math.inf, 1.0
        distance = (other["boxes"][same] - box).abs().amax(dim=1)  # (n,)
        nearest = distance.nan_to_num(math.inf).argmin()
        boxes = max(boxes, float(distance[nearest].nan_to_num(math.inf)))
        scores = max(scores, abs(float(other["scores"][same[nearest]] - score)))
    return boxes, scores


def compare_losses(part: str, found: list[dict], scenes: int) -> Price:
    """The price of a part that only training needs, from the losses of each call."""
    calls = [call * TOGETHER for call in range(len(found))]
    sound, other = mean([sound_losses(first, scenes, SEED) for first in calls]), mean(found)
    counted = min(scenes, len(found) * TOGETHER)
    result = Price(part, counted, sound, other)
    if part != "sample":
        return result
    redrawn = mean([sound_losses(first, scenes, SEED + 1000) for first in calls])
    return Price(part, counted, sound, other, draw=Price(part, counted, sound, redrawn).moved[1])


def mean(rows: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each entry."""
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
