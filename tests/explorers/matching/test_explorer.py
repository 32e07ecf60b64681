"""Matching: the labels, counts and words against the package's functions; marks where the hand finds them."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mrcnn_edu.explorers.matching import views
from mrcnn_edu.explorers.matching.explorer import Matching
from mrcnn_edu.explorers.matching.marks import Layout
from mrcnn_edu.explorers.matching.reading import FORCED, IGNORED, KINDS, NEGATIVE, POSITIVE, Ground, Matches
from mrcnn_edu.explorers.toolkit.paint import SCALE
from mrcnn_edu.explorers.toolkit.window import FRAME, Window
from mrcnn_edu.explorers.toolkit.words import written
from mrcnn_edu.model import preset
from mrcnn_edu.model.boxes import box_iou
from mrcnn_edu.model.losses import anchor_labels
from mrcnn_edu.model.matching import match, sample
from tests.explorers import opened

LESSON = preset("lesson")


def picture(kind):
    image, target = opened.sample(kind)
    return image, target["boxes"]


@pytest.fixture
def explorer():
    return Matching({kind: picture(kind) for kind in ("scene", "coins")})


# The numbers


def labels_of(explorer):
    """The labels of every anchor of the explorer's picture, as the RPN's loss makes them."""
    ground = explorer.ground
    settings = explorer.get("high"), explorer.get("low"), explorer.get("forced")
    return anchor_labels(match(ground.boxes, torch.cat(ground.levels), *settings))


@pytest.mark.parametrize("kind", ["scene", "coins"])
@pytest.mark.parametrize(
    "values", [{}, {"forced": False}, {"high": 0.9}, {"low": 0.0}, {"low": 0.5, "high": 0.5}], ids=str
)
def test_the_kinds_are_the_labels_of_the_loss(explorer, kind, values):
    explorer.set(picture=kind, **values)
    kinds, labels = explorer.matches.kinds, labels_of(explorer).numpy()
    assert ((labels == 1) == np.isin(kinds, (POSITIVE, FORCED))).all()
    assert ((labels == 0) == (kinds == NEGATIVE)).all() and ((labels == -1) == (kinds == IGNORED)).all()
    best = box_iou(explorer.ground.boxes, explorer.ground.everything).max(dim=0).values.numpy()
    assert (best[kinds == POSITIVE] >= np.float32(explorer.get("high"))).all()
    assert (best[kinds == FORCED] < np.float32(explorer.get("high"))).all()


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("count", [16, 128, 256])
def test_the_sampled_ones_are_those_of_a_seeded_run(explorer, seed, count):
    explorer.set(picture="coins", seed=seed, count=count)
    labels = labels_of(explorer)
    torch.manual_seed(seed)
    positive, negative = sample(labels, count, LESSON.rpn_positive_fraction)
    assert sorted(torch.cat([positive, negative]).tolist()) == np.flatnonzero(explorer.matches.sampled).tolist()
    state = torch.get_rng_state()
    explorer.set(seed=seed + 1)
    assert explorer.matches and torch.equal(torch.get_rng_state(), state), "the reader's random numbers are left alone"


def test_the_anchors_are_those_of_the_model_on_the_resized_picture():
    model = opened.model()
    explorer = Matching({"coins": picture("coins")}, model.config)
    stages = model.stages([picture("coins")[0]])
    assert torch.equal(explorer.ground.everything, stages.anchors)
    assert [len(level) for level in explorer.ground.levels] == stages.anchors_per_level


@given(high=st.sampled_from([0.3, 0.5, 0.7, 0.9]), low=st.sampled_from([0.0, 0.2, 0.3]), forced=st.booleans())
@settings(max_examples=15, deadline=None)
def test_every_anchor_is_counted_once_and_every_positive_learns_one_object(high, low, forced):
    ground = Ground.of(*picture("coins"), LESSON)
    matches = Matches.of(ground, high, low, forced, 128, 0.5, 0)
    assert sum(matches.count(kind) for kind in range(4)) == len(ground.everything)
    levels = [ground.span(level) for level in range(len(ground.levels))]
    for kind in range(4):
        assert sum(matches.count(kind, span) for span in levels) == matches.count(kind)
    learned = matches.learned(POSITIVE) + matches.learned(FORCED)
    assert learned.sum() == matches.count(POSITIVE) + matches.count(FORCED)
    assert matches.drawn(IGNORED) == 0 and sum(matches.drawn(kind) for kind in range(4)) <= 128
    assert matches.unlearned == [i for i in range(24) if not (matches.matched_idxs == i).any()]
    if forced:
        assert not matches.unlearned


def test_a_strict_threshold_leaves_small_objects_to_nobody():
    image = torch.rand(3, 128, 128)
    explorer = Matching({"two": (image, [[4.0, 4, 68, 68], [90.0, 90, 98, 98]])}).set(forced=False, high=0.6)
    assert explorer.matches.unlearned == [1]
    assert "1 of 2 objects has no positive anchor" in explorer.describe()
    assert "Nobody learns object 2." in explorer.describe()
    explorer.set(forced=True)
    assert not explorer.matches.unlearned and "Nobody" not in explorer.describe()


def test_the_words_hold_the_counts_of_the_package(explorer):
    explorer.set(picture="coins", level=2)
    labels, words = labels_of(explorer), explorer.describe()
    plain = match(explorer.ground.boxes, explorer.ground.everything, 0.7, 0.3)
    level = explorer.ground.span(0)
    positive, forced = (plain >= 0).sum(), (labels == 1).sum() - (plain >= 0).sum()
    assert f"{positive} positive anchors, {forced} more by force" in words
    assert f"Ignored: {(labels[level] == -1).sum():,} at this level, {(labels == -1).sum():,} in all" in words
    assert f"Negative: {(labels[level] == 0).sum():,} at this level, {(labels == 0).sum():,} in all" in words


@pytest.mark.parametrize("kind", range(4))
def test_an_anchor_is_explained_by_its_iou(explorer, kind):
    explorer.set(picture="scene", level=2)
    for number in np.flatnonzero(explorer.matches.kinds[explorer.ground.span(0)] == kind)[:5].tolist():
        words = explorer.set(anchor=number).describe().partition("The chosen anchor is ")[2]
        iou = box_iou(explorer.ground.boxes, explorer.ground.levels[0][number][None])[:, 0]
        assert words.startswith(KINDS[kind])
        if iou.max() > 0:
            assert f"object {int(iou.argmax()) + 1} most: IoU {written(float(iou.max()), 0.7, 0.3)}" in words
        assert {
            POSITIVE: "At least 0.7: positive",
            FORCED: "orced",
            IGNORED: "it teaches nothing",
            NEGATIVE: "egative",
        }[kind] in words


def test_a_forced_anchor_may_learn_another_object():
    """Its IoU is the largest that the second object finds; the first, around it, it overlaps even more."""
    boxes = [[8.0, 8, 24, 24], [14.0, 14, 18, 18]]
    explorer = Matching({"nested": (torch.rand(3, 128, 128), boxes)})
    forced = np.flatnonzero(explorer.matches.kinds[explorer.ground.span(0)] == FORCED).tolist()
    words = [explorer.set(level=2, anchor=number).describe() for number in forced]
    assert any("no anchor overlaps object 2 more; yet it learns object 1" in w for w in words)
    assert explorer.matches.unlearned == [1]


# The live picture


@pytest.mark.parametrize("kind", opened.KINDS)
def test_sweep_runs_on_every_kind_of_picture(kind):
    explorer = Matching({kind: picture(kind), "coins": picture("coins")})
    visited = {control for control, _ in explorer.sweep()}
    assert visited == set(explorer.controls)
    assert Image.open(io.BytesIO(explorer.snapshot())).size == (Matching.width, Matching.height)


@pytest.mark.parametrize("shape", [(1, 1), (20, 1333), (300, 40)])
def test_pictures_of_odd_shapes_are_drawn_at_every_level(shape):
    image = torch.rand(3, *shape)
    explorer = Matching({"odd": (image, [[0.0, 0.0, float(shape[1]), float(shape[0])]])})
    for level in range(2, 6):
        for shown in ("whole picture", "four times"):
            assert explorer.snapshot(level=level, shown=shown)


def test_hundreds_of_objects_are_drawn():
    corners = torch.rand(300, 2) * 100
    boxes = torch.cat([corners, corners + 4 + torch.rand(300, 2) * 20], dim=1)
    explorer = Matching({"crowd": (torch.rand(3, 128, 128), boxes)})
    assert explorer.snapshot(forced=False) and "300 objects" in explorer.describe()


CHANGES = [
    {"picture": "coins"},
    {"level": 3},
    {"shown": "twice as large"},
    {"anchor": 700},
    {"high": 0.5},
    {"low": 0.1},
    {"forced": False},
    {"count": 64},
    {"seed": 1},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_every_control_changes_the_picture(explorer, change):
    explorer.set(level=2)
    assert explorer.snapshot() != explorer.snapshot(**change)


@pytest.mark.parametrize("kinds", [(POSITIVE,), (FORCED,), (IGNORED,)], ids=lambda kinds: KINDS[kinds[0]])
def test_a_mark_has_the_colour_of_its_kind(explorer, kinds):
    explorer.set(picture="coins", level=2, anchor=0, shown="twice as large")
    sheet, state = explorer.draw(), explorer.state()
    layout, found = views.layout_of(state), 0
    for number in np.flatnonzero(np.isin(state.matches.kinds[state.span], kinds)).tolist():
        x, y = layout.place_of(number)
        near = FRAME[0] + 9 < x < FRAME[0] + FRAME[2] - 9 and FRAME[1] + 9 < y < FRAME[1] + FRAME[3] - 9
        if near and number % 3 == 1:  # the square one
            centre, side = np.array([x, y]) * SCALE, round(layout.room * SCALE * 0.2)
            patch = np.asarray(sheet.image)[int(centre[1]) - side :, int(centre[0]) - side :][: 2 * side, : 2 * side]
            wanted = {POSITIVE: (0, 158, 115), FORCED: (240, 228, 66), IGNORED: (204, 121, 167)}[kinds[0]]
            found += (np.abs(patch.astype(int) - wanted).max(axis=2) < 30).any()
    assert found >= 3


def test_clicks_and_the_mouse_find_the_mark_under_them(explorer):
    explorer.set(picture="scene", level=3)
    layout = views.layout_of(explorer.state())
    for number in (0, 100, 101, 400, 767):
        explorer.clicked(*layout.place_of(number))
        assert explorer.get("anchor") == number
    explorer.hovered(*layout.place_of(55))
    assert explorer.state().chosen == 55 and explorer.get("anchor") == 767
    explorer.hovered(None, None)
    assert explorer.state().chosen == 767
    explorer.clicked(Matching.width - 1, Matching.height - 1)
    explorer.clicked(FRAME[0] + 1, FRAME[1] + FRAME[3] - 1)
    assert explorer.get("anchor") == 767


@given(st.integers(1, 12), st.integers(1, 20), st.integers(1, 20), st.sampled_from([4, 8, 32]), st.data())
@settings(max_examples=60, deadline=None)
def test_the_nearest_mark_to_a_mark_is_itself(per_cell, rows, columns, stride, data):
    window = Window((16, 84, 524, 456), (-10.0, -10.0, 121.0, 104.0))
    layout = Layout(window, (rows, columns), (stride, stride), per_cell)
    number = data.draw(st.integers(0, rows * columns * per_cell - 1))
    x, y = layout.place_of(number)
    if window.unplace(x, y) is not None:
        assert layout.nearest(x, y) == number


def test_moving_the_mouse_within_a_mark_draws_nothing_anew(explorer):
    x, y = views.layout_of(explorer.set(level=4).state()).place_of(30)
    explorer.hovered(x, y)
    drawn = explorer._drawn
    explorer.hovered(x + 0.5, y)
    assert explorer._drawn == drawn


def test_arrow_keys_move_from_mark_to_mark_and_row_to_row(explorer):
    explorer.set(picture="scene", level=3, anchor=3 * 16 * 5)
    for key, number in (("ArrowRight", 256 - 15), ("ArrowDown", 241 + 48), ("ArrowLeft", 288), ("ArrowUp", 240)):
        explorer.pressed(key, False)
        assert explorer.get("anchor") == number
    for _ in range(20):
        explorer.pressed("ArrowUp", False)
    assert explorer.get("anchor") == 0


def test_an_enlarged_view_follows_the_chosen_anchor(explorer):
    explorer.set(picture="scene", level=2, shown="four times", anchor=0)
    for number in (0, 1500, 3071):
        state = explorer.set(anchor=number).state()
        assert state.window.unplace(*views.layout_of(state).place_of(number)) is not None


def test_thresholds_that_cross_turn_the_box_red_and_change_nothing(explorer):
    explorer.set(low=0.4, high=0.5)
    before, low = explorer.snapshot(), explorer.controls["low"]
    for wrong, words in (("0.6", "cross"), ("nonsense", "not a number"), ("7", "outside")):
        low.box.value = wrong
        assert "mrcnn-wrong" in low.box._dom_classes and words in low.message.value
        assert explorer.get("low") == 0.4 and explorer.snapshot() == before
    with pytest.raises(ValueError, match="cross"):
        explorer.set(high=0.35)
    low.box.value = "0.45"
    assert explorer.get("low") == 0.45 and not low.message.value and "mrcnn-wrong" not in low.box._dom_classes


def test_a_slider_that_crosses_is_taken_as_soon_as_the_other_gives_way(explorer):
    low, high = explorer.controls["low"], explorer.controls["high"]
    explorer.set(high=0.5)
    low.slider.value = 12  # steps of 0.05
    assert explorer.get("low") == 0.3 and "cross" in low.message.value
    high.slider.value = 13
    assert explorer.get("low") == 0.6 and not low.message.value
    assert explorer.state().low == 0.6 and explorer.state().high == 0.65


def test_both_thresholds_can_be_set_at_once_in_either_direction(explorer):
    explorer.set(low=0.7, high=0.9)
    assert (explorer.get("low"), explorer.get("high")) == (0.7, 0.9)
    explorer.set(high=0.4, low=0.2)
    assert (explorer.get("low"), explorer.get("high")) == (0.2, 0.4)


@pytest.mark.parametrize("kind", ["scene", "coins", "one object", "fifty objects"])
def test_the_opening_shows_as_many_kinds_as_any_level_and_a_positive_anchor(kind):
    explorer = Matching({kind: picture(kind)})
    kinds = [len(set(explorer.matches.kinds[explorer.ground.span(level)])) for level in range(4)]
    assert kinds[explorer.get("level") - 2] == max(kinds)
    assert explorer.state().kind in (POSITIVE, FORCED)


def test_a_picture_can_be_added_with_and_without_boxes(explorer):
    explorer.add("mine", torch.rand(3, 50, 70))
    assert explorer.get("picture") == "mine" and "Nobody has marked" in explorer.describe()
    explorer.add("mine", torch.rand(3, 60, 40), [[5.0, 5.0, 20.0, 30.0]])
    assert "1 object" in explorer.describe()


def test_another_configuration_brings_its_own_anchors_and_thresholds():
    config = preset("lesson", anchor_sizes=((12, 17), (24, 34), (48, 68), (96, 136)), rpn_bg_iou_thresh=0.4)
    explorer = Matching({"coins": picture("coins")}, config, level=1)
    assert explorer.get("low") == 0.4 and explorer.get("level") == 3 and explorer.ground.anchors.per_cell == 6
    assert explorer.snapshot()


def test_no_picture_is_refused():
    with pytest.raises(ValueError, match="needs a picture"):
        Matching({})
