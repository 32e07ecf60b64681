"""RoI Align: every number drawn is the package's and torchvision's; dragging, keys, levels, and odd pictures."""

import itertools

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from mrcnn_edu.datasets import load_dataset
from mrcnn_edu.explorers.roi_align.explorer import RoIAlign
from mrcnn_edu.explorers.roi_align.reading import GLIDE, Reading, RoIScene
from mrcnn_edu.model.roi_align import to_rois
from tests.explorers import small


@pytest.fixture(scope="module")
def scene():
    image, truth = load_dataset("shapes", split="val")[5]
    return RoIScene(small.model(), image, truth["masks"].bool())


def opened(**settings) -> RoIAlign:
    image, truth = load_dataset("shapes", split="val")[5]
    explorer = RoIAlign(
        small.model(),
        {"scene": image, "coins": small.pictures()["coins"]},
        {"scene": truth["masks"]},
        roi=(20.4, 30.2, 61.0, 70.7),
    )
    return explorer.set(**settings)


boxes = st.tuples(
    st.floats(0, 100, width=32), st.floats(0, 100, width=32), st.floats(1, 28, width=32), st.floats(1, 28, width=32)
).map(lambda v: torch.tensor([v[0], v[1], v[0] + v[2], v[1] + v[3]]))


@settings(max_examples=60, deadline=None)
@given(boxes, st.integers(0, 2), st.integers(1, 7), st.integers(0, 4), st.booleans())
def test_every_way_to_the_pooled_value_agrees(scene, roi, level, bins, samples, aligned):
    reading = Reading(scene, roi, level, 3, bins, samples, aligned)
    assert torch.allclose(reading.align, reading.align_torchvision, atol=1e-5)
    p, q = bins - 1, bins // 2
    terms = reading.terms(p, q)
    assert sum(term["value"] for term in terms) / len(terms) == pytest.approx(float(reading.align[p, q]), abs=1e-4)
    for term in terms:
        products = sum(w * v for w, v in zip(term["weights"], term["values"], strict=True))
        assert products == pytest.approx(term["value"], abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(boxes, st.integers(0, 2), st.integers(1, 7))
def test_the_cells_drawn_for_roi_pool_are_those_whose_largest_it_takes(scene, roi, level, bins):
    reading = Reading(scene, roi, level, 3, bins, 2, False)
    for p, q in itertools.product(range(bins), repeat=2):
        x1, y1, x2, y2 = reading.pool_bin(p, q)
        cells = reading.map[y1:y2, x1:x2]
        largest = float(cells.max()) if cells.numel() else 0.0
        assert largest == pytest.approx(float(reading.pool[p, q]), abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(boxes, st.booleans())
def test_samples_are_drawn_where_their_weights_put_them(scene, roi, aligned):
    """The middle of cell i is drawn at i + 0.5, so the weights' mean of the cells lies half a cell before the dot."""
    reading = Reading(scene, roi, 0, 3, 3, 2, aligned)
    for term in reading.terms(1, 1):
        rows = sum(
            w * r for w, r in zip(term["weights"], [r for r in term["rows"] for _ in term["columns"]], strict=True)
        )
        if sum(term["weights"]) > 0.99 and 1 <= term["at"][0] <= reading.map.shape[0] - 1:
            assert rows + 0.5 == pytest.approx(term["at"][0], abs=1e-3)


def test_the_curve_passes_through_the_pooled_values_and_pool_has_stairs(scene):
    reading = Reading(scene, torch.tensor([20.4, 30.2, 41.0, 50.7]), 0, 3, 3, 2, False)
    curves = reading.glide(1, 1)
    for name, value in (("align", reading.align[1, 1]), ("pool", reading.pool[1, 1])):
        assert float(curves[name][GLIDE // 2]) == pytest.approx(float(value), abs=1e-4)
    for number in (0, 17, GLIDE - 1):
        moved = reading.roi + float(curves["shift"][number]) * torch.tensor([1.0, 0, 1, 0])
        theirs = torchvision.ops.roi_align(reading.map[None, None], to_rois([moved[None]]), 3, 0.25, 2)[0, 0, 1, 1]
        assert float(curves["align"][number]) == pytest.approx(float(theirs), abs=1e-4)
    assert len(curves["pool"].unique()) <= 6 and len(curves["align"].unique()) > 60


def test_the_fine_curve_is_closer_to_many_samples_than_one_sample_is(scene):
    coarse = Reading(scene, torch.tensor([20.4, 30.2, 70.0, 80.7]), 0, 3, 2, 1, False)
    exact = Reading(scene, coarse.roi, 0, 3, 2, 40, False)
    true, curves = float(exact.align[0, 0]), coarse.glide(0, 0)
    assert abs(float(curves["fine"][GLIDE // 2]) - true) < abs(float(coarse.align[0, 0]) - true)


def test_the_mask_is_the_one_the_model_draws(scene):
    stages = small.model().stages([scene.image])
    for number in range(3):
        box = stages.detection_boxes[0][number]
        reading = Reading(scene, box, scene.level_of(box), 0, 7, small.model().config.sampling_ratio, False)
        label, mask, _ = reading.masks
        assert torch.allclose(mask, stages.mask_logits[number, label].sigmoid(), atol=1e-5)


def test_snapshots_change_with_each_control():
    explorer = opened()
    seen = {explorer.snapshot()}
    changes = ({"channel": 9}, {"x1": 22.5}, {"y1": 31.0}, {"x2": 66.1}, {"y2": 71.3}, {"bins": 4}, {"samples": "1"})
    more = ({"aligned": True}, {"bin": 2}, {"level": "P4"}, {"view": "whole map"}, {"picture": "coins"})
    for change in (*changes, *more):
        picture = explorer.snapshot(**change)
        assert picture not in seen, change
        seen.add(picture)


def test_a_drag_moves_the_sides_in_tenths_and_the_picture_follows():
    explorer = opened()
    before = bytes(explorer.canvas.value)
    (box,) = explorer.canvas.boxes
    zoom = (box["box"][2] - box["box"][0]) / (61.0 - 20.4)
    moved = [v + 3.04 * zoom for v in box["box"]]
    explorer.canvas.event = {"kind": "drag", "id": "roi", "box": moved, "count": 1}
    assert explorer.roi.tolist() == pytest.approx([23.4, 33.2, 64.0, 73.7], abs=1e-4)
    assert bytes(explorer.canvas.value) != before and explorer.canvas.answered == 1
    explorer.canvas.event = {"kind": "drop", "id": "roi", "box": moved, "count": 2}
    assert explorer.canvas.answered == 2 and not explorer.dragging
    assert [float(side.box.value) for side in explorer.sides] == pytest.approx(explorer.roi.tolist(), abs=1e-4)


def test_while_a_hand_holds_the_region_the_grid_stays_where_it_is():
    explorer = opened(level="by size")
    window = explorer.window(explorer.reading)
    x, y, width, height = window.frame
    whole = [x, y, x + width, y + height]
    explorer.canvas.event = {"kind": "drag", "id": "roi", "box": whole, "count": 1}
    assert explorer.window(explorer.reading) == window
    explorer.canvas.event = {"kind": "drop", "id": "roi", "box": whole, "count": 2}
    assert explorer.window(explorer.reading) != window
    assert explorer.reading.level == explorer.scene.level_of(explorer.roi)


@pytest.mark.parametrize("move", [{"x1": 128.0}, {"x2": 0.0}, {"y1": 128.0}, {"y2": 0.0}])
def test_the_region_never_turns_inside_out(move):
    explorer = opened()
    top = explorer.sides[2].high
    explorer.hold(**move)
    x1, y1, x2, y2 = explorer.roi.tolist()
    assert 0 <= x1 < x2 <= top and 0 <= y1 < y2 <= top
    assert min(x2 - x1, y2 - y1) >= 1 - 1e-4


def test_a_click_on_a_bin_chooses_it_in_the_grid_and_in_the_maps():
    explorer = opened(bins=4)
    explorer.canvas.event = {"kind": "click", "x": 582 + 132 * 0.9, "y": 58 + 132 * 0.4, "count": 1}
    assert explorer.chosen_bin == (1, 3)
    reading = explorer.reading
    x1, y1, x2, y2 = explorer.window(reading).place(reading.read_box())
    explorer.canvas.event = {"kind": "click", "x": x1 + 0.6 * (x2 - x1), "y": y1 + 0.9 * (y2 - y1), "count": 2}
    assert explorer.chosen_bin == (3, 2)
    explorer.canvas.event = {"kind": "click", "x": 5, "y": 600, "count": 3}
    assert explorer.chosen_bin == (3, 2)


def test_fewer_bins_keep_the_chosen_one_inside():
    explorer = opened(bins=6)
    explorer.set(bin=36)
    explorer.set(bins=2)
    assert explorer.chosen_bin == (1, 1)
    explorer.snapshot()


@pytest.mark.parametrize("name", ["empty scene", "one object", "fullest scene", "one pixel", "strip", "tower"])
def test_sweep_runs_on_every_kind_of_picture(name):
    explorer = RoIAlign(small.model(), {name: small.pictures()[name]})
    for control in explorer.controls.values():
        values = control.sweep()
        few = values[:: max(len(values) // 3, 1)]
        control.sweep = lambda few=few: few
    for _ in explorer.sweep():
        assert explorer.canvas.value
    assert "The region from" in explorer.describe()


def test_a_picture_can_be_added():
    explorer = opened()
    explorer.add("mine", torch.rand(3, 60, 90))
    assert explorer.get("picture") == "mine"
    explorer.add("mine", torch.rand(3, 90, 60))
    assert explorer.snapshot()


def test_no_picture_is_refused():
    with pytest.raises(ValueError, match="at least one picture"):
        RoIAlign(small.model(), {})


def test_the_glide_moves_the_region_by_tenths_of_a_cell_and_back():
    explorer = opened()
    start, stride = explorer.roi, explorer.reading.stride
    explorer.set(glide=7)
    moved = torch.tensor([0.7 * stride, 0.0, 0.7 * stride, 0.0])
    assert torch.allclose(explorer.roi - start, moved, atol=0.051)
    explorer.set(glide=0)
    assert torch.equal(explorer.roi, start)
    explorer.set(glide=-3)
    explorer.place_roi(start.tolist())
    assert explorer.get("glide") == 0 and torch.equal(explorer.roi, start), "a region that is moved begins anew"


def test_the_glide_stops_at_the_edge_and_keeps_the_width():
    explorer = opened()
    width = explorer.scene.size[1]
    explorer.place_roi([width - 40.0, 20.0, width - 2.0, 60.0])
    explorer.set(glide=10)
    x1, _, x2, _ = explorer.roi.tolist()
    assert x2 == width and x2 - x1 == pytest.approx(38.0, abs=0.11)
