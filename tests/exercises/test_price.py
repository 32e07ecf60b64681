"""What a function costs in the trained model: the sound one nothing, a wrong one what the model then does."""

import math

import pytest
import torch

from mrcnn_edu.exercises import price as module
from mrcnn_edu.exercises.base import SHELF
from mrcnn_edu.exercises.price import NOTICED, Line, Price, price
from mrcnn_edu.mistakes import MISTAKES, TRAINING_PARTS, break_it, switched_on
from mrcnn_edu.model import boxes, matching
from mrcnn_edu.model.roi_align import to_rois
from mrcnn_edu.training.state import LOSSES
from tests.mistakes.own import OWN

FEW = 4
IN_THE_MODEL = [task for task in SHELF.known.values() if task.part]


@pytest.mark.parametrize("part", OWN)
def test_the_packages_own_forms_cost_nothing(part):
    found = price(part, OWN[part], FEW)
    assert found.error is None and found.scenes == FEW
    if part in TRAINING_PARTS:
        assert set(found.sound) == set(LOSSES) and found.moved[1] <= NOTICED
        assert "all five losses are as before" in found.of_right()
    else:
        assert found.boxes <= NOTICED and found.scores <= NOTICED
        assert found.sound["segm"]["AP"] == pytest.approx(found.swapped["segm"]["AP"], abs=1e-6)
        assert f"on {FEW} scenes" in found.of_right() and "as before" in found.of_right()
    assert "stay" in found.of_wrong()


def keep_all(corners, scores, iou_threshold):
    return scores.argsort(descending=True)


def whole_deltas(deltas, anchors, weights):
    return anchors + deltas


WRONG = {
    "nms": keep_all,
    "decode": whole_deltas,
    "to_rois": lambda corners: to_rois(corners) * torch.tensor([0.0, 1, 1, 1, 1]),
    "roi_align": MISTAKES["roi_pool"].function,
}


@pytest.mark.parametrize("part", WRONG)
def test_a_wrong_function_costs_average_precision(part):
    found = price(part, WRONG[part], FEW)
    before, after = found.sound["segm"]["AP"], found.swapped["segm"]["AP"]
    assert after < before - 0.02
    assert found.of_wrong() == (
        f"With your version the model's mask AP on {FEW} scenes falls from {before:.3f} to {after:.3f}."
    )


@pytest.mark.parametrize(
    ("part", "function", "loss"),
    [
        ("match", lambda gt, each, high, low, low_quality: matching.match(gt, each, high, low), "loss_objectness"),
        ("encode", lambda each, anchors, weights: boxes.encode(each, anchors) / 10, "loss_rpn_box_reg"),
        (
            "sample",
            lambda labels, count, share: (torch.where(labels > 0)[0], torch.where(labels == 0)[0]),
            "loss_rpn_box_reg",
        ),
        ("anchor_labels", MISTAKES["ignored_are_negative"].function, "loss_objectness"),
    ],
)
def test_a_wrong_part_of_training_costs_a_loss(part, function, loss):
    found = price(part, function)
    name, share = found.moved
    assert share > 0.1 and name == loss
    assert f"With your version {name} of the trained model on 12 scenes goes from" in found.of_wrong()
    assert ("Smaller is not better" in found.of_wrong()) == (found.swapped[name] < found.sound[name])


@pytest.mark.parametrize("task", IN_THE_MODEL, ids=lambda task: task.name)
def test_exercises_fit_the_parts_they_name(task):
    """The solution changes nothing; whatever a known wrong answer does, there is a price or a reason for none."""
    fit = task.fit or (lambda function: function)
    right = price(task.part, fit(task.reference), 2)
    assert right.error is None and "hardly" not in right.of_wrong() and "stay" in right.of_wrong()
    for probe in task.probes:
        found = price(task.part, fit(probe.wrong), 2)
        assert found.error or "With your version" in found.of_wrong()


def test_another_draw_is_told_from_a_mistake():
    """A right `sample` may draw in another order: its losses differ as those of another seed do."""

    def negatives_first(labels, count, positive_fraction):
        torch.randperm(7)
        return matching.sample(labels, count, positive_fraction)

    found = price("sample", negatives_first, FEW)
    assert NOTICED < found.moved[1] < 1 and found.draw > NOTICED
    assert "another random draw alone moves one by" in found.of_right()


@pytest.mark.parametrize(
    ("part", "function"),
    [
        ("nms", lambda *given: 1 / 0),
        ("nms", lambda *given: torch.tensor([10**6])),
        ("nms", lambda *given: None),
        ("roi_align", lambda *given: torch.zeros(1)),
        ("roi_align", lambda features, rois: features),
        ("decode", lambda *given: "boxes"),
        ("cell_anchors", lambda *given: torch.zeros(2, 4)),
        ("grid_anchors", lambda *given: torch.zeros(3, 4)),
        ("to_rois", lambda *given: torch.zeros(3)),
        ("match", lambda *given: torch.zeros(1)),
        ("sample", lambda *given: torch.zeros(1)),
        ("encode", lambda *given: torch.zeros(0)),
    ],
)
def test_a_function_that_does_not_fit_is_reported_not_raised(part, function):
    found = price(part, function, 2)
    assert switched_on() == []
    assert found.error and found.of_wrong() is None
    assert found.of_right() == f"Swapped into the trained model it could not run: {found.error}"


def test_numbers_that_are_none_are_reported():
    found = price("decode", lambda *given: boxes.decode(*given) * math.nan, FEW)
    assert found.error or found.swapped["segm"]["AP"] == 0
    assert price("encode", lambda *given: boxes.encode(*given) * math.nan, 2).of_wrong()


def test_a_slow_function_counts_on_the_scenes_that_are_done(monkeypatch):
    calls = []

    def clock():
        return 1e9 if len(calls) > 6 else 0.0

    def counted(*given):
        calls.append(1)
        return boxes.decode(*given)

    monkeypatch.setattr(module.time, "perf_counter", clock)
    found = price("decode", counted, FEW)
    assert found.error is None and 0 < found.scenes < FEW
    monkeypatch.setattr(module, "PATIENCE", -1.0)
    calls.clear()
    assert "takes more than" in price("decode", counted, FEW).error


def test_the_function_cannot_spoil_the_model_and_its_prints_are_not_repeated(capsys):
    def greedy(corners, scores, iou_threshold):
        kept = boxes.nms(corners, scores, iou_threshold)
        corners.zero_()
        scores.zero_()
        print("called")
        return kept

    found = price("nms", greedy, 2)
    assert found.boxes <= NOTICED and capsys.readouterr().out == ""


def test_random_draws_of_the_caller_go_on_as_if_nothing_had_been_priced():
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    price("sample", matching.sample, 2)
    assert torch.equal(torch.rand(2), wanted)


def test_a_mistake_that_is_on_is_not_priced_along():
    with break_it("round_roi"), pytest.raises(RuntimeError, match="round_roi"):
        price("nms", boxes.nms, 2)
    with pytest.raises(ValueError, match="no_such"):
        price("no_such", boxes.nms)


def test_words():
    sound, worse = {"segm": {"AP": 0.5}}, {"segm": {"AP": 0.25}}
    assert "some detections are gone; mask AP 0.500 → 0.250" in Price("nms", 3, sound, worse, math.inf, 1.0).of_right()
    assert "no box and no score changes; mask AP 0.500, as before" in Price("nms", 3, sound, sound).of_right()
    assert "differ by at most 2.5 px, scores by 0.01" in Price("nms", 3, sound, sound, 2.5, 0.01).of_right()
    almost = {"segm": {"AP": 0.493}}
    for after, words in (
        (worse, "falls from 0.500 to 0.250."),
        (almost, "hardly changes, 0.500 → 0.493: these scenes do not show the mistake."),
        (sound, "stays at 0.500: these scenes do not show the mistake."),
    ):
        assert Price("nms", 3, sound, after).of_wrong().endswith(f"on 3 scenes {words}")
    assert "goes from 0.250 to 0.500, where a right one changes nothing" in Price("nms", 3, worse, sound).of_wrong()
    assert "a &lt; b" in Line("a < b")._repr_html_() and "a < b" in str(Line("a < b"))
