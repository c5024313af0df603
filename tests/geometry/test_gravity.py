"""Up: whatever way the world frame is turned, the found direction is the normal of the room's floor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from depth_scenes import CAMERA, CAMERAS, pose, room_depth
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sparse3d.geometry import (
    estimate_up,
    is_rigid,
    resize_depth,
    rotation_about_z,
    transform_points,
    unproject_depth,
    up_to_z,
)
from sparse3d.types import Camera

# y is down: floor, ceiling, two walls
ROOM = [((0, 1, 0), 1.3), ((0, 1, 0), -1.2), ((0, 0, 1), 4.0), ((1, 0, 0), 2.0)]
UP = np.array((0.0, -1.0, 0.0))
TURNED = pose((5, -3, 2), (0.5, -0.2, 0.7, 0.4))


def degrees_between(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


def recording(camera: Camera, T_new_room: np.ndarray, pitch_deg: float) -> tuple[list, list, list]:
    """Three frames that look down by ``pitch_deg``, all the same way, so that their mean up is off by as much."""
    pitch = np.radians(pitch_deg) / 2
    # fy < 0 says that the camera's y axis points up in the image; half a turn about z makes it point up in the room
    upright = rotation_about_z(0 if camera.fy > 0 else np.pi)
    depths, poses = [], []
    for yaw in (-0.05, 0, 0.05):
        T = pose((0, 0, 0), (0, yaw, 0, 1)) @ pose((0, 0, 0), (-np.sin(pitch), 0, 0, np.cos(pitch))) @ upright
        depths.append(room_depth(camera, T, ROOM))
        poses.append(T_new_room @ T)
    return depths, [camera] * 3, poses


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("pitch", [0, 15, 30])
def test_up_is_the_floors_normal_however_the_cameras_pitch(camera: Camera, pitch: float) -> None:
    up = estimate_up(*recording(camera, np.eye(4), pitch))
    assert up.shape == (3,) and up.dtype == np.float64 and np.linalg.norm(up) == pytest.approx(1)
    assert degrees_between(up, UP) < 0.5


def test_up_turns_with_the_world() -> None:
    assert degrees_between(estimate_up(*recording(CAMERA, TURNED, 20)), TURNED[:3, :3] @ UP) < 0.5


def test_noise_of_a_depth_sensor_moves_up_by_little_and_always_alike() -> None:
    depths, cameras, poses = recording(CAMERA, TURNED, 20)
    rng = np.random.default_rng(0)
    noisy = [(d + 0.002 * d**2 * rng.normal(size=d.shape)).astype(np.float32) for d in depths]
    up = estimate_up(noisy, cameras, poses)
    assert degrees_between(up, TURNED[:3, :3] @ UP) < 2
    np.testing.assert_array_equal(up, estimate_up(noisy, cameras, poses))


@pytest.mark.parametrize("camera", CAMERAS)
def test_without_depth_up_is_the_mean_of_the_cameras_up(camera: Camera) -> None:
    depths, cameras, poses = recording(camera, TURNED, 10)
    up = estimate_up([np.zeros_like(d) for d in depths], cameras, poses)
    assert degrees_between(up, TURNED[:3, :3] @ UP) == pytest.approx(10, abs=0.1)


def test_a_ceiling_says_as_much_as_a_floor() -> None:
    depths, cameras, poses = recording(CAMERA, np.eye(4), -25)
    ceiling = [room_depth(CAMERA, T, ROOM[1:]) for T in poses]
    assert degrees_between(estimate_up(ceiling, cameras, poses), UP) < 0.5


def test_walls_alone_do_not_pull_up_away() -> None:
    depths, cameras, poses = recording(CAMERA, np.eye(4), 5)
    wall = [room_depth(CAMERA, T, [((0, 0, 1), 4.0)]) for T in poses]
    assert degrees_between(estimate_up(wall, cameras, poses), UP) == pytest.approx(5, abs=0.1)


def test_up_needs_frames_and_an_up_side() -> None:
    with pytest.raises(ValueError, match="as many"):
        estimate_up([], [], [])
    depth = np.zeros((CAMERA.height, CAMERA.width), np.float32)
    with pytest.raises(ValueError, match="cancel"):
        estimate_up([depth] * 2, [CAMERA] * 2, [np.eye(4), rotation_about_z(np.pi)])


@given(st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 1e-2))
def test_up_to_z_takes_up_to_z_rigidly(up: tuple) -> None:
    T = up_to_z(np.array(up))
    assert is_rigid(T, tol=1e-9)
    np.testing.assert_allclose(T[:3, :3] @ (np.array(up) / np.linalg.norm(up)), (0, 0, 1), atol=1e-6)


@pytest.mark.needs_shared_data
def test_a_real_kitchen_turned_upright_has_its_table_in_one_thin_layer(shared_data: Path) -> None:
    camera, small = Camera(585, 585, 320, 240, 640, 480), Camera(585, 585, 320, 240, 640, 480).scaled(160, 120)
    depths, poses = [], []
    for number in range(0, 600, 60):
        stem = shared_data / "redkitchen" / f"frame-{number:06d}"
        depth = np.asarray(Image.open(f"{stem}.depth.png")).astype(np.float32)
        depth[depth == 65535] = 0
        depths.append(depth / 1000)
        poses.append(np.loadtxt(f"{stem}.pose.txt"))

    def thickest_layer(up: np.ndarray) -> float:
        z = np.concatenate(
            [
                transform_points(up_to_z(up) @ T, unproject_depth(resize_depth(d, 120, 160), small)[0])[:, 2]
                for d, T in zip(depths, poses, strict=True)
            ]
        )
        return np.histogram(z, np.arange(z.min(), z.max() + 0.02, 0.02))[0].max() / len(z)

    mean = -np.mean([T[:3, 1] for T in poses], axis=0)
    refined = estimate_up(depths, [camera] * len(depths), poses)
    assert thickest_layer(refined) > 0.15 > 3 * thickest_layer(mean)
