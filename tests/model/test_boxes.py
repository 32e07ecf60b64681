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


# Equal boxes without area, lines, inverted ones, an endless one: what a detector gives when its training went wrong.
DEGENERATE = {
    "points": [[1, 1, 1, 1], [1, 1, 1, 1]],
    "lines": [[0, 0, 0, 5], [0, 0, 0, 5], [0, 0, 5, 5], [0, 2, 5, 2]],
    "inverted": [[5, 5, 0, 0], [5, 5, 0, 0], [0, 0, 5, 5], [5, 0, 0, 5]],
    "endless": [[0, 0, math.inf, 5], [0, 0, math.inf, 5], [0, 0, 5, 5]],
}


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", DEGENERATE)
def test_nms_of_degenerate_boxes_is_torchvisions(name, threshold):
    boxes = torch.tensor(DEGENERATE[name], dtype=torch.float32)
    scores, one_group = torch.linspace(1, 0.5, len(boxes)), torch.zeros(len(boxes), dtype=torch.int64)
    theirs = torchvision.ops.nms(boxes, scores, threshold)
    assert torch.equal(nms(boxes, scores, threshold), theirs)
    assert torch.equal(grouped_nms(boxes, scores, one_group, threshold), theirs)
    assert torch.equal(box_iou(boxes, boxes).nan_to_num(-1), torchvision.ops.box_iou(boxes, boxes).nan_to_num(-1))


@given(boxes(max_size=8, side=0.0), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_nms_with_sides_of_zero_is_torchvisions(a, threshold):
    a = a.round()
    scores = torch.linspace(1, 0.1, len(a))
    assert torch.equal(nms(a, scores, threshold), torchvision.ops.nms(a, scores, threshold))


def test_boxes_below_zero_go_through_nms_as_torchvisions():
    boxes = torch.cat([random_boxes(300, 60, 1), random_boxes(300, 60, 2) - 150])
    scores, groups = torch.rand(600, generator=torch.Generator().manual_seed(3)), torch.arange(600) % 3
    assert torch.equal(grouped_nms(boxes, scores, groups, 0.5), torchvision.ops.batched_nms(boxes, scores, groups, 0.5))


TYPES = [torch.int8, torch.uint8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16, torch.float64]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_areas_and_overlaps_of_every_type_are_those_of_float32(dtype):
    a = torch.tensor([[0, 0, 100, 100], [5, 8, 120, 96], [1, 1, 2, 2], [100, 100, 110, 120]])
    assert box_area(a.to(dtype)).tolist() == torchvision.ops.box_area(a.float()).tolist()
    overlaps = box_iou(a.to(dtype), a.to(dtype))
    assert torch.allclose(overlaps.float(), torchvision.ops.box_iou(a.float(), a.float()), rtol=1e-6)


def test_areas_that_overflow_half_precision_have_an_overlap():
    large = torch.tensor([[0.0, 0, 300, 300]]).half()
    assert box_iou(large, large).item() == 1.0 and box_area(large).item() == 90000.0


@pytest.mark.parametrize("dtype", [torch.int16, torch.int64, torch.float16], ids=str)
def test_what_scales_or_divides_takes_every_type(dtype):
    a, b = torch.tensor([[2, 4, 10, 12]]), torch.tensor([[4, 4, 8, 20]])
    assert resize_boxes(a.to(dtype), (4, 4), (2, 6)).tolist() == [[3.0, 2.0, 15.0, 6.0]]
    weights = (0.5, 1.5, 2.5, 3.5)
    expected = encode(a.float(), b.float(), weights)
    assert torch.allclose(encode(a.to(dtype), b.to(dtype), weights), expected)
    assert torch.allclose(decode(expected.half(), b.to(dtype), weights), a.float(), atol=0.01)
    assert clip_boxes(a.to(dtype), (1000, 9)).tolist() == [[2, 4, 9, 12]]


def test_small_integers_are_clipped_to_images_larger_than_they_count():
    assert clip_boxes(torch.tensor([[-3, 1, 100, 120]], dtype=torch.int8), (900, 50)).tolist() == [[0, 1, 50, 120]]


@pytest.mark.parametrize("shape", [(3, 5), (0, 5), (3,), (3, 2, 4), (4, 3)], ids=str)
def test_other_shapes_are_refused_by_name(shape):
    wrong, right, scores = torch.rand(shape), random_boxes(3), torch.rand(shape[0])
    for name, call in {
        "boxes1": lambda: box_iou(wrong, right),
        "boxes2": lambda: box_iou(right, wrong),
        "boxes": lambda: nms(wrong, scores, 0.5),
        "deltas": lambda: decode(wrong, right),
    }.items():
        with pytest.raises(ValueError, match=rf"{name} has shape \({shape[0]},.*give \(N, 4\)"):
            call()
    for call in (
        lambda: box_area(wrong),
        lambda: grouped_nms(wrong, scores, scores.long(), 0.5),
        lambda: resize_boxes(wrong, (5, 5), (6, 6)),
        lambda: large_enough(wrong, 1.0),
        lambda: encode(wrong, right),
    ):
        with pytest.raises(ValueError, match=r"boxes has shape .*give \(N, 4\)"):
            call()


@pytest.mark.parametrize("count", [2, 4, 0])
def test_one_score_and_one_group_a_box(count):
    with pytest.raises(ValueError, match=r"scores has shape .*one for each box"):
        nms(random_boxes(3), torch.rand(count), 0.5)
    with pytest.raises(ValueError, match=r"groups has shape .*one for each box"):
        grouped_nms(random_boxes(3), torch.rand(3), torch.zeros(count, dtype=torch.int64), 0.5)
