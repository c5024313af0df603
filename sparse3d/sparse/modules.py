"""Layers that leave the voxels as they are, with the parameter names of MinkowskiEngine's modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse3d.sparse.batch_norm import SynchronizedBatchNorm1d
from sparse3d.sparse.tensor import SparseTensor


class BatchNorm(nn.Module):
    """Batch normalisation over voxels; its parameters sit under ``.bn``, as MinkowskiEngine's do.

    When several processes train together the statistics are those of all their voxels.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.bn = SynchronizedBatchNorm1d(channels, eps=eps, momentum=momentum)

    def forward(self, x: SparseTensor) -> SparseTensor:
        return x.with_feats(self.bn(x.feats))


class ReLU(nn.Module):
    """max(x, 0) on the features."""

    def forward(self, x: SparseTensor) -> SparseTensor:
        return x.with_feats(torch.relu(x.feats))


def global_pool(x: SparseTensor, mode: str = "average") -> Tensor:
    """One row a cloud, (batch_size, C), row b for batch index b; clouds without a voxel give zeros.

    Args:
        mode: ``average``, ``sum`` or ``max``.
    """
    index = x.batch_index
    pooled = x.feats.new_zeros(x.batch_size, x.feats.shape[1])
    if mode == "max":
        return pooled.scatter_reduce(0, index[:, None].expand_as(x.feats), x.feats, "amax", include_self=False)
    pooled = pooled.index_add(0, index, x.feats)
    if mode == "sum":
        return pooled
    if mode != "average":
        raise ValueError(f"mode must be average, sum or max, got {mode!r}")
    counts = torch.bincount(index, minlength=x.batch_size).clamp_(min=1)
    return pooled / counts[:, None].to(pooled.dtype)
