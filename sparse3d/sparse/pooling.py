"""Pooling of voxels and of whole clouds, with MinkowskiEngine's meaning.

A kernel as large as its stride pools every voxel into the coarse voxel it lies in (all of ``floor(c / stride)``); the
dilation then has no meaning. Any other kernel pools the voxels that a convolution of that size would see, odd sizes
centred on the coarse voxel's corner.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sparse3d.sparse.convolution import given_key
from sparse3d.sparse.coordinates import triple
from sparse3d.sparse.kernel_map import KernelMap, KernelRegion
from sparse3d.sparse.manager import CoordinateKey
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
        sums = sum_pool(feats.to(_sum_type(feats)), kernel_map)
        counts = sums.new_zeros(kernel_map.out_size, 1)
        for row in kernel_map.table:
            counts += (row >= 0)[:, None]
        return (sums / counts.clamp_(min=1)).to(feats.dtype)


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
        return x.key if self.stride == (1, 1, 1) else x.manager.upsampled(x.key, self.stride, self.region)

    def pool(self, feats: Tensor, kernel_map: KernelMap) -> Tensor:
        return sum_pool(feats, kernel_map, backwards=True)


def sum_pool(feats: Tensor, kernel_map: KernelMap, backwards: bool = False) -> Tensor:
    """Sum over the pairs of a map: ``out[o] = sum of feats[i] over pairs (i, o)``, (N_out, C).

    Args:
        feats: (N_in, C), or (N_out, C) with ``backwards``, which exchanges i and o.
    """
    return _SumPool.apply(feats.to(_sum_type(feats)), kernel_map, backwards).to(feats.dtype)


def max_pool(feats: Tensor, kernel_map: KernelMap) -> Tensor:
    """Largest value over the pairs of a map, (N_out, C); 0 where there is no pair, NaN where there is one."""
    return _MaxPool.apply(feats, kernel_map)


def _sum_type(feats: Tensor) -> torch.dtype:
    """Half types are summed in float32: autocast leaves such features behind."""
    return torch.promote_types(feats.dtype, torch.float32)


def _slots(kernel_map: KernelMap) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Input and output rows (P,) int64 of one slot after the other. Within a slot no row occurs twice.

    From the table, without the list of all pairs: that would take several times its memory.
    """
    for slot, row in enumerate(kernel_map.table):
        rows_out = torch.nonzero(row >= 0).squeeze(1)
        if len(rows_out):
            yield slot, row[rows_out].to(torch.int64), rows_out


class _SumPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feats: Tensor, kernel_map: KernelMap, backwards: bool) -> Tensor:
        ctx.kernel_map, ctx.backwards = kernel_map, backwards
        out = feats.new_zeros(kernel_map.in_size if backwards else kernel_map.out_size, feats.shape[1])
        for _, rows_in, rows_out in _slots(kernel_map):
            source, target = (rows_out, rows_in) if backwards else (rows_in, rows_out)
            out.index_add_(0, target, feats.index_select(0, source))
        return out

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, None, None]:
        return _SumPool.apply(grad_out, ctx.kernel_map, not ctx.backwards), None, None


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feats: Tensor, kernel_map: KernelMap) -> Tensor:
        best = feats.new_zeros(kernel_map.out_size, feats.shape[1])
        winner = torch.full(best.shape, -1, dtype=torch.int16, device=feats.device)  # the slot that holds the largest
        for slot, rows_in, rows_out in _slots(kernel_map):
            values, standing, holder = feats[rows_in], best[rows_out], winner[rows_out]
            wins = (values > standing) | (holder < 0) | (values.isnan() & ~standing.isnan())
            best[rows_out] = torch.where(wins, values, standing)
            winner[rows_out] = holder.masked_fill_(wins, slot)
        ctx.kernel_map = kernel_map
        ctx.save_for_backward(winner)
        return best

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, None]:
        (winner,) = ctx.saved_tensors
        kernel_map: KernelMap = ctx.kernel_map
        grad = grad_out.new_zeros(kernel_map.in_size, grad_out.shape[1])
        for slot, rows_in, rows_out in _slots(kernel_map):
            grad.index_add_(0, rows_in, grad_out[rows_out] * (winner[rows_out] == slot))
        return grad, None


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


class GlobalAvgPooling(nn.Module):
    """The mean of every cloud's voxels, (batch_size, C)."""

    def forward(self, x: SparseTensor) -> Tensor:
        return global_pool(x, "average")


class GlobalSumPooling(nn.Module):
    """The sum of every cloud's voxels, (batch_size, C)."""

    def forward(self, x: SparseTensor) -> Tensor:
        return global_pool(x, "sum")


class GlobalMaxPooling(nn.Module):
    """The largest value of every cloud's voxels, channel by channel, (batch_size, C)."""

    def forward(self, x: SparseTensor) -> Tensor:
        return global_pool(x, "max")
