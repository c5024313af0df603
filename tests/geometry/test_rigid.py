"""Rigid motions: T^-1 T = I, distances are kept, and R(a, b) a = b by the smallest angle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse3d.geometry import (
    invert_rigid,
    is_rigid,
    rotation_about_z,
    rotation_between,
    rotation_from_quaternion,
    transform_points,
)

numbers = st.floats(-5, 5)
quaternions = st.tuples(numbers, numbers, numbers, numbers).filter(lambda q: np.linalg.norm(q) > 1e-3)
vectors = st.tuples(numbers, numbers, numbers)
directions = vectors.filter(lambda v: np.linalg.norm(v) > 1e-3)


def motion(quaternion: tuple[float, ...], translation: tuple[float, ...]) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = rotation_from_quaternion(*quaternion)
    T[:3, 3] = translation
    return T


@given(quaternions, vectors)
def test_every_rotation_with_translation_is_rigid_and_its_inverse_undoes_it(q: tuple, t: tuple) -> None:
    T = motion(q, t)
    assert is_rigid(T)
    np.testing.assert_allclose(invert_rigid(T) @ T, np.eye(4), atol=1e-12)


def test_the_inverse_undoes_a_pose_recorded_with_few_digits() -> None:
    T = motion((0.3, -0.5, 0.2, 0.9), (1.0, -2.0, 0.5)).round(3)
    np.testing.assert_allclose(invert_rigid(T) @ T, np.eye(4), atol=1e-12)


lost = {
    "zeros": np.zeros((4, 4)),
    "nan": np.full((4, 4), np.nan),
    "-inf": np.full((4, 4), -np.inf),
    "one -inf": np.where(np.arange(16).reshape(4, 4) == 7, -np.inf, np.eye(4)),
    "mirror": np.diag((1.0, 1, -1, 1)),
    "scale": np.diag((2.0, 2, 2, 1)),
    "shear": np.eye(4) + 0.1 * np.eye(4, k=1),
    "last row": np.eye(4) + np.eye(4)[[3, 0, 1, 2]] * np.array([0, 0, 0, 1.0])[:, None],
    "rotation only": np.eye(3),
}


@pytest.mark.parametrize("name", lost)
def test_lost_and_crooked_poses_are_not_rigid_and_never_inverted(name: str) -> None:
    assert not is_rigid(lost[name])
    with pytest.raises(ValueError, match="not a rigid motion"):
        invert_rigid(lost[name])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_keep_their_dtype_and_distances(dtype: type) -> None:
    xyz = np.random.default_rng(0).normal(size=(50, 3)).astype(dtype)
    before = xyz.copy()
    moved = transform_points(motion((0.1, 0.7, -0.4, 0.5), (3, -1, 2)), xyz)
    assert moved.dtype == dtype and moved.shape == (50, 3)
    np.testing.assert_array_equal(xyz, before)
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(moved, axis=0), axis=1), np.linalg.norm(np.diff(xyz, axis=0), axis=1), rtol=1e-5
    )


def test_no_points_stay_no_points() -> None:
    assert transform_points(np.eye(4), np.empty((0, 3), np.float32)).shape == (0, 3)


def test_moving_is_translation_after_rotation() -> None:
    T = motion((0.2, 0.1, 0.6, 1.0), (1, 2, 3))
    homogeneous = np.array([0.5, -0.25, 2.0, 1.0])
    np.testing.assert_allclose(transform_points(T, homogeneous[None, :3])[0], (T @ homogeneous)[:3])


def test_turning_about_z_takes_x_towards_y() -> None:
    np.testing.assert_allclose(
        transform_points(rotation_about_z(np.pi / 2), np.array([[1.0, 0, 5]])), [[0, 1, 5]], atol=1e-15
    )


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_turns_about_z_add_up(a: float, b: float) -> None:
    np.testing.assert_allclose(rotation_about_z(a) @ rotation_about_z(b), rotation_about_z(a + b), atol=1e-12)


def assert_smallest_rotation(a: np.ndarray, b: np.ndarray) -> None:
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    R = rotation_between(a, b)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(R) == pytest.approx(1)
    np.testing.assert_allclose(R @ a, b, atol=3e-7)
    assert np.trace(R) == pytest.approx(1 + 2 * (a @ b), abs=1e-6)  # the angle is the one between them, no more


@given(directions, directions)
def test_rotation_between_directions_is_the_smallest_that_maps_one_to_the_other(a: tuple, b: tuple) -> None:
    assert_smallest_rotation(np.array(a), np.array(b))


@given(directions, st.sampled_from([0, 1e-15, 1e-12, 1e-9, 1e-8, 1e-7, 1e-6, 1e-3]))
def test_rotation_between_opposite_directions_is_a_half_turn(a: tuple, off: float) -> None:
    unit = np.array(a) / np.linalg.norm(a)
    assert_smallest_rotation(unit, -unit + off * np.roll(unit, 1))
    assert_smallest_rotation(unit, unit + off * np.roll(unit, 1))


def test_directions_without_direction_are_refused() -> None:
    for bad in ((0, 0, 0), (np.nan, 0, 1), (1, 0)):
        with pytest.raises(ValueError, match="direction"):
            rotation_between(np.array(bad, float), np.array([0, 0, 1.0]))


def test_quaternions_turn_as_their_axis_and_angle_say() -> None:
    half = np.pi / 8
    np.testing.assert_allclose(
        rotation_from_quaternion(0, 0, np.sin(half), np.cos(half)), rotation_about_z(np.pi / 4)[:3, :3], atol=1e-15
    )


@given(quaternions, st.floats(0.01, 100))
def test_a_quaternions_length_and_sign_do_not_matter(q: tuple, scale: float) -> None:
    R = rotation_from_quaternion(*q)
    np.testing.assert_allclose(rotation_from_quaternion(*(scale * np.array(q))), R, atol=1e-12)
    np.testing.assert_allclose(rotation_from_quaternion(*(-np.array(q))), R, atol=1e-12)
    np.testing.assert_allclose(R @ np.array(q[:3]), q[:3], atol=1e-12)  # the axis stays


@pytest.mark.parametrize("bad", [(0, 0, 0, 0), (np.nan, 0, 0, 1), (np.inf, 0, 0, 1)])
def test_quaternions_without_a_rotation_are_refused(bad: tuple) -> None:
    with pytest.raises(ValueError, match="quaternion"):
        rotation_from_quaternion(*bad)
