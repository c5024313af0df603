"""What a surface needs before it can be drawn: normals, which side is its front, how far its points are apart."""

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


def faces_towards(xyz: np.ndarray, faces: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """(F,) bool: which triangles are wound to show their front to the nearest of the places ``eyes`` (E, 3)."""
    corners = np.asarray(xyz, dtype=np.float64)[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    middle = corners.mean(axis=1)
    nearest = np.asarray(eyes, dtype=np.float64)[cKDTree(eyes).query(middle)[1]]
    return (normal * (nearest - middle)).sum(axis=1) > 0


def vertex_normals(xyz: np.ndarray, faces: np.ndarray, smoothing: int = 0) -> np.ndarray:
    """(V, 3) float32 unit normals, faces weighted by their areas; zero for a vertex without a face.

    ``smoothing`` is how often each is then replaced by the mean over its triangles: the noise of a depth sensor tilts
    the small triangles of a wall by more than what one wants to see.
    """
    corners = np.asarray(xyz, dtype=np.float64)[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    for _ in range(smoothing):
        normal = _unit(_gathered(normal, faces, len(xyz)))[faces].sum(axis=1)
    return _unit(_gathered(normal, faces, len(xyz))).astype(np.float32)


def _gathered(of_face: np.ndarray, faces: np.ndarray, vertices: int) -> np.ndarray:
    """(V, 3): the sum over each vertex's faces."""
    corner = faces.reshape(-1)
    columns = [np.bincount(corner, weights=np.repeat(of_face[:, k], 3), minlength=vertices) for k in range(3)]
    return np.stack(columns, axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-20)
