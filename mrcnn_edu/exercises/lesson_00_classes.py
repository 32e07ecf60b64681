"""Lesson 00: what an instance is, and what a class map loses."""

import torch
from skimage.measure import label as connected_components

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe
from mrcnn_edu.exercises.predict import add_question

add_question(
    "touching_coins",
    "A semantic model marks every pixel of a photograph as coin or background, without one mistake. Two of the coins "
    "touch. You have only its answer. How many separate regions do those two coins make in it?",
    ("Two", False, "The pixels of both coins carry the same word, coin. Where they touch, nothing marks the border."),
    ("One", True, "All their pixels say coin and hang together: one region. Whose pixel it is was never asked."),
    ("None", False, "The coins are still there: all their pixels say coin. What is lost is where one of them ends."),
)


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


def picture(*rows):
    """Rows of digits → a bool mask for each digit from 1 up."""
    numbers = torch.tensor([[int(c) for c in row] for row in rows])
    return torch.stack([numbers == n for n in range(1, int(numbers.max()) + 1)])


# Two objects of class 1 that touch, and one of class 3.
TOUCHING = picture("1122000", "1122033", "0000033")
TOUCHING_LABELS = torch.tensor([1, 1, 3])
OVERLAP = torch.tensor([[[1, 1, 1, 0, 0]], [[0, 0, 1, 1, 0]]], dtype=torch.bool)


def random_scene(generator):
    """Labels and separate masks of 1 to 6 rectangles."""
    count = int(generator.integers(1, 7))
    masks = torch.zeros(count, 12, 24, dtype=torch.bool)
    for number in range(count):
        height, width = generator.integers(1, 12), generator.integers(1, 5)
        masks[number, :height, number * 4 : number * 4 + width] = True
    return torch.from_numpy(generator.integers(1, 5, count)), masks


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
