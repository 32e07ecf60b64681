"""Lesson 00: the semantic answer, made from the instances."""

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe
from mrcnn_edu.exercises.lesson_00.scenes import OVERLAP, TOUCHING, TOUCHING_LABELS, random_scene


def class_map(labels, masks):
    """Class number of every pixel (H, W), 0 for the background, from labels (N,) and masks (N, H, W), surest first."""
    answer = torch.zeros(masks.shape[1:], dtype=torch.int64)
    for i in reversed(range(len(labels))):
        answer[masks[i]] = labels[i]
    return answer


def last_wins(labels, masks):
    """A wrong answer: written in the order of the list, so the least sure object covers the others."""
    return class_map(labels.flip(0), masks.flip(0))


def instance_numbers(labels, masks):
    """A wrong answer: the object's number instead of its class."""
    return class_map(torch.arange(1, len(labels) + 1), masks)


def foreground_only(labels, masks):
    """A wrong answer: object or not, without the class."""
    return masks.any(dim=0).long()


def labels_added(labels, masks):
    """A wrong answer: labels add up where masks overlap."""
    return (masks * labels[:, None, None]).sum(dim=0)


def largest_wins(labels, masks):
    """A wrong answer: the largest class number wins where masks overlap."""
    return torch.cat([torch.zeros_like(masks[:1], dtype=torch.int64), masks * labels[:, None, None]]).amax(dim=0)


def masks_counted(labels, masks):
    """A wrong answer: how many masks cover each pixel."""
    return masks.sum(dim=0)


def background_forgotten(labels, masks):
    """A wrong answer: each pixel gets the label of its surest mask, those under no mask that of the first object."""
    return labels[masks.int().argmax(dim=0)]


SHELF.add(
    Exercise(
        name="class_map",
        lesson=0,
        number=2,
        task="From the instances, make the semantic answer: a map with the class number of every pixel.",
        reference=class_map,
        probes=(
            Probe(
                instance_numbers,
                (TOUCHING_LABELS, TOUCHING),
                "Your map holds the number of the object, 1, 2, 3, …: that tells instances apart. The semantic answer "
                "holds the class, labels[i], so two coins get the same number.",
            ),
            Probe(
                masks_counted,
                (TOUCHING_LABELS, OVERLAP[[0, 1, 1]]),
                "Your map counts how many masks cover a pixel. The semantic answer is the class there: write labels[i] "
                "where mask i is true.",
            ),
            Probe(
                foreground_only,
                (TOUCHING_LABELS, TOUCHING),
                "Your map only says object or no object. The semantic answer says which class: write labels[i] where "
                "mask i is true.",
            ),
            Probe(
                labels_added,
                (torch.tensor([1, 1]), OVERLAP),
                "Where two masks overlap, your map adds their labels, and two objects of class 1 become class 2. "
                "Write the label instead of adding it.",
            ),
            Probe(
                background_forgotten,
                (torch.tensor([2, 1]), OVERLAP),
                "Pixels under no mask get the class of the first object. They are background: 0. argmax answers 0, "
                "the first object, also where no mask is true.",
            ),
            Probe(
                last_wins,
                (torch.tensor([2, 1]), OVERLAP),
                "Where two masks overlap, what you write last covers what you wrote first, and that is the object the "
                "model is least sure of. Begin with the least sure one: go through the list backwards.",
            ),
            Probe(
                largest_wins,
                (torch.tensor([1, 2]), OVERLAP),
                "Where two masks overlap, you take the larger class number. A class number is a name, not a size: the "
                "first object in the list, the surest, counts.",
            ),
        ),
        cases=((TOUCHING_LABELS, TOUCHING), (torch.tensor([2, 1]), OVERLAP), (torch.zeros(0).long(), TOUCHING[:0])),
        draw=random_scene,
        hints=(
            "Begin with a map of zeros, torch.zeros(masks.shape[1:], dtype=torch.int64): zero is the background.",
            "Go through the objects, and write labels[i] into the places where masks[i] is true.",
            "answer[masks[i]] = labels[i] writes into all those places at once. What is written last stays, so write "
            "the surest object last: for i in reversed(range(len(labels))).",
        ),
        reasoning="The objects are written from the last to the first, so that the surest stays where masks overlap. "
        "The map has one number per pixel, so there is no room for two facts. It keeps the class and loses "
        "which object a pixel belongs to. That is why the way back, from the map to the instances, does not exist when "
        "objects of one class touch.",
        checked="touching objects, overlapping objects, an empty picture, and 20 random scenes",
    )
)
