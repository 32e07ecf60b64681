"""The grid of anchors, as torchvision's generator makes it."""

from __future__ import annotations

import copy
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from mrcnn_edu.model import Config, preset
from mrcnn_edu.model.anchors import CACHED_GRIDS, Anchors, cell_anchors, strides


def grids_of(height: int, width: int, levels: int) -> list[tuple[int, int]]:
    """Cells of each level for a padded image; the last is a max-pool of the one before."""
    grids = [(height // 2**k, width // 2**k) for k in range(2, levels + 1)]
    return [*grids, ((grids[-1][0] + 1) // 2, (grids[-1][1] + 1) // 2)]


@pytest.mark.parametrize("config", [Config(), preset("lesson")], ids=["resnet", "lesson"])
@pytest.mark.parametrize("size", [(800, 1088), (128, 128), (64, 320), (32, 32)])
def test_anchors_are_torchvisions(config, size):
    levels = len(config.anchor_sizes)
    grids = grids_of(*size, levels)
    ours = Anchors(config.anchor_sizes, config.anchor_ratios)(size, grids, "cpu")
    generator = AnchorGenerator(config.anchor_sizes, (config.anchor_ratios,) * levels)
    images = ImageList(torch.zeros(1, 3, *size), [size])
    theirs = generator(images, [torch.zeros(1, 1, *grid) for grid in grids])[0]
    assert torch.equal(torch.cat(ours), theirs)
    assert [len(level) for level in ours] == [h * w * config.anchors_per_cell for h, w in grids]


def test_the_pooled_level_of_800_rows_has_stride_61():
    assert strides((800, 1088), grids_of(800, 1088, 5))[-1] == (61, 64)


def test_cell_anchors_by_hand():
    anchors = cell_anchors((32,), (0.5, 1.0, 2.0))
    assert anchors.tolist() == [[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]]


def test_order_is_row_column_anchor():
    anchors = Anchors(((8, 16),), (1.0,))((32, 64), [(2, 4)], "cpu")[0].view(2, 4, 2, 4)
    centres = (anchors[..., :2] + anchors[..., 2:]) / 2
    assert centres[1, 3, 0].tolist() == [48, 16] and centres[1, 3, 1].tolist() == [48, 16]
    assert (anchors[0, 0, :, 2] - anchors[0, 0, :, 0]).tolist() == [8, 16]


def test_the_cache_gives_the_same_grid_and_stays_small():
    anchors = Anchors(((8,),), (1.0,))
    first = anchors((32, 32), [(4, 4)], "cpu")
    assert anchors((32, 32), [(4, 4)], "cpu") is first
    for width in range(1, 100):
        anchors((32, 8 * width), [(4, width)], "cpu")
    assert len(anchors._grids) == CACHED_GRIDS
    assert torch.equal(anchors((32, 32), [(4, 4)], "cpu")[0], first[0])


def test_the_cache_stands_many_threads():
    anchors = Anchors(((8,),), (1.0,))
    widths = [*range(1, 2 * CACHED_GRIDS)] * 40

    def right(width: int) -> bool:
        return len(anchors((32, 8 * width), [(4, width)], "cpu")[0]) == 4 * width

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(right, widths))
    finally:
        sys.setswitchinterval(before)
    assert len(anchors._grids) == CACHED_GRIDS


def test_a_copy_has_its_own_cache():
    anchors = Anchors(((8,),), (1.0,))
    first = anchors((32, 32), [(4, 4)], "cpu")
    for copied in (copy.deepcopy(anchors), pickle.loads(pickle.dumps(anchors))):
        again = copied((32, 32), [(4, 4)], "cpu")
        assert again is not first and torch.equal(again[0], first[0])
