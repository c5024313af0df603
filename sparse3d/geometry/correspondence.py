"""True pixel correspondences between two posed depth images."""

from __future__ import annotations

import numpy as np

from sparse3d.geometry.projection import (
    agrees,
    check_size,
    depth_edges,
    has_reading,
    inside_image,
    pixels_of,
    project_points,
    unproject_pixels,
)
from sparse3d.geometry.rigid import invert_rigid, transform_points
from sparse3d.types import Camera


def match_pixels(
    depth_i: np.ndarray,
    camera_i: Camera,
    T_world_i: np.ndarray,
    depth_j: np.ndarray,
    camera_j: Camera,
    T_world_j: np.ndarray,
    *,
    abs_tol: float = 0.05,
    rel_tol: float = 0.02,
    max_return_px: float = 2.0,
    drop_edges: bool = True,
    usable: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Which pixel of view j shows the surface point of each pixel of view i: two (M, 2) int64 arrays of (row, col).

    ``depth_*`` (H, W) metres, ``T_world_*`` (4, 4) camera to world. A pixel of i with a reading is moved into view j
    and kept when it falls inside the image, in front of the camera, onto a reading D_j with
    |z - D_j| < max(abs_tol, rel_tol z) (metres), and when the pixel found, with j's own reading, goes back to within
    ``max_return_px`` pixels of where it started. ``drop_edges`` leaves out the pixels on depth edges of either view:
    flying pixels are the main source of false matches. Who matches the same views again and again may give ``usable``,
    the :func:`usable_pixels` of both, found once; ``drop_edges`` is theirs then.

    A pixel of i occurs at most once; a pixel of j may serve several pixels of i. Raises ValueError for a pose that is
    not rigid or a depth that does not fit its camera.
    """
    for depth, camera in ((depth_i, camera_i), (depth_j, camera_j)):
        check_size(depth, camera)
    if usable is None:
        usable = usable_pixels(depth_i, drop_edges), usable_pixels(depth_j, drop_edges)
    usable_i, usable_j = usable
    T_i_world, T_j_world = invert_rigid(T_world_i), invert_rigid(T_world_j)
    T_j_i, T_i_j = T_j_world @ T_world_i, T_i_world @ T_world_j
    start = pixels_of(usable_i)
    moved, z = _carry(start, depth_i, camera_i, T_j_i, camera_j)
    inside = inside_image(moved, z, camera_j)
    start, z, found = start[inside], z[inside], np.floor(moved[inside] + 0.5).astype(np.int64)
    reading = depth_j[found[:, 0], found[:, 1]]
    seen = agrees(z, reading, abs_tol, rel_tol) & usable_j[found[:, 0], found[:, 1]]
    start, found = start[seen], found[seen]
    returned, z = _carry(found, depth_j, camera_j, T_i_j, camera_i)
    # a point behind camera i returns to NaN, which fails the comparison
    mutual = ((returned - start) ** 2).sum(axis=1) <= max_return_px**2
    return start[mutual], found[mutual]


def usable_pixels(depth: np.ndarray, drop_edges: bool = True) -> np.ndarray:
    """(H, W) bool: the pixels of ``depth`` with a reading, and, where edges are dropped, off :func:`depth_edges`."""
    usable = has_reading(depth)
    return usable & ~depth_edges(depth) if drop_edges else usable


def _carry(
    pixels: np.ndarray, depth: np.ndarray, camera: Camera, T_dst_src: np.ndarray, dst_camera: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) of one view, with their depth, projected into another: pixels (N, 2) float64 and depths (N,)."""
    xyz = unproject_pixels(pixels, depth[pixels[:, 0], pixels[:, 1]], camera)
    return project_points(transform_points(T_dst_src, xyz), dst_camera)
