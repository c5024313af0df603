"""Whether depth, poses and intrinsics of a recording agree: depth of one frame carried into another one."""

from __future__ import annotations

import numpy as np

from sparse3d.data.readers import FrameSource
from sparse3d.geometry import invert_rigid, transform_points, unproject_depth

SAME_SURFACE = 0.05  # relative: a larger difference is another surface in front or behind, not an error of depth
PAIRS = 12  # of overlapping frames a scene


def reprojection_residuals(source: FrameSource, pairs: np.ndarray) -> np.ndarray:
    """|z - depth| / depth of the points of frames i that fall on readings of frames j, for ``pairs`` (P, 2).

    A reading is interpolated between the four pixels around a point, along the inverse of depth, in which planes are
    linear; a point is left out where these four are not of one surface.
    """
    found = []
    for i, j in pairs[np.linspace(0, len(pairs) - 1, min(PAIRS, len(pairs))).astype(int)] if len(pairs) else pairs:
        xyz = transform_points(source.pose(int(i)), unproject_depth(source.depth(int(i)), source.camera(int(i)))[0])
        found.append(_residual(xyz[::7], source, int(j)))
    return np.concatenate(found) if found else np.zeros(0)


def _residual(xyz: np.ndarray, source: FrameSource, j: int) -> np.ndarray:
    camera, depth = source.camera(j), source.depth(j).astype(np.float64)
    x, y, z = transform_points(invert_rigid(source.pose(j)), xyz).T
    front = z > 0.1
    x, y, z = x[front], y[front], z[front]
    col, row = x / z * camera.fx + camera.cx, y / z * camera.fy + camera.cy
    inside = (col >= 0) & (row >= 0) & (col < camera.width - 1) & (row < camera.height - 1)
    col, row, z = col[inside], row[inside], z[inside]
    c, r = col.astype(np.int64), row.astype(np.int64)
    around = np.stack([depth[r, c], depth[r, c + 1], depth[r + 1, c], depth[r + 1, c + 1]])
    flat = (around.min(axis=0) > 0) & (around.max(axis=0) < around.min(axis=0) * 1.02)
    around, u, v, z = around[:, flat], (col - c)[flat], (row - r)[flat], z[flat]
    weights = np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v])
    reading = 1 / (weights / around).sum(axis=0)
    residual = np.abs(z - reading) / reading
    return residual[residual < SAME_SURFACE]
