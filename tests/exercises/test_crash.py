"""What is said of a reader's function that stopped: the same with every version of torch and numpy."""

import pytest
import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, check

TASK = Exercise(
    name="half",
    lesson=99,
    number=1,
    task="Halve x.",
    reference=lambda x: x / 2,
    probes=(),
    cases=((torch.tensor([2.0, 4.0]),), (torch.zeros(0),)),
    hints=(),
    reasoning="",
    checked="two numbers and none",
    gradients=(torch.ones(2, dtype=torch.float64, requires_grad=True),),
)


def half_unless_empty(x):
    return x / 2 if len(x) else x[0]


ADVISED = {
    "a pair minus a number": (lambda x: x.max(dim=0) - 1, ".values"),
    "an attribute of a pair": (lambda x: x.sort(dim=0).abs(), ".values"),
    "a pair in a function": (lambda x: torch.relu(x.min(dim=0)), ".values"),
    "mean of a comparison": (lambda x: (x > 3).mean(), ".float()"),
    "mean of a comparison, the function": (lambda x: torch.mean(x > 3), ".float()"),
    "spread of a comparison": (lambda x: (x > 3).std(), ".float()"),
    "if": (lambda x: x / 2 if x > 3 else x, "torch.where"),
    "and": (lambda x: (x > 1) and (x < 3), "torch.where"),
    "not": (lambda x: not x, "torch.where"),
    "the largest by Python": (lambda x: max(x, x / 2), "torch.where"),
    "the first of none": (half_unless_empty, "no entries"),
    "one of none by a tensor": (lambda x: x / 2 if len(x) else x[torch.tensor([0])], "no entries"),
}


@pytest.mark.parametrize("mine, words", ADVISED.values(), ids=ADVISED)
def test_what_was_done_last_decides_what_is_advised(mine, words):
    verdict = check(TASK, mine)
    assert verdict.state == "crashed" and words in verdict.message


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Boolean value of Tensor with more than one value is ambiguous"),
        RuntimeError("mean(): Got: Bool"),
        IndexError("index 0 is out of bounds for dimension 0 with size 0"),
        TypeError("unsupported operand: 'torch.return_types.max'"),
    ],
)
def test_the_words_of_an_error_decide_nothing(error):
    def mine(x):
        raise error

    message = check(TASK, mine).message
    assert not any(words in message for _, words in ADVISED.values())


def unwritten(x):
    raise NotImplementedError


def unwritten_with_words(x):
    raise NotImplementedError("later")


def unwritten_after_a_line(x):
    if len(x):
        raise NotImplementedError()
    return x


@pytest.mark.parametrize("mine", [unwritten, unwritten_with_words, unwritten_after_a_line])
def test_not_implemented_counts_as_empty(mine):
    assert check(TASK, mine).state == "empty"


def from_torch_in_python(x):
    return torch.nn.Module()(x)


def from_torch_without_words(x):
    return torch.utils.data.Dataset()[0]


LIBRARY = {}
exec(compile("def refuse(*given):\n    raise NotImplementedError", "<library>", "exec"), LIBRARY)


def from_another_file(x):
    return LIBRARY["refuse"](x)


@pytest.mark.parametrize("mine", [from_torch_in_python, from_torch_without_words, from_another_file])
def test_an_error_of_a_library_is_not_taken_for_an_empty_answer(mine):
    verdict = check(TASK, mine)
    assert verdict.state == "crashed" and "Yours to write" not in str(verdict)


def test_the_mean_of_a_comparison_is_no_empty_answer_in_any_version():
    """Some versions of torch raise NotImplementedError for it, others RuntimeError."""
    verdict = check(SHELF.find("recall"), lambda iou, threshold: (iou >= threshold).any(dim=1).mean())
    assert verdict.state == "crashed" and ".float()" in verdict.message


def test_an_error_without_words_leaves_no_hole_in_the_sentence():
    def mine(x):
        raise ValueError

    message = check(TASK, mine).message
    assert message.startswith("ValueError. It happened in line 2 of mine.")


def test_a_crash_while_the_gradient_is_checked_names_those_inputs():
    def mine(x):
        return x / 2 if not x.requires_grad else x.numpy()

    verdict = check(TASK, mine)
    assert verdict.state == "crashed" and "It was called with (tensor([1.0, 1.0]),)" in verdict.message


def test_what_the_function_prints_is_not_printed_again(capsys):
    def mine(x):
        print("here")
        return x.max(dim=0) - 1

    check(TASK, mine)
    assert capsys.readouterr().out.splitlines() == ["here"]
