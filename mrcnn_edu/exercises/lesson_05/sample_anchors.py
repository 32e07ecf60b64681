"""Lesson 05: which of the matched anchors the loss sees."""

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe


def sample_anchors(labels, count, positive_fraction, order):
    """Numbers of the positives and of the negatives that the loss sees, each in the shuffled order."""
    positive = order[labels[order] == 1][: int(count * positive_fraction)]
    negative = order[labels[order] == 0][: count - len(positive)]
    return positive, negative


def sampled(positives=None, negatives=None, is_negative=lambda labels: labels == 0):
    """A wrong answer: how many of each, from functions of (count, fraction, positives or sampled, negatives)."""

    def wrong(labels, count, positive_fraction, order):
        positive = order[labels[order] == 1]
        negative = order[is_negative(labels[order])]
        limit = int(count * positive_fraction)
        positive = positive[: positives(count, positive_fraction, len(positive), len(negative)) if positives else limit]
        wanted = (
            negatives(count, positive_fraction, len(positive), len(negative)) if negatives else count - len(positive)
        )
        return positive, negative[:wanted]

    return wrong


def changed_answer(change):
    """A wrong answer: `change` of the right positives and negatives."""
    return lambda labels, count, fraction, order: change(*sample_anchors(labels, count, fraction, order))


def unshuffled(labels, count, positive_fraction, order):
    """A wrong answer: the first of each, in the order of the anchors."""
    return sample_anchors(labels, count, positive_fraction, torch.arange(len(labels)))


def marks_unshuffled(labels, count, positive_fraction, order):
    """A wrong answer: marks in the order of the anchors, on numbers in the shuffled order."""
    positive = order[labels == 1][: int(count * positive_fraction)]
    return positive, order[labels == 0][: count - len(positive)]


def negatives_too_early(labels, count, positive_fraction, order):
    """A wrong answer: one walk for both kinds, in which negatives fill up before the positives are known."""
    positive, negative = [], []
    for anchor in order.tolist():
        if labels[anchor] == 1 and len(positive) < int(count * positive_fraction):
            positive.append(anchor)
        elif labels[anchor] == 0 and len(negative) < count - len(positive):
            negative.append(anchor)
    return positive, negative


def first_come(labels, count, positive_fraction, order):
    """A wrong answer: one walk for both kinds, which ends when there are `count` of them."""
    positive, negative = [], []
    for anchor in order.tolist():
        if len(positive) + len(negative) == count:
            break
        if labels[anchor] == 1 and len(positive) < int(count * positive_fraction):
            positive.append(anchor)
        elif labels[anchor] == 0:
            negative.append(anchor)
    return positive, negative


def places(labels, count, positive_fraction, order):
    """A wrong answer: places in the shuffled order instead of the anchors' numbers."""
    return unshuffled(labels[order], count, positive_fraction, order)


def as_sample(attempt):
    """The package's `sample`, from the reader's `sample_anchors`; with the package's draws, to be compared with it."""

    def sample(labels, count, positive_fraction):
        kinds = labels.sign()  # a class number is positive too
        groups = [torch.where(kinds == kind)[0] for kind in (1, 0, -1)]
        order = torch.cat([group[torch.randperm(len(group))] for group in groups[:2]] + groups[2:])
        chosen = attempt(kinds, count, positive_fraction, order)
        return tuple(torch.as_tensor(indices, dtype=torch.int64) for indices in chosen)

    return sample


# Anchors 1, 5 and 8 are positive, 3 and 10 ignored. In the shuffled order the positives come as 8, 5, 1.
LABELS = torch.tensor([0, 1, 0, -1, 0, 1, 0, 0, 1, 0, -1, 0])
ORDER = torch.tensor([7, 8, 3, 0, 5, 11, 2, 10, 1, 9, 4, 6])
HALF = (LABELS, 4, 0.5, ORDER)
FEW_POSITIVES = (LABELS, 8, 0.5, ORDER)
LATE_POSITIVES = (torch.tensor([0, 0, 0, 0, 1, 1]), 4, 0.5, torch.arange(6))
FEW_NEGATIVES = (torch.tensor([1, 1, 0, 1, 1]), 4, 0.5, torch.tensor([3, 0, 4, 2, 1]))


def random_labels(generator):
    """Arguments of `sample_anchors` for 5 to 40 anchors."""
    count = int(generator.integers(5, 41))
    labels = torch.from_numpy(generator.choice([-1, 0, 1], count, p=[0.2, 0.5, 0.3]))
    fraction = float(generator.choice([0.25, 0.5, 0.75]))
    return labels, int(generator.integers(2, 20)), fraction, torch.from_numpy(generator.permutation(count))


SHELF.add(
    Exercise(
        name="sample_anchors",
        lesson=5,
        number=4,
        task="Choose which anchors the loss sees: `count` at most, and at most that share of them positive.",
        reference=sample_anchors,
        probes=(
            Probe(
                sampled(negatives=lambda count, fraction, chosen, there: there),
                HALF,
                "You kept all 7 negatives. In a real picture there are thousands, and they would drown the few "
                "positives. Positives and negatives together make `count`: 4.",
            ),
            Probe(
                sampled(positives=lambda count, fraction, there, negatives: count),
                HALF,
                "You took all 3 positives, and they may be half of 4 at most: 2. Stop them at int(count * "
                "positive_fraction).",
            ),
            Probe(
                sampled(positives=lambda count, fraction, there, negatives: int(there * fraction)),
                HALF,
                "You took that share of the positives there are, half of 3. The share is counted in the sample: half "
                "of count = 4, so 2.",
            ),
            Probe(
                sampled(is_negative=lambda labels: labels != 1),
                HALF,
                "You took anchor 3, whose label is -1, as a negative. Ignored anchors are in neither group: negatives "
                "are those with label 0.",
            ),
            Probe(
                changed_answer(lambda positive, negative: torch.cat([positive, negative])),
                HALF,
                "The right anchors in one list. The loss of the box sees the positives alone, so return two: "
                "positives, negatives.",
            ),
            Probe(
                changed_answer(lambda positive, negative: (negative, positive)),
                HALF,
                "The right anchors, but the negatives stand first. Return the positives, then the negatives.",
            ),
            Probe(
                unshuffled,
                HALF,
                "You took the first anchors of each kind, which all lie at the top of the picture. `order` holds the "
                "anchors' numbers, shuffled: walk through it, and take the first of each kind that you meet.",
            ),
            Probe(
                marks_unshuffled,
                HALF,
                "order[labels == 1] mixes two orders: labels counts the anchors 0, 1, 2, …, order has them shuffled. "
                "Shuffle the labels too: order[labels[order] == 1].",
            ),
            Probe(
                negatives_too_early,
                LATE_POSITIVES,
                "Here the 4 negatives come first in `order`. You took them all before you met the 2 positives: 6 "
                "anchors, where count allows 4. Choose the positives first, from the whole of `order`; then fill up.",
            ),
            Probe(
                first_come,
                LATE_POSITIVES,
                "Here the 4 negatives come first in `order`, and your sample of 4 was full before it met a positive. "
                "Positives are rare and have the first choice: take them from the whole of `order`, then fill up.",
            ),
            Probe(
                places,
                HALF,
                "These are places in `order`, not anchors: place 1 holds anchor 8. Look the places up in order.",
            ),
            Probe(
                changed_answer(lambda positive, negative: (positive.sort().values, negative.sort().values)),
                HALF,
                "You chose the right anchors. Leave them in the order in which they stand in `order`, so that the "
                "check can compare them.",
            ),
            Probe(
                sampled(negatives=lambda count, fraction, chosen, there: count - int(count * fraction)),
                FEW_POSITIVES,
                "Only 3 positives are there, where 4 would have been allowed, and you took 4 negatives: 7 anchors in "
                "all. Negatives fill up what the positives leave free: 8 − 3 = 5.",
            ),
            Probe(
                sampled(negatives=lambda count, fraction, chosen, there: chosen),
                FEW_POSITIVES,
                "You took as many negatives as positives, 3 and 3. The fraction is only the most that positives may "
                "be; negatives fill up to count: 8 − 3 = 5.",
            ),
            Probe(
                sampled(positives=lambda count, fraction, there, negatives: count - min(negatives, count // 2)),
                FEW_NEGATIVES,
                "Only 1 negative is there, and you filled up with positives. They may be half of count at most, 2 of "
                "4; then the sample is smaller.",
            ),
            Probe(
                sampled(positives=lambda count, fraction, there, negatives: round(count * fraction)),
                (LABELS, 7, 0.25, ORDER),
                "A quarter of 7 is 1.75, and you rounded it to 2 positives: more than a quarter. At most means rounded "
                "down: int().",
            ),
        ),
        cases=(
            HALF,
            FEW_POSITIVES,
            FEW_NEGATIVES,
            LATE_POSITIVES,
            (torch.tensor([0, -1, 0]), 4, 0.5, torch.tensor([2, 1, 0])),
        ),
        draw=random_labels,
        part="sample",
        fit=as_sample,
        hints=(
            "labels[order] are the labels in the shuffled order, so order[labels[order] == 1] are the positives, "
            "shuffled.",
            "Of those, take the first int(count * positive_fraction). A slice takes fewer where there are fewer.",
            "The negatives are order[labels[order] == 0]; take the first count - len(positive).",
        ),
        reasoning="Of the thousands of anchors of a picture a handful are positive, so a loss over all of them would "
        "be content with calling everything background. The sample holds the positives up to the given share; "
        "negatives fill the rest, drawn at random so that every part of the picture has its turn. Ignored anchors are "
        "never drawn.",
        checked="few positives, few negatives, no positives, and 20 random sets of labels",
    )
)
