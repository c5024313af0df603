"""What the cells of projected maps show: from pixels to weighted voxels, counted once by the data worker."""

from __future__ import annotations

import numpy as np
import torch

from sparse3d.errors import InputError
from sparse3d.types import MapCells, SparseRows


def map_cells(pixel2voxel: np.ndarray, stride: int, voxels: int) -> MapCells:
    """The voxels of each ``stride`` x ``stride`` cell, weighted by their share of its pixels that have one.

    A cell of 16 pixels shows some three voxels: a sum over those, and its gradient, read a fifth of what pixels would.

    Args:
        pixel2voxel: (..., H, W) int64 rows of a cloud, -1 = none; H and W multiples of ``stride``.
        stride: pixels a cell.
        voxels: of the cloud.

    Raises:
        InputError: the image size is not a multiple of ``stride``.
    """
    *views, height, width = pixel2voxel.shape
    if height % stride or width % stride:
        raise InputError(
            f"images of {width} x {height} cannot be cut into cells of {stride} pixels: choose FrameFolder.size and "
            "PretrainTask.map_stride so that width and height are multiples"
        )
    rows, cols = height // stride, width // stride
    pixels = pixel2voxel.reshape(-1, rows, stride, cols, stride).swapaxes(2, 3).reshape(-1, stride * stride)
    cell, voxel, count = _counted(pixels)
    seen = np.bincount(cell, weights=count, minlength=len(pixels))
    weight = (count / seen[cell]).astype(np.float32)
    by_voxel = np.argsort(voxel, kind="stable")
    return MapCells(
        mask=torch.from_numpy(seen.reshape(*views, rows, cols) > 0),
        by_cell=_sparse_rows(cell, voxel, weight, len(pixels)),
        by_voxel=_sparse_rows(voxel[by_voxel], cell[by_voxel], weight[by_voxel], voxels),
    )


def _counted(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cell, voxel and number of pixels (E,) of every voxel in each row of ``pixels`` (cells, pixels), by cell."""
    pixels = np.sort(pixels.astype(np.int32), axis=1)
    # A cell's equal voxels are neighbours now: one is counted by where its run starts and the next one does.
    starts = np.ones(pixels.shape, dtype=bool)
    starts[:, 1:] = pixels[:, 1:] != pixels[:, :-1]
    place = np.flatnonzero(starts)
    count, voxel = np.diff(place, append=pixels.size), pixels.ravel()[place]
    known = voxel >= 0
    return place[known] // pixels.shape[1], voxel[known], count[known]


def _sparse_rows(row: np.ndarray, column: np.ndarray, weight: np.ndarray, rows: int) -> SparseRows:
    """Entries that are sorted by ``row``, as the matrix's rows."""
    start = np.zeros(rows, dtype=np.int64)
    np.cumsum(np.bincount(row, minlength=rows)[:-1], out=start[1:])
    return SparseRows(torch.from_numpy(start), torch.from_numpy(column.astype(np.int64)), torch.from_numpy(weight))
