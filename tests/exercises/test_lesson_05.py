"""Lesson 05: the references agree with the package and with torchvision, and what the questions say is true."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchvision
from torchvision.models.detection._utils import BalancedPositiveNegativeSampler, BoxCoder, Matcher

from mrcnn_edu.exercises.base import SHELF, all_inputs, check
from mrcnn_edu.exercises.lesson_05 import match_anchors
from mrcnn_edu.exercises.lesson_05_deltas import decode, encode, random_boxes, random_moves, random_pairs
from mrcnn_edu.exercises.lesson_05_loss import rpn_box_loss
from mrcnn_edu.exercises.lesson_05_nms import nms, random_crowd, row
from mrcnn_edu.exercises.lesson_05_sample import sample_anchors
from mrcnn_edu.exercises.predict import QUESTIONS
from mrcnn_edu.model import boxes as package
from mrcnn_edu.model import matching, preset
from mrcnn_edu.model.anchors import Anchors
from mrcnn_edu.model.losses import SMOOTH_L1_BETA, anchor_labels, rpn_losses
from mrcnn_edu.model.rpn import Proposals

SEEDS = range(20)


def a_picture(seed):
    """Ground truths, and the anchors of the lesson's model."""
    generator = np.random.default_rng(seed)
    config = preset("lesson")
    grids = [(32, 32), (16, 16), (8, 8), (4, 4)]
    anchors = torch.cat(Anchors(config.anchor_sizes, config.anchor_ratios)((128, 128), grids, "cpu"))
    return random_boxes(generator, int(generator.integers(1, 6))), anchors


@pytest.mark.parametrize("seed", SEEDS)
def test_the_labels_are_those_of_the_package_and_of_torchvision(seed):
    ground_truths, anchors = a_picture(seed)
    ours = match_anchors(torchvision.ops.box_iou(ground_truths, anchors), 0.7, 0.3)
    assert torch.equal(ours, anchor_labels(matching.match(ground_truths, anchors, 0.7, 0.3, low_quality=True)))
    matched_idxs = Matcher(0.7, 0.3, allow_low_quality_matches=True)(package.box_iou(ground_truths, anchors))
    assert torch.equal(ours, anchor_labels(matched_idxs))
    assert {1, 0} <= set(ours.tolist())


@pytest.mark.parametrize("low_quality", [True, False])
@pytest.mark.parametrize("objects", [0, 4])
def test_the_readers_labels_go_into_the_model_as_the_packages(low_quality, objects):
    ground_truths, anchors = a_picture(1)
    arguments = (ground_truths[:objects], anchors, 0.7, 0.3, low_quality)
    assert torch.equal(SHELF.find("match_anchors").fit(match_anchors)(*arguments), matching.match(*arguments))


def test_a_ground_truth_far_from_all_anchors_is_where_torchvision_differs():
    iou = torch.tensor([[0.8, 0.1], [0.0, 0.0]])
    assert match_anchors(iou, 0.7, 0.3).tolist() == [1, 0]
    assert (Matcher(0.7, 0.3, allow_low_quality_matches=True)(iou) >= 0).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_sample_is_the_packages_for_the_same_draws(seed):
    labels = torch.from_numpy(np.random.default_rng(seed).choice([-1, 0, 1, 3], 60))
    adapted = SHELF.find("sample_anchors").fit(sample_anchors)
    torch.manual_seed(seed)
    ours = adapted(labels, 20, 0.25)
    torch.manual_seed(seed)
    for mine, theirs in zip(ours, matching.sample(labels, 20, 0.25), strict=True):
        assert torch.equal(mine.sort().values, theirs)
    positive, negative = BalancedPositiveNegativeSampler(20, 0.25)([labels])
    assert [len(mine) for mine in ours] == [int(positive[0].sum()), int(negative[0].sum())]


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


def test_some_deltas_of_the_check_go_beyond_the_limit_for_width_and_for_height():
    moves = torch.cat([deltas for deltas, _ in all_inputs(SHELF.find("decode"))])
    assert ((moves[:, 2:] > math.log(1000 / 16)).sum(dim=0) > 0).all()


@pytest.mark.parametrize("name", ["encode", "decode"])
def test_the_codec_goes_into_the_model_with_the_models_weights(name):
    weights = (10.0, 10.0, 5.0, 5.0)
    task = SHELF.find(name)
    first, anchors = random_pairs(np.random.default_rng(0))
    first = first if name == "encode" else first / 50
    torch.testing.assert_close(
        task.fit(task.reference)(first, anchors, weights), getattr(package, name)(first, anchors, weights)
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_the_kept_boxes_are_those_of_the_package_and_of_torchvision(seed):
    crowd = random_crowd(np.random.default_rng(seed))
    ours = nms(*crowd)
    assert torch.equal(ours, package.grouped_nms(*crowd))
    assert torch.equal(ours, torchvision.ops.batched_nms(*crowd))
    boxes, scores, groups, threshold = crowd
    one_group = torch.zeros_like(groups)
    assert torch.equal(nms(boxes, scores, one_group, threshold), package.nms(boxes, scores, threshold))


def test_the_random_crowds_drop_boxes_and_mixing_the_groups_shows():
    crowds = list(all_inputs(SHELF.find("nms")))
    assert sum(0 < len(nms(*crowd)) < len(crowd[0]) for crowd in crowds) > 15
    mixed = [nms(boxes, scores, torch.zeros_like(groups), t) for boxes, scores, groups, t in crowds]
    assert sum(len(a) < len(nms(*crowd)) for a, crowd in zip(mixed, crowds, strict=True)) > 10


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


def loop_nms(boxes, scores, groups, iou_threshold):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda index: -scores[index].item()):
        rivals = [j for j in kept if groups[j] == groups[i]]
        if all(torchvision.ops.box_iou(boxes[i : i + 1], boxes[j : j + 1]).item() <= iou_threshold for j in rivals):
            kept.append(i)
    return kept


def loop_match(iou, high, low):
    labels = []
    for column in iou.T.tolist():
        labels.append(1 if max(column) >= high else 0 if max(column) < low else -1)
    for line in iou.tolist():
        labels = [1 if value == max(line) > 0 else label for value, label in zip(line, labels, strict=True)]
    return labels


def loop_sample(labels, count, positive_fraction, order):
    positive, negative = [], []
    for index in order.tolist():
        if labels[index] == 1 and len(positive) < int(count * positive_fraction):
            positive.append(index)
    for index in order.tolist():
        if labels[index] == 0 and len(positive) + len(negative) < count:
            negative.append(index)
    return positive, negative


def columns_encode(boxes, anchors):
    bx1, by1, bx2, by2 = boxes.unbind(1)
    ax1, ay1, ax2, ay2 = anchors.unbind(1)
    bw, bh, aw, ah = bx2 - bx1, by2 - by1, ax2 - ax1, ay2 - ay1
    dx, dy = (bx1 + bw / 2 - ax1 - aw / 2) / aw, (by1 + bh / 2 - ay1 - ah / 2) / ah
    return torch.stack([dx, dy, bw.log() - aw.log(), (bh / ah).log()], dim=1)


def columns_decode(deltas, anchors):
    (dx, dy, dw, dh), (x1, y1, x2, y2) = deltas.unbind(1), anchors.unbind(1)
    w, h = x2 - x1, y2 - y1
    x, y = x1 + w / 2 + dx * w, y1 + h / 2 + dy * h
    w, h = w * dw.exp().clamp(max=62.5), h * dh.exp().clamp(max=62.5)
    return torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], dim=1)


def own_loss(predicted, wanted, num_sampled):
    size = (predicted - wanted).abs()
    loss = torch.where(size < 1 / 9, size**2 * 9 / 2, size - 1 / 18).sum()
    return loss / num_sampled if num_sampled else loss


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("nms", loop_nms),
        ("nms", torchvision.ops.batched_nms),
        ("match_anchors", loop_match),
        ("sample_anchors", loop_sample),
        ("encode", columns_encode),
        ("decode", columns_decode),
        ("rpn_box_loss", own_loss),
    ],
)
def test_other_ways_to_write_it_are_right_too(name, answer):
    assert str(check(SHELF.find(name), answer)).startswith("✔")


def test_a_loss_without_a_gradient_is_refused_for_that():
    verdict = check(SHELF.find("rpn_box_loss"), lambda *inputs: rpn_box_loss(*inputs).detach())
    assert verdict.state == "wrong" and "gradient" in verdict.message


def right_option(name):
    return next(option for option, (is_right, _) in QUESTIONS[name].options.items() if is_right)


def test_the_chain_of_the_question_has_its_overlaps_and_keeps_what_it_says():
    boxes, scores, groups, _ = row((0, 0.9), (1, 0.8), (2, 0.7))
    iou = package.box_iou(boxes, boxes)
    assert [f"{iou[i, j].item():.2f}" for i, j in ((0, 1), (1, 2), (0, 2))] == ["0.82", "0.82", "0.67"]
    kept = " and ".join("ABC"[i] for i in nms(boxes, scores, groups, 0.7).tolist())
    assert kept == right_option("chain_of_boxes")


def test_the_weak_object_of_the_question_has_one_positive_anchor():
    assert match_anchors(torch.tensor([[0.4, 0.35, 0.1]]), 0.7, 0.3).tolist() == [1, -1, 0]
    assert right_option("best_anchor_below") == "Yes: its best anchor"


def test_four_zeros_make_the_anchor():
    _, anchors = a_picture(0)
    torch.testing.assert_close(decode(torch.zeros(len(anchors), 4), anchors), anchors)
    assert right_option("deltas_of_zero") == "The anchor itself"
