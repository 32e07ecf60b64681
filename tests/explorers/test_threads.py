"""Explorers and what they remember, asked by several threads at once."""

import sys
import threading

import pytest

from mrcnn_edu.exercises import price
from mrcnn_edu.explorers.toolkit.memory import Memory

from .opened import OPENINGS, opened


@pytest.fixture(autouse=True)
def often():
    """Threads change as often as can be, so that what may go wrong does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(*work):
    """Call each in a thread of its own, all from the same moment on; returns what they returned, raises what they
    raised."""
    start, results, errors = threading.Barrier(len(work)), [None] * len(work), []

    def call(number, function):
        start.wait()
        try:
            results[number] = function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=call, args=pair) for pair in enumerate(work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def test_a_value_is_made_once():
    made = []

    def make():
        made.append(1)
        sum(range(2000))
        return object()

    memory = Memory()
    found = at_once(*[lambda: memory.get("key", make)] * 8)
    assert len(made) == 1 and len({id(value) for value in found}) == 1


def test_a_small_memory_gives_every_thread_its_own_value():
    memory = Memory(1)

    def work(number):
        return lambda: [memory.get((number, step % 3), lambda step=step: (number, step % 3)) for step in range(300)]

    for number, found in enumerate(at_once(*(work(number) for number in range(6)))):
        assert found == [(number, step % 3) for step in range(300)]


def test_what_is_forgotten_is_made_anew():
    memory, made = Memory(2), []
    for key in ("a", "b", "a", "c", "b", "a"):
        memory.get(key, lambda key=key: made.append(key))
    assert made == ["a", "b", "c", "a"]
    memory.forget(lambda key: key == "c")
    memory.get("a", lambda: made.append("not again"))
    memory.get("c", lambda: made.append("c again"))
    assert made[-1] == "c again" and "not again" not in made


@pytest.mark.parametrize("name", OPENINGS)
def test_pictures_are_those_of_one_thread(name):
    """Four threads ask for pictures of different states of one explorer; each gets the picture of its own."""
    explorer = opened(name, "scene")
    control = explorer.controls[OPENINGS[name].slider]
    values = list(dict.fromkeys(control.sweep()))
    values = values[:: max(1, len(values) // 4)][:4]
    alone = opened(name, "scene")
    wanted = [alone.snapshot(**{control.name: value}) for value in values]
    shown = [lambda value=value: explorer.snapshot(**{control.name: value}) for value in values]
    assert at_once(*shown, *shown) == wanted * 2
    at_once(*shown, explorer.describe, explorer.draw, explorer.redraw)
    assert explorer.snapshot(**{control.name: values[0]}) == alone.snapshot(**{control.name: values[0]})


@pytest.mark.parametrize("name", OPENINGS)
def test_words_belong_to_one_state(name):
    explorer = opened(name, "scene")
    control = explorer.controls[OPENINGS[name].slider]
    values = list(dict.fromkeys(control.sweep()))[:3]
    wanted = set()
    for value in values:
        explorer.set(**{control.name: value})
        wanted.add(explorer.describe())

    def change():
        for value in values * 3:
            explorer.set(**{control.name: value})

    found = at_once(change, *[lambda: [explorer.describe() for _ in range(6)]] * 2)
    assert set(found[1]) | set(found[2]) <= wanted


def test_prices_of_two_threads_are_those_of_one(monkeypatch):
    from mrcnn_edu.model import boxes, losses

    def wrong(deltas, anchors, weights):
        return boxes.decode(deltas, anchors, weights) + 4

    def pairs(matched_idxs):
        return losses.anchor_labels(matched_idxs)

    asked = [lambda: price.price("decode", wrong, 2), lambda: price.price("anchor_labels", pairs, 2),
             lambda: price.price("decode", boxes.decode, 2)]  # fmt: skip
    for remembered in (price.sound_detections, price.sound_losses):
        monkeypatch.setattr(price, remembered.__name__, price.remembered(remembered.__wrapped__))
    wanted = [ask() for ask in asked]
    for remembered in (price.sound_detections, price.sound_losses):
        monkeypatch.setattr(price, remembered.__name__, price.remembered(remembered.__wrapped__))
    assert at_once(*asked, *asked) == wanted * 2
    assert wanted[0].error is None and wanted[0].swapped != wanted[0].sound and wanted[2].swapped == wanted[2].sound
