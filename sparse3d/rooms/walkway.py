"""Where a person with a camera can walk: free floor that is connected with every door."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from sparse3d.rooms.plan import Plan

CELL = 0.05  # metres
BODY = 0.2  # metres kept from furniture and walls
LEAST_SHARE = 0.25  # of the floor's area ...
LEAST_AREA = 4.0  # ... or square metres, whichever is less


class Walkway:
    """The floor as a grid of cells, free or blocked, to which furniture is added piece by piece."""

    def __init__(self, plan: Plan) -> None:
        low, high = plan.bounds
        shape = np.ceil((high - low) / CELL).astype(int)
        self._x = low[0] + (np.arange(shape[0]) + 0.5) * CELL
        self._y = low[1] + (np.arange(shape[1]) + 0.5) * CELL
        x, y = np.meshgrid(self._x, self._y, indexing="ij")
        inner = (x > low[0] + BODY) & (x < high[0] - BODY) & (y > low[1] + BODY) & (y < high[1] - BODY)
        if plan.notch is not None:
            (x0, y0), (x1, y1) = plan.notch
            inner &= ~((x > x0 - BODY) & (x < x1 + BODY) & (y > y0 - BODY) & (y < y1 + BODY))
        self.free = inner
        self._least = min(LEAST_AREA, LEAST_SHARE * plan.area)
        walls = plan.walls
        self._doors = [self._cell(walls[door.wall].point(door.middle, 0.45)) for door in plan.of_kind("door")]

    def _cell(self, at: np.ndarray) -> tuple[int, int]:
        return int(np.abs(self._x - at[0]).argmin()), int(np.abs(self._y - at[1]).argmin())

    def block(self, boxes: np.ndarray) -> bool:
        """Block the floor under boxes (B, 8); False, and nothing is blocked, if too little connected floor is left."""
        free = self.free.copy()
        for x, y, half_x, half_y, c, s, low, _ in boxes:
            if low > 1.7:
                continue
            reach = np.hypot(half_x, half_y) + BODY
            i0, i1 = np.searchsorted(self._x, [x - reach, x + reach])
            j0, j1 = np.searchsorted(self._y, [y - reach, y + reach])
            dx, dy = self._x[i0:i1, None] - x, self._y[None, j0:j1] - y
            inside = (np.abs(c * dx + s * dy) < half_x + BODY) & (np.abs(c * dy - s * dx) < half_y + BODY)
            free[i0:i1, j0:j1] &= ~inside
        if not self._walkable(free):
            return False
        self.free = free
        return True

    def _walkable(self, free: np.ndarray) -> bool:
        labels, _ = ndimage.label(free)
        seeds = {int(labels[cell]) for cell in self._doors}
        if len(seeds) != 1 or 0 in seeds:
            return False
        return float((labels == seeds.pop()).sum()) * CELL**2 >= self._least

    def is_enough(self) -> bool:
        """Whether the doors are connected by enough free floor."""
        return self._walkable(self.free)

    def reachable(self) -> np.ndarray:
        """(X, Y) bool: cells that can be walked to from the first door."""
        labels, _ = ndimage.label(self.free)
        return labels == labels[self._doors[0]]
