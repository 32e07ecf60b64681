"""Deltas: both directions agree with the codec, every control tells, drags, clicks and keys, sizes and limits."""

import io
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mrcnn_edu.explorers.deltas.backdrop import FRAME
from mrcnn_edu.explorers.deltas.explorer import ANCHOR, BOX, NAMES, SIDES, WEIGHTS, Deltas
from mrcnn_edu.explorers.deltas.reading import bare, rows
from mrcnn_edu.explorers.toolkit.words import signed
from mrcnn_edu.model.boxes import MAX_LOG_RATIO, decode, encode
from tests.explorers.opened import sample

HEAD = list(WEIGHTS)[1]


@pytest.fixture(scope="module")
def shared():
    return Deltas()


@pytest.fixture
def deltas(shared):
    shared.set(anchor=list(shared._anchor_of)[0], weights=list(WEIGHTS)[0], twice=False)
    shared.dragged("box", shared.window.place(shared.objects[0]))
    return shared


def state_agrees(deltas: Deltas) -> None:
    """What is held, what is drawn and what the controls show are the codec's."""
    state = deltas.state
    encoded = encode(state.box[None], state.anchor[None], state.weights)[0]
    if not any(state.limited):
        assert torch.allclose(encoded, state.deltas, atol=2e-4 * max(state.weights))
    decoded = decode(state.deltas[None], state.anchor[None], state.weights)[0]
    assert torch.allclose(decoded, state.box, atol=2e-3, rtol=1e-4)
    for name, value in zip((*SIDES, *NAMES), [*state.box.tolist(), *state.deltas.tolist()], strict=True):
        assert deltas.get(name) == pytest.approx(value, abs=0.051 if name in SIDES else 6e-4)


def test_the_opening_shows_the_object_and_four_numbers_that_are_not_zero(deltas):
    assert torch.equal(deltas.state.box, deltas.objects[0])
    assert all(abs(t) > 0.1 for t in deltas.state.plain)
    state_agrees(deltas)
    assert Image.open(io.BytesIO(deltas.snapshot())).size == (Deltas.width, Deltas.height)


sides = st.tuples(*[st.floats(0, 127).map(lambda v: round(v, 1)) for _ in range(4)])


@settings(max_examples=40, deadline=None)
@given(values=sides, codec=st.sampled_from(list(WEIGHTS)), twice=st.booleans(), back=st.booleans())
def test_the_deltas_follow_the_box_and_the_box_the_deltas(shared, values, codec, twice, back):
    shared.set(weights=codec, twice=twice)
    with shared.together():
        shared.hold(**dict(zip(SIDES, values, strict=True)))
    state_agrees(shared)
    if back:
        shared.hold(**{name: 0.7 * value for name, value in zip(NAMES, values, strict=True) if value < 4})
        state_agrees(shared)


@settings(max_examples=40, deadline=None)
@given(
    four=st.tuples(*[st.floats(-1.5, 1.5).map(lambda v: round(v, 3)) for _ in range(4)]),
    codec=st.sampled_from(list(WEIGHTS)),
)
def test_deltas_that_are_set_are_held_exactly_and_decoded(shared, four, codec):
    shared.set(weights=codec, twice=False)
    four = [t * w for t, w in zip(four, WEIGHTS[codec], strict=True)]
    shared.hold(**dict(zip(NAMES, four, strict=True)))
    wanted = decode(torch.tensor([four]), shared.anchor[None], WEIGHTS[codec])[0]
    assert torch.allclose(shared.state.box, wanted, atol=0.06)
    state_agrees(shared)


def test_every_control_changes_the_picture_and_the_words(deltas):
    opening = deltas.snapshot(), deltas.describe()
    changes = {"anchor": list(deltas._anchor_of)[1], "weights": HEAD, "twice": True, "x1": 20.0, "y1": 30.0}
    changes |= {"x2": 90.0, "y2": 95.0, "dx": 0.5, "dy": 0.4, "dw": 0.3, "dh": -0.4}
    assert set(changes) == set(deltas.controls) - {"held"}  # which says what the numbers hold
    for name, value in changes.items():
        rest = {other: deltas.get(other) for other in deltas.controls}
        assert deltas.snapshot(**{name: value}) != opening[0] and deltas.describe() != opening[1]
        deltas.set(**rest)


@pytest.mark.parametrize("kind", ["scene", "coins", "one object", "fifty objects"])
def test_sweep_runs_and_ends_where_it_began(kind):
    image, truth = sample(kind)
    deltas = Deltas(image, truth["boxes"])
    before, held = deltas.snapshot(), deltas.state
    assert {control for control, _ in deltas.sweep()} == set(deltas.controls)
    assert deltas.snapshot() == before and torch.equal(deltas.state.box, held.box)


def test_the_numbers_in_the_picture_are_those_of_the_package(deltas):
    a, b = deltas.state.anchor, deltas.state.box
    wanted = encode(b[None], a[None])[0].tolist()
    x = ((b[0] + b[2]) / 2, (a[0] + a[2]) / 2, a[2] - a[0])
    found = rows(deltas.state)
    assert bare(found[0][1][0]) == f"({x[0]:.2f} − {x[1]:.2f}) / {x[2]:.2f}"
    assert bare(found[2][1][0]) == f"log({b[2] - b[0]:.2f} / {a[2] - a[0]:.2f})"
    assert [value for *_, value in found] == pytest.approx(wanted, abs=1e-6)
    for value in wanted:
        assert signed(value) in deltas.describe()
    for row in found:
        arithmetic = bare(row[1][0]).replace("−", "-").replace("·", "*")
        assert eval(arithmetic, {"log": math.log}) == pytest.approx(row[2], abs=2e-3)  # noqa: S307


def test_the_weights_multiply(deltas):
    plain = deltas.state.deltas.clone()
    deltas.set(weights=HEAD)
    assert torch.allclose(deltas.state.deltas, plain * torch.tensor(WEIGHTS[HEAD]))
    assert "10 · (" in deltas.describe() and "/ 10" in deltas.describe()


def test_twice_the_size_doubles_pixels_and_keeps_deltas(deltas):
    before = deltas.state
    deltas.set(twice=True)
    after = deltas.state
    assert torch.equal(after.box, before.box * 2) and torch.equal(after.anchor, before.anchor * 2)
    assert torch.equal(after.deltas, before.deltas)
    assert torch.equal(encode(after.box[None], after.anchor[None])[0], before.deltas)
    (once, first), (twice, second) = before.times(1), before.times(2)
    assert twice == pytest.approx([2 * v for v in once]) and first == pytest.approx(second)
    assert deltas.get("x2") == pytest.approx(2 * float(before.box[2]))
    deltas.set(twice=False)
    assert torch.equal(deltas.state.box, before.box)


def test_beyond_the_limit_the_box_grows_no_further_and_says_so(deltas):
    deltas.set(dw=4.5)
    state = deltas.state
    width = float(state.box[2] - state.box[0])
    assert state.limited == [False, False, True, False]
    assert width == pytest.approx(62.5 * float(state.anchor[2] - state.anchor[0]), rel=1e-4)
    assert deltas.get("dw") == 4.5 and "62.5 times" in deltas.describe()
    assert deltas.get("x2") == pytest.approx(float(state.box[2]), abs=0.051)
    before = deltas.snapshot()
    deltas.set(dw=MAX_LOG_RATIO - 0.2)
    assert not any(deltas.state.limited) and deltas.snapshot() != before


def test_a_side_that_crosses_the_other_pushes_it(deltas):
    deltas.set(x1=100.0)
    assert deltas.state.box.tolist()[::2] == [100.0, 101.0]
    deltas.set(y2=0.0)
    assert deltas.state.box.tolist()[1::2] == [-1.0, 0.0]
    deltas.set(y2=50.0, y1=10.0)
    assert deltas.state.box.tolist()[1::2] == [10.0, 50.0]


def test_the_box_is_dragged_by_body_and_edge_on_tenths_of_a_pixel(deltas):
    held = deltas.boxes()[1]
    x1, y1, x2, y2 = held["box"]
    zoom = deltas.window.zoom
    side = deltas.state.box[2:] - deltas.state.box[:2]
    event = {"kind": "drag", "id": "box", "box": [x1 + 5.03 * zoom, y1, x2 + 5.03 * zoom, y2], "count": 5}
    deltas.canvas.event = event
    assert deltas.state.box.tolist() == pytest.approx([41.0, 42.0, 79.0, 74.0], abs=1e-4)
    assert torch.allclose(deltas.state.box[2:] - deltas.state.box[:2], side)
    x1, y1, x2, y2 = deltas.boxes()[1]["box"]
    deltas.canvas.event = {"kind": "drop", "id": "box", "box": [x1, y1, x2 + 7.26 * zoom, y2], "count": 6}
    assert deltas.get("x2") == pytest.approx(86.3) and deltas.get("x1") == pytest.approx(41.0)
    assert deltas.canvas.answered == 6 and deltas.canvas.unit == pytest.approx(zoom)
    state_agrees(deltas)


def test_a_box_beyond_the_frame_is_not_for_the_hand_but_keys_bring_it_back(deltas):
    deltas.set(dx=-1.5)
    assert [box["id"] for box in deltas.boxes()] == ["anchor"]
    for _ in range(60):
        deltas.pressed("ArrowRight", False)
    assert [box["id"] for box in deltas.boxes()] == ["anchor", "box"]
    before = deltas.state.box.clone()
    deltas.pressed("ArrowUp", True)
    assert float(before[1] - deltas.state.box[1]) == pytest.approx(0.1, abs=1e-4)


def test_the_anchor_is_dragged_and_the_deltas_follow(deltas):
    box, zoom = deltas.state.box.clone(), deltas.window.zoom
    anchor, before = deltas.boxes()[0], deltas.state.anchor.clone()
    assert anchor["id"] == "anchor" and anchor["dash"]
    x1, y1, x2, y2 = anchor["box"]
    deltas.canvas.event = {"kind": "drop", "id": "anchor", "box": [x1, y1, x2 + 6 * zoom, y2], "count": 3}
    assert (deltas.state.anchor - before).tolist() == pytest.approx([0, 0, 6, 0], abs=1e-4)
    assert torch.equal(deltas.state.box, box)
    assert deltas.state.deltas.tolist() == pytest.approx(encode(box[None], deltas.state.anchor[None])[0].tolist())
    deltas.set(held=ANCHOR)
    assert [deltas.get(side) for side in SIDES] == pytest.approx(deltas.state.anchor.tolist(), abs=0.05)
    deltas.set(x1=deltas.get("x1") - 4)
    assert float(before[0] - deltas.state.anchor[0]) == pytest.approx(4, abs=0.06) and torch.equal(
        deltas.state.box, box
    )
    deltas.reset()
    assert torch.equal(deltas.state.anchor, before) and deltas.get("held") == BOX


def test_an_anchor_beyond_the_frame_is_painted(deltas):
    deltas.set(held=ANCHOR)
    deltas.set(x2=deltas.controls["x2"].high)
    assert "anchor" not in [box["id"] for box in deltas.boxes()] and deltas.state.beyond


def test_a_click_on_an_object_sets_the_box_around_it():
    image, truth = sample("scene")
    deltas = Deltas(image, truth["boxes"])
    deltas.set(dx=0.4, dh=0.3)
    x1, y1, x2, y2 = deltas.window.place(deltas.objects[0])
    deltas.clicked((x1 + x2) / 2, (y1 + y2) / 2)
    boxes = [box.tolist() for box in deltas.objects]
    assert deltas.state.box.tolist() in boxes
    held = deltas.state.box.clone()
    deltas.clicked(FRAME[0] + FRAME[2] + 30, 20)
    assert torch.equal(deltas.state.box, held)


def test_without_an_object_it_says_what_it_needs():
    with pytest.raises(ValueError, match="boxes \\(G, 4\\)"):
        Deltas(*[part if torch.is_tensor(part) else part["boxes"] for part in sample("empty")])
    with pytest.raises(ValueError, match="needs an object"):
        Deltas(sample("scene")[0])


def test_a_picture_of_one_pixel():
    deltas = Deltas(torch.rand(3, 1, 1), torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    for _ in deltas.sweep():
        pass
    state_agrees(deltas)
