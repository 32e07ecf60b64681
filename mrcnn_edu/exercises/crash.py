"""What to say of a reader's function that stopped with an error.

Nothing here reads the words or the class of an error that a library raises, which change from version to version: what
the function did last is looked at instead.
"""

import dis
import io
from collections.abc import Callable
from contextlib import redirect_stdout

import torch
from torch.overrides import TorchFunctionMode


def is_unwritten(error: Exception, attempt: Callable) -> bool:
    """Whether the function itself says `raise NotImplementedError`; libraries raise that one too, from a call."""
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    own = code.co_filename == getattr(getattr(attempt, "__code__", None), "co_filename", None)
    raised = dis.opname[code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
    return isinstance(error, NotImplementedError) and own and raised


def where(error: Exception, attempt: Callable) -> str:
    """The line of the reader's function that the error came from."""
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code is getattr(attempt, "__code__", None):
            line = trace.tb_lineno - attempt.__code__.co_firstlineno + 1
        trace = trace.tb_next
    return f"It happened in line {line} of {attempt.__name__}." if line else "Look at the function's arguments."


class LastCall(TorchFunctionMode):
    """While it is on: the last thing that was asked of torch. `answer` is None where that call failed."""

    def __init__(self):
        super().__init__()
        self.name, self.first, self.answer = "", None, None

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.name, self.first, self.answer = getattr(function, "__name__", ""), args[0] if args else None, None
        self.answer = function(*args, **(kwargs or {}))
        return self.answer

    def failed_in(self, *names: str) -> bool:
        """Whether one of these functions was called last, on a tensor, and did not come to its end."""
        return self.answer is None and self.name in names and isinstance(self.first, torch.Tensor)


def advice(call: Callable[[], object]) -> str:
    """What to do about an error whose own words may not say it; empty for all others.

    call   calls the reader's function as it was called when it stopped
    """
    last = LastCall()
    try:
        # What the function prints it has printed in the check already.
        with redirect_stdout(io.StringIO()), last:
            call()
    except Exception as error:  # whatever the reader's code raises
        return next((words for sign, words in ADVICE if sign(last, error)), "")
    return ""


def took_a_pair_for_a_tensor(last: LastCall, error: Exception) -> bool:
    """x.max(dim=0) - 1, x.max(dim=0).sum(), torch.relu(x.max(dim=0))"""
    if isinstance(error, AttributeError):
        return is_pair(error.obj)
    # A tuple in an operator is Python's own TypeError.
    return is_pair(last.first) or (isinstance(error, TypeError) and is_pair(last.answer))


def is_pair(value) -> bool:
    """Whether it is what torch gives for max, min, sort, … along a dimension."""
    return isinstance(value, tuple) and hasattr(value, "values") and hasattr(value, "indices")


def took_from_nothing(last: LastCall, error: Exception) -> bool:
    """x[0] where x has no rows"""
    return last.failed_in("__getitem__", "select", "index_select", "take") and last.first.numel() == 0


def averaged_truth(last: LastCall, error: Exception) -> bool:
    """(x > 3).mean()"""
    return last.failed_in("mean", "std", "var", "nanmean") and last.first.dtype == torch.bool


def asked_many_for_one_truth(last: LastCall, error: Exception) -> bool:
    """if x > 3"""
    return last.failed_in("__bool__") and last.first.numel() > 1


ADVICE = (
    (took_a_pair_for_a_tensor, "x.max(dim=…) gives two tensors: take .values or .indices. "),
    (
        took_from_nothing,
        "Here a tensor has no entries, because the picture has no object: nothing can be taken from it by number. ",
    ),
    (averaged_truth, "True and False have no mean: turn them into numbers with .float() first. "),
    (
        asked_many_for_one_truth,
        "if, and, or ask for one answer; for whole tensors there are &, | and torch.where. ",
    ),
)
