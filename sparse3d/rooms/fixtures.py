"""Rules for what does not stand on the floor: doors and windows, things on walls, on tables, on the ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparse3d.rooms.arranger import Arranger, Candidate, Item
from sparse3d.rooms.footprint import boxes_at, pose
from sparse3d.rooms.furniture.mounting import MOUNT_HEIGHT
from sparse3d.rooms.piece import Support
from sparse3d.rooms.plan import Opening
from sparse3d.rooms.shell import WALL_THICKNESS

# Heights of lowest points, metres, drawn between the two; MOUNT_HEIGHT goes before them.
_HEIGHTS: dict[str, tuple[float, float]] = {
    "picture": (1.2, 1.55),
    "mirror": (1.1, 1.25),
    "whiteboard": (0.85, 1.0),
    "blackboard": (0.8, 0.95),
    "clock": (1.8, 2.1),
    "shelf": (1.35, 1.6),
    "wall_cabinet": (1.38, 1.5),
    "towel": (0.8, 1.1),
    "toilet_paper": (0.6, 0.75),
    "tv": (0.9, 1.2),
    "radiator": (0.08, 0.14),
}
_OFF_WALL = 0.002  # metres between a hung thing and the wall
_EDGE = 0.01  # metres that things on a support keep from its edge


def fit_openings(room: Arranger) -> None:
    """Doors and windows into their holes, then curtains or blinds and radiators at some of the windows."""
    for opening in room.plan.openings:
        _fit(room, opening)
    bare = 0.45 if room.plan.kind in ("bathroom", "kitchen") else 0.12
    role = "curtain" if room.rng.random() < 0.75 else "blinds"
    for window in room.plan.of_kind("window"):
        if room.rng.random() > bare:
            _dress(room, window, role)
        if window.low > 0.7 and room.rng.random() < 0.45:
            radiator = room.make("radiator")
            _hang_at(room, radiator, window.wall, window.middle, float(room.rng.uniform(*_HEIGHTS["radiator"])))


def _fit(room: Arranger, opening: Opening) -> None:
    """The piece stands in the wall's thickness, its back at the outer side."""
    candidate = room.make(opening.kind, width=opening.width, height=opening.high - opening.low)
    wall = room.walls[opening.wall]
    yaw = float(np.arctan2(wall.direction[1], wall.direction[0]) + np.pi)
    back = np.array([(candidate.local[0] + candidate.local[3]) / 2, candidate.local[4]])
    T = pose(back, wall.point(opening.middle, -WALL_THICKNESS), yaw, opening.low - float(candidate.local[2]))
    boxes = boxes_at(candidate.solids, T)
    room.add(
        Item(opening.kind, candidate.pieces, T, boxes, candidate.local, "opening", None, opening.wall, opening.middle)
    )


def _dress(room: Arranger, window: Opening, role: str) -> None:
    """Curtains (to the floor or to below the sill) or blinds before a window, if there is place at its sides."""
    above = float(min(room.rng.uniform(0.08, 0.2), room.plan.height - window.high - 0.02))
    below = window.low - 0.03 if room.rng.random() < 0.4 else float(room.rng.uniform(0.05, 0.2))
    beyond = float(room.rng.uniform(0.15, 0.3)) if role == "curtain" else 0.03
    for side in (beyond, 0.1, 0.02):
        height = window.high - window.low + above + (below if role == "curtain" else 0.02)
        candidate = room.make(role, width=window.width + 2 * side, height=height)
        z = window.high + above - float(candidate.size[2])
        T = room.wall_pose(candidate, window.wall, window.middle, _OFF_WALL, max(z, 0.012))
        if room.put(candidate, T, "wall", openings=False, wall=window.wall, along=window.middle) is not None:
            return


def mount_height(room: Arranger, role: str) -> float:
    """Metres from the floor to the lowest point of a thing of ``role`` on a wall."""
    return MOUNT_HEIGHT[role] if role in MOUNT_HEIGHT else float(room.rng.uniform(*_HEIGHTS.get(role, (1.2, 1.5))))


def hang(
    room: Arranger, role: str, *, walls: Sequence[int] | None = None, tries: int = 12, front: float = 0.0, **wishes: Any
) -> Item | None:
    """Hang something on a wall where it is free, over furniture if need be, over no door or window.

    ``front`` metres before it are then kept free.
    """
    candidate = room.make(role, **wishes)
    width, tall = float(candidate.size[0]), float(candidate.size[2])
    allowed = [w for w in (range(len(room.walls)) if walls is None else walls) if room.walls[w].length > width + 0.1]
    for _ in range(tries if allowed else 0):
        wall = int(room.rng.choice(allowed))
        along = float(room.rng.uniform(width / 2 + 0.05, room.walls[wall].length - width / 2 - 0.05))
        lowest = mount_height(room, role)
        for z in (lowest, lowest + 0.2, lowest + 0.45):
            if z + tall > room.plan.height - 0.05:
                break
            item = _hang_at(room, candidate, wall, along, z, front)
            if item is not None:
                return item
    return None


def hang_above(
    room: Arranger, item: Item, role: str, *, shift: float = 0.0, clear: float = 0.12, z: float | None = None,
    **wishes: Any,
) -> Item | None:  # fmt: skip
    """Hang something on the wall above ``item``, at least ``clear`` metres over its top."""
    if item.wall is None:
        return None
    candidate = room.make(role, **wishes)
    lowest = max(mount_height(room, role) if z is None else z, item.top + clear)
    if lowest + candidate.size[2] > room.plan.height - 0.03:
        return None
    return _hang_at(room, candidate, item.wall, item.along + shift, lowest)


def _hang_at(
    room: Arranger, candidate: Candidate, wall: int, along: float, z: float, front: float = 0.0
) -> Item | None:
    T = room.wall_pose(candidate, wall, along, _OFF_WALL if z > 0.15 else 0.015, z)
    return room.put(candidate, T, "wall", front=front, wall=wall, along=along)


def hang_from_ceiling(room: Arranger, role: str, at: np.ndarray, **wishes: Any) -> Item | None:
    """Hang something from the ceiling over the place ``at`` (2,)."""
    candidate = room.make(role, **wishes)
    middle = (candidate.local[:2] + candidate.local[3:5]) / 2
    turn = float(room.rng.integers(2)) * np.pi / 2
    T = pose(middle, at, turn, room.plan.height - float(candidate.local[5]))
    return room.put(candidate, T, "ceiling")


def stand_on(
    room: Arranger, host: Item, role: str, *, at: tuple[float, float] | None = None, turn: float = 0.15, tries: int = 8,
    on: Sequence[Support] | None = None, **wishes: Any,
) -> Item | None:  # fmt: skip
    """Stand something on one of ``host``'s supports, wholly within it and below what is above it.

    ``at`` is a wished place on the support, in shares (-0.5 to 0.5) of its size along x and y; tried first.
    """
    supports = list(on) if on is not None else [support for piece in host.pieces for support in piece.supports]
    if not supports:
        return None
    candidate = room.make(role, **wishes)
    middle = (candidate.local[:2] + candidate.local[3:5]) / 2
    area = np.array([support.size[0] * support.size[1] for support in supports])
    for attempt in range(tries):
        support = supports[int(room.rng.choice(len(supports), p=area / area.sum()))]
        yaw = float(room.rng.normal(0, turn))
        half = _turned_half(candidate.size, yaw)
        free = np.array(support.size) / 2 - half - _EDGE
        if (free < 0).any() or candidate.size[2] > support.clearance - 0.005:
            continue
        wished = np.array(at) * support.size if at is not None and attempt < 2 else room.rng.uniform(-free, free)
        local = np.array(support.center[:2]) + np.clip(wished, -free, free)
        T = host.T @ pose(middle, local, yaw, support.center[2] - candidate.local[2])
        item = room.put(candidate, T, "support", host=host)
        if item is not None:
            return item
    return None


def litter(room: Arranger, host: Item, roles: Sequence[str], count: int, turn: float = 0.5) -> list[Item]:
    """Up to ``count`` things of random ``roles`` on ``host``."""
    found = [stand_on(room, host, str(room.rng.choice(list(roles))), turn=turn, tries=5) for _ in range(count)]
    return [item for item in found if item is not None]


def _turned_half(size: np.ndarray, yaw: float) -> np.ndarray:
    """(2,) half sides of the axis-aligned box around a turned footprint."""
    c, s = abs(np.cos(yaw)), abs(np.sin(yaw))
    return np.array([size[0] * c + size[1] * s, size[0] * s + size[1] * c]) / 2
