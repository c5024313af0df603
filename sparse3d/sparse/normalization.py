"""Normalisation of features, with the parameter names of MinkowskiEngine's modules."""

from __future__ import annotations

import torch
from torch import nn

from sparse3d.sparse.batch_norm import SynchronizedBatchNorm1d
from sparse3d.sparse.instance_norm import instance_norm
from sparse3d.sparse.tensor import SparseTensor


class BatchNorm(nn.Module):
    """Batch normalisation over voxels; its parameters sit under ``.bn``, as MinkowskiEngine's do.

    When several processes train together the statistics are those of all their voxels.
    """

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.bn = SynchronizedBatchNorm1d(channels, eps=eps, momentum=momentum)

    def forward(
        self, x: SparseTensor, relu: bool = False, residual: SparseTensor | None = None, inplace: bool = False
    ) -> SparseTensor:
        """``relu(norm(x) + residual)``, each of the two only if asked for, in one pass where the backend has one.

        Args:
            residual: on the same voxels.
            inplace: without gradients the result may be written over ``x``, which must then have no other reader.

        Raises:
            ValueError: training on a single voxel; a residual that lives on other voxels.
        """
        if residual is not None:
            x.check_same_voxels(residual)
        feats = self.bn(
            x.feats,
            relu=relu,
            residual=None if residual is None else residual.feats,
            native=x.manager.backend == "native",
            inplace=inplace,
        )
        return x.with_feats(feats)


class InstanceNorm(nn.Module):
    """Every cloud normalised by itself, channel by channel; ``weight`` and ``bias`` are (1, C), as MinkowskiEngine's.

    Args:
        eps: added to the variance. MinkowskiEngine's plain form has 1e-8, its stable one 1e-6.
    """

    def __init__(self, num_features: int, eps: float = 1e-8) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(1, num_features))
        self.bias = nn.Parameter(torch.zeros(1, num_features))

    def forward(self, x: SparseTensor) -> SparseTensor:
        return x.with_feats(instance_norm(x.feats, x.batch_index, x.batch_size, self.weight, self.bias, self.eps))

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1]}, eps={self.eps}"
