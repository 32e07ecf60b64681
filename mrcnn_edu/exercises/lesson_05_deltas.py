"""Lesson 05, the deltas: the four numbers between an anchor and a box, both ways."""

import math

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe
from mrcnn_edu.exercises.predict import add_question

add_question(
    "deltas_of_zero",
    "For one anchor the network answers with four zeros: dx = dy = dw = dh = 0. Which box does that make?",
    (
        "An empty one: width and height are 0",
        False,
        "dw is not the width. It is the logarithm of a factor, and exp(0) = 1: the width is multiplied by 1.",
    ),
    (
        "The anchor itself",
        True,
        "Moved by 0 of its sides, and stretched by exp(0) = 1. A network that answers nothing yet proposes the "
        "anchors.",
    ),
    (
        "One of the anchor's size in the picture's corner",
        False,
        "dx and dy count from the anchor's centre, not from the corner of the picture. 0 means: stay where you are.",
    ),
)


def encode(boxes, anchors):
    """Deltas (dx, dy, dw, dh) that move each anchor onto its box: (N, 4) and (N, 4) → (N, 4)."""
    box_sides, anchor_sides = boxes[:, 2:] - boxes[:, :2], anchors[:, 2:] - anchors[:, :2]
    offset = (boxes[:, :2] + boxes[:, 2:] - anchors[:, :2] - anchors[:, 2:]) / 2
    return torch.cat([offset / anchor_sides, torch.log(box_sides / anchor_sides)], dim=1)


def parts(boxes):
    """Top left corners, centres and sides of boxes, (N, 2) each."""
    return boxes[:, :2], (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]


def encoded(offset=None, stretch=None):
    """A wrong answer: (dx, dy), or (dw, dh), from functions of the box's and the anchor's corner, centre and sides."""

    def wrong(boxes, anchors):
        deltas, box, anchor = encode(boxes, anchors), parts(boxes), parts(anchors)
        xy = offset(*box, *anchor) if offset else deltas[:, :2]
        wh = stretch(*box, *anchor) if stretch else deltas[:, 2:]
        return torch.cat([xy, wh], dim=1)

    return wrong


# The anchor is 32 wide and 64 high, centred on (32, 48); the box 64 wide and 16 high, centred on (64, 16).
ANCHOR, BOX = torch.tensor([[16.0, 16, 48, 80]]), torch.tensor([[32.0, 8, 96, 24]])
PAIR = (BOX, ANCHOR)
BY_HAND = (
    "The anchor is 32 wide and 64 high with its centre at (32, 48), the box 64 wide and 16 high with its centre at "
    "(64, 16). "
)


def random_boxes(generator, count):
    """Boxes (count, 4) with sides of 4 to 80 pixels."""
    corner = torch.from_numpy(generator.uniform(0, 100, (count, 2))).float()
    return torch.cat([corner, corner + torch.from_numpy(generator.uniform(4, 80, (count, 2))).float()], dim=1)


def random_pairs(generator):
    """Arguments of `encode`: 1 to 6 boxes, each with an anchor."""
    count = int(generator.integers(1, 7))
    return random_boxes(generator, count), random_boxes(generator, count)


def encode_weighted(attempt):
    """The reader's `encode` with the model's weights, by which each delta is multiplied."""
    return lambda boxes, anchors, weights: attempt(boxes, anchors) * boxes.new_tensor(weights)


TWO_PAIRS = (torch.tensor([[0.0, 0, 20, 10], [30, 30, 40, 70]]), torch.tensor([[0.0, 0, 16, 16], [20, 40, 52, 56]]))

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


def decode(deltas, anchors):
    """Boxes that the deltas make of the anchors: (N, 4) and (N, 4) → (N, 4)."""
    sides = anchors[:, 2:] - anchors[:, :2]
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2 + deltas[:, :2] * sides
    sides = sides * torch.exp(deltas[:, 2:].clamp(max=math.log(1000 / 16)))
    return torch.cat([centres - sides / 2, centres + sides / 2], dim=1)


def decoded(centre=None, sides=None, corners=None):
    """A wrong answer: centre, or sides, from functions of (corner, centre and sides of the anchor, t_xy, t_wh).

    `corners` makes four numbers of the right centre and sides.
    """

    def wrong(deltas, anchors):
        _, xy, wh = parts(decode(deltas, anchors))
        given = (*parts(anchors), deltas[:, :2], deltas[:, 2:])
        xy = centre(*given) if centre else xy
        wh = sides(*given) if sides else wh
        return torch.cat(corners(xy, wh) if corners else [xy - wh / 2, xy + wh / 2], dim=1)

    return wrong


LIMIT = math.log(1000 / 16)
MOVE = (torch.tensor([[1.0, -0.5, math.log(2), math.log(0.25)]]), ANCHOR)
WIDER, THINNER = torch.tensor([[0.0, 0, 10, 0]]), torch.tensor([[0.0, 0, -10, 0]])
MOVED = (
    "The anchor is 32 wide and 64 high with its centre at (32, 48), the deltas are (1, −0.5, log 2, log ¼). The box "
    "is 64 wide and 16 high with its centre at (64, 16). "
)


def decode_weighted(attempt):
    """The reader's `decode` with the model's weights, by which each delta is divided."""
    return lambda deltas, anchors, weights: attempt(deltas / deltas.new_tensor(weights), anchors)


def random_moves(generator):
    """Arguments of `decode`: 1 to 6 anchors, each with its deltas."""
    anchors = random_boxes(generator, int(generator.integers(1, 7)))
    return torch.from_numpy(generator.normal(0, 1.5, anchors.shape)).float(), anchors


SHELF.add(
    Exercise(
        name="decode",
        lesson=5,
        number=2,
        task="Give the boxes that the deltas (dx, dy, dw, dh) make of the anchors.",
        reference=decode,
        probes=(
            Probe(
                decoded(sides=lambda a, a_xy, a_wh, t_xy, t_wh: a_wh * t_wh),
                MOVE,
                MOVED + "You multiplied the width by dw = 0.69. dw is the logarithm of the factor; exp(0.69) = 2 is "
                "the factor.",
            ),
            Probe(
                decoded(sides=lambda a, a_xy, a_wh, t_xy, t_wh: a_wh * (1 + t_wh)),
                MOVE,
                MOVED + "You took dw for a share: 1 + 0.69 times as wide. It is the logarithm of the factor: exp(0.69) "
                "= 2 times as wide. With dh = −1.39 yours has a negative height.",
            ),
            Probe(
                decoded(sides=lambda a, a_xy, a_wh, t_xy, t_wh: a_wh + torch.exp(t_wh)),
                MOVE,
                MOVED + "exp(dw) = 2 is a factor. You added it to the width, 32 + 2; multiply: 32 · 2.",
            ),
            Probe(
                decoded(centre=lambda a, a_xy, a_wh, t_xy, t_wh: a_xy + t_xy),
                MOVE,
                MOVED + "You moved the centre by 1 pixel. dx = 1 means one anchor's width, so multiply it by 32.",
            ),
            Probe(
                decoded(centre=lambda a, a_xy, a_wh, t_xy, t_wh: a + t_xy * a_wh),
                MOVE,
                MOVED + "You started from the anchor's top left corner, (16, 16), and used it as centre. Start from "
                "the centre, (32, 48): it is x1 + width / 2.",
            ),
            Probe(
                decoded(centre=lambda a, a_xy, a_wh, t_xy, t_wh: a_xy + t_xy * a_wh * torch.exp(t_wh)),
                MOVE,
                MOVED + "You moved the centre by one width of the new box. The unit is the anchor's width: 32 + 1 · "
                "32.",
            ),
            Probe(
                decoded(centre=lambda a, a_xy, a_wh, t_xy, t_wh: a_xy + t_xy * a_wh.flip(1)),
                MOVE,
                MOVED + "You counted dx in anchor heights and dy in anchor widths. Each in its own side.",
            ),
            Probe(
                decoded(sides=lambda a, a_xy, a_wh, t_xy, t_wh: a_wh.flip(1) * torch.exp(t_wh)),
                MOVE,
                MOVED + "You stretched the anchor's height into the width: 64 · 2. The width comes from the width, 32 "
                "· 2.",
            ),
            Probe(
                decoded(sides=lambda a, a_xy, a_wh, t_xy, t_wh: a_wh * torch.exp(t_wh.flip(1))),
                MOVE,
                MOVED + "dw and dh have changed places: dw, the third number, stretches the width.",
            ),
            Probe(
                decoded(corners=lambda xy, wh: [xy, wh]),
                MOVE,
                MOVED + "You give (x, y, width, height). A box is two corners here: centre minus and plus half a side.",
            ),
            Probe(
                decoded(corners=lambda xy, wh: [xy, xy + wh]),
                MOVE,
                MOVED + "Your box begins at its centre. Half of each side lies before the centre: x1 = x − width / 2.",
            ),
            Probe(
                decoded(corners=lambda xy, wh: [xy - wh, xy + wh]),
                MOVE,
                MOVED + "Yours is twice as wide and high: from the centre to an edge it is only half a side.",
            ),
            Probe(
                decoded(
                    centre=lambda a, a_xy, a_wh, t_xy, t_wh: a + t_xy * a_wh,
                    corners=lambda xy, wh: [xy, xy + wh],
                ),
                MOVE,
                MOVED + "You moved the top left corner and stretched to the right and down from there. dx and dy move "
                "the centre, and the box grows to both sides of it.",
            ),
            Probe(
                decoded(sides=lambda a, a_xy, a_wh, t_xy, t_wh: a_wh * torch.exp(t_wh)),
                (WIDER, ANCHOR),
                "dw = 10 makes your box exp(10) = 22026 times as wide as the anchor; with dw = 100 it is infinite. "
                "Stop dw and dh at log(1000 / 16) first: .clamp(max=math.log(1000 / 16)).",
            ),
            Probe(
                decoded(sides=lambda a, a_xy, a_wh, t_xy, t_wh: a_wh * torch.exp(t_wh).clamp(max=LIMIT)),
                (WIDER, ANCHOR),
                "You stop the factor at log(1000 / 16) = 4.1, so nothing could grow more than 4.1 times. That is the "
                "limit of dw, before exp: the factor may reach 62.5.",
            ),
            Probe(
                decoded(sides=lambda a, a_xy, a_wh, t_xy, t_wh: a_wh * torch.exp(t_wh.clamp(-LIMIT, LIMIT))),
                (THINNER, ANCHOR),
                "You stop dw at both ends. Only the upper end is dangerous: exp of a very negative number is close to "
                "0, never infinite. Clamp with max alone.",
            ),
            Probe(
                lambda deltas, anchors: decode(deltas.clamp(max=LIMIT), anchors),
                (torch.tensor([[6.0, 0, 0, 0]]), ANCHOR),
                "You stop dx and dy as well. They pass through no exp, so they need no limit: clamp the last two "
                "numbers only, deltas[:, 2:].",
            ),
        ),
        cases=(
            MOVE,
            (torch.zeros(1, 4), ANCHOR),
            (torch.tensor([[0.0, 0, 5, 5], [9, -9, -9, 9]]), TWO_PAIRS[1]),
            (BOX[:0], ANCHOR[:0]),
        ),
        draw=random_moves,
        part="decode",
        fit=decode_weighted,
        gradients=(
            torch.tensor([[0.3, -0.2, 0.5, -0.7], [1.5, 0.1, -2.0, 1.0]], dtype=torch.float64, requires_grad=True),
            TWO_PAIRS[1].double().requires_grad_(),
        ),
        hints=(
            "Undo `encode` step by step. From dx = (box_x − anchor_x) / anchor_w follows box_x = …",
            "box_x = anchor_x + dx · anchor_w, and box_w = anchor_w · exp(dw), where dw is first stopped at "
            "math.log(1000 / 16).",
            "Now you have centre and sides; the corners are x1 = box_x − box_w / 2 and x2 = box_x + box_w / 2. Stack "
            "the four with dim=1.",
        ),
        reasoning="The inverse of encode: offsets times the anchor's sides, exp for the logarithm. The limit 1000 / 16 "
        "lets no side grow more than 62.5 times, enough for an anchor of 16 pixels in a picture of 1000. It is there "
        "because an untrained network may answer anything, and exp(100) is no width.",
        checked="boxes worked out by hand, deltas of zero, deltas beyond the limit, no boxes, 20 random sets of "
        "deltas, and the gradient in float64",
    )
)
