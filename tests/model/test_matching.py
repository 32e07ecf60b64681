"""Matching and sampling, as torchvision does them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, Matcher

from mrcnn_edu.model import matching
from mrcnn_edu.model.boxes import box_iou
from mrcnn_edu.model.matching import BELOW_LOW, BETWEEN, match, sample
from tests.model.strategies import random_boxes


@pytest.mark.parametrize("low_quality", [True, False])
@given(st.integers(1, 12), st.integers(1, 80), st.integers(0, 10_000))
def test_matches_are_torchvisions_where_every_object_is_touched(low_quality, num_gt, num_boxes, seed):
    gt, boxes = random_boxes(num_gt, 40, seed), random_boxes(num_boxes, 40, seed + 1)
    iou = box_iou(gt, boxes)
    touched = iou.amax(dim=1) > 0
    if not touched.any():
        return
    gt, iou = gt[touched], iou[touched]
    theirs = Matcher(0.5, 0.3, allow_low_quality_matches=low_quality)(iou)
    assert torch.equal(match(gt, boxes, 0.5, 0.3, low_quality), theirs)


@given(st.integers(1, 30), st.integers(1, 60), st.integers(1, 500), st.integers(0, 99))
def test_chunks_change_nothing(num_gt, num_boxes, chunk, seed):
    gt, boxes = random_boxes(num_gt, 30, seed), random_boxes(num_boxes, 30, seed + 1)
    whole = match(gt, boxes, 0.6, 0.3, low_quality=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "IOU_CHUNK", chunk)
        assert torch.equal(match(gt, boxes, 0.6, 0.3, low_quality=True), whole)


def test_by_hand():
    gt = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10]])
    boxes = torch.tensor([[0.0, 0, 10, 9], [20, 0, 30, 4], [0, 0, 10, 5], [50, 50, 60, 60]])
    # IoU: 0.9 with the first, 0.4 with the second, 0.5 with the first, none.
    assert match(gt, boxes, 0.7, 0.45).tolist() == [0, BELOW_LOW, BETWEEN, BELOW_LOW]
    # The second object takes back its best box, though that overlaps little.
    assert match(gt, boxes, 0.7, 0.45, low_quality=True).tolist() == [0, 1, BETWEEN, BELOW_LOW]


@pytest.mark.parametrize("low_quality", [True, False])
def test_without_objects_all_is_background(low_quality):
    assert match(torch.zeros(0, 4), random_boxes(5), 0.7, 0.3, low_quality).tolist() == [BELOW_LOW] * 5


@pytest.mark.parametrize("low_quality", [True, False])
def test_without_boxes_nothing_is_matched(low_quality):
    assert match(random_boxes(3), torch.zeros(0, 4), 0.7, 0.3, low_quality).shape == (0,)


@given(
    st.lists(st.sampled_from([-1, 0, 1, 3]), max_size=60), st.integers(1, 40), st.floats(0.05, 1.0), st.integers(0, 99)
)
def test_samples_are_torchvisions(labels, count, fraction, seed):
    labels = torch.tensor(labels, dtype=torch.int64)
    torch.manual_seed(seed)
    theirs_positive, theirs_negative = BalancedPositiveNegativeSampler(count, fraction)([labels])
    torch.manual_seed(seed)
    positive, negative = sample(labels, count, fraction)
    assert torch.equal(positive, torch.where(theirs_positive[0])[0])
    assert torch.equal(negative, torch.where(theirs_negative[0])[0])


@given(st.lists(st.sampled_from([-1, 0, 1, 2]), max_size=60), st.integers(1, 40), st.floats(0.05, 1.0))
def test_samples_keep_their_limits(labels, count, fraction):
    labels = torch.tensor(labels, dtype=torch.int64)
    positive, negative = sample(labels, count, fraction)
    assert len(positive) <= int(count * fraction) and len(positive) + len(negative) <= count
    assert bool((labels[positive] >= 1).all()) and bool((labels[negative] == 0).all())
    assert positive.tolist() == sorted(set(positive.tolist())) and negative.tolist() == sorted(set(negative.tolist()))
