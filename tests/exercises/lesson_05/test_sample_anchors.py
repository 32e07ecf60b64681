"""The sample is the package's for the same draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler

from mrcnn_edu.exercises.base import SHELF, check
from mrcnn_edu.exercises.lesson_05.sample_anchors import sample_anchors
from mrcnn_edu.model import matching
from tests.exercises.lesson_05.pictures import SEEDS


@pytest.mark.parametrize("seed", SEEDS)
def test_the_sample_is_the_packages_for_the_same_draws(seed):
    labels = torch.from_numpy(np.random.default_rng(seed).choice([-1, 0, 1, 3], 60))
    adapted = SHELF.find("sample_anchors").fit(sample_anchors)
    torch.manual_seed(seed)
    ours = adapted(labels, 20, 0.25)
    torch.manual_seed(seed)
    for mine, theirs in zip(ours, matching.sample(labels, 20, 0.25), strict=True):
        assert torch.equal(mine.sort().values, theirs)
    positive, negative = BalancedPositiveNegativeSampler(20, 0.25)([labels])
    assert [len(mine) for mine in ours] == [int(positive[0].sum()), int(negative[0].sum())]


def loop_sample(labels, count, positive_fraction, order):
    positive, negative = [], []
    for index in order.tolist():
        if labels[index] == 1 and len(positive) < int(count * positive_fraction):
            positive.append(index)
    for index in order.tolist():
        if labels[index] == 0 and len(positive) + len(negative) < count:
            negative.append(index)
    return positive, negative


@pytest.mark.parametrize("answer", [loop_sample])
def test_other_ways_to_write_it_are_right_too(answer):
    assert str(check(SHELF.find("sample_anchors"), answer)).startswith("✔")
