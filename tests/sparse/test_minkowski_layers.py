"""Layer by layer, three ways: our torch backend, our MinkowskiEngine backend, and MinkowskiEngine's own modules.

All three carry the same parameters, copied by name, and must agree forward and in every gradient within 1e-4 of the
largest value (float32). Rows are compared by their coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparse3d.sparse import (
    BatchNorm,
    Convolution,
    ConvolutionTranspose,
    ReLU,
    SparseTensor,
    concatenate,
    global_pool,
)
from sparse3d.sparse.coordinates import pack

pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")

TOLERANCE = 1e-4
CHANNELS = 12


class OurLayers:
    """Our layers under the signatures that the cases below use."""

    relu = ReLU
    norm = BatchNorm

    def conv(self, c_in: int, c_out: int, size: int, **options: Any) -> nn.Module:
        return Convolution(c_in, c_out, size, **options)

    def conv_transpose(self, c_in: int, c_out: int, size: int, **options: Any) -> nn.Module:
        return ConvolutionTranspose(c_in, c_out, size, **options)


class TheirLayers:
    """MinkowskiEngine's modules under the same signatures."""

    def __init__(self, engine: ModuleType) -> None:
        self.engine = engine
        self.relu = engine.MinkowskiReLU
        self.norm = engine.MinkowskiBatchNorm

    def conv(self, c_in: int, c_out: int, size: int, **options: Any) -> nn.Module:
        return self.engine.MinkowskiConvolution(c_in, c_out, kernel_size=size, dimension=3, **options)

    def conv_transpose(self, c_in: int, c_out: int, size: int, **options: Any) -> nn.Module:
        return self.engine.MinkowskiConvolutionTranspose(c_in, c_out, kernel_size=size, dimension=3, **options)


CASES: dict[str, Callable[[Any], list[nn.Module]]] = {
    "3^3": lambda L: [L.conv(CHANNELS, 16, 3)],
    "5^3 of colours": lambda L: [L.conv(CHANNELS, 3, 1), L.conv(3, 16, 5)],
    "3^3 dilated": lambda L: [L.conv(CHANNELS, 9, 3, dilation=2)],
    "3^3 stride 2": lambda L: [L.conv(CHANNELS, 9, 3, stride=2)],
    "2^3 stride 2": lambda L: [L.conv(CHANNELS, 16, 2, stride=2)],
    "1^3 stride 2": lambda L: [L.conv(CHANNELS, 16, 1, stride=2)],
    "down and up": lambda L: [L.conv(CHANNELS, 16, 2, stride=2), L.conv_transpose(16, 10, 2, stride=2)],
    "down twice, up twice": lambda L: [
        L.conv(CHANNELS, 16, 2, stride=2),
        L.conv(16, 16, 2, stride=2),
        L.conv(16, 16, 3),
        L.conv_transpose(16, 10, 2, stride=2),
        L.conv_transpose(10, 9, 2, stride=2),
    ],
    "down and up 3^3": lambda L: [L.conv(CHANNELS, 16, 3, stride=2), L.conv_transpose(16, 10, 3, stride=2)],
    "1^3 with bias": lambda L: [L.conv(CHANNELS, 16, 1, bias=True)],
    "3^3 with bias": lambda L: [L.conv(CHANNELS, 16, 3, bias=True)],
    "batch norm": lambda L: [L.norm(CHANNELS)],
    "ReLU": lambda L: [L.relu()],
    "block": lambda L: [L.conv(CHANNELS, 16, 3), L.norm(16), L.relu(), L.conv(16, 8, 3), L.norm(8)],
}


def close(a: Tensor, b: Tensor, tolerance: float = TOLERANCE) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= tolerance * b.abs().max().clamp_min(1e-12))


def by_coordinate(coords: Tensor, feats: Tensor) -> Tensor:
    return feats[pack(coords).argsort()]


def all_results(coords: Tensor, feats: Tensor, x: Tensor, module: nn.Module) -> list[Tensor]:
    """Sorted coordinates and features, and the gradients of input and parameters for a cotangent by coordinate."""
    out = by_coordinate(coords, feats)
    cotangent = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
    gradients = torch.autograd.grad(out, [x, *module.parameters()], cotangent)
    return [by_coordinate(coords, coords.to(out.dtype)), out.detach(), *gradients]


def run_ours(module: nn.Module, coords: Tensor, feats: Tensor, backend: str) -> list[Tensor]:
    x = feats.clone().requires_grad_()
    out = module(SparseTensor.from_coords(coords, x, backend=backend))
    return all_results(out.coords, out.feats, x, module)


def run_theirs(engine: ModuleType, module: nn.Module, coords: Tensor, feats: Tensor) -> list[Tensor]:
    x = feats.clone().requires_grad_()
    out = module(engine.SparseTensor(x, coordinates=coords))
    return all_results(out.C, out.F, x, module)


@pytest.mark.parametrize("case", CASES)
def test_layers_equal_those_of_minkowski_engine(minkowski: ModuleType, cloud_coords: Tensor, case: str) -> None:
    torch.manual_seed(0)
    ours = nn.Sequential(*CASES[case](OurLayers()))
    theirs = nn.Sequential(*CASES[case](TheirLayers(minkowski)))
    theirs.load_state_dict(ours.state_dict(), strict=True)
    feats = torch.randn(len(cloud_coords), CHANNELS)
    expected = run_theirs(minkowski, theirs, cloud_coords, feats)
    for backend in ("torch", "minkowski"):
        results = run_ours(ours, cloud_coords, feats, backend)
        assert all(close(a, b) for a, b in zip(results, expected, strict=True)), backend


def test_running_statistics_equal_those_of_minkowski_engine(minkowski: ModuleType, surface_coords: Tensor) -> None:
    ours, theirs = BatchNorm(CHANNELS), minkowski.MinkowskiBatchNorm(CHANNELS)
    feats = 2 + 3 * torch.randn(len(surface_coords), CHANNELS)
    for _ in range(2):
        ours(SparseTensor.from_coords(surface_coords, feats))
        theirs(minkowski.SparseTensor(feats, coordinates=surface_coords))
    expected = theirs.state_dict()
    assert all(torch.allclose(value, expected[name]) for name, value in ours.state_dict().items())


def test_concatenation_equals_that_of_minkowski_engine(minkowski: ModuleType, cloud_coords: Tensor) -> None:
    """A skip connection around a step down and up: the rows that meet must be of the same voxel."""

    def make(layers: Any) -> nn.ModuleList:
        return nn.ModuleList([layers.conv(CHANNELS, 8, 2, stride=2), layers.conv_transpose(8, 8, 2, stride=2)])

    ours, theirs = make(OurLayers()), make(TheirLayers(minkowski))
    theirs.load_state_dict(ours.state_dict())
    feats = torch.randn(len(cloud_coords), CHANNELS)
    x = feats.clone().requires_grad_()
    tensor = minkowski.SparseTensor(x, coordinates=cloud_coords)
    joined = minkowski.cat(theirs[1](theirs[0](tensor)), tensor)
    expected = all_results(joined.C, joined.F, x, theirs)
    for backend in ("torch", "minkowski"):
        x = feats.clone().requires_grad_()
        mine = SparseTensor.from_coords(cloud_coords, x, backend=backend)
        both = concatenate(ours[1](ours[0](mine)), mine)
        results = all_results(both.coords, both.feats, x, ours)
        assert all(close(a, b) for a, b in zip(results, expected, strict=True)), backend


@pytest.mark.parametrize(
    ("mode", "name"), [("average", "GlobalAvgPooling"), ("sum", "GlobalSumPooling"), ("max", "GlobalMaxPooling")]
)
def test_global_pooling_equals_that_of_minkowski_engine(
    minkowski: ModuleType, cloud_coords: Tensor, mode: str, name: str
) -> None:
    x = torch.randn(len(cloud_coords), CHANNELS, requires_grad=True)
    pooled = getattr(minkowski, f"Minkowski{name}")()(minkowski.SparseTensor(x, coordinates=cloud_coords))
    expected = pooled.F[pooled.C[:, 0].argsort()]
    cotangent = torch.randn(expected.shape)
    (expected_grad,) = torch.autograd.grad(expected, x, cotangent)
    for backend in ("torch", "minkowski"):
        ours = global_pool(SparseTensor.from_coords(cloud_coords, x, backend=backend), mode)
        assert close(ours, expected)
        # With a single cloud MinkowskiEngine's maximum sends its gradients to wrong rows: not to be copied.
        if mode != "max" or len(expected) > 1:
            assert close(torch.autograd.grad(ours, x, cotangent)[0], expected_grad)


def test_rows_of_the_minkowski_backend_are_the_callers(minkowski: ModuleType, surface_coords: Tensor) -> None:
    x = SparseTensor.from_coords(surface_coords, torch.zeros(len(surface_coords), 1), backend="minkowski")
    assert x.manager.backend == "minkowski"
    assert torch.equal(x.coords, surface_coords)


def test_another_row_order_inside_the_engine_does_not_show(
    minkowski: ModuleType, surface_coords: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the engine numbers rows by its hash table; here it is made to, by inserting them shuffled."""
    torch.manual_seed(0)
    insert = minkowski.CoordinateManager.insert_and_map

    def insert_shuffled(self: Any, coords: Tensor, *options: Any) -> Any:
        shuffle = torch.randperm(len(coords))
        key, _ = insert(self, coords[shuffle].contiguous(), *options)
        return key, (shuffle, shuffle.argsort())

    net = nn.Sequential(*CASES["down and up"](OurLayers()), Convolution(10, 4, 3))
    feats = torch.randn(len(surface_coords), CHANNELS)
    expected = run_ours(net, surface_coords, feats, "torch")
    monkeypatch.setattr(minkowski.CoordinateManager, "insert_and_map", insert_shuffled)
    results = run_ours(net, surface_coords, feats, "minkowski")
    assert all(close(a, b) for a, b in zip(results, expected, strict=True))
