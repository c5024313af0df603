"""What space a piece takes: upright boxes, turned about z, and whether two of them meet.

A row of boxes is (x, y, half width, half depth, cos yaw, sin yaw, low, high): its middle, its half sides along its own
axes, its turn and its height range, in metres.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sparse3d.rooms.piece import Piece

_MOST_PARTS = 80


def solid_boxes(piece: Piece) -> np.ndarray:
    """(B, 6) float64, low and high corner, in the piece's frame: one box for each connected solid of the mesh.

    A table gives its top and its legs, so that a chair may stand between them. A piece of very many solids is one box.
    """
    _, welded = np.unique(np.round(piece.vertices, 4), axis=0, return_inverse=True)
    welded = welded.reshape(-1)
    corners = welded[piece.faces]
    rows, columns = np.concatenate([corners[:, 0], corners[:, 0]]), np.concatenate([corners[:, 1], corners[:, 2]])
    size = int(welded.max()) + 1
    count, solid = connected_components(coo_matrix((np.ones(len(rows)), (rows, columns)), (size, size)), directed=False)
    if count > _MOST_PARTS:
        return bounding_box(piece)
    solid = solid[welded]
    boxes = np.empty((count, 6))
    boxes[:, :3], boxes[:, 3:] = np.inf, -np.inf
    for axis in range(3):
        np.minimum.at(boxes[:, axis], solid, piece.vertices[:, axis])
        np.maximum.at(boxes[:, axis + 3], solid, piece.vertices[:, axis])
    return boxes[np.isfinite(boxes).all(axis=1)]


def bounding_box(piece: Piece) -> np.ndarray:
    """(1, 6) float64, low and high corner, in the piece's frame."""
    return np.concatenate(piece.bounds)[None]


def pose(local: np.ndarray, at: np.ndarray, yaw: float, z: float = 0.0) -> np.ndarray:
    """(4, 4) motion that turns by ``yaw`` and takes the point ``local`` (2,) to ``at`` (2,), and height 0 to ``z``."""
    c, s = np.cos(yaw), np.sin(yaw)
    T = np.eye(4)
    T[:2, :2] = [[c, -s], [s, c]]
    T[:2, 3] = at - T[:2, :2] @ local
    T[2, 3] = z
    return T


def boxes_at(local: np.ndarray, T: np.ndarray) -> np.ndarray:
    """(B, 8) rows of boxes for the corners ``local`` (B, 6) moved by ``T``."""
    middle, half = (local[:, :3] + local[:, 3:]) / 2, (local[:, 3:] - local[:, :3]) / 2
    middle = middle @ T[:3, :3].T + T[:3, 3]
    turn = np.broadcast_to(T[:2, 0], (len(local), 2))
    low, high = middle[:, 2] - half[:, 2], middle[:, 2] + half[:, 2]
    return np.column_stack([middle[:, :2], half[:, :2], turn, low, high])


def upright_box(low: np.ndarray, high: np.ndarray, floor: float, top: float) -> np.ndarray:
    """(1, 8) the axis-aligned box over the rectangle from ``low`` (2,) to ``high`` (2,)."""
    return boxes_at(np.array([[*low, floor, *high, top]]), np.eye(4))


def corners(boxes: np.ndarray) -> np.ndarray:
    """(B, 4, 2) the corners of the footprints, counter-clockwise."""
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    local = boxes[:, None, 2:4] * signs
    c, s = boxes[:, None, 4], boxes[:, None, 5]
    turned = np.stack([c * local[..., 0] - s * local[..., 1], s * local[..., 0] + c * local[..., 1]], axis=-1)
    return boxes[:, None, :2] + turned


def extent(boxes: np.ndarray) -> np.ndarray:
    """(6,) low and high corner of all boxes together."""
    flat = corners(boxes).reshape(-1, 2)
    return np.array([*flat.min(axis=0), boxes[:, 6].min(), *flat.max(axis=0), boxes[:, 7].max()])


def meet(a: np.ndarray, b: np.ndarray, slack: float = 0.002) -> np.ndarray:
    """(A, B) bool: which boxes overlap by more than ``slack`` metres, by separating axes."""
    between = b[None, :, :2] - a[:, None, :2]
    apart = np.maximum(a[:, None, 6], b[None, :, 6]) >= np.minimum(a[:, None, 7], b[None, :, 7]) - slack
    cosine = np.abs(a[:, None, 4] * b[None, :, 4] + a[:, None, 5] * b[None, :, 5])
    sine = np.abs(a[:, None, 4] * b[None, :, 5] - a[:, None, 5] * b[None, :, 4])
    for own, other in ((a[:, None], b[None]), (b[None], a[:, None])):
        along = np.abs(between[..., 0] * own[..., 4] + between[..., 1] * own[..., 5])
        across = np.abs(between[..., 1] * own[..., 4] - between[..., 0] * own[..., 5])
        apart |= along >= own[..., 2] + other[..., 2] * cosine + other[..., 3] * sine - slack
        apart |= across >= own[..., 3] + other[..., 2] * sine + other[..., 3] * cosine - slack
    return ~apart
