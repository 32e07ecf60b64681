"""Images to a batch, as torchvision's transform makes it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from mrcnn_edu.model import Config
from mrcnn_edu.model.images import (
    draw_min_sizes,
    make_batch,
    nearest_index,
    resize_masks,
    resize_targets,
    resized_size,
)
from tests.model.scenes import scenes

side = st.integers(1, 2000)


@given(side, side, st.integers(16, 900), st.integers(0, 600))
def test_resized_size_is_what_interpolate_makes(height, width, min_size, more):
    max_size = min_size + more
    scale = min(min_size / min(height, width), max_size / max(height, width))
    ours = resized_size((height, width), min_size, max_size)
    if min(int(height * scale), int(width * scale)) < 1:
        assert min(ours) == 1
        return
    # An image without channels costs no memory, and its size is computed all the same.
    empty = torch.empty(1, 0, height, width)
    theirs = F.interpolate(empty.new_zeros(1, 1, height, 1), scale_factor=(scale, 1.0), recompute_scale_factor=True)
    across = F.interpolate(empty.new_zeros(1, 1, 1, width), scale_factor=(1.0, scale), recompute_scale_factor=True)
    assert ours == (theirs.shape[2], across.shape[3])


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_nearest_index_is_what_interpolate_reads(old, new):
    read = F.interpolate(torch.arange(old, dtype=torch.float32)[None, None], size=new, mode="nearest")[0, 0]
    assert torch.equal(nearest_index(old, new), read.long())


@given(*[st.integers(1, 90)] * 4)
def test_masks_are_resized_as_interpolate_does(h, w, height, width):
    masks = torch.rand(2, h, w).gt(0.5).to(torch.uint8)
    theirs = F.interpolate(masks[:, None].float(), size=(height, width), mode="nearest")[:, 0].to(torch.uint8)
    assert torch.equal(resize_masks(masks, (height, width)), theirs)


def test_no_masks_stay_none():
    assert resize_masks(torch.zeros(0, 30, 40, dtype=torch.uint8), (60, 80)).shape == (0, 60, 80)


@pytest.mark.parametrize("seed", range(4))
def test_the_batch_is_torchvisions(seed):
    config = Config(min_size=96, max_size=160)
    images, targets = scenes(seed, [(50 + 20 * seed, 133), (200, 71), (96, 96)], [2, 0, 3], 4)
    batch = make_batch(images, config, [96] * 3)
    transform = GeneralizedRCNNTransform(96, 160, list(config.image_mean), list(config.image_std)).eval()
    theirs, their_targets = transform(images, [dict(t) for t in targets])
    assert torch.equal(batch.tensors, theirs.tensors)
    assert batch.image_sizes == theirs.image_sizes
    assert batch.original_sizes == [tuple(i.shape[1:]) for i in images]
    for ours, size, wanted in zip(resize_targets(targets, batch), batch.image_sizes, their_targets, strict=True):
        assert torch.allclose(ours["boxes"], wanted["boxes"], rtol=1e-6)
        assert torch.equal(resize_masks(ours["masks"], size), wanted["masks"])


def test_the_padding_is_zero_and_at_the_end():
    batch = make_batch([torch.ones(3, 40, 50)], Config(min_size=40, max_size=60), [40])
    assert batch.tensors.shape == (1, 3, 64, 64) and batch.image_sizes == [(40, 50)]
    assert not batch.tensors[..., 40:, :].any() and not batch.tensors[..., 50:].any()
    assert batch.tensors[..., :40, :50].all()


def test_the_images_themselves_stay_untouched():
    image = torch.rand(3, 40, 50)
    before = image.clone()
    make_batch([image], Config(min_size=40, max_size=60), [40])
    assert torch.equal(image, before)


def test_sizes_are_drawn_as_torchvision_draws_them():
    config = Config(min_size=(64, 80, 96, 112), max_size=200)
    transform = GeneralizedRCNNTransform(config.min_size, 200, [0.0] * 3, [1.0] * 3)
    torch.manual_seed(3)
    theirs = [transform.torch_choice(list(config.min_size)) for _ in range(20)]
    torch.manual_seed(3)
    assert draw_min_sizes(config, 20, training=True) == theirs
    assert len(set(theirs)) == 4
    assert draw_min_sizes(config, 2, training=False) == [112, 112]
