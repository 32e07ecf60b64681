"""From logits to detections, and from small masks to the image's pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as mask_codec
from torchvision.models.detection.roi_heads import paste_masks_in_image

from mrcnn_edu.model import Config
from mrcnn_edu.model.boxes import box_iou, clip_boxes, decode
from mrcnn_edu.model.detect import (
    MIN_SIDE,
    compress_counts,
    paste_masks,
    paste_windows,
    select_detections,
    window_rle,
)
from tests.model.strategies import bool_masks, random_boxes

SIZE = (40, 56)
# Inside, across each edge, wholly outside on each side, as large as the image, thin, and far larger than it.
WINDOWS = torch.tensor([
    [5.3, 6.7, 30.2, 25.9], [-10.5, 3, 12.2, 20], [40, -12, 70, 9], [3, 30, 20, 60], [-30, -30, -12, -9],
    [70, 45, 80, 70], [0, 0, 56, 40], [20, 20, 20.02, 33], [-100, -80, 150, 130], [-40, 10, -5.5, 20], [10, 45, 20, 60],
])  # fmt: skip


def agree(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    assert ours.shape == theirs.shape and torch.allclose(ours, theirs, atol=1e-5)


def outside(boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Which windows do not touch the image. torchvision crashes on these; a mask there is empty."""
    x, y, width, height = paste_windows(boxes, 28).unbind(1)
    return (x + width <= 0) | (y + height <= 0) | (x >= size[1]) | (y >= size[0])


@pytest.mark.parametrize("window", WINDOWS.tolist(), ids=str)
def test_soft_paste_is_torchvisions(window):
    masks, boxes = torch.rand(1, 28, 28), torch.tensor([window])
    if outside(boxes, SIZE).any():
        assert not paste_masks(masks, boxes, SIZE).any()
        return
    agree(paste_masks(masks, boxes, SIZE), paste_masks_in_image(masks[:, None], boxes, SIZE, padding=1))


@given(st.integers(0, 10_000), st.integers(1, 70), st.integers(1, 70))
def test_soft_paste_is_torchvisions_at_random(seed, height, width):
    masks = torch.rand(3, 28, 28, generator=torch.Generator().manual_seed(seed))
    boxes = random_boxes(3, 60, seed) - 20
    lost = outside(boxes, (height, width))
    assert not paste_masks(masks[lost], boxes[lost], (height, width)).any()
    masks, boxes = masks[~lost], boxes[~lost]
    theirs = paste_masks_in_image(masks[:, None], boxes, (height, width), padding=1)
    agree(paste_masks(masks, boxes, (height, width)), theirs)


@pytest.mark.parametrize("box", [[30, 20, 10, 5], [30, 5, 10, 20], [10, 20, 30, 5], [12, 8, 11, 20]])
def test_an_inverted_box_is_pasted_as_torchvision_does(box):
    masks, boxes = torch.rand(1, 28, 28), torch.tensor([box], dtype=torch.float32)
    pasted = paste_masks(masks, boxes, SIZE)
    agree(pasted, paste_masks_in_image(masks[:, None], boxes, SIZE, padding=1))
    assert not pasted.any() and not paste_masks(masks, boxes, SIZE, "bool").any()
    assert mask_codec.area(paste_masks(masks, boxes, SIZE, "rle"))[0] == 0


def test_paste_of_nothing():
    none = torch.zeros(0, 4)
    for form, dtype in (("soft", torch.float32), ("bool", torch.bool)):
        pasted = paste_masks(torch.zeros(0, 28, 28), none, SIZE, form)
        assert pasted.shape == (0, 1, *SIZE) and pasted.dtype == dtype
    assert paste_masks(torch.zeros(0, 28, 28), none, SIZE, "rle") == []


def test_the_gradient_goes_through_the_paste():
    """Detections in evaluation mode carry a gradient where it is not switched off, as torchvision's do."""
    masks = torch.rand(len(WINDOWS), 28, 28, requires_grad=True)
    paste_masks(masks, WINDOWS, SIZE).sum().backward()
    touched = ~outside(WINDOWS, SIZE)
    assert torch.equal(masks.grad.flatten(1).any(dim=1), touched)
    assert paste_masks(masks, WINDOWS, SIZE, "bool").any() and len(paste_masks(masks, WINDOWS, SIZE, "rle")) == 11


def test_bool_and_rle_are_the_soft_form_above_a_half():
    masks = torch.rand(len(WINDOWS), 28, 28)
    soft = paste_masks(masks, WINDOWS, SIZE)
    as_bool = paste_masks(masks, WINDOWS, SIZE, "bool")
    assert as_bool.dtype == torch.bool and torch.equal(as_bool, soft > 0.5)
    assert as_bool.flatten(1).any(dim=1).sum() >= 5
    codes = paste_masks(masks, WINDOWS, SIZE, "rle")
    for code, mask in zip(codes, as_bool[:, 0].numpy(), strict=True):
        assert code == mask_codec.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert np.array_equal(mask_codec.decode(code).astype(bool), mask)


def test_another_form_is_refused():
    with pytest.raises(ValueError, match="'polygon'.*'soft', 'bool' or 'rle'"):
        paste_masks(torch.rand(1, 28, 28), WINDOWS[:1], SIZE, "polygon")


@given(bool_masks(), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), st.integers(0, 5))
def test_run_lengths_are_pycocotools(mask, left, top, right, bottom):
    """Of a window anywhere in the image, its edges included."""
    size = (mask.shape[0] + top + bottom, mask.shape[1] + left + right)
    whole = np.zeros(size, np.uint8)
    whole[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    code = window_rle(mask.float(), left, top, size)
    assert code == mask_codec.encode(np.asfortranarray(whole))
    assert np.array_equal(mask_codec.decode(code), whole)


@given(st.lists(st.integers(0, 2**28), min_size=1, max_size=20))
def test_compressed_counts_are_pycocotools(counts):
    """Runs of any length, not only those a small mask can have."""
    total = sum(counts)
    theirs = mask_codec.frPyObjects({"size": [1, total], "counts": counts}, 1, total)["counts"]
    assert compress_counts(counts) == theirs


def test_windows_by_hand():
    # 28 cells on 28 pixels: one cell more on each side, truncated toward zero, and the last pixel counts.
    windows = paste_windows(torch.tensor([[10.6, 10.6, 38.6, 38.6], [-0.5, 0.5, 27.5, 28.5]]), 28)
    assert windows.tolist() == [[9, 9, 31, 31], [-1, 0, 30, 30]]


def selected(seed: int, **changes):
    config = Config(num_classes=4, **changes)
    generator = torch.Generator().manual_seed(seed)
    proposals = [random_boxes(40, 80, seed), torch.zeros(0, 4), random_boxes(25, 80, seed + 1)]
    sizes = [(90, 100), (64, 64), (80, 120)]
    logits = torch.randn(65, 4, generator=generator) * 2
    deltas = torch.randn(65, 16, generator=generator)
    return config, proposals, sizes, logits, deltas, select_detections(logits, deltas, proposals, sizes, config)


@pytest.mark.parametrize("seed", range(3))
def test_detections_keep_the_rules(seed):
    config, proposals, sizes, logits, deltas, found = selected(seed, box_detections_per_img=20)
    assert [len(image["boxes"]) > 0 for image in found] == [True, False, True]
    rows = torch.arange(65).split([40, 0, 25])
    for image, image_proposals, size, row in zip(found, proposals, sizes, rows, strict=True):
        boxes, labels, scores, source = (image[k] for k in ("boxes", "labels", "scores", "proposals"))
        probabilities = logits[row].softmax(dim=1)
        assert torch.allclose(scores, probabilities[source, labels])
        assert bool((scores > config.box_score_thresh).all()) and bool((scores.diff() <= 0).all())
        assert bool((labels >= 1).all()) and len(boxes) <= 20
        of_class = deltas[row].view(-1, 4, 4)[source, labels]
        decoded = clip_boxes(decode(of_class, image_proposals[source], config.bbox_reg_weights), size)
        assert torch.allclose(boxes, decoded, atol=1e-4)
        assert bool(((boxes[:, 2:] - boxes[:, :2]) >= MIN_SIDE).all())
        iou = box_iou(boxes, boxes).fill_diagonal_(0)
        assert not bool((iou[labels[:, None] == labels] > config.box_nms_thresh).any())


def test_one_proposal_may_yield_several_classes():
    *_, found = selected(0, box_score_thresh=0.01)
    assert len(found[0]["proposals"].unique()) < len(found[0]["proposals"])


def test_a_score_at_the_threshold_is_dropped():
    logits = torch.zeros(1, 2)  # ½ each
    boxes = [torch.tensor([[0.0, 0, 10, 10]])]
    kept = {
        threshold: len(
            select_detections(logits, torch.zeros(1, 8), boxes, [(20, 20)], Config(2, box_score_thresh=threshold))[0][
                "boxes"
            ]
        )
        for threshold in (0.5, 0.49)
    }
    assert kept == {0.5: 0, 0.49: 1}
