"""What is done with boxes: order, suppression of doubles, points inside."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sparse3d.geometry.box_overlap import box_iou
from sparse3d.types import Boxes

_BLOCK = 32


def score_order(boxes: Boxes) -> np.ndarray:
    """(N,) int64: the rows of ``boxes`` by falling score, and by their numbers where scores are equal.

    So the order depends on the boxes and not on the rows they stand in. Without scores the numbers alone count; a
    score that is not a number comes last.
    """
    keys = [boxes.yaw, *boxes.size.T[::-1], *boxes.center.T[::-1], boxes.label]
    if boxes.score is not None:
        keys.append(-np.where(np.isnan(boxes.score), -np.inf, boxes.score))
    return np.lexsort(keys)


def nms(boxes: Boxes, iou: float = 0.25, per_class: bool = True) -> np.ndarray:
    """Non-maximum suppression: the rows (K,) int64 that stay, by falling score (see :func:`score_order`).

    A box goes when it overlaps one that stays, of higher score, by more than ``iou`` (volumes, exact for turned
    boxes); with ``per_class`` only boxes of its own label can drive it out. Raises ValueError without scores.
    """
    if boxes.score is None:
        raise ValueError("non-maximum suppression goes by the score, and these boxes have none")
    order = score_order(boxes)
    stays = np.zeros(len(boxes), dtype=bool)
    labels = np.unique(boxes.label) if per_class else [None]
    for label in labels:
        waiting = order if label is None else order[boxes.label[order] == label]
        while len(waiting):
            # Several at once: one call of the overlap costs more than the few that turn out to be doubles.
            block, waiting = waiting[:_BLOCK], waiting[_BLOCK:]
            among = box_iou(boxes.select(block), boxes.select(block)) > iou
            free = np.ones(len(block), dtype=bool)
            for k in range(len(block)):
                if free[k]:
                    free[k + 1 :] &= ~among[k, k + 1 :]
            block = block[free]
            stays[block] = True
            waiting = waiting[~(box_iou(boxes.select(block), boxes.select(waiting)) > iou).any(axis=0)]
    return order[stays[order]]


def points_in_boxes(xyz: np.ndarray, boxes: Boxes) -> np.ndarray:
    """(N, M) bool: which of the points ``xyz`` (N, 3), metres, lie in which of M ``boxes``; faces belong to a box."""
    inside = np.zeros((len(xyz), len(boxes)), dtype=bool)
    for k, (rows, found) in enumerate(_near_and_inside(xyz, boxes)):
        inside[rows, k] = found
    return inside


def count_points_in_boxes(xyz: np.ndarray, boxes: Boxes) -> np.ndarray:
    """(M,) int64: column sums of :func:`points_in_boxes`, without its table of N times M."""
    counts = [np.count_nonzero(found) for _, found in _near_and_inside(xyz, boxes)]
    return np.array(counts, dtype=np.int64)


def _near_and_inside(xyz: np.ndarray, boxes: Boxes) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each box the rows of the points near it along x, and which of these lie in it."""
    order = np.argsort(xyz[:, 0], kind="stable")
    points = xyz[order].astype(np.float64)
    center, half = boxes.center.astype(np.float64), boxes.size.astype(np.float64) / 2
    cos, sin = np.cos(boxes.yaw.astype(np.float64)), np.sin(boxes.yaw.astype(np.float64))
    reach = np.abs(cos) * half[:, 0] + np.abs(sin) * half[:, 1]
    # Points are sorted, so that each box looks only at those near it along x. A hair more, against rounding.
    first = np.searchsorted(points[:, 0], center[:, 0] - reach - 1e-6)
    last = np.searchsorted(points[:, 0], center[:, 0] + reach + 1e-6, side="right")
    for k in range(len(boxes)):
        away = points[first[k] : last[k]] - center[k]
        x, y = cos[k] * away[:, 0] + sin[k] * away[:, 1], cos[k] * away[:, 1] - sin[k] * away[:, 0]
        found = (np.abs(x) <= half[k, 0]) & (np.abs(y) <= half[k, 1]) & (np.abs(away[:, 2]) <= half[k, 2])
        yield order[first[k] : last[k]], found
