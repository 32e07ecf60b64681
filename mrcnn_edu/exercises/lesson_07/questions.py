"""Lesson 07: what to predict first."""

from mrcnn_edu.exercises.predict import add_question

add_question(
    "one_pixel",
    "A cell of the feature map stands for 4 × 4 pixels. A region is cut out of the map by rounding its corners to "
    "whole cells. Now the region moves 1 pixel to the right. How does what is cut out change?",
    (
        "A quarter of what is at the left edge goes, a quarter of a new column comes",
        False,
        "That would be fair: a quarter of a cell, a quarter of the change. But a rounded corner knows no quarters. It "
        "stays on its cell, or goes to the next one.",
    ),
    (
        "Not at all, or by a whole column of cells",
        True,
        "One pixel is a quarter of a cell. A corner at 1.1 cells rounds to 1, and at 1.35 it still does: the same "
        "cells. A corner that goes from 1.4 to 1.65 jumps from 1 to 2, a whole column at once.",
    ),
    (
        "Every value changes a little",
        False,
        "That is what reading between the cells does, and what RoIAlign will give you. Rounding cannot change by a "
        "little.",
    ),
    (
        "It never changes: 1 pixel is less than a cell",
        False,
        "Often it does not. But a corner at 1.4 cells rounds to 1, and a quarter of a cell further, at 1.65, to 2. "
        "Small moves add up, and somewhere it jumps.",
    ),
)
