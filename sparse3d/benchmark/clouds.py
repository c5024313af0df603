"""The clouds that are measured on: rooms made here, or a scan from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparse3d.data.voxelize import voxelize
from sparse3d.errors import InputError

_ROOM = np.array([6.0, 5.0, 2.8])  # metres
_BOXES = 12
_POINTS_A_VOXEL = 8  # leaves out one voxel in three thousand
_NOISE = 0.003  # metres, of a depth camera at arm's length


def room_cloud(voxels: int, seed: int = 0) -> tuple[np.ndarray, float]:
    """Surfaces of a furnished room (walls, floor, ceiling, boxes), voxelized to about ``voxels`` voxels.

    The room stays the same; the voxel size is what gives the number, as with a scan.

    Returns:
        coords (V, 3) int32 in lexicographic order, and the voxel size in metres.
    """
    points = _room_points(_POINTS_A_VOXEL * voxels, np.random.default_rng(seed))
    low, high = 1e-3, 10.0  # metres
    for _ in range(24):
        size = (low * high) ** 0.5
        coords, _ = voxelize(points, size)
        if abs(len(coords) - voxels) <= 0.002 * voxels:
            break
        low, high = (size, high) if len(coords) > voxels else (low, size)
    return coords, size


def _room_points(count: int, rng: np.random.Generator) -> np.ndarray:
    """Noisy points (N, 3), uniform by area over the walls and twelve boxes."""
    centers = [_ROOM / 2, *(rng.uniform((0.1, 0.1, 0.2), (0.9, 0.9, 0.5), (_BOXES, 3)) * _ROOM)]
    halves = [_ROOM / 2, *rng.uniform(0.2, 0.6, (_BOXES, 3))]
    area = sum(8 * (h[0] * h[1] + h[1] * h[2] + h[2] * h[0]) for h in halves)
    parts = []
    for center, half in zip(centers, halves, strict=True):
        for axis in range(3):
            share = 4 * half[axis - 1] * half[axis - 2] / area
            for side in (-1.0, 1.0):
                face = rng.uniform(-1, 1, (max(1, round(count * share)), 3))
                face[:, axis] = side
                parts.append(center + face * half)
    points = np.concatenate(parts)
    return points + rng.normal(scale=_NOISE, size=points.shape)


def scanned_cloud(path: str | Path, voxel_size: float) -> np.ndarray:
    """The occupied voxels (V, 3) int32 of a ``.ply`` file's vertices.

    Raises:
        InputError: no such file, not a readable ``.ply``, no vertices, or a voxel size that is none.
    """
    from plyfile import PlyData, PlyParseError

    if not voxel_size > 0:
        raise InputError(f"--voxel-size {voxel_size:g} is no size: give metres, for example 0.05")
    try:
        vertices = PlyData.read(str(path))["vertex"]
        points = np.stack([np.asarray(vertices[axis], dtype=np.float64) for axis in "xyz"], axis=1)
    except FileNotFoundError as error:
        raise InputError(f"--cloud {path}: there is no such file") from error
    except (OSError, PlyParseError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"--cloud {path} is no .ply file with vertices x, y, z: {reason}") from error
    if len(points) == 0:
        raise InputError(f"--cloud {path} has no vertices")
    try:
        return voxelize(points, voxel_size)[0]
    except ValueError as error:
        raise InputError(f"--cloud {path}: {error}") from error
