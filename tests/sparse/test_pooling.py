"""Pooling against a dictionary of voxels, and what must hold for any input."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparse3d.sparse import (
    AvgPooling,
    Convolution,
    MaxPooling,
    PoolingTranspose,
    Pruning,
    SparseTensor,
    SumPooling,
    global_pool,
    pooling_functional,
)
from sparse3d.sparse.coordinates import triple
from sparse3d.sparse.pooling import PoolingBase

Coords = Callable[..., Tensor]
Voxel = tuple[int, ...]
KINDS: dict[type[PoolingBase], Callable[[Tensor], Tensor]] = {
    SumPooling: lambda values: values.sum(dim=0),
    AvgPooling: lambda values: values.mean(dim=0),
    MaxPooling: lambda values: values.amax(dim=0),
}
# Also some whose outputs are not all reached: kernels smaller than the stride, dilation over the stride.
SHAPES: list[dict[str, Any]] = [
    {"kernel_size": 2, "stride": 2},
    {"kernel_size": 3, "stride": 3, "dilation": 2},
    {"kernel_size": (3, 1, 2), "stride": (3, 1, 2)},
    {"kernel_size": 1},
    {"kernel_size": 3},
    {"kernel_size": 2},
    {"kernel_size": 5, "dilation": 2},
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": 3, "stride": 2, "dilation": 2},
    {"kernel_size": 1, "stride": 2},
    {"kernel_size": 2, "stride": 3},
    {"kernel_size": 4, "stride": (2, 1, 4)},
]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
every_kind = pytest.mark.parametrize("kind", KINDS)


def members(layer: PoolingBase, out: Voxel, unit: int) -> list[Voxel]:
    """The voxels that a layer pools into the voxel ``out``, whether there or not, in the order of the slots."""
    axes = []
    for size, stride, dilation in zip(layer.kernel_size, layer.stride, layer.dilation, strict=True):
        if layer.kernel_size == layer.stride:
            axes.append([unit * step for step in range(stride)])
        else:
            start = -(size // 2) if size % 2 else 0
            axes.append([unit * dilation * step for step in range(start, start + size)])
    return [(out[0], out[1] + x, out[2] + y, out[3] + z) for z, y, x in itertools.product(*reversed(axes))]


def dictionary_pool(layer: PoolingBase, coords: Tensor, feats: Tensor, outputs: Tensor, unit: int = 1) -> Tensor:
    """``feats`` pooled onto the voxels ``outputs``, one by one."""
    rows = {tuple(voxel): row for row, voxel in enumerate(coords.tolist())}
    pooled = []
    for out in outputs.tolist():
        there = [rows[voxel] for voxel in members(layer, tuple(out), unit) if voxel in rows]
        pooled.append(KINDS[type(layer)](feats[there]) if there else feats.new_zeros(feats.shape[1]))
    return torch.stack(pooled)


def gradient(out: Tensor, feats: Tensor) -> Tensor:
    cotangent = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
    return torch.autograd.grad(out, feats, cotangent, retain_graph=True)[0]


def floors(coords: Tensor, stride: int | tuple[int, ...]) -> set[Voxel]:
    steps = triple(stride, "stride")
    return {(b, *(v // s * s for v, s in zip(xyz, steps, strict=True))) for b, *xyz in coords.tolist()}


@every_shape
@every_kind
def test_pooling_and_its_gradients_equal_a_dictionary(
    random_coords: Coords, kind: type[PoolingBase], shape: dict[str, Any], backend: str
) -> None:
    coords, layer = random_coords(60, extent=4), kind(**shape)
    feats = torch.randn(60, 3, dtype=torch.float64, requires_grad=True)
    out = layer(SparseTensor.from_coords(coords, feats, backend=backend))
    expected = dictionary_pool(layer, coords, feats, out.coords)
    assert out.tensor_stride == layer.stride
    assert {tuple(voxel) for voxel in out.coords.tolist()} == floors(coords, layer.stride)
    assert torch.allclose(out.feats, expected, atol=1e-14)
    assert torch.allclose(gradient(out.feats, feats), gradient(expected, feats), atol=1e-13)


@every_kind
@pytest.mark.parametrize("shape", [{"kernel_size": 3, "stride": 3}, {"kernel_size": 3, "dilation": 2}], ids=str)
def test_a_kernel_reaches_in_units_of_the_input_stride(
    random_coords: Coords, kind: type[PoolingBase], shape: dict[str, Any]
) -> None:
    coords = random_coords(60, extent=4) * torch.tensor([1, 2, 2, 2], dtype=torch.int32)
    feats, layer = torch.randn(60, 3, dtype=torch.float64), kind(**shape)
    out = layer(SparseTensor.from_coords(coords, feats, tensor_stride=2))
    assert torch.allclose(out.feats, dictionary_pool(layer, coords, feats, out.coords, unit=2), atol=1e-14)


@every_shape
def test_transposed_pooling_is_the_transpose_of_sum_pooling(
    random_coords: Coords, shape: dict[str, Any], backend: str
) -> None:
    """<pool(x), y> = <x, unpool(y)> for all x and y."""
    coords, up = random_coords(60, extent=4), PoolingTranspose(**{"stride": 1} | shape)
    x = SparseTensor.from_coords(coords, torch.randn(60, 3, dtype=torch.float64), backend=backend)
    pooled = SumPooling(**shape)(x)
    y = pooled.with_feats(torch.randn_like(pooled.feats))
    back = up(y)
    assert back.key == x.key
    assert torch.allclose((pooled.feats * y.feats).sum(), (x.feats * back.feats).sum(), atol=1e-11)


def test_unpooling_with_a_kernel_as_large_as_the_stride_copies_the_parent(random_coords: Coords) -> None:
    x = SparseTensor.from_coords(random_coords(60), torch.randn(60, 2))
    for stride in (2, 3):
        coarse = MaxPooling(stride, stride)(x)
        parents = {tuple(voxel): row for row, voxel in enumerate(coarse.coords.tolist())}
        back = PoolingTranspose(stride, stride)(coarse)
        rows = [parents[(b, *(v // stride * stride for v in xyz))] for b, *xyz in x.coords.tolist()]
        assert torch.equal(back.feats, coarse.feats[rows])


@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("size", [2, 3])
def test_unpooling_makes_the_children_where_there_are_none(expand: bool, size: int) -> None:
    """MinkowskiEngine ends the process for odd sizes: it makes voxels that have no parent."""
    coords = torch.tensor([[0, 0, 0, 0], [1, -6, 6, 0]], dtype=torch.int32)
    x = SparseTensor.from_coords(coords, torch.tensor([[1.0], [2.0]]), tensor_stride=6)
    out = PoolingTranspose(size, size, expand_coordinates=expand)(x)
    assert len(out) == 2 * size**3 and out.tensor_stride == (6 // size,) * 3
    assert floors(out.coords, 6) == {tuple(voxel) for voxel in coords.tolist()}
    assert torch.equal(out.feats[:, 0], 1.0 + out.coords[:, 0])


def test_only_expanding_adds_voxels_to_those_that_are_there(random_coords: Coords) -> None:
    x = SparseTensor.from_coords(random_coords(40), torch.randn(40, 2))
    coarse = SumPooling(2, 2)(x)
    assert PoolingTranspose(2, 2)(coarse).key == x.key
    expanded = PoolingTranspose(2, 2, expand_coordinates=True)(coarse)
    assert len(expanded) == 8 * len(coarse) and expanded.key.branch != x.key.branch


LAYERS: list[Callable[[], nn.Module]] = [
    *(lambda kind=kind, shape=shape: kind(**shape) for kind in KINDS for shape in SHAPES[0::3]),
    lambda: nn.Sequential(SumPooling(2, 2), PoolingTranspose(2, 2)),
    lambda: nn.Sequential(AvgPooling(3, 2), PoolingTranspose(3, 2)),
]


@pytest.mark.parametrize("make", LAYERS)
def test_gradients_pass_gradcheck(random_coords: Coords, make: Callable[[], nn.Module], backend: str) -> None:
    coords, layer = random_coords(12, extent=2), make()
    feats = torch.randn(12, 2, dtype=torch.float64, requires_grad=True)

    def pool(feats: Tensor) -> Tensor:
        out: Tensor = layer(SparseTensor.from_coords(coords, feats, backend=backend)).feats
        return out

    assert torch.autograd.gradcheck(pool, (feats,))


def test_sums_and_averages_can_be_differentiated_twice_and_the_maximum_refuses(random_coords: Coords) -> None:
    coords = random_coords(12, extent=2)
    feats = torch.randn(12, 2, dtype=torch.float64, requires_grad=True)
    for kind in (SumPooling, AvgPooling):
        layer = kind(3, 2)
        assert torch.autograd.gradgradcheck(lambda f: layer(SparseTensor.from_coords(coords, f)).feats ** 2, (feats,))  # noqa: B023
    out = MaxPooling(3, 2)(SparseTensor.from_coords(coords, feats)).feats
    (grad,) = torch.autograd.grad((out**2).sum(), feats, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiat"):
        grad.sum().backward()


ROW = torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0], [0, 2, 0, 0]], dtype=torch.int32)


def test_the_maximum_of_negative_values_is_negative_and_of_no_voxel_zero() -> None:
    """Where nothing is reached MinkowskiEngine's gradient writes to memory that is not its own."""
    feats = torch.tensor([[-3.0], [-2.0], [-1.0]], requires_grad=True)
    x = SparseTensor.from_coords(ROW + torch.tensor([0, 1, 0, 0], dtype=torch.int32), feats)
    out = MaxPooling(1, 2)(x)
    assert out.coords[:, 1].tolist() == [0, 2] and out.feats.flatten().tolist() == [0.0, -2.0]
    assert gradient(out.feats, feats).count_nonzero() == 1


def test_of_equal_values_the_first_slot_gets_the_gradient_in_any_order_of_rows() -> None:
    for order in itertools.permutations(range(3)):
        feats = torch.ones(3, 1, requires_grad=True)
        out = MaxPooling(3)(SparseTensor.from_coords(ROW[list(order)], feats))
        out.feats.sum().backward()
        assert feats.grad is not None
        assert [feats.grad[order.index(voxel)].item() for voxel in range(3)] == [2.0, 1.0, 0.0]


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), float("inf")])
def test_what_is_not_finite_is_not_hidden(value: float) -> None:
    feats = torch.full((3, 1), value)
    out = MaxPooling(3)(SparseTensor.from_coords(ROW, feats))
    assert torch.equal(out.feats.nan_to_num(7.0), feats.nan_to_num(7.0))
    feats = torch.tensor([[1.0], [float("nan")], [2.0]])
    assert MaxPooling(3)(SparseTensor.from_coords(ROW, feats)).feats.isnan().all()


@every_kind
def test_rows_follow_the_input_rows_in_any_order(random_coords: Coords, kind: type[PoolingBase]) -> None:
    coords, feats, shuffle = random_coords(200), torch.randn(200, 3, dtype=torch.float64), torch.randperm(200)
    for shape in ({"kernel_size": 3}, {"kernel_size": 2, "stride": 2}):
        out = kind(**shape)(SparseTensor.from_coords(coords, feats))
        shuffled = kind(**shape)(SparseTensor.from_coords(coords[shuffle], feats[shuffle]))
        expected = out.feats[shuffle] if "stride" not in shape else out.feats
        assert torch.allclose(shuffled.feats, expected, atol=1e-14)


@every_kind
@pytest.mark.parametrize("size", [(7, 7, 7), (4, 8, 8)], ids=str)
def test_kernels_of_more_slots_than_a_byte_counts(
    random_coords: Coords, kind: type[PoolingBase], size: tuple[int, ...]
) -> None:
    coords, layer = random_coords(300, extent=4), kind(size)
    feats = torch.randn(300, 2, dtype=torch.float64, requires_grad=True)
    out = layer(SparseTensor.from_coords(coords, feats))
    expected = dictionary_pool(layer, coords, feats, out.coords)
    assert torch.allclose(out.feats, expected, atol=1e-12)
    assert torch.allclose(gradient(out.feats, feats), gradient(expected, feats), atol=1e-12)


def test_the_last_of_more_slots_than_two_bytes_count_gets_its_gradient() -> None:
    coords = torch.tensor([[0, 0, 0, 0], [0, 32, 32, 32]], dtype=torch.int32)
    feats = torch.tensor([[1.0, 2.0], [2.0, 1.0]], requires_grad=True)
    out = MaxPooling(33, stride=33)(SparseTensor.from_coords(coords, feats)).feats
    assert out.tolist() == [[2.0, 2.0]]
    assert gradient(out, feats).ne(0).tolist() == [[False, True], [True, False]]


@every_kind
@pytest.mark.parametrize("channels", [0, 1, 5])
def test_results_do_not_depend_on_how_the_rows_are_blocked(
    random_coords: Coords, monkeypatch: pytest.MonkeyPatch, kind: type[PoolingBase], channels: int
) -> None:
    coords, found = random_coords(100, extent=4), []
    feats = torch.randn(100, channels, requires_grad=True)
    for elements in (1 << 17, 35, 1):
        monkeypatch.setattr(pooling_functional, "_BLOCK_ELEMENTS", elements)
        tensor = SparseTensor.from_coords(coords, feats)
        for pool in (kind(3), nn.Sequential(kind(3, 2), PoolingTranspose(3, 2))):
            out = pool(tensor).feats
            found.append((out, gradient(out, feats)))
    for (a, grad_a), (b, grad_b) in zip(found, found[2:], strict=False):
        assert torch.equal(a, b) and torch.equal(grad_a, grad_b)


@every_kind
def test_results_do_not_depend_on_the_number_of_threads(surface_coords: Tensor, kind: type[PoolingBase]) -> None:
    feats = torch.randint(-3, 3, (len(surface_coords), 33)).float() + 0.1
    threads, found = torch.get_num_threads(), []
    for count in (1, 4):
        torch.set_num_threads(count)
        x = feats.clone().requires_grad_()
        tensor = SparseTensor.from_coords(surface_coords, x)
        out = kind(3, 2)(tensor)
        result = [out.feats, *(global_pool(out, mode) for mode in ("average", "sum", "max"))]
        found.append([*result, *(gradient(value, x) for value in result[1:])])
    torch.set_num_threads(threads)
    assert [torch.equal(a, b) for a, b in zip(*found, strict=True)] == [True] * len(found[0])


@every_kind
def test_half_types_are_summed_in_float32_and_keep_their_type(
    surface_coords: Tensor, kind: type[PoolingBase], backend: str
) -> None:
    feats = (1 + torch.rand(len(surface_coords), 3)).bfloat16()
    pool, coarse = kind(5), nn.Sequential(kind(2, 2), PoolingTranspose(2, 2))
    expected = pool(SparseTensor.from_coords(surface_coords, feats.double())).feats
    x = feats.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        tensor = SparseTensor.from_coords(surface_coords, x, backend=backend)
        out, back = pool(tensor).feats, coarse(tensor).feats
    assert out.dtype == back.dtype == torch.bfloat16
    assert torch.allclose(out.double(), expected, rtol=2**-8)
    (out.sum() + back.sum()).backward()
    assert x.grad is not None and x.grad.dtype == torch.bfloat16 and bool(x.grad.isfinite().all())


@every_kind
def test_no_voxel_gives_no_row(kind: type[PoolingBase], backend: str) -> None:
    feats = torch.zeros(0, 3, requires_grad=True)
    x = SparseTensor.from_coords(torch.zeros(0, 4, dtype=torch.int32), feats, batch_size=2, backend=backend)
    out = PoolingTranspose(2, 2)(kind(2, 2)(kind(3)(x)))
    assert out.feats.shape == (0, 3)
    out.feats.sum().backward()


@every_kind
def test_pooling_onto_given_voxels_keeps_what_they_reach(
    random_coords: Coords, kind: type[PoolingBase], backend: str
) -> None:
    """MinkowskiEngine ends the process where a parent of the input is missing from the given voxels."""
    coords = random_coords(60, extent=4)
    x = SparseTensor.from_coords(coords, torch.randn(60, 3, dtype=torch.float64), backend=backend)
    everywhere = kind(2, 2)(x)
    keep = torch.arange(len(everywhere)) % 3 == 0
    onto = Pruning()(everywhere, keep)
    out = kind(2, 2)(x, onto)
    assert out.key == onto.key and torch.equal(out.feats, everywhere.feats[keep])


def test_unpooling_from_pruned_voxels_leaves_zeros_at_the_children_of_the_others(random_coords: Coords) -> None:
    """Also onto given voxels; MinkowskiEngine ends the process."""
    x = SparseTensor.from_coords(random_coords(60, extent=4), torch.ones(60, 1))
    coarse = MaxPooling(2, 2)(x)
    keep = torch.arange(len(coarse)) % 2 == 0
    kept = Pruning()(coarse, keep)
    parents = {tuple(voxel) for voxel in kept.coords.tolist()}
    expected = [float((b, *(v // 2 * 2 for v in xyz)) in parents) for b, *xyz in x.coords.tolist()]
    for out in (PoolingTranspose(2, 2)(kept), PoolingTranspose(2, 2)(kept, x)):
        assert out.key == x.key and out.feats.flatten().tolist() == expected


def test_voxels_that_the_stride_does_not_lead_to_are_refused(random_coords: Coords) -> None:
    x, other = (SparseTensor.from_coords(random_coords(20), torch.randn(20, 2)) for _ in range(2))
    with pytest.raises(ValueError, match="tensor stride"):
        MaxPooling(2, 2)(x, x)
    with pytest.raises(ValueError, match="same SparseTensor"):
        MaxPooling(3)(x, other)
    with pytest.raises(ValueError, match="tensor stride that it divides"):
        PoolingTranspose(2, 2)(x)
    with pytest.raises(ValueError, match="kernel_size"):
        MaxPooling(0)


def test_the_maps_are_those_of_the_convolutions_and_keep_no_list_of_pairs(random_coords: Coords) -> None:
    x = SparseTensor.from_coords(random_coords(60), torch.randn(60, 2), backend="native")
    for size, stride in ((3, 1), (2, 2), (3, 2)):
        pool, conv = MaxPooling(size, stride), Convolution(2, 2, size, stride=stride)
        source, target = x.key, pool.output_key(x)
        assert pool.region == conv.region
        assert len(pool(x)) == len(conv(x))
        assert "_pairs" not in x.manager.kernel_map(source, target, pool.region).__dict__
