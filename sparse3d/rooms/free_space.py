"""Where a person can walk in a room: a grid over the floor, seen from above."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt, label, map_coordinates
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from sparse3d.rooms.piece import Room
from sparse3d.rooms.scene import SceneMesh

CELL = 0.05  # metres
LOW, HIGH = 0.2, 1.9  # metres: what stands between these heights is in the way
_STEP = 0.035  # metres between points on triangles; smaller than a cell, so that none is stepped over
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
    cells = np.round((solid_points(mesh, low, high)[:, :2] - corner) / CELL).astype(int)
    cells = cells[((cells >= 0) & (cells < (cols, rows))).all(axis=1)]
    open_floor[cells[:, 1], cells[:, 0]] = False
    # A surface may lie anywhere in a cell that it fills: half a cell nearer than the cell's centre.
    distance = np.maximum(distance_transform_edt(open_floor) * CELL - CELL / 2**0.5, 0.0)
    parts, count = label(distance >= clearance, structure=np.ones((3, 3)))
    if not count:
        raise ValueError(f"no free place in this {room.kind}: nowhere {clearance} m off walls and furniture")
    sizes = np.bincount(parts.ravel())
    return FreeSpace(corner, distance, parts == 1 + int(np.argmax(sizes[1:])))


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
    """Points (N, 3) all over the triangles, at most 3.5 cm apart, that lie between two heights."""
    a, b, c = np.moveaxis(mesh.vertices[mesh.faces], 1, 0)
    heights = np.stack([a[:, 2], b[:, 2], c[:, 2]])
    near = (heights.max(axis=0) >= low) & (heights.min(axis=0) <= high)
    a, b, c = a[near], b[near], c[near]
    longest = np.max([np.linalg.norm(q - p, axis=1) for p, q in ((a, b), (b, c), (c, a))], axis=0)
    steps = np.ceil(longest / _STEP).astype(int) + 1
    count = (steps + 1) ** 2
    owner = np.repeat(np.arange(len(a)), count)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    i, j = np.divmod(within, steps[owner] + 1)
    s, t = (i / steps[owner])[:, None], (j / steps[owner])[:, None]
    points = a[owner] + s * ((b - a)[owner] + t * (c - b)[owner])
    return points[(points[:, 2] >= low) & (points[:, 2] <= high)]
