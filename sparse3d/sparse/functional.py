"""Sparse convolution in plain torch, forward and backward, on every device torch has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparse3d.sparse.kernel_map import KernelMap

# Up to this many input channels one gathered matrix product beats a small product per kernel slot
# (the first layer of an SR-UNet: 125 slots of 3 channels).
_GATHER_ALL_CHANNELS = 8
# ... as long as the gathered matrix stays small: 256 MB of float32.
_GATHER_ALL_ELEMENTS = 1 << 26


def sparse_convolution(feats: Tensor, kernel: Tensor, kernel_map: KernelMap) -> Tensor:
    """``out[o] = sum over k and pairs (i, o) of slot k of feats[i] @ kernel[k]``.

    Args:
        feats: (N_in, C_in).
        kernel: (K, C_in, C_out).
        kernel_map: N_in to N_out rows.

    Returns:
        (N_out, C_out), of the wider dtype of the two; summed in float32 if that is a half type.
    """
    check_fit(feats, kernel, kernel_map)
    # Not under autocast: the forward pass would be in bfloat16, one rounding a slot, and the backward pass, which runs
    # outside of it, would meet two types.
    common = torch.promote_types(feats.dtype, kernel.dtype)
    wide = torch.promote_types(common, torch.float32)
    with torch.autocast(feats.device.type, enabled=False):
        return _SparseConvolution.apply(feats.to(wide), kernel.to(wide), kernel_map).to(common)


def check_fit(feats: Tensor, kernel: Tensor, kernel_map: KernelMap) -> None:
    """Raises ValueError where features, kernel and map do not belong together."""
    if len(feats) != kernel_map.in_size:
        raise ValueError(f"{len(feats)} feature rows for a kernel map over {kernel_map.in_size} voxels")
    slots, channels = kernel_map.slots, feats.shape[1]
    if kernel.ndim != 3 or kernel.shape[:2] != (slots, channels):
        raise ValueError(f"kernel {tuple(kernel.shape)} does not fit {slots} slots and {channels} channels")


def multiplied(feats: Tensor, kernel: Tensor, multiply: Callable[[Tensor, Tensor], Tensor], products: str) -> Tensor:
    """``multiply(feats, kernel)``, with the operands that ``products`` asks for.

    ``bfloat16`` rounds the operands of every product, forward and backward, to 8 significant bits in value, not type;
    sums are not rounded.
    """
    if products != "bfloat16":
        return multiply(feats, kernel)
    return _RoundGradient.apply(multiply(_RoundValue.apply(feats), _RoundValue.apply(kernel)))


class _RoundValue(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.bfloat16().to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad


class _RoundGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.bfloat16().to(grad.dtype)


class _SparseConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feats: Tensor, kernel: Tensor, kernel_map: KernelMap) -> Tensor:
        ctx.kernel_map = kernel_map
        ctx.save_for_backward(feats, kernel)
        if _gathers_all(feats, kernel, kernel_map):
            slots, c_in, c_out = kernel.shape
            return _gather_columns(feats, kernel_map) @ kernel.reshape(slots * c_in, c_out)
        return _convolve_by_slot(feats, kernel, kernel_map)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        feats, kernel = ctx.saved_tensors
        kernel_map: KernelMap = ctx.kernel_map
        grad_out = grad_out.contiguous()
        grad_feats = torch.zeros_like(feats) if ctx.needs_input_grad[0] else None
        if _gathers_all(feats, kernel, kernel_map):
            columns = _gather_columns(feats, kernel_map)
            gathered_grad = (columns.t() @ grad_out).view_as(kernel) if ctx.needs_input_grad[1] else None
            if grad_feats is None:
                return None, gathered_grad, None
            _accumulate_grads(feats, kernel, kernel_map, grad_out, grad_feats, None)
            return grad_feats, gathered_grad, None
        grad_kernel = torch.empty_like(kernel) if ctx.needs_input_grad[1] else None
        _accumulate_grads(feats, kernel, kernel_map, grad_out, grad_feats, grad_kernel)
        return grad_feats, grad_kernel, None


def _gathers_all(feats: Tensor, kernel: Tensor, kernel_map: KernelMap) -> bool:
    slots, channels = kernel.shape[0], feats.shape[1]
    small = kernel_map.out_size * slots * channels <= _GATHER_ALL_ELEMENTS
    return small and channels <= _GATHER_ALL_CHANNELS and slots > 1


def _accumulate_grads(
    feats: Tensor,
    kernel: Tensor,
    kernel_map: KernelMap,
    grad_out: Tensor,
    grad_feats: Tensor | None,
    grad_kernel: Tensor | None,
) -> None:
    """Adds to ``grad_feats`` and writes ``grad_kernel``, whichever is given."""
    identity = kernel_map.identity_slot
    inputs, grads, products = (_Block(kernel_map.block_rows, like) for like in (feats, grad_out, feats))
    turned = kernel.transpose(1, 2).unbind()
    slots = () if grad_kernel is None else grad_kernel.unbind()
    begun = set()
    if identity is not None:
        begun.add(identity)
        if grad_kernel is not None:
            torch.mm(feats.t(), grad_out, out=slots[identity])
        if grad_feats is not None:
            grad_feats.addmm_(grad_out, turned[identity])
    for slot, rows_in, rows_out in kernel_map.blocks:
        arrived = grads.rows(grad_out, rows_out)
        if grad_kernel is not None:
            columns = inputs.rows(feats, rows_in).t()
            slots[slot].addmm_(columns, arrived) if slot in begun else torch.mm(columns, arrived, out=slots[slot])
            begun.add(slot)
        if grad_feats is not None:
            grad_feats.index_add_(0, rows_in, products.product(arrived, turned[slot]))
    for slot, grad in enumerate(slots):
        if slot not in begun:  # no pair at all
            grad.zero_()


def _convolve_by_slot(feats: Tensor, kernel: Tensor, kernel_map: KernelMap) -> Tensor:
    weights, identity = kernel.unbind(), kernel_map.identity_slot
    if identity is not None:
        out = feats @ weights[identity]
    else:
        out = feats.new_zeros(kernel_map.out_size, kernel.shape[2])
    inputs, products = (_Block(kernel_map.block_rows, like) for like in (feats, out))
    for slot, rows_in, rows_out in kernel_map.blocks:
        out.index_add_(0, rows_out, products.product(inputs.rows(feats, rows_in), weights[slot]))
    return out


class _Block:
    """Memory for one block of rows, used again by every block: clearing new pages costs more than the copy into it."""

    def __init__(self, size: int, like: Tensor) -> None:
        self._memory = like.new_empty(size, like.shape[1])

    def rows(self, source: Tensor, rows: Tensor) -> Tensor:
        return torch.index_select(source, 0, rows, out=self._memory[: len(rows)])

    def product(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.mm(a, b, out=self._memory[: len(a)])


def _gather_columns(feats: Tensor, kernel_map: KernelMap) -> Tensor:
    """The inputs of all slots side by side, (N_out, K * C_in); missing neighbours are zero."""
    slots, channels = kernel_map.slots, feats.shape[1]
    columns = feats.new_zeros(kernel_map.out_size * slots, channels)
    place = kernel_map.out_rows * slots + kernel_map.slot_of_pair
    columns.index_copy_(0, place, feats.index_select(0, kernel_map.in_rows))
    return columns.view(kernel_map.out_size, slots * channels)
