"""Bedrooms: a bed with night stands, a wardrobe and a dresser, often a desk."""

from __future__ import annotations

from sparse3d.rooms.arranger import Arranger
from sparse3d.rooms.fixtures import hang
from sparse3d.rooms.layouts.groups import chance, decorate, one_of, sofa_group, storage, work_place
from sparse3d.rooms.layouts.sleeping import sleeping_place
from sparse3d.rooms.places import against_wall


def furnish_bedroom(room: Arranger) -> None:
    """Furnish a bedroom; a second bed, a sofa or a bookshelf come at times."""
    area = room.plan.area
    sleeping_place(room, required=True)
    if area > 16 and chance(room, 0.2):
        sleeping_place(room)
    if chance(room, 0.8):
        against_wall(room, "wardrobe", front=0.4, corner=0.5)
    if chance(room, 0.55):
        work_place(room)
    storage(room, ("dresser", "dresser", "bookshelf", "cabinet", "bookshelf"), int(1 + area // 14))
    if area > 20 and chance(room, 0.25):
        sofa_group(room, screen=0.4)
    elif chance(room, 0.35):
        against_wall(room, one_of(room, "armchair", "chair", "ottoman", "bench"))
    for role, odds in (("laundry_hamper", 0.3), ("floor_lamp", 0.25), ("plant", 0.25), ("coat_rack", 0.15)):
        if chance(room, odds):
            against_wall(room, role, corner=0.7)
    if chance(room, 0.35):
        hang(room, "mirror")
    decorate(room)
