"""Every explorer with a box that can be dragged: a drop means what the drag before it meant."""

import pytest

from tests.explorers.opened import OPENINGS, opened

DRAGGED = [name for name, opening in OPENINGS.items() if opening.box]


def box_of(explorer, name: str) -> list[float]:
    return next(box["box"] for box in explorer.canvas.boxes if box["id"] == name)


def values(explorer) -> dict:
    return {name: control.value for name, control in explorer.controls.items()}


@pytest.mark.parametrize("change", [(24, 0, 0, 0), (0, 0, -24, -24), (15, 15, 15, 15)], ids=["edge", "corner", "body"])
@pytest.mark.parametrize("name", DRAGGED)
def test_a_drop_leaves_the_box_where_the_drag_had_it(name, change):
    explorer, what = opened(name, OPENINGS[name].kind), OPENINGS[name].box
    box = [v + d for v, d in zip(box_of(explorer, what), change, strict=True)]
    left, top, right, bottom = explorer.canvas.bounds
    assert left <= box[0] and top <= box[1] and box[2] <= right and box[3] <= bottom
    before = values(explorer)
    explorer.canvas.event = {"kind": "drag", "id": what, "box": box, "count": 1}
    held = values(explorer)
    assert held != before
    explorer.canvas.event = {"kind": "drop", "id": what, "box": box, "count": 2}
    assert values(explorer) == held


@pytest.mark.parametrize("name", DRAGGED)
def test_a_box_that_is_put_down_where_it_stood_changes_nothing(name):
    explorer, what = opened(name, OPENINGS[name].kind), OPENINGS[name].box
    before, picture = values(explorer), bytes(explorer.canvas.value)
    explorer.canvas.event = {"kind": "drop", "id": what, "box": box_of(explorer, what), "count": 1}
    assert values(explorer) == before and bytes(explorer.canvas.value) == picture
