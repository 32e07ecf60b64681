"""Deltas to and from boxes are those of the package and of torchvision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models.detection._utils import BoxCoder

from mrcnn_edu.exercises.base import SHELF, check
from mrcnn_edu.exercises.lesson_05.decode import decode, random_moves
from mrcnn_edu.exercises.lesson_05.encode import encode, random_pairs
from mrcnn_edu.model import boxes as package
from tests.exercises.lesson_05.pictures import SEEDS


@pytest.mark.parametrize("seed", SEEDS)
def test_the_codec_is_that_of_the_package_and_of_torchvision(seed):
    generator = np.random.default_rng(seed)
    coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
    boxes, anchors = random_pairs(generator)
    for theirs in (package.encode(boxes, anchors), coder.encode([boxes], [anchors])[0]):
        torch.testing.assert_close(encode(boxes, anchors), theirs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(decode(encode(boxes, anchors), anchors), boxes, atol=1e-4, rtol=1e-5)
    deltas, anchors = random_moves(generator)
    deltas = deltas * 3  # some beyond the limit
    for theirs in (package.decode(deltas, anchors), coder.decode_single(deltas, anchors)):
        torch.testing.assert_close(decode(deltas, anchors), theirs, atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("name", ["encode", "decode"])
def test_the_codec_goes_into_the_model_with_the_models_weights(name):
    weights = (10.0, 10.0, 5.0, 5.0)
    task = SHELF.find(name)
    first, anchors = random_pairs(np.random.default_rng(0))
    first = first if name == "encode" else first / 50
    torch.testing.assert_close(
        task.fit(task.reference)(first, anchors, weights), getattr(package, name)(first, anchors, weights)
    )


def columns_encode(boxes, anchors):
    bx1, by1, bx2, by2 = boxes.unbind(1)
    ax1, ay1, ax2, ay2 = anchors.unbind(1)
    bw, bh, aw, ah = bx2 - bx1, by2 - by1, ax2 - ax1, ay2 - ay1
    dx, dy = (bx1 + bw / 2 - ax1 - aw / 2) / aw, (by1 + bh / 2 - ay1 - ah / 2) / ah
    return torch.stack([dx, dy, bw.log() - aw.log(), (bh / ah).log()], dim=1)


@pytest.mark.parametrize("answer", [columns_encode])
def test_other_ways_to_write_it_are_right_too(answer):
    assert str(check(SHELF.find("encode"), answer)).startswith("✔")
