"""The mistake in the anchors, by hand."""

import torch

from mrcnn_edu.mistakes import MISTAKES
from mrcnn_edu.model import anchors


def test_a_ratio_on_one_side_makes_squares():
    base = MISTAKES["ratio_on_one_side"].function((32,), (0.5, 1.0, 2.0))
    assert base.tolist() == [[-11, -11, 11, 11], [-16, -16, 16, 16], [-23, -23, 23, 23]]
    assert torch.equal(base[1], anchors.cell_anchors((32,), (1.0,))[0])
