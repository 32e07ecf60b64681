"""The shapes are those of a real prediction."""

import torch

from mrcnn_edu.exercises.lesson_00.output_shapes import output_shapes
from mrcnn_edu.model import MaskRCNN, preset


def test_the_reference_shapes_are_those_of_a_real_prediction():
    model = MaskRCNN(preset("lesson", num_classes=5, box_score_thresh=0.0))
    found = model.predict([torch.rand(3, 60, 90)])[0]
    wanted = output_shapes(60, 90, len(found["labels"]), 5)
    assert {name: tuple(found[name].shape) for name in wanted} == wanted
