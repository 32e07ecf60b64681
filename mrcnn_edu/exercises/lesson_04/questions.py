"""Lesson 04: what to predict first."""

from mrcnn_edu.exercises.predict import add_question

add_question(
    "small_object",
    "The smallest anchors of our model are squares of 16 × 16 pixels. A square object of 10 × 10 pixels has the same "
    "centre as one of them. What is the IoU of the two?",
    (
        "1, for the anchor covers the whole object",
        False,
        "It does cover it, but IoU also counts what is too much: the union is the anchor, 256 pixels, and the object "
        "fills 100 of them.",
    ),
    (
        "0.63",
        False,
        "10 / 16 compares the sides. IoU compares areas, so the number is squared: 100 / 256.",
    ),
    (
        "0.56",
        False,
        "2 · 100 / (100 + 256) divides by both areas together. That measure is called Dice. The union counts the "
        "shared 100 pixels once: 256.",
    ),
    (
        "0.39",
        True,
        "100 / 256. No place is better for this anchor, and the larger ones overlap the object less. It stays far "
        "below 0.7, from where training calls an anchor a hit: no anchor of the grid fits this object well.",
    ),
)

add_question(
    "blank_picture",
    "Two pictures have 128 × 128 pixels. One shows twenty objects, the other is blank. Which of them gets more "
    "anchors?",
    (
        "The one with twenty objects",
        False,
        "Anchors are laid out before the model has looked at anything. Boxes that depend on the picture come one step "
        "later: the proposals.",
    ),
    (
        "Both get the same number",
        True,
        "The grid depends on the picture's size and on nothing else: 4,080 anchors for our model. Which of them lie on "
        "an object is what the next lesson's network learns to say.",
    ),
    (
        "Neither: anchors exist only while training",
        False,
        "While training, anchors are also compared with the true boxes. But a prediction starts from the same grid: "
        "every proposal is an anchor that was moved and stretched.",
    ),
)
