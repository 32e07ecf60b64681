"""The shape of an anchor is the one that the package and torchvision round."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection.anchor_utils import AnchorGenerator

from mrcnn_edu.exercises.base import SHELF, check
from mrcnn_edu.exercises.lesson_04.anchor_shape import anchor_shape
from mrcnn_edu.model.anchors import cell_anchors


@given(st.integers(8, 600), st.floats(0.2, 5))
def test_the_shape_is_the_one_the_package_and_torchvision_round(scale, ratio):
    width, height = anchor_shape(scale, ratio)
    corners = np.array([-width, -height, width, height]) / 2
    for theirs in (cell_anchors((scale,), (ratio,)), AnchorGenerator().generate_anchors((scale,), (ratio,))):
        # Rounding moves a corner by at most half a pixel; in float32 the half itself may fall on either side.
        assert np.abs(theirs[0].numpy() - corners).max() <= 0.5 + 1e-3
    assert width * height == pytest.approx(scale**2) and height / width == pytest.approx(ratio)


@pytest.mark.parametrize(
    "answer",
    [
        lambda scale, ratio: [scale / ratio**0.5, scale * ratio**0.5],
        lambda scale, ratio: (torch.tensor(scale / ratio**0.5), np.float64(scale * ratio**0.5)),
    ],
)
def test_other_ways_to_write_it_are_right_too(answer):
    assert str(check(SHELF.find("anchor_shape"), answer)).startswith("✔")
