"""Points from the surfaces of meshes."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np

from sparse3d.errors import InputError

SAMPLED = 4096  # points of a mesh, where nothing else is asked for


def sample_surface(vertices: np.ndarray, triangles: np.ndarray, count: int, path: Path) -> np.ndarray:
    """Points (count, 3) float64 drawn evenly from triangles (F, 3) of vertices (V, 3).

    They are always the same of one file: its name without folder and ending is what they are drawn by.

    Raises:
        InputError: there is no surface; it names ``path``.
    """
    from trimesh import Trimesh
    from trimesh.sample import sample_surface as drawn

    triangles = np.asarray(triangles)
    if triangles.size and not 0 <= triangles.min() <= triangles.max() < len(vertices):
        wrong = triangles.min() if triangles.min() < 0 else triangles.max()
        raise InputError(f"{path}: cannot be read as a mesh (a face names vertex {wrong} of {len(vertices)})")
    if not np.isfinite(vertices).all():
        raise InputError(f"{path}: cannot be read as a mesh (its vertices are not finite)")
    mesh = Trimesh(vertices, triangles, process=False)
    if not (len(triangles) and 0 < mesh.area < np.inf):
        raise InputError(f"{path}: cannot be read as a mesh (it has no surface): fetch it again, or remove it")
    return np.asarray(drawn(mesh, count, seed=crc32(path.stem.encode()))[0])
