"""Proposals on real tensors: the record of NMS, the model's own proposals at the end, controls, clicks and keys."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mrcnn_edu.datasets import load_dataset
from mrcnn_edu.explorers.proposals.explorer import Proposals
from mrcnn_edu.explorers.proposals.panel import reason_rows, recall_words
from mrcnn_edu.explorers.proposals.reading import MAGNIFIER, SHOW, compare, probability
from mrcnn_edu.explorers.proposals.record import KEPT, NEVER, Candidates, Record
from mrcnn_edu.model import load_weights
from mrcnn_edu.model.boxes import box_iou, grouped_nms, nms
from tests.explorers.opened import fifty_rectangles, sample
from tests.explorers.small import model as untrained
from tests.explorers.small import pictures


@pytest.fixture(scope="module")
def trained():
    return load_weights("lesson").eval()


@pytest.fixture(scope="module")
def shared(trained):
    coins, coin_truth = load_dataset("coins")[0]
    scene, scene_truth = sample("scene")
    return Proposals(
        trained, {"scene": scene, "coins": coins}, {"scene": scene_truth["boxes"], "coins": coin_truth["boxes"]}
    )


@pytest.fixture
def scene(shared):
    model = shared.model.config
    shared.set(
        picture="coins", score=0.0, top_before=model.rpn_pre_nms_top_n_test, iou=model.rpn_nms_thresh, show="this step"
    )
    return shared.set(top_after=model.rpn_post_nms_top_n_test, picture="scene")


def random_candidates(seed: int, count: int, levels: int, grid: int) -> Candidates:
    """Boxes on a coarse grid, so that many overlap and some scores are equal."""
    dice = torch.Generator().manual_seed(seed)
    corner = torch.randint(0, 40 * grid, (count, 2), generator=dice) / grid
    sides = torch.randint(grid, 30 * grid, (count, 2), generator=dice) / grid
    scores = torch.randint(0, 50, (count,), generator=dice) / 50
    level = torch.randint(0, levels, (count,), generator=dice)
    return Candidates(torch.cat([corner, corner + sides], 1), scores, torch.arange(count), level)


drawn = {
    "seed": st.integers(0, 2**31),
    "count": st.sampled_from([0, 1, 2, 17, 150, 260, 1001, 1100]),
    "levels": st.integers(1, 5),
    "grid": st.sampled_from([1, 16]),
    "threshold": st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.95, 1.0]),
}


@settings(max_examples=60, deadline=None)
@given(**drawn)
def test_the_record_keeps_what_grouped_nms_keeps_and_accounts_for_every_other_box(seed, count, levels, grid, threshold):
    candidates = random_candidates(seed, count, levels, grid)
    record = Record.of(candidates, threshold)
    kept = grouped_nms(candidates.boxes, candidates.scores, candidates.level, threshold)
    assert record.kept.tolist() == kept.tolist()
    assert np.flatnonzero(record.suppressor == KEPT).tolist() == sorted(kept.tolist())
    for box in np.flatnonzero(record.suppressor >= 0).tolist():
        by = int(record.kept[record.suppressor[box]])
        assert candidates.level[by] == candidates.level[box]
        assert candidates.scores[by] >= candidates.scores[box]
        iou = float(box_iou(candidates.boxes[by][None], candidates.boxes[box][None]))
        assert iou == record.iou[box] and iou > threshold - 1e-4


@settings(max_examples=40, deadline=None)
@given(**drawn)
def test_the_record_is_that_of_the_loop_which_drops_box_after_box(seed, count, levels, grid, threshold):
    threshold += 1e-3 * (threshold < 1)  # no pair of boxes on the grid has exactly this IoU
    candidates = random_candidates(seed, min(count, 200), levels, grid)
    record = Record.of(candidates, threshold)
    who = np.full(len(candidates), NEVER)
    for step, box in enumerate(record.kept.tolist()):
        assert who[box] == NEVER
        who[box] = KEPT
        overlap = box_iou(candidates.boxes[box][None], candidates.boxes)[0].double() > threshold
        falls = overlap.numpy() & (candidates.level == candidates.level[box]).numpy() & (who == NEVER)
        who[falls] = step
    assert who.tolist() == record.suppressor.tolist()


def test_the_loop_of_one_level_agrees_with_the_lessons_nms():
    candidates = random_candidates(3, 120, 1, 16)
    assert Record.of(candidates, 0.4013).kept.tolist() == nms(candidates.boxes, candidates.scores, 0.4013).tolist()


@pytest.mark.parametrize("kind", ["scene", "coins", "empty", "one object", "fifty objects"])
def test_at_its_own_settings_the_last_step_holds_the_models_own_proposals(trained, kind):
    image, truth = sample(kind)
    explorer = Proposals(trained, {kind: image}, {kind: truth["boxes"]})
    explorer.set(step=explorer.step.high)
    stages = trained.stages([image])
    assert torch.equal(explorer.run.proposals, stages.proposals[0])
    assert torch.equal(explorer.run.candidates.anchor[explorer.run.kept], stages.proposal_anchors[0])
    assert explorer.view_now.survivors.tolist() == explorer.run.kept.tolist()


@pytest.mark.parametrize(
    "top_before, top_after, score, iou", [(40, 30, 0.0, 0.5), (500, 500, 0.1, 0.9), (5, 3, 0, 0.1)]
)
def test_at_other_settings_it_is_what_a_model_with_these_settings_proposes(trained, top_before, top_after, score, iou):
    coins = sample("coins")[0]
    explorer = Proposals(trained, {"coins": coins})
    explorer.set(top_before=top_before, top_after=top_after, score=score, iou=iou)
    config = trained.rpn.config
    trained.rpn.config = replace(
        config,
        rpn_pre_nms_top_n_test=top_before,
        rpn_post_nms_top_n_test=top_after,
        rpn_score_thresh=score,
        rpn_nms_thresh=iou,
    )
    try:
        wanted = trained.stages([coins]).proposals[0]
    finally:
        trained.rpn.config = config
    assert torch.equal(explorer.run.proposals, wanted)
    assert sum(explorer.run.funnel()[-1][1]) == len(wanted)


@pytest.mark.parametrize("kind", ["scene", "coins", "empty", "one object", "fifty objects"])
def test_sweep_runs_on_every_kind_of_picture_and_ends_where_it_began(trained, kind):
    image, truth = sample(kind)
    explorer = Proposals(trained, {kind: image}, {kind: truth["boxes"]})
    before = explorer.snapshot()
    visited = {control for control, _ in explorer.sweep()}
    assert visited == {"picture", "show", "step", "score", "top_before", "iou", "top_after"}
    assert explorer.snapshot() == before


@pytest.mark.parametrize("name", ["one pixel", "strip", "tower"])
def test_odd_pictures_and_an_untrained_model(name):
    explorer = Proposals(untrained(), {name: pictures()[name]})
    for show in SHOW:
        still = explorer.snapshot(show=show, step=explorer.step.high)
        assert Image.open(io.BytesIO(still)).size == (Proposals.width, Proposals.height)
    explorer.set(score=1.0)
    assert explorer.step.value == 0 and "nothing is proposed" in explorer.describe()


def test_every_control_changes_the_picture_and_the_words(scene):
    opening = scene.snapshot(), scene.describe()
    for values in (
        {"picture": "coins"},
        {"step": 9},
        {"score": 0.5},
        {"top_before": 20},
        {"iou": 0.3},
        {"top_after": 50},
    ):
        rest = {name: scene.get(name) for name in sorted({*values, "step"})}
        assert scene.snapshot(**values) != opening[0] and scene.describe() != opening[1]
        scene.set(**rest)
    assert len({scene.snapshot(show=show) for show in SHOW}) == len(SHOW)


def test_the_opening_step_suppresses_several_and_leaves_another_level_alone(scene):
    view = scene.view_now
    assert len(view.victims) >= 5 and len(view.untouched[0]) >= 1
    level = scene.run.candidates.level.numpy()
    assert (level[view.victims] == level[view.chosen]).all()
    assert (level[view.untouched[0]] != level[view.chosen]).all() and (view.untouched[1] > 0.7).all()
    assert f"suppresses {len(view.victims)} of the others" in scene.describe()


def test_every_candidate_is_kept_suppressed_or_waiting(scene):
    for step in (0, 1, 30, scene.step.high):
        view = scene.set(step=step).view_now
        parts = [*view.survivors, *view.victims, *view.fallen, *view.waiting]
        assert sorted(parts) == list(range(len(scene.run.candidates)))


def test_the_reasons_are_the_ious_of_the_package(scene):
    view, run = scene.view_now, scene.run
    chosen = run.candidates.boxes[view.chosen][None]
    iou = box_iou(chosen, run.candidates.boxes[view.victims])[0].numpy()
    assert (iou > 0.7).all() and np.allclose(iou, run.record.iou[view.victims])
    rows = [words for _, words in reason_rows(view)]
    assert rows[0] == f"{iou.max():.2f} > 0.70, same level" and f"{iou.min():.2f} > 0.70, same level" in rows
    assert rows[-1].endswith("stays")


def test_numbers_have_as_many_digits_as_it_takes():
    assert compare(0.83, 0.7) == "0.83 > 0.70" and compare(0.7019, 0.7) == "0.702 > 0.70"
    assert compare(0.70004, 0.7) == "0.70004 > 0.70" and compare(0.5, 0.5) == "0.50000 ≤ 0.50"
    assert [probability(v) for v in (0.9871, 0.0004, 1e-7)] == ["0.987", "0.0004", "< 0.0001"]


def test_the_funnel_counts_what_is_there(scene):
    rows = dict(scene.run.funnel())
    stages, run = scene.run.stages, scene.run
    assert rows["anchors"] == stages.anchors_per_level
    assert rows["best 300 a level"] == [min(300, n) for n in stages.anchors_per_level]
    assert sum(rows["after NMS, IoU 0.70"]) == len(run.record.kept)
    assert sum(rows["best 200 kept"]) == len(stages.proposals[0])
    totals = [sum(counts) for _, counts in run.funnel()]
    assert totals == sorted(totals, reverse=True)


def test_recall_is_that_of_the_boxes_kept_so_far(scene):
    truth = scene.run.truth
    for step in (0, 2, 40):
        view = scene.set(step=step).view_now
        boxes = scene.run.candidates.boxes[view.survivors]
        best = box_iou(truth, boxes).amax(1) if step else torch.zeros(len(truth))
        assert np.allclose(view.covered(), best)
        assert recall_words(view)[0] == f"IoU ≥ 0.5: {int((best >= 0.5).sum())} of {len(truth)} found"


def test_missed_objects_are_marked(scene):
    scene.set(top_after=1, show="survivors", step=1)
    assert scene.view_now.last and (scene.view_now.covered() < 0.5).any()
    marked = scene.snapshot()
    scene.truths, known = {}, scene.truths
    forget(scene)
    try:
        scene.set(top_after=1)
        assert scene.snapshot() != marked and "not known" in scene.describe()
    finally:
        scene.truths = known
        forget(scene)


def forget(explorer):
    """Let the explorer run its model anew."""
    for memory in (explorer._runs, explorer._views):
        memory.forget(lambda key: True)


def test_without_objects_recall_has_nothing_to_count(trained):
    image, truth = sample("empty")
    explorer = Proposals(trained, {"empty": image}, {"empty": truth["boxes"]})
    assert "nothing to count" in explorer.describe()


def test_a_click_tells_who_suppressed_a_box(scene):
    view = scene.view_now
    victim = int(view.victims[-1])
    x1, y1, x2, y2 = view.magnified().place(scene.run.boxes[victim])
    scene.clicked(x2, (y1 + y2) / 2)
    picked = scene.selected
    assert picked in {view.chosen, *view.victims, *view.untouched[0]}
    scene.selected = victim
    words = scene.describe()
    assert f"Step {scene.get('step')} suppresses it" in words and compare(scene.run.record.iou[victim], 0.7) in words


def test_a_click_goes_to_the_step_that_decides_about_the_box(scene):
    scene.set(show="all boxes", step=0)
    before = bytes(scene.canvas.value)
    seen = set()
    for box in scene.view_now.visible()[:25].tolist():
        scene.set(step=0)
        x1, y1, x2, y2 = scene.view_now.window.place(scene.run.boxes[box])
        scene.canvas.event = {"kind": "click", "x": x1, "y": (y1 + y2) / 2, "count": len(seen) + box}
        chosen = scene.selected
        seen.add(chosen)
        step = scene.get("step")
        assert step == scene.run.step_of(chosen) and (
            chosen == scene.view_now.chosen or chosen in scene.view_now.victims
        )
    assert len(seen) > 5 and bytes(scene.canvas.value) != before


def test_boxes_beyond_top_n_are_said_to_be_so(scene):
    scene.set(step=scene.step.high)
    beyond = int(scene.run.record.kept[len(scene.run.kept)])
    assert scene.run.suppressor(beyond) == NEVER and scene.run.step_of(beyond) is None
    scene.selected = beyond
    assert "not kept" in scene.describe()


def test_a_click_beside_everything_forgets_the_clicked_box(scene):
    scene.selected = int(scene.view_now.victims[0])
    scene.clicked(Proposals.width - 2, Proposals.height - 2)
    assert scene.selected is None
    scene.clicked(MAGNIFIER[0] + 2, MAGNIFIER[1] + 2)
    assert scene.selected is None


def test_arrow_keys_move_the_step_and_stop_at_the_ends(scene):
    step = scene.get("step")
    scene.canvas.event = {"kind": "key", "steps": [3, 0], "shift": False, "count": 1}
    assert scene.get("step") == step + 3
    scene.pressed("ArrowUp", False)
    assert scene.get("step") == step + 13
    for _ in range(4):
        scene.pressed("ArrowDown", False)
    assert scene.get("step") == 0
    scene.pressed("ArrowLeft", False)
    assert scene.get("step") == 0


def test_the_end_stays_the_end_when_a_setting_changes(scene):
    scene.set(step=scene.step.high)
    scene.set(iou=0.3)
    assert scene.get("step") == scene.step.high == len(scene.run.kept)
    scene.set(step=3, iou=0.4)
    assert scene.get("step") == 3


def test_pictures_are_added_with_and_without_truth(trained):
    image, truth = fifty_rectangles()
    explorer = Proposals(trained, {"coins": sample("coins")[0]})
    explorer.add("mine", image)
    assert explorer.get("picture") == "mine" and explorer.run.truth is None
    explorer.add("mine", image, truth["boxes"])
    assert len(explorer.run.truth) == 50 and "of 50 found" in explorer.describe()


def test_no_picture_is_refused(trained):
    with pytest.raises(ValueError, match="at least one picture"):
        Proposals(trained, {})
