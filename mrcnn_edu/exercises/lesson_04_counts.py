"""Lesson 04, counting: the anchors of a picture, the share of objects they reach, the gap between scales."""

import math

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe


def count_anchors(height, width, strides, per_cell):
    """How many anchors a padded picture has: `per_cell` for each cell of each level's grid."""
    return sum((height // stride) * (width // stride) for stride in strides) * per_cell


def strides_chained(height, width, strides, per_cell):
    """A wrong answer: takes each stride as relative to the level before."""
    return count_anchors(height, width, [math.prod(strides[: i + 1]) for i in range(len(strides))], per_cell)


LESSON = (128, 128, (4, 8, 16, 32), 3)

SHELF.add(
    Exercise(
        name="count_anchors",
        lesson=4,
        number=3,
        task="Count the anchors of a padded picture over all levels of the pyramid.",
        reference=count_anchors,
        probes=(
            Probe(
                lambda h, w, strides, a: [count_anchors(h, w, [stride], a) for stride in strides],
                LESSON,
                "You give the count of each level: 3072, 768, 192, 48. Add them up.",
            ),
            Probe(
                lambda h, w, strides, a: (h // strides[0]) * (w // strides[0]) * a,
                LESSON,
                "3072 are the anchors of the first level alone. The other three levels have grids of their own, with "
                "256, 64 and 16 cells. If you wrote a loop: does it return in its first round?",
            ),
            Probe(
                lambda h, w, strides, a: (h // strides[-1]) * (w // strides[-1]) * a,
                LESSON,
                "48 are the anchors of the last level alone. Every level counts. If you wrote a loop: does each round "
                "overwrite the total instead of adding to it?",
            ),
            Probe(
                lambda h, w, strides, a: count_anchors(h, w, strides, 1),
                LESSON,
                "1360 are the cells. In each of them stand per_cell anchors, one for each ratio: 3 times as many.",
            ),
            Probe(
                lambda h, w, strides, a: count_anchors(h, w, strides, 1) + a,
                LESSON,
                "You added per_cell once, to 1360 cells. Every one of the cells has that many anchors: multiply.",
            ),
            Probe(
                lambda h, w, strides, a: (h // strides[0]) * (w // strides[0]) * a * len(strides),
                LESSON,
                "You counted every level as large as the first. A level of twice the stride has half as many rows and "
                "half as many columns: the grids have 1024, 256, 64 and 16 cells.",
            ),
            Probe(
                lambda h, w, strides, a: sum(h * w // stride for stride in strides) * a,
                LESSON,
                "You divided the number of pixels by the stride once. A cell is as wide as the stride and as high as "
                "the stride, so it covers stride² pixels: 16 at stride 4, not 4.",
            ),
            Probe(
                lambda h, w, strides, a: h * w * a,
                LESSON,
                "49,152 is per_cell for every pixel. Anchors stand at the cells of the feature maps, and at stride 4 "
                "one cell covers 4 × 4 pixels.",
            ),
            Probe(
                lambda h, w, strides, a: h * w * a * len(strides),
                LESSON,
                "196,608 is per_cell for every pixel, on every level. Anchors stand at the cells of the feature maps: "
                "divide height and width by the level's stride.",
            ),
            Probe(
                strides_chained,
                LESSON,
                "You multiplied each stride with those before it. They are all counted in pixels of the picture "
                "already: the second level has one cell for 8 × 8 pixels, so 16 rows and 16 columns.",
            ),
            Probe(
                lambda h, w, strides, a: sum(h // stride for stride in strides) * a,
                LESSON,
                "You counted the rows: 32, 16, 8 and 4. Each row has as many cells as the map has columns, "
                "width // stride.",
            ),
            Probe(
                lambda h, w, strides, a: sum(h // stride + w // stride for stride in strides) * a,
                LESSON,
                "You added rows and columns. A grid of 32 rows and 32 columns has 32 · 32 cells.",
            ),
            Probe(
                lambda h, w, strides, a: sum((h // stride) ** 2 for stride in strides) * a,
                (128, 160, (4, 8, 16, 32), 3),
                "You squared the number of rows. That fits a square picture; this one is 128 high and 160 wide, so its "
                "first grid has 32 rows and 40 columns.",
            ),
        ),
        cases=(LESSON, (128, 160, (4, 8, 16, 32), 3), (32, 32, (32,), 1), (1024, 1024, (4, 8, 16, 32, 64), 3)),
        draw=lambda generator: (
            int(generator.integers(1, 20)) * 64,
            int(generator.integers(1, 20)) * 64,
            tuple(int(2**k) for k in range(generator.integers(1, 4), 7)),
            int(generator.integers(1, 10)),
        ),
        hints=(
            "One level first: with stride 4 a picture of 128 × 128 pixels has 32 rows of 32 cells.",
            "In general a level has height // stride rows and width // stride columns, and per_cell anchors in each "
            "cell.",
            "Add that up over all levels: sum(... for stride in strides).",
        ),
        reasoning="Each level has (height // stride) · (width // stride) cells, and each cell per_cell anchors. "
        "Doubling the stride leaves a quarter of the cells, so the first level holds about three quarters of all "
        "anchors. The sizes divide without a remainder because the picture has been padded to a multiple of 32, the "
        "stride of our model's last level.",
        checked="the lesson's model, a wide picture, a single level, five levels, and 20 random pictures",
    )
)


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


def scale_gap(threshold):
    """The largest factor between two scales at which any square between has IoU ≥ threshold with one of the two."""
    return 1 / threshold


SHARP = (0.64,)  # its root is 0.8

SHELF.add(
    Exercise(
        name="scale_gap",
        lesson=4,
        number=5,
        task="How many times as large may the next scale be, if every square object between must be reached?",
        reference=scale_gap,
        probes=(
            Probe(
                lambda threshold: 1 / threshold**0.5,
                SHARP,
                "1.25 is how much larger than an anchor an object may be: 1 / 1.25² = 0.64. But the object has an "
                "anchor on its other side too, and reaches as far towards that one: 1.25 · 1.25.",
            ),
            Probe(
                lambda threshold: 1 / threshold**2,
                SHARP,
                "You compared sides. An object of 1.5625 times the side has 2.44 times the area, so its IoU is 0.41. "
                "IoU compares areas: square the ratio of the sides.",
            ),
            Probe(
                lambda threshold: threshold,
                SHARP,
                "0.64 makes the next scale smaller. The factor from one scale to the next larger one is above 1.",
            ),
            Probe(
                lambda threshold: threshold**0.5,
                SHARP,
                "0.8 makes the next scale smaller, and looks at one anchor only. The factor to the next larger scale "
                "is above 1, and an object between the two may be reached from either side.",
            ),
            Probe(
                lambda threshold: 2 / threshold,
                SHARP,
                "With scales that far apart the square in the middle has IoU 0.32 with both, half of what is asked.",
            ),
            Probe(
                lambda threshold: 2 / (1 + threshold),
                SHARP,
                "You took the object whose side, or area, is the mean of the two. The worst one is where both anchors "
                "overlap it equally: as many times as large as the one as it is smaller than the other. With "
                "sides s and k · s that is s · √k.",
            ),
        ),
        cases=(SHARP, (0.5,), (0.7,), (1.0,)),
        draw=lambda generator: (float(generator.uniform(0.1, 1)),),
        hints=(
            "Of two squares with the same centre the smaller lies in the larger. Their IoU is the ratio of the areas: "
            "(small side / large side)².",
            "Call the scales s and k · s. The worst square is as many times as large as the first as it is smaller "
            "than the second: its side is s · √k.",
            "Its IoU with the first is s² / (s · √k)² = 1 / k. When is that at least the threshold?",
        ),
        reasoning="With s and k · s, the worst object has the side s · √k. Its IoU with either anchor is 1 / k, so k "
        "may be 1 / threshold at most. For 0.7 that is 1.43, about half an octave. Our model's scales are a factor of "
        "2 apart, so a square in the middle between two of them has 0.5. And that is without the price of the grid: "
        "the nearest centre is hardly ever the object's own.",
        checked="thresholds 0.5, 0.64, 0.7 and 1, and 20 random ones",
    )
)
