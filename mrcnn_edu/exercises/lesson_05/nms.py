"""Lesson 05: of the boxes that lie on one object the best stays."""

import numpy as np
import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe
from mrcnn_edu.model.boxes import box_iou


def nms(boxes, scores, groups, iou_threshold):
    """Indices of the boxes kept, best first: no better kept box of the same group overlaps them by more than that."""
    order, kept = scores.argsort(descending=True), []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        overlaps = box_iou(boxes[best][None], boxes[order])[0] > iou_threshold
        order = order[~(overlaps & (groups[order] == groups[best]))]
    return torch.tensor(kept, dtype=torch.int64)


def dropped_by(boxes, groups, iou_threshold):
    """Which boxes (column) a kept box (row) drops: (N, N) bool."""
    return (box_iou(boxes, boxes) > iou_threshold) & (groups[:, None] == groups)


def walked(order, drops, by_all=False):
    """Indices kept when the boxes have their turn in this order; with `by_all` a dropped box drops others too."""
    seen, kept = [], []
    for i in order.tolist():
        if not drops[seen if by_all else kept, i].any():
            kept.append(i)
        seen.append(i)
    return torch.tensor(kept, dtype=torch.int64)


def dropped_boxes_drop(boxes, scores, groups, iou_threshold):
    """A wrong answer: a dropped box still drops others."""
    return walked(scores.argsort(descending=True), dropped_by(boxes, groups, iou_threshold), by_all=True)


def in_the_order_given(boxes, scores, groups, iou_threshold):
    """A wrong answer: the scores are not used."""
    return walked(torch.arange(len(boxes)), dropped_by(boxes, groups, iou_threshold))


def worst_first(boxes, scores, groups, iou_threshold):
    """A wrong answer: ascending scores."""
    return walked(scores.argsort(), dropped_by(boxes, groups, iou_threshold))


def all_in_one_group(boxes, scores, groups, iou_threshold):
    """A wrong answer: boxes of different groups drop each other."""
    return nms(boxes, scores, torch.zeros_like(groups), iou_threshold)


def group_after_group(boxes, scores, groups, iou_threshold):
    """A wrong answer: the groups one after the other, not sorted by score in the end."""
    kept = nms(boxes, scores, groups, iou_threshold)
    return kept[groups[kept].argsort(stable=True)]


def counted_in_the_group(boxes, scores, groups, iou_threshold):
    """A wrong answer: group after group, each box by its number within its group."""
    kept = group_after_group(boxes, scores, groups, iou_threshold)
    return ((groups == groups[kept][:, None]).cumsum(dim=1) - 1).gather(1, kept[:, None])[:, 0]


def one_a_group(boxes, scores, groups, iou_threshold):
    """A wrong answer: the best box of each group."""
    return nms(boxes, scores, groups, -1.0)


def against_the_best_only(boxes, scores, groups, iou_threshold):
    """A wrong answer: one round, against the best box of the group."""
    drops = dropped_by(boxes, groups, iou_threshold)
    best = torch.isin(torch.arange(len(boxes)), one_a_group(boxes, scores, groups, iou_threshold))
    return walked(scores.argsort(descending=True), drops & best[:, None])


def against_the_last_only(boxes, scores, groups, iou_threshold):
    """A wrong answer: compares with the box kept last."""
    drops, kept = dropped_by(boxes, groups, iou_threshold), []
    for i in scores.argsort(descending=True).tolist():
        if not drops[kept[-1:], i].any():
            kept.append(i)
    return torch.tensor(kept, dtype=torch.int64)


def upside_down(boxes, scores, groups, iou_threshold):
    """A wrong answer: keeps what overlaps and drops what does not."""
    drops = (box_iou(boxes, boxes) <= iou_threshold) & (groups[:, None] == groups)
    return walked(scores.argsort(descending=True), drops)


def equal_dropped(boxes, scores, groups, iou_threshold):
    """A wrong answer: >= for >."""
    drops = (box_iou(boxes, boxes) >= iou_threshold) & (groups[:, None] == groups)
    return walked(scores.argsort(descending=True), drops)


def places_when_sorted(boxes, scores, groups, iou_threshold):
    """A wrong answer: places in the sorted list instead of the boxes' own numbers."""
    return scores.argsort(descending=True).argsort()[nms(boxes, scores, groups, iou_threshold)]


def as_marks(boxes, scores, groups, iou_threshold):
    """A wrong answer: true or false for each box."""
    return torch.isin(torch.arange(len(boxes)), nms(boxes, scores, groups, iou_threshold))


def row(*boxes):
    """Arguments of `nms` for squares of 10 pixels in a row: (x1, score) or (x1, score, group) each; threshold 0.5."""
    boxes = [(*box, 0)[:3] for box in boxes]
    corners = torch.tensor([[x, 0, x + 10, 10] for x, _, _ in boxes], dtype=torch.float32)
    return corners, torch.tensor([box[1] for box in boxes]), torch.tensor([box[2] for box in boxes]), 0.5


# Two squares of 10 pixels, 2 apart, have IoU 8 / 12; 4 apart, 6 / 14.
CHAIN = row((4, 0.7), (0, 0.9), (2, 0.8))
APART = row((0, 0.6), (50, 0.9), (51, 0.8))
PAIRS = row((0, 0.9), (50, 0.8), (51, 0.7))
HALF = (torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 2]]), torch.tensor([0.9, 0.8]), torch.tensor([0, 0]), 0.5)


def random_crowd(generator):
    """Arguments of `nms`: up to 30 boxes of two groups around a few places, no two scores equal."""
    count = int(generator.integers(1, 31))
    corner = generator.integers(0, 3, (count, 2)) * 30 + generator.uniform(0, 12, (count, 2))
    boxes = torch.from_numpy(np.concatenate([corner, corner + generator.uniform(14, 24, (count, 2))], axis=1)).float()
    scores = torch.from_numpy(generator.permutation(count) + 1).float() / (count + 1)
    return boxes, scores, torch.from_numpy(generator.integers(0, 2, count)), float(generator.choice([0.3, 0.5, 0.7]))


SHELF.add(
    Exercise(
        name="nms",
        lesson=5,
        number=6,
        task="Give the indices of the boxes that non-maximum suppression keeps, best first.",
        reference=nms,
        part="grouped_nms",
        probes=(
            Probe(
                as_marks,
                CHAIN,
                "You say for each box whether it stays. Wanted are the indices of those that do, best first.",
            ),
            Probe(
                lambda boxes, scores, groups, threshold: boxes[nms(boxes, scores, groups, threshold)],
                CHAIN,
                "You give the boxes themselves. Give their indices: then the scores and the groups of the kept boxes "
                "can be looked up too.",
            ),
            Probe(
                upside_down,
                row((0, 0.9), (1, 0.8), (50, 0.7)),
                "You kept what overlaps the best box, and dropped the box far away from it. What overlaps it by more "
                "than the threshold goes; the rest stays.",
            ),
            Probe(
                counted_in_the_group,
                row((0, 0.9, 0), (50, 0.8, 1)),
                "You give box 0 twice. Once the boxes of a group are picked out, NMS counts them from 0 again: look "
                "the numbers up in the list of the group's own indices, own[kept].",
            ),
            Probe(
                one_a_group,
                row((0, 0.9), (50, 0.8)),
                "You kept only the best box of the group. The second lies 50 pixels away and overlaps nothing: it may "
                "be another object, so it stays.",
            ),
            Probe(
                dropped_boxes_drop,
                CHAIN,
                "Three boxes in a row: the best drops the second, and the second, though dropped, dropped the third in "
                "yours. Only a box that is kept may drop others.",
            ),
            Probe(
                in_the_order_given,
                row((0, 0.7), (2, 0.9), (4, 0.6)),
                "You took the boxes as they come, and the box with score 0.7 dropped the one with 0.9. Sort by score "
                "first: scores.argsort(descending=True).",
            ),
            Probe(
                worst_first,
                row((0, 0.7), (2, 0.9), (4, 0.6)),
                "You began with the lowest score. argsort goes upwards unless you say descending=True.",
            ),
            Probe(
                places_when_sorted,
                APART,
                "You give places in the list sorted by score. The caller's list is not sorted: give the box's own "
                "index, order[place].",
            ),
            Probe(
                lambda boxes, scores, groups, threshold: nms(boxes, scores, groups, threshold).sort().values,
                APART,
                "You kept the right boxes, but give them in the order of the list. The caller takes the first few as "
                "the best few, so the best score comes first.",
            ),
            Probe(
                all_in_one_group,
                row((0, 0.9, 0), (1, 0.8, 1)),
                "The two boxes belong to different groups, and one dropped the other. A box drops only boxes of its "
                "own group: compare groups as well.",
            ),
            Probe(
                group_after_group,
                row((0, 0.6, 0), (50, 0.9, 1)),
                "You kept the right boxes, one group after the other. Best first goes across all groups: sort what is "
                "kept by score once more.",
            ),
            Probe(
                against_the_best_only,
                PAIRS,
                "You compared all boxes with the best one and stopped. The two others overlap each other as well: "
                "after the best box the next one left has its turn, and so on.",
            ),
            Probe(
                against_the_last_only,
                row((0, 0.9), (50, 0.8), (1, 0.7)),
                "You compared with the box kept last. The third box does not touch that one, but it overlaps the "
                "first: compare with every box kept so far.",
            ),
            Probe(
                equal_dropped,
                HALF,
                "The two boxes overlap by exactly the threshold, 0.5. A box goes only where it overlaps by more: >.",
            ),
        ),
        cases=(
            CHAIN,
            PAIRS,
            HALF,
            row((0, 0.9, 0), (1, 0.8, 1), (2, 0.7, 0), (3, 0.6, 1)),
            row((0, 0.5)),
            (torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), 0.5),
        ),
        draw=random_crowd,
        hints=(
            "Sort first: order = scores.argsort(descending=True) are the boxes' indices, best first.",
            "Take the first of order, keep it, and remove from order what it drops. Repeat while order is not empty.",
            "box_iou(boxes[best][None], boxes[order])[0] are the IoUs of the best box with all that are left. It drops "
            "those above iou_threshold for which groups[order] == groups[best].",
            "order = order[~dropped] keeps the rest, and torch.tensor(kept) makes the answer of a list.",
        ),
        reasoning="The best box of all is certainly kept, and with it is decided what it drops. Of the rest the best "
        "is again certainly kept, for all better boxes have had their turn. That is why a dropped box never drops: it "
        "is gone before its turn. The groups are levels of the pyramid here and classes in the box head: a box of one "
        "class must not drop a box of another.",
        checked="a chain, pairs, groups, equality with the threshold, one box, no boxes, and 20 random crowds",
    )
)
