"""Overlap: contained[i, j] = |{v in V_i : some w in V_j with |v - w|_inf <= tolerance}| / |V_i|."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse3d.errors import InputError
from sparse3d.geometry import select_pairs, view_overlaps


def oracle(clouds: list[np.ndarray], voxel_size: float, tolerance: int) -> np.ndarray:
    sets = [np.unique(np.floor(c.astype(np.float64) / voxel_size).astype(int), axis=0) for c in clouds]
    contained = np.zeros((len(sets), len(sets)))
    for i, a in enumerate(sets):
        for j, b in enumerate(sets):
            if len(a) and len(b):
                contained[i, j] = (np.abs(a[:, None] - b[None]).max(axis=2).min(axis=1) <= tolerance).mean()
    return contained


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(0, 2), st.lists(st.integers(0, 40), min_size=1, max_size=5))
def test_overlap_agrees_with_brute_force_around_zero(seed: int, tolerance: int, sizes: list[int]) -> None:
    rng = np.random.default_rng(seed)
    clouds = [rng.normal(rng.normal(0, 0.2, 3), 0.3, (n, 3)).astype(np.float32) for n in sizes]
    overlap = view_overlaps(clouds, 0.1, tolerance)
    assert overlap.contained.dtype == np.float32
    np.testing.assert_allclose(overlap.contained, oracle(clouds, 0.1, tolerance), atol=1e-6)


def test_voxels_on_both_sides_of_zero_are_two() -> None:
    cloud = np.array([[-0.01, 0, 0], [0.01, 0, 0]])
    assert view_overlaps([cloud], 0.05).voxels.tolist() == [2]


def test_a_part_is_contained_in_the_whole_and_the_whole_not_in_the_part() -> None:
    whole = np.stack(np.meshgrid(np.arange(20), np.arange(20), [0]), axis=-1).reshape(-1, 3) * 0.05 + 0.025
    part = whole[whole[:, 0] < 0.25]
    overlap = view_overlaps([whole, part], tolerance=0)
    np.testing.assert_allclose(overlap.contained, [[1, 0.25], [1, 1]])
    np.testing.assert_allclose(overlap.pair_overlap(), [[1, 1], [1, 1]])


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_pair_overlap_is_symmetric_and_that_of_the_smaller_view(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    overlap = view_overlaps([rng.normal(0, 0.2, (rng.integers(0, 60), 3)) for _ in range(count)])
    pairs = overlap.pair_overlap()
    np.testing.assert_array_equal(pairs, pairs.T)
    assert ((pairs >= 0) & (pairs <= 1)).all()
    for i in range(count):
        for j in range(count):
            if overlap.voxels[i] < overlap.voxels[j]:
                assert pairs[i, j] == overlap.contained[i, j]


def test_empty_views_overlap_with_nothing_not_with_nan() -> None:
    overlap = view_overlaps([np.empty((0, 3)), np.zeros((1, 3))])
    np.testing.assert_array_equal(overlap.contained, [[0, 0], [0, 1]])
    assert view_overlaps([]).contained.shape == (0, 0)
    assert view_overlaps([np.empty((0, 3))]).pair_overlap().tolist() == [[0]]


def test_neighbouring_numbers_never_wrap_into_the_next_axis() -> None:
    # far from the origin and far apart, where packed keys of different axes could touch
    clouds = [np.array([[1e4, -2e4, 1e4 + k]]) for k in (0.01, 0.06, 0.2)]
    np.testing.assert_array_equal(view_overlaps(clouds).contained, oracle(clouds, 0.05, 1).astype(np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e9, -1e30])
def test_points_out_of_range_are_an_error_that_names_the_cloud(bad: float) -> None:
    cloud = np.zeros((4, 3))
    far = cloud.copy()
    far[2, 1] = bad
    with pytest.raises(InputError, match="cloud 1 "):
        view_overlaps([cloud, far, cloud])


def test_nonsense_parameters_are_refused() -> None:
    for arguments in ((0.0, 1), (-1.0, 1), (0.05, -1)):
        with pytest.raises(ValueError):
            view_overlaps([np.zeros((1, 3))], *arguments)


def test_selected_pairs_lie_in_the_range_each_once_in_order() -> None:
    overlap = np.array([[1, 0.3, 0.95, 0.5], [0.3, 1, 0.29, 0.9], [0.95, 0.29, 1, 0.6], [0.5, 0.9, 0.6, 1]])
    pairs = select_pairs(overlap)
    assert pairs.dtype == np.int64
    assert pairs.tolist() == [[0, 1], [0, 3], [1, 3], [2, 3]]
    assert select_pairs(np.ones((3, 3))).shape == (0, 2)


def test_range_ends_count_for_single_precision_overlaps_too() -> None:
    overlap = np.full((2, 2), 0.3, np.float32)
    assert len(select_pairs(overlap, 0.3, 0.9)) == 1
    assert len(select_pairs(np.full((2, 2), 0.9, np.float32), 0.3, 0.9)) == 1
