"""Living rooms: a sofa facing a television, a dining table where there is space, shelves and cabinets."""

from __future__ import annotations

from sparse3d.rooms.arranger import Arranger
from sparse3d.rooms.layouts.groups import chance, decorate, dining_group, one_of, sofa_group, storage, work_place
from sparse3d.rooms.layouts.kitchen import kitchenette
from sparse3d.rooms.layouts.sleeping import sleeping_place
from sparse3d.rooms.places import against_wall, facing


def furnish_living_room(room: Arranger) -> None:
    """Furnish a living room; a desk, a bed or a second sofa come at times."""
    area = room.plan.area
    sofa = sofa_group(room, required=True)
    if sofa is not None and area > 22 and chance(room, 0.3):
        facing(room, sofa, "sofa", (2.2, 2.5, 1.9), width=1.6)
    if area > 22 and chance(room, 0.65):
        dining_group(room, int(room.rng.integers(3, 7)))
    if chance(room, 0.2):
        sleeping_place(room)
    if chance(room, 0.3):
        work_place(room)
    if chance(room, 0.2):
        kitchenette(room)
    storage(room, ("bookshelf", "bookshelf", "cabinet", "dresser", "shelf"), int(2 + area // 9))
    if chance(room, 0.3):
        against_wall(room, one_of(room, "armchair", "bench", "stool", "ottoman"))
    for _ in range(int(room.rng.integers(1, 4))):
        against_wall(room, one_of(room, "plant", "floor_lamp", "guitar", "coat_rack", "fan"), corner=0.8)
    decorate(room)
