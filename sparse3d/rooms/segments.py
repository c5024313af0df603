"""Over-segmentation of a scan: small connected patches that face one way, each within one instance.

ScanNet's segments come from a graph cut on normals; annotators then gave whole segments to objects. What readers
rely on is only that every vertex has a segment and every segment belongs to one object at most, and that holds here.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

PATCH = 0.4  # metres


def segment(
    xyz: np.ndarray, normals: np.ndarray, faces: np.ndarray, instance: np.ndarray, patch: float = PATCH
) -> np.ndarray:
    """Segment ids (V,) int64 for vertices (V, 3) with unit normals (V, 3), triangles (F, 3) and instances (V,).

    A segment is connected along edges, within one instance, one cell of a grid of ``patch`` metres, and one of the six
    directions that a normal is nearest to. Its id is its lowest vertex: as in ScanNet, ids have gaps.
    """
    axis = np.argmax(np.abs(normals), axis=1)
    facing = 2 * axis + (np.take_along_axis(normals, axis[:, None], axis=1)[:, 0] < 0)
    cells = np.floor(np.asarray(xyz, dtype=np.float64) / patch).astype(np.int64)
    key = np.column_stack([instance, facing, cells])
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    a, b = edges[(key[edges[:, 0]] == key[edges[:, 1]]).all(axis=1)].T
    graph = coo_matrix((np.ones(len(a), dtype=np.int8), (a, b)), shape=(len(xyz), len(xyz)))
    count, component = connected_components(graph, directed=False)
    lowest = np.full(count, len(xyz), dtype=np.int64)
    np.minimum.at(lowest, component, np.arange(len(xyz)))
    return lowest[component]
