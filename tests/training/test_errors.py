"""Errors of memory, told apart by what happened, and not by the class or the words of one version of torch."""

import numpy as np
import pytest
import torch

from mrcnn_edu.training.errors import explained_out_of_memory

MORE_THAN_THERE_IS = 2**58
ALLOCATIONS = {
    "torch": lambda: torch.empty(MORE_THAN_THERE_IS, dtype=torch.uint8),
    "torch, of floats": lambda: torch.zeros(MORE_THAN_THERE_IS // 8),
    "torch, of a tensor that is there": lambda: torch.zeros(1).expand(MORE_THAN_THERE_IS).clone(),
    "numpy": lambda: np.ones(MORE_THAN_THERE_IS, dtype=np.uint8),
    "python": lambda: bytearray(MORE_THAN_THERE_IS),
}


@pytest.mark.parametrize("allocate", ALLOCATIONS.values(), ids=ALLOCATIONS)
def test_memory_that_is_not_there_says_what_to_lower(allocate):
    with pytest.raises(torch.cuda.OutOfMemoryError, match=r"step 3 ran out of memory. Lower batch \(now 4\)"):
        with explained_out_of_memory("step 3", None, 4):
            allocate()


@pytest.mark.parametrize(
    "wrong", [lambda: torch.zeros(2) @ torch.zeros(3), lambda: torch.zeros(2).view(3), lambda: torch.empty(2**62)]
)
def test_another_error_stays_what_it_is(wrong):
    with pytest.raises(Exception) as bare:  # noqa: B017 - torch chooses the class
        wrong()
    with pytest.raises(Exception) as kept, explained_out_of_memory("step 3", None, 4):  # noqa: B017
        wrong()
    assert str(kept.value) == str(bare.value) and type(kept.value) is type(bare.value)


def test_an_error_without_words_stays_what_it_is():
    with pytest.raises(RuntimeError) as kept, explained_out_of_memory("step 3", None, 4):
        raise RuntimeError
    assert str(kept.value) == ""
