"""The mistake in the losses, by hand."""

import torch

from mrcnn_edu.mistakes import MISTAKES
from mrcnn_edu.model import losses, matching


def test_ignored_anchors_become_negative():
    matched_idxs = torch.tensor([2, matching.BELOW_LOW, matching.BETWEEN, 0])
    assert losses.anchor_labels(matched_idxs).tolist() == [1, 0, -1, 1]
    assert MISTAKES["ignored_are_negative"].function(matched_idxs).tolist() == [1, 0, 0, 1]
