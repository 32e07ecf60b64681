"""The grid of anchors that proposals start from."""

import threading
from collections import OrderedDict

import torch
from torch import Tensor

# How many different grids are remembered: enough for the sizes of a data set, bounded however many come.
CACHED_GRIDS = 16


def cell_anchors(sizes: tuple[int, ...], ratios: tuple[float, ...]) -> Tensor:
    """The A anchors of one cell, centred on (0, 0): every size with every ratio r = h / w, at equal area.

    h = s √r        w = s / √r        rounded to whole corners

    sizes    side s of the square anchor, pixels
    ratios   r = h / w
    returns  (A, 4) xyxy, pixels, ordered by ratio, then by size
    source   Ren et al. 2015, section 3.1.1
    """
    scales = torch.tensor(sizes, dtype=torch.float32)
    h_ratios = torch.tensor(ratios, dtype=torch.float32).sqrt()
    heights = (h_ratios[:, None] * scales).flatten()  # (A,)
    widths = ((1 / h_ratios)[:, None] * scales).flatten()  # (A,)
    return (torch.stack([-widths, -heights, widths, heights], dim=1) / 2).round()  # (A, 4)


def grid_anchors(base: Tensor, grid: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """The anchors of one level: those of one cell, moved to the corner of each cell.

    base     (A, 4) xyxy, pixels, from `cell_anchors`
    grid     (h, w) cells
    stride   (vertical, horizontal) pixels per cell
    returns  (h·w·A, 4) xyxy, pixels, in the order (h, w, A)
    """
    y = torch.arange(grid[0], device=base.device, dtype=torch.float32) * stride[0]
    x = torch.arange(grid[1], device=base.device, dtype=torch.float32) * stride[1]
    y, x = (shift.reshape(-1) for shift in torch.meshgrid(y, x, indexing="ij"))
    shifts = torch.stack([x, y, x, y], dim=1)
    return (shifts[:, None] + base).reshape(-1, 4)


# One for all models, and not in them: a lock can neither be copied nor pickled.
LOCK = threading.Lock()


class Anchors:
    """All anchors of a batch of padded images; the same for each image of the batch.

    They are float32 under autocast too: in bfloat16 a corner would be off by up to 7 pixels.

    sizes    one tuple of sides a level
    ratios   h / w, the same at every level
    """

    def __init__(self, sizes: tuple[tuple[int, ...], ...], ratios: tuple[float, ...]):
        self.sizes, self.ratios = sizes, ratios
        self.base = [cell_anchors(level_sizes, ratios) for level_sizes in sizes]  # each (A, 4)
        self._grids: OrderedDict = OrderedDict()

    def __call__(self, image_size: tuple[int, int], grids: list[tuple[int, int]], device) -> list[Tensor]:
        """The anchors of each level.

        The stride is what fits the padded image into the grid, rounded down: at height 800 the pooled level of
        13 rows has stride 61, not 64.

        image_size  (height, width) of the padded image, pixels
        grids       (h, w) cells of each level
        returns     one (h·w·A, 4) a level, xyxy, pixels
        """
        key = (tuple(image_size), tuple(tuple(grid) for grid in grids), str(device))
        with LOCK:
            found = self._grids.get(key)
        # Two threads may both make the same grid; neither waits for the other.
        levels = found if found is not None else self._make(image_size, grids, device)
        with LOCK:
            self._grids[key] = levels
            self._grids.move_to_end(key)
            while len(self._grids) > CACHED_GRIDS:
                self._grids.popitem(last=False)
        return levels

    def _make(self, image_size: tuple[int, int], grids: list[tuple[int, int]], device) -> list[Tensor]:
        return [
            grid_anchors(base.to(device), grid, stride)
            for base, grid, stride in zip(self.base, grids, strides(image_size, grids), strict=True)
        ]


def strides(image_size: tuple[int, int], grids: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pixels per cell of each level, (vertical, horizontal)."""
    return [(image_size[0] // h, image_size[1] // w) for h, w in grids]
