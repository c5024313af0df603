"""Classrooms: a board, the teacher's desk before it, pupils' desks in rows that look at it."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.arranger import Arranger, Item, Unplaceable
from sparse3d.rooms.fixtures import hang, litter, stand_on
from sparse3d.rooms.footprint import pose
from sparse3d.rooms.layouts.groups import chance, decorate, one_of, storage, wall_things
from sparse3d.rooms.places import against_wall, seat_at

_PUPILS_THINGS = ("books", "paper", "paper", "bottle", "laptop", "backpack", "cup")


def furnish_classroom(room: Arranger) -> None:
    """Furnish a classroom; cabinets, bookshelves, a sink or a reading corner along its walls."""
    board = _board(room)
    wall = board.wall or 0
    _teachers_place(room, wall, board.along)
    for _ in range(int(room.rng.integers(0, 2))):
        storage(room, ("bookshelf", "cabinet", "bookshelf"), 1)
    seats = _rows(room, wall)
    if seats < 4:
        raise Unplaceable("school_desk")
    storage(room, ("bookshelf", "bookshelf", "cabinet", "shelf", "file_cabinet"), int(room.rng.integers(1, 4)))
    if chance(room, 0.25):
        against_wall(room, "sofa", width=1.6)
    if chance(room, 0.3):
        table = against_wall(room, "table", width=1.2, depth=0.7)
        if table is not None:
            litter(room, table, ("printer", "books", "globe", "plant", "box", "paper"), 3)
    wall_things(room, ("picture",), int(room.rng.integers(1, 5)))
    for role, odds in (("trash_can", 0.8), ("plant", 0.4), ("coat_rack", 0.3)):
        if chance(room, odds):
            against_wall(room, role, corner=0.7)
    if chance(room, 0.6):
        hang(room, "clock")
    decorate(room, pictures=(0, 1), clutter=(0, 4))


def _board(room: Arranger) -> Item:
    """A board on one of the longer walls; everything else goes by it."""
    for _ in range(8):
        wall = int(room.rng.choice(np.argsort([-side.length for side in room.walls])[:4]))
        board = hang(room, one_of(room, "whiteboard", "blackboard"), walls=[wall], tries=10)
        if board is not None:
            return board
    raise Unplaceable("whiteboard")


def _teachers_place(room: Arranger, wall: int, along: float) -> None:
    """The teacher's desk some way before the board, its sitter looking at the class."""
    candidate = room.make("teacher_desk")
    side = room.walls[wall]
    yaw = float(np.arctan2(side.direction[1], side.direction[0]))  # its back looks into the room
    middle = (candidate.local[:2] + candidate.local[3:5]) / 2
    for shift in (0.0, -1.2, 1.2, -0.6, 0.6):
        at = side.point(along + shift, 1.05 + float(candidate.size[1]) / 2)
        desk = room.put(candidate, pose(middle, at, yaw, -candidate.local[2]), "floor")
        if desk is not None:
            seat_at(room, desk, one_of(room, "office_chair", "chair"))
            stand_on(room, desk, one_of(room, "laptop", "monitor"), at=(0.2, 0.1))
            litter(room, desk, ("books", "paper", "globe", "plant", "cup", "telephone"), 3)
            return


def _rows(room: Arranger, wall: int) -> int:
    """School desks in rows parallel to the board, each with its chair; gives how many."""
    side = room.walls[wall]
    first, chair = room.make("school_desk"), room.make("chair")
    width, depth = float(first.size[0]), float(first.size[1])
    yaw = float(np.arctan2(side.direction[1], side.direction[0])) + np.pi  # the sitter's side away from the board
    middle = (first.local[:2] + first.local[3:5]) / 2
    low, high = room.plan.bounds
    reach = float(np.abs((high - low) @ side.normal))
    aisle = width + float(room.rng.uniform(0.45, 0.7))
    columns = max(int((side.length - 0.5) // aisle), 1)
    offset = (side.length - (columns - 1) * aisle) / 2
    pitch = depth + float(room.rng.uniform(0.65, 0.8))
    start = 2.1 + float(room.rng.uniform(0.0, 0.3))
    count = 0
    for row in range(int((reach - start - depth / 2 - 0.55) // pitch) + 1):
        for column in range(columns):
            wobble = room.rng.normal(0, 0.015, 2)
            at = side.point(offset + column * aisle, start + row * pitch) + wobble
            turn = float(room.rng.normal(0, 0.02))
            desk = room.put(first, pose(middle, at, yaw + turn, -first.local[2]), "floor")
            if desk is not None:
                count += 1
                seat_at(room, desk, "chair", like=chair if chance(room, 0.85) else None)
                litter(room, desk, _PUPILS_THINGS, int(room.rng.integers(0, 3)))
    return count
