"""What can be broken in RoIAlign: the corners and the bins rounded, the map read half a cell aside."""

import torch
import torchvision

from mrcnn_edu.mistakes.base import Mistake
from mrcnn_edu.model.roi_align import level_roi_align


def round_roi(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """RoIAlign of a RoI whose corners were first moved to whole cells: the first of RoIPool's two roundings."""
    corners = (rois[:, 1:] * spatial_scale + 0.5).floor() / spatial_scale  # (R, 4)
    rois = torch.cat([rois[:, :1], corners], dim=1)  # (R, 5)
    # The quick form reads every bin at the same number of points; below 1 asks for as many as the bin is long.
    read = level_roi_align if sampling_ratio >= 1 else torchvision.ops.roi_align
    return read(features, rois, output_size, spatial_scale, sampling_ratio)


def roi_pool(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """RoIPool: corners and bins rounded to whole cells, then the largest value of each bin.

    source   Girshick 2015, section 2.1
    """
    return torchvision.ops.roi_pool(features, rois, output_size, spatial_scale)


def half_pixel(features, rois, output_size, spatial_scale, sampling_ratio, aligned):
    """RoIAlign shifted by half a cell, for a model that was trained without the shift."""
    return torchvision.ops.roi_align(features, rois, output_size, spatial_scale, sampling_ratio, aligned=True)


MISTAKES = (
    Mistake(
        "roi_align",
        round_roi,
        7,
        "The corners of each RoI are rounded to whole cells of the feature map before RoIAlign reads it. A cell is "
        "4 to 16 pixels wide here, so the heads see a region that lies up to half a cell beside the true one.",
    ),
    Mistake(
        "roi_align",
        roi_pool,
        7,
        "RoIPool in place of RoIAlign: the corners and the bins are rounded to whole cells, and each bin keeps "
        "its largest value.",
    ),
    Mistake(
        "roi_align",
        half_pixel,
        7,
        "RoIAlign reads with aligned=True, half a cell further up and left, although the model was trained with "
        "aligned=False.",
    ),
)
