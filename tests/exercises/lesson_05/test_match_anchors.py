"""The labels of the anchors are those of the package and of torchvision."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torchvision.models.detection._utils import Matcher

from mrcnn_edu.exercises.base import SHELF, check
from mrcnn_edu.exercises.lesson_05.match_anchors import match_anchors
from mrcnn_edu.model import boxes as package
from mrcnn_edu.model import matching
from mrcnn_edu.model.losses import anchor_labels
from tests.exercises.lesson_05.pictures import SEEDS, a_picture


@pytest.mark.parametrize("seed", SEEDS)
def test_the_labels_are_those_of_the_package_and_of_torchvision(seed):
    ground_truths, anchors = a_picture(seed)
    ours = match_anchors(torchvision.ops.box_iou(ground_truths, anchors), 0.7, 0.3)
    assert torch.equal(ours, anchor_labels(matching.match(ground_truths, anchors, 0.7, 0.3, low_quality=True)))
    matched_idxs = Matcher(0.7, 0.3, allow_low_quality_matches=True)(package.box_iou(ground_truths, anchors))
    assert torch.equal(ours, anchor_labels(matched_idxs))
    assert {1, 0} <= set(ours.tolist())


@pytest.mark.parametrize("low_quality", [True, False])
@pytest.mark.parametrize("objects", [0, 4])
def test_the_readers_labels_go_into_the_model_as_the_packages(low_quality, objects):
    ground_truths, anchors = a_picture(1)
    arguments = (ground_truths[:objects], anchors, 0.7, 0.3, low_quality)
    assert torch.equal(SHELF.find("match_anchors").fit(match_anchors)(*arguments), matching.match(*arguments))


def test_a_ground_truth_far_from_all_anchors_is_where_torchvision_differs():
    iou = torch.tensor([[0.8, 0.1], [0.0, 0.0]])
    assert match_anchors(iou, 0.7, 0.3).tolist() == [1, 0]
    assert (Matcher(0.7, 0.3, allow_low_quality_matches=True)(iou) >= 0).all()


def loop_match(iou, high, low):
    labels = []
    for column in iou.T.tolist():
        labels.append(1 if max(column) >= high else 0 if max(column) < low else -1)
    for line in iou.tolist():
        labels = [1 if value == max(line) > 0 else label for value, label in zip(line, labels, strict=True)]
    return labels


@pytest.mark.parametrize("answer", [loop_match])
def test_other_ways_to_write_it_are_right_too(answer):
    assert str(check(SHELF.find("match_anchors"), answer)).startswith("✔")
