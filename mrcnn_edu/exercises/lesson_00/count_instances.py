"""Lesson 00: counting objects, which a class map cannot do."""

import torch
from skimage.measure import label as connected_components

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe
from mrcnn_edu.exercises.lesson_00.class_map import class_map
from mrcnn_edu.exercises.lesson_00.scenes import OVERLAP, TOUCHING, TOUCHING_LABELS, picture, random_scene


def count_instances(semantic, labels, masks, wanted):
    """How many objects of class `wanted` there are."""
    return int((labels == wanted).sum())


def classes_counted(semantic, labels, masks, wanted):
    """A wrong answer: takes the class map for a list of instances."""
    return len(semantic[semantic > 0].unique())


def regions_counted(semantic, labels, masks, wanted):
    """A wrong answer: objects that touch count once."""
    return int(connected_components((semantic == wanted).numpy(), connectivity=2).max())


def all_counted(semantic, labels, masks, wanted):
    """A wrong answer: ignores the class."""
    return len(masks)


def pixels_counted(semantic, labels, masks, wanted):
    """A wrong answer: counts pixels, not objects."""
    return int((semantic == wanted).sum())


def which_are(semantic, labels, masks, wanted):
    """A wrong answer: true or false for each object."""
    return labels == wanted


def masks_on_the_class(semantic, labels, masks, wanted):
    """A wrong answer: counts the masks that hold a pixel of the class, their own or another's."""
    return int(sum((semantic[mask] == wanted).any() for mask in masks))


def presence(semantic, labels, masks, wanted):
    """A wrong answer: whether the class is there, not how often."""
    return int((semantic == wanted).any())


def random_count(generator):
    """Arguments of `count_instances` for a random scene."""
    labels, masks = random_scene(generator)
    return class_map(labels, masks), labels, masks, int(generator.integers(1, 5))


def counted(labels, masks, wanted):
    """Arguments of `count_instances`, the class map made from labels and masks."""
    return class_map(labels, masks), labels, masks, wanted


EXAMPLE = counted(TOUCHING_LABELS, TOUCHING, 1)

SHELF.add(
    Exercise(
        name="count_instances",
        lesson=0,
        number=3,
        task="Count the objects of one class.",
        reference=count_instances,
        probes=(
            Probe(
                classes_counted,
                counted(torch.tensor([1, 1, 3, 1]), picture("1122000", "1122033", "4400033"), 1),
                "You counted the different numbers in the class map. Those are classes: three coins carry one number. "
                "The class map is not a list of instances; labels has one entry for each object.",
            ),
            Probe(
                regions_counted,
                counted(torch.tensor([1, 1, 3, 1]), picture("112200004", "112203304", "000003300"), 1),
                "You counted connected regions of the class map. Two objects that touch are one region, so they count "
                "once. The class map cannot tell them apart; labels and masks can.",
            ),
            Probe(
                which_are,
                EXAMPLE,
                "You say for each object whether it is of the class. Count the true ones: .sum() adds them up.",
            ),
            Probe(
                presence,
                EXAMPLE,
                "You asked whether the class is there, not how often. The class map can answer only the first; use "
                "labels, which has one entry for each object.",
            ),
            Probe(
                all_counted,
                EXAMPLE,
                "You counted every object, whatever its class. Count only the entries of labels that equal wanted.",
            ),
            Probe(
                masks_on_the_class,
                counted(torch.tensor([1, 2]), OVERLAP, 1),
                "You counted the masks that hold a pixel of the class. Where two masks overlap, the pixel has the "
                "class of only one of them, so the other is counted too. An object's class stands in labels.",
            ),
            Probe(
                pixels_counted,
                EXAMPLE,
                "You counted pixels. An object covers many of them; labels has one entry for each object.",
            ),
        ),
        cases=(
            EXAMPLE,
            counted(TOUCHING_LABELS, TOUCHING, 3),
            counted(TOUCHING_LABELS, TOUCHING, 2),
            counted(torch.zeros(0).long(), TOUCHING[:0], 1),
        ),
        draw=random_count,
        hints=(
            "Which of the arguments has exactly one entry for each object?",
            "labels == wanted is true for every object of that class.",
            "The sum of a bool tensor is the number of its true entries; int() makes a number of it.",
        ),
        reasoning="Semantic segmentation gives each pixel a class, and says nothing about objects. Instance "
        "segmentation gives each object a label and a mask, so counting is counting the labels. The masks are not even "
        "needed.",
        checked="two touching objects, a class that is absent, an empty picture, and 20 random scenes",
    )
)
