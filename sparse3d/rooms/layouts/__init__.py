"""How each kind of room is furnished: a function of the arranger for each."""

from __future__ import annotations

from collections.abc import Callable

from sparse3d.rooms.arranger import Arranger
from sparse3d.rooms.layouts.bathroom import furnish_bathroom
from sparse3d.rooms.layouts.bedroom import furnish_bedroom
from sparse3d.rooms.layouts.classroom import furnish_classroom
from sparse3d.rooms.layouts.kitchen import furnish_kitchen
from sparse3d.rooms.layouts.living_room import furnish_living_room
from sparse3d.rooms.layouts.office import furnish_office
from sparse3d.rooms.piece import RoomKind

LAYOUTS: dict[RoomKind, Callable[[Arranger], None]] = {
    "living room": furnish_living_room,
    "bedroom": furnish_bedroom,
    "office": furnish_office,
    "kitchen": furnish_kitchen,
    "bathroom": furnish_bathroom,
    "classroom": furnish_classroom,
}
