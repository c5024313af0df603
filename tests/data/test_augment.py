"""Augmentation moves and recolours points, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from sparse3d.data.augment import (
    Augmentation,
    ColorDrop,
    ColorJitter,
    RandomFlip,
    RandomScale,
    RandomShift,
    RandomTilt,
    RandomYaw,
    apply_all,
)

RIGID: list[Augmentation] = [RandomYaw(), RandomYaw(30), RandomTilt(5), RandomShift(2.0), RandomFlip(1.0)]
MOVES: list[Augmentation] = [*RIGID, RandomScale(0.8, 1.2), RandomFlip(0.5)]
COLORS: list[Augmentation] = [ColorJitter(0.5, 0.5, 0.3), ColorDrop(1.0), ColorDrop(0.5)]


def name(augmentation: Augmentation) -> str:
    return type(augmentation).__name__


@pytest.fixture
def cloud() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(-3, 3, (200, 3)).astype(np.float32), rng.random((200, 3)).astype(np.float32)


def distances(xyz: np.ndarray) -> np.ndarray:
    return np.linalg.norm(xyz[:, None].astype(np.float64) - xyz[None], axis=-1)


@pytest.mark.parametrize("augment", MOVES + COLORS, ids=name)
def test_points_keep_their_number_order_and_type(augment: Augmentation, cloud: tuple[np.ndarray, np.ndarray]) -> None:
    """Pitfall: an index map that is no longer true. Each point's image depends on the cloud, not on its row."""
    xyz, rgb = cloud
    before = xyz.copy(), rgb.copy()
    order = np.random.default_rng(1).permutation(len(xyz))
    moved, recolored = augment(xyz, rgb, np.random.default_rng(7))
    moved_too, recolored_too = augment(xyz[order], rgb[order], np.random.default_rng(7))
    assert moved.shape == xyz.shape and recolored.shape == rgb.shape
    assert moved.dtype == np.float32 and recolored.dtype == np.float32
    np.testing.assert_allclose(moved[order], moved_too, atol=1e-5)
    np.testing.assert_allclose(recolored[order], recolored_too, atol=1e-5)
    np.testing.assert_array_equal(xyz, before[0])  # frames are cached: what is given must stay as it is
    np.testing.assert_array_equal(rgb, before[1])


@pytest.mark.parametrize("augment", MOVES + COLORS, ids=name)
def test_one_seed_repeats_and_nothing_else_is_drawn(
    augment: Augmentation, cloud: tuple[np.ndarray, np.ndarray]
) -> None:
    """Pitfall: a generator made in ``__init__`` is copied to every worker."""
    np.random.seed(0)
    first = augment(*cloud, np.random.default_rng(3))
    np.random.seed(1)
    second = augment(*cloud, np.random.default_rng(3))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("augment", MOVES + COLORS, ids=name)
def test_an_empty_cloud_stays_empty(augment: Augmentation) -> None:
    nothing = np.zeros((0, 3), np.float32)
    xyz, rgb = augment(nothing, nothing, np.random.default_rng(0))
    assert xyz.shape == rgb.shape == (0, 3)


@pytest.mark.parametrize("augment", RIGID, ids=name)
def test_rigid_motions_keep_every_distance(augment: Augmentation, cloud: tuple[np.ndarray, np.ndarray]) -> None:
    for seed in range(4):
        moved, rgb = augment(*cloud, np.random.default_rng(seed))
        np.testing.assert_allclose(distances(moved), distances(cloud[0]), atol=1e-4)
        assert rgb is cloud[1]


def test_yaw_keeps_heights_and_the_mean_and_covers_the_circle(cloud: tuple[np.ndarray, np.ndarray]) -> None:
    xyz, rgb = cloud
    start, angles = xyz - xyz.mean(axis=0), []
    for seed in range(200):
        turned, _ = RandomYaw()(xyz, rgb, np.random.default_rng(seed))
        np.testing.assert_allclose(turned[:, 2], xyz[:, 2], atol=1e-5)
        np.testing.assert_allclose(turned.mean(axis=0), xyz.mean(axis=0), atol=1e-4)
        end = turned - turned.mean(axis=0)
        cross = start[0, 0] * end[0, 1] - start[0, 1] * end[0, 0]
        angles.append(np.degrees(np.arctan2(cross, start[0, :2] @ end[0, :2])))
    counts = np.histogram(angles, bins=6, range=(-180, 180))[0]
    assert counts.min() > 15


def test_yaw_stays_within_its_range(cloud: tuple[np.ndarray, np.ndarray]) -> None:
    xyz, rgb = cloud
    for seed in range(50):
        turned, _ = RandomYaw(20)(xyz, rgb, np.random.default_rng(seed))
        a, b = xyz[0, :2] - xyz.mean(axis=0)[:2], turned[0, :2] - turned.mean(axis=0)[:2]
        assert np.degrees(np.arccos(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))) <= 20.1


def test_flip_mirrors_x_and_y_and_never_the_up_axis(cloud: tuple[np.ndarray, np.ndarray]) -> None:
    xyz, rgb = cloud
    seen = set()
    for seed in range(40):
        flipped, _ = RandomFlip(0.5)(xyz, rgb, np.random.default_rng(seed))
        np.testing.assert_array_equal(np.abs(flipped), np.abs(xyz))
        seen.add(tuple(np.sign(flipped[0] * xyz[0])))
    assert seen == {(a, b, 1.0) for a in (-1.0, 1.0) for b in (-1.0, 1.0)}


def test_scale_multiplies_every_distance_by_one_factor_in_its_range(cloud: tuple[np.ndarray, np.ndarray]) -> None:
    xyz, rgb = cloud
    for seed in range(10):
        scaled, _ = RandomScale(0.9, 1.1)(xyz, rgb, np.random.default_rng(seed))
        factor = np.linalg.norm(scaled[0]) / np.linalg.norm(xyz[0])
        assert 0.9 <= factor <= 1.1
        np.testing.assert_allclose(scaled, xyz * factor, atol=1e-5)


def test_shift_draws_every_axis_alone_within_its_distance(cloud: tuple[np.ndarray, np.ndarray]) -> None:
    """Pitfall: a strided layer is not equivariant to one voxel, so the grid's phase must vary."""
    xyz, rgb = cloud
    shifts = np.array([RandomShift(0.5)(xyz, rgb, np.random.default_rng(s))[0][0] - xyz[0] for s in range(50)])
    assert np.abs(shifts).max() <= 0.5001 and shifts.std(axis=0).min() > 0.2
    assert np.abs(np.corrcoef(shifts.T) - np.eye(3)).max() < 0.5


def test_color_jitter_is_clipped_and_leaves_places_alone(cloud: tuple[np.ndarray, np.ndarray]) -> None:
    xyz, rgb = cloud
    for seed in range(20):
        moved, changed = ColorJitter(0.9, 0.9, 0.5)(xyz, rgb, np.random.default_rng(seed))
        assert moved is xyz and changed.min() >= 0 and changed.max() <= 1
    neutral = ColorJitter(0, 0, 0)(xyz, rgb, np.random.default_rng(0))[1]
    np.testing.assert_allclose(neutral, rgb, atol=1e-6)


def test_color_drop_is_all_or_nothing(cloud: tuple[np.ndarray, np.ndarray]) -> None:
    xyz, rgb = cloud
    dropped = [bool((ColorDrop(0.3)(xyz, rgb, np.random.default_rng(s))[1] == 0).all()) for s in range(100)]
    assert 15 < sum(dropped) < 45
    kept = ColorDrop(0.0)(xyz, rgb, np.random.default_rng(0))[1]
    np.testing.assert_array_equal(kept, rgb)


def test_augmentations_apply_in_their_order(cloud: tuple[np.ndarray, np.ndarray]) -> None:
    twice, _ = apply_all([RandomScale(2, 2), RandomShift(1.0)], *cloud, np.random.default_rng(0))
    offset = twice - 2 * cloud[0]
    np.testing.assert_allclose(offset, np.broadcast_to(offset[:1], offset.shape), atol=1e-5)
    assert np.abs(offset).max() <= 1.0001  # the shift came after the scaling
