"""Boxes against torchvision's operators, and the properties that hold for all of them."""

from __future__ import annotations

import math

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import BoxCoder

from mrcnn_edu.model.boxes import (
    box_area,
    box_iou,
    clip_boxes,
    decode,
    encode,
    grouped_nms,
    large_enough,
    nms,
    resize_boxes,
)
from tests.model.strategies import boxes, random_boxes

WEIGHTS = [(1.0, 1.0, 1.0, 1.0), (10.0, 10.0, 5.0, 5.0)]


@given(boxes(), boxes())
def test_iou_is_torchvisions(a, b):
    assert torch.allclose(box_iou(a, b), torchvision.ops.box_iou(a, b), rtol=1e-6, atol=1e-7)
    assert torch.allclose(box_area(a), torchvision.ops.box_area(a))


@given(boxes(), boxes())
def test_iou_is_symmetric_and_a_share(a, b):
    iou = box_iou(a, b)
    assert torch.equal(iou, box_iou(b, a).T)
    assert bool(((iou >= 0) & (iou <= 1)).all())


@given(boxes())
def test_iou_with_itself_is_one(a):
    assert torch.equal(box_iou(a, a).diagonal(), torch.ones(len(a)))


def test_iou_by_hand():
    a, b = torch.tensor([[0.0, 0, 4, 2]]), torch.tensor([[2.0, 0, 6, 2], [10, 10, 12, 12], [4, 0, 8, 2]])
    assert box_iou(a, b)[0].tolist() == pytest.approx([1 / 3, 0, 0])


@pytest.mark.parametrize(("g", "n"), [(0, 0), (0, 5), (5, 0)])
def test_iou_of_nothing(g, n):
    assert box_iou(random_boxes(g), random_boxes(n)).shape == (g, n)


@given(boxes(), st.integers(1, 300), st.integers(1, 300))
def test_clip_is_torchvisions(a, height, width):
    clipped = clip_boxes(a, (height, width))
    assert torch.equal(clipped, torchvision.ops.clip_boxes_to_image(a, (height, width)))
    assert torch.equal(clipped, clip_boxes(clipped, (height, width)))


def test_clip_keeps_leading_dimensions():
    a = random_boxes(12).view(3, 4, 4)
    assert torch.equal(clip_boxes(a, (50, 60)).view(-1, 4), clip_boxes(a.view(-1, 4), (50, 60)))


@given(boxes(), st.tuples(*[st.integers(1, 900)] * 4))
def test_resize_is_torchvisions(a, sizes):
    from torchvision.models.detection.transform import resize_boxes as reference

    assert torch.equal(resize_boxes(a, sizes[:2], sizes[2:]), reference(a, sizes[:2], sizes[2:]))


@pytest.mark.parametrize("weights", WEIGHTS)
def test_encode_and_decode_are_torchvisions(weights):
    coder = BoxCoder(weights)
    a, b = random_boxes(500, seed=1), random_boxes(500, seed=2)
    deltas = coder.encode_single(b, a)
    assert torch.allclose(encode(b, a, weights), deltas, rtol=1e-6, atol=1e-6)
    shaken = deltas + torch.randn(500, 4) * 3
    assert torch.allclose(decode(shaken, a, weights), coder.decode_single(shaken, a), rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("weights", WEIGHTS)
@given(boxes(min_size=3, max_size=3), boxes(min_size=3, max_size=3))
def test_decode_undoes_encode(weights, a, b):
    a, b = a.double(), b.double()
    grows = ((b[:, 2:] - b[:, :2]) / (a[:, 2:] - a[:, :2])).amax(dim=1)
    back = decode(encode(b, a, weights), a, weights)
    possible = grows <= 1000 / 16
    assert torch.allclose(back[possible], b[possible], rtol=1e-9, atol=1e-6)


def test_sizes_are_clamped_from_above_only():
    anchor = torch.tensor([[0.0, 0, 16, 16]])
    huge, tiny = torch.tensor([[0.0, 0, 50, 50]]), torch.tensor([[0.0, 0, -50, -50]])
    assert decode(huge, anchor)[0].tolist() == pytest.approx([8 - 500, 8 - 500, 8 + 500, 8 + 500])
    sides = decode(tiny, anchor)[0, 2:] - decode(tiny, anchor)[0, :2]
    assert sides.tolist() == pytest.approx([0, 0], abs=1e-6)
    assert math.isclose(float(decode(huge.double(), anchor.double())[0, 2]), 508.0, rel_tol=1e-12)


def test_codec_gradients():
    a, b = random_boxes(4, seed=1, dtype=torch.float64), random_boxes(4, seed=2, dtype=torch.float64)
    a.requires_grad_(), b.requires_grad_()
    assert torch.autograd.gradcheck(lambda b, a: encode(b, a, WEIGHTS[1]), (b, a))
    deltas = torch.randn(4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d, a: decode(d, a, WEIGHTS[1]), (deltas, a))


@given(boxes(side=0.0009765625, limit=10))
def test_large_enough_is_torchvisions(a):
    kept = torch.where(large_enough(a, 1.0))[0]
    assert torch.equal(kept, torchvision.ops.remove_small_boxes(a, 1.0))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.7, 1.0])
def test_readable_nms_is_the_operator(threshold):
    a = random_boxes(200, seed=3)
    scores = torch.rand(200)
    assert torch.equal(nms(a, scores, threshold), torchvision.ops.nms(a, scores, threshold))


@given(boxes(max_size=10, limit=20), st.floats(0, 1), st.integers(0, 99))
def test_nms_keeps_a_set_without_overlap_that_covers_the_rest(a, threshold, seed):
    scores = torch.rand(len(a), generator=torch.Generator().manual_seed(seed))
    kept = nms(a, scores, threshold)
    iou = box_iou(a, a)
    among = iou[kept][:, kept] - torch.eye(len(kept))
    assert bool((among <= threshold + 1e-6).all())
    for lost in set(range(len(a))) - set(kept.tolist()):
        better = [k for k in kept.tolist() if scores[k] >= scores[lost]]
        assert float(iou[lost, better].max()) > threshold


@pytest.mark.parametrize("count", [0, 1, 60, 1500])
def test_grouped_nms_is_nms_within_each_group(count):
    a, scores = random_boxes(count, seed=4), torch.rand(count)
    groups = torch.randint(0, 3, (count,))
    kept = grouped_nms(a, scores, groups, 0.4)
    expected = [torch.where(groups == g)[0][nms(a[groups == g], scores[groups == g], 0.4)] for g in range(3)]
    assert sorted(kept.tolist()) == sorted(torch.cat(expected).tolist())
    assert bool((scores[kept].diff() <= 0).all())
    assert torch.equal(kept, torchvision.ops.batched_nms(a, scores, groups, 0.4))


def test_nms_of_nothing():
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).shape == (0,)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [150, 201, 600, 1000, 1001])
def test_grouped_nms_keeps_what_torchvision_keeps_in_its_order(count, ties):
    generator = torch.Generator().manual_seed(count)
    corner = torch.rand(count, 2, generator=generator) * 100
    a = torch.cat([corner, corner + torch.rand(count, 2, generator=generator) * 40], dim=1)
    scores = torch.rand(count, generator=generator)
    if ties:
        scores = (scores * 20).round() / 20
    groups = torch.randint(0, 5, (count,), generator=generator)
    assert torch.equal(grouped_nms(a, scores, groups, 0.5), torchvision.ops.batched_nms(a, scores, groups, 0.5))
