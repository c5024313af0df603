"""Sparse convolution through the compiled kernel, forward and backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparse3d.sparse.functional import check_fit, multiplied, sparse_convolution
from sparse3d.sparse.kernel_map import KernelMap
from sparse3d.sparse.manager import Connection, CoordinateManager, Epilogue
from sparse3d.sparse.native import library
from sparse3d.sparse.native.concatenation import concatenate
from sparse3d.sparse.native.floors import native_strided
from sparse3d.sparse.native.memory import empty_rows
from sparse3d.sparse.native.neighbours import native_neighbours
from sparse3d.sparse.native.recompute import Recipe, recipe_of

_MOST_ROWS = 2**31 - 1  # rows are counted in 32 bits inside


class NativeCoordinateManager(CoordinateManager):
    """The portable backend with compiled maps and products; what they do not do (float64, GPUs) is done by torch."""

    backend = "native"
    neighbours = staticmethod(native_neighbours)
    floors = staticmethod(native_strided)

    def convolve(self, feats: Tensor, kernel: Tensor, bias: Tensor | None, connection: Connection) -> Tensor:
        kernel_map = None if kernel.ndim == 2 else self.kernel_map(*connection)
        return convolve(feats, kernel, kernel_map, bias, self.products)

    def convolve_norm(
        self, feats: Tensor, kernel: Tensor, bias: Tensor | None, connection: Connection, epilogue: Epilogue
    ) -> Tensor | None:
        if self.products != "float32":
            return None
        kernel_map = None if kernel.ndim == 2 else self.kernel_map(*connection)
        return convolve_norm(feats, kernel, kernel_map, bias, epilogue)

    def concatenate(self, parts: list[Tensor]) -> Tensor:
        return concatenate(parts)


def convolve(
    feats: Tensor,
    kernel: Tensor,
    kernel_map: KernelMap | None,
    bias: Tensor | None = None,
    products: str = "float32",
) -> Tensor:
    """``out[o] = bias + sum over k and pairs (i, o) of slot k of feats[i] @ kernel[k]``.

    What the kernel does not do (float64, GPUs, no voxels, no channels) is done by torch.

    Args:
        feats: (N_in, C_in).
        kernel: (K, C_in, C_out); without a map (C_in, C_out), which takes every row where it is.
        bias: of C_out elements.
        products: ``float32``, or ``bfloat16``: the operands of every product, forward and backward, are rounded to
            bfloat16 and summed in float32 (faster where the CPU has such products, best in AMX tiles).

    Returns:
        (N_out, C_out), of the wider dtype of features and kernel.

    Raises:
        ValueError: where features, kernel, map and bias do not belong together.
    """
    _check_fit(feats, kernel, kernel_map, bias)
    if not _does(feats, kernel, kernel_map, bias):
        return _convolve_by_torch(feats, kernel, kernel_map, bias, products)
    bias = None if bias is None else bias.float()
    if not torch.is_grad_enabled():
        table = None if kernel_map is None else kernel_map.table
        feats, kernel = feats.float().contiguous(), kernel.float().contiguous()
        return _convolve(feats, kernel, _contiguous(bias), table, products == "bfloat16")
    recipe = recipe_of(feats) if feats.dtype == torch.float32 else None
    return _Convolution.apply(feats.float(), kernel.float(), bias, kernel_map, products == "bfloat16", recipe)


def _check_fit(feats: Tensor, kernel: Tensor, kernel_map: KernelMap | None, bias: Tensor | None) -> None:
    if kernel_map is not None:
        check_fit(feats, kernel, kernel_map)
    elif kernel.ndim != 2 or kernel.shape[0] != feats.shape[1]:
        raise ValueError(f"kernel {tuple(kernel.shape)} does not fit rows of {feats.shape[1]} channels")
    if bias is not None and bias.numel() != kernel.shape[-1]:
        raise ValueError(f"bias {tuple(bias.shape)} does not fit {kernel.shape[-1]} output channels")


def _convolve_by_torch(
    feats: Tensor, kernel: Tensor, kernel_map: KernelMap | None, bias: Tensor | None, products: str
) -> Tensor:
    def multiply(feats: Tensor, kernel: Tensor) -> Tensor:
        return feats @ kernel if kernel_map is None else sparse_convolution(feats, kernel, kernel_map)

    out = multiplied(feats, kernel, multiply, products)
    return out if bias is None else out + bias.reshape(1, -1)


def _does(feats: Tensor, kernel: Tensor, kernel_map: KernelMap | None, bias: Tensor | None) -> bool:
    rows = (len(feats),) if kernel_map is None else (kernel_map.in_size, kernel_map.out_size)
    tensors = [tensor for tensor in (feats, kernel, bias) if tensor is not None]
    types = [tensor.dtype for tensor in tensors]
    return (
        all(tensor.device.type == "cpu" for tensor in tensors)
        and torch.float32 in types
        and all(dtype in (torch.float32, torch.bfloat16, torch.float16) for dtype in types)
        and min(*rows, *kernel.shape) > 0
        and max(rows) <= _MOST_ROWS
    )


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        feats: Tensor,
        kernel: Tensor,
        bias: Tensor | None,
        kernel_map: KernelMap | None,
        rounded: bool,
        recipe: Recipe | None,
    ) -> Tensor:
        ctx.kernel_map, ctx.rounded = kernel_map, rounded
        ctx.bias_shape = None if bias is None else bias.shape
        feats, kernel = feats.contiguous(), kernel.contiguous()
        ctx.compute = None if recipe is None else recipe.compute
        ctx.save_for_backward(kernel, *((feats,) if recipe is None else recipe.inputs))
        table = None if kernel_map is None else kernel_map.table
        return _convolve(feats, kernel, _contiguous(bias), table, rounded)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        kernel, *inputs = ctx.saved_tensors
        kernel_map: KernelMap | None = ctx.kernel_map
        grad_out = grad_out.contiguous()
        grad_feats = grad_kernel = grad_bias = None
        if ctx.needs_input_grad[1]:
            # First, so that inputs made again are gone before the inputs' gradients need their room.
            feats = inputs[0] if ctx.compute is None else ctx.compute(*inputs)
            table = None if kernel_map is None else kernel_map.table
            grad_kernel = _weight_gradient(feats, grad_out, table, ctx.rounded).view_as(kernel)
            del feats
        if ctx.needs_input_grad[0]:
            # On one set of voxels slot K-1-k is the inverse of slot k: the same table serves, slots reversed.
            mirrored = kernel_map is not None and kernel_map.identity_slot is not None
            table = None
            if kernel_map is not None:
                table = kernel_map.table if mirrored else kernel_map.inverse_table
            grad_feats = _convolve(grad_out, kernel, None, table, ctx.rounded, transposed=True, reversed_slots=mirrored)
        if ctx.needs_input_grad[2]:
            grad_bias = _column_sum(grad_out).view(ctx.bias_shape)
        return grad_feats, grad_kernel, grad_bias, None, None, None


def convolve_norm(
    feats: Tensor, kernel: Tensor, kernel_map: KernelMap | None, bias: Tensor | None, epilogue: Epilogue
) -> Tensor | None:
    """``epilogue`` of :func:`convolve`'s output without gradients, (N_out, C_out + C_beside), in one pass.

    Returns:
        None where the kernel does not do it: anything but float32 on a CPU, no voxels, no channels, an epilogue that
        does not fit.

    Raises:
        ValueError: where features, kernel, map and bias do not belong together.
    """
    _check_fit(feats, kernel, kernel_map, bias)
    rows = len(feats) if kernel_map is None else kernel_map.out_size
    channels = kernel.shape[-1]
    if not _does(feats, kernel, kernel_map, bias) or not _does_epilogue(epilogue, rows, channels):
        return None
    if feats.dtype != torch.float32 or kernel.dtype != torch.float32:
        return None
    residual, beside = epilogue.residual, epilogue.beside
    if beside is not None:
        out = empty_rows(rows, channels + beside.shape[1])
        _finish(feats, kernel, bias, kernel_map, epilogue, out)
        out[:, channels:].copy_(beside)
        return out
    if residual is None or not epilogue.over_residual or not _may_be_written_over(residual, feats):
        out = empty_rows(rows, channels)
        _finish(feats, kernel, bias, kernel_map, epilogue, out)
        return out
    _finish(feats, kernel, bias, kernel_map, epilogue, residual)
    torch.autograd.graph.increment_version(residual)  # whoever saved it for a backward pass must learn of it
    return residual


def _may_be_written_over(residual: Tensor, feats: Tensor) -> bool:
    """Other rows of ``feats`` are read after the first of ``residual`` is written; what inference mode made is not
    written outside of it."""
    apart = residual.untyped_storage().data_ptr() != feats.untyped_storage().data_ptr()
    versioned = torch.is_inference_mode_enabled() or not residual.is_inference()
    return residual.is_contiguous() and apart and versioned


def _finish(
    feats: Tensor, kernel: Tensor, bias: Tensor | None, kernel_map: KernelMap | None, epilogue: Epilogue, out: Tensor
) -> None:
    table = None if kernel_map is None else kernel_map.table
    mean, variance, weight, shift, eps, relu, residual, *_ = epilogue
    bias = None if bias is None else bias.float()
    given = (feats, kernel, bias, table, residual, mean, variance, weight, shift)
    tensors = [_contiguous(tensor) for tensor in given]  # named, so that copies live as long as their addresses
    library.load().sparse3d_convolve_norm(
        *map(_pointer, tensors),
        out.data_ptr(),
        eps,
        len(feats),
        len(out),
        out.shape[1],
        1 if table is None else table.shape[0],
        *kernel.shape[-2:],
        relu,
        torch.get_num_threads(),
    )


def _does_epilogue(epilogue: Epilogue, rows: int, channels: int) -> bool:
    mean, variance, weight, bias, _, _, residual, _, beside = epilogue
    fits = (residual is None or residual.shape == (rows, channels)) and (beside is None or len(beside) == rows)
    per_channel = [t for t in (mean, variance, weight, bias) if t is not None]
    tensors = [*per_channel, *(t for t in (residual, beside) if t is not None)]
    return (
        fits
        and all(t.shape == (channels,) for t in per_channel)
        and all(t.dtype == torch.float32 and t.device.type == "cpu" for t in tensors)
        and not torch.is_autocast_enabled("cpu")
    )


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _operands(*tensors: Tensor, rounded: bool) -> tuple[Tensor, ...]:
    """Rounded here when the library does not do it."""
    if not rounded or library.load().sparse3d_multiplies_bfloat16():
        return tensors
    return tuple(tensor.bfloat16().float() for tensor in tensors)


def _convolve(
    feats: Tensor,
    kernel: Tensor,
    bias: Tensor | None,
    table: Tensor | None,
    rounded: bool,
    transposed: bool = False,
    reversed_slots: bool = False,
) -> Tensor:
    feats, kernel = _operands(feats, kernel, rounded=rounded)
    slots, rows = (1, len(feats)) if table is None else table.shape
    channels = kernel.shape[-2 if transposed else -1]
    out = empty_rows(rows, channels)
    library.load().sparse3d_convolve(
        *(_pointer(tensor) for tensor in (feats, kernel, bias, table, out)),
        len(feats),
        rows,
        slots,
        feats.shape[1],
        channels,
        transposed,
        reversed_slots,
        rounded,
        torch.get_num_threads(),
    )
    return out


def _weight_gradient(feats: Tensor, grad_out: Tensor, table: Tensor | None, rounded: bool) -> Tensor:
    feats, grad_out = _operands(feats, grad_out, rounded=rounded)
    slots, rows = (1, len(feats)) if table is None else table.shape
    grad = empty_rows(slots * feats.shape[1], grad_out.shape[1])
    library.load().sparse3d_weight_gradient(
        *(_pointer(tensor) for tensor in (feats, grad_out, table, grad)),
        len(feats),
        rows,
        slots,
        feats.shape[1],
        grad_out.shape[1],
        rounded,
        torch.get_num_threads(),
    )
    return grad


def _column_sum(rows: Tensor) -> Tensor:
    sums = rows.new_empty(rows.shape[1])
    library.load().sparse3d_column_sum(
        rows.data_ptr(), sums.data_ptr(), len(rows), rows.shape[1], torch.get_num_threads()
    )
    return sums
