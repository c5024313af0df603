"""Pieces of scenes that hold at most so many points."""

from __future__ import annotations

import numpy as np

from sparse3d.types import IGNORE

SHAPES = ("column", "sphere")
CENTERS = ("points", "classes")


def crop_center(xyz: np.ndarray, semantic: np.ndarray, rng: np.random.Generator, centers: str = "points") -> np.ndarray:
    """Where a piece is cut out, (3,): a point of the scene.

    Args:
        xyz: (N, 3) metres, at least one.
        semantic: (N,) classes, IGNORE for none.
        centers: ``points`` draws from all points, so small things are seldom in the middle; ``classes`` draws one of
            the scene's classes first, then a point of it. A scene without labels is cut around any point.
    """
    if centers == "classes":
        there = np.flatnonzero(np.bincount(semantic[semantic != IGNORE]))
        if len(there):
            rows = np.flatnonzero(semantic == there[rng.integers(len(there))])
            return xyz[rows[rng.integers(len(rows))]]
    return xyz[rng.integers(len(xyz))]


def crop_rows(xyz: np.ndarray, center: np.ndarray, points: int, shape: str = "column") -> np.ndarray:
    """The ``points`` points nearest to ``center``, as rising rows (M,) int64; all where there are no more.

    Args:
        xyz: (N, 3) metres.
        center: (3,) metres.
        points: the most rows.
        shape: ``column`` measures the distance in the plane of the floor, so floor and ceiling stay
            together; ``sphere`` in space.
    """
    if len(xyz) <= points:
        return np.arange(len(xyz))
    axes = 2 if shape == "column" else 3
    # Axis by axis: a sum over rows of two or three numbers costs several times as much.
    distance = np.square(xyz[:, 0] - center[0])
    for axis in range(1, axes):
        distance += np.square(xyz[:, axis] - center[axis])
    near = np.zeros(len(xyz), dtype=bool)  # marked rather than sorted, which takes as long as finding them
    near[np.argpartition(distance, points - 1)[:points]] = True
    return np.flatnonzero(near)
