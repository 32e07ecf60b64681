"""Recall is what the package's matching finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision

from mrcnn_edu.exercises.base import SHELF, all_inputs, check
from mrcnn_edu.exercises.lesson_04.recall import recall
from mrcnn_edu.model.boxes import box_iou
from mrcnn_edu.model.matching import match


def boxes_at_random(generator, count):
    corner = torch.from_numpy(generator.uniform(0, 100, (count, 2))).float()
    return torch.cat([corner, corner + torch.from_numpy(generator.uniform(8, 60, (count, 2))).float()], dim=1)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_recall_is_what_the_packages_matching_finds(seed, threshold):
    """Each ground truth is matched to its best anchor, so the two change places in `match`."""
    generator = np.random.default_rng(seed)
    ground_truths, anchors = boxes_at_random(generator, 12), boxes_at_random(generator, 60)
    reached = match(anchors, ground_truths, threshold, threshold) >= 0
    for iou in (box_iou(ground_truths, anchors), torchvision.ops.box_iou(ground_truths, anchors)):
        assert recall(iou, threshold) == pytest.approx(reached.float().mean().item())


def test_the_random_tables_of_the_recall_reach_some_ground_truths_and_miss_others():
    values = [float(recall(*inputs)) for inputs in all_inputs(SHELF.find("recall"))]
    assert sum(0 < value < 1 for value in values) > 10


@pytest.mark.parametrize(
    "answer",
    [
        lambda iou, t: sum(row.max().item() >= t for row in iou) / len(iou),
        lambda iou, t: (iou >= t).any(dim=1).sum() / iou.shape[0],
    ],
)
def test_other_ways_to_write_it_are_right_too(answer):
    assert str(check(SHELF.find("recall"), answer)).startswith("✔")
