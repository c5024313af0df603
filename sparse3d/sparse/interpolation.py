"""Features between voxels: linear interpolation at arbitrary points, with MinkowskiEngine's meaning."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse3d.sparse.field import around, check_points, lattice_corner
from sparse3d.sparse.tensor import SparseTensor


def interpolate(x: SparseTensor, points: Tensor) -> Tensor:
    """Features (M, C) at ``points``, linear between the eight voxels around each, spaced by the tensor stride.

    A voxel's features sit at its integer coordinates. Voxels that ``x`` does not have count 0, and the weights of the
    others are not scaled up for it; a point with none around it, however far out, gets zeros. Differentiable in the
    features, and in the points when they require gradients.

    Args:
        points: (M, 4) float, batch index first, then x, y, z in voxels.

    Raises:
        ValueError: points of another shape, not finite, or with batch indices that are not whole.
    """
    check_points(points)
    corner, fraction = lattice_corner(points, x.tensor_stride)
    coordinates = x.manager.coordinates(x.key)
    out = x.feats.new_zeros(len(points), x.feats.shape[1])
    for voxels, weights in around(corner, fraction, x.tensor_stride):  # one at a time: (M, C) at once, not (M, 8, C)
        rows = coordinates.rows_of(voxels)
        found = torch.nonzero(rows >= 0)[:, 0]
        share = weights[found, None].to(x.feats.dtype)
        out.index_add_(0, found, x.feats.index_select(0, rows[found]) * share)
    return out


class Interpolation(nn.Module):
    """:func:`interpolate` as a layer."""

    def forward(self, x: SparseTensor, points: Tensor) -> Tensor:
        return interpolate(x, points)
