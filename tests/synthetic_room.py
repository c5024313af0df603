"""A small room, ray-cast exactly: frames with true depth, awkward cameras and overlapping views, in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from sparse3d.types import Camera, Frame

ROOM = np.array([[-2.0, -1.5, 0.0], [2.0, 1.5, 2.4]])  # metres, around the world's origin: voxels of both signs
BOX = np.array([[-0.4, 0.5, 0.0], [0.4, 1.1, 0.9]])
CAMERA = Camera(fx=52.0, fy=48.0, cx=31.2, cy=24.6, width=64, height=48)  # not square, fx != fy, off-centre
OTHER_CAMERA = Camera(fx=44.0, fy=41.0, cx=33.5, cy=22.9, width=64, height=48)


def look_at(eye: Sequence[float], target: Sequence[float]) -> np.ndarray:
    """T_world_cam of a camera at ``eye`` that looks at ``target``, its image upright (z is up)."""
    forward = np.asarray(target, float) - np.asarray(eye, float)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    T[:3, 3] = eye
    return T


def cast(camera: Camera, T_world_cam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Depth (H, W) float32 metres and the world point (H, W, 3) float64 that every pixel sees."""
    rows, cols = np.mgrid[: camera.height, : camera.width]
    rays = np.stack([(cols - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(rows.shape)], axis=-1)
    rays = rays @ T_world_cam[:3, :3].T
    eye = T_world_cam[:3, 3]
    depth = np.maximum(*((ROOM - eye)[:, None, None] / rays)).min(axis=-1)
    sides = (BOX - eye)[:, None, None] / rays
    entry, leave = np.minimum(*sides).max(axis=-1), np.maximum(*sides).min(axis=-1)
    depth = np.where((entry > 0) & (entry < leave), np.minimum(depth, entry), depth)
    return depth.astype(np.float32), eye + rays * depth[..., None]


def paint(xyz: np.ndarray) -> np.ndarray:
    """Colours (..., 3) uint8 that belong to places of the world: patches of 25 cm, all different."""
    cell = np.floor(xyz / 0.25 + 1e-3).astype(np.int64)
    mixed = (cell[..., 0] * 73856093) ^ (cell[..., 1] * 19349663) ^ (cell[..., 2] * 83492791)
    return np.stack([(mixed >> shift) % 256 for shift in (0, 7, 14)], axis=-1).astype(np.uint8)


def room_frame(number: int = 0, count: int = 6, camera: Camera = CAMERA, holes: float = 0.0) -> Frame:
    """Frame ``number`` of a path of ``count``; a share ``holes`` of its pixels, in small patches, has no reading."""
    angle = np.deg2rad(-40 + 80 * number / max(1, count - 1))
    eye = (1.2 * np.sin(angle), -1.1 + 0.2 * np.cos(angle), 1.3)
    T_world_cam = look_at(eye, (-1.2 * np.sin(angle), 1.0, 0.7))
    depth, xyz = cast(camera, T_world_cam)
    if holes > 0:
        patches = np.random.default_rng(number).random((camera.height // 4, camera.width // 4)) < holes
        depth[patches.repeat(4, axis=0).repeat(4, axis=1)] = 0
    return Frame(f"frame-{number:06d}", camera, paint(xyz), depth, T_world_cam)


def write_room(folder: Path, frames: Sequence[Frame]) -> Path:
    """The frames as a recording in the 7-Scenes layout; depth in whole millimetres."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / "camera-intrinsics.txt", frames[0].camera.K)
    for k, frame in enumerate(frames):
        Image.fromarray(frame.color).save(folder / f"frame-{k:06d}.color.png")
        Image.fromarray(np.round(frame.depth * 1000).astype(np.uint16)).save(folder / f"frame-{k:06d}.depth.png")
        np.savetxt(folder / f"frame-{k:06d}.pose.txt", frame.T_world_cam)
    return folder
