"""Random boxes for hypothesis."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor


def boxes(min_size: int = 1, max_size: int = 12, limit: float = 500.0, side: float = 1.0) -> st.SearchStrategy[Tensor]:
    """(N, 4) float32 boxes with sides of at least `side` pixels, within -limit … 2 · limit."""
    counts = st.integers(min_size, max_size)
    corners = counts.flatmap(
        lambda n: st.tuples(
            arrays.arrays("float32", (n, 2), elements=st.floats(-limit, limit, width=32)),
            arrays.arrays("float32", (n, 2), elements=st.floats(side, limit, width=32)),
        )
    )
    return corners.map(lambda pair: torch.from_numpy(np.concatenate([pair[0], pair[0] + pair[1]], axis=1)))


def bool_masks(max_side: int = 20) -> st.SearchStrategy[Tensor]:
    """(H, W) bool."""
    shape = st.tuples(st.integers(1, max_side), st.integers(1, max_side))
    return shape.flatmap(lambda s: arrays.arrays(bool, s)).map(torch.from_numpy)


def random_boxes(count: int, limit: float = 100.0, seed: int = 0, dtype=torch.float32) -> Tensor:
    """(N, 4) boxes with sides of 1 to limit / 2 pixels within 0 … 1.5 · limit."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator, dtype=dtype) * limit
    sides = 1 + torch.rand(count, 2, generator=generator, dtype=dtype) * (limit / 2 - 1)
    return torch.cat([corner, corner + sides], dim=1)
