"""Gradients in float64 against differences, for every kind of layer on every backend."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparse3d.sparse import (
    AvgPooling,
    BatchNorm,
    Convolution,
    ConvolutionTranspose,
    GenerativeConvolutionTranspose,
    MaxPooling,
    PoolingTranspose,
    Pruning,
    SparseTensor,
    SumPooling,
    TensorField,
    global_pool,
    interpolate,
    slice,
)

Coords = Callable[..., Tensor]
POINTS = 14

LAYERS: dict[str, Callable[[], list[nn.Module]]] = {
    "3^3 with bias": lambda: [Convolution(2, 3, 3, bias=True)],
    "dilated": lambda: [Convolution(2, 3, 3, dilation=2)],
    "2^3 stride 2": lambda: [Convolution(2, 3, 2, stride=2)],
    "axes of their own": lambda: [Convolution(2, 2, (3, 1, 2), stride=(1, 2, 3), dilation=(2, 1, 1), bias=True)],
    "pointwise": lambda: [Convolution(2, 3, 1, bias=True)],
    "strided pointwise": lambda: [Convolution(2, 3, 1, stride=2)],
    "down and up": lambda: [Convolution(2, 2, 3, stride=2), ConvolutionTranspose(2, 2, 3, stride=2, bias=True)],
    "transposed, stride 1": lambda: [ConvolutionTranspose(2, 3, 3)],
    "generating": lambda: [GenerativeConvolutionTranspose(2, 2, 2)],
    "sum": lambda: [SumPooling(3, stride=2)],
    "average": lambda: [AvgPooling(2, stride=2)],
    "maximum": lambda: [MaxPooling(2, stride=2)],
    "maximum and back": lambda: [MaxPooling(2, stride=2), PoolingTranspose(2, stride=2)],
    "normalised": lambda: [Convolution(2, 2, 2), BatchNorm(2)],
}


@pytest.mark.parametrize("case", LAYERS)
def test_layers_pass_gradcheck_in_features_and_parameters(case: str, random_coords: Coords, backend: str) -> None:
    torch.manual_seed(0)
    coords = random_coords(POINTS, extent=2)
    net = nn.Sequential(*LAYERS[case]()).double()
    names = [name for name, _ in net.named_parameters()]

    def through(feats: Tensor, *parameters: Tensor) -> Tensor:
        x = SparseTensor.from_coords(coords, feats, backend=backend)
        out = torch.func.functional_call(net, dict(zip(names, parameters, strict=True)), (x,))
        return out.feats

    feats = torch.randn(POINTS, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(through, (feats, *(p.detach().requires_grad_() for p in net.parameters())))


def test_uniting_pruning_and_pooling_whole_clouds_pass_gradcheck(random_coords: Coords, backend: str) -> None:
    coords = random_coords(POINTS, extent=2)
    first, second = torch.arange(POINTS) % 3 > 0, torch.arange(POINTS) % 2 > 0

    def through(feats: Tensor) -> Tensor:
        x = SparseTensor.from_coords(coords, feats, backend=backend)
        both = Pruning()(x, first) * Pruning()(x, second) + x
        return torch.cat([both.feats, *(global_pool(both, mode) for mode in ("average", "sum", "max"))])

    assert torch.autograd.gradcheck(through, (torch.randn(POINTS, 2, dtype=torch.float64, requires_grad=True),))


def test_a_whole_segmentation_of_points_passes_gradcheck(backend: str) -> None:
    """Points in, points out: voxelized, through a strided convolution, sliced and interpolated."""
    generator = torch.Generator().manual_seed(0)
    coords = torch.rand(POINTS, 4, generator=generator) * torch.tensor([0.0, 3, 3, 3]) - torch.tensor([0, 1, 1, 1])
    conv = Convolution(2, 2, 2, stride=2).double()

    def through(feats: Tensor) -> Tensor:
        field = TensorField(feats, coords)
        x = conv(field.sparse("average", backend=backend))
        return slice(x, field) + interpolate(x, field.coords)

    assert torch.autograd.gradcheck(through, (torch.randn(POINTS, 2, dtype=torch.float64, requires_grad=True),))
