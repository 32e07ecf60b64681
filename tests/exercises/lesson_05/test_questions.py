"""What the questions of lesson 05 say is true."""

from __future__ import annotations

import torch

from mrcnn_edu.exercises.lesson_05.decode import decode
from mrcnn_edu.exercises.lesson_05.match_anchors import match_anchors
from mrcnn_edu.exercises.lesson_05.nms import nms, row
from mrcnn_edu.exercises.predict import QUESTIONS
from mrcnn_edu.model import boxes as package
from tests.exercises.lesson_05.pictures import a_picture


def right_option(name):
    return next(option for option, (is_right, _) in QUESTIONS[name].options.items() if is_right)


def test_the_chain_of_the_question_has_its_overlaps_and_keeps_what_it_says():
    boxes, scores, groups, _ = row((0, 0.9), (1, 0.8), (2, 0.7))
    iou = package.box_iou(boxes, boxes)
    assert [f"{iou[i, j].item():.2f}" for i, j in ((0, 1), (1, 2), (0, 2))] == ["0.82", "0.82", "0.67"]
    kept = " and ".join("ABC"[i] for i in nms(boxes, scores, groups, 0.7).tolist())
    assert kept == right_option("chain_of_boxes")


def test_the_weak_object_of_the_question_has_one_positive_anchor():
    assert match_anchors(torch.tensor([[0.4, 0.35, 0.1]]), 0.7, 0.3).tolist() == [1, -1, 0]
    assert right_option("best_anchor_below") == "Yes: its best anchor"


def test_four_zeros_make_the_anchor():
    _, anchors = a_picture(0)
    torch.testing.assert_close(decode(torch.zeros(len(anchors), 4), anchors), anchors)
    assert right_option("deltas_of_zero") == "The anchor itself"
