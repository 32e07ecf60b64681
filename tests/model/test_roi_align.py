"""RoIAlign: the readable form, the whole pyramid at once, and torchvision's kernel agree."""

from __future__ import annotations

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import MultiScaleRoIAlign
from torchvision.ops.poolers import LevelMapper

from mrcnn_edu.model import preset
from mrcnn_edu.model.roi_align import (
    PyramidRoIAlign,
    WeightedBags,
    axis_matrix,
    pyramid_roi_align,
    roi_align,
    roi_levels,
    to_rois,
)
from tests.model.strategies import boxes, random_boxes

# On the edges, across them, wholly outside, thinner than a cell, and larger than the image of 64 × 48 pixels.
EDGES = torch.tensor([
    [0.0, 0, 48, 64], [-10, -10, 20, 20], [40, 60, 80, 90], [100, 100, 140, 150], [-90, -90, -50, -60],
    [47.9, 63.9, 48, 64], [12, 12, 12.01, 12.01], [-100, -100, 200, 200], [44, 0, 52, 64], [3.5, 8, 19.5, 8],
])  # fmt: skip


def rois_of(corners: torch.Tensor, images: int = 2) -> torch.Tensor:
    index = torch.arange(len(corners)).remainder(images).to(corners)[:, None]
    return torch.cat([index, corners], dim=1)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling_ratio", [-1, 0, 1, 2, 3])
@pytest.mark.parametrize("side", [1, 7])
def test_the_readable_form_is_the_kernel(aligned, sampling_ratio, side):
    features = torch.randn(2, 5, 16, 12)
    rois = rois_of(torch.cat([EDGES, random_boxes(30, 40)]))
    theirs = torchvision.ops.roi_align(features, rois, side, 0.25, sampling_ratio, aligned)
    ours = roi_align(features, rois, side, 0.25, sampling_ratio, aligned)
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling_ratio", [1, 2, 3])
def test_the_pyramid_form_is_the_readable_form_on_each_level(aligned, sampling_ratio):
    features = [torch.randn(2, 6, 16, 12), torch.randn(2, 6, 8, 6), torch.randn(2, 6, 4, 3)]
    scales = [1 / 4, 1 / 8, 1 / 16]
    rois = rois_of(torch.cat([EDGES, random_boxes(30, 40)]))
    levels = torch.arange(len(rois)).remainder(3)
    whole = pyramid_roi_align(features, rois, levels, 7, scales, sampling_ratio, aligned)
    for level, (level_map, scale) in enumerate(zip(features, scales, strict=True)):
        here = levels == level
        readable = roi_align(level_map, rois[here], 7, scale, sampling_ratio, aligned)
        assert torch.allclose(whole[here], readable, rtol=1e-4, atol=1e-5)


def test_no_rois_give_no_maps():
    features = torch.randn(2, 5, 8, 8)
    none = torch.zeros(0, 5)
    assert roi_align(features, none, 7, 0.25).shape == (0, 5, 7, 7)
    assert roi_align(features, none, 7, 0.25, sampling_ratio=0).shape == (0, 5, 7, 7)
    assert pyramid_roi_align([features], none, torch.zeros(0, dtype=torch.int64), 7, [0.25]).shape == (0, 5, 7, 7)


@given(boxes(min_size=1, max_size=4, limit=40), st.integers(1, 3))
def test_a_constant_map_stays_constant_inside(corners, sampling_ratio):
    corners = corners.clamp(0, 60)
    rois = rois_of(corners, images=1)
    pooled = roi_align(torch.full((1, 1, 20, 20), 3.0), rois, 2, 0.25, sampling_ratio)
    assert torch.allclose(pooled, torch.full_like(pooled, 3.0), rtol=1e-5)


def test_a_sample_beyond_the_edge_counts_as_zero():
    row = axis_matrix(torch.tensor([8.0]), torch.tensor([12.0]), 4, 1, 10)[0]
    # Bins read at 8.5, 9.5, 10.5 and 11.5: beyond the last cell the value holds for one cell, then it is nothing.
    assert row.sum(dim=1).tolist() == [1, 1, 0, 0]
    assert row[0, 8:].tolist() == [0.5, 0.5] and row[1, 9] == 1


def gradcheck_inputs():
    corners = torch.tensor([[1.3, 2.1, 20.7, 17.9], [-4.2, 3.3, 9.1, 31.6]], dtype=torch.float64)
    features = [torch.randn(1, 3, 8, 6, dtype=torch.float64, requires_grad=True)]
    features.append(torch.randn(1, 3, 4, 3, dtype=torch.float64, requires_grad=True))
    return features, rois_of(corners, images=1)


@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_gradient_of_the_readable_form(sampling_ratio):
    features, rois = gradcheck_inputs()
    assert torch.autograd.gradcheck(
        lambda f: roi_align(f, rois, 3, 0.25, sampling_ratio), (features[0],), fast_mode=True
    )


def test_gradient_of_the_pyramid_form():
    features, rois = gradcheck_inputs()
    levels = torch.tensor([0, 1])
    assert torch.autograd.gradcheck(lambda *f: pyramid_roi_align(list(f), rois, levels, 3, [0.25, 0.125]), features)


def test_gradient_of_weighted_bags_with_rows_that_nothing_reads():
    table = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([[0, 5], [5, 5], [2, 0]])
    weights = torch.rand(3, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda t: WeightedBags.apply(t, index, weights), (table,))
    WeightedBags.apply(table, index, weights).sum().backward()
    assert not table.grad[[1, 3, 4, 6]].any() and table.grad[[0, 2, 5]].all()


def test_gradients_of_both_forms_agree():
    features = torch.randn(2, 5, 16, 12)
    rois = rois_of(torch.cat([EDGES, random_boxes(20, 40)]))
    wanted = torch.randn(len(rois), 5, 7, 7)
    gradients = []
    for form in (
        lambda f: torchvision.ops.roi_align(f, rois, 7, 0.25, 2),
        lambda f: roi_align(f, rois, 7, 0.25),
        lambda f: pyramid_roi_align([f], rois, torch.zeros(len(rois), dtype=torch.int64), 7, [0.25]),
    ):
        leaf = features.clone().requires_grad_()
        (form(leaf) * wanted).sum().backward()
        gradients.append(leaf.grad)
    assert torch.allclose(gradients[1], gradients[0], rtol=1e-4, atol=1e-4)
    assert torch.allclose(gradients[2], gradients[0], rtol=1e-4, atol=1e-4)


@given(boxes(limit=2000))
def test_levels_are_torchvisions(corners):
    assert torch.equal(roi_levels(corners, 4, 224, 4), LevelMapper(2, 5)([corners]))
    assert torch.equal(roi_levels(corners, 3, 112, 4), LevelMapper(2, 4, 112, 4)([corners]))


def test_levels_by_hand():
    sides = torch.tensor([1.0, 56, 111.9, 112, 223.9, 224, 448, 5000])
    square = torch.stack([0 * sides, 0 * sides, sides, sides], dim=1)
    assert roi_levels(square, 4, 224, 4).tolist() == [0, 0, 0, 1, 1, 2, 3, 3]


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("name", ["lesson", "resnet50_fpn"])
def test_the_module_is_multi_scale_roi_align(fast, name):
    config = preset(name)
    module = PyramidRoIAlign(7, config)
    module.fast = fast
    levels = config.num_levels
    features = {str(k): torch.randn(2, 4, 64 // 2**k, 96 // 2**k) for k in range(levels)}
    features["pool"] = torch.randn(2, 4, 4, 6)
    corners = [torch.cat([random_boxes(25, 200, seed=1), random_boxes(6, 900, seed=3)]), random_boxes(10, 60, seed=2)]
    reference = MultiScaleRoIAlign(
        [str(k) for k in range(levels)], 7, 2, canonical_scale=config.canonical_scale, canonical_level=4
    )
    theirs = reference(features, corners, [(256, 384), (256, 384)])
    assert torch.allclose(module(features, corners), theirs, rtol=1e-4, atol=1e-5)
    assert len(set(module.levels(torch.cat(corners)).tolist())) > 1


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("count, sampling_ratio", [(0, 2), (1, 2), (3, 1), (5, 0)])
def test_few_rois_on_large_maps_need_no_table(monkeypatch, layout, count, sampling_ratio):
    module = PyramidRoIAlign(7, preset("lesson", sampling_ratio=sampling_ratio))
    maps = {str(k): torch.randn(2, 4, 128 // 2**k, 96 // 2**k).to(memory_format=layout) for k in range(4)}
    corners = [random_boxes(count, 300, seed=1), torch.zeros(0, 4)]
    asked = []
    kernel = torchvision.ops.roi_align
    monkeypatch.setattr(torchvision.ops, "roi_align", lambda *inputs: asked.append(1) or kernel(*inputs))
    pooled = module(maps, corners)
    # A map in channels_last would be copied whole by the kernel, for however few RoIs.
    assert bool(asked) == (count > 0 and (layout != torch.channels_last or sampling_ratio < 1))
    module.fast = False
    assert torch.allclose(pooled, module(maps, corners), rtol=1e-4, atol=1e-5)


def test_rois_carry_their_image():
    rois = to_rois([random_boxes(2), torch.zeros(0, 4), random_boxes(1)])
    assert rois[:, 0].tolist() == [0, 0, 2] and rois.shape == (3, 5)


# Inverted on one or both axes, without length, far away, and larger than the map.
ODD = torch.tensor([[6.0, 6, 2, 1], [6, 1, 2, 5], [1, 6, 5, 2], [3, 3, 3, 3], [90, 90, 99, 95], [-99, -99, 99, 99]])


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling_ratio", [-1, 0, 1, 2, 3])
def test_odd_rois_are_read_as_the_kernel_reads_them(aligned, sampling_ratio):
    features, rois = torch.randn(2, 3, 9, 11), rois_of(ODD)
    theirs = torchvision.ops.roi_align(features, rois, 3, 0.5, sampling_ratio, aligned)
    levels = torch.zeros(len(rois), dtype=torch.int64)
    bags = pyramid_roi_align([features], rois, levels, 3, [0.5], sampling_ratio, aligned)
    assert torch.allclose(bags, theirs, rtol=1e-4, atol=1e-5)
    assert torch.allclose(roi_align(features, rois, 3, 0.5, sampling_ratio, aligned), theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
@pytest.mark.parametrize("corner", range(4))
def test_corners_that_are_no_numbers_read_nothing_outside_the_map(value, sampling_ratio, corner):
    """torchvision's kernel reads foreign memory here."""
    features, rois = torch.rand(1, 2, 6, 7), torch.tensor([[0.0, 1, 1, 5, 5]])
    rois[0, 1 + corner] = value
    levels = torch.zeros(1, dtype=torch.int64)
    for pooled in (
        roi_align(features, rois, 2, 1.0, sampling_ratio),
        pyramid_roi_align([features], rois, levels, 2, [1.0], sampling_ratio),
    ):
        assert torch.isfinite(pooled).all() and float(pooled.abs().max()) <= 1


@pytest.mark.parametrize("index", [-1.0, 2.0, float("nan")])
def test_an_image_that_is_not_there_is_refused(index):
    features, rois = torch.rand(2, 3, 6, 7), torch.tensor([[1.0, 1, 1, 5, 5], [index, 1, 1, 5, 5]])
    levels = torch.zeros(2, dtype=torch.int64)
    for call in (
        lambda: roi_align(features, rois, 2, 1.0),
        lambda: pyramid_roi_align([features], rois, levels, 2, [1]),
    ):
        with pytest.raises(ValueError, match="roi 1 is of image .*there are 2 images"):
            call()


@pytest.mark.parametrize("shape", [(3, 4), (5,), (0, 4)], ids=str)
def test_rois_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"rois has shape .*give \(R, 5\)"):
        roi_align(torch.rand(2, 3, 6, 7), torch.rand(shape), 2, 1.0)
