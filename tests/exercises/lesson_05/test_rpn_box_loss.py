"""The box loss is the package's in a training step."""

from __future__ import annotations

import pytest
import torch

from mrcnn_edu.exercises.base import SHELF, check
from mrcnn_edu.exercises.lesson_05.encode import encode
from mrcnn_edu.exercises.lesson_05.match_anchors import match_anchors
from mrcnn_edu.exercises.lesson_05.rpn_box_loss import rpn_box_loss
from mrcnn_edu.model import boxes as package
from mrcnn_edu.model import matching, preset
from mrcnn_edu.model.losses import SMOOTH_L1_BETA, rpn_losses
from mrcnn_edu.model.rpn import Proposals
from tests.exercises.lesson_05.pictures import SEEDS, a_picture


def a_training_step(seed):
    """What the package computes for one picture, and the arguments of the reader's function for the same sample."""
    ground_truths, anchors = a_picture(seed)
    generator = torch.Generator().manual_seed(seed)
    deltas = torch.randn(1, len(anchors), 4, generator=generator) * 0.3
    proposals = Proposals([], [], [], anchors, [len(anchors)], torch.zeros(1, len(anchors)), deltas)
    config = preset("lesson")
    torch.manual_seed(seed)
    loss = rpn_losses(proposals, [{"boxes": ground_truths}], config)["loss_rpn_box_reg"]
    labels = match_anchors(package.box_iou(ground_truths, anchors), config.rpn_fg_iou_thresh, config.rpn_bg_iou_thresh)
    torch.manual_seed(seed)
    positive, negative = matching.sample(labels, config.rpn_batch_size_per_image, config.rpn_positive_fraction)
    matched = package.box_iou(ground_truths, anchors[positive]).argmax(dim=0)
    wanted = encode(ground_truths[matched], anchors[positive])
    return loss, (deltas[0, positive], wanted, len(positive) + len(negative))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_box_loss_is_the_packages_in_a_training_step(seed):
    loss, arguments = a_training_step(seed)
    assert len(arguments[0]) > 0
    torch.testing.assert_close(rpn_box_loss(*arguments), loss, atol=1e-6, rtol=1e-5)


def test_the_beta_of_the_task_is_the_packages():
    assert SMOOTH_L1_BETA == 1 / 9


def test_the_loss_worked_out_by_hand():
    predicted, wanted, num_sampled = SHELF.find("rpn_box_loss").cases[0]
    by_hand = (1 - 1 / 18) + 0.1**2 / (2 / 9) + 0 + (2 - 1 / 18)
    assert rpn_box_loss(predicted, wanted, 1).item() == pytest.approx(by_hand) == pytest.approx(2.934, abs=5e-4)
    assert num_sampled == 12


def own_loss(predicted, wanted, num_sampled):
    size = (predicted - wanted).abs()
    loss = torch.where(size < 1 / 9, size**2 * 9 / 2, size - 1 / 18).sum()
    return loss / num_sampled if num_sampled else loss


@pytest.mark.parametrize("answer", [own_loss])
def test_other_ways_to_write_it_are_right_too(answer):
    assert str(check(SHELF.find("rpn_box_loss"), answer)).startswith("✔")


def test_a_loss_without_a_gradient_is_refused_for_that():
    verdict = check(SHELF.find("rpn_box_loss"), lambda *inputs: rpn_box_loss(*inputs).detach())
    assert verdict.state == "wrong" and "gradient" in verdict.message
