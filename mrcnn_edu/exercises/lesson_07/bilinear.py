"""Lesson 07: reading a map at places between its cells."""

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe


def bilinear(grid, y, x):
    """The value of `grid` (H, W) at the place (y, x) between its cells; cell (i, j) has its value at y = i, x = j."""
    top, left = int(y), int(x)
    bottom, right = min(top + 1, grid.shape[0] - 1), min(left + 1, grid.shape[1] - 1)
    dy, dx = y - top, x - left
    upper = (1 - dx) * grid[top, left] + dx * grid[top, right]
    lower = (1 - dx) * grid[bottom, left] + dx * grid[bottom, right]
    return (1 - dy) * upper + dy * lower


def swapped_axes(grid, y, x):
    """A wrong answer: x counts rows."""
    return bilinear(grid.T, y, x)


def fractions_swapped(grid, y, x):
    """A wrong answer: the right cells, but the fraction of x mixes the rows."""
    return bilinear(grid, int(y) + x - int(x), int(x) + y - int(y))


def cells_swapped(grid, y, x):
    """A wrong answer: the right fractions, but the cells of grid[x, y]."""
    return bilinear(grid.T, int(y) + x - int(x), int(x) + y - int(y))


def half_pixel(grid, y, x):
    """A wrong answer: takes the value for the middle of a cell that begins at its number."""
    height, width = grid.shape
    return bilinear(grid, min(max(y - 0.5, 0), height - 1), min(max(x - 0.5, 0), width - 1))


def nearest(grid, y, x):
    """A wrong answer: the cell that is nearest."""
    return grid[int(y + 0.5), int(x + 0.5)]


def floored(grid, y, x):
    """A wrong answer: the cell above and to the left."""
    return grid[int(y), int(x)]


def far_weights(grid, y, x):
    """A wrong answer: each cell gets the weight of the one opposite."""
    top, left = int(y), int(x)
    return bilinear(grid, top + 1 - (y - top), left + 1 - (x - left))


def only_across(grid, y, x):
    """A wrong answer: mixes along x, not along y."""
    return bilinear(grid, float(int(y)), x)


def plain_mean(grid, y, x):
    """A wrong answer: the mean of the four cells."""
    return bilinear(grid, int(y) + 0.5, int(x) + 0.5)


SMALL = torch.tensor([[0.0, 10.0, 20.0], [40.0, 60.0, 80.0], [5.0, 7.0, 90.0], [1.0, 2.0, 3.0]])


def random_place(generator):
    """A grid and a place on it."""
    height, width = generator.integers(2, 7, 2)
    grid = torch.from_numpy(generator.normal(size=(height, width)).round(2))
    return grid, float(generator.uniform(0, height - 1)), float(generator.uniform(0, width - 1))


SHELF.add(
    Exercise(
        name="bilinear",
        lesson=7,
        number=1,
        task="Read a grid at a place between its cells.",
        reference=bilinear,
        probes=(
            Probe(
                nearest,
                (SMALL, 0.25, 1.625),
                "You took the nearest cell. That is rounding, the very thing RoIAlign gets rid of: all four cells "
                "around the place have a say, the nearer the more.",
            ),
            Probe(
                floored,
                (SMALL, 0.25, 1.625),
                "You took the cell above and to the left. int() throws the fraction away, but the fraction is what "
                "tells how much of the next cell to take.",
            ),
            Probe(
                plain_mean,
                (SMALL, 0.25, 1.625),
                "You gave the four cells the same weight, ¼ each. That is right only in the very middle between them. "
                "The nearer cell must count more.",
            ),
            Probe(
                far_weights,
                (SMALL, 0.25, 1.625),
                "Your weights are the wrong way round: at a quarter of the way from row 0 to row 1, row 0 is the "
                "nearer one and gets ¾. The weight is 1 minus the distance.",
            ),
            Probe(
                swapped_axes,
                (SMALL, 0.25, 1.625),
                "x and y are swapped. Tensors go rows first: grid[row, column] is grid[y, x].",
            ),
            Probe(
                cells_swapped,
                (SMALL, 0.25, 1.625),
                "You took the four cells at grid[x, y]. Tensors go rows first: y chooses the row, x the column.",
            ),
            Probe(
                fractions_swapped,
                (SMALL, 0.25, 1.625),
                "The four cells are right, but the fractions are exchanged: what is left over of y mixes the upper "
                "row with the lower one, what is left over of x the left column with the right one.",
            ),
            Probe(
                half_pixel,
                (SMALL, 1.25, 1.625),
                "You read half a cell further up and to the left. Here a cell's value lies at its number: grid[1, 2] "
                "is the value at y = 1, x = 2 exactly, so nothing has to be subtracted.",
            ),
            Probe(
                only_across,
                (SMALL, 0.25, 1.625),
                "You mixed the columns, but not the rows. First mix left and right in the upper row and in the lower "
                "row; then mix the two results.",
            ),
        ),
        cases=((SMALL, 0.25, 1.625), (SMALL, 0.0, 0.0), (SMALL, 3.0, 2.0), (SMALL, 3.0, 0.5), (SMALL, 1.5, 2.0)),
        draw=random_place,
        hints=(
            "top = int(y) is the row above the place, and dy = y - top how far the place lies below it. The same "
            "with left and dx.",
            "Mix the two cells of the upper row: (1 - dx) * grid[top, left] + dx * grid[top, right]. Then the lower "
            "row, then the two results with 1 - dy and dy.",
            "In the last row there is no row below. Take the last one again: min(top + 1, grid.shape[0] - 1). Its "
            "weight is 0 there, so it changes nothing, but the index must exist.",
        ),
        reasoning="Each of the four cells gets the weight (1 - distance in y) · (1 - distance in x). The weights add "
        "up to 1, so a constant grid gives the constant. At a cell's own place the other weights are 0. In between the "
        "value changes without a jump, and the weights themselves are the gradient: they say how much each cell "
        "counted.",
        checked="places in the middle, on a cell, on the last row and column, and 20 random ones",
    )
)
