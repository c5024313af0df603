"""Layers with the parameter names and shapes of MinkowskiEngine's modules, over either backend."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sparse3d.sparse.batch_norm import SynchronizedBatchNorm1d
from sparse3d.sparse.tensor import SparseTensor


class _ConvolutionBase(nn.Module):
    """``kernel`` is (K^3, C_in, C_out), or (C_in, C_out) for kernel size 1 with stride 1; ``bias`` is (1, C_out)."""

    transposed: bool = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        volume = kernel_size**3
        pointwise = kernel_size == 1 and stride == 1
        shape = (in_channels, out_channels) if pointwise else (volume, in_channels, out_channels)
        self.kernel = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(1, out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """MinkowskiEngine's start: uniform in +-1/sqrt(K^3 C_in), C_out in place of C_in when transposed."""
        fan = (self.out_channels if self.transposed else self.in_channels) * self.kernel_size**3
        bound = 1.0 / math.sqrt(fan)
        nn.init.uniform_(self.kernel, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: SparseTensor) -> SparseTensor:
        feats, stride = x.manager.convolve(
            x.feats, self.kernel, x.stride, self.kernel_size, self.stride, self.dilation, self.transposed
        )
        if self.bias is not None:
            feats = feats + self.bias
        return SparseTensor(feats, x.manager, stride, x.batch_size)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"


class Convolution(_ConvolutionBase):
    """Sparse convolution; with a stride, the output lives on ``floor(c / stride)`` of the input's voxels."""


class ConvolutionTranspose(_ConvolutionBase):
    """Transposed sparse convolution, back onto the voxels that a strided convolution started from."""

    transposed = True


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
    index = x.manager.batch_index(x.stride)
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
