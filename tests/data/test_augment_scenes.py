"""Augmentations of labelled scenes: rows stay, seeds repeat, points bend softly, colours are in range."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from sparse3d.data.augment_scenes import AutoContrast, ColorNoise, ElasticDistortion, _between
from sparse3d.data.voxelize import voxelize
from sparse3d.errors import InputError

ALL = [ElasticDistortion(probability=1.0), AutoContrast(1.0), ColorNoise(probability=1.0)]
NEVER = [ElasticDistortion(probability=0.0), AutoContrast(0.0), ColorNoise(probability=0.0)]


def cloud(count: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 4, (count, 3)).astype(np.float32), rng.uniform(0.2, 0.6, (count, 3)).astype(np.float32)


@pytest.mark.parametrize("augment", ALL, ids=lambda a: type(a).__name__)
def test_rows_and_kinds_stay_and_a_seed_repeats_itself(augment: object) -> None:
    xyz, rgb = cloud()
    before = xyz.copy(), rgb.copy()
    first, second, other = (augment(xyz, rgb, np.random.default_rng(seed)) for seed in (1, 1, 2))  # type: ignore[operator]
    for a, b, c, given in zip(first, second, other, before, strict=True):
        assert a.shape == given.shape and a.dtype == np.float32
        assert np.array_equal(a, b)
        assert np.array_equal(a, given) or not np.array_equal(a, c)
    assert np.array_equal(xyz, before[0]) and np.array_equal(rgb, before[1]), "the scene itself was written to"
    assert first[1].min() >= 0 and first[1].max() <= 1


@pytest.mark.parametrize("augment", NEVER, ids=lambda a: type(a).__name__)
def test_probability_0_changes_nothing(augment: object) -> None:
    xyz, rgb = cloud()
    moved, recolored = augment(xyz, rgb, np.random.default_rng(0))  # type: ignore[operator]
    assert np.array_equal(moved, xyz) and np.array_equal(recolored, rgb)


@pytest.mark.parametrize("augment", ALL, ids=lambda a: type(a).__name__)
def test_an_empty_and_a_single_point_cloud_are_no_error(augment: object) -> None:
    for count in (0, 1):
        xyz, rgb = cloud(count)
        moved, _ = augment(xyz, rgb, np.random.default_rng(0))  # type: ignore[operator]
        assert moved.shape == (count, 3) and np.isfinite(moved).all()


def test_elastic_distortion_moves_neighbours_alike_and_by_the_size_it_says() -> None:
    xyz, rgb = cloud(20_000)
    elastic = ElasticDistortion(scales=((0.8, 1.6),), probability=1.0)
    both = np.concatenate([xyz, xyz + np.float32([0.02, 0, 0])])
    moved, _ = elastic(both, np.concatenate([rgb, rgb]), np.random.default_rng(3))
    shift = moved - both
    apart = np.abs(shift[len(xyz) :] - shift[: len(xyz)])
    assert apart.max() < 0.06  # 2 cm apart, in cells of 80 cm
    assert 0.5 * 1.6 / 9 < shift.std() < 1.5 * 1.6 / 9


def test_a_field_is_read_linearly_between_its_cells_along_the_right_axes() -> None:
    rng = np.random.default_rng(0)
    field = rng.standard_normal((3, 5, 7, 9)).astype(np.float32)
    cells = (rng.random((400, 3)) * [4, 6, 8]).astype(np.float32)
    expected = np.stack([map_coordinates(channel, cells.T, order=1) for channel in field], axis=1)
    np.testing.assert_allclose(_between(field, cells), expected, atol=1e-4)


def test_auto_contrast_fills_the_range_and_keeps_a_channel_of_one_value() -> None:
    xyz, rgb = cloud()
    rgb[:, 2] = 0.3
    _, stretched = AutoContrast(1.0, blend=1.0)(xyz, rgb, np.random.default_rng(0))
    assert stretched[:, :2].min(axis=0) == pytest.approx([0, 0]) and stretched[:, :2].max(axis=0) == pytest.approx(
        [1, 1]
    )
    assert np.all(stretched[:, 2] == np.float32(0.3))


def test_scales_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(InputError, match=r"ElasticDistortion\.scales"):
        ElasticDistortion(scales=((0.2,),))


def test_a_scene_in_millimetres_is_refused_in_one_line() -> None:
    room = np.random.default_rng(0).random((100, 3), dtype=np.float32) * 4000
    with pytest.raises(InputError, match=r"ElasticDistortion: a scene of .* check that its coordinates"):
        ElasticDistortion(probability=1.0)(room, np.zeros_like(room), np.random.default_rng(1))
    with pytest.raises(InputError, match="check the unit"):
        voxelize(room * 10, 0.02)
