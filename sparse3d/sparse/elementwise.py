"""Layers that look at one voxel at a time: torch's own, on the features of a sparse tensor.

The torch module sits under the name it has in MinkowskiEngine's layers, so parameters have the same names.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from sparse3d.sparse.tensor import SparseTensor


class Elementwise(nn.Module):
    """A torch module on the features; takes that module's arguments."""

    kind: ClassVar[type[nn.Module]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.module = self.kind(*args, **kwargs)

    def forward(self, x: SparseTensor) -> SparseTensor:
        return x.with_feats(self.module(x.feats))


class ReLU(Elementwise):
    """max(x, 0)."""

    kind = nn.ReLU


class LeakyReLU(Elementwise):
    """x, times ``negative_slope`` below 0."""

    kind = nn.LeakyReLU


class PReLU(Elementwise):
    """x, times a learnt slope below 0 (``module.weight``)."""

    kind = nn.PReLU


class ELU(Elementwise):
    """x, ``alpha`` (exp(x) - 1) below 0."""

    kind = nn.ELU


class CELU(Elementwise):
    """x, ``alpha`` (exp(x / alpha) - 1) below 0."""

    kind = nn.CELU


class SELU(Elementwise):
    """ELU scaled to keep mean and variance (Klambauer et al. 2017)."""

    kind = nn.SELU


class GELU(Elementwise):
    """x times the normal distribution function of x."""

    kind = nn.GELU


class SiLU(Elementwise):
    """x sigmoid(x)."""

    kind = nn.SiLU


class Sigmoid(Elementwise):
    """1 / (1 + exp(-x))."""

    kind = nn.Sigmoid


class Tanh(Elementwise):
    """tanh(x)."""

    kind = nn.Tanh


class Softplus(Elementwise):
    """log(1 + exp(x))."""

    kind = nn.Softplus


class Dropout(Elementwise):
    """Zeroes single values with probability ``p`` in training, and scales the others up."""

    kind = nn.Dropout


class Linear(nn.Module):
    """``x W^T + b`` for every voxel; parameters ``linear.weight`` (C_out, C_in) and ``linear.bias`` (C_out,)."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features, bias=bias)

    def forward(self, x: SparseTensor) -> SparseTensor:
        return x.with_feats(self.linear(x.feats))
