"""Bathrooms: toilet, wash basin with a mirror, bathtub or shower with its curtain, a cabinet."""

from __future__ import annotations

from sparse3d.rooms.arranger import Arranger, Unplaceable
from sparse3d.rooms.fixtures import hang, hang_above, litter, stand_on
from sparse3d.rooms.layouts.groups import chance, one_of, storage, wall_things
from sparse3d.rooms.places import against_wall, beside, lay_before, scatter

_BASIN_THINGS = ("cup", "bottle", "tissue_box", "jar", "towel")


def furnish_bathroom(room: Arranger) -> None:
    """Furnish a bathroom; a second basin, a washing machine and storage fill the larger ones."""
    _bathing(room)
    toilet = against_wall(room, "toilet", front=0.45, corner=0.3, tries=30, required=True)
    if toilet is not None and toilet.wall is not None:
        if chance(room, 0.4):
            beside(room, toilet, "trash_can", gap=0.15)
        hang(room, "toilet_paper", walls=[toilet.wall])
    for number in range(1 + int(chance(room, 0.25))):
        basin = against_wall(room, "bathroom_sink", front=0.5, corner=0.2, tries=30, required=number == 0)
        if basin is None:
            continue
        if chance(room, 0.85):
            hang_above(room, basin, "mirror", clear=0.15)
        litter(room, basin, _BASIN_THINGS, int(room.rng.integers(1, 4)))
        if chance(room, 0.5):
            lay_before(room, basin, "mat")
    for role, odds in (("washing_machine", 0.4), ("cabinet", 0.5), ("stool", 0.3), ("chair", 0.12), ("shelf", 0.35)):
        if chance(room, odds):
            storage(room, (role,), 1, things=("towel", "box", "basket", "bottle", "plant"))
    if chance(room, 0.35):
        hang(room, "wall_cabinet", category="bathroom cabinet")
    for role, odds in (("laundry_hamper", 0.5), ("trash_can", 0.4), ("plant", 0.25)):
        if chance(room, odds):
            against_wall(room, role, corner=0.7)
    wall_things(room, ("towel", "towel", "picture", "mirror"), int(room.rng.integers(1, 4)))
    if chance(room, 0.2):
        hang(room, "picture")
    scatter(room, ("basket", "shoes", "box", "toilet_paper", "towel"), int(room.rng.integers(0, 3)))


def _bathing(room: Arranger) -> None:
    """A bathtub, a bathtub with a shower and its curtain, or a shower; the first two may come with the third.

    Raises :class:`Unplaceable` if none of them has a place.
    """
    role = one_of(room, "bathtub", "shower_bath", "shower_bath", "shower_bath", "shower_bath", "shower")
    first = against_wall(room, role, corner=1.0, front=0.4, tries=24)
    first = first or against_wall(room, "shower_bath", corner=0.7, tries=24)
    if first is None:
        raise Unplaceable(role)
    if role == "bathtub" and chance(room, 0.5):
        against_wall(room, "shower", corner=1.0, front=0.4)
    if role != "shower_bath":
        _curtain(room)
    if first.role != "shower" and chance(room, 0.5):
        stand_on(room, first, one_of(room, "bottle", "towel"))
    if chance(room, 0.5):
        lay_before(room, first, "mat")


def _curtain(room: Arranger) -> None:
    """A curtain of its own: a bath or a shower is otherwise built with one."""
    hang(room, "shower_curtain", width=float(room.rng.uniform(0.8, 1.2)))
