"""Every explorer on every kind of picture: all controls from end to end, each of which changes what is shown."""

import io

import pytest
from PIL import Image

from mrcnn_edu import explorers
from mrcnn_edu.explorers.toolkit.controls import Number
from mrcnn_edu.explorers.toolkit.paint import SCALE
from tests.explorers.opened import KINDS, OPENINGS, opened, sample


def shown(explorer) -> tuple:
    """What a reader sees now: the picture's bytes and the boxes that the browser draws over it."""
    boxes = [(box["id"], *box["box"]) for box in explorer.canvas.boxes]
    return bytes(explorer.canvas.value), tuple(boxes)


def test_every_explorer_can_be_opened_here():
    assert set(OPENINGS) == set(explorers.WHERE) - {"Upload"}, "tests/explorers/opened.py lists every explorer"


@pytest.mark.parametrize("kind, count", [("coins", 24), ("empty", 0), ("one object", 1), ("fifty objects", 50)])
def test_the_kinds_hold_what_they_are_called(kind, count):
    image, truth = sample(kind)
    assert len(truth["labels"]) == count
    for x1, y1, x2, y2 in truth["boxes"].tolist():
        assert 0 <= x1 < x2 <= image.shape[2] and 0 <= y1 < y2 <= image.shape[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OPENINGS)
def test_every_control_moves_the_picture_from_end_to_end(name, kind, monkeypatch):
    fine, most = Number.sweep, 8 if kind == OPENINGS[name].kind else 3
    monkeypatch.setattr(Number, "sweep", lambda number, steps=12: fine(number, min(steps, most)))
    if kind in OPENINGS[name].refused:
        with pytest.raises(ValueError, match=name):
            opened(name, kind)
        return
    explorer = opened(name, kind)
    opening, seen, still = shown(explorer), {}, set()
    size = round(explorer.width * SCALE), round(explorer.height * SCALE)
    for control, value in explorer.sweep():
        assert Image.open(io.BytesIO(explorer.canvas.value)).size == size
        assert explorer.canvas.alt, f"{name} says nothing in words at {control} = {value}"
        seen.setdefault(control, set()).add(shown(explorer))
        if explorer.controls[control].disabled:
            still.add(control)
    assert set(seen) == set(explorer.controls)
    assert [control for control, pictures in seen.items() if len(pictures) == 1 and control not in still] == []
    assert shown(explorer) == opening, "after a sweep the explorer stands where it stood"


@pytest.mark.parametrize("name", OPENINGS)
def test_the_still_has_the_size_of_the_card(name):
    explorer = opened(name, OPENINGS[name].kind)
    assert Image.open(io.BytesIO(explorer.snapshot())).size == (explorer.width, explorer.height)


@pytest.mark.parametrize("name", OPENINGS)
def test_the_slider_that_other_tests_move_is_one(name):
    explorer = opened(name, OPENINGS[name].kind)
    slider = explorer.controls[OPENINGS[name].slider].slider
    assert not slider.disabled and slider.max - slider.min >= 4
