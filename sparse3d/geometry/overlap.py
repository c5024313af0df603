"""How much of one view another view sees, for all pairs of a sequence at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import sparse

from sparse3d.errors import InputError

_AXIS_BITS = 21  # three axes fit an int64; at 5 cm an axis spans 105 km


@dataclass(frozen=True)
class Overlap:
    """Overlap of F views.

    ``contained[i, j]`` is the share of view i's voxels that have a voxel of view j within the tolerance; a view without
    points contains nothing and is contained in nothing. ``voxels`` counts each view's occupied voxels.
    """

    contained: np.ndarray  # (F, F) float32
    voxels: np.ndarray  # (F,) int64

    def pair_overlap(self) -> np.ndarray:
        """(F, F) float32, symmetric: of the pair's view with fewer voxels, the share that the other view has too.

        For views of equal size the larger of the two shares.
        """
        fewer = self.voxels[:, None] < self.voxels[None, :]
        more = fewer.T
        larger = np.maximum(self.contained, self.contained.T)
        return np.where(fewer, self.contained, np.where(more, self.contained.T, larger))


def view_overlaps(
    clouds: Sequence[np.ndarray],
    voxel_size: float = 0.05,
    tolerance: int = 1,
    name: Callable[[int], str] = "cloud {}".format,
) -> Overlap:
    """The :class:`Overlap` of F clouds, each (N, 3) in one world frame, metres.

    Voxels of ``voxel_size`` metres are compared with ``tolerance`` voxels of slack along every axis (1: the 27
    neighbours). All pairs come from one product of sparse incidence matrices, views x voxels. Raises InputError for
    points that are not finite or lie too far apart to be numbered; ``name`` says how it calls a cloud.
    """
    if voxel_size <= 0 or tolerance < 0:
        raise ValueError(f"voxel_size must be positive and tolerance at least 0, got {voxel_size} and {tolerance}")
    voxels = _voxel_keys(clouds, voxel_size, tolerance, name)
    counts = np.array([len(keys) for keys in voxels], dtype=np.int64)
    every, column = np.unique(np.concatenate([*voxels, np.empty(0, np.int64)]), return_inverse=True)
    indptr = np.concatenate(([0], np.cumsum(counts)))
    occupied = sparse.csr_matrix((np.ones(len(column), np.float32), column, indptr), shape=(len(voxels), len(every)))
    reached = occupied @ _neighbourhood(every, tolerance)
    reached.data[:] = 1  # a voxel near to several of a view's voxels counts once
    shared = (occupied @ reached.T).toarray()
    return Overlap((shared / np.maximum(counts, 1)[:, None]).astype(np.float32), counts)


def select_pairs(overlap: np.ndarray, low: float = 0.3, high: float = 0.9) -> np.ndarray:
    """Pairs (P, 2) int64 with i < j whose symmetric ``overlap`` (F, F) lies in [low, high], in order."""
    return np.argwhere(np.triu((overlap >= low) & (overlap <= high), k=1)).astype(np.int64, copy=False)


def _voxel_keys(
    clouds: Sequence[np.ndarray], voxel_size: float, margin: int, name: Callable[[int], str]
) -> list[np.ndarray]:
    """Each cloud's occupied voxels as sorted int64 keys, ``margin`` voxels away from every end of the numbering."""
    grids = [np.floor(np.asarray(cloud, dtype=np.float64).reshape(-1, 3) / voxel_size) for cloud in clouds]
    for index, grid in enumerate(grids):
        if not np.isfinite(grid).all():
            raise InputError(f"{name(index)} has points that are not finite; drop frames whose pose is not rigid")
    filled = [grid for grid in grids if len(grid)]
    if not filled:
        return [np.empty(0, np.int64) for _ in grids]
    # numbered from the middle view, so that one far-off view is the one that the error names
    centre = np.floor(np.median([np.median(grid, axis=0) for grid in filled], axis=0))
    half = 2 ** (_AXIS_BITS - 1)
    keys = []
    for index, grid in enumerate(grids):
        grid = grid - centre
        if (np.abs(grid) >= half - margin).any():
            reach = f"{half * voxel_size / 1000:.3g} km"
            raise InputError(f"{name(index)} lies over {reach} from the others; check its pose and depth unit")
        keys.append(np.unique(_pack(grid.astype(np.int64) + half)))
    return keys


def _pack(grid: np.ndarray) -> np.ndarray:
    return (grid[..., 0] << (2 * _AXIS_BITS)) + (grid[..., 1] << _AXIS_BITS) + grid[..., 2]


def _neighbourhood(every: np.ndarray, tolerance: int) -> sparse.csr_matrix:
    """(V, V) float32: which of the V sorted voxel keys lie within ``tolerance`` voxels of each other."""
    offsets = _pack(np.array(list(product(range(-tolerance, tolerance + 1), repeat=3)), dtype=np.int64))
    first, second = [np.arange(len(every))], [np.arange(len(every))]
    for offset in offsets[offsets > 0]:  # the other half by symmetry
        place = np.searchsorted(every, every + offset)
        hit = np.flatnonzero(every[np.minimum(place, len(every) - 1)] == every + offset)
        first += [hit, place[hit]]
        second += [place[hit], hit]
    rows, cols = np.concatenate(first), np.concatenate(second)
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, cols)), shape=(len(every), len(every)))
