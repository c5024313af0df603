"""How much boxes overlap: exact also where they are turned about z.

The common area of two rectangles in the plane is found in the frame of the second, where that one is the window
[-hx, hx] x [-hy, hy]. For a polygon that runs counter-clockwise, the area inside the window is::

    - sum over edges of the integral of (clamp(y, -hy, hy) + hy) dx,  x from clamp(x_start) to clamp(x_end)

as at each x the edges' signs add up to the length of the polygon's vertical section inside the window. This is the
polygon that Sutherland-Hodgman clipping gives (by Green's theorem), without a list of corners that grows: it is the
same arithmetic for every pair, and continuous, so edges that lie on one another need no special case.
"""

from __future__ import annotations

import numpy as np

from sparse3d.types import Boxes

_PAIRS_AT_ONCE = 1 << 16
# The corners of a rectangle counter-clockwise, in halves of its edges.
_AROUND = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=np.float64)


def box_iou(a: Boxes, b: Boxes) -> np.ndarray:
    """Common volume over united volume of every box of ``a`` with every box of ``b``: (N, M) float64 in [0, 1].

    Exact up to rounding, for turned boxes too. A box without volume, or with a number that is not finite, overlaps
    nothing, not even itself.
    """
    common = box_intersection(a, b)
    united = a.volume()[:, None] + b.volume()[None, :] - common
    return np.divide(common, united, out=np.zeros_like(common), where=(common > 0) & np.isfinite(united))


def box_intersection(a: Boxes, b: Boxes) -> np.ndarray:
    """(N, M) float64, cubic metres: the volume that every box of ``a`` shares with every box of ``b``."""
    known = _sound(a)[:, None] & _sound(b)[None, :]
    if not a.yaw.any() and not b.yaw.any():
        common = _shared_span(a, b, 0) * _shared_span(a, b, 1) * _shared_span(a, b, 2)
        return np.where(known, common, 0.0)
    height = _shared_span(a, b, 2)
    common = np.zeros((len(a), len(b)))
    rows, columns = np.nonzero(known & (height > 0) & _circles_meet(a, b))
    for start in range(0, len(rows), _PAIRS_AT_ONCE):
        i, j = rows[start : start + _PAIRS_AT_ONCE], columns[start : start + _PAIRS_AT_ONCE]
        common[i, j] = shared_areas(_flat(a)[i], _flat(b)[j]) * height[i, j]
    return common


def shared_areas(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(P,) square metres that rectangles ``a`` share with ``b``, row by row; both (P, 5): x, y, length, width, yaw."""
    half = b[:, None, 2:4] / 2
    x, y = np.moveaxis(_corners_in_frame(a, b), -1, 0)
    next_x, next_y = np.roll(x, -1, axis=1), np.roll(y, -1, axis=1)
    hx, hy = half[..., 0], half[..., 1]
    from_x, to_x = np.clip(x, -hx, hx), np.clip(next_x, -hx, hx)
    # Where an edge is cut, the share of its way; an edge along y has no width and so no part in the sum.
    width = next_x - x
    slope = np.where(width != 0, width, 1.0)
    from_y = y + np.clip((from_x - x) / slope, 0, 1) * (next_y - y)
    to_y = y + np.clip((to_x - x) / slope, 0, 1) * (next_y - y)
    area = -((to_x - from_x) * _mean_of_clamped(from_y, to_y, hy)).sum(axis=1)
    return np.clip(area, 0, np.minimum(a[:, 2] * a[:, 3], b[:, 2] * b[:, 3]))


def _mean_of_clamped(start: np.ndarray, end: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The mean of clamp(y, -half, half) + half for y that goes evenly from ``start`` to ``end``."""
    low, high = np.minimum(start, end), np.maximum(start, end)
    inside_low, inside_high = np.clip(low, -half, half), np.clip(high, -half, half)
    rise = high - low
    steady = rise <= 0
    rise = np.where(steady, 1.0, rise)
    inside = np.where(steady, 1.0, (inside_high - inside_low) / rise)
    above = np.where(steady, 0.0, np.maximum(high - np.maximum(low, half), 0) / rise)
    return inside * ((inside_low + inside_high) / 2 + half) + above * 2 * half


def _corners_in_frame(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The corners (P, 4, 2) of rectangles ``a`` in the frames of ``b``, both (P, 5), counter-clockwise."""
    away, turn = a[:, :2] - b[:, :2], a[:, 4] - b[:, 4]
    c, s = np.cos(b[:, 4]), np.sin(b[:, 4])
    middle = np.stack([c * away[:, 0] + s * away[:, 1], c * away[:, 1] - s * away[:, 0]], axis=1)
    local = _AROUND * (a[:, None, 2:4] / 2)
    c, s = np.cos(turn)[:, None], np.sin(turn)[:, None]
    turned = np.stack([c * local[..., 0] - s * local[..., 1], s * local[..., 0] + c * local[..., 1]], axis=-1)
    return turned + middle[:, None]


def _flat(boxes: Boxes) -> np.ndarray:
    """(N, 5) float64: x, y, length, width, yaw; edges below zero become zero."""
    sides = np.maximum(boxes.size[:, :2], 0)
    return np.concatenate([boxes.center[:, :2], sides, boxes.yaw[:, None]], axis=1).astype(np.float64)


def _sound(boxes: Boxes) -> np.ndarray:
    """(N,) bool: every number is finite."""
    return np.isfinite(boxes.center).all(axis=1) & np.isfinite(boxes.size).all(axis=1) & np.isfinite(boxes.yaw)


def _shared_span(a: Boxes, b: Boxes, axis: int) -> np.ndarray:
    """(N, M) float64, metres: what the boxes share along one axis, were none of them turned."""
    (low_a, high_a), (low_b, high_b) = (_span(boxes, axis) for boxes in (a, b))
    return np.maximum(np.minimum(high_a[:, None], high_b) - np.maximum(low_a[:, None], low_b), 0)


def _span(boxes: Boxes, axis: int) -> tuple[np.ndarray, np.ndarray]:
    middle = np.where(np.isfinite(boxes.center[:, axis]), boxes.center[:, axis], 0).astype(np.float64)
    size = np.where(np.isfinite(boxes.size[:, axis]), boxes.size[:, axis], 0).astype(np.float64)
    half = np.maximum(size, 0) / 2
    return middle - half, middle + half


def _circles_meet(a: Boxes, b: Boxes) -> np.ndarray:
    """(N, M) bool: whether the circles around the boxes' floors meet; only such pairs can share anything."""
    flat_a, flat_b = _flat(a), _flat(b)
    reach = np.hypot(flat_a[:, 2], flat_a[:, 3])[:, None] / 2 + np.hypot(flat_b[:, 2], flat_b[:, 3]) / 2
    with np.errstate(invalid="ignore"):  # of boxes that are not finite; they have been left out
        away = np.hypot(flat_a[:, None, 0] - flat_b[:, 0], flat_a[:, None, 1] - flat_b[:, 1])
    return away < reach
