"""Ray-cast planes seen by deliberately awkward cameras: not square, fx != fy, off-centre, fy of either sign."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparse3d.geometry import rotation_from_quaternion
from sparse3d.types import Camera

CAMERA = Camera(fx=70.0, fy=62.0, cx=37.3, cy=21.8, width=72, height=48)
FLIPPED = Camera(fx=70.0, fy=-62.0, cx=37.3, cy=21.8, width=72, height=48)
CAMERAS = (CAMERA, FLIPPED)


def pose(translation: Sequence[float] = (0, 0, 0), quaternion: Sequence[float] = (0, 0, 0, 1)) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = rotation_from_quaternion(*quaternion)
    T[:3, 3] = translation
    return T


def random_pose(rng: np.random.Generator, turn: float = 1.0, shift: float = 1.0) -> np.ndarray:
    return pose(rng.uniform(-shift, shift, 3), (*rng.uniform(-turn, turn, 3), 1.0))


def plane_depth(camera: Camera, T_world_cam: np.ndarray, normal: Sequence[float], offset: float) -> np.ndarray:
    """Depth (H, W) float32 of the world plane normal . x = offset; 0 where it is not in front of the camera."""
    rows, cols = np.mgrid[: camera.height, : camera.width]
    rays = np.stack(((cols - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(rows.shape)), axis=-1)
    along = (rays @ T_world_cam[:3, :3].T) @ np.asarray(normal, dtype=np.float64)
    with np.errstate(divide="ignore"):
        z = (offset - T_world_cam[:3, 3] @ np.asarray(normal)) / along
    return np.where((z > 0) & (z < 50), z, 0).astype(np.float32)


def room_depth(camera: Camera, T_world_cam: np.ndarray, planes: Sequence[tuple[Sequence[float], float]]) -> np.ndarray:
    """Depth (H, W) of the nearest of the planes (normal, offset) along every ray."""
    depths = np.stack([plane_depth(camera, T_world_cam, *plane) for plane in planes])
    nearest = np.where(depths > 0, depths, np.inf).min(axis=0)
    return np.where(np.isfinite(nearest), nearest, 0).astype(np.float32)
