"""Sparse convolution through the compiled kernel, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparse3d.sparse.functional import check_fit, sparse_convolution
from sparse3d.sparse.kernel_map import KernelMap, KernelRegion
from sparse3d.sparse.manager import CoordinateKey, CoordinateManager
from sparse3d.sparse.native import library

_MOST_ROWS = 2**31 - 1  # rows are counted in 32 bits inside


class NativeCoordinateManager(CoordinateManager):
    """The portable backend with compiled products; what the kernel does not do (float64, GPUs) is done by torch."""

    backend = "native"

    def product(
        self,
        feats: Tensor,
        kernel: Tensor,
        source: CoordinateKey,
        target: CoordinateKey,
        region: KernelRegion,
        transposed: bool,
    ) -> Tensor:
        return self._product(feats, kernel, self.kernel_map(source, target, region, transposed))

    def _product(self, feats: Tensor, kernel: Tensor, kernel_map: KernelMap) -> Tensor:
        if not _does(feats, kernel, kernel_map):
            return sparse_convolution(feats, kernel, kernel_map)
        check_fit(feats, kernel, kernel_map)
        return _NativeConvolution.apply(feats.float(), kernel.float(), kernel_map)


def _does(feats: Tensor, kernel: Tensor, kernel_map: KernelMap) -> bool:
    return (
        feats.device.type == "cpu"
        and torch.promote_types(feats.dtype, kernel.dtype) == torch.float32
        and min(kernel_map.in_size, kernel_map.out_size, *kernel.shape) > 0
        and max(kernel_map.in_size, kernel_map.out_size) <= _MOST_ROWS
    )


class _NativeConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feats: Tensor, kernel: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.kernel_map = kernel_map
        feats, kernel = feats.contiguous(), kernel.contiguous()
        ctx.save_for_backward(feats, kernel)
        return _convolve(feats, kernel, kernel_map.table, kernel.shape[2])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        feats, kernel = ctx.saved_tensors
        kernel_map: KernelMap = ctx.kernel_map
        grad_out = grad_out.contiguous()
        grad_feats = grad_kernel = None
        if ctx.needs_input_grad[0]:
            # On one set of voxels slot K-1-k is the inverse of slot k: the same table serves, slots reversed.
            mirrored = kernel_map.identity_slot is not None
            table = kernel_map.table if mirrored else kernel_map.inverse_table
            grad_feats = _convolve(grad_out, kernel, table, kernel.shape[1], transposed=True, reversed_slots=mirrored)
        if ctx.needs_input_grad[1]:
            grad_kernel = _weight_gradient(feats, grad_out, kernel_map.table)
        return grad_feats, grad_kernel, None


def _convolve(
    feats: Tensor, kernel: Tensor, table: Tensor, c_out: int, transposed: bool = False, reversed_slots: bool = False
) -> Tensor:
    slots, rows = table.shape
    out = feats.new_empty(rows, c_out)
    library.load().sparse3d_convolve(
        *(t.data_ptr() for t in (feats, kernel, table, out)),
        rows,
        slots,
        feats.shape[1],
        c_out,
        transposed,
        reversed_slots,
        torch.get_num_threads(),
    )
    return out


def _weight_gradient(feats: Tensor, grad_out: Tensor, table: Tensor) -> Tensor:
    slots, rows = table.shape
    grad = feats.new_empty(slots, feats.shape[1], grad_out.shape[1])
    library.load().sparse3d_weight_gradient(
        *(t.data_ptr() for t in (feats, grad_out, table, grad)),
        rows,
        slots,
        feats.shape[1],
        grad_out.shape[1],
        torch.get_num_threads(),
    )
    return grad
