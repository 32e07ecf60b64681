"""The kept boxes are those of the package and of torchvision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision

from mrcnn_edu.exercises.base import SHELF, all_inputs, check
from mrcnn_edu.exercises.lesson_05.nms import nms, random_crowd
from mrcnn_edu.model import boxes as package
from tests.exercises.lesson_05.pictures import SEEDS


@pytest.mark.parametrize("seed", SEEDS)
def test_the_kept_boxes_are_those_of_the_package_and_of_torchvision(seed):
    crowd = random_crowd(np.random.default_rng(seed))
    ours = nms(*crowd)
    assert torch.equal(ours, package.grouped_nms(*crowd))
    assert torch.equal(ours, torchvision.ops.batched_nms(*crowd))
    boxes, scores, groups, threshold = crowd
    one_group = torch.zeros_like(groups)
    assert torch.equal(nms(boxes, scores, one_group, threshold), package.nms(boxes, scores, threshold))


def test_the_random_crowds_drop_boxes_and_mixing_the_groups_shows():
    crowds = list(all_inputs(SHELF.find("nms")))
    assert sum(0 < len(nms(*crowd)) < len(crowd[0]) for crowd in crowds) > 15
    mixed = [nms(boxes, scores, torch.zeros_like(groups), t) for boxes, scores, groups, t in crowds]
    assert sum(len(a) < len(nms(*crowd)) for a, crowd in zip(mixed, crowds, strict=True)) > 10


def loop_nms(boxes, scores, groups, iou_threshold):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda index: -scores[index].item()):
        rivals = [j for j in kept if groups[j] == groups[i]]
        if all(torchvision.ops.box_iou(boxes[i : i + 1], boxes[j : j + 1]).item() <= iou_threshold for j in rivals):
            kept.append(i)
    return kept


@pytest.mark.parametrize("answer", [loop_nms, torchvision.ops.batched_nms])
def test_other_ways_to_write_it_are_right_too(answer):
    assert str(check(SHELF.find("nms"), answer)).startswith("✔")
