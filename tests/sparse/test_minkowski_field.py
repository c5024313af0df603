"""Fields, slicing and interpolation against MinkowskiEngine's own, values, rows and gradients.

Where it is wrong the test says so and holds ours to what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparse3d.sparse import Convolution, ConvolutionTranspose, SparseTensor, TensorField, interpolate, slice
from sparse3d.sparse.coordinates import pack

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*SparseTensor.* is deprecated:UserWarning"),
]

Stride = int | tuple[int, int, int]
STRIDES: list[Stride] = [1, 2, 3, (1, 2, 3)]
NAMES = {"first": "RANDOM_SUBSAMPLE", "average": "UNWEIGHTED_AVERAGE", "sum": "UNWEIGHTED_SUM", "max": "MAX_POOL"}
Coords = Callable[..., Tensor]


def spread_points(count: int, extent: float = 3.0, batch: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    item = torch.randint(0, batch, (count, 1), generator=generator)
    return torch.cat([item, (2 * torch.rand(count, 3, generator=generator) - 1) * extent], dim=1)


def as_list(stride: Stride) -> int | list[int]:
    return list(stride) if isinstance(stride, tuple) else stride


def gradient(out: Tensor, feats: Tensor) -> Tensor:
    cotangent = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
    return torch.autograd.grad(out, feats, cotangent)[0]


def same(a: Tensor, b: Tensor) -> bool:
    tolerance = 1e-12 if a.dtype == torch.float64 else 1e-5
    return a.shape == b.shape and bool((a - b).abs().max() <= tolerance * b.abs().max())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("reduction", NAMES)
def test_reductions_their_rows_and_gradients_equal_theirs(
    minkowski: ModuleType, reduction: str, stride: Stride, dtype: torch.dtype, backend: str
) -> None:
    coords = spread_points(120)
    feats = torch.randn(120, 3, dtype=dtype)
    if reduction == "max":
        feats = feats.abs()  # its maximum starts from zero: only of positive features is it right
    mine, its = feats.clone().requires_grad_(), feats.clone().requires_grad_()
    mode = getattr(minkowski.SparseTensorQuantizationMode, NAMES[reduction])
    theirs = minkowski.TensorField(its, coordinates=coords, quantization_mode=mode).sparse(as_list(stride))
    ours = TensorField(mine, coords).sparse(reduction, tensor_stride=stride, backend=backend)
    assert torch.equal(ours.coords, theirs.C)
    if reduction == "average" and dtype == torch.float64:
        # Its averages are divided in float32, whatever the type of the features.
        assert (ours.feats - theirs.F).abs().max() < 1e-6
        assert (gradient(ours.feats, mine) - gradient(theirs.F, its)).abs().max() < 1e-6
    else:
        assert same(ours.feats, theirs.F)
        assert same(gradient(ours.feats, mine), gradient(theirs.F, its))


def test_the_maximum_of_negative_features_is_zero_in_theirs_and_right_in_ours(minkowski: ModuleType) -> None:
    coords, feats = spread_points(60), -1 - torch.rand(60, 2)
    mode = minkowski.SparseTensorQuantizationMode.MAX_POOL
    theirs = minkowski.TensorField(feats, coordinates=coords, quantization_mode=mode).sparse()
    ours = TensorField(feats, coords).sparse("max")
    assert bool((theirs.F == 0).all())
    assert bool((ours.feats <= -1).all())


def test_splatting_equals_theirs_in_rows_and_features(minkowski: ModuleType, backend: str) -> None:
    """In float64 theirs refuses: its weights are float32."""
    coords = spread_points(80)
    coords[:20] = coords[:20].floor()
    feats = torch.randn(80, 3)
    mine, its = feats.clone().requires_grad_(), feats.clone().requires_grad_()
    theirs = minkowski.TensorField(its, coordinates=coords).splat()
    ours = TensorField(mine, coords).sparse("splat", backend=backend)
    assert torch.equal(ours.coords, theirs.C)
    assert same(ours.feats, theirs.F) and same(gradient(ours.feats, mine), gradient(theirs.F, its))


def test_a_tensor_of_duplicates_keeps_the_first_as_the_field_does(minkowski: ModuleType) -> None:
    coords, feats = spread_points(80).floor().int(), torch.randn(80, 2)
    theirs = minkowski.SparseTensor(feats, coordinates=coords)
    ours = TensorField(feats, coords).sparse("first")
    assert torch.equal(ours.coords, theirs.C) and torch.equal(ours.feats, theirs.F)


@pytest.mark.parametrize("reduction", ["first", "average"])
def test_slicing_equals_theirs(minkowski: ModuleType, reduction: str, backend: str) -> None:
    """Through a network that goes down and up again, as segmentation uses it."""
    coords, feats = spread_points(150), torch.randn(150, 3)
    layers = [Convolution(3, 4, 2, stride=2), ConvolutionTranspose(4, 5, 2, stride=2)]
    engine_layers = [
        minkowski.MinkowskiConvolution(3, 4, kernel_size=2, stride=2, dimension=3),
        minkowski.MinkowskiConvolutionTranspose(4, 5, kernel_size=2, stride=2, dimension=3),
    ]
    ours, theirs = nn.Sequential(*layers), nn.Sequential(*engine_layers)
    theirs.load_state_dict(ours.state_dict())
    mode = getattr(minkowski.SparseTensorQuantizationMode, NAMES[reduction])
    mine, its = feats.clone().requires_grad_(), feats.clone().requires_grad_()
    their_field = minkowski.TensorField(its, coordinates=coords, quantization_mode=mode)
    expected = theirs(their_field.sparse()).slice(their_field).F
    field = TensorField(mine, coords)
    out = slice(ours(field.sparse(reduction, backend=backend)), field)
    assert same(out, expected) and same(gradient(out, mine), gradient(expected, its))


@pytest.mark.parametrize("stride", [2, 3])
def test_slicing_a_field_voxelized_at_a_stride_equals_theirs(minkowski: ModuleType, stride: int) -> None:
    coords, feats = spread_points(150), torch.randn(150, 3)
    their_field = minkowski.TensorField(feats, coordinates=coords)
    field = TensorField(feats, coords)
    ours = slice(field.sparse(tensor_stride=stride), field)
    assert same(ours, their_field.sparse(stride).slice(their_field).F)


def test_slicing_a_strided_tensor_reads_wrong_rows_in_theirs_and_the_holding_voxel_in_ours(
    minkowski: ModuleType,
) -> None:
    """MinkowskiEngine takes the pairs of its stride map for sorted by input row, which they are not on a CPU.

    Features that are the voxel's own coordinates tell which row was read.
    """
    coords = spread_points(150)
    their_field = minkowski.TensorField(torch.ones(150, 1), coordinates=coords)
    pool = minkowski.MinkowskiSumPooling(kernel_size=2, stride=2, dimension=3)
    coarse = pool(their_field.sparse())
    rows = their_field.inverse_mapping(coarse.coordinate_map_key).long()
    holding = torch.div(coords[:, 1:].floor(), 2, rounding_mode="floor") * 2
    assert not torch.equal(coarse.C[rows, 1:].float(), holding)
    field = TensorField(torch.ones(150, 1), coords)
    conv = Convolution(1, 1, 2, stride=2)
    ours = conv(field.sparse())
    assert torch.equal(slice(ours.with_feats(ours.coords.float()), field)[:, 1:], holding)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("stride", [*STRIDES, (3, 1, 2)])
def test_interpolation_and_its_gradient_equal_theirs(
    minkowski: ModuleType, random_coords: Coords, stride: Stride, dtype: torch.dtype, backend: str
) -> None:
    coords, feats = random_coords(250), torch.randn(250, 3, dtype=dtype)
    conv = Convolution(3, 4, 2, stride=stride).to(dtype)
    engine_conv: Any = minkowski.MinkowskiConvolution(3, 4, kernel_size=2, stride=as_list(stride), dimension=3)
    engine_conv = engine_conv.to(dtype)
    engine_conv.load_state_dict(conv.state_dict())
    points = spread_points(300, extent=9.0, batch=4).to(dtype)
    points[:60] = points[:60].floor()
    mine, its = feats.clone().requires_grad_(), feats.clone().requires_grad_()
    y = engine_conv(minkowski.SparseTensor(its, coordinates=coords))
    x = conv(SparseTensor.from_coords(coords, mine, backend=backend))
    assert same(x.feats[pack(x.coords).argsort()], y.F[pack(y.C).argsort()])
    expected, out = minkowski.MinkowskiInterpolation()(y, points), interpolate(x, points)
    assert same(out, expected) and same(gradient(out, mine), gradient(expected, its))
    assert bool((expected == 0).all(dim=1).any())  # some points have no voxel around them
