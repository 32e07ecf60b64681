"""Lesson 05: the way back, from four numbers to a box."""

import math

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe
from mrcnn_edu.exercises.lesson_05.pairs import ANCHOR, BOX, TWO_PAIRS, parts, random_boxes


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
