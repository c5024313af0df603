"""Rules of placing on the floor: along walls, beside, before and around other things, in the open, and on tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from sparse3d.rooms.arranger import Arranger, Candidate, Item, Unplaceable
from sparse3d.rooms.footprint import boxes_at, extent, pose
from sparse3d.rooms.plan import Wall

Side = Literal["front", "back", "left", "right"]
_OUTWARD = {"front": (0.0, -1.0), "back": (0.0, 1.0), "left": (-1.0, 0.0), "right": (1.0, 0.0)}
GAP = (0.012, 0.03)  # metres between a back and the wall


def against_wall(
    room: Arranger, role: str, *, walls: Sequence[int] | None = None, front: float = 0.0, corner: float = 0.3,
    tries: int = 16, required: bool = False, **wishes: Any,
) -> Item | None:  # fmt: skip
    """Stand something with its back to a wall, in a corner with probability ``corner``.

    Raises :class:`Unplaceable` if it is ``required`` and has no place.
    """
    for _ in range(4 if required else 2):
        candidate = room.make(role, **wishes)
        width = float(candidate.size[0])
        allowed = [w for w in (range(len(room.walls)) if walls is None else walls) if room.walls[w].length > width]
        if not allowed:
            continue
        odds = np.array([room.walls[w].length - width for w in allowed]) + 0.1
        for _ in range(tries * (3 if required else 1)):
            wall = int(room.rng.choice(allowed, p=odds / odds.sum()))
            low, high = width / 2 + 0.015, room.walls[wall].length - width / 2 - 0.015
            if high < low:
                continue
            in_corner = room.rng.random() < corner
            along = float(room.rng.choice([low, high])) if in_corner else float(room.rng.uniform(low, high))
            item = at_wall(room, candidate, wall, along, front=front)
            if item is not None:
                return item
    if required:
        raise Unplaceable(role)
    return None


def at_wall(room: Arranger, candidate: Candidate, wall: int, along: float, front: float = 0.0) -> Item | None:
    """Stand something at a given place of a wall, if it fits."""
    T = room.wall_pose(candidate, wall, along, float(room.rng.uniform(*GAP)))
    return room.put(candidate, T, "floor", front=front, wall=wall, along=along)


def into_corner(room: Arranger, candidate: Candidate, open_side: int = 0, front: float = 0.0) -> Item | None:
    """Stand something into one of the room's inner corners, its back and one side at walls.

    ``open_side``: the side that must not be the one at the wall, -1 for the left (-x), 1 for the right, 0 for neither.
    """
    half = float(candidate.size[0]) / 2 + 0.015
    places: list[tuple[int, float]] = []
    for row, wall in enumerate(room.walls):
        before, after = room.walls[row - 1], room.walls[(row + 1) % len(room.walls)]
        if wall.length > 2 * half:
            # Along a wall from its start a piece's own x axis runs backwards: its right side is nearer to the start.
            places += [(row, half)] if _turns_left(before, wall) and open_side != 1 else []
            places += [(row, wall.length - half)] if _turns_left(wall, after) and open_side != -1 else []
    for k in room.rng.permutation(len(places)):
        item = at_wall(room, candidate, *places[int(k)], front=front)
        if item is not None:
            return item
    return None


def _turns_left(wall: Wall, after: Wall) -> bool:
    return bool(wall.direction[0] * after.direction[1] > wall.direction[1] * after.direction[0])


def beside(
    room: Arranger, item: Item, role: str, *, gap: float = 0.05, front: float = 0.0, sides: Sequence[int] = (-1, 1),
    **wishes: Any,
) -> Item | None:  # fmt: skip
    """Stand something at the same wall next to ``item``, on the first of the ``sides`` (-1, 1) where it fits."""
    if item.wall is None:
        return None
    candidate = room.make(role, **wishes)
    for side in sides:
        along = item.along + side * (item.width / 2 + gap + candidate.size[0] / 2)
        placed = at_wall(room, candidate, item.wall, float(along), front)
        if placed is not None:
            return placed
    return None


def edge_pose(
    target: Item, candidate: Candidate, side: Side, distance: float, shift: float = 0.0, jitter: float = 0.0
) -> np.ndarray:
    """The pose that looks at one ``side`` of ``target``'s bounds from ``distance`` metres, ``shift`` along it."""
    outward = np.array(_OUTWARD[side])
    middle, half = (target.local[:2] + target.local[3:5]) / 2, (target.local[3:5] - target.local[:2]) / 2
    across = np.array([-outward[1], outward[0]])
    local = middle + outward * (half + distance) + across * shift
    R = target.T[:2, :2]
    looking = R @ outward
    front = np.array([(candidate.local[0] + candidate.local[3]) / 2, candidate.local[1]])
    yaw = float(np.arctan2(-looking[0], looking[1])) + jitter
    return pose(front, R @ local + target.T[:2, 3], yaw, -candidate.local[2])


def facing(
    room: Arranger, target: Item, role: str, distances: Sequence[float], *, side: Side = "front", shift: float = 0.0,
    jitter: float = 0.0, **wishes: Any,
) -> Item | None:  # fmt: skip
    """Stand something so that it looks at a side of ``target``, at the first of the ``distances`` where it fits."""
    candidate = room.make(role, **wishes)
    for distance in distances:
        T = edge_pose(target, candidate, side, distance, shift, float(room.rng.normal(0, jitter)) if jitter else 0.0)
        item = room.put(candidate, T, "floor", guest_of=target)
        if item is not None:
            return item
    return None


def seat_at(
    room: Arranger, target: Item, role: str, *, side: Side = "front", shift: float = 0.0, jitter: float = 0.12,
    like: Candidate | None = None,
) -> Item | None:  # fmt: skip
    """A chair at a table or desk, pushed under it as far as it goes, less a little."""
    candidate = like or room.make(role)
    turn = float(np.clip(room.rng.normal(0, jitter), -0.5, 0.5))
    wished = float(room.rng.uniform(-0.3, 0.02))
    for distance in np.arange(wished, 0.16, 0.04):
        T = edge_pose(target, candidate, side, float(distance), shift, turn)
        boxes = boxes_at(candidate.solids, T)
        if not room.is_free(boxes, fronts=False, openings=False):
            continue
        item = room.put(candidate, T, "floor", guest_of=target)
        if item is not None:
            return item
    return None


def seats_around(room: Arranger, table: Item, role: str, most: int, ends: bool = True) -> list[Item]:
    """Up to ``most`` chairs of one kind around a table, long sides first; each looks at the table."""
    first = room.make(role)
    spacing = float(first.size[0]) + 0.08
    places: list[tuple[Side, float]] = []
    sides: tuple[tuple[Side, float], ...] = (("front", table.width), ("back", table.width))
    if ends:
        sides += (("left", table.depth), ("right", table.depth))
    for side, length in sides:
        count = min(max(int((length + 0.1) / spacing), 1 if length > 0.5 else 0), 4)
        places += [(side, (k - (count - 1) / 2) * max(spacing, length / max(count, 1) * 0.9)) for k in range(count)]
    seats: list[Item] = []
    for side, shift in places:
        if len(seats) >= most:
            break
        seat = seat_at(room, table, role, side=side, shift=shift + float(room.rng.normal(0, 0.02)), like=first)
        seats += [] if seat is None else [seat]
    return seats


def in_the_open(
    room: Arranger, role: str, *, tries: int = 24, margin: float = 0.7, required: bool = False, **wishes: Any
) -> Item | None:
    """Stand something away from the walls, along the room's axes, with ``margin`` metres around it free so far."""
    for attempt in range(3 if required else 1):
        candidate = room.make(role, **wishes)
        around = margin * (1 - 0.3 * attempt)
        wide = candidate.local[None] + np.array([[-around, -around, 0, around, around, 0]])
        low, high = room.plan.bounds
        for _ in range(tries):
            at, yaw = room.rng.uniform(low, high), float(room.rng.integers(4)) * np.pi / 2
            T = pose((candidate.local[:2] + candidate.local[3:5]) / 2, at, yaw, -candidate.local[2])
            if room.is_free(boxes_at(wide, T), openings=False, fronts=False):
                item = room.put(candidate, T, "floor")
                if item is not None:
                    return item
    if required:
        raise Unplaceable(role)
    return None


def scatter(room: Arranger, roles: Sequence[str], count: int) -> list[Item]:
    """Clutter on the floor: mostly near walls and other things, turned any way."""
    found: list[Item] = []
    for _ in range(count):
        role = str(room.rng.choice(list(roles)))
        candidate = room.make(role)
        for _ in range(10):
            wall = room.walls[int(room.rng.integers(len(room.walls)))]
            off = float(np.linalg.norm(candidate.size[:2])) / 2 + 0.02 + abs(float(room.rng.normal(0, 0.15)))
            at = wall.point(float(room.rng.uniform(0.2, wall.length - 0.2)), off)
            T = pose(_middle(candidate), at, float(room.rng.uniform(-np.pi, np.pi)), -candidate.local[2])
            item = room.put(candidate, T, "floor")
            if item is not None:
                found.append(item)
                break
    return found


def under(room: Arranger, host: Item, role: str, shift: float) -> Item | None:
    """Stand something small on the floor beneath a desk or table, ``shift`` metres from its middle."""
    candidate = room.make(role)
    inside = np.array([(host.local[0] + host.local[3]) / 2 + shift, host.local[4] - 0.05])
    back = np.array([(candidate.local[0] + candidate.local[3]) / 2, candidate.local[4]])
    at = host.T[:2, :2] @ inside + host.T[:2, 3]
    return room.put(candidate, pose(back, at, host.yaw, -candidate.local[2]), "floor", guest_of=host)


def lay_under(room: Arranger, items: Sequence[Item], role: str = "rug", spread: float = 0.3) -> Item | None:
    """A rug beneath a group of things, ``spread`` metres larger than it where the room allows."""
    reach = np.array([extent(item.boxes) for item in items])
    low, high = reach[:, :2].min(axis=0), reach[:, 3:5].max(axis=0)
    for larger in (spread, 0.0, -0.25, -0.5):
        size = high - low + 2 * larger
        if (size < 0.6).any():
            return None
        candidate = room.make(role, width=float(size[0]), depth=float(size[1]))
        item = room.lay(candidate, pose(_middle(candidate), (low + high) / 2, 0.0, -candidate.local[2]))
        if item is not None:
            return item
    return None


def lay_before(room: Arranger, target: Item, role: str, distance: float = 0.1) -> Item | None:
    """A mat before something's front."""
    candidate = room.make(role)
    return room.lay(candidate, edge_pose(target, candidate, "front", distance))


def _middle(candidate: Candidate) -> np.ndarray:
    return (candidate.local[:2] + candidate.local[3:5]) / 2
