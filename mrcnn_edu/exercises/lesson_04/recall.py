"""Lesson 04: the share of objects that the anchors reach."""

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe


def recall(iou, threshold):
    """Share of the ground truths whose best IoU with any anchor is at least `threshold`; iou is (G, N)."""
    return (iou.max(dim=1).values >= threshold).float().mean()


def anchors_shared_out(iou, threshold):
    """A wrong answer: an anchor that is the best of several ground truths counts for one of them."""
    best, anchor = iou.max(dim=1)
    return len(anchor[best >= threshold].unique()) / len(iou)


# Five ground truths, six anchors. At 0.4 only the last ground truth is missed, at 0.5 the last two are.
OVERLAPS = torch.tensor(
    [
        [0.9, 0.7, 0.0, 0.45, 0.0, 0.0],
        [0.8, 0.6, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.5, 0.2, 0.1, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.45],
        [0.0, 0.1, 0.2, 0.0, 0.0, 0.0],
    ]
)
SEEN = (OVERLAPS, 0.4)

SHELF.add(
    Exercise(
        name="recall",
        lesson=4,
        number=4,
        task="Give the share of ground truths that some anchor overlaps by at least the threshold.",
        reference=recall,
        probes=(
            Probe(
                lambda iou, threshold: iou.max(dim=1).values >= threshold,
                SEEN,
                "You say for each ground truth whether an anchor reaches it. The recall is the share of the true ones: "
                ".float().mean().",
            ),
            Probe(
                lambda iou, threshold: (iou.max(dim=1).values >= threshold).sum(),
                SEEN,
                "You counted the ground truths that are reached: 4. The recall is their share of all 5.",
            ),
            Probe(
                lambda iou, threshold: (iou.max(dim=0).values >= threshold).float().mean(),
                SEEN,
                "That is the share of anchors that reach an object: 5 of 6. The question is the other way round: the "
                "best anchor of each ground truth, so take the maximum along dim=1.",
            ),
            Probe(
                lambda iou, threshold: (iou.max(dim=1).values >= threshold).sum() / iou.shape[1],
                SEEN,
                "You divided the 4 ground truths that are reached by the 6 anchors. They are a share of the 5 ground "
                "truths.",
            ),
            Probe(
                lambda iou, threshold: (iou >= threshold).float().mean(),
                SEEN,
                "That is the share of all pairs: 7 of 30. A ground truth is reached as soon as one anchor reaches it, "
                "so look at its best anchor only.",
            ),
            Probe(
                lambda iou, threshold: (iou >= threshold).sum() / len(iou),
                SEEN,
                "You counted every pair above the threshold, so a ground truth with two good anchors counts twice. "
                "Take the best anchor of each ground truth first.",
            ),
            Probe(
                lambda iou, threshold: iou.max(dim=1).values.mean(),
                SEEN,
                "That is the mean of the best IoUs. It says how well the anchors fit on average, and the threshold "
                "plays no part in it. Ask of each ground truth whether its best IoU reaches the threshold.",
            ),
            Probe(
                lambda iou, threshold: (iou.mean(dim=1) >= threshold).float().mean(),
                SEEN,
                "You averaged the IoU over all anchors. Most anchors lie elsewhere and overlap by 0, so hardly any "
                "object would count. One good anchor is enough: take the maximum.",
            ),
            Probe(
                lambda iou, threshold: (iou.max() >= threshold).float(),
                SEEN,
                "You asked whether any ground truth is reached at all. Ask it of each one: the maximum along dim=1.",
            ),
            Probe(
                lambda iou, threshold: (iou.max(dim=1).values < threshold).float().mean(),
                SEEN,
                "That is the share that is missed. Recall is the share that is reached.",
            ),
            Probe(
                anchors_shared_out,
                SEEN,
                "The first anchor is the best for two ground truths, and you let it count for one. While anchors are "
                "chosen, one anchor may serve several: each ground truth is asked by itself.",
            ),
            Probe(
                lambda iou, threshold: (iou.max(dim=1).values > threshold).float().mean(),
                (OVERLAPS, 0.5),
                "A best IoU of exactly 0.5 reaches the threshold 0.5: at least means >=.",
            ),
        ),
        cases=(SEEN, (OVERLAPS, 0.5), (OVERLAPS, 0.95), (OVERLAPS[:1], 0.5), (OVERLAPS[:, :1], 0.0)),
        draw=lambda generator: (
            torch.from_numpy(generator.random((generator.integers(3, 9), generator.integers(2, 10)))).float() ** 3,
            float(generator.uniform(0.3, 0.7)),
        ),
        hints=(
            "Each row of the table belongs to one ground truth, each column to one anchor. Which number in a row says "
            "whether the ground truth is reached?",
            "iou.max(dim=1).values is the best IoU of each ground truth, with shape (G,).",
            "Comparing it with the threshold gives true or false for each; the mean of .float() is the share of true.",
        ),
        reasoning="Recall asks of each object: was it found? One anchor is enough, so the best one counts, and the "
        "share is taken over the objects. The number of anchors appears nowhere: more anchors can only raise the "
        "recall, so read it together with their number.",
        checked="a table of 5 ground truths and 6 anchors at three thresholds, one ground truth, one anchor, "
        "and 20 random tables",
    )
)
