"""Coordinates and kernel maps.

The invariant, for every kernel slot k with offset d_k and all voxels i of the source and o of the target:
(k, i, o) is in the map, exactly once, if and only if  source[i] = target[o] + spacing * d_k  in the same batch item.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparse3d.sparse import Convolution, GenerativeConvolutionTranspose, SparseTensor
from sparse3d.sparse import kernel_map as kernel_maps
from sparse3d.sparse.coordinates import COORD_LIMIT, MAX_BATCH, CoordinateSet, pack, unpack
from sparse3d.sparse.kernel_map import KernelMap, KernelRegion, build_kernel_map, spaced_offsets
from sparse3d.sparse.manager import CoordinateManager
from sparse3d.sparse.native import library as native
from sparse3d.sparse.native.floors import native_strided
from sparse3d.sparse.native.neighbours import native_neighbours

axis = st.integers(-7, 7)
voxels = st.lists(st.tuples(st.integers(0, 2), axis, axis, axis), min_size=1, max_size=60, unique=True)


def as_rows(voxels: list[tuple[int, ...]]) -> Tensor:
    return torch.tensor(voxels, dtype=torch.int32).reshape(-1, 4)


def cube(size: int, dilation: int = 1) -> KernelRegion:
    return KernelRegion((size,) * 3, (dilation,) * 3)


def expected_triples(source: Tensor, target: Tensor, kernel_size: int, spacing: int) -> set[tuple[int, int, int]]:
    """The invariant, by dictionary; slot = ix + K iy + K^2 iz, odd kernels centred, even ones starting at zero."""
    row_of = {tuple(c): i for i, c in enumerate(source.tolist())}
    start = -(kernel_size // 2) if kernel_size % 2 else 0
    triples = set()
    for o, (b, x, y, z) in enumerate(target.tolist()):
        for slot in range(kernel_size**3):
            ix, iy, iz = slot % kernel_size, slot // kernel_size % kernel_size, slot // kernel_size**2
            dx, dy, dz = (spacing * (i + start) for i in (ix, iy, iz))
            i = row_of.get((b, x + dx, y + dy, z + dz))
            if i is not None:
                triples.add((slot, i, o))
    return triples


def triples_of(kernel_map: KernelMap) -> list[tuple[int, int, int]]:
    lengths = torch.diff(torch.tensor(kernel_map.starts))
    assert torch.equal(kernel_map.slot_of_pair, torch.repeat_interleave(torch.arange(kernel_map.slots), lengths))
    return list(
        zip(kernel_map.slot_of_pair.tolist(), kernel_map.in_rows.tolist(), kernel_map.out_rows.tolist(), strict=True)
    )


@settings(max_examples=60, deadline=None)
@given(voxels, st.integers(1, 5), st.integers(1, 2), st.integers(1, 4), st.integers(1, 4))
def test_every_triple_of_the_invariant_is_in_the_map_exactly_once(
    voxels: list[tuple[int, ...]], kernel_size: int, dilation: int, tensor_stride: int, stride: int
) -> None:
    fine = CoordinateSet.build(as_rows(voxels))
    if tensor_stride > 1:
        fine = fine.strided((tensor_stride,) * 3)
    coarse = fine if stride == 1 else fine.strided((tensor_stride * stride,) * 3)
    spacing = dilation * tensor_stride
    expected = expected_triples(fine.coords, coarse.coords, kernel_size, spacing)
    kernel_map = build_kernel_map(fine, coarse, cube(kernel_size, dilation), (tensor_stride,) * 3)
    triples = triples_of(kernel_map)
    assert len(triples) == len(set(triples))
    assert set(triples) == expected
    assert (kernel_map.in_size, kernel_map.out_size) == (len(fine), len(coarse))


@settings(max_examples=40, deadline=None)
@given(voxels, voxels, st.integers(1, 5), st.integers(1, 3))
def test_tables_and_the_search_find_the_same_neighbours(
    source: list[tuple[int, ...]], target: list[tuple[int, ...]], kernel_size: int, stride: int
) -> None:
    here, there = (CoordinateSet.build(as_rows(v)).strided((stride,) * 3) for v in (source, target))
    unit = (stride,) * 3
    offsets = spaced_offsets(cube(kernel_size), unit)
    assert kernel_maps.table_box(here, there, offsets, unit) is not None
    searched = kernel_maps._neighbours_by_search(here, there, offsets)
    assert torch.equal(kernel_maps.neighbours(here, there, offsets, unit), searched)
    if native.available():
        assert torch.equal(native_neighbours(here, there, offsets, unit), searched)


@pytest.mark.skipif(not native.available(), reason="no native library")
def test_the_compiled_table_is_clean_for_the_next_cloud_and_one_or_two_threads_find_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    offsets = spaced_offsets(cube(3), (1, 1, 1))
    threads = torch.get_num_threads()
    try:
        for shift in (0, 1, 17):  # the cells of one cloud are other voxels' of the next
            drawn = torch.randint(0, 40, (40_000, 3), generator=generator, dtype=torch.int32).unique(dim=0)
            cloud = CoordinateSet.build(torch.nn.functional.pad(drawn - shift, (1, 0)))
            assert len(cloud) * len(offsets) > 1 << 19  # enough for threads
            searched = kernel_maps._neighbours_by_search(cloud, cloud, offsets)
            for count in (1, 2):
                torch.set_num_threads(count)
                assert torch.equal(native_neighbours(cloud, cloud, offsets, (1, 1, 1)), searched)
    finally:
        torch.set_num_threads(threads)


def test_where_no_table_fits_the_search_serves_every_backend() -> None:
    far = CoordinateSet.build(torch.tensor([[0, 0, 0, 0], [0, 60_000, -60_000, 60_000]], dtype=torch.int32))
    offsets = spaced_offsets(cube(3), (1, 1, 1))
    assert kernel_maps.table_box(far, far, offsets, (1, 1, 1)) is None
    rows = native_neighbours(far, far, offsets, (1, 1, 1))  # without the compiled library, too
    assert rows[13].tolist() == [0, 1] and int((rows >= 0).sum()) == 2


@settings(max_examples=30, deadline=None)
@given(voxels, st.integers(1, 3), st.integers(2, 3))
def test_the_transposed_map_exchanges_the_roles_within_each_slot(
    voxels: list[tuple[int, ...]], kernel_size: int, stride: int
) -> None:
    fine = CoordinateSet.build(as_rows(voxels))
    kernel_map = build_kernel_map(fine, fine.strided((stride,) * 3), cube(kernel_size))
    back = kernel_map.transposed
    assert {(k, o, i) for k, i, o in triples_of(kernel_map)} == set(triples_of(back))
    assert (back.in_size, back.out_size) == (kernel_map.out_size, kernel_map.in_size)
    assert torch.equal(back.inverse_table, kernel_map.table) and torch.equal(back.table, kernel_map.inverse_table)


@settings(max_examples=30, deadline=None)
@given(voxels, st.sampled_from([1, 3]))
def test_on_one_set_the_inverse_table_is_the_table_with_its_slots_reversed(
    voxels: list[tuple[int, ...]], kernel_size: int
) -> None:
    coords = CoordinateSet.build(as_rows(voxels))
    kernel_map = build_kernel_map(coords, coords, cube(kernel_size))
    for slot, i, o in triples_of(kernel_map):
        assert kernel_map.inverse_table[slot, i] == o
    assert int((kernel_map.inverse_table >= 0).sum()) == len(kernel_map.in_rows)


@settings(max_examples=40, deadline=None)
@given(
    voxels,
    st.tuples(*[st.integers(1, 4)] * 3),
    st.tuples(*[st.integers(1, 2)] * 3),
    st.tuples(*[st.integers(1, 3)] * 3),
)
def test_axes_may_differ(
    voxels: list[tuple[int, ...]],
    size: tuple[int, int, int],
    dilation: tuple[int, int, int],
    stride: tuple[int, int, int],
) -> None:
    fine = CoordinateSet.build(as_rows(voxels))
    coarse = fine.strided(stride)
    region = KernelRegion(size, dilation)
    row_of = {tuple(c): i for i, c in enumerate(fine.coords.tolist())}
    expected = set()
    for o, (b, *voxel) in enumerate(coarse.coords.tolist()):
        for slot in range(region.volume):
            places = slot % size[0], slot // size[0] % size[1], slot // (size[0] * size[1])
            starts = (-(s // 2) if s % 2 else 0 for s in size)
            moved = (v + d * (p + s) for v, d, p, s in zip(voxel, dilation, places, starts, strict=True))
            if (i := row_of.get((b, *moved))) is not None:
                expected.add((slot, i, o))
    assert set(triples_of(build_kernel_map(fine, coarse, region))) == expected


@settings(max_examples=30, deadline=None)
@given(voxels, st.sampled_from([1, 3, 5]))
def test_the_identity_slot_maps_each_row_to_itself_in_order(voxels: list[tuple[int, ...]], kernel_size: int) -> None:
    coords = CoordinateSet.build(as_rows(voxels))
    kernel_map = build_kernel_map(coords, coords, cube(kernel_size))
    slot = kernel_map.identity_slot
    assert slot is not None
    rows = slice(kernel_map.starts[slot], kernel_map.starts[slot + 1])
    assert torch.equal(kernel_map.in_rows[rows], torch.arange(len(coords)))
    assert torch.equal(kernel_map.out_rows[rows], torch.arange(len(coords)))


@settings(max_examples=40, deadline=None)
@given(voxels, st.integers(1, 4))
def test_strided_coordinates_are_the_different_floors(voxels: list[tuple[int, ...]], stride: int) -> None:
    strided = CoordinateSet.build(as_rows(voxels)).strided((stride,) * 3)
    floors = {(b, x // stride * stride, y // stride * stride, z // stride * stride) for b, x, y, z in voxels}
    assert [tuple(c) for c in strided.coords.tolist()] == sorted(floors)
    assert torch.equal(pack(strided.coords), strided.sorted_keys)


@given(voxels=voxels, stride=st.integers(2, 5))
@settings(max_examples=40, deadline=None)
def test_every_voxel_has_the_parent_that_holds_it(voxels: list[tuple[int, ...]], stride: int) -> None:
    manager = CoordinateManager(as_rows(voxels))
    coarse = manager.strided(manager.origin, (stride,) * 3)
    rows = manager.parents(manager.origin, coarse)
    floors = [(b, *(axis // stride * stride for axis in rest)) for b, *rest in voxels]
    assert list(map(tuple, manager.coordinates(coarse).coords[rows].tolist())) == floors
    assert manager.parents(manager.origin, coarse) is rows  # found once for all that ask
    elsewhere = manager.insert(CoordinateSet.build(as_rows([(0, 100, 100, 100)])), (stride,) * 3)
    assert (manager.parents(manager.origin, elsewhere) == -1).all()


def test_minus_one_strides_to_minus_two_and_not_to_zero() -> None:
    strided = CoordinateSet.build(as_rows([(0, -1, 1, -3)])).strided((2, 2, 2))
    assert strided.coords.tolist() == [[0, -2, 0, -4]]


limit = st.integers(-COORD_LIMIT, COORD_LIMIT)


@given(st.lists(st.tuples(st.integers(0, MAX_BATCH - 1), limit, limit, limit), min_size=1, max_size=20, unique=True))
def test_keys_keep_every_coordinate_and_the_order_of_rows(voxels: list[tuple[int, ...]]) -> None:
    coords = as_rows(voxels)
    keys = pack(coords)
    assert torch.equal(unpack(keys), coords)
    assert [voxels[i] for i in keys.argsort().tolist()] == sorted(voxels)


def test_kernels_at_the_edge_of_the_range_find_no_voxel_of_another_row_or_batch_item() -> None:
    edge = COORD_LIMIT
    corners = [
        (b, x, y, z) for b in (0, 1, MAX_BATCH - 1) for x in (-edge, edge) for y in (-edge, edge) for z in (-edge, edge)
    ]
    coords = CoordinateSet.build(as_rows(corners))
    kernel_map = build_kernel_map(coords, coords, cube(5, 500))
    assert set(triples_of(kernel_map)) == expected_triples(coords.coords, coords.coords, 5, 500)


@settings(max_examples=30, deadline=None)
@given(voxels, st.randoms(use_true_random=False))
def test_find_gives_the_callers_row_whatever_the_order(voxels: list[tuple[int, ...]], random: object) -> None:
    shuffled = list(voxels)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    coords = CoordinateSet.build(as_rows(shuffled))
    assert torch.equal(coords.find(pack(as_rows(shuffled))), torch.arange(len(shuffled)))
    assert coords.find(pack(as_rows([(3, 0, 0, 0)]))).tolist() == [-1]


def test_kernel_offsets_run_through_x_fastest() -> None:
    assert cube(2).offsets()[:3].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert cube(3).offsets()[[0, 1, 13, 26]].tolist() == [[-1, -1, -1], [0, -1, -1], [0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize(
    ("voxel", "message"),
    [
        ((0, COORD_LIMIT + 1, 0, 0), "shift the cloud"),
        ((0, 0, 0, -COORD_LIMIT - 1), "shift the cloud"),
        ((MAX_BATCH, 0, 0, 0), "smaller batches"),
        ((-1, 0, 0, 0), "batch indices"),
    ],
)
def test_coordinates_out_of_range_are_refused(voxel: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CoordinateSet.build(as_rows([voxel]))


def test_a_voxel_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="voxelize"):
        CoordinateSet.build(as_rows([(0, 1, 2, 3), (0, 0, 0, 0), (0, 1, 2, 3)]))


def test_a_kernel_that_leaves_the_guarded_margin_is_refused() -> None:
    coords = CoordinateSet.build(as_rows([(0, 0, 0, 0)]))
    with pytest.raises(ValueError, match="leave room"):
        build_kernel_map(coords, coords, cube(3, 2000))


def test_a_stride_whose_floor_leaves_the_range_is_refused() -> None:
    """-1 floored to a multiple of 2^17 would borrow from the batch index."""
    coords = CoordinateSet.build(as_rows([(0, -1, -1, -1)]))
    with pytest.raises(ValueError, match="shift the cloud"):
        coords.strided((1 << 17,) * 3)


@pytest.mark.skipif(not native.available(), reason=native.why_not())
@settings(max_examples=60, deadline=None)
@given(voxels, st.tuples(*[st.integers(1, 5)] * 3), st.integers(1, 4))
def test_the_compiled_floors_are_those_of_torch(
    voxels: list[tuple[int, ...]], stride: tuple[int, int, int], spread: int
) -> None:
    source = CoordinateSet.build(as_rows(voxels) * torch.tensor([1, spread, 1, spread * 7], dtype=torch.int32))
    found, expected = native_strided(source, stride), source.strided(stride)
    assert torch.equal(found.coords, expected.coords) and torch.equal(found.sorted_keys, expected.sorted_keys)
    assert all(torch.equal(a, b) for a, b in zip(found.bounds, expected.bounds, strict=True))
    assert found.order is None and found.coords.dtype == torch.int32


@pytest.mark.skipif(not native.available(), reason=native.why_not())
def test_floors_of_far_voxels_are_those_of_torch_or_its_error() -> None:
    far = as_rows([(0, -COORD_LIMIT, 0, 0), (MAX_BATCH - 1, COORD_LIMIT, COORD_LIMIT, -COORD_LIMIT)])
    found, expected = (make(CoordinateSet.build(far), (2, 2, 2)) for make in (native_strided, CoordinateSet.strided))
    assert torch.equal(found.coords, expected.coords) and torch.equal(found.sorted_keys, expected.sorted_keys)
    one = CoordinateSet.build(far[:1])
    for make in (native_strided, CoordinateSet.strided):
        with pytest.raises(ValueError, match="must lie in"):
            make(one, (5, 1, 1))
        assert len(make(CoordinateSet.build(far[:0]), (2, 2, 2))) == 0


def test_nobody_writes_to_the_coordinates_of_a_tensor(surface_coords: Tensor, backend: str) -> None:
    """Neither through what was given nor through what is handed out; the compiled look-up would read anywhere."""
    given, feats, layer = surface_coords.clone(), torch.randn(len(surface_coords), 2), Convolution(2, 3, 3)
    expected = layer(SparseTensor.from_coords(given, feats, backend=backend)).feats
    x = SparseTensor.from_coords(given, feats, backend=backend)
    coarse = Convolution(2, 2, 2, stride=2)(x)  # bounds are known from here on
    there = coarse.coords
    for handed in (given, x.coords, coarse.coords):
        handed[:, 1:] -= 500
    assert torch.equal(x.coords, surface_coords) and torch.equal(coarse.coords, there)
    assert torch.equal(layer(x).feats, expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int64])
def test_integers_of_every_width_are_the_voxels_of_int32(dtype: torch.dtype, backend: str) -> None:
    high = min(torch.iinfo(dtype).max, COORD_LIMIT)  # from where one further is no number of that type any more
    narrow = as_rows([(0, high - 1, 0, 5), (1, high - 1, high - 1, high - 1)])
    layer, made = GenerativeConvolutionTranspose(1, 1, 3), []
    for coords in (narrow, narrow.to(dtype), narrow.to(dtype).t().contiguous().t()):
        x = SparseTensor.from_coords(coords, torch.ones(2, 1), backend=backend)
        made.append(layer(x))
        own = x.manager.coordinates(x.key).coords
        assert own.dtype == torch.int32 and own.is_contiguous()  # else the compiled maps are not taken
    for other in made[1:]:
        assert torch.equal(other.coords, made[0].coords) and torch.equal(other.feats, made[0].feats)
