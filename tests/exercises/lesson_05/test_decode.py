"""The boxes of the check go beyond the limit, and another form of the formula is right."""

from __future__ import annotations

import math

import pytest
import torch

from mrcnn_edu.exercises.base import SHELF, all_inputs, check


def test_some_deltas_of_the_check_go_beyond_the_limit_for_width_and_for_height():
    moves = torch.cat([deltas for deltas, _ in all_inputs(SHELF.find("decode"))])
    assert ((moves[:, 2:] > math.log(1000 / 16)).sum(dim=0) > 0).all()


def columns_decode(deltas, anchors):
    (dx, dy, dw, dh), (x1, y1, x2, y2) = deltas.unbind(1), anchors.unbind(1)
    w, h = x2 - x1, y2 - y1
    x, y = x1 + w / 2 + dx * w, y1 + h / 2 + dy * h
    w, h = w * dw.exp().clamp(max=62.5), h * dh.exp().clamp(max=62.5)
    return torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], dim=1)


@pytest.mark.parametrize("answer", [columns_decode])
def test_other_ways_to_write_it_are_right_too(answer):
    assert str(check(SHELF.find("decode"), answer)).startswith("✔")
