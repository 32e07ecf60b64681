"""The centres of the anchors are those of the package and of torchvision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from mrcnn_edu.exercises.base import SHELF, check
from mrcnn_edu.exercises.lesson_04.anchor_shape import anchor_shape
from mrcnn_edu.exercises.lesson_04.grid_centres import grid_centres
from mrcnn_edu.model.anchors import cell_anchors, grid_anchors


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


@pytest.mark.parametrize(
    "answer",
    [
        lambda h, w, s: torch.tensor([[j * s, i * s] for i in range(h) for j in range(w)]),
        lambda h, w, s: [(j * s, i * s) for i in range(h) for j in range(w)],
    ],
)
def test_other_ways_to_write_it_are_right_too(answer):
    assert str(check(SHELF.find("grid_centres"), answer)).startswith("✔")
