"""Lesson 05: what to predict first."""

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

add_question(
    "best_anchor_below",
    "In training an anchor is positive from IoU 0.7 with an object, and negative below 0.3; between, it is ignored. A "
    "small object overlaps its best anchor by 0.4. Does it have a positive anchor?",
    (
        "No: all its anchors are ignored",
        False,
        "By the thresholds alone that would happen, and nothing would ever teach the network to find such an object. "
        "So there is one more rule for an object that no anchor fits.",
    ),
    (
        "No: all its anchors are negative",
        False,
        "0.4 lies above 0.3, so the best anchor is not called background. Nor should it be: the network would learn to "
        "overlook the object.",
    ),
    (
        "Yes: every anchor that overlaps it by 0.3 or more",
        False,
        "0.3 only ends the negatives. An anchor between 0.3 and 0.7 is too poor a start to be called an object, and "
        "too close to one to be called background.",
    ),
    (
        "Yes: its best anchor",
        True,
        "Each object also takes the anchors that overlap it most, however little. Without these forced matches objects "
        "much smaller than the smallest anchor would hardly ever be learned.",
    ),
)

add_question(
    "chain_of_boxes",
    "Three boxes in a row, A, B and C, with scores 0.9, 0.8 and 0.7. A and B overlap by an IoU of 0.82, B and C by "
    "0.82 too, A and C by 0.67. NMS drops what overlaps a kept box by more than 0.7. What is left?",
    (
        "A",
        False,
        "B would drop C, but B itself has been dropped by A before its turn came. A dropped box drops nothing.",
    ),
    (
        "A and C",
        True,
        "A is the best and drops B. C overlaps A by 0.67, which is not above 0.7, and B has no say any more.",
    ),
    (
        "B",
        False,
        "B agrees with both its neighbours, but NMS takes no vote. It begins with the best score, A, and A drops B.",
    ),
    (
        "A, B and C",
        False,
        "A overlaps B by 0.82, which is above 0.7, and has the better score. So B is dropped.",
    ),
)
