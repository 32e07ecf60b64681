"""Lesson 00: what to predict first."""

from mrcnn_edu.exercises.predict import add_question

add_question(
    "touching_coins",
    "A semantic model marks every pixel of a photograph as coin or background, without one mistake. Two of the coins "
    "touch. You have only its answer. How many separate regions do those two coins make in it?",
    ("Two", False, "The pixels of both coins carry the same word, coin. Where they touch, nothing marks the border."),
    ("One", True, "All their pixels say coin and hang together: one region. Whose pixel it is was never asked."),
    ("None", False, "The coins are still there: all their pixels say coin. What is lost is where one of them ends."),
)
