"""Groups of furniture that occur in rooms of several kinds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparse3d.rooms.arranger import Arranger, Item
from sparse3d.rooms.fixtures import hang, hang_above, hang_from_ceiling, litter, stand_on
from sparse3d.rooms.furniture.mounting import MOUNT_HEIGHT
from sparse3d.rooms.places import (
    Side,
    against_wall,
    at_wall,
    beside,
    facing,
    in_the_open,
    lay_under,
    scatter,
    seat_at,
    seats_around,
    under,
)

DESK_THINGS = ("books", "books", "paper", "paper", "cup", "telephone", "tissue_box", "plant", "bottle", "globe", "box")
TABLE_THINGS = ("bowl", "plate", "cup", "cup", "bottle", "vase", "books", "candle", "paper", "jar", "plant")
CABINET_THINGS = (
    "vase",
    "box",
    "plant",
    "books",
    "table_lamp",
    "candle",
    "globe",
    "teddy_bear",
    "basket",
    "jar",
    "clock",
)
FLOOR_THINGS = ("box", "box", "bag", "backpack", "shoes", "trash_can", "basket", "suitcase", "plant", "books")


def chance(room: Arranger, odds: float) -> bool:
    """True with probability ``odds``."""
    return bool(room.rng.random() < odds)


def between(room: Arranger, low: float, high: float) -> float:
    """A number drawn between two."""
    return float(room.rng.uniform(low, high))


def one_of(room: Arranger, *roles: str) -> str:
    """One of the roles, with equal odds."""
    return str(room.rng.choice(list(roles)))


def work_place(
    room: Arranger, desk_role: str = "desk", *, odds: float = 0.85, required: bool = False, desk: Item | None = None
) -> Item | None:
    """A desk at a wall (unless ``desk`` stands already) with its chair, screen or laptop, lamp and papers."""
    if desk is None:
        desk = against_wall(room, desk_role, required=required, width=between(room, 1.0, 1.7))
    if desk is None:
        return None
    equip(room, desk, odds)
    seat_at(room, desk, one_of(room, "office_chair", "office_chair", "chair"), shift=between(room, -0.1, 0.1))
    if chance(room, 0.4):
        under(room, desk, "trash_can", float(room.rng.choice([-0.35, 0.35])) * desk.width)
    return desk


def equip(room: Arranger, desk: Item, odds: float = 0.85) -> None:
    """What stands on a desk: at least a screen or a laptop with probability ``odds``, and some litter."""
    if chance(room, odds):
        if chance(room, 0.65):
            stand_on(room, desk, "monitor", at=(between(room, -0.2, 0.2), 0.3), turn=0.08)
            stand_on(room, desk, "keyboard", at=(between(room, -0.1, 0.1), -0.25), turn=0.05)
            stand_on(room, desk, "mouse", at=(0.25, -0.25))
            if chance(room, 0.4):
                under(room, desk, "computer_tower", float(room.rng.choice([-0.36, 0.36])) * desk.width)
        else:
            stand_on(room, desk, "laptop", at=(between(room, -0.15, 0.15), 0.0), turn=0.15)
    if chance(room, 0.5):
        stand_on(room, desk, "table_lamp", at=(float(room.rng.choice([-0.45, 0.45])), 0.35), turn=0.5)
    litter(room, desk, DESK_THINGS, int(room.rng.integers(1, 5)))


def dining_group(room: Arranger, seats: int, *, required: bool = False) -> Item | None:
    """A table in the open, or against a wall where that fails, with chairs around it and things on it."""
    width = 0.7 + 0.3 * min(seats, 6) / 2 + between(room, 0.0, 0.3)
    sizes: dict[str, Any] = {"width": width, "depth": between(room, 0.75, 0.95)}
    table = in_the_open(room, "table", margin=0.75, **sizes) or against_wall(room, "table", **sizes)
    if table is None:
        table = in_the_open(room, "table", margin=0.5, required=required, width=1.0, depth=0.75)
    if table is None:
        return None
    chairs = seats_around(room, table, "chair", seats)
    litter(room, table, TABLE_THINGS, int(room.rng.integers(1, 6)))
    if chance(room, 0.2):
        lay_under(room, [table, *chairs], spread=0.1)
    return table


def sofa_group(room: Arranger, *, required: bool = False, screen: float = 0.8) -> Item | None:
    """A sofa at a wall or facing a television, a coffee table before it, seats and a rug."""
    sofa = against_wall(room, "sofa", corner=0.15, required=required, width=between(room, 1.5, 2.4))
    if sofa is None:
        return None
    group = [sofa]
    if chance(room, screen):
        television(room, sofa)
    if chance(room, 0.8):
        table = facing(room, sofa, "coffee_table", (0.35, 0.28, 0.45), shift=between(room, -0.15, 0.15))
        if table is not None:
            group.append(table)
            litter(room, table, ("books", "cup", "bowl", "vase", "candle", "plant", "paper", "laptop", "bottle"), 3)
            if chance(room, 0.6):
                seat = facing(room, table, "armchair", (0.35, 0.5), side=_an_end(room), jitter=0.2)
                group += [] if seat is None else [seat]
            if chance(room, 0.35):
                facing(room, table, "ottoman", (0.3, 0.45), side="front")
    if chance(room, 0.5):
        lay_under(room, group, spread=between(room, -0.1, 0.25))
    for side in (-1, 1):
        if chance(room, 0.35):
            role = one_of(room, "side_table", "floor_lamp", "side_table")
            small = beside(room, sofa, role, sides=(side,))
            if small is not None and role == "side_table":
                stand_on(room, small, one_of(room, "table_lamp", "plant", "vase", "books"))
    litter(room, sofa, ("pillow", "pillow", "teddy_bear", "books"), int(room.rng.integers(0, 4)))
    return sofa


def _an_end(room: Arranger) -> Side:
    return "left" if chance(room, 0.5) else "right"


def television(room: Arranger, sofa: Item) -> None:
    """A stand with a television, or one on the wall, on the wall that the sofa looks at."""
    if sofa.wall is None:
        return
    toward = room.walls[sofa.wall].normal
    across = [w for w, wall in enumerate(room.walls) if float(wall.normal @ toward) < -0.9]
    stand = _opposite(room, sofa, across) or against_wall(room, "tv_stand", walls=across, corner=0.1, tries=24)
    if stand is None:
        hang(room, "tv", walls=across)
        return
    on_top = stand_on(room, stand, "tv", at=(0.0, 0.2), turn=0.03, width=min(stand.width * 0.9, 1.3))
    if on_top is None:
        hang_above(room, stand, "tv", clear=0.2)
    litter(room, stand, ("books", "vase", "candle", "plant", "box"), 1)


def _opposite(room: Arranger, sofa: Item, across: Sequence[int]) -> Item | None:
    """A television's stand at one of the walls ``across``, as near to the sofa's axis as it fits."""
    candidate = room.make("tv_stand")
    middle = sofa.boxes[:, :2].mean(axis=0)
    for shift in (0.0, 0.25, -0.25, 0.5, -0.5):
        for w in across:
            wall = room.walls[w]
            stand = at_wall(room, candidate, w, float((middle - wall.start) @ wall.direction) + shift)
            if stand is not None:
                return stand
    return None


def storage(room: Arranger, roles: Sequence[str], count: int, things: Sequence[str] = CABINET_THINGS) -> list[Item]:
    """Cabinets, shelves and dressers along the walls, with ``things`` on them and pictures above low ones."""
    found: list[Item] = []
    for _ in range(count):
        role = one_of(room, *roles)
        item = hang(room, role) if role in MOUNT_HEIGHT else against_wall(room, role, front=0.35, corner=0.4)
        if item is None:
            continue
        found.append(item)
        litter(room, item, things, int(room.rng.integers(0, 4)), turn=0.3)
        if item.top < 1.2 and item.anchor == "floor" and chance(room, 0.35):
            hang_above(room, item, one_of(room, "picture", "mirror", "picture"), clear=0.25)
    return found


def wall_things(room: Arranger, roles: Sequence[str], count: int) -> None:
    """Pictures and the like, where the walls are free."""
    for _ in range(count):
        hang(room, one_of(room, *roles))


def decorate(room: Arranger, *, pictures: tuple[int, int] = (1, 4), clutter: tuple[int, int] = (0, 5)) -> None:
    """What every room gets at the end: pictures, a clock at times, things on the floor."""
    wall_things(room, ("picture",), int(room.rng.integers(pictures[0], pictures[1] + 1)))
    if chance(room, 0.25):
        hang(room, "clock")
    scatter(room, FLOOR_THINGS, int(room.rng.integers(clutter[0], clutter[1] + 1)))


def ceiling_lamps(room: Arranger) -> None:
    """One lamp, or a few in a row in a large room, over the middle of the floor's larger part."""
    low, high = max(room.plan.rectangles(), key=lambda pair: float(np.prod(pair[1] - pair[0])))
    middle, size = (low + high) / 2, high - low
    count = 1 if room.plan.area < 18 else int(room.rng.integers(1, 3))
    along = np.array([1.0, 0.0]) if size[0] >= size[1] else np.array([0.0, 1.0])
    for k in range(count):
        at = middle + along * size * ((k + 0.5) / count - 0.5) + room.rng.normal(0, 0.1, 2)
        hang_from_ceiling(room, "ceiling_lamp", at)
