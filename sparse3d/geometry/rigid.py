"""Rigid motions as 4x4 matrices, named ``T_destination_source``."""

from __future__ import annotations

import numpy as np


def is_rigid(T: np.ndarray, tol: float = 1e-2) -> bool:
    """Whether ``T`` (4, 4) is a finite rigid motion: R^T R = I and det R = +1 within ``tol``, last row 0 0 0 1.

    Trackers mark a lost pose with zeros, NaN or -inf; all of them, and mirrorings, are False here.
    """
    T = np.asarray(T, dtype=np.float64)
    if T.shape != (4, 4) or not np.isfinite(T).all():
        return False
    R = T[:3, :3]
    orthonormal = np.abs(R.T @ R - np.eye(3)).max() <= tol
    return bool(orthonormal and np.linalg.det(R) > 0 and np.abs(T[3] - (0, 0, 0, 1)).max() <= tol)


def invert_rigid(T: np.ndarray) -> np.ndarray:
    """The inverse motion (4, 4) float64 of ``T`` (4, 4); raises ValueError unless :func:`is_rigid`.

    The rotation is inverted rather than transposed: recorded poses are orthonormal to a few digits only, and going
    there and back must end where it began.
    """
    T = np.asarray(T, dtype=np.float64)
    if not is_rigid(T):
        raise ValueError(f"not a rigid motion, cannot be inverted: {T.tolist()}")
    inverse = np.eye(4)
    inverse[:3, :3] = np.linalg.inv(T[:3, :3])
    inverse[:3, 3] = -inverse[:3, :3] @ T[:3, 3]
    return inverse


def transform_points(T: np.ndarray, xyz: np.ndarray) -> np.ndarray:
    """``xyz`` (N, 3) moved by ``T`` (4, 4), in the dtype of ``xyz``; computed in float64."""
    T = np.asarray(T, dtype=np.float64)
    moved = xyz.astype(np.float64, copy=False) @ T[:3, :3].T
    moved += T[:3, 3]
    return moved.astype(xyz.dtype, copy=False)


def rotation_about_z(angle: float) -> np.ndarray:
    """The motion (4, 4) float64 that turns by ``angle`` radians about +z, x towards y."""
    c, s = np.cos(angle), np.sin(angle)
    T = np.eye(4)
    T[:2, :2] = ((c, -s), (s, c))
    return T


def rotation_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The smallest rotation (3, 3) float64 that takes the direction ``a`` (3,) to the direction ``b`` (3,).

    Two half turns, the first about ``a``, the second about the bisector of ``a`` and ``b``: together twice the angle
    between the axes, about their common normal. Opposite directions have no bisector; any normal to ``a`` then serves.
    Raises ValueError when a direction is zero or not finite.
    """
    a, b = _unit(a), _unit(b)
    bisector = a + b
    if np.linalg.norm(bisector) < 1e-7:
        bisector = np.cross(a, np.eye(3)[np.argmin(np.abs(a))])
    m = _unit(bisector)
    return (2 * np.outer(m, m) - np.eye(3)) @ (2 * np.outer(a, a) - np.eye(3))


def rotation_from_quaternion(qx: float, qy: float, qz: float, qw: float) -> np.ndarray:
    """The rotation (3, 3) float64 of a quaternion of any length, scalar last.

    Raises ValueError when it is zero or not finite.
    """
    q = np.array((qx, qy, qz, qw), dtype=np.float64)
    length = np.linalg.norm(q)
    if not np.isfinite(length) or length < 1e-12:
        raise ValueError(f"a rotation needs a finite, non-zero quaternion, got {q.tolist()}")
    x, y, z, w = q / length
    return np.array(
        (
            (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
            (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
            (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
        )
    )


def _unit(v: np.ndarray) -> np.ndarray:
    v = np.asarray(v, dtype=np.float64)
    length = np.linalg.norm(v)
    if v.shape != (3,) or not np.isfinite(length) or length == 0:
        raise ValueError(f"a direction needs three finite numbers, not all zero, got {v.tolist()}")
    return v / length
