"""Lesson 06, first half: reading a map at places between its cells."""

import math

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe
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
        lesson=6,
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


def sample_points(low, high, bins, samples):
    """Where the samples of each bin lie between `low` and `high`: (bins, samples); samples not above 0: as many as "
    "needed."""
    size = (high - low) / bins
    samples = samples if samples > 0 else math.ceil(size)
    p = torch.arange(bins)[:, None]
    s = torch.arange(samples)
    return low + (p + (s + 0.5) / samples) * size


def wanted(low, high, bins, samples):
    """The number of samples that the wrong answers take, so that each makes one mistake only."""
    return samples if samples > 0 else math.ceil((high - low) / bins)


def at_the_start(low, high, bins, samples):
    """A wrong answer: forgets the half step."""
    samples = wanted(low, high, bins, samples)
    size = (high - low) / bins
    return low + (torch.arange(bins)[:, None] + torch.arange(samples) / samples) * size


def end_to_end(low, high, bins, samples):
    """A wrong answer: from one end of the region to the other, both included."""
    samples = wanted(low, high, bins, samples)
    return torch.linspace(low, high, bins * samples).view(bins, samples)


def edges_of_bins(low, high, bins, samples):
    """A wrong answer: from edge to edge of each bin."""
    samples = wanted(low, high, bins, samples)
    size = (high - low) / bins
    return low + size * (torch.arange(bins)[:, None] + torch.linspace(0, 1, samples))


def none_at_all(low, high, bins, samples):
    """A wrong answer: no samples where `samples` is not above 0."""
    return sample_points(low, high, bins, max(samples, 1))[:, : max(samples, 0)]


def inner_points(low, high, bins, samples):
    """A wrong answer: divides the bin by one more than there are samples."""
    samples = wanted(low, high, bins, samples)
    size = (high - low) / bins
    return low + (torch.arange(bins)[:, None] + (torch.arange(samples) + 1) / (samples + 1)) * size


def in_cells(low, high, bins, samples):
    """A wrong answer: samples a whole cell apart."""
    samples = wanted(low, high, bins, samples)
    size = (high - low) / bins
    return low + torch.arange(bins)[:, None] * size + torch.arange(samples) + 0.5


def without_low(low, high, bins, samples):
    """A wrong answer: counts from 0, not from where the region begins."""
    return sample_points(low, high, bins, samples) - low


def by_high(low, high, bins, samples):
    """A wrong answer: takes the end for the length."""
    return low + sample_points(0, high, bins, samples)


def same_in_each_bin(low, high, bins, samples):
    """A wrong answer: the first bin's samples in every bin."""
    return sample_points(low, high, bins, samples)[:1].repeat(bins, 1)


def rounded_down(low, high, bins, samples):
    """A wrong answer: as many samples as whole cells fit into the bin."""
    return sample_points(low, high, bins, samples if samples > 0 else max(int((high - low) / bins), 1))


def by_the_region(low, high, bins, samples):
    """A wrong answer: as many samples in each bin as the whole region is long."""
    return sample_points(low, high, bins, samples if samples > 0 else math.ceil(high - low))


def one_by_default(low, high, bins, samples):
    """A wrong answer: 0 taken for 1."""
    return sample_points(low, high, bins, max(samples, 1))


def random_axis(generator):
    """A side of a region, and how to cut it."""
    low = float(generator.uniform(-2, 30))
    return low, low + float(generator.uniform(0.5, 30)), int(generator.integers(1, 15)), int(generator.integers(0, 5))


SHELF.add(
    Exercise(
        name="sample_points",
        lesson=6,
        number=2,
        task="Say where RoIAlign reads along one side of a region.",
        reference=sample_points,
        probes=(
            Probe(
                at_the_start,
                (2.0, 8.0, 3, 2),
                "Your samples sit at the beginning of their share, the first one on the region's edge. Each sample "
                "stands for a share of the bin and lies in the middle of it: (s + 0.5) / samples.",
            ),
            Probe(
                end_to_end,
                (2.0, 8.0, 3, 2),
                "Your samples run from edge to edge, so they are not spread evenly over the bins, and those on the "
                "edges stand for what lies outside as well. Cut into bins first, then put the samples in the middle "
                "of equal shares of each bin.",
            ),
            Probe(
                edges_of_bins,
                (2.0, 8.0, 3, 2),
                "Your samples run from one edge of a bin to the other, so each inner edge is read twice, once for "
                "each of its bins. Put the samples in the middle of equal shares: with two of them at ¼ and ¾ of the "
                "bin.",
            ),
            Probe(
                none_at_all,
                (2.0, 9.5, 3, 0),
                "Where samples is not above 0 your bins have no samples. That means: as many as the bin is long in "
                "cells, rounded up.",
            ),
            Probe(
                inner_points,
                (2.0, 8.0, 3, 2),
                "You divided the bin by samples + 1. Then the samples crowd in the middle of the bin, at ⅓ and ⅔ with "
                "two of them. The middles of two halves are at ¼ and ¾.",
            ),
            Probe(
                in_cells,
                (2.0, 7.0, 2, 2),
                "Your samples are a whole cell apart, whatever the bin's length. A bin may be shorter or longer than a "
                "cell; its samples share the bin, not the grid.",
            ),
            Probe(
                without_low,
                (2.0, 8.0, 3, 2),
                "You count from 0. The region begins at low; every place is low plus a part of the length.",
            ),
            Probe(
                by_high,
                (2.0, 8.0, 3, 2),
                "You took high for the length. The length is high - low.",
            ),
            Probe(
                same_in_each_bin,
                (2.0, 8.0, 3, 2),
                "Every bin has the same samples in your answer. Bin p begins at low + p · (bin size).",
            ),
            Probe(
                one_by_default,
                (2.0, 9.5, 3, 0),
                "You read one sample where samples is not above 0. That means: as many as the bin is long in cells, "
                "rounded up. These bins are 2.5 cells long, so 3 samples.",
            ),
            Probe(
                rounded_down,
                (2.0, 9.5, 3, 0),
                "With samples not above 0 you round the bin's length down. A bin of 2.5 cells touches at least 3 of "
                "them; with 2 samples one could be missed. Round up.",
            ),
            Probe(
                by_the_region,
                (2.0, 9.5, 3, 0),
                "With samples not above 0 you count by the length of the whole region. It is the bin that must be "
                "covered: (high - low) / bins, rounded up.",
            ),
        ),
        cases=(
            (2.0, 8.0, 3, 2),
            (0.0, 1.0, 1, 1),
            (-1.5, 5.3, 7, 2),
            (3.2, 4.0, 2, 3),
            (2.0, 9.5, 3, 0),
            (0.0, 4.0, 2, 0),
        ),
        draw=random_axis,
        hints=(
            "By hand: from 2 to 8 with 3 bins, each bin is 2 long. Bin 0 is 2 to 4; with 2 samples their shares are 2 "
            "to 3 and 3 to 4, and the middles 2.5 and 3.5.",
            "The places in bin p begin at low + p * size. Sample s lies (s + 0.5) / samples of a bin further.",
            "If samples is not above 0, math.ceil of the bin's size takes its place.",
            "torch.arange(bins)[:, None] is a column of bin numbers, torch.arange(samples) a row of sample numbers; "
            "their sum is a table (bins, samples).",
        ),
        reasoning="A bin is cut into as many equal shares as it has samples, and each share is read in its middle. So "
        "the samples are evenly spread over the whole region, and the mean of a bin's samples is its mean value "
        "wherever the map is linear.",
        checked="regions that begin before 0, bins shorter than a cell, one sample, as many as needed, and 20 random "
        "ones",
    )
)
