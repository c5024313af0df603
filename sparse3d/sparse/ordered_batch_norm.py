"""Batch normalisation on a CPU in plain torch, with the same bits for every number of threads.

torch's own kernel adds up a channel's rows thread by thread. Its sum over rows takes every column by itself, by halves,
in one fixed order. The formulas are those of :mod:`sparse3d.sparse.native.batch_norm`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def does(x: Tensor, *per_channel: Tensor | None) -> bool:
    """Whether ``x`` (N, C) and its weight, bias and running statistics, as far as there are, are for this form.

    Those that fit nobody are not: torch refuses them.
    """
    channels = [t for t in per_channel if t is not None]
    return (
        x.dim() == 2
        and len(x) > 1
        and x.dtype in (torch.float32, torch.float64)
        and all(t.shape == x.shape[1:] for t in channels)
        and all(t.device.type == "cpu" and t.dtype == x.dtype for t in (x, *channels))
        and not torch.is_autocast_enabled("cpu")
    )


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
) -> Tensor:
    """``F.batch_norm(x, ..., training=True)`` of rows ``x`` (N, C), N > 1; moves the running statistics if given."""
    with torch.no_grad():
        mean = _column_sums(x) / len(x)
        var = _column_sums((x - mean).square_()) / len(x)
        if running_mean is not None and running_var is not None:
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(var * (len(x) / (len(x) - 1)), momentum)
    out: Tensor = _BatchNorm.apply(x, weight, bias, mean, torch.rsqrt(var + eps))
    return out


def _column_sums(x: Tensor) -> Tensor:
    # A single column would be cut by the number of threads, as it is a sum of all there is.
    return x.sum(0) if x.shape[1] != 1 else x.expand(-1, 2).sum(0)[:1]


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, inverse_std: Tensor
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, inverse_std)
        out = (x - mean).mul_(inverse_std if weight is None else inverse_std * weight)
        return out if bias is None else out.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse_std = ctx.saved_tensors
        grad = grad.contiguous()
        xhat = (x - mean).mul_(inverse_std)
        grad_bias, grad_weight = _column_sums(grad), _column_sums(grad * xhat)
        grad_x = grad_weight_out = None
        if ctx.needs_input_grad[0]:
            scale = inverse_std if weight is None else inverse_std * weight
            grad_x = xhat.mul_(-grad_weight / len(x)).add_(grad).sub_(grad_bias / len(x)).mul_(scale)
        if ctx.needs_input_grad[1]:
            grad_weight_out = grad_weight
        return grad_x, grad_weight_out, grad_bias if ctx.needs_input_grad[2] else None, None, None
