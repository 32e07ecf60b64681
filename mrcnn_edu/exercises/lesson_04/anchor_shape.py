"""Lesson 04: width and height of an anchor, from scale and ratio."""

import math
from math import sqrt

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe


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
