"""Lesson 07: where RoIAlign reads along one side of a region."""

import math

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe


def sample_points(low, high, bins, samples):
    """Where the samples of each bin lie between `low` and `high`: (bins, samples); samples not above 0: as many as
    needed."""
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
        lesson=7,
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
