"""Floor plans: a rectangular or L-shaped outline, its walls, and the doors and windows in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sparse3d.rooms.piece import RoomKind

AREA_RANGES: dict[RoomKind, tuple[float, float]] = {  # m2
    "living room": (17.0, 40.0),
    "bedroom": (12.0, 26.0),
    "office": (12.0, 36.0),
    "kitchen": (12.0, 28.0),
    "bathroom": (12.0, 16.0),
    "classroom": (32.0, 50.0),
}
HEIGHT_RANGE = (2.4, 3.0)
_NARROWEST = 2.2  # metres of an L's arm
_FROM_CORNER = 0.25  # metres between a corner and an opening
_BETWEEN = 0.35  # metres of wall between two openings


@dataclass(frozen=True)
class Opening:
    """A hole in a wall: from ``start`` to ``start + width`` along it, between the heights ``low`` and ``high``."""

    kind: Literal["door", "window"]
    wall: int  # row of Plan.walls
    start: float
    width: float
    low: float
    high: float

    @property
    def middle(self) -> float:
        """Metres along the wall."""
        return self.start + self.width / 2


@dataclass(frozen=True, eq=False)
class Wall:
    """The inner side of a wall: a segment of the outline with the room on its left."""

    start: np.ndarray  # (2,) float64
    direction: np.ndarray  # (2,) unit length
    length: float

    @property
    def normal(self) -> np.ndarray:
        """(2,) unit length, into the room."""
        return np.array([-self.direction[1], self.direction[0]])

    def point(self, along: float, inward: float = 0.0) -> np.ndarray:
        """(2,) the place ``along`` metres from the wall's start and ``inward`` metres off it."""
        return self.start + self.direction * along + self.normal * inward


@dataclass(frozen=True, eq=False)
class Plan:
    """An empty room. ``outline`` (P, 2) is counter-clockwise with P = 4 or 6 and sides along x and y."""

    kind: RoomKind
    outline: np.ndarray
    height: float
    openings: tuple[Opening, ...]
    notch: tuple[np.ndarray, np.ndarray] | None = None  # the corner cut off an L: its low and high corner, (2,) each

    @property
    def walls(self) -> tuple[Wall, ...]:
        """Wall ``i`` runs from corner ``i`` to the next."""
        return _walls(self.outline)

    @property
    def area(self) -> float:
        """Square metres of floor."""
        return polygon_area(self.outline)

    def of_kind(self, kind: Literal["door", "window"]) -> tuple[Opening, ...]:
        """The doors or the windows."""
        return tuple(opening for opening in self.openings if opening.kind == kind)

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The lower and the upper corner of the outline, (2,) each."""
        return self.outline.min(axis=0), self.outline.max(axis=0)

    def rectangles(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The floor as one or two rectangles (low and high corner) that do not overlap."""
        low, high = self.bounds
        if self.notch is None:
            return [(low, high)]
        cut_low, cut_high = self.notch
        at_left = bool(cut_low[0] <= low[0])
        beside = (np.array([cut_high[0], low[1]]), high) if at_left else (low, np.array([cut_low[0], high[1]]))
        if cut_low[1] <= low[1]:
            return [beside, (np.array([cut_low[0], cut_high[1]]), np.array([cut_high[0], high[1]]))]
        return [beside, (np.array([cut_low[0], low[1]]), np.array([cut_high[0], cut_low[1]]))]


def polygon_area(outline: np.ndarray) -> float:
    """Signed area of a polygon (P, 2), positive if counter-clockwise (the shoelace formula)."""
    x, y = outline.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def draw_plan(rng: np.random.Generator, kind: RoomKind) -> Plan:
    """A new empty room of ``kind``, of an area within :data:`AREA_RANGES`, with a door and a window at least."""
    while True:
        plan = _draw(rng, kind)
        if plan.of_kind("door") and plan.of_kind("window"):  # all but a few
            return plan


def _draw(rng: np.random.Generator, kind: RoomKind) -> Plan:
    outline, notch = _draw_outline(rng, kind)
    height = float(rng.uniform(*HEIGHT_RANGE))
    walls = _walls(outline)
    openings: list[Opening] = []
    for number in range(1 + int(rng.random() < (0.5 if kind == "living room" else 0.25))):
        _add_opening(openings, walls, _draw_door(rng, height), rng, tries=40 if number == 0 else 8)
    with_door = {opening.wall for opening in openings}
    lighted = [i for i in rng.permutation(len(walls)).tolist() if i not in with_door or rng.random() < 0.3]
    for wall in lighted[: _window_walls(rng, kind, len(walls))]:
        for _ in range(1 + int(walls[wall].length > 3.5 and rng.random() < 0.5)):
            _add_opening(openings, walls, _draw_window(rng, kind, height), rng, only=wall)
    return Plan(kind, outline, height, tuple(openings), notch)


def _walls(outline: np.ndarray) -> tuple[Wall, ...]:
    sides = np.roll(outline, -1, axis=0) - outline
    lengths = np.linalg.norm(sides, axis=1)
    return tuple(
        Wall(start, side / length, float(length))
        for start, side, length in zip(outline, sides, lengths, strict=True)
    )  # fmt: skip


def _draw_outline(rng: np.random.Generator, kind: RoomKind) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
    low, high = AREA_RANGES[kind]
    area = rng.uniform(low, high)
    origin = rng.uniform(-0.5, 0.5, 2)
    if area > 15 and rng.random() < 0.3:
        share = rng.uniform(0.3, 0.5, 2)  # of the sides, cut off
        width = np.sqrt(area / (1 - share.prod()) * rng.uniform(0.85, 1.3))
        size = np.array([width, area / (1 - share.prod()) / width])
        if np.all(size * (1 - share) >= _NARROWEST):
            return _l_shape(origin, size, size * share, int(rng.integers(4)))
    aspect = rng.uniform(1.0, 1.35 if kind in ("bathroom", "classroom") else 1.6)
    size = np.sqrt(area * np.array([aspect, 1 / aspect]))
    if rng.random() < 0.5:
        size = size[::-1]
    return origin + size * np.array([[0, 0], [1, 0], [1, 1], [0, 1]]), None


def _l_shape(
    origin: np.ndarray, size: np.ndarray, cut: np.ndarray, corner: int
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """An L whose missing rectangle of size ``cut`` lies at one of four corners."""
    shape = np.array([[0, 0], [size[0], 0], [size[0], size[1] - cut[1]], size - cut, [size[0] - cut[0], size[1]], [0, size[1]]])  # fmt: skip  # noqa: E501
    notch = np.array([size - cut, size])
    if corner in (1, 2):
        shape[:, 0], notch[:, 0] = size[0] - shape[:, 0], size[0] - notch[:, 0]
    if corner in (2, 3):
        shape[:, 1], notch[:, 1] = size[1] - shape[:, 1], size[1] - notch[:, 1]
    if corner in (1, 3):  # mirrored once: counter-clockwise again
        shape = shape[::-1].copy()
    return origin + shape, (origin + notch.min(axis=0), origin + notch.max(axis=0))


def _draw_door(rng: np.random.Generator, height: float) -> tuple[Literal["door"], float, float, float]:
    return "door", float(rng.uniform(0.8, 0.95)), 0.0, float(min(rng.uniform(1.98, 2.12), height - 0.2))


def _draw_window(
    rng: np.random.Generator, kind: RoomKind, height: float
) -> tuple[Literal["window"], float, float, float]:
    width = rng.uniform(0.5, 0.9) if kind == "bathroom" else rng.uniform(0.8, 1.9)
    sill = rng.uniform(1.1, 1.4) if kind in ("bathroom", "kitchen") else rng.uniform(0.75, 1.05)
    if kind in ("living room", "bedroom") and rng.random() < 0.2:
        sill = rng.uniform(0.1, 0.45)
    return "window", float(width), float(sill), float(min(sill + rng.uniform(0.9, 1.5), height - 0.2))


def _window_walls(rng: np.random.Generator, kind: RoomKind, walls: int) -> int:
    most = 1 if kind == "bathroom" else min(3 if kind == "classroom" else 2, walls - 2)
    return int(rng.integers(1, most + 1))


def _add_opening(
    openings: list[Opening],
    walls: tuple[Wall, ...],
    shape: tuple[Literal["door", "window"], float, float, float],
    rng: np.random.Generator,
    only: int | None = None,
    tries: int = 12,
) -> None:
    """Append an opening of ``shape`` (kind, width, low, high) where it keeps off corners and other openings."""
    kind, width, low, high = shape
    for _ in range(tries):
        wall = int(rng.integers(len(walls))) if only is None else only
        room = walls[wall].length - width - 2 * _FROM_CORNER
        if room < 0:
            continue
        # Doors mostly stand near a corner, which leaves the longer stretch of wall for furniture.
        near = kind == "door" and rng.random() < 0.7
        along = _FROM_CORNER + room * (rng.choice([0.0, 1.0]) if near else rng.random())
        if all(
            other.wall != wall or along > other.start + other.width + _BETWEEN or along + width + _BETWEEN < other.start
            for other in openings
        ):
            openings.append(Opening(kind, wall, float(along), width, low, high))
            return
