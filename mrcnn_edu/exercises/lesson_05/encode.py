"""Lesson 05: the four numbers between an anchor and its box."""

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe
from mrcnn_edu.exercises.lesson_05.pairs import ANCHOR, BOX, TWO_PAIRS, parts, random_boxes


def encode(boxes, anchors):
    """Deltas (dx, dy, dw, dh) that move each anchor onto its box: (N, 4) and (N, 4) → (N, 4)."""
    box_sides, anchor_sides = boxes[:, 2:] - boxes[:, :2], anchors[:, 2:] - anchors[:, :2]
    offset = (boxes[:, :2] + boxes[:, 2:] - anchors[:, :2] - anchors[:, 2:]) / 2
    return torch.cat([offset / anchor_sides, torch.log(box_sides / anchor_sides)], dim=1)


def encoded(offset=None, stretch=None):
    """A wrong answer: (dx, dy), or (dw, dh), from functions of the box's and the anchor's corner, centre and sides."""

    def wrong(boxes, anchors):
        deltas, box, anchor = encode(boxes, anchors), parts(boxes), parts(anchors)
        xy = offset(*box, *anchor) if offset else deltas[:, :2]
        wh = stretch(*box, *anchor) if stretch else deltas[:, 2:]
        return torch.cat([xy, wh], dim=1)

    return wrong


PAIR = (BOX, ANCHOR)
BY_HAND = (
    "The anchor is 32 wide and 64 high with its centre at (32, 48), the box 64 wide and 16 high with its centre at "
    "(64, 16). "
)


def random_pairs(generator):
    """Arguments of `encode`: 1 to 6 boxes, each with an anchor."""
    count = int(generator.integers(1, 7))
    return random_boxes(generator, count), random_boxes(generator, count)


def encode_weighted(attempt):
    """The reader's `encode` with the model's weights, by which each delta is multiplied."""
    return lambda boxes, anchors, weights: attempt(boxes, anchors) * boxes.new_tensor(weights)


SHELF.add(
    Exercise(
        name="encode",
        lesson=5,
        number=1,
        task="Give the deltas (dx, dy, dw, dh) that move each anchor onto its box.",
        reference=encode,
        probes=(
            Probe(
                lambda boxes, anchors: encode(anchors, boxes),
                PAIR,
                "These deltas go the other way, from the box to the anchor: dx is negative although the box lies to "
                "the right. The anchor is the start: subtract its centre and divide by its sides.",
            ),
            Probe(
                encoded(offset=lambda b, b_xy, b_wh, a, a_xy, a_wh: (b_xy - a_xy) / b_wh),
                PAIR,
                BY_HAND + "You divided by the box's sides, 32 / 64. The box is what the network has to find; it knows "
                "only the anchor, so the anchor's sides are the unit: 32 / 32 = 1.",
            ),
            Probe(
                encoded(stretch=lambda b, b_xy, b_wh, a, a_xy, a_wh: b_wh / a_wh),
                PAIR,
                BY_HAND + "dw = 64 / 32 = 2 is the factor itself. Its logarithm is wanted, log 2 = 0.69: twice as wide "
                "and half as wide are then equally far from 0.",
            ),
            Probe(
                encoded(stretch=lambda b, b_xy, b_wh, a, a_xy, a_wh: torch.log2(b_wh / a_wh)),
                PAIR,
                BY_HAND + "log2(64 / 32) = 1. Wanted is the natural logarithm, torch.log, because decode takes it back "
                "with exp: log 2 = 0.69.",
            ),
            Probe(
                encoded(stretch=lambda b, b_xy, b_wh, a, a_xy, a_wh: torch.log10(b_wh / a_wh)),
                PAIR,
                BY_HAND + "log10(64 / 32) = 0.30. Wanted is the natural logarithm, torch.log, because decode takes it "
                "back with exp: log 2 = 0.69.",
            ),
            Probe(
                encoded(stretch=lambda b, b_xy, b_wh, a, a_xy, a_wh: torch.log(a_wh / b_wh)),
                PAIR,
                BY_HAND + "The box is wider than the anchor, so dw should be above 0. Your fraction stands upside "
                "down: log(box / anchor), not log(anchor / box).",
            ),
            Probe(
                encoded(stretch=lambda b, b_xy, b_wh, a, a_xy, a_wh: (b_wh - a_wh) / a_wh),
                PAIR,
                BY_HAND + "(64 − 32) / 32 = 1 is the change in width as a share. Wanted is the logarithm of the "
                "factor, log(64 / 32) = 0.69. A share can fall to −1 only, a logarithm as far as it likes.",
            ),
            Probe(
                encoded(offset=lambda b, b_xy, b_wh, a, a_xy, a_wh: (a_xy - b_xy) / a_wh),
                PAIR,
                BY_HAND + "The box lies to the right of the anchor, so dx should be above 0: box minus anchor.",
            ),
            Probe(
                encoded(offset=lambda b, b_xy, b_wh, a, a_xy, a_wh: b_xy - a_xy),
                PAIR,
                BY_HAND + "dx = 32 is in pixels. Divide by the anchor's width: 32 / 32 = 1, one anchor's width to the "
                "right. Then small and large anchors speak the same language.",
            ),
            Probe(
                encoded(offset=lambda b, b_xy, b_wh, a, a_xy, a_wh: (b - a) / a_wh),
                PAIR,
                BY_HAND + "You took the difference of the top left corners, (32 − 16) / 32 = 0.5. dx and dy move the "
                "centre: (64 − 32) / 32 = 1.",
            ),
            Probe(
                encoded(offset=lambda b, b_xy, b_wh, a, a_xy, a_wh: (b_wh / 2 - a_wh / 2) / a_wh),
                PAIR,
                BY_HAND + "You took half a side for the centre. The centre is x1 + width / 2, counted from the "
                "picture's corner: 32 + 64 / 2 = 64 for the box.",
            ),
            Probe(
                lambda boxes, anchors: torch.cat(
                    [(boxes[:, :2] - anchors[:, :2]) / anchors[:, 2:], torch.log(boxes[:, 2:] / anchors[:, 2:])], dim=1
                ),
                PAIR,
                "You read the four numbers as (x, y, width, height). They are two corners, (x1, y1, x2, y2): the width "
                "is x2 − x1, and the centre x1 + width / 2.",
            ),
            Probe(
                encoded(offset=lambda b, b_xy, b_wh, a, a_xy, a_wh: (b_xy - a_xy) / a_wh.flip(1)),
                PAIR,
                BY_HAND + "You divided dx by the anchor's height and dy by its width. Each by its own: dx by the "
                "width, dy by the height.",
            ),
            Probe(
                lambda boxes, anchors: encode(boxes, anchors)[:, [1, 0, 3, 2]],
                PAIR,
                "The numbers are right, but they stand as (dy, dx, dh, dw). x comes before y, and the width before the "
                "height.",
            ),
            Probe(
                lambda boxes, anchors: encode(boxes, anchors)[:, [0, 2, 1, 3]],
                PAIR,
                "The numbers are right, but they stand as (dx, dw, dy, dh). First the two that move, then the two that "
                "stretch: (dx, dy, dw, dh).",
            ),
            Probe(
                lambda boxes, anchors: encode(boxes, anchors).T,
                TWO_PAIRS,
                "All dx stand in the first row, all dy in the second. One row for each box is wanted: stack them with "
                "dim=1.",
            ),
        ),
        cases=(PAIR, (ANCHOR, ANCHOR), TWO_PAIRS, (BOX[:0], ANCHOR[:0])),
        draw=random_pairs,
        part="encode",
        fit=encode_weighted,
        gradients=tuple(boxes.double().requires_grad_() for boxes in TWO_PAIRS),
        hints=(
            "Write centre and sides of both first: w = x2 − x1 and x = x1 + w / 2, and the same for h and y.",
            "dx is how far the box's centre lies to the right of the anchor's, counted in anchor widths. dw is the "
            "logarithm of how many times as wide the box is.",
            "dx = (box_x − anchor_x) / anchor_w, and dw = torch.log(box_w / anchor_w). Put the four into columns with "
            "torch.stack([dx, dy, dw, dh], dim=1).",
        ),
        reasoning="One network serves anchors of all sizes, so its answer has to mean the same for each of them: "
        "offsets are counted in the anchor's sides, and sides as factors. The logarithm makes a factor of 2 and of 1/2 "
        "equally far from 0, and whatever number the network answers, exp of it is a positive side.",
        checked="pairs worked out by hand, an anchor that is the box, no boxes, 20 random sets of boxes, "
        "and the gradient in float64",
    )
)
