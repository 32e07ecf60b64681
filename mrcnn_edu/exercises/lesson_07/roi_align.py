"""Lesson 07: RoIAlign itself against torchvision's, with `aligned` on and off."""

import torch

from mrcnn_edu.exercises.base import SHELF, Exercise, Probe
from mrcnn_edu.exercises.lesson_07.sample_points import sample_points


def axis_weights(points, size):
    """How much each of `size` cells counts in each bin, from the places (P, S) of its samples: (P, size)."""
    inside = (points >= -1) & (points <= size)
    hats = (1 - (points.clamp(0, size - 1)[..., None] - torch.arange(size)).abs()).clamp(min=0)
    return (hats * inside[..., None]).mean(dim=1)


def read(features, rois, output_size, sampling_ratio, to_cells):
    """RoIAlign of every RoI, given what turns its corners (4,) into places on the map."""
    pooled = []
    for roi in rois:
        x1, y1, x2, y2 = to_cells(roi[1:]).tolist()
        Y = axis_weights(sample_points(y1, y2, output_size, sampling_ratio), features.shape[2])
        X = axis_weights(sample_points(x1, x2, output_size, sampling_ratio), features.shape[3])
        pooled.append(Y @ features[int(roi[0])] @ X.T)
    return torch.stack(pooled) if pooled else features.new_zeros(0, features.shape[1], output_size, output_size)


def roi_align(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """RoIAlign of each RoI (R, 5) on the maps (B, C, H, W): (R, C, P, P)."""
    pooled = []
    for roi in rois:
        x1, y1, x2, y2 = (roi[1:] * spatial_scale - (0.5 if aligned else 0)).tolist()
        if not aligned:
            x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
        Y = axis_weights(sample_points(y1, y2, output_size, sampling_ratio), features.shape[2])
        X = axis_weights(sample_points(x1, x2, output_size, sampling_ratio), features.shape[3])
        pooled.append(Y @ features[int(roi[0])] @ X.T)
    return torch.stack(pooled) if pooled else features.new_zeros(0, features.shape[1], output_size, output_size)


def at_least_one(box):
    """A box (4,) whose sides are at least 1 long."""
    return torch.cat([box[:2], torch.maximum(box[2:], box[:2] + 1)])


def no_scale(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """A wrong answer: pixels taken for cells."""
    return roi_align(features, rois, output_size, 1.0, sampling_ratio, aligned)


def divided(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """A wrong answer: divides by the scale."""
    return roi_align(features, rois, output_size, 1 / spatial_scale, sampling_ratio, aligned)


def never_aligned(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """A wrong answer: `aligned` is not looked at."""
    return roi_align(features, rois, output_size, spatial_scale, sampling_ratio, False)


def always_aligned(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """A wrong answer: half a cell is always taken off."""
    return roi_align(features, rois, output_size, spatial_scale, sampling_ratio, True)


def inverted(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """A wrong answer: half a cell taken off when `aligned` is off."""
    return roi_align(features, rois, output_size, spatial_scale, sampling_ratio, not aligned)


def rounded_corners(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """A wrong answer: corners rounded to whole cells."""

    def to_cells(box):
        box = (box * spatial_scale + 0.5).floor()
        return box - 0.5 if aligned else at_least_one(box)

    return read(features, rois, output_size, sampling_ratio, to_cells)


def half_a_pixel(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """A wrong answer: half a pixel of the image instead of half a cell."""

    def to_cells(box):
        return (box - 0.5) * spatial_scale if aligned else at_least_one(box * spatial_scale)

    return read(features, rois, output_size, sampling_ratio, to_cells)


def other_way(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """A wrong answer: half a cell added."""

    def to_cells(box):
        return box * spatial_scale + 0.5 if aligned else at_least_one(box * spatial_scale)

    return read(features, rois, output_size, sampling_ratio, to_cells)


def no_least_side(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """A wrong answer: tiny regions stay tiny with `aligned` off too."""
    return read(features, rois, output_size, sampling_ratio, lambda box: box * spatial_scale - (0.5 if aligned else 0))


def always_least_side(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """A wrong answer: tiny regions grow with `aligned` on too."""

    def to_cells(box):
        return at_least_one(box * spatial_scale - (0.5 if aligned else 0))

    return read(features, rois, output_size, sampling_ratio, to_cells)


def first_image(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """A wrong answer: reads everything from the first image."""
    rois = rois * torch.tensor([0.0, 1, 1, 1, 1])
    return roi_align(features, rois, output_size, spatial_scale, sampling_ratio, aligned)


def turned(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """A wrong answer: rows and columns of the result exchanged."""
    return roi_align(features, rois, output_size, spatial_scale, sampling_ratio, aligned).transpose(2, 3)


def crossed(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """A wrong answer: reads the rows at x and the columns at y."""
    return roi_align(features, rois[:, [0, 2, 1, 4, 3]], output_size, spatial_scale, sampling_ratio, aligned)


def ramp(batch, channels, height, width):
    """Maps (B, C, H, W) on which every place has a value of its own."""
    count = batch * channels * height * width
    return torch.sin(torch.arange(count, dtype=torch.float32) * 0.7).view(batch, channels, height, width)


MAPS = ramp(2, 2, 12, 14)
REGIONS = torch.tensor([[0, 6.3, 9.1, 30.2, 41.7], [1, 20.0, 3.0, 50.5, 22.4]])
TINY = torch.tensor([[0, 20.2, 21.4, 21.7, 22.3]])


def random_regions(generator):
    """Two maps, a few regions, and settings at random."""
    features = torch.from_numpy(generator.normal(size=(2, 2, 9, 11))).float()
    corners = generator.uniform(-3, 30, (3, 2))
    boxes = torch.from_numpy(generator.uniform(0.5, 25, (3, 2)))
    rois = torch.cat([torch.from_numpy(generator.integers(0, 2, (3, 1))), torch.from_numpy(corners)], dim=1)
    rois = torch.cat([rois, torch.from_numpy(corners) + boxes], dim=1).float()
    return (
        features,
        rois,
        int(generator.integers(1, 6)),
        0.25,
        int(generator.integers(1, 4)),
        bool(generator.integers(2)),
    )


SHELF.add(
    Exercise(
        name="roi_align",
        lesson=7,
        number=4,
        task="Write RoIAlign, so that it agrees with torchvision's with aligned on and off.",
        reference=roi_align,
        part="roi_align",
        probes=(
            Probe(
                no_scale,
                (MAPS, REGIONS, 3, 0.25, 2, False),
                "The region is in pixels of the image, the map in cells. Multiply the corners by spatial_scale first.",
            ),
            Probe(
                divided,
                (MAPS, REGIONS, 3, 0.25, 2, False),
                "You divided by spatial_scale. It says how many cells a pixel is, ¼ here, so the corners are "
                "multiplied by it.",
            ),
            Probe(
                first_image,
                (MAPS, REGIONS, 3, 0.25, 2, False),
                "Every region was read from image 0. The first number of a RoI says which image's map to read: "
                "features[int(roi[0])].",
            ),
            Probe(
                crossed,
                (MAPS, REGIONS, 3, 0.25, 2, False),
                "x and y are exchanged on the way in: rows are read at y, columns at x. Boxes go x first, tensors rows "
                "first.",
            ),
            Probe(
                turned,
                (MAPS, REGIONS, 3, 0.25, 2, False),
                "Rows and columns of your result are exchanged. In Y @ F @ X.T the rows come from y, on the left.",
            ),
            Probe(
                rounded_corners,
                (MAPS, REGIONS, 3, 0.25, 2, False),
                "You rounded the corners to whole cells. That is what RoIPool does, and what this lesson gets rid of: "
                "keep the fractions.",
            ),
            Probe(
                inverted,
                (MAPS, REGIONS, 3, 0.25, 2, True),
                "aligned is the wrong way round in yours: half a cell is taken off when it is on, and not when it is "
                "off.",
                more=((MAPS, REGIONS, 3, 0.25, 2, False),),
            ),
            Probe(
                never_aligned,
                (MAPS, REGIONS, 3, 0.25, 2, True),
                "With aligned off you are right; with aligned on nothing changes in yours. Then half a cell has to be "
                "taken off every corner, because a cell's value belongs to its middle, which lies at 0.5.",
                more=((MAPS, REGIONS, 3, 0.25, 2, False),),
            ),
            Probe(
                always_aligned,
                (MAPS, REGIONS, 3, 0.25, 2, False),
                "You take off half a cell with aligned off, too. That is how it should always have been, but weights "
                "trained with the old way expect the old way; so it is a switch.",
                more=((MAPS, REGIONS, 3, 0.25, 2, True),),
            ),
            Probe(
                half_a_pixel,
                (MAPS, REGIONS, 3, 0.25, 2, True),
                "You took half a pixel off before scaling. It is half a cell: scale first, then subtract 0.5.",
            ),
            Probe(
                other_way,
                (MAPS, REGIONS, 3, 0.25, 2, True),
                "Your half cell goes the wrong way. The middle of cell 0 lies at 0.5 of the region's scale and at 0 "
                "of the grid's numbers, so 0.5 is subtracted.",
            ),
            Probe(
                no_least_side,
                (MAPS, TINY, 2, 0.25, 2, False),
                "Right for regions of ordinary size. With aligned off, a region is at least 1 cell wide and high: "
                "x2 = max(x2, x1 + 1). A tiny one shows it.",
            ),
            Probe(
                always_least_side,
                (MAPS, TINY, 2, 0.25, 2, True),
                "You make tiny regions one cell large with aligned on, too. Only with aligned off is that done; "
                "torchvision keeps it there, because old weights were trained so.",
            ),
        ),
        cases=(
            (MAPS, REGIONS, 3, 0.25, 2, False),
            (MAPS, REGIONS, 3, 0.25, 2, True),
            (MAPS, TINY, 2, 0.25, 2, False),
            (MAPS, TINY, 2, 0.25, 2, True),
            (MAPS, torch.tensor([[0, -9.0, 30, 70, 60]]), 4, 0.25, 3, False),
            (MAPS, REGIONS, 3, 0.25, 0, False),
            (MAPS, REGIONS, 2, 0.25, -1, True),
            (MAPS, REGIONS[:0], 3, 0.25, 2, False),
        ),
        draw=random_regions,
        hints=(
            "For each roi: the corners in cells are roi[1:] * spatial_scale, and with aligned 0.5 less. Then two "
            "calls of sample_points and axis_weights, one with y1, y2 and the height, one with x1, x2 and the width.",
            "Y @ features[int(roi[0])] @ X.T pools all channels at once: (P, H) @ (C, H, W) @ (W, P) gives (C, P, P). "
            "torch.stack puts the regions one behind the other.",
            "With aligned off a region is at least one cell long: x2 = max(x2, x1 + 1), and the same for y.",
        ),
        reasoning="Everything that is special about a region is in its two matrices: which rows each bin reads and "
        "with which weights, and the same for the columns. aligned moves the places by half a cell, because the value "
        "of a cell belongs to its middle. The least side of 1 cell belongs to the old way. The rest is a product of "
        "three matrices for each channel, and since it is linear in the features, its gradient is the same product "
        "with the matrices transposed.",
        checked="torchvision's operator on ordinary, tiny and overhanging regions of two images, none at all, aligned "
        "on and off, as many samples as needed, and 20 random cases",
    )
)
