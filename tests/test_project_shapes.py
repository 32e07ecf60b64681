"""The shape comments of mrcnn_edu.model say the truth; and the reader that checks them catches a wrong one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass  # noqa: F401 - used by the sources below
from textwrap import dedent

import pytest
import torch

from tests.shape_grammar import Scope, ShapeError, letters, parse
from tests.shape_reader import Record, run_instrumented


def read(source: str) -> tuple[Record, dict]:
    record = Record()
    namespace = {"torch": torch, "dataclass": dataclass, "__name__": __name__}
    run_instrumented(dedent(source), "example.py", namespace, record)
    return record, namespace


@pytest.mark.parametrize(
    ("text", "dims"),
    [
        ("(N, 4) xyxy, pixels", ((("N", "4")),)),
        ("(R, 4K)", (("R", "4*K"),)),
        ("(h·w·A, 4)", (("h*w*A", "4"),)),
        ("(N, 2), (N,)", (("N", "2"), ("N",))),
        ("(N, 2) and (N, 2), pixels", (("N", "2"), ("N", "2"))),
        ("(..., 4)", (("...", "4"),)),
        ("(N', 4)", (("N_1", "4"),)),
        ("(B, _, H // 2)", (("B", "_", "H//2"),)),
        ("()", ((),)),
        ("(n,) int64", (("n",),)),
    ],
)
def test_a_shape_is_read(text, dims):
    assert parse(text).dims == dims


@pytest.mark.parametrize(
    "text", ["(height, width), pixels", "(y, x)", "(see above)", "F = Backbone(I)", "why (N, 4)", "", "(1.5, N)"]
)
def test_what_is_no_shape_is_left_out(text):
    assert parse(text) is None


def test_elements_of_a_list_are_announced():
    assert parse("list of (N, 4)").elements and parse("each (N, 4)").elements and not parse("(N, 4)").elements


def test_letters_are_named_without_their_primes():
    assert letters(parse("(N', 4K)")) == {"N", "K"}


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("(N, 4)", [(3, 4)]),
        ("(R, 4K)", [(2, 20)]),
        ("(..., 4)", [(4,), (2, 3, 4)]),
        ("(B, _, 2H)", [(1, 9, 8)]),
        ("()", [()]),
        ("(h·w·A, 4)", [(12, 4)]),
    ],
)
def test_a_tensor_that_fits_passes(text, shapes):
    for shape in shapes:
        Scope().check(parse(text), torch.zeros(shape))


@pytest.mark.parametrize(
    ("text", "shape"), [("(N, 4)", (4, 3)), ("(N, N)", (2, 3)), ("(R, 4K)", (2, 21)), ("(N, 4)", (4,)), ("()", (1,))]
)
def test_a_tensor_that_does_not_fit_is_refused(text, shape):
    with pytest.raises(ShapeError):
        Scope().check(parse(text), torch.zeros(shape))


def test_a_letter_keeps_its_value_and_settles_what_waited_for_it():
    scope = Scope()
    scope.check(parse("(N·A, 4)"), torch.zeros(24, 4))
    scope.check(parse("(N, 2)"), torch.zeros(6, 2))
    assert scope.bound == {"A": 4, "N": 6}
    with pytest.raises(ShapeError, match="A is 4"):
        scope.check(parse("(A,)"), torch.zeros(5))


RIGHT = """
    def pairs(boxes, groups):
        \"\"\"Example.

        boxes    (N, 4) xyxy
        groups   (G,) each
        returns  (N, 2), (N, 2)
        \"\"\"
        area = boxes[:, 0] * boxes[:, 1]  # (N,)
        area += 1  # (N,)
        stacked = torch.stack(
            [
                boxes[:, 0],  # (N,)
                boxes[:, 1],  # (N,)
            ]
        )  # (2, N)
        kept = []
        for group in groups.split([1, 2]):  # (P,)
            chosen = boxes[: len(group)]  # (P, 4)
            kept.append(chosen.mean(dim=1))  # (P,)
        every = [boxes[:i] for i in range(3)]  # each (P, 4)
        return boxes[:, :2], boxes[:, 2:]  # (N, 2), (N, 2)

    pairs(torch.zeros(5, 4), torch.zeros(3))
    pairs(torch.zeros(7, 4), torch.zeros(3))
"""


def test_true_comments_pass_and_each_is_checked():
    record, _ = read(RIGHT)
    assert record.wrong == {}
    assert len(record.written) == 13
    assert record.checked == record.written
    assert record.letters["example.py:18"] == {"P"}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("# (2, N)", "# (N, 2)"),
        ("area += 1  # (N,)", "area += 1  # (N, 1)"),
        ("boxes[:, 1],  # (N,)", "boxes[:, 1],  # (4,)"),
        ("chosen = boxes[: len(group)]  # (P, 4)", "chosen = boxes[: len(group), :3]  # (P, 4)"),
        ("kept.append(chosen.mean(dim=1))  # (P,)", "kept.append(chosen.mean(dim=1))  # (4,)"),
        ("every = [boxes[:i] for i in range(3)]  # each (P, 4)", "every = [boxes[i] for i in range(3)]  # each (P, 4)"),
        ("boxes[:, 2:]  # (N, 2), (N, 2)", "boxes[:, 2:]  # (N, 2), (N, 4)"),
        ("boxes    (N, 4) xyxy", "boxes    (N, 5) xyxy"),
        ("returns  (N, 2), (N, 2)", "returns  (N, 2), (2, N)"),
        ("area = boxes[:, 0] * boxes[:, 1]  # (N,)", "area = boxes[:, 0] * boxes[:, 1]  # (N,), (N,)"),
    ],
)
def test_one_wrong_comment_is_caught_and_nothing_else(right, wrong):
    assert right in RIGHT
    record, _ = read(RIGHT.replace(right, wrong))
    assert len(record.wrong) == 1


def test_a_comment_beside_no_value_is_caught():
    record, _ = read("x = 1\nif x:  # (N, 4)\n    x = 2\n")
    assert "beside no value" in record.wrong["example.py:2"]


def test_fields_of_a_dataclass_are_checked_when_one_is_made():
    source = """
        @dataclass
        class Batch:
            tensors: torch.Tensor  # (B, 3, H, W)
            boxes: list  # each (N, 4)

        Batch(torch.zeros(2, {channels}, 8, 8), [torch.zeros(1, 4), torch.zeros(3, 4)])
    """
    assert read(source.replace("{channels}", "3"))[0].wrong == {}
    assert list(read(source.replace("{channels}", "4"))[0].wrong) == ["example.py:4"]


def test_the_instrumented_module_computes_the_same():
    _, namespace = read(RIGHT)
    first, second = namespace["pairs"](torch.arange(20.0).view(5, 4), torch.zeros(3))
    assert first.tolist() == [[0, 1], [4, 5], [8, 9], [12, 13], [16, 17]] and second[0].tolist() == [2, 3]


def test_code_that_has_not_run_is_not_counted_as_checked():
    record, _ = read("def never(x):\n    return x  # (N,)\n")
    assert record.written == {"example.py:2"} and record.checked == set()


@pytest.fixture(scope="module")
def model_run(root):
    """What the reader found while the lesson preset trained one step and predicted (see shape_run.py)."""
    done = subprocess.run([sys.executable, "-m", "tests.shape_run"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_shape_comment_of_the_model_is_true(model_run):
    assert model_run["wrong"] == {}


def test_every_shape_comment_of_the_model_is_reached(model_run):
    assert model_run["unreached"] == []


def test_every_letter_is_in_the_legend(model_run):
    assert model_run["letters_without_meaning"] == {}


def test_the_model_has_shape_comments(model_run):
    assert model_run["checked"] > 100
