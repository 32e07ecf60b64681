"""Data sets that remember their samples, read by several threads at once."""

import sys
import threading

import pytest
import torch

from mrcnn_edu.datasets import Coins, Shapes
from mrcnn_edu.datasets.textures import noise_bank
from mrcnn_edu.training import order


@pytest.mark.parametrize("make", [Coins, lambda: Shapes(length=2, size=56)], ids=["cache", "noise"])
def test_a_thread_sees_nothing_of_what_another_does_to_its_sample(make):
    """Each thread paints over what it was given; the next reading is as the first."""
    noise_bank.cache_clear()
    dataset, alone = make(), make()
    (image, target), wrong, start = alone[0], [], threading.Barrier(6)

    def work():
        start.wait()
        for _ in range(5):
            mine, mine_too = dataset[0]
            if not (torch.equal(mine, image) and torch.equal(mine_too["masks"], target["masks"])):
                wrong.append(mine)
            mine.zero_(), mine_too["masks"].zero_()

    run_at_once(work, 6)
    assert not wrong


def test_the_order_of_the_items_is_the_same_for_all_threads():
    wanted = {seed: [order.item_index(seed, position, 50) for position in range(150)] for seed in range(8)}
    order._epoch_order.cache_clear()
    wrong = []

    def work():
        for seed, items in wanted.items():
            if [order.item_index(seed, position, 50) for position in range(150)] != items:
                wrong.append(seed)

    run_at_once(work, 6)
    assert not wrong


def run_at_once(work, count):
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
