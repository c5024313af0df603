"""Where a person can walk in a room: a grid over the floor, seen from above."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt, label, map_coordinates
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from sparse3d.rooms.piece import Room
from sparse3d.rooms.scene import SceneMesh

CELL = 0.05  # metres
LOW, HIGH = 0.2, 1.9  # metres: what stands between these heights is in the way
_STEP = 0.04  # metres between points on triangles; smaller than a cell, so that none is stepped over
# The eight neighbours, one of each opposite pair.
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


@dataclass(frozen=True, eq=False)
class FreeSpace:
    """Cells (rows along y, columns along x) where a person fits, all connected with one another."""

    corner: np.ndarray  # (2,) metres, x and y of the centre of cell (0, 0)
    distance: np.ndarray  # (R, C) metres to what is nearest in the way, or to the walls; 0 outside
    free: np.ndarray  # (R, C) bool

    @property
    def area(self) -> float:
        """Square metres."""
        return float(self.free.sum()) * CELL**2

    @cached_property
    def cells(self) -> np.ndarray:
        """(N, 2) row and column of the free cells."""
        return np.argwhere(self.free)

    def place(self, cells: np.ndarray) -> np.ndarray:
        """Centres (N, 2), metres x and y, of ``cells`` (N, 2)."""
        return self.corner + cells[:, ::-1] * CELL

    def clearance(self, xy: np.ndarray) -> np.ndarray:
        """Metres (N,) between the points (N, 2) and what is in the way, interpolated between cells."""
        rows_cols = ((np.asarray(xy) - self.corner) / CELL)[:, ::-1].T
        return map_coordinates(self.distance, rows_cols, order=1, mode="constant", cval=0.0)

    @cached_property
    def _graph(self) -> coo_matrix:
        number = np.full(self.free.shape, -1)
        number[self.free] = np.arange(len(self.cells))
        rows, cols, costs = [], [], []
        price = 1 + 0.15 / np.maximum(self.distance, CELL)  # the middle of a passage is cheaper than its sides
        for dr, dc in _NEIGHBOURS:
            here = self.cells
            there = here + (dr, dc)
            inside = ((there >= 0) & (there < self.free.shape)).all(axis=1)
            here, there = here[inside], there[inside]
            both = self.free[tuple(there.T)]
            here, there = here[both], there[both]
            rows.append(number[tuple(here.T)])
            cols.append(number[tuple(there.T)])
            costs.append(np.hypot(dr, dc) * (price[tuple(here.T)] + price[tuple(there.T)]) / 2)
        size = len(self.cells)
        return coo_matrix((np.concatenate(costs), (np.concatenate(rows), np.concatenate(cols))), (size, size)).tocsr()

    def ways_from(self, cell: int) -> tuple[np.ndarray, np.ndarray]:
        """Cost (N,) of the way from row ``cell`` of :attr:`cells` to every cell, and each one's predecessor (N,)."""
        return dijkstra(self._graph, directed=False, indices=cell, return_predecessors=True)


def free_space(room: Room, mesh: SceneMesh, clearance: float, low: float = LOW, high: float = HIGH) -> FreeSpace:
    """The largest connected part of the floor that keeps ``clearance`` metres to walls and furniture.

    Args:
        mesh: of the room, in its frame.
        low, high: what lies between these heights, metres, is in the way.

    Raises:
        ValueError: there is none.
    """
    corner = room.outline.min(axis=0) - CELL
    cols, rows = (np.ceil((room.outline.max(axis=0) - corner) / CELL).astype(int) + 2).tolist()
    y, x = np.mgrid[:rows, :cols] * CELL
    centers = np.stack([x.ravel(), y.ravel()], axis=1) + corner
    open_floor = inside_outline(room.outline, centers).reshape(rows, cols)
    cells = np.round((solid_points(_reaching_in(mesh, room), low, high)[:, :2] - corner) / CELL).astype(int)
    cells = cells[((cells >= 0) & (cells < (cols, rows))).all(axis=1)]
    open_floor[cells[:, 1], cells[:, 0]] = False
    # A surface may lie anywhere in a cell that it fills: half a cell nearer than the cell's centre.
    distance = np.maximum(distance_transform_edt(open_floor) * CELL - CELL / 2**0.5, 0.0)
    parts, count = label(distance >= clearance, structure=np.ones((3, 3)))
    if not count:
        raise ValueError(f"no free place in this {room.kind}: nowhere {clearance} m off walls and furniture")
    sizes = np.bincount(parts.ravel())
    return FreeSpace(corner, distance, parts == 1 + int(np.argmax(sizes[1:])))


def _reaching_in(mesh: SceneMesh, room: Room) -> SceneMesh:
    """The mesh without the triangles that lie beyond the outline's bounds: walls are outside, and large."""
    corners = mesh.vertices[mesh.faces][:, :, :2]
    low, high = room.outline.min(axis=0), room.outline.max(axis=0)
    inside = (corners.max(axis=1) > low).all(axis=1) & (corners.min(axis=1) < high).all(axis=1)
    return replace(mesh, faces=mesh.faces[inside])


def inside_outline(outline: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Whether points (N, 2) lie within a polygon (P, 2), by the count of edges crossed towards +x; (N,) bool."""
    inside = np.zeros(len(xy), dtype=bool)
    for (ax, ay), (bx, by) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if ay == by:
            continue
        crosses = (ay > xy[:, 1]) != (by > xy[:, 1])
        inside ^= crosses & (xy[:, 0] < ax + (xy[:, 1] - ay) / (by - ay) * (bx - ax))
    return inside


def solid_points(mesh: SceneMesh, low: float, high: float) -> np.ndarray:
    """Points (N, 3) all over the triangles, at most 4 cm apart, that lie between two heights."""
    corners = mesh.vertices[mesh.faces]
    heights = corners[:, :, 2]
    corners = corners[(heights.max(axis=1) >= low) & (heights.min(axis=1) <= high)]
    # From the corner opposite the shortest edge, so that a thin triangle takes few points.
    opposite = np.linalg.norm(corners[:, [2, 0, 1]] - corners[:, [1, 2, 0]], axis=2)
    turn = (opposite.argmin(axis=1)[:, None] + np.arange(3)) % 3
    a, b, c = np.moveaxis(np.take_along_axis(corners, turn[:, :, None], axis=1), 1, 0)
    out = np.ceil(opposite.max(axis=1) / _STEP).astype(int) + 1
    across = np.ceil(opposite.min(axis=1) / _STEP).astype(int) + 1
    count = (out + 1) * (across + 1)
    owner = np.repeat(np.arange(len(a)), count)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    i, j = np.divmod(within, across[owner] + 1)
    s, t = i / out[owner], j / across[owner]
    z = _between(a[:, 2], b[:, 2], c[:, 2], owner, s, t)
    kept = np.flatnonzero((z >= low) & (z <= high))
    owner, s, t = owner[kept], s[kept], t[kept]
    x, y = (_between(a[:, k], b[:, k], c[:, k], owner, s, t) for k in (0, 1))
    return np.stack([x, y, z[kept]], axis=1)


def _between(a: np.ndarray, b: np.ndarray, c: np.ndarray, owner: np.ndarray, s: np.ndarray,
             t: np.ndarray) -> np.ndarray:  # fmt: skip
    """One coordinate (N,) of points a share ``s`` of the way from ``a`` to the place ``t`` between ``b`` and ``c``."""
    return a[owner] + s * ((b - a)[owner] + t * (c - b)[owner])
