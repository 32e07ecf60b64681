"""Peel on real tensors: every stage and picture, clicks, keys, pictures of odd shapes, nothing found."""

import io

import pytest
import torch
from PIL import Image

from mrcnn_edu.explorers.peel import panel, views
from mrcnn_edu.explorers.peel.explorer import Peel
from mrcnn_edu.explorers.peel.panel import PANEL
from mrcnn_edu.explorers.peel.views import BREADCRUMB, STAGES
from mrcnn_edu.explorers.toolkit.keys import key
from mrcnn_edu.explorers.toolkit.paint import Sheet
from tests.explorers.small import model, peel, pictures


@pytest.fixture(scope="module")
def shared():
    return peel()


@pytest.fixture
def coins(shared):
    return shared.set(picture="coins", stage="Masks", instance=1)


@pytest.mark.parametrize("name", ["coins", "empty scene", "one object", "fullest scene", "one pixel", "strip", "tower"])
def test_sweep_runs_on_every_kind_of_picture(name):
    explorer = peel(picture=pictures()[name])
    visited = [control for control, _ in explorer.sweep()]
    assert set(visited) == {"picture", "stage", "instance", "score", "level"}
    assert Image.open(io.BytesIO(explorer.snapshot())).size == (Peel.width, Peel.height)


def test_every_stage_gives_another_picture_and_other_words(coins):
    stills = {coins.snapshot(stage=stage) for stage in STAGES}
    words = {coins.set(stage=stage).describe() for stage in STAGES}
    assert len(stills) == len(words) == len(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_every_instance_and_picture_changes_every_stage(coins, stage):
    first = coins.snapshot(stage=stage)
    second = coins.snapshot(instance=2)
    other = coins.snapshot(picture="fullest scene")
    assert len({first, second, other}) == 3


def test_a_click_chooses_the_smallest_instance_there(coins):
    for walk in coins.scene.walks:
        x1, y1, x2, y2 = coins.scene.window.place(walk.box)
        coins.clicked((x1 + x2) / 2, (y1 + y2) / 2)
        px, py = coins.scene.window.unplace((x1 + x2) / 2, (y1 + y2) / 2)
        x1, y1, x2, y2 = coins.walk.box
        assert x1 - 2 <= px <= x2 + 2 and y1 - 2 <= py <= y2 + 2
        assert (x2 - x1) * (y2 - y1) <= 1.3 * (walk.box[2] - walk.box[0]) * (walk.box[3] - walk.box[1])


def test_a_click_beside_everything_changes_nothing(coins):
    coins.clicked(Peel.width - 1, Peel.height - 1)
    assert (coins.get("instance"), coins.get("stage")) == (1, "Masks")


def test_clicks_on_names_and_rows_choose_the_stage(coins):
    left, top, width, height = BREADCRUMB
    for number, stage in enumerate(STAGES):
        coins.clicked(left + (number + 0.5) * width / len(STAGES), top + height / 2)
        assert coins.get("stage") == stage
    for row, stage in enumerate(("Features", "Anchors", "Proposals", "Boxes", "Boxes", "Masks")):
        coins.clicked(PANEL[0] + 100, PANEL[1] + (row + 0.5) * PANEL[3] / 6)
        assert coins.get("stage") == stage


def test_arrow_keys_walk_through_instances_and_stages(coins):
    coins.pressed("ArrowLeft", False)
    assert coins.get("instance") == len(coins.scene.walks)
    coins.pressed("ArrowRight", False)
    assert coins.get("instance") == 1
    coins.pressed("ArrowUp", False)
    assert coins.get("stage") == "Boxes"
    for _ in range(9):
        coins.pressed("ArrowDown", False)
    assert coins.get("stage") == "Masks"


def test_the_words_hold_the_numbers_of_the_walk(coins):
    words, walk = coins.describe(), coins.walk
    level = coins.scene.pyramid[walk.level]
    for piece in (
        f"Cell of {level.name}",
        f"row {walk.row}, column {walk.column}",
        f"size {walk.anchor_size:.0f}",
        f"objectness {walk.objectness:.3f}",
        f"{coins.scene.names[walk.label]} {walk.score:.3f}",
    ):
        assert piece in words


def test_nothing_found_is_said_and_every_stage_still_draws():
    explorer = peel(score=1.0)
    assert explorer.walk is None
    stills = {explorer.snapshot(stage=stage) for stage in STAGES}
    assert len(stills) == len(STAGES) and "Lower the score slider" in explorer.describe()
    explorer.pressed("ArrowRight", False)
    explorer.clicked(200, 300)
    assert explorer.get("instance") == 1


def test_a_picture_can_be_added_and_replaced():
    explorer = peel()
    explorer.add("mine", torch.rand(3, 50, 70))
    assert explorer.get("picture") == "mine" and explorer.scene.photo.size == (70, 50)
    explorer.add("mine", torch.rand(3, 60, 40))
    assert explorer.scene.photo.size == (40, 60)


def test_a_model_without_names_gets_numbers():
    plain = model()
    names, plain.class_names = plain.class_names, None
    try:
        assert peel().scene.names[1] == "class 1"
    finally:
        plain.class_names = names


def test_no_picture_is_refused():
    with pytest.raises(ValueError, match="at least one picture"):
        Peel(model(), {})


@pytest.mark.parametrize("stage", range(len(views.STAGES)))
def test_the_two_keys_under_the_card_do_not_meet(stage):
    sheet, (left, right) = Sheet(920, 600), (views.FRAME[0], panel.PANEL[0])
    assert key(sheet, left, 20, [entry[:2] for entry in views.LEGENDS[stage]]) <= right
    assert key(sheet, right + 4, 20, views.WALK_LEGEND) <= 920 - 4
