"""What a surface needs before it can be drawn as points: normals, points enough, their distance."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree


def point_spacing(xyz: np.ndarray, looked_at: int = 2000) -> float:
    """The usual distance of neighbours in metres: the median over some of the points, evenly picked; 0 below two."""
    if len(xyz) < 2:
        return 0.0
    some = xyz[np.linspace(0, len(xyz) - 1, min(looked_at, len(xyz))).astype(np.int64)]
    distance, _ = cKDTree(xyz).query(some, k=min(5, len(xyz)))  # the second may be the same place scanned twice
    return float(np.median(distance[:, -1]))


def point_normals(xyz: np.ndarray, towards: np.ndarray, neighbours: int = 12) -> np.ndarray:
    """(N, 3) float32 unit normals of ``xyz`` (N, 3), turned to the side of the place ``towards`` (3,).

    The direction in which the ``neighbours`` nearest points vary least; zero for all where there are fewer points.
    """
    if len(xyz) < neighbours:
        return np.zeros((len(xyz), 3), dtype=np.float32)
    tree = cKDTree(xyz)
    normals = np.empty((len(xyz), 3), dtype=np.float32)
    for start in range(0, len(xyz), 1 << 15):  # by blocks: neighbours take twelve times the memory of the points
        part = slice(start, start + (1 << 15))
        near = xyz[tree.query(xyz[part], k=neighbours)[1]].astype(np.float64)
        near -= near.mean(axis=1, keepdims=True)
        normals[part] = np.linalg.eigh(np.einsum("nki,nkj->nij", near, near))[1][:, :, 0]
    away = (normals * (np.asarray(towards, dtype=np.float32) - xyz)).sum(axis=1) < 0
    normals[away] *= -1
    return normals


def sampled_faces(xyz: np.ndarray, faces: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Points on the triangles that are too large for vertices alone to cover them.

    A triangle whose longest edge is over twice the ``spacing`` (metres) is filled with a lattice of that spacing, of 60
    points along an edge at most.

    Returns:
        (M, 3) float32 points, and for each the vertex that it lies nearest to, (M,) int64.
    """
    corners = np.asarray(xyz, dtype=np.float64)[faces]
    edge = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1) if len(faces) else np.zeros(0)
    count = np.minimum(np.ceil(edge / spacing), 60).astype(np.int64)
    count[edge <= 2 * spacing] = 0
    points, nearest = [np.zeros((0, 3), np.float32)], [np.zeros(0, np.int64)]
    for n in np.unique(count[count > 0]).tolist():
        i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
        kept = i + j <= n
        weights = np.stack([n - i[kept] - j[kept], i[kept], j[kept]], axis=1) / n
        mine = np.flatnonzero(count == n)
        points.append(np.einsum("wk,fkc->fwc", weights, corners[mine]).reshape(-1, 3).astype(np.float32))
        nearest.append(np.asarray(faces, dtype=np.int64)[mine][:, weights.argmax(axis=1)].reshape(-1))
    return np.concatenate(points), np.concatenate(nearest)


def vertex_normals(xyz: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) float32 unit normals, faces weighted by their areas; zero for a vertex without a face."""
    corners = np.asarray(xyz, dtype=np.float64)[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack(
        [np.bincount(faces.reshape(-1), weights=np.repeat(normal[:, k], 3), minlength=len(xyz)) for k in range(3)],
        axis=1,
    )
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20)).astype(np.float32)
