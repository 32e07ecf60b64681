"""The count of anchors is that of the lesson's model."""

from __future__ import annotations

import pytest
import torch

from mrcnn_edu.exercises.base import SHELF, check
from mrcnn_edu.exercises.lesson_04.count_anchors import count_anchors
from mrcnn_edu.model import MaskRCNN, preset

LESSON_STRIDES = (4, 8, 16, 32)


@pytest.mark.parametrize("size", [(128, 128), (100, 200), (128, 500), (303, 384)])
def test_the_count_is_that_of_the_lessons_model(size):
    model = MaskRCNN(preset("lesson"))
    run = model.stages([torch.rand(3, *size)])
    height, width = run.images.shape[-2:]
    assert run.strides == [(stride, stride) for stride in LESSON_STRIDES]
    assert count_anchors(height, width, LESSON_STRIDES, 3) == len(run.anchors)
    per_level = [count_anchors(height, width, (stride,), 3) for stride in LESSON_STRIDES]
    assert per_level == run.anchors_per_level


@pytest.mark.parametrize("answer", [lambda h, w, strides, a: sum(a * (h / s) * (w / s) for s in strides)])
def test_other_ways_to_write_it_are_right_too(answer):
    assert str(check(SHELF.find("count_anchors"), answer)).startswith("✔")
