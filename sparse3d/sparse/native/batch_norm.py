"""Batch normalisation, the addition of a residual and ReLU as one compiled pass, forward and backward.

With xhat = (x - mean) * inverse_std per channel and g the gradient behind ReLU's mask (Ioffe and Szegedy 2015)::

    y = relu(xhat * weight + bias + residual)
    grad_x = weight * inverse_std * (g - mean(g) - xhat * mean(g * xhat)),   grad_residual = g

Sums are combined in float64 and in one fixed order: the bits do not depend on the number of threads. No mask is kept:
backward computes it anew from x, or takes it from y when there is a residual.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparse3d.sparse.native import library
from sparse3d.sparse.native.memory import empty_rows
from sparse3d.sparse.native.recompute import remember

Reduce = Callable[[Tensor], object]  # sums a tensor over all processes, in place
MaybeTensor = Tensor | None


def does(x: Tensor, *per_channel: Tensor | None, residual: Tensor | None = None) -> bool:
    """Whether the kernel takes these: all float32 on a CPU, not under autocast.

    Args:
        x: (N, C), C > 0; residual: (N, C).
        per_channel: (C,) each: weight, bias, running mean and variance, as far as there are.
    """
    channels = [t for t in per_channel if t is not None]
    rows = [x] if residual is None else [x, residual]
    return (
        x.dim() == 2
        and x.shape[1] > 0
        and all(t.device.type == "cpu" and t.dtype == torch.float32 for t in (*rows, *channels))
        and all(t.shape == x.shape[1:] and t.is_contiguous() for t in channels)
        and rows[-1].shape == x.shape
        and not torch.is_autocast_enabled("cpu")
    )


def column_moments(x: Tensor) -> Tensor:
    """Mean and biased variance of every column of ``x`` (N, C) float32, N > 0: (2, C) float64."""
    x = x.detach().contiguous()
    moments = x.new_empty(2, x.shape[1], dtype=torch.float64)
    library.load().sparse3d_column_moments(x.data_ptr(), moments.data_ptr(), *x.shape, torch.get_num_threads())
    return moments


def update_running(running_mean: Tensor, running_var: Tensor, moments: Tensor, count: float, momentum: float) -> None:
    """Move running statistics towards ``moments`` (2, C) of ``count`` rows; the variance as the unbiased one."""
    library.load().sparse3d_update_running(
        *_pointers(moments, running_mean, running_var), count, momentum, moments.shape[1]
    )
    torch.autograd.graph.increment_version((running_mean, running_var))


def batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    relu: bool = False,
    residual: Tensor | None = None,
    inplace: bool = False,
) -> Tensor:
    """``relu(F.batch_norm(x, ...) + residual)`` for rows ``x`` (N, C), N > 0 (when training N > 1); see :func:`does`.

    Args:
        training: statistics of ``x`` are used, and move the running ones (if given) by ``momentum``.
        inplace: without gradients the result may be written into ``x``, which nobody else reads.
    """
    if not training:
        assert running_mean is not None and running_var is not None
        moments = torch.stack([running_mean, running_var]).double()
        return normalize(x, moments, eps, weight, bias, relu=relu, residual=residual, inplace=inplace)
    moments = column_moments(x)
    if running_mean is not None and running_var is not None:
        update_running(running_mean, running_var, moments, len(x), momentum)
    return normalize(x, moments, eps, weight, bias, count=len(x), relu=relu, residual=residual, inplace=inplace)


def normalize(
    x: Tensor,
    moments: Tensor,
    eps: float,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    count: float | None = None,
    relu: bool = False,
    residual: Tensor | None = None,
    inplace: bool = False,
    reduce: Reduce | None = None,
) -> Tensor:
    """Normalise ``x`` (N, C) by ``moments`` (2, C) float64, mean and biased variance.

    Args:
        count: rows behind the moments, when these are the batch's own and the gradient passes through them; None: they
            are constants.
        reduce: sums a tensor over all processes in place, when the rows of several are behind the moments.
    """
    tensors = (x, weight, bias, residual)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        out: Tensor = _BatchNorm.apply(*tensors, moments, eps, count, relu, reduce)
        if residual is None:
            remember(out, (x, weight, bias, moments), partial(_again, eps=eps, relu=relu))
        return out
    inplace = inplace and x.is_contiguous()
    x, weight, bias, residual = map(_contiguous, tensors)
    out = x if inplace else empty_rows(*x.shape)
    _forward(x, weight, bias, residual, moments, eps, relu, out)
    if inplace:
        torch.autograd.graph.increment_version(x)  # whoever saved x for a backward pass must learn of it
    return out


def _again(x: Tensor, weight: Tensor | None, bias: Tensor | None, moments: Tensor, *, eps: float, relu: bool) -> Tensor:
    x, weight, bias = map(_contiguous, (x, weight, bias))
    out = empty_rows(*x.shape)
    _forward(x, weight, bias, None, moments, eps, relu, out)
    return out


def _contiguous(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.contiguous()


def _pointers(*tensors: Tensor | None) -> tuple[int | None, ...]:
    return tuple(None if t is None else t.data_ptr() for t in tensors)


def _forward(
    x: Tensor,
    weight: MaybeTensor,
    bias: MaybeTensor,
    residual: MaybeTensor,
    moments: Tensor,
    eps: float,
    relu: bool,
    out: Tensor,
) -> None:
    library.load().sparse3d_batch_norm(
        *_pointers(x, residual, out, moments, weight, bias), eps, relu, *x.shape, torch.get_num_threads()
    )


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        residual: Tensor | None,
        moments: Tensor,
        eps: float,
        count: float | None,
        relu: bool,
        reduce: Reduce | None,
    ) -> Tensor:
        x, weight, bias, residual = map(_contiguous, (x, weight, bias, residual))
        out = empty_rows(*x.shape)
        _forward(x, weight, bias, residual, moments, eps, relu, out)
        kept = out if relu and residual is not None else None
        ctx.save_for_backward(x, kept, moments, weight, bias)
        ctx.eps, ctx.count, ctx.relu, ctx.reduce = eps, count, relu, reduce
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        x, out, *constants = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, needs_residual = needs = ctx.needs_input_grad[:4]
        grad, relu = grad_out.contiguous(), ctx.relu
        sums = grad_x = grad_weight = grad_bias = None
        through_statistics = needs_x and ctx.count is not None
        if needs_weight or needs_bias or through_statistics or (needs_residual and relu):
            masked = empty_rows(*x.shape) if needs_residual and relu else None
            sums = _gradient_sums(grad, x, out, masked, constants, ctx.eps, relu)
            grad_bias, grad_weight = sums.float().unbind()
            if masked is not None:
                grad, relu = masked, False  # the mask is applied from here on
        if needs_x:
            total = sums if through_statistics else None
            if total is not None and ctx.reduce is not None:
                ctx.reduce(total)
            grad_x = _gradient(grad, x, out, constants, total, ctx.count, ctx.eps, relu)
        grads = (grad_x, grad_weight, grad_bias, grad)
        return *(g if need else None for g, need in zip(grads, needs, strict=True)), None, None, None, None, None


def _gradient_sums(
    grad: Tensor, x: Tensor, out: Tensor | None, masked: Tensor | None, constants: list[Tensor], eps: float, relu: bool
) -> Tensor:
    # Sums of g and of g * xhat over the rows, (2, C) float64; g itself into `masked` if that is given.
    sums = torch.empty_like(constants[0])
    library.load().sparse3d_batch_norm_gradient_sums(
        *_pointers(grad, x, out, masked, *constants, sums), eps, relu, *x.shape, torch.get_num_threads()
    )
    return sums


def _gradient(
    grad: Tensor,
    x: Tensor,
    out: Tensor | None,
    constants: list[Tensor],
    sums: Tensor | None,
    count: float | None,
    eps: float,
    relu: bool,
) -> Tensor:
    grad_x = empty_rows(*x.shape)
    library.load().sparse3d_batch_norm_gradient(
        *_pointers(grad, x, out, grad_x, *constants, sums), count or 0.0, eps, relu, *x.shape, torch.get_num_threads()
    )
    return grad_x
