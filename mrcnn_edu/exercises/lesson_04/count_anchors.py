"""Lesson 04: how many anchors a picture has."""

import math

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
