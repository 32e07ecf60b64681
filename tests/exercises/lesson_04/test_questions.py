"""What the questions of lesson 04 say is true."""

from __future__ import annotations

import pytest
import torch

from mrcnn_edu.exercises.lesson_04.count_anchors import LESSON, count_anchors
from mrcnn_edu.exercises.predict import QUESTIONS
from mrcnn_edu.model import preset
from mrcnn_edu.model.anchors import cell_anchors
from mrcnn_edu.model.boxes import box_iou


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
    assert f"{count_anchors(*LESSON):,} anchors" in replies
