import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mrcnn_edu.training.order import SHUFFLED_AT_MOST, batches, item_index, seeded

from .tiny import Noisy, same_tensors, tiny_shapes


@given(st.integers(0, 2**31), st.integers(1, 60), st.integers(0, 5))
def test_each_epoch_holds_every_image_once(seed, length, epoch):
    served = [item_index(seed, epoch * length + k, length) for k in range(length)]
    assert sorted(served) == list(range(length))


def test_epochs_and_seeds_differ():
    def orders(seed, epoch):
        return [item_index(seed, epoch * 50 + k, 50) for k in range(50)]

    assert len({tuple(orders(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_an_endless_set_needs_no_permutation():
    length = 1 << 60
    served = [item_index(0, position, length) for position in range(200)]
    assert length > SHUFFLED_AT_MOST and len(set(served)) == 200
    assert all(0 <= index < length for index in served) and max(served) > length // 2


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_seeded_draws_depend_on_the_key_alone_and_leave_no_trace(a, b):
    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    with seeded(a, b):
        first = random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002
    assert random.getstate() == before[0] and torch.equal(torch.get_rng_state(), before[2])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    random.random(), np.random.rand(), torch.rand(3)  # noqa: NPY002
    with seeded(a, b):
        assert (random.random(), np.random.rand(), torch.rand(()).item()) == first  # noqa: NPY002
    with seeded(a + 1, b):
        assert torch.rand(()).item() != first[2]


@pytest.mark.parametrize(("workers", "first"), [(0, 3), (2, 0)])
def test_batches_are_the_same_from_any_start_and_with_any_number_of_workers(workers, first):
    dataset = Noisy(tiny_shapes())
    plain = list(batches(dataset, seed=5, batch=2, first=0, last=6))
    again = list(batches(dataset, seed=5, batch=2, first=first, last=6, workers=workers))
    assert len(plain) == 6 and same_tensors(plain[first:], again)
    assert all(type(image) is torch.Tensor for images, _ in plain for image in images)


def test_the_same_image_looks_different_in_another_epoch():
    dataset = Noisy(tiny_shapes(length=1))
    (first,), _ = next(iter(batches(dataset, 0, 1, 0, 1)))
    (second,), _ = next(iter(batches(dataset, 0, 1, 1, 2)))
    assert not torch.equal(first, second)


def test_making_batches_draws_nothing_from_the_global_generators():
    before = torch.get_rng_state()
    list(batches(Noisy(tiny_shapes()), 0, 2, 0, 3))
    assert torch.equal(before, torch.get_rng_state())


def test_an_empty_data_set_is_refused():
    with pytest.raises(ValueError, match="'shapes' holds no image"):
        batches(tiny_shapes(length=0), 0, 2, 0, 3)
