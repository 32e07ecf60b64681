"""Lesson 04: the shape of anchors and where they stand."""

import math
from math import sqrt

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe
from mrcnn_edu.exercises.predict import add_question

add_question(
    "small_object",
    "The smallest anchors of our model are squares of 16 × 16 pixels. A square object of 10 × 10 pixels has the same "
    "centre as one of them. What is the IoU of the two?",
    (
        "1, for the anchor covers the whole object",
        False,
        "It does cover it, but IoU also counts what is too much: the union is the anchor, 256 pixels, and the object "
        "fills 100 of them.",
    ),
    (
        "0.63",
        False,
        "10 / 16 compares the sides. IoU compares areas, so the number is squared: 100 / 256.",
    ),
    (
        "0.56",
        False,
        "2 · 100 / (100 + 256) divides by both areas together. That measure is called Dice. The union counts the "
        "shared 100 pixels once: 256.",
    ),
    (
        "0.39",
        True,
        "100 / 256. No place is better for this anchor, and the larger ones overlap the object less. It stays far "
        "below 0.7, from where training calls an anchor a hit: no anchor of the grid fits this object well.",
    ),
)

add_question(
    "blank_picture",
    "Two pictures have 128 × 128 pixels. One shows twenty objects, the other is blank. Which of them gets more "
    "anchors?",
    (
        "The one with twenty objects",
        False,
        "Anchors are laid out before the model has looked at anything. Boxes that depend on the picture come one step "
        "later: the proposals.",
    ),
    (
        "Both get the same number",
        True,
        "The grid depends on the picture's size and on nothing else: 4,080 anchors for our model. Which of them lie on "
        "an object is what the next lesson's network learns to say.",
    ),
    (
        "Neither: anchors exist only while training",
        False,
        "While training, anchors are also compared with the true boxes. But a prediction starts from the same grid: "
        "every proposal is an anchor that was moved and stretched.",
    ),
)


def anchor_shape(scale, ratio):
    """Width and height of an anchor as large in area as a square of side `scale`, with height / width = `ratio`."""
    return scale / math.sqrt(ratio), scale * math.sqrt(ratio)


def of_one_cell(attempt):
    """The anchors of one cell, in the package's order and rounding, from the reader's `anchor_shape`."""

    def cell_anchors(sizes, ratios):
        sides = torch.tensor([attempt(size, ratio) for ratio in ratios for size in sizes])
        return (torch.cat([-sides, sides], dim=1) / 2).round()

    return cell_anchors


TALL = (32, 4.0)  # 16 wide, 64 high: no root leaves a fraction

SHELF.add(
    Exercise(
        name="anchor_shape",
        lesson=4,
        number=1,
        task="Give width and height of an anchor of scale s and ratio r = h / w, with the area of a square of side s.",
        reference=anchor_shape,
        probes=(
            Probe(
                lambda s, r: (s * sqrt(r), s / sqrt(r)),
                TALL,
                "For ratio 4 your anchor is 64 wide and 16 high: it lies down. Here the ratio is height / width, so "
                "ratio 4 stands upright, 16 wide and 64 high. The width comes first.",
            ),
            Probe(
                lambda s, r: (s * r, s / r),
                TALL,
                "The area is right, but for ratio 4 your anchor is 128 wide and 8 high: its h / w is 1/16, that is "
                "1 / r². Multiplying one side and dividing the other counts the ratio twice, so use its root. And the "
                "height is the one that grows.",
            ),
            Probe(
                lambda s, r: (s / r, s * r),
                TALL,
                "The area is right, but for ratio 4 your anchor is 8 wide and 128 high: its h / w is 16, that is r². "
                "Dividing the width and multiplying the height counts the ratio twice. Use its root.",
            ),
            Probe(
                lambda s, r: (s, s * r),
                TALL,
                "The ratio is right, but the area grows with it: 32 · 128 = 4096 instead of 32² = 1024. When the "
                "height grows, the width has to shrink by the same factor.",
            ),
            Probe(
                lambda s, r: (s / r, s),
                TALL,
                "The ratio is right, but the area shrinks: 8 · 32 = 256 instead of 32² = 1024. When the width shrinks, "
                "the height has to grow by the same factor.",
                more=((32, 9.0),),  # half the sides of TALL are 8 and 32 too
            ),
            Probe(
                lambda s, r: (s * r, s),
                TALL,
                "For ratio 4 your anchor is 128 wide and 32 high. The ratio is height / width, so it should stand "
                "upright; and its area should stay 32² = 1024, not 4096.",
            ),
            Probe(
                lambda s, r: (s * sqrt(r), s * sqrt(r)),
                TALL,
                "For ratio 4 your anchor is 64 wide and 64 high: a square. The root is used the same way on both "
                "sides, so the ratio stays 1 and the area becomes r · s². One side grows, the other shrinks.",
            ),
            Probe(
                lambda s, r: (s, s * sqrt(r)),
                TALL,
                "The height, 64, is right. The width did not change, so h / w is 2 instead of 4 and the area is too "
                "large. Divide the width by the same root.",
            ),
            Probe(
                lambda s, r: (s / sqrt(r), s),
                TALL,
                "The width, 16, is right. The height did not change, so h / w is 2 instead of 4 and the area is too "
                "small. Multiply the height by the same root.",
            ),
            Probe(
                lambda s, r: (sqrt(s / r), sqrt(s * r)),
                TALL,
                "The ratio is right, but your anchor has an area of 32. The scale is the side of the square anchor, so "
                "the area is 32² = 1024: take the root of the ratio only.",
            ),
            Probe(
                lambda s, r: (s / sqrt(r) / 2, s * sqrt(r) / 2),
                TALL,
                "These are half the sides: 8 and 32, the way from the centre to an edge. The whole anchor is 16 wide "
                "and 64 high.",
            ),
            Probe(
                lambda s, r: (round(s / sqrt(r)), round(s * sqrt(r))),
                (32, 2.0),
                "The formula is right; leave out the rounding. The package rounds once, when it has the four corners, "
                "so rounding the sides here would round twice.",
            ),
        ),
        cases=(TALL, (32, 1.0), (64, 0.25), (128, 0.5), (16, 2.0)),
        draw=lambda generator: (int(generator.integers(8, 513)), float(generator.uniform(0.2, 5))),
        part="cell_anchors",
        fit=of_one_cell,
        hints=(
            "Two things are wanted at once: h / w = r, and w · h = s². Try s = 32 and r = 4 with numbers.",
            "If the height is the square's side times some number k, and the width the side divided by k, the area "
            "stays the same. What is h / w then, in terms of k?",
            "h / w = k², and it should be r. So k is the square root of r, math.sqrt(ratio).",
        ),
        reasoning="Two equations for two unknowns: h / w = r and w · h = s². Put h = r · w into the second: "
        "r · w² = s², so w = s / √r, and h = r · w = s · √r. At equal area the three ratios of a cell look for objects "
        "of one size and three shapes; if the area changed with the ratio, they would look for three sizes as well.",
        checked="ratios 1/4, 1/2, 1, 2 and 4, and 20 random scales and ratios",
    )
)


def grid_centres(rows, columns, stride):
    """Centres (x, y) of the anchors of one level, row by row: (rows · columns, 2), pixels."""
    y, x = torch.meshgrid(torch.arange(rows) * stride, torch.arange(columns) * stride, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)


def column_by_column(rows, columns, stride):
    """A wrong answer: the right places in the order of the columns."""
    return grid_centres(columns, rows, stride).flip(1)


def to_the_edge(rows, columns, stride):
    """A wrong answer: spreads the centres from edge to edge."""
    y, x = (torch.linspace(0, n * stride, n) for n in (rows, columns))
    return torch.stack([x.repeat(rows), y.repeat_interleave(columns)], dim=1)


def of_one_level(attempt):
    """The anchors of one level around the reader's `grid_centres`."""

    def grid_anchors(base, grid, stride):
        centres = torch.as_tensor(attempt(*grid, stride[0]))
        return (centres.to(base).repeat(1, 2)[:, None] + base).reshape(-1, 4)

    return grid_anchors


WIDE = (2, 3, 16)

SHELF.add(
    Exercise(
        name="grid_centres",
        lesson=4,
        number=2,
        task="Give the centres (x, y) of a level's anchors, one a cell, in the package's order.",
        reference=grid_centres,
        probes=(
            Probe(
                lambda rows, columns, stride: grid_centres(rows, columns, stride) + stride / 2,
                WIDE,
                "You put the anchors into the middle of the cells: the first stands at (8, 8). That looks more "
                "natural, but this package and torchvision put them on the cell's top left corner: the first stands at "
                "(0, 0). Weights trained with one grid would be half a cell off in the other.",
            ),
            Probe(
                lambda rows, columns, stride: grid_centres(rows, columns, 1),
                WIDE,
                "These are cells, not pixels: the second is (1, 0). One step in the grid is `stride` pixels in the "
                "picture: (16, 0).",
            ),
            Probe(
                lambda rows, columns, stride: grid_centres(rows, columns, stride) + stride,
                WIDE,
                "You count the cells from 1, so the first stands at (16, 16). Count from 0: the first stands at the "
                "picture's corner, (0, 0).",
            ),
            Probe(
                lambda rows, columns, stride: grid_centres(rows, columns, stride).flip(1),
                WIDE,
                "Each pair is (y, x). Points and boxes go x first: the second centre is (16, 0), one cell to the "
                "right.",
            ),
            Probe(
                column_by_column,
                WIDE,
                "The places are right, but you go down the columns: the second centre is (0, 16). The feature map is "
                "read row by row, like text: first (0, 0), then (16, 0).",
            ),
            Probe(
                lambda rows, columns, stride: grid_centres(columns, rows, stride),
                WIDE,
                "Your grid has 3 rows of 2. The argument `rows` is how often y changes, and `columns` how often x "
                "does: 2 rows of 3.",
            ),
            Probe(
                lambda rows, columns, stride: grid_centres(rows, columns, stride).view(rows, columns, 2),
                WIDE,
                "The places are right, in the shape (rows, columns, 2). One row for each centre is wanted: flatten x "
                "and y, or .reshape(-1, 2).",
            ),
            Probe(
                lambda rows, columns, stride: grid_centres(rows, columns, stride).T,
                WIDE,
                "All x stand in the first row and all y in the second. One row for each centre is wanted: stack them "
                "with dim=1.",
            ),
            Probe(
                to_the_edge,
                WIDE,
                "You spread the centres from one edge of the picture to the other, so the last column stands at "
                "x = 48. The step is the stride, whatever the number of cells: 0, 16, 32.",
            ),
        ),
        cases=(WIDE, (3, 2, 8), (1, 5, 4), (5, 1, 32)),
        draw=lambda generator: tuple(int(v) for v in generator.integers((1, 1, 1), (12, 12, 65))),
        part="grid_anchors",
        fit=of_one_level,
        hints=(
            "Along one axis the centres are 0, stride, 2 · stride, …: torch.arange(columns) * stride for x.",
            "Row by row means: y stays while x runs through all columns. Two loops do it, the outer one over the rows.",
            'y, x = torch.meshgrid(ys, xs, indexing="ij") does it without loops; both have the shape (rows, columns).',
            "Flatten both and stack them: torch.stack([x.flatten(), y.flatten()], dim=1).",
        ),
        reasoning="Cell (i, j) stands for the pixels from (j · stride, i · stride) on, and its anchors are centred "
        "there, on the corner of the cell. This is a convention: the network learns to move boxes by the missing half "
        "cell. But it has to be the same wherever the weights are used. The order is that of the feature map, row by "
        "row, so that the n-th row of the network's output belongs to the n-th anchor.",
        checked="wide and tall grids, a single row, a single column, and 20 random grids",
    )
)
