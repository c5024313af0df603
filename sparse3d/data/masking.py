"""Which voxels the network must do without: drawn in blocks, so that the gap cannot be filled from the next voxel."""

from __future__ import annotations

import numpy as np


def draw_mask(coords: np.ndarray, ratio: float, block: int, rng: np.random.Generator) -> np.ndarray:
    """Mask (V,) bool over voxels ``coords`` (V, 3): whole blocks of ``block``^3 voxels, about ``ratio`` of them.

    ``block`` = 1 masks single voxels. The grid of blocks has a random phase.
    """
    if ratio <= 0 or len(coords) == 0:
        return np.zeros(len(coords), dtype=bool)
    phase = rng.integers(0, block, 3)
    cells = np.floor_divide(coords + phase, block)
    _, block_of_voxel = np.unique(cells, axis=0, return_inverse=True)
    block_of_voxel = block_of_voxel.reshape(-1)
    chosen = rng.random(block_of_voxel.max() + 1) < ratio
    return chosen[block_of_voxel]
