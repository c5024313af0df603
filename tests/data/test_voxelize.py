"""Voxelizing against plain dictionaries."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sparse3d.data.masking import draw_mask
from sparse3d.data.voxel_clouds import VoxelCloud, batch_clouds
from sparse3d.data.voxelize import majority_label, mean_by_voxel, voxelize
from sparse3d.errors import InputError
from sparse3d.sparse.coordinates import COORD_LIMIT, check_range
from sparse3d.types import IGNORE

POINTS = hnp.arrays(np.float32, st.tuples(st.integers(0, 60), st.just(3)), elements=st.floats(-1.0, 1.0, width=32))
quick = settings(max_examples=40, deadline=None)


def cloud_of(xyz: np.ndarray, voxel_size: float = 0.1) -> VoxelCloud:
    coords, _ = voxelize(xyz, voxel_size)
    count = len(coords)
    return VoxelCloud(coords, np.zeros((count, 3), np.float32), coords.astype(np.float32), np.zeros(count, bool))


@quick
@given(POINTS, st.sampled_from([0.05, 0.1, 0.37]))
def test_every_point_lies_in_its_voxel_and_every_voxel_has_one(xyz: np.ndarray, size: float) -> None:
    """Pitfall: ``int()`` rounds -0.4 to 0, so that voxels around zero merge."""
    coords, point2voxel = voxelize(xyz, size)
    assert coords.dtype == np.int32 and point2voxel.dtype == np.int64 and point2voxel.shape == (len(xyz),)
    oracle = [tuple(int(np.floor(v / size)) for v in point) for point in xyz.astype(np.float64)]
    assert [tuple(c) for c in coords[point2voxel].tolist()] == oracle
    assert [tuple(c) for c in coords.tolist()] == sorted(set(oracle))


def test_voxels_around_zero_stay_apart_and_of_equal_size() -> None:
    """Pitfall: truncation makes the voxel around zero twice as wide."""
    line = np.zeros((40, 3))
    line[:, 0] = np.linspace(-0.195, 0.195, 40)
    coords, point2voxel = voxelize(line, 0.1)
    assert coords[:, 0].tolist() == [-2, -1, 0, 1]
    assert np.bincount(point2voxel).tolist() == [10, 10, 10, 10]


@quick
@given(POINTS)
def test_voxelizing_does_not_depend_on_the_order_of_points(xyz: np.ndarray) -> None:
    order = np.random.default_rng(0).permutation(len(xyz))
    coords, point2voxel = voxelize(xyz, 0.2)
    shuffled, shuffled_map = voxelize(xyz[order], 0.2)
    np.testing.assert_array_equal(coords, shuffled)
    np.testing.assert_array_equal(point2voxel[order], shuffled_map)


@quick
@given(
    hnp.arrays(np.int64, st.tuples(st.integers(1, 60), st.just(3)), elements=st.integers(-COORD_LIMIT, COORD_LIMIT)),
    st.sampled_from([1, 1 << 10, 1 << 15]),
)
def test_few_points_far_apart_are_sorted_and_many_are_looked_up_with_one_result(
    places: np.ndarray, shrink: int
) -> None:
    """The bounding box may have 2^63 cells, or two: the coordinates are those of the cells in either case."""
    places = places // shrink
    coords, point2voxel = voxelize(places + 0.5, 1.0)
    np.testing.assert_array_equal(coords, np.unique(places, axis=0))
    np.testing.assert_array_equal(coords[point2voxel], places)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_points_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        voxelize(np.array([[0.0, value, 0.0]]), 0.1)


def test_points_in_another_unit_are_refused_rather_than_wrapped_around() -> None:
    with pytest.raises(ValueError, match="check the unit"):
        voxelize(np.array([[0.0, 0.0, 0.0], [3e5, 0.0, 0.0]]), 0.1)


@quick
@given(POINTS, st.integers(1, 4))
def test_means_equal_a_dictionarys(xyz: np.ndarray, channels: int) -> None:
    values = np.random.default_rng(len(xyz)).normal(size=(len(xyz), channels)).astype(np.float32)
    coords, point2voxel = voxelize(xyz, 0.3)
    members = defaultdict(list)
    for voxel, value in zip(point2voxel.tolist(), values, strict=True):
        members[voxel].append(value.astype(np.float64))
    oracle = np.array([np.mean(members[v], axis=0) for v in range(len(coords))]).reshape(-1, channels)
    means = mean_by_voxel(values, point2voxel, len(coords))
    assert means.dtype == np.float32
    np.testing.assert_allclose(means, oracle, atol=1e-6)


@quick
@given(POINTS, st.integers(0, 10_000), st.sampled_from([[IGNORE, 0, 1, 7], [IGNORE, -1, 0, 10**9]]))
def test_labels_go_to_the_majority(xyz: np.ndarray, seed: int, kinds: list[int]) -> None:
    """Pitfall: "first point wins", and the library's own label quantizing, which is wrong. Few labels are counted in a
    table, labels far apart are sorted."""
    labels = np.random.default_rng(seed).choice(kinds, len(xyz)).astype(np.int64)
    coords, point2voxel = voxelize(xyz, 0.4)
    votes: dict[int, Counter[int]] = defaultdict(Counter)
    for voxel, label in zip(point2voxel.tolist(), labels.tolist(), strict=True):
        if label != IGNORE:
            votes[voxel][label] += 1
    oracle = [min(votes[v], key=lambda k: (-votes[v][k], k)) if votes[v] else IGNORE for v in range(len(coords))]
    assert majority_label(labels, point2voxel, len(coords), IGNORE).tolist() == oracle


def test_two_clouds_never_share_a_voxel_and_rows_stay_grouped() -> None:
    """Pitfall: the batch index last, or left out, merges the voxels of two items."""
    rng = np.random.default_rng(0)
    clouds = [cloud_of(rng.uniform(-0.5, 0.5, (n, 3))) for n in (80, 1, 0, 80)]
    clouds.append(clouds[0])  # the very same places
    batch, starts = batch_clouds(clouds)
    rows = [tuple(row) for row in batch.coords.tolist()]
    assert batch.coords.dtype.is_signed and len(set(rows)) == len(rows) == sum(len(c.coords) for c in clouds)
    for index, (cloud, start) in enumerate(zip(clouds, starts.tolist(), strict=True)):
        own = batch.coords[start : start + len(cloud.coords)]
        assert (own[:, 0] == index).all()
        np.testing.assert_array_equal(own[:, 1:].numpy(), cloud.coords)


@pytest.mark.parametrize("block", [1, 4])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.6, 1.0])
def test_masking_takes_about_its_ratio(block: int, ratio: float) -> None:
    coords = np.argwhere(np.ones((40, 40, 12))) - 20
    masked = draw_mask(coords, ratio, block, np.random.default_rng(1))
    assert masked.dtype == bool and abs(masked.mean() - ratio) < 0.05
    assert masked.all() == (ratio == 1.0) and masked.any() == (ratio > 0)


def test_masks_are_made_of_whole_blocks_around_zero_too() -> None:
    """Pitfall: blocks cut by truncation would be twice as wide at zero."""
    coords = np.argwhere(np.ones((24, 24, 24))) - 12
    grid = draw_mask(coords, 0.5, 4, np.random.default_rng(3)).reshape(24, 24, 24)
    inner_phases = [
        phase
        for phase in np.ndindex(4, 4, 4)
        if all(
            len(np.unique(grid[x : x + 4, y : y + 4, z : z + 4])) == 1
            for x in range(phase[0], 20, 4)
            for y in range(phase[1], 20, 4)
            for z in range(phase[2], 20, 4)
        )
    ]
    assert len(inner_phases) == 1  # one phase of the grid explains every block: their edges are 4 voxels exactly


def test_masks_differ_between_draws_and_repeat_with_the_seed() -> None:
    coords = np.argwhere(np.ones((16, 16, 4)))
    first, again, other = (draw_mask(coords, 0.5, 3, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert (first == again).all() and (first != other).any()


def test_an_empty_cloud_has_an_empty_mask() -> None:
    assert draw_mask(np.zeros((0, 3), np.int32), 0.5, 4, np.random.default_rng(0)).shape == (0,)


def phases(masked: np.ndarray, block: int) -> tuple[int, ...]:
    """Where the blocks of a masked grid begin, along each axis, modulo their size."""
    found = []
    for axis in range(3):
        changes = np.nonzero(np.diff(masked, axis=axis))[axis] + 1
        (phase,) = set((changes % block).tolist())
        found.append(phase)
    return tuple(found)


def test_the_grid_of_blocks_has_a_phase_of_its_own_along_each_axis() -> None:
    coords = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    drawn = [
        phases(draw_mask(coords, 0.5, 4, np.random.default_rng(seed)).reshape(24, 24, 24), 4) for seed in range(30)
    ]
    for axis in range(3):
        assert {phase[axis] for phase in drawn} == {0, 1, 2, 3}
    assert len(set(drawn)) > 20  # of 64: the axes do not share one


def test_which_blocks_are_masked_is_drawn_from_the_generator_too() -> None:
    coords = np.arange(300)[:, None].repeat(3, axis=1)  # single voxels have no phase
    first, second = (draw_mask(coords, 0.5, 1, np.random.default_rng(seed)) for seed in (0, 1))
    assert 0.3 < np.mean(first != second) < 0.7


def test_points_at_the_end_of_the_range_are_refused_rather_than_wrapped() -> None:
    half = COORD_LIMIT  # what the engine takes, so that a scan in millimetres is told here
    coords, _ = voxelize(np.array([[half + 0.5, 0, 0], [-half + 0.5, 0, 0]]), 1.0)
    assert coords[:, 0].tolist() == [-half, half]
    check_range(torch.from_numpy(np.pad(coords, ((0, 0), (1, 0)))))
    for place in (half + 1.5, -half - 0.5):
        with pytest.raises(InputError, match="more voxels of 1.0 m than fit"):
            voxelize(np.array([[0, place, 0]]), 1.0)


def test_coordinates_far_out_are_divided_in_double_precision() -> None:
    assert voxelize(np.array([[6_000.0999, 0.0, 0.0]]), 0.1)[0][0, 0] == 60_000
