"""The losses against torchvision's functions, and by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection.roi_heads import fastrcnn_loss, maskrcnn_loss, project_masks_on_boxes

from mrcnn_edu.model import Config, losses
from mrcnn_edu.model.boxes import encode
from mrcnn_edu.model.images import resize_masks
from mrcnn_edu.model.losses import anchor_labels, box_losses, mask_loss, mask_targets, rpn_losses, sample_rois
from mrcnn_edu.model.matching import BELOW_LOW, BETWEEN
from mrcnn_edu.model.rpn import Proposals
from tests.model.strategies import random_boxes

WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def test_box_losses_are_torchvisions():
    counts, num_classes = [20, 12], 5
    logits, deltas = torch.randn(32, num_classes), torch.randn(32, num_classes * 4)
    rois = [random_boxes(n, seed=n) for n in counts]
    gt = [random_boxes(n, seed=n + 50) for n in counts]
    labels = [torch.randint(0, num_classes, (n,)) for n in counts]
    wanted = [encode(g, r, WEIGHTS) for g, r in zip(gt, rois, strict=True)]
    theirs = fastrcnn_loss(logits, deltas, labels, wanted)
    positives = [g[label > 0] for g, label in zip(gt, labels, strict=True)]
    ours = box_losses(logits, deltas, rois, labels, positives, WEIGHTS)
    assert torch.allclose(ours["loss_classifier"], theirs[0])
    assert torch.allclose(ours["loss_box_reg"], theirs[1])


def test_box_losses_without_objects():
    logits = torch.randn(6, 3, requires_grad=True)
    deltas = torch.randn(6, 12, requires_grad=True)
    labels = [torch.zeros(6, dtype=torch.int64)]
    ours = box_losses(logits, deltas, [random_boxes(6)], labels, [torch.zeros(0, 4)], WEIGHTS)
    assert float(ours["loss_box_reg"]) == 0 and math.isfinite(float(ours["loss_classifier"]))
    sum(ours.values()).backward()
    assert deltas.grad is not None and not deltas.grad.any()


@pytest.mark.parametrize("size", [(60, 80), (45, 97), (120, 33)])
def test_mask_targets_are_torchvisions(size):
    """Of the masks as they came, for RoIs in pixels of the resized image."""
    masks = torch.rand(4, 60, 80).gt(0.5).to(torch.uint8)
    rois = torch.cat([random_boxes(30, 50), torch.tensor([[0.0, 0, 80, 60], [-5, -5, 0.2, 0.2], [79, 59, 90, 70]])])
    matched = torch.randint(0, 4, (len(rois),))
    theirs = project_masks_on_boxes(resize_masks(masks, size), rois, matched, 28)
    assert torch.allclose(mask_targets(masks, matched, rois, 28, size), theirs, atol=1e-5)


def test_mask_targets_of_nothing():
    none = torch.zeros(0, dtype=torch.int64)
    masks = torch.zeros(0, 20, 30, dtype=torch.uint8)
    assert mask_targets(masks, none, torch.zeros(0, 4), 28, (40, 60)).shape == (0, 28, 28)


@pytest.mark.parametrize("size", [None, (80, 71), (23, 50)])
@pytest.mark.parametrize("chunk", [1, 40 * 50 * 2])
def test_matrices_read_large_masks_as_the_operator_reads_small_ones(monkeypatch, size, chunk):
    masks, rois = torch.rand(3, 40, 50).gt(0.5).to(torch.uint8), random_boxes(11, 30)
    matched = torch.arange(11) % 3
    by_operator = mask_targets(masks, matched, rois, 14, size)
    monkeypatch.setattr(losses, "MASK_CHUNK", chunk)
    assert torch.allclose(mask_targets(masks, matched, rois, 14, size), by_operator, atol=2e-6)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_mask_targets_are_shares(height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(2, height, width, generator=generator).gt(0.5).to(torch.uint8)
    targets = mask_targets(masks, torch.tensor([0, 1, 1]), random_boxes(3, 30, seed), 7)
    assert bool(((targets >= 0) & (targets <= 1 + 1e-5)).all())


def test_mask_loss_is_torchvisions():
    logits, masks = torch.randn(5, 4, 28, 28), torch.rand(3, 60, 60).gt(0.5).to(torch.uint8)
    rois, matched = random_boxes(5, 30), torch.tensor([0, 1, 2, 0, 1])
    labels = torch.tensor([1, 2, 3])
    theirs = maskrcnn_loss(logits, [rois], [masks], [labels], [matched])
    ours = mask_loss(logits[torch.arange(5), labels[matched]], mask_targets(masks, matched, rois, 28))
    assert torch.allclose(ours, theirs)


def test_mask_loss_gradcheck():
    logits = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)
    targets = torch.rand(2, 3, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: mask_loss(x, targets), (logits,))


def test_mask_loss_without_positives_is_a_zero_with_a_gradient():
    logits = torch.zeros(0, 28, 28, requires_grad=True)
    loss = mask_loss(logits, torch.zeros(0, 28, 28))
    assert float(loss) == 0 and loss.requires_grad
    loss.backward()
    assert logits.grad.shape == (0, 28, 28)


def proposals_of(anchors, objectness, deltas) -> Proposals:
    return Proposals([], [], [], anchors, [len(anchors)], objectness, deltas)


def test_rpn_losses_by_hand():
    """Two anchors on an object, two on background, all sampled."""
    anchors = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60], [80, 80, 90, 90]])
    target = {"boxes": torch.tensor([[0.0, 0, 10, 10]])}
    objectness = torch.tensor([[1.0, 2.0, -1.0, 0.5]])
    deltas = torch.zeros(1, 4, 4)
    deltas[0, 0, 0] = 0.5
    found = rpn_losses(proposals_of(anchors, objectness, deltas), [target], Config(rpn_batch_size_per_image=256))
    expected = F.binary_cross_entropy_with_logits(objectness[0], torch.tensor([1.0, 1.0, 0, 0]))
    assert torch.allclose(found["loss_objectness"], expected)
    # Errors: 0.5 on the first anchor, the wanted shift of -0.1 on the second. β = 1/9, divided by four anchors.
    by_hand = ((0.5 - 0.5 / 9) + 0.5 * 0.1**2 * 9) / 4
    assert float(found["loss_rpn_box_reg"]) == pytest.approx(by_hand)


def test_anchor_labels():
    assert anchor_labels(torch.tensor([0, 7, BELOW_LOW, BETWEEN])).tolist() == [1, 1, 0, -1]


def test_sampled_rois_hold_the_ground_truths_and_keep_their_labels():
    gt = random_boxes(3, seed=1)
    target = {"boxes": gt, "labels": torch.tensor([2, 1, 3])}
    rois, labels, matched = sample_rois([random_boxes(200, seed=2)], [target], Config())
    for k in range(3):
        here = (rois[0] == gt[k]).all(dim=1)
        assert int(here.sum()) == 1
        assert int(labels[0][here]) == int(target["labels"][k]) and int(matched[0][here]) == k
    assert bool((labels[0][labels[0] > 0] == target["labels"][matched[0][labels[0] > 0]]).all())


def test_rois_between_the_thresholds_are_left_out():
    gt = torch.tensor([[0.0, 0, 10, 10]])
    boxes = torch.tensor([[0.0, 0, 10, 4], [0, 0, 10, 9], [50, 50, 60, 60]])
    config = Config(box_fg_iou_thresh=0.6, box_bg_iou_thresh=0.3)
    rois, labels, _ = sample_rois([boxes], [{"boxes": gt, "labels": torch.tensor([1])}], config)
    assert sorted(zip(rois[0][:, 3].tolist(), labels[0].tolist(), strict=True)) == [(9.0, 1), (10.0, 1), (60.0, 0)]
