"""Lesson 05: the box loss of the RPN, what it adds up, and what it divides by."""

import torch
import torch.nn.functional as F

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe


def rpn_box_loss(predicted, wanted, num_sampled):
    """Smooth L1 of the positives' deltas (P, 4), summed, over the number of all sampled anchors."""
    return F.smooth_l1_loss(predicted, wanted, beta=1 / 9, reduction="sum") / max(1, num_sampled)


def over(divisor):
    """A wrong answer: the right sum, divided by a function of (number of positives, number of sampled anchors)."""
    return lambda predicted, wanted, num_sampled: (
        rpn_box_loss(predicted, wanted, 1) / max(1, divisor(len(predicted), num_sampled))
    )


def of_differences(loss):
    """A wrong answer: the sum of another function of the differences, over the number of all sampled anchors."""
    return lambda predicted, wanted, num_sampled: loss(predicted - wanted).sum() / max(1, num_sampled)


def mean_over_numbers(predicted, wanted, num_sampled):
    """A wrong answer: torch's default, the mean over the 4 · P numbers."""
    return F.smooth_l1_loss(predicted, wanted, beta=1 / 9)


def beta_forgotten(predicted, wanted, num_sampled):
    """A wrong answer: torch's default, beta = 1."""
    return F.smooth_l1_loss(predicted, wanted, reduction="sum") / max(1, num_sampled)


def unguarded(predicted, wanted, num_sampled):
    """A wrong answer: 0 / 0 where nothing was sampled."""
    return F.smooth_l1_loss(predicted, wanted, beta=1 / 9, reduction="sum") / num_sampled


def sign_forgotten(difference):
    """Smooth L1 without the absolute value: every negative difference counts as a small one."""
    return torch.where(difference < 1 / 9, 4.5 * difference**2, difference - 1 / 18)


def step_left(difference):
    """Smooth L1 without −β / 2: it jumps where the parabola ends."""
    return torch.where(difference.abs() < 1 / 9, 4.5 * difference**2, difference.abs())


def flat_parabola(difference):
    """Smooth L1 whose parabola is not divided by β."""
    return torch.where(difference.abs() < 1 / 9, 0.5 * difference**2, difference.abs() - 1 / 18)


# The differences are 1, 0.1, 0 and −2: 17/18 + 0.045 + 0 + 35/18 = 2.934. Two positives among twelve sampled anchors.
WANTED = torch.tensor([[0.5, 0, 0, 1], [0.2, -0.3, 0, 0]])
PREDICTED = WANTED + torch.tensor([[1, 0.1, 0, -2], [0, 0, 0, 0]])
TWO_OF_TWELVE = (PREDICTED, WANTED, 12)
NOTHING = (torch.zeros(0, 4), torch.zeros(0, 4), 0)


def random_deltas(generator):
    """Arguments of `rpn_box_loss`: up to 8 positives among up to 40 sampled anchors."""
    positives = int(generator.integers(1, 9))
    predicted, wanted = (torch.from_numpy(generator.normal(0, 0.3, (positives, 4))).float() for _ in range(2))
    return predicted, wanted, positives + int(generator.integers(1, 33))


SHELF.add(
    Exercise(
        name="rpn_box_loss",
        lesson=5,
        number=5,
        task="Give the box loss of the RPN: smooth L1 with beta 1/9, summed, over the number of all sampled anchors.",
        reference=rpn_box_loss,
        probes=(
            Probe(
                mean_over_numbers,
                TWO_OF_TWELVE,
                'You divided by 8, 4 numbers for 2 positives: torch takes the mean unless you say reduction="sum". '
                "Sum, then divide by all 12 sampled anchors.",
            ),
            Probe(
                over(lambda positives, sampled: 1),
                TWO_OF_TWELVE,
                "2.934 is the sum. It grows with the number of sampled anchors, so divide it by num_sampled.",
            ),
            Probe(
                over(lambda positives, sampled: positives),
                TWO_OF_TWELVE,
                "You divided by the 2 positives. Divide by all 12 sampled anchors, as the objectness loss does. "
                "Divided by the positives, a picture with a single one would pull at the boxes as hard as a picture "
                "with fifty.",
            ),
            Probe(
                over(lambda positives, sampled: sampled - positives),
                TWO_OF_TWELVE,
                "You divided by the 10 negatives. Divide by all 12 sampled anchors: num_sampled counts the "
                "positives too.",
            ),
            Probe(
                over(lambda positives, sampled: sampled + positives),
                TWO_OF_TWELVE,
                "You divided by 14. num_sampled = 12 counts the 2 positives already.",
            ),
            Probe(
                over(lambda positives, sampled: 4 * sampled),
                TWO_OF_TWELVE,
                "You divided by 4 as well. The four numbers of a box are added; the sum is divided by the number of "
                "anchors, 12, not by the numbers they hold.",
            ),
            Probe(
                beta_forgotten,
                TWO_OF_TWELVE,
                "Your loss has torch's default, beta = 1. Deltas are mostly smaller than 1, so it would be a square "
                "everywhere and hardly pull at small errors. Say beta=1 / 9.",
            ),
            Probe(
                of_differences(lambda d: F.huber_loss(d, torch.zeros_like(d), delta=1 / 9, reduction="none")),
                TWO_OF_TWELVE,
                "The Huber loss is smooth L1 times beta: yours is 9 times too small. Divide it by beta, or use "
                "F.smooth_l1_loss.",
            ),
            Probe(
                of_differences(torch.abs),
                TWO_OF_TWELVE,
                "That is L1, the plain absolute difference. Smooth L1 is a parabola below beta = 1/9, so that the "
                "slope does not jump at 0, and |d| − beta / 2 above.",
            ),
            Probe(
                of_differences(torch.square),
                TWO_OF_TWELVE,
                "That is the squared difference: the one delta that is off by 2 makes 4 of it and outweighs all "
                "others. Smooth L1 grows like |d| from beta = 1/9 on.",
            ),
            Probe(
                of_differences(sign_forgotten),
                TWO_OF_TWELVE,
                "The difference −2 counted as smaller than beta, so it was squared. Compare its absolute value with "
                "beta.",
            ),
            Probe(
                of_differences(step_left),
                TWO_OF_TWELVE,
                "Above beta you take |d|; it is |d| − beta / 2. Without that the loss jumps at beta, from 0.056 to "
                "0.111.",
            ),
            Probe(
                of_differences(flat_parabola),
                TWO_OF_TWELVE,
                "Below beta you take d² / 2; it is d² / (2 · beta). Without that the two pieces do not meet: at beta "
                "the loss would jump from 0.006 to 0.056.",
            ),
            Probe(
                unguarded,
                NOTHING,
                "Nothing was sampled, and 0 / 0 is not a number. One such batch would turn every weight of the model "
                "into NaN. Divide by max(1, num_sampled).",
            ),
        ),
        cases=(TWO_OF_TWELVE, NOTHING, (PREDICTED[:0], WANTED[:0], 6), (WANTED, WANTED, 4)),
        draw=random_deltas,
        gradients=(PREDICTED.double().requires_grad_(), WANTED.double() + 0.05, 12),
        hints=(
            "F.smooth_l1_loss(predicted, wanted, …) knows the formula; look at its arguments beta and reduction.",
            'beta=1 / 9 and reduction="sum". Only the positives come in: a negative has no box to learn.',
            "Divide by num_sampled, and by 1 where that is 0: max(1, num_sampled).",
        ),
        reasoning="A negative has no box to learn, so only positives enter the sum. The divisor still counts all "
        "sampled anchors: it is that of the objectness loss, so the two keep their balance in every picture, and a "
        "picture with few positives has little to say about boxes. The original paper divides by the number of anchor "
        "positions and weighs by 10, which comes to nearly the same. beta = 1/9 makes the loss linear from a ninth of "
        "a side on.",
        checked="differences worked out by hand, no positives, nothing sampled, a perfect prediction, 20 random sets "
        "of deltas, and the gradient in float64",
    )
)
