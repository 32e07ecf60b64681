"""The mistakes in RoIAlign, worked out by hand and against torchvision."""

import torch
import torchvision

from mrcnn_edu.mistakes import MISTAKES

ROI = torch.tensor([[0, 5.0, 9, 30, 41]])  # at stride 4: 1.25, 2.25, 7.5, 10.25 cells


def pooled(name, scale=0.25, bins=3):
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)  # the value of each cell is its column
    return MISTAKES[name].function(ramp, ROI, bins, scale, 2, False)


def test_rounded_corners_by_hand():
    """From 1.25 … 7.5 to 1 … 8: bins of 7/3 cells, read at their middle on average."""
    assert torch.allclose(pooled("round_roi")[0, 0, 0], torch.tensor([1 + 7 / 6, 4.5, 8 - 7 / 6]))
    whole = torch.tensor([[0, 4.0, 8, 32, 40]])  # the same region, its corners on whole cells
    features = torch.rand(1, 2, 16, 16)
    for samples in (0, 1, 2):
        wanted = torchvision.ops.roi_align(features, whole, 3, 0.25, samples)
        got = MISTAKES["round_roi"].function(features, ROI, 3, 0.25, samples, False)
        torch.testing.assert_close(got, wanted)


def test_roi_pool_takes_the_largest_value_of_whole_cells():
    """Cells 1 to 8, eight of them, in bins of 8/3 that are widened to whole cells: they end before 4, 7 and 9."""
    assert pooled("roi_pool")[0, 0, 0].tolist() == [3, 6, 8]


def test_half_a_pixel_reads_half_a_cell_further_left():
    sound = torchvision.ops.roi_align(torch.arange(16.0).expand(1, 1, 16, 16).contiguous(), ROI, 3, 0.25, 2)
    assert torch.allclose(pooled("half_pixel"), sound - 0.5)
