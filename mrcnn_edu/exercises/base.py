"""Exercises: a decorator that checks the reader's function, hints, solutions, and progress.

An Exercise holds everything about one task. Its checks run in this order: probes for known misconceptions, each with a
message of its own; fixed cases; random inputs; gradcheck where it applies. The reader's function and the reference are
called with copies of the same inputs, so that a function that changes its arguments harms nothing.
"""

import copy
import html
import inspect
import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch

from mrcnn_edu.exercises import progress as record
from mrcnn_edu.exercises.crash import advice, is_unwritten, where

TOLERANCE = 1e-5


@dataclass(frozen=True)
class Probe:
    """A known misconception: a wrong answer that looks right, and what to say to it.

    wrong    a function that makes the mistake
    inputs   arguments on which the mistake shows
    message  what the reader sees; it says what the thought misses, not only that it is wrong
    more     further arguments on which the answers must agree with `wrong`, where one does not tell it from another
    """

    wrong: Callable
    inputs: tuple
    message: str
    more: tuple[tuple, ...] = ()


@dataclass(frozen=True)
class Exercise:
    """One task.

    name       as in @exercise(name)
    lesson     number of its lesson
    number     its own within the lesson, from 1
    task       one line
    reference  the right function; the reader gets it where their own is not right
    probes     known wrong answers
    cases      argument tuples to compare on
    draw       generator → one argument tuple at random, or None
    hints      shown one at a time by `hint`
    reasoning  shown with the reference's code by `solution`
    checked    what a right answer has been checked against, for the message
    gradients  argument tuple in float64 for gradcheck, or None
    part       the part of the trained model that the function is swapped into after the check, as `swapped` names it
    fit        reader's function → one that the part can be called as; None where it can be called so itself
    """

    name: str
    lesson: int
    number: int
    task: str
    reference: Callable
    probes: tuple[Probe, ...]
    cases: tuple[tuple, ...]
    hints: tuple[str, ...]
    reasoning: str
    checked: str
    draw: Callable | None = None
    gradients: tuple | None = None
    part: str | None = None
    fit: Callable | None = None


@dataclass(frozen=True)
class Verdict:
    """What the check found. state: "right", "wrong", "crashed" or "empty"."""

    state: str
    name: str
    message: str

    HEADS = {"right": "Right", "wrong": "Not yet", "crashed": "It stopped with an error", "empty": "Yours to write"}
    MARKS = {"right": "✔", "wrong": "✘", "crashed": "⚠", "empty": "✎"}
    COLOURS = {"right": "#009E73", "wrong": "#D55E00", "crashed": "#CC79A7", "empty": "#0072B2"}

    def __str__(self):
        return f"{self.MARKS[self.state]} {self.HEADS[self.state]} ({self.name}). {self.message}"

    def _repr_html_(self):
        head = f"<b>{self.MARKS[self.state]} {self.HEADS[self.state]}</b> (<code>{html.escape(self.name)}</code>)."
        return (
            f'<div style="border-left: 5px solid {self.COLOURS[self.state]}; padding: 4px 12px; max-width: 860px; '
            f'line-height: 1.45">{head} {html.escape(self.message)}</div>'
        )

    def _repr_pretty_(self, printer, cycle):
        printer.text(str(self))


class ExerciseError(AssertionError):
    """Raised instead of a printed verdict where MRCNN_EDU_STRICT is 1."""


@dataclass
class Shelf:
    """The exercises of all lessons that were loaded, and how many hints of each were shown."""

    known: dict[str, Exercise] = field(default_factory=dict)
    hints_shown: dict[str, int] = field(default_factory=dict)

    def add(self, exercise: Exercise) -> Exercise:
        """Put an exercise on the shelf, under its name."""
        self.known[exercise.name] = exercise
        return exercise

    def find(self, name: str) -> Exercise:
        """The exercise of that name. Raises KeyError naming the ones there are."""
        if name not in self.known:
            raise KeyError(f"no exercise is called {name!r}; there are {', '.join(sorted(self.known))}")
        return self.known[name]


SHELF = Shelf()


def exercise(name: str) -> Callable:
    """@exercise("name") above the reader's function: checks it, says what it found, and keeps the notebook running.

    Returns the function where it is right, else the reference.
    """
    task = SHELF.find(name)

    def decorate(attempt: Callable) -> Callable:
        verdict = check(task, attempt)
        if verdict.state != "right" and os.environ.get("MRCNN_EDU_STRICT") == "1":
            raise ExerciseError(str(verdict))
        show(verdict)
        if verdict.state != "empty":
            record.record(name, "right" if verdict.state == "right" else "tried")
        if task.part and verdict.state in ("right", "wrong"):
            show_price(task, attempt, verdict.state)
        return attempt if verdict.state == "right" else task.reference

    return decorate


def show_price(task: Exercise, attempt: Callable, state: str) -> None:
    """One line below a verdict: what the trained model does with the reader's function as one of its parts."""
    # Most exercises have no part, and the model and the evaluation take a second to load.
    from mrcnn_edu.exercises.price import Line, price

    try:
        found = price(task.part, attempt if task.fit is None else task.fit(attempt))
        text = found.of_right() if state == "right" else found.of_wrong()
    except (RuntimeError, OSError) as error:
        text = f"It was not tried in the trained model: {error}."
    if text:
        show(Line(text))


HANDED_ON = " The lesson goes on with the reference solution."


def check(task: Exercise, attempt: Callable) -> Verdict:
    """Run all checks of `task` on `attempt`; never raises for what the reader's function does."""

    def verdict(state, message):
        return Verdict(state, task.name, message)

    inputs = task.cases[0]
    try:
        first = call(attempt, inputs)
        if first is None:
            return verdict("wrong", f"Your function gives back nothing (None). Is a return missing?{HANDED_ON}")
        if is_empty(first):
            return verdict("empty", f"{task.task} Replace the dots.{HANDED_ON} hint({task.name!r}) helps.")
        for probe in task.probes:
            inputs = probe.inputs
            if all(same(call(attempt, each), call(probe.wrong, each)) for each in (inputs, *probe.more)):
                return verdict("wrong", probe.message + HANDED_ON)
        for inputs in all_inputs(task):
            got, wanted = call(attempt, inputs), call(task.reference, inputs)
            if not same(got, wanted):
                return verdict("wrong", f"{difference(inputs, got, wanted)}{HANDED_ON} hint({task.name!r}) helps.")
        if task.gradients is not None:
            inputs = task.gradients
            if not gradient_flows(attempt, inputs):
                return verdict("wrong", NO_GRADIENT + HANDED_ON)
    except Exception as error:  # whatever the reader's code raises belongs in the verdict
        if is_unwritten(error, attempt):
            return verdict("empty", f"{task.task}{HANDED_ON} hint({task.name!r}) helps.")
        what = ": ".join(filter(None, (type(error).__name__, str(error).rstrip("."))))
        helpful = advice(partial(call, attempt, inputs))
        return verdict(
            "crashed",
            f"{what}. {helpful}{where(error, attempt)} It was called with {brief(inputs)}.{HANDED_ON}",
        )
    return verdict("right", f"Checked: {task.checked}.")


NO_GRADIENT = (
    "The values agree, but no gradient flows through them as it should. Compute with torch's own operations on whole "
    "tensors: .item(), .tolist(), math.log and torch.tensor(…) cut the gradient."
)


def gradient_flows(attempt: Callable, inputs: tuple) -> bool:
    """Whether gradcheck passes; a function that returns no tensor has no gradient."""
    if not isinstance(call(attempt, inputs), torch.Tensor):
        return False
    return torch.autograd.gradcheck(attempt, inputs, raise_exception=False)


def all_inputs(task: Exercise):
    """The fixed cases of a task, then 20 random ones, the same on every run."""
    yield from task.cases
    if task.draw is not None:
        generator = np.random.default_rng(0)
        for _ in range(20):
            yield task.draw(generator)


def call(function: Callable, inputs: tuple):
    """Call a function with copies of the inputs."""
    return function(*copy.deepcopy(inputs))


def is_empty(answer) -> bool:
    """An ellipsis, or a container that still holds one."""
    if answer is Ellipsis:
        return True
    parts = answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list | tuple) else ()
    return any(part is Ellipsis for part in parts)


def same(got, wanted) -> bool:
    """Equal in structure and shape, and in value within TOLERANCE. Lists and tuples count as the same."""
    if isinstance(wanted, dict):
        return isinstance(got, dict) and got.keys() == wanted.keys() and all(same(got[k], wanted[k]) for k in wanted)
    if isinstance(wanted, list | tuple):
        return isinstance(got, list | tuple) and len(got) == len(wanted) and all(map(same, got, wanted))
    if isinstance(wanted, str) or isinstance(got, str | dict):
        return isinstance(got, str) and got == wanted
    got, wanted = numbers(got), numbers(wanted)
    if got is None or wanted is None or got.shape != wanted.shape:
        return False
    return bool(np.allclose(got, wanted, atol=TOLERANCE, rtol=TOLERANCE, equal_nan=True))


def numbers(value) -> np.ndarray | None:
    """The numbers of a tensor, array, list or plain number; None for what is none of these."""
    try:
        if isinstance(value, torch.Tensor):
            value = value.detach().double()  # numpy knows neither gradients nor bfloat16
        return np.asarray(value, dtype=float)
    except Exception:  # whatever the libraries raise for an answer that holds no numbers
        return None


def difference(inputs: tuple, got, wanted) -> str:
    """One sentence that shows an input on which the answer is off."""
    if isinstance(wanted, tuple) and isinstance(got, torch.Tensor | np.ndarray) and same(got.tolist(), wanted):
        numbers = f"one {type(got).__name__} of {len(wanted)} numbers"
        return f"You return {numbers}; return the numbers themselves, with a comma between them."
    if isinstance(wanted, tuple) and len(wanted) == 1 and same(got, wanted[0]):
        return f"{brief(got)} is a number; a tuple of one number is written with a comma: ({brief(got)},)."
    if isinstance(wanted, dict) and isinstance(got, dict):
        for key in wanted:
            if key not in got:
                return f"The answer has no entry {key!r}."
            if isinstance(wanted[key], tuple) and not isinstance(got[key], list | tuple):
                return f"The entry {key!r}: {difference(inputs, got[key], wanted[key])}"
            if not same(got[key], wanted[key]):
                return f"For {brief(inputs)} the entry {key!r} is {brief(got[key])}, not {brief(wanted[key])}."
        return f"Not asked for: {', '.join(sorted(map(repr, got.keys() - wanted.keys())))}."
    if isinstance(wanted, torch.Tensor) and isinstance(got, torch.Tensor) and got.shape == wanted.shape:
        far = (got.double() - wanted.double()).abs().nan_to_num(torch.inf)
        far[(got == wanted) | (got.isnan() & wanted.isnan())] = 0
        place = tuple(int(i) for i in np.unravel_index(int(far.argmax()), far.shape))
        at = f"at {list(place)} " if place else ""
        return (
            f"For {brief(inputs)} the answer {at}is {got[place].item():.6g}; it should be {wanted[place].item():.6g}."
        )
    return f"For {brief(inputs)} the answer is {brief(got)}; it should be {brief(wanted)}."


def brief(value) -> str:
    """A value in a few words: short things in full, tensors by their shape."""
    if isinstance(value, torch.Tensor | np.ndarray) and not 0 < np.prod(value.shape) <= 12:
        return f"a {type(value).__name__} of shape {tuple(value.shape)}"
    if isinstance(value, torch.Tensor):
        return f"tensor({value.tolist()})"
    if isinstance(value, tuple) and any(isinstance(v, torch.Tensor) for v in value):
        return "(" + ", ".join(map(brief, value)) + ("," if len(value) == 1 else "") + ")"
    return textwrap.shorten(repr(value), 160, placeholder="…")


def show(thing) -> None:
    """Display in a notebook, print elsewhere."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        print(thing)
    else:
        display(thing)


def hint(name: str) -> None:
    """One more hint for an exercise; after the last one it says so."""
    task = SHELF.find(name)
    number = SHELF.hints_shown.get(name, 0)
    if number == len(task.hints):
        print(f"Those were all {number} hints. solution({name!r}) shows the code and the reasoning.")
        return
    SHELF.hints_shown[name] = number + 1
    print(f"Hint {number + 1} of {len(task.hints)}: {task.hints[number]}")


def solution(name: str) -> None:
    """The code of an exercise's reference and why it is so."""
    task = SHELF.find(name)
    print(textwrap.dedent(inspect.getsource(task.reference)).rstrip())
    print()
    print(textwrap.fill(task.reasoning, 100))


def progress(lesson: int | None = None) -> None:
    """Which exercises are done, of one lesson, or of all where none is named."""
    states = record.read()
    words = {"right": "✔ done", "tried": "✎ tried", None: "· open"}
    for number in sorted({task.lesson for task in SHELF.known.values()} if lesson is None else {lesson}):
        tasks = sorted((t for t in SHELF.known.values() if t.lesson == number), key=lambda task: task.number)
        done = sum(states.get(task.name) == "right" for task in tasks)
        print(f"Lesson {number:02d}: {done} of {len(tasks)} done")
        for task in tasks:
            print(f"  {words[states.get(task.name)]}  {task.name}: {task.task}")
