"""Convolutions of any shape against MinkowskiEngine's own modules, over random clouds.

Values and gradients are held within 1e-5 of the largest in float32 and 1e-12 in float64, on every backend, rows
compared by their coordinates; each axis has its own kernel size, stride and dilation in some. The clouds have negative
coordinates, several batch items, one voxel or many.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sparse3d.sparse import (
    Convolution,
    ConvolutionTranspose,
    GenerativeConvolutionTranspose,
    SparseTensor,
    native,
)
from sparse3d.sparse.coordinates import pack

pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
BACKENDS = ["torch", "minkowski", *(["native"] if native.available() else [])]
EXAMPLES = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

Shape = dict[str, Any]


@st.composite
def clouds(draw: st.DrawFn) -> Tensor:
    """(N, 4) int32 in random order: up to 90 voxels of up to 4 batch items, near zero or far from it, dense or not."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    batch, extent = draw(st.integers(1, 4)), draw(st.sampled_from([1, 3, 5, 12]))
    count = min(draw(st.sampled_from([1, 2, 9, 40, 90])), batch * (2 * extent) ** 3)
    cells = torch.randperm(batch * (2 * extent) ** 3, generator=generator)[:count]
    columns = [cells // (2 * extent) ** (3 - axis) % (2 * extent) - extent for axis in (1, 2, 3)]
    shift = draw(st.sampled_from([0, 0, -1000, 30000]))
    coords = torch.stack([cells // (2 * extent) ** 3, *(column + shift for column in columns)], dim=1)
    return coords.to(torch.int32)


def per_axis(values: st.SearchStrategy[int]) -> st.SearchStrategy[int | tuple[int, ...]]:
    """The same for all axes, or each its own."""
    return st.one_of(values, st.tuples(values, values, values))


@st.composite
def shapes(draw: st.DrawFn, smallest_stride: int = 1) -> Shape:
    """Options of a layer, small enough for many of them."""
    size = draw(st.one_of(st.integers(1, 5), st.tuples(*[st.integers(1, 4)] * 3)))
    return {
        "kernel_size": size,
        "stride": draw(per_axis(st.integers(smallest_stride, 4))),
        "dilation": draw(per_axis(st.integers(1, 2))),
        "bias": draw(st.booleans()),
    }


channels = st.sampled_from([1, 2, 3, 5, 7, 16, 19])
dtypes = st.sampled_from([torch.float32, torch.float64])


def their_layer(engine: ModuleType, ours: Any, shape: Shape) -> nn.Module:
    """MinkowskiEngine's layer of the same name, options and parameters."""
    kind = getattr(engine, f"Minkowski{type(ours).__name__}")
    options = {name: list(value) if isinstance(value, tuple) else value for name, value in shape.items()}
    layer = kind(ours.in_channels, ours.out_channels, dimension=3, **options).to(ours.kernel.dtype)
    layer.load_state_dict(ours.state_dict(), strict=True)
    return layer


def results(coords: Tensor, feats: Tensor, wanted: list[Tensor]) -> list[Tensor]:
    """Coordinates and features in the order of the coordinates, and the gradients for one cotangent in that order."""
    order = pack(coords).argsort()
    out = feats[order]
    cotangent = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
    return [coords[order].to(out.dtype), out.detach(), *torch.autograd.grad(out, wanted, cotangent)]


def check(engine: ModuleType, layers: list[Any], options: list[Shape], coords: Tensor, dtype: torch.dtype) -> None:
    """Our layers, one after the other, on every backend, against theirs."""
    feats = torch.randn(len(coords), layers[0].in_channels, dtype=dtype, generator=torch.Generator().manual_seed(2))
    ours = nn.Sequential(*layers).to(dtype)
    theirs = nn.Sequential(*(their_layer(engine, *pair) for pair in zip(layers, options, strict=True)))
    x = feats.clone().requires_grad_()
    y = theirs(engine.SparseTensor(x, coordinates=coords))
    expected = results(y.C, y.F, [x, *theirs.parameters()])
    for backend in BACKENDS:
        x = feats.clone().requires_grad_()
        out = ours(SparseTensor.from_coords(coords, x, backend=backend))
        assert list(out.tensor_stride) == y.tensor_stride
        got = results(out.coords, out.feats, [x, *ours.parameters()])
        assert close(got[:2], expected[:2], dtype, smallest=0.0), backend
        # A gradient is a sum of terms of size 1: it may cancel to less, which is not the error's scale.
        assert close(got[2:], expected[2:], dtype, smallest=1.0), backend


def close(got: list[Tensor], expected: list[Tensor], dtype: torch.dtype, smallest: float) -> bool:
    def one(a: Tensor, b: Tensor) -> bool:
        scale = max(float(b.abs().max()), smallest)
        return a.shape == b.shape and float((a - b).abs().max()) <= TOLERANCE[dtype] * scale

    return all(one(a, b) for a, b in zip(got, expected, strict=True))


@EXAMPLES
@given(clouds(), shapes(), channels, channels, dtypes)
def test_convolutions_equal_theirs(
    minkowski: ModuleType, coords: Tensor, shape: Shape, c_in: int, c_out: int, dtype: torch.dtype
) -> None:
    check(minkowski, [Convolution(c_in, c_out, **shape)], [shape], coords, dtype)


@EXAMPLES
@given(clouds(), shapes(), shapes(), channels, channels, dtypes)
def test_convolutions_of_strided_tensors_equal_theirs(
    minkowski: ModuleType, coords: Tensor, first: Shape, second: Shape, c_in: int, c_out: int, dtype: torch.dtype
) -> None:
    layers = [Convolution(c_in, 3, **first), Convolution(3, c_out, **second)]
    check(minkowski, layers, [first, second], coords, dtype)


@EXAMPLES
@given(clouds(), shapes(), shapes(), channels, channels, dtypes)
def test_transposed_convolutions_onto_the_original_voxels_equal_theirs(
    minkowski: ModuleType, coords: Tensor, down: Shape, up: Shape, c_in: int, c_out: int, dtype: torch.dtype
) -> None:
    up = up | {"stride": down["stride"]}
    layers = [Convolution(c_in, 3, **down), ConvolutionTranspose(3, c_out, **up)]
    check(minkowski, layers, [down, up], coords, dtype)


@EXAMPLES
@given(clouds(), shapes(), shapes(), channels, dtypes)
def test_generating_convolutions_make_the_same_voxels_and_features(
    minkowski: ModuleType, coords: Tensor, down: Shape, up: Shape, c_out: int, dtype: torch.dtype
) -> None:
    up = up | {"stride": down["stride"]}
    layers = [Convolution(2, 3, **down), GenerativeConvolutionTranspose(3, c_out, **up)]
    check(minkowski, layers, [down, up], coords, dtype)
