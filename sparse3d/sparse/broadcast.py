"""What global pooling gave, handed back to every voxel of its cloud."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparse3d.sparse.tensor import SparseTensor


def spread(x: SparseTensor, pooled: Tensor) -> Tensor:
    """Row b of ``pooled`` (batch_size, C) for every voxel of cloud b: (N, C).

    Raises:
        ValueError: where ``pooled`` does not have one row for each cloud.
    """
    if pooled.ndim != 2 or len(pooled) != x.batch_size:
        raise ValueError(f"`pooled` must have a row for each of {x.batch_size} clouds, got {tuple(pooled.shape)}")
    return pooled.index_select(0, x.batch_index)


class Broadcast(nn.Module):
    """The cloud's row of ``pooled`` in place of every voxel's features."""

    def forward(self, x: SparseTensor, pooled: Tensor) -> SparseTensor:
        return x.with_feats(spread(x, pooled))


class BroadcastAddition(nn.Module):
    """The cloud's row of ``pooled`` added to every voxel's features."""

    def forward(self, x: SparseTensor, pooled: Tensor) -> SparseTensor:
        return x.with_feats(x.feats + spread(x, pooled))


class BroadcastMultiplication(nn.Module):
    """Every voxel's features times the cloud's row of ``pooled``."""

    def forward(self, x: SparseTensor, pooled: Tensor) -> SparseTensor:
        return x.with_feats(x.feats * spread(x, pooled))


class BroadcastConcatenation(nn.Module):
    """The cloud's row of ``pooled`` beside every voxel's features."""

    def forward(self, x: SparseTensor, pooled: Tensor) -> SparseTensor:
        return x.with_feats(torch.cat([x.feats, spread(x, pooled)], dim=1))
