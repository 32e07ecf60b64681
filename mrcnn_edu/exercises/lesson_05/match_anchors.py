"""Lesson 05: which anchors are called an object, which background, and which are left in peace."""

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe
from mrcnn_edu.model.boxes import box_iou
from mrcnn_edu.model.matching import BELOW_LOW, BETWEEN, match


def match_anchors(iou, high, low):
    """Labels (N,) of the anchors from their IoUs (G, N): 1 positive, 0 negative, -1 ignored."""
    best = iou.amax(dim=0)
    labels = torch.where(best >= high, 1, torch.where(best < low, 0, -1))
    peak = iou.amax(dim=1, keepdim=True)
    labels[((iou == peak) & (peak > 0)).any(dim=0)] = 1
    return labels


def forced_rightly(iou, low):
    """Which anchors some ground truth overlaps most: (N,) bool."""
    peak = iou.amax(dim=1, keepdim=True)
    return ((iou == peak) & (peak > 0)).any(dim=0)


def matched(forced=forced_rightly, ignored=-1, reaches=torch.ge, is_below=torch.lt):
    """A wrong answer: other forced matches, from (iou, low), another label for the ignored, or other comparisons."""

    def wrong(iou, high, low):
        best = iou.amax(dim=0)
        labels = torch.where(reaches(best, high), 1, torch.where(is_below(best, low), 0, ignored))
        labels[forced(iou, low)] = 1
        return labels

    return wrong


not_forced = matched(forced=lambda iou, low: torch.zeros(iou.shape[1], dtype=torch.bool))


def codes_swapped(iou, high, low):
    """A wrong answer: 0 for the ignored and -1 for the background."""
    labels = match_anchors(iou, high, low)
    return torch.where(labels == 1, 1, -1 - labels)


def far_from_any(iou, high, low):
    """A wrong answer: background as soon as one ground truth is far away."""
    labels = torch.where((iou < low).any(dim=0), 0, -1)
    labels[(iou >= high).any(dim=0) | forced_rightly(iou, low)] = 1
    return labels


def as_match(attempt):
    """The package's `match`, with the labels of the RPN's anchors from the reader's `match_anchors`."""

    def matched_idxs(gt_boxes, boxes, high, low, low_quality):
        if not low_quality or not len(gt_boxes):
            return match(gt_boxes, boxes, high, low, low_quality)
        iou = box_iou(gt_boxes, boxes)
        labels = torch.as_tensor(attempt(iou.clone(), high, low))
        return torch.where(labels == 1, iou.argmax(dim=0), torch.where(labels == 0, BELOW_LOW, BETWEEN))

    return matched_idxs


# Two ground truths, six anchors. The second ground truth reaches no anchor by 0.7.
OVERLAPS = torch.tensor([[0.8, 0.5, 0.1, 0.0, 0.0, 0.2], [0.0, 0.1, 0.0, 0.6, 0.4, 0.0]])
USUAL = (OVERLAPS, 0.7, 0.3)
TIE = torch.tensor([[0.5, 0.5, 0.1]])
UNTOUCHED = torch.tensor([[0.8, 0.4, 0.0], [0.0, 0.0, 0.0]])
POOR = torch.tensor([[0.8, 0.1, 0.0], [0.0, 0.2, 0.1]])


def random_overlaps(generator):
    """Arguments of `match_anchors`: eighths, so that ties and equality with a threshold occur."""
    shape = (int(generator.integers(1, 5)), int(generator.integers(1, 12)))
    iou = generator.integers(0, 9, shape) * (generator.random(shape) < 0.5) / 8
    return torch.from_numpy(iou).float(), 0.75, 0.25


SHELF.add(
    Exercise(
        name="match_anchors",
        lesson=5,
        number=3,
        task="Label each anchor 1 (positive), 0 (negative) or -1 (ignored) by its IoU with the ground truths.",
        reference=match_anchors,
        probes=(
            Probe(
                lambda iou, high, low: not_forced(iou.T, high, low),
                USUAL,
                "You give a label to each of the 2 ground truths. The 6 anchors are labelled: the best IoU of each "
                "column, iou.amax(dim=0).",
            ),
            Probe(
                matched(ignored=0),
                (torch.tensor([[0.8, 0.5, 0.1]]), 0.7, 0.3),
                "The anchor with IoU 0.5 became negative. It lies half on the object: calling it background would "
                "teach the network to overlook what it sees there. Between the thresholds the label is -1.",
            ),
            Probe(
                not_forced,
                USUAL,
                "The second ground truth has no positive anchor: its best one overlaps it by 0.6, below 0.7. Each "
                "ground truth also takes the anchors that overlap it most. If you wrote that: does a later line "
                "overwrite it?",
            ),
            Probe(
                matched(forced=lambda iou, low: iou.amax(dim=0) >= low),
                USUAL,
                "Every anchor from 0.3 up is positive now. Between 0.3 and 0.7 only those are that overlap some ground "
                "truth more than any other anchor does; the rest are ignored.",
            ),
            Probe(
                matched(forced=lambda iou, low: ((iou == iou.amax(dim=0)) & (iou > 0)).any(dim=0)),
                USUAL,
                "You forced each anchor with its own best ground truth, and every anchor that touches anything became "
                "positive. It is the ground truth that takes its best anchors: the maximum of each row, dim=1.",
            ),
            Probe(
                codes_swapped,
                USUAL,
                "0 and -1 have changed places. Here 0 is the background, which the loss uses, and -1 is what it "
                "ignores.",
            ),
            Probe(
                far_from_any,
                USUAL,
                "The anchor that overlaps the first ground truth by 0.5 became negative because it is far from the "
                "second. Negative means far from all of them: its best IoU is below the lower threshold.",
            ),
            Probe(
                matched(forced=lambda iou, low: torch.bincount(iou.argmax(dim=1), minlength=iou.shape[1]) > 0),
                (TIE, 0.7, 0.3),
                "Two anchors overlap the ground truth by 0.5, more than any other, and you forced one of them. argmax "
                "gives the first only; compare with the maximum of each row instead, iou == iou.amax(dim=1, "
                "keepdim=True).",
            ),
            Probe(
                matched(forced=lambda iou, low: (iou == iou.amax(dim=1, keepdim=True)).any(dim=0)),
                (UNTOUCHED, 0.7, 0.3),
                "No anchor touches the second ground truth: all its IoUs are 0, so all are its maximum, and every "
                "anchor became positive. Force only where the maximum is above 0.",
            ),
            Probe(
                matched(
                    forced=lambda iou, low: ((iou == iou.amax(dim=1, keepdim=True)) & (iou >= low)).any(dim=0),
                ),
                (POOR, 0.7, 0.3),
                "The best anchor of the second ground truth overlaps it by 0.2 only, and is not positive: you left it "
                "out, or a later line overwrote it. However little it is, as long as it is above 0, the ground truth "
                "takes its best anchor. Otherwise nothing would teach the network to find it.",
            ),
            Probe(
                matched(reaches=torch.gt),
                (torch.tensor([[0.875, 0.75]]), 0.75, 0.25),
                "An IoU of exactly 0.75 reaches the upper threshold 0.75: positive means >=.",
            ),
            Probe(
                matched(is_below=torch.le),
                (torch.tensor([[0.875, 0.25]]), 0.75, 0.25),
                "An IoU of exactly 0.25 is not below the lower threshold 0.25, so the anchor is ignored: negative "
                "means <.",
            ),
        ),
        cases=(USUAL, (TIE, 0.7, 0.3), (UNTOUCHED, 0.7, 0.3), (POOR, 0.7, 0.3), (OVERLAPS, 0.5, 0.5)),
        draw=random_overlaps,
        part="match",
        fit=as_match,
        hints=(
            "First without the forced matches: best = iou.amax(dim=0) is the best IoU of each anchor. Compare it with "
            "high and low.",
            "torch.where(best >= high, 1, torch.where(best < low, 0, -1)) makes the three labels.",
            "Now the forced matches, last, so that nothing overwrites them: peak = iou.amax(dim=1, keepdim=True) is "
            "the best IoU of each ground truth, with shape (G, 1), and iou == peak marks the anchors that have it.",
            "Leave out rows whose peak is 0, and take an anchor that any row marks: labels[((iou == peak) & (peak > "
            "0)).any(dim=0)] = 1.",
        ),
        reasoning="Each anchor asks: how well do I fit anything? That is a maximum over the ground truths. Each ground "
        "truth asks: who fits me best? That is a maximum over the anchors, and its answer counts even where it is "
        "poor. The ignored anchors keep the border clean: neither answer would be fair to them. torchvision leaves out "
        "the rule about 0; a ground truth that no anchor touches makes all its anchors positive.",
        checked="a weak match, a tie, a ground truth that no anchor touches, equal thresholds, and 20 random tables",
    )
)
