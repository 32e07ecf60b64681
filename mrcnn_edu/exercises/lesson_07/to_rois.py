"""Lesson 07: the table of RoIs."""

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe


def to_rois(boxes, labels):
    """All boxes of a batch as RoIs (R, 5): the image's number, then x1, y1, x2, y2."""
    return torch.cat([torch.cat([torch.full((len(b), 1), float(i)), b], dim=1) for i, b in enumerate(boxes)])


def class_first(boxes, labels):
    """A wrong answer: the class in column 0."""
    return torch.cat([torch.cat([la[:, None].float(), b], dim=1) for la, b in zip(labels, boxes, strict=True)])


def image_last(boxes, labels):
    """A wrong answer: the image's number in the last column."""
    return to_rois(boxes, labels)[:, [1, 2, 3, 4, 0]]


def all_first_image(boxes, labels):
    """A wrong answer: every box belongs to image 0."""
    rois = to_rois(boxes, labels)
    return rois * torch.tensor([0.0, 1, 1, 1, 1])


def counted_from_one(boxes, labels):
    """A wrong answer: the first image is number 1."""
    return to_rois(boxes, labels) + torch.tensor([1.0, 0, 0, 0, 0])


def numbered_boxes(boxes, labels):
    """A wrong answer: the box's number instead of the image's."""
    rois = to_rois(boxes, labels)
    return torch.cat([torch.arange(float(len(rois)))[:, None], rois[:, 1:]], dim=1)


def with_sides(boxes, labels):
    """A wrong answer: width and height instead of the second corner."""
    rois = to_rois(boxes, labels)
    return torch.cat([rois[:, :3], rois[:, 3:] - rois[:, 1:3]], dim=1)


def no_number(boxes, labels):
    """A wrong answer: the boxes alone."""
    return torch.cat(list(boxes))


TWO_IMAGES = (
    [torch.tensor([[2.0, 3.0, 10.0, 12.0], [0.0, 1.0, 5.0, 6.0]]), torch.tensor([[4.0, 4.0, 9.0, 8.0]])],
    [torch.tensor([3, 1]), torch.tensor([2])],
)


def random_boxes(generator):
    """Boxes and labels of 1 to 4 images, some without any."""
    boxes, labels = [], []
    for count in generator.integers(0, 5, generator.integers(1, 5)):
        corners = torch.from_numpy(generator.uniform(0, 50, (count, 2))).float()
        sides = torch.from_numpy(generator.uniform(1, 50, (count, 2))).float()
        boxes.append(torch.cat([corners, corners + sides], dim=1))
        labels.append(torch.from_numpy(generator.integers(1, 5, count)))
    return boxes, labels


SHELF.add(
    Exercise(
        name="to_rois",
        lesson=7,
        number=3,
        task="Put the boxes of all images into one table, as RoIAlign wants it.",
        reference=to_rois,
        probes=(
            Probe(
                class_first,
                TWO_IMAGES,
                "Column 0 holds the class in your table. RoIAlign would take it for the number of the image, and read "
                "class 3 from image 3. Nothing fails as long as that image exists; the result is only wrong. What "
                "RoIAlign needs to know is from which image's map to read.",
            ),
            Probe(
                all_first_image,
                TWO_IMAGES,
                "Every row says image 0. With one image that is right, which is why this mistake lives long; with two, "
                "all boxes are read from the first one's map.",
            ),
            Probe(
                counted_from_one,
                TWO_IMAGES,
                "You count images from 1. The number is an index into the batch, F[i], so the first image is 0.",
            ),
            Probe(
                numbered_boxes,
                TWO_IMAGES,
                "You numbered the boxes, not the images. All boxes of one image carry the same number.",
            ),
            Probe(
                image_last,
                TWO_IMAGES,
                "The image's number stands last. It comes first: (image, x1, y1, x2, y2). The operator would read your "
                "x1 as the number of an image.",
            ),
            Probe(
                with_sides,
                TWO_IMAGES,
                "Your rows end in width and height. RoIAlign takes two corners, x1, y1, x2, y2, as the boxes come.",
            ),
            Probe(
                no_number,
                TWO_IMAGES,
                "Your rows have four numbers: nothing says to which image a box belongs. Put the image's number in "
                "front.",
            ),
        ),
        cases=(
            TWO_IMAGES,
            ([torch.zeros(0, 4), torch.tensor([[1.0, 2, 3, 4]])], [torch.zeros(0).long(), torch.ones(1)]),
        ),
        draw=random_boxes,
        hints=(
            "The answer for the example has three rows: image 0, image 0, image 1.",
            "enumerate(boxes) gives the image's number i with its boxes b (N, 4).",
            "torch.full((len(b), 1), float(i)) is a column of i; torch.cat([column, b], dim=1) puts it in front of the "
            "boxes, and torch.cat over the images stacks them.",
        ),
        reasoning="One table for the whole batch lets one call read all regions. The first column is the index of the "
        "image in F. The labels are not needed: RoIAlign does not care what an object is, only where it is.",
        checked="two images, an image without boxes, and 20 random batches",
    )
)
