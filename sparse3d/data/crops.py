"""Pieces of scenes that hold at most so many points."""

from __future__ import annotations

import numpy as np

SHAPES = ("column", "sphere")


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
    distance = np.square(xyz[:, :axes] - center[:axes]).sum(axis=1)
    return np.sort(np.argpartition(distance, points - 1)[:points])
