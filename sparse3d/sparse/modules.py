"""Normalisation of features, with the parameter names of MinkowskiEngine's modules."""

from __future__ import annotations

from torch import nn

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
