"""Anchors: the quick search for the best anchor against all anchors, and the live picture over it."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mrcnn_edu.datasets import load_dataset
from mrcnn_edu.explorers.anchors import reading, views
from mrcnn_edu.explorers.anchors.explorer import RATIOS, Anchors
from mrcnn_edu.explorers.anchors.reading import AnchorSet, BoxSet, as_the_model_sees, best_anchors, recall
from mrcnn_edu.model import preset
from mrcnn_edu.model.boxes import box_iou
from tests.explorers.opened import model, sample

LESSON = preset("lesson")
KINDS = ("scene", "coins", "empty", "one object", "fifty objects")


def picture(kind):
    image, target = sample(kind)
    return image, target["boxes"]


@pytest.fixture(scope="module")
def scenes():
    return BoxSet.of(load_dataset("shapes", split="val", length=40), LESSON)


@pytest.fixture
def explorer(scenes):
    pictures = {"scene": picture("scene"), "coins": picture("coins")}
    return Anchors(pictures, {"scenes": scenes, "coins": load_dataset("coins")})


def brute_force(boxes, size, anchors):
    """(N,) the largest IoU of each box with any anchor."""
    return box_iou(torch.as_tensor(boxes), torch.cat(anchors.all(size))).max(dim=1).values.numpy()


# The quick search


@st.composite
def anchor_sets(draw):
    ratios = draw(st.sampled_from(list(RATIOS.values())))
    numbers = st.integers(4, 64), st.integers(1, 5), st.integers(1, 3)
    smallest, levels, per_level = (draw(numbers_of) for numbers_of in numbers)
    return AnchorSet.octaves(smallest, levels, per_level, ratios, draw(st.sampled_from([4, 8, 16, 32])))


@st.composite
def boxes_of_a_picture(draw):
    """Boxes inside a padded picture, on its border and beyond it, and the picture's size."""
    size = draw(st.integers(1, 12)) * 32, draw(st.integers(1, 12)) * 32
    height, width = size
    places = st.tuples(
        st.floats(-40, width + 20, width=32),
        st.floats(-40, height + 20, width=32),
        st.floats(0.5, 1.5 * width, width=32),
        st.floats(0.5, 1.5 * height, width=32),
    )
    corners = np.array(draw(st.lists(places, min_size=1, max_size=20)), np.float32)
    corners[:, 2:] += corners[:, :2]
    if draw(st.booleans()):
        corners = np.clip(corners.round(), 0, [width, height, width, height]).astype(np.float32)
        corners[:, 2:] = np.maximum(corners[:, 2:], corners[:, :2] + 1)
    return corners, size


@given(boxes_of_a_picture(), anchor_sets())
@settings(max_examples=80, deadline=None)
def test_the_nearest_centre_finds_the_largest_iou_of_all_anchors(found, anchors):
    boxes, size = found
    best = best_anchors(BoxSet(boxes, np.tile(np.array(size), (len(boxes), 1)), 1), anchors)
    np.testing.assert_allclose(best.iou, brute_force(boxes, size, anchors), rtol=1e-5, atol=1e-7)


@given(boxes_of_a_picture(), anchor_sets())
@settings(max_examples=30, deadline=None)
def test_the_anchor_it_names_has_that_iou(found, anchors):
    boxes, size = found
    best = best_anchors(BoxSet(boxes, np.tile(np.array(size), (len(boxes), 1)), 1), anchors)
    everything = anchors.all(size)
    for i, box in enumerate(boxes):
        columns = anchors.grids(size)[best.level[i]][1]
        number = (best.row[i] * columns + best.column[i]) * anchors.per_cell + best.number[i]
        anchor = everything[best.level[i]][number]
        assert float(box_iou(torch.tensor(box[None]), anchor[None])) == pytest.approx(float(best.iou[i]), rel=1e-5)


def test_half_way_between_two_centres_the_first_anchor_is_taken():
    anchors, size = AnchorSet.octaves(16, 1, 1, (1.0,), 8), (64, 64)
    box = np.array([[20.0, 12, 36, 28]], np.float32)  # its centre lies at 28, 20: between 24 and 32, 16 and 24
    best = best_anchors(BoxSet(box, np.array([size]), 1), anchors)
    assert (best.column[0], best.row[0]) == (3, 2)
    assert int(box_iou(torch.tensor(box), anchors.all(size)[0]).argmax()) == 2 * 8 + 3


@given(st.integers(1, 100_000))
def test_the_marks_of_the_histogram_are_few_and_round(most):
    marks = views.round_marks(most)
    assert marks[0] == 0 and 2 <= len(marks) <= 5 and most - marks[-1] < marks[1] <= most
    assert str(marks[1]).rstrip("0") in {"1", "2", "5"}


def test_pictures_of_several_sizes_are_searched_at_once():
    anchors = AnchorSet.octaves(16, 4, 2, RATIOS["½, 1, 2"], 4)
    sizes = [(128, 128), (64, 320), (800, 1088)]
    boxes = np.array([[3, 5, 40, 30], [200, 3, 319, 60], [700, 600, 1087, 799]], np.float32)
    best = best_anchors(BoxSet(boxes, np.array(sizes), 3), anchors)
    for i, size in enumerate(sizes):
        assert best.iou[i] == pytest.approx(brute_force(boxes[i : i + 1], size, anchors)[0], rel=1e-6)


def test_recall_of_the_scenes_is_that_of_all_anchors(scenes):
    anchors = AnchorSet(LESSON.anchor_sizes, LESSON.anchor_ratios, (4, 8, 16, 32))
    pairs = zip(scenes.boxes, scenes.sizes.tolist(), strict=True)
    slow = np.concatenate([brute_force(box[None], tuple(size), anchors) for box, size in pairs])
    thresholds = np.linspace(0, 1, 101)
    quick = recall(best_anchors(scenes, anchors).iou, thresholds)
    assert quick.tolist() == [(slow >= np.float32(t)).mean() for t in thresholds]


def test_recall_of_nothing_is_nothing():
    nothing = BoxSet(np.zeros((0, 4), np.float32), np.zeros((0, 2), np.int64), 0)
    anchors = AnchorSet.octaves(16, 2, 1, (1.0,), 4)
    assert recall(best_anchors(nothing, anchors).iou, (0.5, 0.7)).tolist() == [0, 0]


def test_the_anchors_to_begin_with_are_the_models():
    explorer = Anchors({"coins": picture("coins")}, {"coins": load_dataset("coins")}, model().config)
    stages = model().stages([picture("coins")[0]])
    assert torch.equal(torch.cat(explorer.anchors.all(explorer.seen.padded)), stages.anchors)
    assert explorer.seen.size == stages.image_sizes[0]
    opening = AnchorSet(LESSON.anchor_sizes, LESSON.anchor_ratios, (4, 8, 16, 32))
    assert Anchors({"coins": picture("coins")}, {"coins": load_dataset("coins")}).anchors == opening


def test_boxes_are_measured_as_the_model_resizes_them():
    boxes, size, padded = as_the_model_sees([[0, 0, 384, 303]], (303, 384), LESSON)
    assert size == (128, 162) and padded == (128, 192) and boxes.tolist() == [[0, 0, 162, 128]]


# The live picture


@pytest.mark.parametrize("kind", KINDS)
def test_sweep_runs_on_every_kind_of_picture(kind, scenes):
    explorer = Anchors({kind: picture(kind)}, {"scenes": scenes})
    visited = {control for control, _ in explorer.sweep()}
    assert visited == set(explorer.controls)
    assert Image.open(io.BytesIO(explorer.snapshot())).size == (Anchors.width, Anchors.height)


@pytest.mark.parametrize("shape", [(1, 1), (20, 1333), (300, 40)])
def test_pictures_of_odd_shapes_are_drawn_at_every_level(shape, scenes):
    image = torch.rand(3, *shape)
    explorer = Anchors({"odd": (image, [[0.0, 0.0, float(shape[1]), float(shape[0])]])}, {"scenes": scenes})
    for level in range(1, 5):
        assert explorer.snapshot(level=level)
    assert "1 object" in explorer.describe()


@pytest.mark.parametrize(
    "change",
    [
        {"smallest": 9},
        {"scales": 3},
        {"ratios": "1"},
        {"stride": 8},
        {"levels": 2},
        {"data": "coins"},
        {"picture": "coins"},
        {"level": 3},
        {"cell": 77},
        {"threshold": 0.5},
    ],
    ids=str,
)
def test_every_control_changes_the_picture_and_the_words(explorer, change):
    explorer.set(level=1)
    before = explorer.snapshot(), explorer.describe()
    after = explorer.snapshot(**change), explorer.describe()
    assert before[0] != after[0] and before[1] != after[1]


def test_the_words_hold_the_numbers_of_the_package(explorer, scenes):
    explorer.set(picture="coins", threshold=0.6)
    image, boxes = picture("coins")
    boxes, _, padded = as_the_model_sees(boxes, image.shape[-2:], LESSON)
    iou = brute_force(boxes, padded, explorer.anchors)
    best = best_anchors(scenes, explorer.anchors).iou
    words = explorer.describe()
    assert f"{(iou >= 0.6).sum()} of 24 objects have an anchor with IoU ≥ 0.6" in words
    assert "Best IoU of each object: " + ", ".join(reading.written(v, 0.6) for v in iou.tolist()) in words
    assert f"{sum(map(len, explorer.anchors.all(padded))):,} anchors in this picture" in words
    assert f"{reading.share((best >= 0.5).mean())} have an anchor with IoU of at least 0.5" in words
    assert f"{reading.share((best >= np.float32(0.7)).mean())} one of at least 0.7" in words


def test_the_bars_hold_every_box_once(explorer, scenes):
    for smallest in (4, 16, 64):
        _, reached, missed = views.bars(explorer.set(smallest=smallest).state())
        good = int((explorer.best(explorer.anchors).iou >= np.float32(0.7)).sum())
        assert (reached.sum(), missed.sum()) == (good, len(scenes.boxes) - good)


def test_the_best_anchors_drawn_are_anchors_with_the_ious_written(explorer):
    for kind in ("scene", "coins"):
        state = explorer.set(picture=kind).state()
        pairs = box_iou(torch.tensor(state.picture.truth.boxes), torch.tensor(state.best_boxes)).diagonal()
        np.testing.assert_allclose(pairs.numpy(), state.found.iou, rtol=1e-6)


def test_a_click_chooses_the_cell_under_it(explorer):
    explorer.set(picture="scene", level=2)
    for row, column in ((0, 0), (3, 7), (15, 15)):
        left, top, *_ = explorer.seen.window.place((column * 8 + 3, row * 8 + 5, 0, 0))
        explorer.clicked(left, top)
        assert explorer.place == (row, column)
        anchors = explorer.anchors.all((128, 128))[1].view(16, 16, 3, 4)[row, column]
        assert explorer.state().cell_anchors.tolist() == anchors.tolist()
    explorer.clicked(reading.FRAME[0] + 1, reading.FRAME[1] + 1)  # in the frame, outside the picture
    explorer.clicked(Anchors.width - 1, Anchors.height - 1)
    assert explorer.place == (15, 15)


def test_arrow_keys_move_the_cell_by_one_and_stop_at_the_border(explorer):
    explorer.set(picture="scene", level=1, cell=33)
    for key, place in (("ArrowRight", (1, 2)), ("ArrowDown", (2, 2)), ("ArrowLeft", (2, 1)), ("ArrowUp", (1, 1))):
        explorer.pressed(key, False)
        assert explorer.place == place
    for _ in range(40):
        explorer.pressed("ArrowDown", False)
        explorer.pressed("ArrowRight", False)
    assert explorer.place == (31, 31)


def test_the_chosen_place_stays_when_the_grid_changes(explorer):
    explorer.set(picture="scene", level=1, cell=32 * 17 + 9)
    x, y = explorer._centre
    for change in ({"level": 3}, {"stride": 16}, {"levels": 2}, {"stride": 4}, {"level": 1}):
        explorer.set(**change)
        rows, columns = explorer.grid
        assert explorer.place == (int(y * rows), int(x * columns))


def test_the_opening_cell_is_that_of_the_smallest_objects_best_anchor(explorer):
    state = explorer.state()
    small = state.picture.truth.sides.argmin()
    assert state.best_boxes[small].tolist() in state.cell_anchors.tolist()


def test_a_wrong_number_turns_the_box_red_and_says_why(explorer):
    before = explorer.snapshot()
    explorer.smallest.box.value = "200"
    assert "mrcnn-wrong" in explorer.smallest.box._dom_classes and "outside 4 to 64" in explorer.smallest.message.value
    assert explorer.snapshot() == before
    explorer.smallest.box.value = "20"
    assert explorer.anchors.sizes[0] == (20,) and not explorer.smallest.message.value


def test_a_picture_without_boxes_and_a_data_set_can_be_added(explorer):
    explorer.add("mine", torch.rand(3, 50, 70))
    assert explorer.get("picture") == "mine" and "nobody has marked" in explorer.describe()
    explorer.add("mine", torch.rand(3, 60, 40), [[5.0, 5.0, 20.0, 30.0]])
    assert "of 1 object" in explorer.describe()
    explorer.measure("my data", [(torch.rand(3, 60, 40), {"boxes": torch.tensor([[5.0, 5, 20, 30]])})])
    assert "Of the 1 box of my data" in explorer.describe()
    explorer.measure("my data", [(torch.rand(3, 60, 40), {"boxes": torch.zeros(0, 4)})])
    assert "my data has no boxes" in explorer.describe() and explorer.snapshot()


def test_any_configuration_opens_with_its_own_anchors(scenes):
    config = preset("lesson", anchor_ratios=(0.7, 1.3), anchor_sizes=((10, 14), (20, 28), (40, 57), (80, 113)))
    explorer = Anchors({"coins": picture("coins")}, {"scenes": scenes}, config)
    assert explorer.anchors.ratios == (0.7, 1.3) and explorer.anchors.sizes == config.anchor_sizes


def test_no_picture_or_no_data_set_is_refused(scenes):
    with pytest.raises(ValueError, match="a picture and a data set"):
        Anchors({}, {"scenes": scenes})
    with pytest.raises(ValueError, match="a picture and a data set"):
        Anchors({"coins": picture("coins")}, {})


@pytest.mark.parametrize(
    ("value", "words"), [(0, "0 %"), (0.004, "1 %"), (0.396, "40 %"), (0.999, "99 %"), (1, "100 %")]
)
def test_shares_never_claim_all_or_nothing_wrongly(value, words):
    assert reading.share(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.698, "0.69"),
        (0.7, "0.70"),
        (float(np.float32(0.7)), "0.70"),
        (0.701, "0.70"),
        (0.296, "0.29"),
        (0.456, "0.46"),
        (0, "0.00"),
    ],
)
def test_an_iou_below_a_threshold_is_never_written_as_the_threshold(value, words):
    assert reading.written(value, 0.7, 0.3) == words
