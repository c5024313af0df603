"""Batch normalisation, the addition of a residual and ReLU as one compiled pass, forward and backward.

With xhat = (x - mean) * inverse_std per channel and g the gradient behind ReLU's mask (Ioffe and Szegedy 2015)::

    y = relu(xhat * weight + bias + residual)
    grad_x = weight * inverse_std * (g - mean(g) - xhat * mean(g * xhat)),   grad_residual = g

Statistics are summed in float64 and in one fixed order: the bits do not depend on the number of threads. No mask is kept:
backward computes it anew from x, or takes it from y when there is a residual.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparse3d.sparse.native import library

# Sums sums [..] over all processes, in place.
Reduce = Callable[[Tensor], None]


def does(x: Tensor, *others: Tensor | None) -> bool:
    """Whether the kernel takes ``x`` (N, C), with affine parameters and a residual as ``others``: float32 on a CPU."""
    return (
        x.dim() == 2
        and x.shape[1] > 0
        and all(t.device.type == "cpu" and t.dtype == torch.float32 for t in (x, *others) if t is not None)
        and all(t.shape in (x.shape, x.shape[1:]) for t in others if t is not None)
        and not torch.is_autocast_enabled("cpu")
    )


def column_moments(x: Tensor) -> Tensor:
    """Mean and biased variance of every column of ``x`` (N, C) float32, N > 0: (2, C) float64."""
    x = x.contiguous()
    rows, channels = x.shape
    moments = x.new_empty(2, channels, dtype=torch.float64)
    library.load().sparse3d_column_moments(
        x.data_ptr(), moments.data_ptr(), rows, channels, torch.get_num_threads()
    )
    return moments


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
    """``relu(batch_norm(x) + residual)``, as ``torch.nn.functional.batch_norm`` for rows (N, C), N > 0; see :func:`does`.

    Args:
        training: statistics of ``x`` are used, and move the running ones (if given) by ``momentum``.
        inplace: without gradients the result may be written into ``x``: its only user is this call.
    """
    if not training:
        assert running_mean is not None and running_var is not None
        moments = torch.stack([running_mean, running_var]).double()
    else:
        moments = column_moments(x)
        if running_mean is not None and running_var is not None:
            update_running(running_mean, running_var, moments, len(x), momentum)
    count = float(len(x)) if training else None
    return normalize(x, moments, eps, weight, bias, count=count, relu=relu, residual=residual, inplace=inplace)


def update_running(
    running_mean: Tensor, running_var: Tensor, moments: Tensor, count: float, momentum: float
) -> None:
    """Move running statistics towards ``moments`` (2, C) of ``count`` rows; the variance as the unbiased one."""
    target = moments.to(running_mean.dtype, copy=True)
    target[1] *= count / (count - 1)
    running_mean.lerp_(target[0], momentum)
    running_var.lerp_(target[1], momentum)


def normalize(
    x: Tensor,
    moments: Tensor,
    eps: float,
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    count: float | None,
    relu: bool = False,
    residual: Tensor | None = None,
    inplace: bool = False,
    reduce: Reduce | None = None,
) -> Tensor:
    """Normalise ``x`` (N, C) by ``moments`` (2, C) float64, mean and biased variance.

    Args:
        count: rows behind the moments, when these are the batch's and the gradient passes through them; None: constants.
        reduce: sums a tensor over all processes in place, when the moments are those of several.
    """
    moments[1] = torch.rsqrt(moments[1] + eps)
    tensors = (x, weight, bias, residual)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors):
        return _BatchNorm.apply(x, weight, bias, residual, moments, count, relu, reduce)
    x = x.contiguous()
    out = x if inplace else torch.empty_like(x)
    _forward(x, residual, out, moments, weight, bias, relu)
    if inplace:
        torch.autograd.graph.increment_version(x)
    return out


def _forward(
    x: Tensor,
    residual: Tensor | None,
    out: Tensor,
    stats: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    relu: bool,
) -> None:
    residual = None if residual is None else residual.contiguous()
    weight, bias = _contiguous(weight), _contiguous(bias)
    library.load().sparse3d_batch_norm(
        *map(_pointer, (x, residual, out, stats, weight, bias)), relu, *x.shape, torch.get_num_threads()
    )


def _contiguous(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.contiguous()


def _pointer(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        residual: Tensor | None,
        stats: Tensor,
        count: float | None,
        relu: bool,
        reduce: Reduce | None,
    ) -> Tensor:
        x, weight, bias = x.contiguous(), _contiguous(weight), _contiguous(bias)
        out = torch.empty_like(x)
        _forward(x, residual, out, stats, weight, bias, relu)
        kept = out if relu and residual is not None else None
        ctx.save_for_backward(x, kept, weight, bias, stats)
        ctx.count, ctx.relu, ctx.reduce = count, relu, reduce
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        x, out, weight, bias, stats = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, needs_residual = ctx.needs_input_grad[:4]
        grad_out = grad_out.contiguous()
        relu = ctx.relu
        kernel, tail = library.load(), (*x.shape, torch.get_num_threads())
        given = tuple(map(_pointer, (stats, weight, bias)))
        grad_x = sums = None
        batch = ctx.count is not None
        if needs_weight or needs_bias or (needs_x and batch) or (needs_residual and relu):
            masked = torch.empty_like(x) if needs_residual and relu else None
            sums = torch.empty_like(stats)
            pointers = (*map(_pointer, (grad_out, x, out, masked)), *given, sums.data_ptr())
            kernel.sparse3d_batch_norm_gradient_sums(*pointers, relu, *tail)
            if masked is not None:  # the mask is applied already
                grad_out, relu, out = masked, False, None
        if needs_x:
            total = None
            if batch:
                assert sums is not None
                total = sums
                if ctx.reduce is not None:
                    total = sums.clone()
                    ctx.reduce(total)
            grad_x = torch.empty_like(x)
            pointers = (*map(_pointer, (grad_out, x, out, grad_x)), *given, _pointer(total))
            kernel.sparse3d_batch_norm_gradient(*pointers, ctx.count or 0.0, relu, *tail)
        grad_bias, grad_weight = (None, None) if sums is None else sums.float().unbind()
        grads = (grad_x, grad_weight, grad_bias, grad_out)
        needs = (needs_x, needs_weight, needs_bias, needs_residual)
        return *(grad if need else None for grad, need in zip(grads, needs, strict=True)), None, None, None, None
