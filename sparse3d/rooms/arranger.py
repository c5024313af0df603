"""A room while it is being furnished: what stands where, what must stay free, and whether one more thing fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from sparse3d.rooms.footprint import bounding_box, boxes_at, corners, extent, meet, pose, solid_boxes, upright_box
from sparse3d.rooms.furniture import construct
from sparse3d.rooms.piece import Piece, Placed
from sparse3d.rooms.plan import Opening, Plan, Wall
from sparse3d.rooms.style import Style
from sparse3d.rooms.walkway import Walkway

# Roles whose solids count one by one: things stand under them, between their legs or their halves.
OPEN_ROLES = frozenset(
    (
        "table", "coffee_table", "side_table", "desk", "school_desk", "teacher_desk", "chair", "office_chair",
        "armchair", "stool", "bench", "floor_lamp", "curtain", "door", "window", "coat_rack", "island", "ottoman",
        "tv_stand", "night_stand",
    )
)  # fmt: skip
# What may stand under a table or within a corner desk; other furniture keeps out of each other's bounds on the floor.
SMALL_ROLES = frozenset(
    (
        "chair", "office_chair", "armchair", "stool", "trash_can", "computer_tower", "box", "bag", "backpack", "basket",
        "books", "shoes", "suitcase", "toilet_paper", "towel",
    )
)  # fmt: skip
SOFT_ROLES = frozenset(("rug", "mat"))  # things stand on them and sink in
MADE_TO_MEASURE = frozenset(
    ("door", "window", "curtain", "blinds", "kitchen_run", "wall_cabinet", "shower_curtain", "rug")
)
SWING_SLACK = 0.05  # metres kept free beyond a door's leaf
WINDOW_DEPTH = 0.3  # metres in front of a window in which nothing stands higher than its sill


class Unplaceable(Exception):
    """Something a room cannot do without has no place on this plan."""


class Assets(Protocol):
    """Furniture from elsewhere."""

    def roles(self) -> Sequence[str]:
        """The roles that it has pieces for."""

    def construct(self, role: str, rng: np.random.Generator) -> Piece | None:
        """A piece for ``role``, or None."""


@dataclass(frozen=True, eq=False)
class Item:
    """Pieces that were placed together, in one frame."""

    role: str
    pieces: tuple[Piece, ...]
    T: np.ndarray  # (4, 4) float64, room from piece
    boxes: np.ndarray  # (B, 8) in the room, see :mod:`sparse3d.rooms.footprint`
    local: np.ndarray  # (6,) low and high corner in the pieces' frame
    anchor: str  # "floor", "support", "wall", "ceiling" or "opening"
    host: Item | None = None  # what it stands on
    wall: int | None = None  # the wall at its back
    along: float = 0.0  # metres along that wall, of its middle

    @property
    def width(self) -> float:
        """Metres along the frame's x."""
        return float(self.local[3] - self.local[0])

    @property
    def depth(self) -> float:
        """Metres along the frame's y."""
        return float(self.local[4] - self.local[1])

    @property
    def top(self) -> float:
        """Height of the highest point above the floor."""
        return float(self.boxes[:, 7].max())

    @property
    def yaw(self) -> float:
        """Radians about z."""
        return float(np.arctan2(self.T[1, 0], self.T[0, 0]))


@dataclass(frozen=True, eq=False)
class Candidate:
    """Pieces that are looking for a place: with their bounds (6,) and their boxes (B, 6) in their own frame."""

    role: str
    pieces: tuple[Piece, ...]
    local: np.ndarray
    solids: np.ndarray

    @property
    def size(self) -> np.ndarray:
        """(3,) metres."""
        return self.local[3:] - self.local[:3]


@dataclass
class Arranger:
    """Places things in an empty :class:`Plan`. ``items`` is what stands so far, in the order of placing."""

    rng: np.random.Generator
    plan: Plan
    style: Style
    assets: Assets | None = None
    items: list[Item] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.walls: tuple[Wall, ...] = self.plan.walls
        self.walkway = Walkway(self.plan)
        self._solid = [] if self.plan.notch is None else [upright_box(*self.plan.notch, -1.0, self.plan.height + 1)]
        self._openings = [self._in_front(opening) for opening in self.plan.openings]
        self._reach = np.zeros((0, 6))  # of every item: low and high corner
        self._kept: list[tuple[Item, np.ndarray]] = []
        self._asset_roles = frozenset(self.assets.roles()) if self.assets is not None else frozenset()

    def make(self, role: str, **wishes: Any) -> Candidate:
        """A new piece or group for ``role``, from the assets in about half of the cases where they have one."""
        pieces: tuple[Piece, ...] = ()
        if self.assets is not None and role in self._asset_roles and role not in MADE_TO_MEASURE:
            found = self.assets.construct(role, self.rng) if self.rng.random() < 0.5 else None
            pieces = () if found is None else (found,)
        pieces = pieces or construct(role, self.rng, self.style, **wishes)
        bounds = np.array([piece.bounds for piece in pieces])
        local = np.concatenate([bounds[:, 0].min(axis=0), bounds[:, 1].max(axis=0)])
        boxes = solid_boxes if role in OPEN_ROLES else bounding_box
        return Candidate(role, pieces, local, np.concatenate([boxes(piece) for piece in pieces]))

    def of_role(self, *roles: str) -> list[Item]:
        """What stands of these roles, in the order of placing."""
        return [item for item in self.items if item.role in roles]

    def is_free(
        self, boxes: np.ndarray, *, ignore: Item | None = None, guest_of: Item | None = None,
        openings: bool = True, fronts: bool = True,
    ) -> bool:  # fmt: skip
        """Whether boxes (B, 8) lie within the room and meet nothing that stands, nor what is kept free.

        ``ignore``: a thing that may be met (what the boxes stand on); ``guest_of``: one whose free front may be used,
        as a chair does at its desk. ``openings``: doors' and windows' fronts count; ``fronts``: those of furniture do.
        """
        low, high = self.plan.bounds
        flat = corners(boxes).reshape(-1, 2)
        if (flat < low - 1e-3).any() or (flat > high + 1e-3).any() or boxes[:, 7].max() > self.plan.height + 1e-3:
            return False
        others = list(self._solid)
        others += self._openings if openings else []
        others += [zone for owner, zone in self._kept if owner is not guest_of] if fronts else []
        own = extent(boxes)
        if self.items:
            near = ((self._reach[:, :3] < own[3:]) & (self._reach[:, 3:] > own[:3])).all(axis=1)
            rows = (self.items[row] for row in np.flatnonzero(near))
            others += [item.boxes for item in rows if item.role not in SOFT_ROLES and item is not ignore]
        return not others or not meet(boxes, np.concatenate(others)).any()

    def put(
        self, candidate: Candidate, T: np.ndarray, anchor: str, *, host: Item | None = None,
        guest_of: Item | None = None, openings: bool = True, front: float = 0.0,
        wall: int | None = None, along: float = 0.0,
    ) -> Item | None:  # fmt: skip
        """Place ``candidate`` at ``T`` if it fits there; ``front`` metres before it are then kept free."""
        boxes = boxes_at(candidate.solids, T)
        on_floor = anchor == "floor"
        if on_floor and not self._keeps_out(candidate, T):
            return None
        if not self.is_free(boxes, ignore=host, guest_of=guest_of, openings=openings, fronts=on_floor):
            return None
        item = Item(candidate.role, candidate.pieces, T, boxes, candidate.local, anchor, host, wall, along)
        zone = boxes_at(_front_zone(candidate.local, front), T) if front > 0 else None
        if zone is not None and not self.is_free(zone, openings=False, fronts=False):
            return None
        in_the_way = on_floor and candidate.size[2] > 0.04 or anchor == "wall" and candidate.size[1] > 0.2
        if in_the_way and not self.walkway.block(boxes):
            return None
        if zone is not None:
            self._kept.append((item, zone))
        self.add(item)
        return item

    def _keeps_out(self, candidate: Candidate, T: np.ndarray) -> bool:
        """Whether larger furniture stays out of the bounds of what else stands on the floor."""
        if candidate.role in SMALL_ROLES:
            return True
        known = [
            boxes_at(item.local[None], item.T)
            for item in self.items
            if item.anchor == "floor" and item.role not in SMALL_ROLES and item.role not in SOFT_ROLES
        ]
        return not known or not meet(boxes_at(candidate.local[None], T), np.concatenate(known)).any()

    def lay(self, candidate: Candidate, T: np.ndarray) -> Item | None:
        """Put something soft and flat on the floor; furniture may stand on it already."""
        boxes = boxes_at(candidate.solids, T)
        low, high = self.plan.bounds
        flat = corners(boxes).reshape(-1, 2)
        others = self._solid + [item.boxes for item in self.of_role(*SOFT_ROLES)]
        if (flat < low + 0.02).any() or (flat > high - 0.02).any():
            return None
        if others and meet(boxes, np.concatenate(others)).any():
            return None
        item = Item(candidate.role, candidate.pieces, T, boxes, candidate.local, "floor")
        self.add(item)
        return item

    def add(self, item: Item) -> None:
        """Enter something without asking whether it fits, such as a door in its opening."""
        self.items.append(item)
        self._reach = np.concatenate([self._reach, extent(item.boxes)[None]])

    def placed(self) -> tuple[Placed, ...]:
        """Every piece with its place, in the order of placing."""
        return tuple(Placed(piece, item.T) for item in self.items for piece in item.pieces)

    def wall_pose(self, candidate: Candidate, wall: int, along: float, gap: float, z: float = 0.0) -> np.ndarray:
        """The pose with the back to a wall, its middle ``along`` metres along it, ``gap`` metres off it."""
        side = self.walls[wall]
        back = np.array([(candidate.local[0] + candidate.local[3]) / 2, candidate.local[4]])
        yaw = float(np.arctan2(side.direction[1], side.direction[0]) + np.pi)
        return pose(back, side.point(along, gap), yaw, z - candidate.local[2])

    def _in_front(self, opening: Opening) -> np.ndarray:
        """What an opening wants free in the room: the leaf's swing, or a flat space before a window."""
        wall = self.walls[opening.wall]
        door = opening.kind == "door"
        margin, depth = (0.08, opening.width + SWING_SLACK) if door else (0.05, WINDOW_DEPTH)
        ends = [wall.point(opening.start - margin), wall.point(opening.start + opening.width + margin, depth)]
        top = opening.high + 0.1 if door else opening.high + 0.05
        low = 0.0 if door else max(opening.low - 0.03, 0.0)
        return upright_box(np.minimum(*ends), np.maximum(*ends), low, top)


def _front_zone(local: np.ndarray, front: float) -> np.ndarray:
    """(1, 6) the space before a piece's front, of a person's height."""
    return np.array([[local[0], local[1] - front, 0.05, local[3], local[1] - 0.005, 1.8]])
