"""Voxel features into the views they were seen in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparse3d.types import MapCells, SparseRows


@dataclass
class ProjectedViews:
    """Features of B x V views on the projected maps' grid."""

    maps: Tensor  # (B, V, C, h, w) float32
    mask: Tensor  # (B, V, h, w) bool
    xyz: Tensor  # (B, V, 3, h, w) float32, metres, mean world position of a cell's voxels

    @property
    def flat_xyz(self) -> Tensor:
        """Where all views' cells lie, (B * V * h * w, 3)."""
        return self.xyz.movedim(2, -1).flatten(0, 3)


def project_features(feats: Tensor, cells: MapCells) -> Tensor:
    """2D feature maps: the mean of the voxel features of the pixels in each cell.

    Args:
        feats: (V, C) float.
        cells: which of the V voxels each cell shows; its mask (..., h, w).

    Returns:
        (..., C, h, w), zero where a cell shows no voxel.
    """
    means = _Projection.apply(feats, cells)
    return means.view(*cells.mask.shape, -1).movedim(-1, -3)


class _Projection(torch.autograd.Function):
    """A sparse matrix times the features; the gradient is its transpose's product, which lies ready, sorted."""

    @staticmethod
    def forward(ctx: Any, feats: Tensor, cells: MapCells) -> Tensor:
        ctx.by_voxel = cells.by_voxel
        return _product(cells.by_cell, feats)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _product(ctx.by_voxel, grad), None


def _product(matrix: SparseRows, feats: Tensor) -> Tensor:
    """``matrix`` (rows, columns) times ``feats`` (columns, C)."""
    weight = matrix.weight.to(feats.dtype)
    return F.embedding_bag(matrix.column, feats.contiguous(), matrix.start, mode="sum", per_sample_weights=weight)
