"""Leaving voxels out, as networks do that make voxels first and then judge them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse3d.sparse.tensor import SparseTensor


class Pruning(nn.Module):
    """Keeps some voxels, in their order; keeping none is allowed.

    The kept voxels open a branch of their own: strided layers after it stride them, while transposed layers go back to
    the original voxels of the finer stride.
    """

    def forward(self, x: SparseTensor, keep: Tensor) -> SparseTensor:
        """``x`` on the voxels where ``keep`` (N,) bool is true.

        Raises:
            ValueError: a ``keep`` of another type or length.
        """
        if keep.dtype != torch.bool or keep.shape != (len(x),):
            shape = tuple(keep.shape)
            raise ValueError(f"`keep` must be ({len(x)},) bool, one for each voxel, got {shape} {keep.dtype}")
        rows = torch.nonzero(keep).squeeze(1)
        key = x.manager.insert(x.manager.coordinates(x.key).subset(rows), x.tensor_stride)
        return x.at(key, x.feats.index_select(0, rows))
