"""Pooling of voxels and of whole clouds, with MinkowskiEngine's meaning.

A kernel as large as its stride pools every voxel into the coarse voxel it lies in (all of ``floor(c / stride)``); the
dilation then has no meaning. Any other kernel pools the voxels that a convolution of that size would see, odd sizes
centred on the coarse voxel's corner.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sparse3d.sparse.convolution import given_key
from sparse3d.sparse.coordinates import triple
from sparse3d.sparse.kernel_map import KernelMap, KernelRegion
from sparse3d.sparse.manager import CoordinateKey
from sparse3d.sparse.pooling_functional import max_pool, sum_pool
from sparse3d.sparse.precision import sum_type, widest_type
from sparse3d.sparse.tensor import SparseTensor


class PoolingBase(nn.Module):
    """What the pooling layers share.

    Args:
        kernel_size: one number, or one for each of x, y and z.
        stride: factor between the tensor strides of input and output.
        dilation: distance between the kernel's voxels, in the finer one's tensor stride.

    Raises:
        ValueError: sizes, strides or dilations that are no positive integers.
    """

    transposed: bool = False

    def __init__(
        self, kernel_size: int | Sequence[int], stride: int | Sequence[int] = 1, dilation: int | Sequence[int] = 1
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = triple(kernel_size, "kernel_size"), triple(stride, "stride")
        self.dilation = triple(dilation, "dilation")
        if self.kernel_size == self.stride:
            # Only an odd size differs from the convolution's region, whose map is shared otherwise.
            self.region = KernelRegion(self.kernel_size, from_corner=any(size % 2 for size in self.kernel_size))
        else:
            self.region = KernelRegion(self.kernel_size, self.dilation)

    def output_key(self, x: SparseTensor) -> CoordinateKey:
        """The voxels of the output where the caller does not say."""
        return x.key if self.stride == (1, 1, 1) else x.manager.strided(x.key, self.stride)

    def pool(self, feats: Tensor, kernel_map: KernelMap) -> Tensor:
        """(N_in, C) to (N_out, C); of a transposed layer the map leads from the output to the input."""
        raise NotImplementedError

    def forward(self, x: SparseTensor, onto: SparseTensor | None = None) -> SparseTensor:
        """``x`` pooled; ``onto`` asks for the output on that tensor's voxels. No voxel in reach gives 0.

        Raises:
            ValueError: an ``onto`` of another manager or tensor stride.
        """
        target = self.output_key(x) if onto is None else given_key(x, onto, self.stride, self.transposed)
        fine, coarse = (target, x.key) if self.transposed else (x.key, target)
        return x.at(target, self.pool(x.feats, x.manager.kernel_map(fine, coarse, self.region)))

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, dilation={self.dilation}"


class SumPooling(PoolingBase):
    """The sum of the voxels in reach."""

    def pool(self, feats: Tensor, kernel_map: KernelMap) -> Tensor:
        return sum_pool(feats, kernel_map)


class AvgPooling(PoolingBase):
    """The mean of the voxels in reach; missing ones do not count."""

    def pool(self, feats: Tensor, kernel_map: KernelMap) -> Tensor:
        sums = sum_pool(feats.to(sum_type(feats)), kernel_map)
        counts = (kernel_map.table >= 0).sum(dim=0).clamp_(min=1)
        return (sums / counts[:, None]).to(feats.dtype)


class MaxPooling(PoolingBase):
    """The largest of the voxels in reach, channel by channel; of equal ones the first kernel slot gets the gradient."""

    def pool(self, feats: Tensor, kernel_map: KernelMap) -> Tensor:
        return max_pool(feats, kernel_map)


class PoolingTranspose(PoolingBase):
    """The way back: every fine voxel gets the sum of the coarse ones whose kernels reach it.

    With a kernel as large as the stride that is a copy of the coarse voxel it lies in.

    Args:
        expand_coordinates: make every voxel that the kernel reaches, whatever was there before. Otherwise the output
            lives on the original voxels of the finer stride, and new ones are made only where there are none.
    """

    transposed = True

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int],
        dilation: int | Sequence[int] = 1,
        expand_coordinates: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, dilation)
        self.expand_coordinates = expand_coordinates

    def output_key(self, x: SparseTensor) -> CoordinateKey:
        if self.expand_coordinates:
            return x.manager.generated(x.key, self.stride, self.region)
        return x.manager.upsampled(x.key, self.stride, self.region)

    def pool(self, feats: Tensor, kernel_map: KernelMap) -> Tensor:
        return sum_pool(feats, kernel_map, backwards=True)


def global_pool(x: SparseTensor, mode: str = "average") -> Tensor:
    """One row a cloud, (batch_size, C), row b for batch index b; clouds without a voxel give zeros.

    Args:
        mode: ``average``, ``sum`` or ``max``.
    """
    if mode not in ("average", "sum", "max"):
        raise ValueError(f"mode must be average, sum or max, got {mode!r}")
    feats, index = x.feats, x.batch_index
    if mode == "max":
        pooled = feats.new_zeros(x.batch_size, feats.shape[1])
        return pooled.scatter_reduce(0, index[:, None].expand_as(feats), feats, "amax", include_self=False)
    wide = feats.to(widest_type(feats))
    pooled = wide.new_zeros(x.batch_size, feats.shape[1]).index_add(0, index, wide)
    if mode == "average":
        pooled = pooled / torch.bincount(index, minlength=x.batch_size).clamp_(min=1)[:, None]
    return pooled.to(feats.dtype)


class GlobalAvgPooling(nn.Module):
    """The mean of every cloud's voxels, (batch_size, C)."""

    def forward(self, x: SparseTensor) -> Tensor:
        return global_pool(x, "average")


class GlobalSumPooling(nn.Module):
    """The sum of every cloud's voxels, (batch_size, C)."""

    def forward(self, x: SparseTensor) -> Tensor:
        return global_pool(x, "sum")


class GlobalMaxPooling(nn.Module):
    """The largest value of every cloud's voxels, channel by channel, (batch_size, C); equal ones share the gradient."""

    def forward(self, x: SparseTensor) -> Tensor:
        return global_pool(x, "max")
