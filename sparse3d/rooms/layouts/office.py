"""Offices: work places along the walls or in rows, file cabinets and shelves, a table to meet at."""

from __future__ import annotations

from sparse3d.rooms.arranger import Arranger
from sparse3d.rooms.fixtures import hang, stand_on
from sparse3d.rooms.layouts.groups import (
    between,
    chance,
    decorate,
    dining_group,
    one_of,
    sofa_group,
    storage,
    work_place,
)
from sparse3d.rooms.places import against_wall, facing, in_the_open, seat_at


def furnish_office(room: Arranger) -> None:
    """Furnish an office; a sofa or a small refrigerator come at times."""
    area = room.plan.area
    work_place(room, required=True)
    if area > 18 and chance(room, 0.4):
        _desks_face_to_face(room)
    for _ in range(int(area // 9) - 1):
        work_place(room)
    if chance(room, 0.35):
        sofa_group(room, screen=0.1)
    if area > 16 and chance(room, 0.45):
        dining_group(room, int(room.rng.integers(2, 6)))
    if chance(room, 0.5):
        hang(room, "whiteboard")
    storage(room, ("bookshelf", "bookshelf", "file_cabinet", "cabinet", "shelf", "file_cabinet"), int(1 + area // 9))
    if chance(room, 0.4):
        _printer(room)
    if chance(room, 0.25):
        against_wall(room, "refrigerator", front=0.4, corner=0.8)
    for role, odds in (("plant", 0.4), ("coat_rack", 0.25), ("trash_can", 0.4), ("fan", 0.15), ("chair", 0.3)):
        if chance(room, odds):
            against_wall(room, role, corner=0.6)
    decorate(room, pictures=(0, 3))


def _desks_face_to_face(room: Arranger) -> None:
    """Two desks in the open, back to back, each with its chair."""
    width = between(room, 1.2, 1.6)
    first = in_the_open(room, "desk", margin=0.8, width=width)
    if first is None:
        return
    second = facing(room, first, "desk", (0.02,), side="back", width=width)
    for desk in (first, second):
        if desk is not None:
            work_place(room, desk=desk)


def _printer(room: Arranger) -> None:
    stand = against_wall(room, one_of(room, "cabinet", "file_cabinet", "side_table"), corner=0.5)
    if stand is not None:
        stand_on(room, stand, "printer", tries=12)
    elif (table := against_wall(room, "table", width=0.9, depth=0.6)) is not None:
        stand_on(room, table, "printer")
        seat_at(room, table, "chair")
