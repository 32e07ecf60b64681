"""A picture's ground truths and anchors, for the tests of lesson 05."""

from __future__ import annotations

import numpy as np
import torch

from mrcnn_edu.exercises.lesson_05.pairs import random_boxes
from mrcnn_edu.model import preset
from mrcnn_edu.model.anchors import Anchors

SEEDS = range(20)


def a_picture(seed):
    """Ground truths, and the anchors of the lesson's model."""
    generator = np.random.default_rng(seed)
    config = preset("lesson")
    grids = [(32, 32), (16, 16), (8, 8), (4, 4)]
    anchors = torch.cat(Anchors(config.anchor_sizes, config.anchor_ratios)((128, 128), grids, "cpu"))
    return random_boxes(generator, int(generator.integers(1, 6))), anchors
