"""Lesson 04: the references agree with the package and with torchvision, and what the questions say is true."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from mrcnn_edu.exercises.base import SHELF, all_inputs, check
from mrcnn_edu.exercises.lesson_04 import anchor_shape, grid_centres
from mrcnn_edu.exercises.lesson_04_counts import count_anchors, recall
from mrcnn_edu.exercises.predict import QUESTIONS
from mrcnn_edu.model import MaskRCNN, preset
from mrcnn_edu.model.anchors import cell_anchors, grid_anchors
from mrcnn_edu.model.boxes import box_iou
from mrcnn_edu.model.matching import match

LESSON_STRIDES = (4, 8, 16, 32)


@given(st.integers(8, 600), st.floats(0.2, 5))
def test_the_shape_is_the_one_the_package_and_torchvision_round(scale, ratio):
    width, height = anchor_shape(scale, ratio)
    corners = np.array([-width, -height, width, height]) / 2
    for theirs in (cell_anchors((scale,), (ratio,)), AnchorGenerator().generate_anchors((scale,), (ratio,))):
        # Rounding moves a corner by at most half a pixel; in float32 the half itself may fall on either side.
        assert np.abs(theirs[0].numpy() - corners).max() <= 0.5 + 1e-3
    assert width * height == pytest.approx(scale**2) and height / width == pytest.approx(ratio)


@pytest.mark.parametrize("size", [(128, 128), (100, 200), (128, 500), (303, 384)])
def test_the_count_is_that_of_the_lessons_model(size):
    model = MaskRCNN(preset("lesson"))
    run = model.stages([torch.rand(3, *size)])
    height, width = run.images.shape[-2:]
    assert run.strides == [(stride, stride) for stride in LESSON_STRIDES]
    assert count_anchors(height, width, LESSON_STRIDES, 3) == len(run.anchors)
    per_level = [count_anchors(height, width, (stride,), 3) for stride in LESSON_STRIDES]
    assert per_level == run.anchors_per_level


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 64))
def test_the_centres_are_those_of_the_package_and_of_torchvision(rows, columns, stride):
    side = 2 * stride
    square = torch.tensor([[-stride, -stride, stride, stride]], dtype=torch.float32)
    ours = grid_centres(rows, columns, stride).float()
    images = ImageList(torch.zeros(1, 3, rows * stride, columns * stride), [(rows * stride, columns * stride)])
    theirs = AnchorGenerator(((side,),), ((1.0,),))(images, [torch.zeros(1, 1, rows, columns)])[0]
    for boxes in (grid_anchors(square, (rows, columns), (stride, stride)), theirs):
        assert torch.equal((boxes[:, :2] + boxes[:, 2:]) / 2, ours)


def test_the_readers_anchors_go_into_the_model_as_the_packages():
    own_cells = SHELF.find("anchor_shape").fit(anchor_shape)
    own_grid = SHELF.find("grid_centres").fit(grid_centres)
    base = cell_anchors((16, 32), (0.5, 1.0, 2.0))
    assert torch.equal(own_cells((16, 32), (0.5, 1.0, 2.0)), base)
    assert torch.equal(own_grid(base, (3, 5), (8, 8)), grid_anchors(base, (3, 5), (8, 8)))


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
    ("name", "answer"),
    [
        ("anchor_shape", lambda scale, ratio: [scale / ratio**0.5, scale * ratio**0.5]),
        ("anchor_shape", lambda scale, ratio: (torch.tensor(scale / ratio**0.5), np.float64(scale * ratio**0.5))),
        ("count_anchors", lambda h, w, strides, a: sum(a * (h / s) * (w / s) for s in strides)),
        ("grid_centres", lambda h, w, s: torch.tensor([[j * s, i * s] for i in range(h) for j in range(w)])),
        ("grid_centres", lambda h, w, s: [(j * s, i * s) for i in range(h) for j in range(w)]),
        ("recall", lambda iou, t: sum(row.max().item() >= t for row in iou) / len(iou)),
        ("recall", lambda iou, t: (iou >= t).any(dim=1).sum() / iou.shape[0]),
    ],
)
def test_other_ways_to_write_it_are_right_too(name, answer):
    assert str(check(SHELF.find(name), answer)).startswith("✔")


def iou_of_squares(first, second):
    return box_iou(*(torch.tensor([[-side, -side, side, side]]) / 2 for side in (first, second))).item()


def test_the_small_object_overlaps_its_best_anchor_as_little_as_the_question_says():
    right = next(option for option, (is_right, _) in QUESTIONS["small_object"].options.items() if is_right)
    assert f"{iou_of_squares(10.0, 16.0):.2f}" == right
    model = preset("lesson")
    assert min(side for sizes in model.anchor_sizes for side in sizes) == 16
    anchors = torch.cat([cell_anchors(sizes, model.anchor_ratios) for sizes in model.anchor_sizes])
    overlaps = box_iou(torch.tensor([[-5.0, -5, 5, 5]]), anchors)[0]
    assert overlaps.max().item() == pytest.approx(100 / 256, abs=1e-6)


def test_the_number_of_anchors_in_the_questions_reply_is_right():
    replies = " ".join(reply for _, reply in QUESTIONS["blank_picture"].options.values())
    assert f"{count_anchors(128, 128, LESSON_STRIDES, 3):,} anchors" in replies
