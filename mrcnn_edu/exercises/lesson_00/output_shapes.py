"""Lesson 00: what comes out of the model."""

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe


def output_shapes(height, width, count, classes):
    """Shapes of the four tables that describe `count` objects."""
    return {
        "boxes": (count, 4),
        "labels": (count,),
        "scores": (count,),
        "masks": (count, 1, height, width),
    }


def changed_shapes(**changes):
    """A wrong answer: `output_shapes` with some entries replaced by functions of (H, W, N, K)."""

    def wrong(height, width, count, classes):
        answer = output_shapes(height, width, count, classes)
        return answer | {name: shape(height, width, count, classes) for name, shape in changes.items()}

    return wrong


PHOTO = (303, 384, 24, 5)


def shapes_of_the_coins(height, width, count, classes):
    """A wrong answer: the numbers of one photograph."""
    return output_shapes(*PHOTO)


SHELF.add(
    Exercise(
        name="output_shapes",
        lesson=0,
        number=1,
        task="Give the four shapes of a prediction: boxes, labels, scores, masks.",
        reference=output_shapes,
        probes=(
            Probe(
                changed_shapes(masks=lambda h, w, n, k: (n, 28, 28)),
                PHOTO,
                "28 × 28 is what the mask head computes inside each box. Before you get a mask, it is stretched to the "
                "box and pasted into an empty picture, so it has the height and width of the photograph.",
            ),
            Probe(
                changed_shapes(masks=lambda h, w, n, k: (n, 1, 28, 28)),
                PHOTO,
                "28 × 28 is the size inside the mask head. The masks you get are pasted into a picture of the "
                "photograph's height and width.",
            ),
            Probe(
                changed_shapes(masks=lambda h, w, n, k: (n, k, h, w)),
                PHOTO,
                "The mask head does draw a mask for every class, but only the mask of the predicted class is kept. "
                "One mask for each object remains.",
            ),
            Probe(
                changed_shapes(masks=lambda h, w, n, k: (h, w)),
                PHOTO,
                "One map of the picture's size for everything is semantic segmentation. Here every object has a mask "
                "of its own, so the number of objects is the first dimension.",
            ),
            Probe(
                changed_shapes(masks=lambda h, w, n, k: (k, h, w)),
                PHOTO,
                "A map for each class is semantic segmentation: two coins would share one map. Count the masks by "
                "objects, not by classes.",
            ),
            Probe(
                changed_shapes(masks=lambda h, w, n, k: (n, h, w)),
                PHOTO,
                "Nearly: torchvision, and this package with it, keeps a channel dimension of 1 after the number of "
                "objects. Print found['masks'].shape and compare.",
            ),
            Probe(
                changed_shapes(masks=lambda h, w, n, k: (n, 1, w, h)),
                PHOTO,
                "Height and width are swapped. Tensors of pictures go rows first: height, then width. Boxes go x "
                "first.",
            ),
            Probe(
                changed_shapes(labels=lambda h, w, n, k: (n, k)),
                PHOTO,
                "A label is one class number for each object. The probabilities of all classes stay inside the box "
                "head; only the winner's number comes out as label, and its probability as score.",
            ),
            Probe(
                changed_shapes(scores=lambda h, w, n, k: (n, k)),
                PHOTO,
                "The score is one number for each object: the probability of the predicted class. The others stay "
                "inside the box head.",
            ),
            *(
                Probe(
                    changed_shapes(**dict.fromkeys(entries, lambda h, w, n, k: (n, 1))),
                    PHOTO,
                    f"{' and '.join(entries).capitalize()} have one axis, (count,): {entries[0]}[i] is a number, not a "
                    "row that holds one. Only masks keep an axis of length 1.",
                )
                for entries in (("labels", "scores"), ("labels",), ("scores",))
            ),
            Probe(
                changed_shapes(boxes=lambda h, w, n, k: (n, k, 4)),
                PHOTO,
                "The box head does refine a box for every class, but only the box of the predicted class is kept: "
                "four numbers for each object.",
            ),
            Probe(
                changed_shapes(boxes=lambda h, w, n, k: (n, 4 * k)),
                PHOTO,
                "4 numbers for each class is what the box head computes, b in the card. Of those, the four of the "
                "predicted class make the box you get.",
            ),
            Probe(
                shapes_of_the_coins,
                (128, 200, 3, 5),
                "These are the shapes for the photograph of the coins. Write height, width and count in place of its "
                "numbers, so that they hold for every picture.",
            ),
            Probe(
                changed_shapes(boxes=lambda h, w, n, k: (4, n)),
                PHOTO,
                "One row for each object, so that boxes[i], labels[i] and masks[i] belong together: the 4 comes last.",
            ),
        ),
        cases=(PHOTO, (128, 128, 0, 5), (600, 800, 1, 91)),
        draw=lambda generator: tuple(int(v) for v in generator.integers((20, 20, 0, 2), (900, 900, 100, 92))),
        hints=(
            "Print the shape of each entry of `found`, the prediction for the coins, and see which of the four "
            "numbers height, width, count and classes appear.",
            "boxes[i], labels[i], scores[i] and masks[i] all describe object i: all four begin with the same number.",
            "A mask is as large as the photograph, and has one channel.",
        ),
        reasoning="Everything is counted by objects. A box is four numbers, a label and a score one number each. A "
        "mask covers the whole photograph, with a channel dimension of 1 that torchvision keeps. The number of classes "
        "appears nowhere: the model has already decided for one class each. The shapes also hold for an empty picture, "
        "where the first number is 0.",
        checked="a photograph, an empty picture, one object, and 20 random sizes",
    )
)
