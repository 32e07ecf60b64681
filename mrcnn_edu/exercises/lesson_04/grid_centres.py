"""Lesson 04: where the anchors of a level stand."""

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe


def grid_centres(rows, columns, stride):
    """Centres (x, y) of the anchors of one level, row by row: (rows · columns, 2), pixels."""
    y, x = torch.meshgrid(torch.arange(rows) * stride, torch.arange(columns) * stride, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1)


def column_by_column(rows, columns, stride):
    """A wrong answer: the right places in the order of the columns."""
    return grid_centres(columns, rows, stride).flip(1)


def to_the_edge(rows, columns, stride):
    """A wrong answer: spreads the centres from edge to edge."""
    y, x = (torch.linspace(0, n * stride, n) for n in (rows, columns))
    return torch.stack([x.repeat(rows), y.repeat_interleave(columns)], dim=1)


def of_one_level(attempt):
    """The anchors of one level around the reader's `grid_centres`."""

    def grid_anchors(base, grid, stride):
        centres = torch.as_tensor(attempt(*grid, stride[0]))
        return (centres.to(base).repeat(1, 2)[:, None] + base).reshape(-1, 4)

    return grid_anchors


WIDE = (2, 3, 16)

SHELF.add(
    Exercise(
        name="grid_centres",
        lesson=4,
        number=2,
        task="Give the centres (x, y) of a level's anchors, one a cell, in the package's order.",
        reference=grid_centres,
        probes=(
            Probe(
                lambda rows, columns, stride: grid_centres(rows, columns, stride) + stride / 2,
                WIDE,
                "You put the anchors into the middle of the cells: the first stands at (8, 8). That looks more "
                "natural, but this package and torchvision put them on the cell's top left corner: the first stands at "
                "(0, 0). Weights trained with one grid would be half a cell off in the other.",
            ),
            Probe(
                lambda rows, columns, stride: grid_centres(rows, columns, 1),
                WIDE,
                "These are cells, not pixels: the second is (1, 0). One step in the grid is `stride` pixels in the "
                "picture: (16, 0).",
            ),
            Probe(
                lambda rows, columns, stride: grid_centres(rows, columns, stride) + stride,
                WIDE,
                "You count the cells from 1, so the first stands at (16, 16). Count from 0: the first stands at the "
                "picture's corner, (0, 0).",
            ),
            Probe(
                lambda rows, columns, stride: grid_centres(rows, columns, stride).flip(1),
                WIDE,
                "Each pair is (y, x). Points and boxes go x first: the second centre is (16, 0), one cell to the "
                "right.",
            ),
            Probe(
                column_by_column,
                WIDE,
                "The places are right, but you go down the columns: the second centre is (0, 16). The feature map is "
                "read row by row, like text: first (0, 0), then (16, 0).",
            ),
            Probe(
                lambda rows, columns, stride: grid_centres(columns, rows, stride),
                WIDE,
                "Your grid has 3 rows of 2. The argument `rows` is how often y changes, and `columns` how often x "
                "does: 2 rows of 3.",
            ),
            Probe(
                lambda rows, columns, stride: grid_centres(rows, columns, stride).view(rows, columns, 2),
                WIDE,
                "The places are right, in the shape (rows, columns, 2). One row for each centre is wanted: flatten x "
                "and y, or .reshape(-1, 2).",
            ),
            Probe(
                lambda rows, columns, stride: grid_centres(rows, columns, stride).T,
                WIDE,
                "All x stand in the first row and all y in the second. One row for each centre is wanted: stack them "
                "with dim=1.",
            ),
            Probe(
                to_the_edge,
                WIDE,
                "You spread the centres from one edge of the picture to the other, so the last column stands at "
                "x = 48. The step is the stride, whatever the number of cells: 0, 16, 32.",
            ),
        ),
        cases=(WIDE, (3, 2, 8), (1, 5, 4), (5, 1, 32)),
        draw=lambda generator: tuple(int(v) for v in generator.integers((1, 1, 1), (12, 12, 65))),
        part="grid_anchors",
        fit=of_one_level,
        hints=(
            "Along one axis the centres are 0, stride, 2 · stride, …: torch.arange(columns) * stride for x.",
            "Row by row means: y stays while x runs through all columns. Two loops do it, the outer one over the rows.",
            'y, x = torch.meshgrid(ys, xs, indexing="ij") does it without loops; both have the shape (rows, columns).',
            "Flatten both and stack them: torch.stack([x.flatten(), y.flatten()], dim=1).",
        ),
        reasoning="Cell (i, j) stands for the pixels from (j · stride, i · stride) on, and its anchors are centred "
        "there, on the corner of the cell. This is a convention: the network learns to move boxes by the missing half "
        "cell. But it has to be the same wherever the weights are used. The order is that of the feature map, row by "
        "row, so that the n-th row of the network's output belongs to the n-th anchor.",
        checked="wide and tall grids, a single row, a single column, and 20 random grids",
    )
)
