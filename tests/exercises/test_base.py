"""The machinery of exercises: verdicts, hints, solutions, strictness and progress."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch

from mrcnn_edu.exercises import base, break_it, exercise, hint, progress, solution
from mrcnn_edu.exercises.base import SHELF, Exercise, ExerciseError, Probe, check, same


def half(x):
    return x / 2


TASK = Exercise(
    name="half",
    lesson=99,
    number=1,
    task="Halve x.",
    reference=half,
    probes=(Probe(lambda x: x * 2, (torch.tensor([2.0]),), "You doubled."),),
    cases=((torch.tensor([2.0, 4.0]),), (torch.zeros(0),)),
    hints=("Divide.", "By two."),
    reasoning="Half of x is x over two.",
    checked="two numbers and none",
    draw=lambda generator: (torch.from_numpy(generator.normal(size=3)),),
    gradients=(torch.ones(2, dtype=torch.float64, requires_grad=True),),
)


@pytest.fixture(autouse=True)
def shelf(monkeypatch, tmp_path):
    monkeypatch.setattr(base, "SHELF", base.Shelf({**SHELF.known, "half": TASK}))
    monkeypatch.setenv("MRCNN_EDU_PROGRESS", str(tmp_path / "deep" / "progress.json"))
    monkeypatch.delenv("MRCNN_EDU_STRICT", raising=False)
    return tmp_path / "deep" / "progress.json"


def test_a_right_function_is_returned_and_recorded(shelf, capsys):
    mine = exercise("half")(lambda x: x * 0.5)
    assert mine(torch.tensor(4.0)) == 2
    assert "Right (half)" in capsys.readouterr().out
    assert json.loads(shelf.read_text()) == {"half": "right"}


def test_a_wrong_function_is_replaced_by_the_reference(shelf, capsys):
    mine = exercise("half")(lambda x: x * 2)
    assert mine is half
    assert "You doubled." in capsys.readouterr().out
    assert json.loads(shelf.read_text()) == {"half": "tried"}


def test_an_empty_function_is_not_recorded(shelf, capsys):
    assert exercise("half")(lambda x: ...) is half
    assert "Yours to write" in capsys.readouterr().out
    assert not shelf.exists()


def test_a_crash_names_the_error_and_the_line(capsys):
    def mine(x):
        y = x + 1
        return y.no_such_thing

    assert exercise("half")(mine) is half
    out = capsys.readouterr().out
    assert "stopped with an error" in out and "no_such_thing" in out and "line 3 of mine" in out
    assert "It was called with (tensor([2.0, 4.0]),)" in out


def test_wrong_values_show_the_input_and_both_answers():
    verdict = check(TASK, lambda x: x / 2 + torch.arange(len(x)))
    assert verdict.state == "wrong"
    assert "[2.0, 4.0]" in verdict.message and "at [1] is 3; it should be 2." in verdict.message


def test_an_answer_of_another_shape_shows_both():
    assert "the answer is tensor([1.0]); it should be tensor([1.0, 2.0])." in check(TASK, lambda x: x[:1] / 2).message


def test_the_value_that_is_shown_is_a_wrong_one():
    """Two infinities, or two that are no numbers, differ by what is no number, and are equal all the same."""
    wanted = torch.tensor([torch.nan, torch.inf, 1.0])
    told = base.difference((), torch.tensor([torch.nan, torch.inf, 3.0]), wanted)
    assert told == "For () the answer at [2] is 3; it should be 1."
    assert "at [2] is nan" in base.difference((), torch.tensor([torch.nan, torch.inf, torch.nan]), wanted)


def test_a_number_in_place_of_a_tuple_is_told_how_a_tuple_is_written():
    told = "24 is a number; a tuple of one number is written with a comma: (24,)."
    assert base.difference((), 24, (24,)) == told
    assert base.difference((), {"labels": 24}, {"labels": (24,)}) == f"The entry 'labels': {told}"
    assert base.difference((), 25, (24,)) == "For () the answer is 25; it should be (24,)."


def test_an_empty_tensor_is_shown_by_its_shape():
    assert base.brief(torch.zeros(0, 2, 7)) == "a Tensor of shape (0, 2, 7)"


def test_a_wrong_gradient_is_seen():
    verdict = check(TASK, lambda x: x.detach() / 2 + 0 * x)
    assert verdict.state == "wrong" and "no gradient flows" in verdict.message


def test_the_readers_function_cannot_change_the_checks_inputs():
    def mine(x):
        answer = x / 2
        x.zero_()
        return answer

    x = TASK.cases[0][0].clone()
    check(TASK, mine)
    assert torch.equal(TASK.cases[0][0], x)


@pytest.mark.parametrize("attempt", [lambda x: x * 2, lambda x: ..., lambda x: 1 / 0])
def test_strict_raises(monkeypatch, attempt):
    monkeypatch.setenv("MRCNN_EDU_STRICT", "1")
    with pytest.raises(ExerciseError, match="half"):
        exercise("half")(attempt)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(KeyError, match="half"):
        exercise("no such")


def test_hints_come_one_at_a_time(capsys):
    for _ in range(3):
        hint("half")
    first, second, third = capsys.readouterr().out.splitlines()
    assert "Divide." in first and "By two." in second and "solution('half')" in third


def test_the_solution_shows_code_and_reasoning(capsys):
    solution("half")
    out = capsys.readouterr().out
    assert "return x / 2" in out and "over two" in out


def test_progress_counts_what_is_done_and_keeps_it(shelf, capsys):
    exercise("half")(half)
    exercise("half")(lambda x: x * 2)
    progress()
    out = capsys.readouterr().out
    assert "Lesson 99: 1 of 1 done" in out and "Lesson 00: 0 of" in out


def test_a_cut_gradient_and_a_tensor_for_a_tuple_are_named(shelf):
    task = SHELF.find("encode")
    cut = check(task, lambda boxes, anchors: task.reference(boxes, anchors).detach())
    assert cut.state == "wrong" and "no gradient flows" in cut.message
    shape = SHELF.find("anchor_shape")
    verdict = check(shape, lambda scale, ratio: torch.tensor(shape.reference(scale, ratio)))
    assert verdict.state == "wrong" and "one Tensor of 2 numbers" in verdict.message


def test_progress_of_one_lesson_leaves_the_others_out(shelf, capsys):
    progress(0)
    shown = capsys.readouterr().out
    assert shown.startswith("Lesson 00:") and shown.count("Lesson") == 1


def test_same_compares_structure_shape_and_value():
    assert same({"a": (1, 2)}, {"a": [1, 2]})
    assert same(torch.tensor([1.0, float("nan")]), np.array([1.0, float("nan")]))
    assert not same(torch.zeros(2), torch.zeros(2, 1))
    assert not same({"a": 1}, {"a": 1, "b": 2})
    assert not same("x", 1) and not same(1, "x") and not same(object(), 1.0)


def test_an_answer_with_a_gradient_or_in_bfloat16_has_numbers_too():
    assert same(torch.ones(2, requires_grad=True), torch.ones(2)) and same(torch.ones(2).bfloat16(), torch.ones(2))
    assert not same(torch.ones(2, device="meta"), torch.ones(2))


def test_an_answer_that_refuses_to_be_numbers_is_no_right_one():
    class Strange:
        def __array__(self, *given, **named):
            raise RuntimeError("no")

    assert not same(Strange(), torch.ones(2))


def test_a_verdict_shows_in_html_with_its_text_escaped():
    verdict = base.Verdict("wrong", "half", "a < b")
    assert "a &lt; b" in verdict._repr_html_() and "a < b" in str(verdict)


# The function as a part of the trained model


@pytest.fixture
def in_the_model(monkeypatch):
    """An exercise whose function sets the threshold of the model's NMS: a right one leaves it as it is."""
    from mrcnn_edu.model import boxes

    def fit(attempt):
        share = float(attempt(torch.tensor(1.0)))
        return lambda corners, scores, threshold: boxes.nms(corners, scores, 2 * share * threshold)

    task = dataclasses.replace(TASK, part="nms", fit=fit)
    monkeypatch.setattr(base, "SHELF", base.Shelf({"half": task}))
    return task


def test_a_right_function_is_tried_in_the_model(in_the_model, capsys):
    exercise("half")(half)
    out = capsys.readouterr().out
    assert "Right (half)" in out.splitlines()[0]
    assert "Swapped into the trained model, on 12 scenes: no box and no score changes; mask AP 0." in out


def test_a_wrong_function_shows_what_it_costs(in_the_model, capsys):
    """Doubled instead of halved: an NMS whose threshold nothing reaches."""
    assert exercise("half")(lambda x: x * 2) is half
    verdict, line = capsys.readouterr().out.splitlines()
    assert "You doubled." in verdict
    before, after = re.search(r"mask AP on 12 scenes falls from (\S+) to (\S+)\.", line).groups()
    assert float(before) > 0.75 and float(after) < float(before) - 0.1


def test_a_function_that_cannot_run_in_the_model_is_told_only_where_it_was_right(monkeypatch, capsys):
    task = dataclasses.replace(TASK, part="nms", fit=lambda attempt: lambda *given: 1 / 0)
    monkeypatch.setattr(base, "SHELF", base.Shelf({"half": task}))
    exercise("half")(lambda x: x * 2)
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert exercise("half")(half) is half
    assert "it could not run: ZeroDivisionError" in capsys.readouterr().out


def test_a_mistake_that_is_on_keeps_the_model_from_being_tried(in_the_model, capsys):
    with break_it("round_roi"):
        exercise("half")(half)
    assert "It was not tried in the trained model: break_it('round_roi') is on" in capsys.readouterr().out


@pytest.mark.parametrize("attempt", [lambda x: ..., lambda x: 1 / 0])
def test_what_is_empty_or_stops_is_not_tried(in_the_model, attempt, capsys):
    exercise("half")(attempt)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_check_alone_does_not_run_the_model(in_the_model, monkeypatch):
    monkeypatch.setattr("mrcnn_edu.exercises.price.price", lambda *given: 1 / 0)
    assert check(in_the_model, half).state == "right"
