"""A bed with what belongs to it."""

from __future__ import annotations

from sparse3d.rooms.arranger import Arranger, Item
from sparse3d.rooms.fixtures import hang_above, litter, stand_on
from sparse3d.rooms.layouts.groups import chance, one_of
from sparse3d.rooms.places import against_wall, beside, facing, lay_under

_NIGHT_THINGS = ("books", "cup", "bottle", "tissue_box", "clock", "candle")


def sleeping_place(room: Arranger, *, required: bool = False) -> Item | None:
    """A bed with its head at a wall, night stands with lamps, a picture above, a bench or rug at its foot."""
    bed = against_wall(room, "bed", corner=0.2, required=required)
    if bed is None:
        return None
    for side in (-1, 1):
        if chance(room, 0.75):
            stand = beside(room, bed, "night_stand", sides=(side,), gap=0.06)
            if stand is not None:
                if chance(room, 0.75):
                    stand_on(room, stand, "table_lamp")
                litter(room, stand, _NIGHT_THINGS, int(room.rng.integers(0, 3)))
    if chance(room, 0.5):
        hang_above(room, bed, "picture", clear=0.2)
    if chance(room, 0.25):
        facing(room, bed, one_of(room, "bench", "ottoman"), (0.06, 0.15))
    if chance(room, 0.45):
        lay_under(room, [bed], spread=0.45)
    litter(room, bed, ("pillow", "teddy_bear", "books", "laptop"), int(room.rng.integers(0, 3)))
    return bed
