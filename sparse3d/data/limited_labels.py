"""Learning from few labels: which points of a scene keep theirs."""

from __future__ import annotations

import numpy as np

from sparse3d.data.scannet.split_lists import limited_points
from sparse3d.types import IGNORE


def keep_labelled_points(scene_name: str, semantic: np.ndarray, points: int, seed: int = 0) -> np.ndarray:
    """The labels (N,) int64 of ``points`` vertices of a scene, :data:`IGNORE` for all others.

    The points are those of :func:`~sparse3d.data.scannet.split_lists.limited_points`: the first 20 of 50 are the 20.
    They are drawn among all vertices, as an annotator would who does not know the labels yet; one without
    a label has none to give.
    """
    kept = limited_points(scene_name, len(semantic), points, seed)
    limited = np.full(len(semantic), IGNORE, dtype=np.int64)
    limited[kept] = semantic[kept]
    return limited
