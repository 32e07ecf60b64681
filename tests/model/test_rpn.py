"""The region proposal network's choice of proposals."""

from __future__ import annotations

import pytest
import torch

from mrcnn_edu.model.boxes import box_iou, clip_boxes, decode
from mrcnn_edu.model.images import ImageBatch
from mrcnn_edu.model.rpn import MIN_SIDE, RegionProposalNetwork, RPNHead
from tests.model.scenes import small_config

SIZES = [(60, 64), (64, 50)]


@pytest.fixture(scope="module")
def proposals():
    torch.manual_seed(0)
    config = small_config(rpn_pre_nms_top_n_test=50, rpn_post_nms_top_n_test=30, rpn_score_thresh=0.3)
    rpn = RegionProposalNetwork(config)
    for layer in (rpn.head.cls_logits, rpn.head.bbox_pred):
        torch.nn.init.normal_(layer.weight, std=0.1)
    features = {str(k): torch.randn(2, 64, 64 // 2**k, 64 // 2**k) * 4 for k in (2, 3, 4, 5)}
    batch = ImageBatch(torch.zeros(2, 3, 64, 64), SIZES, SIZES)
    return config, rpn(batch, features, training=False)


def test_every_proposal_comes_from_its_anchor(proposals):
    config, found = proposals
    for i, size in enumerate(SIZES):
        index = found.anchor_index[i]
        assert 0 < len(index) <= config.rpn_post_nms_top_n_test
        boxes = clip_boxes(decode(found.pred_bbox_deltas[i, index], found.anchors[index]), size)
        assert torch.allclose(boxes, found.boxes[i], atol=1e-4)
        assert torch.allclose(found.objectness[i, index].sigmoid(), found.scores[i])
        assert bool((found.scores[i] >= config.rpn_score_thresh).all())
        assert bool((found.scores[i].diff() <= 0).all())
        sides = found.boxes[i][:, 2:] - found.boxes[i][:, :2]
        assert bool((sides >= MIN_SIDE).all())


def test_no_two_proposals_of_a_level_overlap_too_much(proposals):
    config, found = proposals
    ends = torch.tensor(found.anchors_per_level).cumsum(0)
    for boxes, index in zip(found.boxes, found.anchor_index, strict=True):
        level = torch.bucketize(index, ends, right=True)
        iou = box_iou(boxes, boxes).fill_diagonal_(0)
        same = level[:, None] == level
        assert float(iou[same].max()) <= config.rpn_nms_thresh
        assert len(level.unique()) > 1


def test_more_proposals_are_kept_while_training():
    config = small_config(rpn_post_nms_top_n_train=25, rpn_post_nms_top_n_test=5)
    rpn = RegionProposalNetwork(config)
    features = {str(k): torch.randn(1, 64, 64 // 2**k, 64 // 2**k) for k in (2, 3, 4, 5)}
    batch = ImageBatch(torch.zeros(1, 3, 64, 64), [(64, 64)], [(64, 64)])
    counts = [len(rpn(batch, features, training=mode).boxes[0]) for mode in (True, False)]
    assert counts == [25, 5]


def test_the_heads_outputs_are_in_the_anchors_order():
    """One cell of one level is lit; the three logits that change are those of its anchors."""
    head = RPNHead(4, 3, conv_depth=1)
    x = torch.zeros(1, 4, 5, 6)
    lit = x.clone()
    lit[0, :, 2, 3] = 1.0
    head.conv[0][0].weight.data.zero_()[:, :, 1, 1] = 1.0
    before, after = head([x]), head([lit])
    changed = torch.where((before[0][0] != after[0][0])[0])[0]
    assert changed.tolist() == [(2 * 6 + 3) * 3 + a for a in range(3)]
    assert torch.where((before[1][0] != after[1][0])[0].any(dim=1))[0].tolist() == changed.tolist()


def test_the_proposals_carry_no_gradient(proposals):
    _, found = proposals
    assert not any(boxes.requires_grad for boxes in found.boxes)
    assert found.objectness.requires_grad and found.pred_bbox_deltas.requires_grad
