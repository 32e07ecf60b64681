"""The walk from a mask to its anchor agrees with the codec, the shapes and the pictures' own numbers."""

import pytest
import torch

from mrcnn_edu.explorers.peel.reading import moved_anchor, walk_back
from mrcnn_edu.explorers.toolkit.levels import levels, locate
from mrcnn_edu.model.boxes import decode
from tests.explorers.small import model, pictures

WEIGHTS = (10.0, 10.0, 5.0, 5.0)


@pytest.fixture(scope="module")
def stages():
    return model().stages([pictures()["coins"], pictures()["strip"]])


@pytest.mark.parametrize("image", [0, 1])
def test_deltas_move_the_anchor_onto_the_proposal(stages, image):
    height, width = stages.image_sizes[image]
    for detection in range(len(stages.detections[image]["labels"])):
        walk = walk_back(stages, detection, WEIGHTS, image)
        moved = torch.from_numpy(moved_anchor(walk))
        moved[0::2], moved[1::2] = moved[0::2].clamp(0, width), moved[1::2].clamp(0, height)
        torch.testing.assert_close(moved, torch.from_numpy(walk.proposal), atol=1e-3, rtol=1e-4)


def test_box_deltas_move_the_proposal_onto_the_box(stages):
    for detection in range(len(stages.detections[0]["labels"])):
        walk = walk_back(stages, detection, WEIGHTS)
        box = decode(torch.from_numpy(walk.box_deltas)[None], torch.from_numpy(walk.proposal)[None])
        height, width = stages.image_sizes[0]
        box[:, 0::2], box[:, 1::2] = box[:, 0::2].clamp(0, width), box[:, 1::2].clamp(0, height)
        torch.testing.assert_close(box[0], torch.from_numpy(walk.box), atol=1e-3, rtol=1e-4)


def test_score_and_mask_are_those_of_the_detection(stages):
    for detection in range(len(stages.detections[0]["labels"])):
        walk = walk_back(stages, detection, WEIGHTS)
        assert walk.score == pytest.approx(float(walk.probabilities[walk.label]), abs=1e-6)
        assert walk.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert walk.mask_logits.shape == (28, 28)
        assert walk.objectness == pytest.approx(float(stages.proposal_scores[0][walk.proposal_rank]), abs=1e-6)


def test_an_anchor_stands_at_the_corner_of_its_cell(stages):
    pyramid = levels(stages)
    for anchor in range(0, len(stages.anchors), 997):
        level, row, column, number = locate(anchor, pyramid)
        box = stages.anchors[anchor]
        centre = (box[:2] + box[2:]) / 2
        stride_y, stride_x = pyramid[level].stride
        assert centre.tolist() == pytest.approx([column * stride_x, row * stride_y])
        assert 0 <= number < pyramid[level].anchors_per_cell


def test_the_last_anchor_of_each_level_is_located_there(stages):
    pyramid = levels(stages)
    assert sum(lv.grid[0] * lv.grid[1] * lv.anchors_per_cell for lv in pyramid) == len(stages.anchors)
    for number, level in enumerate(pyramid):
        last = level.first_anchor + level.grid[0] * level.grid[1] * level.anchors_per_cell - 1
        place = locate(last, pyramid)
        assert place == (number, level.grid[0] - 1, level.grid[1] - 1, level.anchors_per_cell - 1)
    assert [lv.name for lv in pyramid] == ["P2", "P3", "P4", "P5"]


def test_a_detection_that_does_not_exist_is_named(stages):
    with pytest.raises(IndexError, match="detection 12"):
        walk_back(stages, 12, WEIGHTS)
