"""Pooling and broadcasting against MinkowskiEngine's own modules, over random clouds, values and gradients.

Not held against it, because it is wrong or ends the process; ours is held to a dictionary in test_pooling.py instead:

- the maximum of an output voxel that no input reaches: its gradient writes to memory that is not its own;
- a kernel as large as its stride whose parent or child is missing (``onto`` a pruned tensor, or back up from one, or
  odd kernels making voxels): an assertion ends the process;
- which of equal values a kernel as large as its stride takes: the order of its hash table decides;
- the gradient of the global maximum of a single cloud: it goes to wrong rows;
- global pooling and broadcasting of three and more clouds: the rows of a global average or sum are those of other
  clouds than its coordinates say (the permutation of its hash table applied backwards; right for two, where that is the
  same), ``Broadcast`` and ``BroadcastConcatenation`` undo just that, so they are wrong for a global maximum, and
  ``BroadcastAddition`` and ``BroadcastMultiplication`` do not, so they are wrong for the other two;
- global pooling where a batch index has no voxel or every cloud has a single one: refused.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from test_minkowski_parity import BACKENDS, EXAMPLES, TOLERANCE, Shape, channels, clouds, dtypes, results, shapes
from torch import Tensor, nn

from sparse3d.sparse import (
    AvgPooling,
    Broadcast,
    BroadcastAddition,
    BroadcastConcatenation,
    BroadcastMultiplication,
    GlobalAvgPooling,
    GlobalMaxPooling,
    GlobalSumPooling,
    MaxPooling,
    PoolingTranspose,
    Pruning,
    SparseTensor,
    SumPooling,
)
from sparse3d.sparse.coordinates import pack
from sparse3d.sparse.pooling import PoolingBase

pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")

kinds = st.sampled_from([SumPooling, AvgPooling, MaxPooling])
GLOBAL = [GlobalAvgPooling, GlobalSumPooling, GlobalMaxPooling]
BROADCASTS = [Broadcast, BroadcastAddition, BroadcastMultiplication, BroadcastConcatenation]


@st.composite
def pool_shapes(draw: st.DrawFn) -> Shape:
    """Options of a pooling layer; half of them have a kernel as large as the stride."""
    shape = {name: value for name, value in draw(shapes()).items() if name != "bias"}
    return shape | ({"kernel_size": shape["stride"]} if draw(st.booleans()) else {})


def their_layer(engine: ModuleType, ours: nn.Module, shape: Shape) -> nn.Module:
    options = {name: list(value) if isinstance(value, tuple) else value for name, value in shape.items()}
    layer: nn.Module = getattr(engine, f"Minkowski{type(ours).__name__}")(dimension=3, **options)
    return layer


def unreached(layer: PoolingBase, x: SparseTensor) -> bool:
    """Whether ``layer`` makes a voxel that no voxel of ``x`` reaches."""
    ones = x.with_feats(torch.ones(len(x), 1))
    return not bool(SumPooling.pool(layer, ones.feats, _map(layer, x)).all())


def _map(layer: PoolingBase, x: SparseTensor) -> Any:
    return x.manager.kernel_map(x.key, layer.output_key(x), layer.region)


def random_feats(coords: Tensor, count: int, dtype: torch.dtype) -> Tensor:
    """Features that depend on the voxel alone, so that they are the same in any order of rows."""
    feats = torch.empty(len(coords), count, dtype=dtype)
    feats[pack(coords).argsort()] = torch.randn(
        len(coords), count, dtype=dtype, generator=torch.Generator().manual_seed(2)
    )
    return feats


def agree(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return all(
        a.shape == b.shape and (a.numel() == 0 or bool((a - b).abs().max() <= TOLERANCE[b.dtype] * b.abs().max()))
        for a, b in zip(ours, theirs, strict=True)
    )


def check(
    engine: ModuleType, layers: list[PoolingBase], options: list[Shape], coords: Tensor, feats: Tensor, stride: int = 1
) -> None:
    """Our layers, one after the other, on every backend, against theirs."""
    x = feats.clone().requires_grad_()
    y = engine.SparseTensor(x, coordinates=coords, tensor_stride=stride)
    for layer, shape in zip(layers, options, strict=True):
        y = their_layer(engine, layer, shape)(y)
    expected = results(y.C, y.F, [x])
    for backend in BACKENDS:
        x = feats.clone().requires_grad_()
        out = nn.Sequential(*layers)(SparseTensor.from_coords(coords, x, backend=backend, tensor_stride=stride))
        assert list(out.tensor_stride) == y.tensor_stride
        assert agree(results(out.coords, out.feats, [x]), expected), backend


@EXAMPLES
@given(clouds(), kinds, pool_shapes(), channels, dtypes)
def test_pooling_equals_theirs(
    minkowski: ModuleType, coords: Tensor, kind: type[PoolingBase], shape: Shape, count: int, dtype: torch.dtype
) -> None:
    layer, feats = kind(**shape), random_feats(coords, count, dtype)
    assume(kind is not MaxPooling or not unreached(layer, SparseTensor.from_coords(coords, feats)))
    check(minkowski, [layer], [shape], coords, feats)


@EXAMPLES
@given(clouds(), kinds, pool_shapes(), pool_shapes(), channels, dtypes)
def test_pooling_of_pooled_tensors_equals_theirs(
    minkowski: ModuleType,
    coords: Tensor,
    kind: type[PoolingBase],
    first: Shape,
    second: Shape,
    count: int,
    dtype: torch.dtype,
) -> None:
    layers, feats = [SumPooling(**first), kind(**second)], random_feats(coords, count, dtype)
    pooled = layers[0](SparseTensor.from_coords(coords, feats))
    assume(kind is not MaxPooling or not unreached(layers[1], pooled))
    check(minkowski, layers, [first, second], coords, feats)


@EXAMPLES
@given(clouds(), pool_shapes(), pool_shapes(), channels, dtypes)
def test_transposed_pooling_onto_the_original_voxels_equals_theirs(
    minkowski: ModuleType, coords: Tensor, down: Shape, up: Shape, count: int, dtype: torch.dtype
) -> None:
    as_large = up["kernel_size"] == up["stride"]
    up = up | {"stride": down["stride"]} | ({"kernel_size": down["stride"]} if as_large else {})
    check(
        minkowski, [SumPooling(**down), PoolingTranspose(**up)], [down, up], coords, random_feats(coords, count, dtype)
    )


@EXAMPLES
@given(clouds(), pool_shapes(), st.booleans(), channels, dtypes)
def test_transposed_pooling_makes_the_same_voxels(
    minkowski: ModuleType, coords: Tensor, up: Shape, expand: bool, count: int, dtype: torch.dtype
) -> None:
    coords = torch.cat([coords[:, :1], coords[:, 1:] * 12], dim=1)
    assume(int(coords[:, 1:].abs().max()) < 60000)
    layer = PoolingTranspose(**up, expand_coordinates=expand)
    assume(not layer.region.from_corner or layer.stride == (1, 1, 1))
    assume(layer.kernel_size != layer.stride or layer.dilation == (1, 1, 1))
    feats = random_feats(coords, count, dtype)
    check(minkowski, [layer], [up | {"expand_coordinates": expand}], coords, feats, stride=12)


@EXAMPLES
@given(clouds(), st.integers(0, 99), kinds, pool_shapes(), channels, dtypes)
def test_pooling_of_pruned_tensors_equals_theirs(
    minkowski: ModuleType,
    coords: Tensor,
    seed: int,
    kind: type[PoolingBase],
    shape: Shape,
    count: int,
    dtype: torch.dtype,
) -> None:
    keep = torch.rand(len(coords), generator=torch.Generator().manual_seed(seed)) < 0.6
    assume(bool(keep.any()))  # of nothing kept it makes a tensor that ends the process when used
    feats, layer = random_feats(coords, count, dtype), kind(**shape)
    pruned = Pruning()(SparseTensor.from_coords(coords, feats), keep)
    assume(kind is not MaxPooling or not unreached(layer, pruned))
    x = feats.clone().requires_grad_()
    y = their_layer(minkowski, layer, shape)(
        minkowski.MinkowskiPruning()(minkowski.SparseTensor(x, coordinates=coords), keep)
    )
    expected = results(y.C, y.F, [x])
    for backend in BACKENDS:
        x = feats.clone().requires_grad_()
        out = layer(Pruning()(SparseTensor.from_coords(coords, x, backend=backend), keep))
        assert agree(results(out.coords, out.feats, [x]), expected), backend


def test_of_equal_values_the_first_slot_wins_as_theirs_does(minkowski: ModuleType, surface_coords: Tensor) -> None:
    """Not where the kernel is as large as the stride: there the order of its hash table decides."""
    feats = torch.randint(0, 3, (len(surface_coords), 5)).float()
    for shape in ({"kernel_size": 3}, {"kernel_size": 3, "stride": 2}, {"kernel_size": 4, "stride": 2}):
        check(minkowski, [MaxPooling(**shape)], [shape], surface_coords, feats)


def pools_globally(coords: Tensor) -> bool:
    """Whether MinkowskiEngine's global pooling is right: see the top."""
    clouds = coords[:, 0].unique()
    return len(clouds) <= 2 and int(clouds.max()) < len(clouds) < len(coords)


def ordered(pooled: Any) -> Tensor:
    """MinkowskiEngine's global result by batch index; it has no rows for clouds without a voxel."""
    order: Tensor = pooled.C[:, 0].argsort()
    return pooled.F[order]


@EXAMPLES
@given(clouds(), st.sampled_from(GLOBAL), channels, dtypes)
def test_global_pooling_equals_theirs(
    minkowski: ModuleType, coords: Tensor, kind: type[nn.Module], count: int, dtype: torch.dtype
) -> None:
    assume(pools_globally(coords))
    x = random_feats(coords, count, dtype).requires_grad_()
    expected = ordered(getattr(minkowski, f"Minkowski{kind.__name__}")()(minkowski.SparseTensor(x, coordinates=coords)))
    cotangent = torch.randn(expected.shape, dtype=dtype)
    (expected_grad,) = torch.autograd.grad(expected, x, cotangent)
    for backend in BACKENDS:
        ours = kind()(SparseTensor.from_coords(coords, x, backend=backend))
        assert agree([ours], [expected])
        if kind is not GlobalMaxPooling or len(expected) > 1:
            assert agree([torch.autograd.grad(ours, x, cotangent)[0]], [expected_grad])


@EXAMPLES
@given(clouds(), st.sampled_from(BROADCASTS), st.sampled_from(GLOBAL), channels, dtypes)
def test_broadcasting_and_its_gradients_equal_theirs(
    minkowski: ModuleType,
    coords: Tensor,
    kind: type[nn.Module],
    pooling: type[nn.Module],
    count: int,
    dtype: torch.dtype,
) -> None:
    assume(pools_globally(coords) and (pooling is not GlobalMaxPooling or bool(coords[:, 0].any())))
    x = random_feats(coords, count, dtype).requires_grad_()
    their_x = minkowski.SparseTensor(x, coordinates=coords)
    pooled = getattr(minkowski, f"Minkowski{pooling.__name__}")()(their_x)
    out = getattr(minkowski, f"Minkowski{kind.__name__}")()(their_x, pooled)
    expected = results(out.C, out.F, [x])
    for backend in BACKENDS:
        mine = SparseTensor.from_coords(coords, x, backend=backend)
        out = kind()(mine, pooling()(mine))
        assert agree(results(out.coords, out.feats, [x]), expected), backend
