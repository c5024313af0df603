"""Which way is up, from the poses and the horizontal surfaces of a sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparse3d.geometry.projection import surface_normals
from sparse3d.geometry.resize import resize_depth
from sparse3d.geometry.rigid import rotation_between
from sparse3d.types import Camera

_CONE_DEG = 40.0  # how far the cameras' mean up may be off
_MODE_DEG = 5.0  # normals of one plane lie this close together
_MIN_NORMALS = 200
_MAX_NORMALS = 20_000
_CANDIDATES = 400


def estimate_up(depths: Sequence[np.ndarray], cameras: Sequence[Camera], poses: Sequence[np.ndarray]) -> np.ndarray:
    """The up direction (3,) float64, unit length, in the world frame of ``poses`` (each (4, 4) camera to world).

    People hold cameras upright, so the mean of the images' up directions is a start. Floors, tables and ceilings are
    the commonest near-horizontal surfaces, so the direction that most normals within 40 degrees of the start share (up
    or down) is then taken, and averaged. With fewer than 200 such normals the start stands. Deterministic. Raises
    ValueError without frames, or when the cameras' up directions cancel out.
    """
    if not len(depths) == len(cameras) == len(poses) or not len(poses):
        raise ValueError(f"need as many depths, cameras and poses, got {len(depths)}, {len(cameras)}, {len(poses)}")
    # the image's up is against the y axis, unless fy < 0 lets y itself point up
    start = np.sum([-np.sign(c.fy) * np.asarray(T)[:3, 1] for c, T in zip(cameras, poses, strict=True)], axis=0)
    if np.linalg.norm(start) < 1e-6 * len(poses):
        raise ValueError("the cameras' up directions cancel out; give the up direction instead")
    start = start / np.linalg.norm(start)
    normals = [_world_normals(d, c, T) for d, c, T in zip(depths, cameras, poses, strict=True)]
    return _refine(start, np.concatenate(normals))


def up_to_z(up: np.ndarray) -> np.ndarray:
    """``T_zup_world`` (4, 4) float64: the smallest rotation that takes the direction ``up`` (3,) to +z."""
    T = np.eye(4)
    T[:3, :3] = rotation_between(up, np.array((0.0, 0.0, 1.0)))
    return T


def _world_normals(depth: np.ndarray, camera: Camera, T_world_cam: np.ndarray) -> np.ndarray:
    """Normals (N, 3) float64 of one frame, of a shrunken image: averaging blocks tames the sensor's noise."""
    factor = max(1, min(camera.height // 120, camera.width // 160))
    while camera.height % factor or camera.width % factor:
        factor -= 1
    height, width = camera.height // factor, camera.width // factor
    normals = surface_normals(resize_depth(depth, height, width), camera.scaled(width, height))
    normals = normals[normals.any(axis=-1)].astype(np.float64)
    return normals @ np.asarray(T_world_cam, dtype=np.float64)[:3, :3].T


def _refine(start: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """The direction most normals (N, 3), taken up or down, share within the cone about ``start`` (3,)."""
    cosine = normals @ start
    near = np.abs(cosine) > np.cos(np.radians(_CONE_DEG))
    normals = normals[near] * np.sign(cosine[near])[:, None]
    if len(normals) < _MIN_NORMALS:
        return start
    normals = normals[:: -(-len(normals) // _MAX_NORMALS)]
    candidates = normals[:: -(-len(normals) // _CANDIDATES)]
    within = np.cos(np.radians(_MODE_DEG))
    up = candidates[np.argmax((candidates @ normals.T > within).sum(axis=1))]
    for _ in range(10):
        mean = normals[normals @ up > within].mean(axis=0)
        up = mean / np.linalg.norm(mean)
    return up
