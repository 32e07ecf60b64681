"""Which images a step sees, and with which random numbers: a function of (seed, step, item), never of past state.

That is why a resumed run goes on exactly, and why the number of worker processes changes nothing.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from .interrupts import leave_interrupts_to_the_run

SHUFFLED_AT_MOST = 1 << 20


@lru_cache(maxsize=4)
def _epoch_order(seed: int, epoch: int, length: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(length)


def item_index(seed: int, position: int, length: int) -> int:
    """Index of the item served at `position` (0, 1, 2, ... over the whole run) of a data set of `length` items.

    Each epoch is a fresh permutation. A generated set of more than a million images has no epochs worth the
    memory of a permutation: there each draw is independent.
    """
    if length > SHUFFLED_AT_MOST:
        return int(np.random.default_rng((seed, position)).integers(length))
    epoch, within = divmod(position, length)
    return int(_epoch_order(seed, epoch, length)[within])


def seed_all(seed: int) -> None:
    """Start the random numbers of Python, NumPy and torch (on every device) from one seed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


@contextmanager
def seeded(*key: int):
    """Inside, Python's, NumPy's and torch's CPU random numbers are those of the key; after, they go on as before."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    words = np.random.SeedSequence(key).generate_state(2)
    random.seed(int(words[0]))
    np.random.seed(words[0])  # noqa: NPY002
    # The default generator itself: torch.manual_seed would reseed the GPUs too.
    torch.default_generator.manual_seed(int(words[0]) << 32 | int(words[1]))
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


class ItemsInOrder(Dataset):
    """The data set as a training run sees it: item `position` with its own random numbers, as plain tensors."""

    def __init__(self, dataset: Dataset, seed: int):
        self.dataset, self.seed, self.length = dataset, seed, len(dataset)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, position: int) -> tuple:
        index = item_index(self.seed, position, self.length)
        with seeded(self.seed, position):
            image, target = self.dataset[index]
        target = {name: plain(value) for name, value in target.items()}
        return plain(image), target


def plain(value):
    """tv_tensors cost a Python call per operation; the model needs none of what they know."""
    return value.as_subclass(torch.Tensor) if isinstance(value, torch.Tensor) else value


def _lists(items: list) -> tuple[list, list]:
    return [image for image, _ in items], [target for _, target in items]


def batches(dataset: Dataset, seed: int, batch: int, first: int, last: int, workers: int = 0, pin: bool = False):
    """Iterator over (images, targets) of steps first, ..., last - 1.

    raises   ValueError if the data set is empty
    """
    if len(dataset) == 0:
        raise ValueError(f"data set {getattr(dataset, 'name', '')!r} holds no image: nothing to train on")
    steps = [range(step * batch, (step + 1) * batch) for step in range(first, last)]
    return DataLoader(
        ItemsInOrder(dataset, seed),
        batch_sampler=steps,
        num_workers=workers,
        collate_fn=_lists,
        pin_memory=pin,
        worker_init_fn=leave_interrupts_to_the_run,
        generator=torch.Generator().manual_seed(seed),
    )
