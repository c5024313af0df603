"""Bathrooms: toilet, wash basin with a mirror, bathtub or shower with its curtain, a cabinet."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.arranger import Arranger, Candidate, Item, Unplaceable
from sparse3d.rooms.fixtures import hang, hang_above, litter, stand_on
from sparse3d.rooms.layouts.groups import chance, one_of, storage, wall_things
from sparse3d.rooms.places import against_wall, beside, into_corner, lay_before, scatter

_BASIN_THINGS = ("cup", "bottle", "tissue_box", "jar", "towel")


def furnish_bathroom(room: Arranger) -> None:
    """Furnish a bathroom; a second basin, a washing machine and storage fill the larger ones."""
    _bathing(room)
    toilet = against_wall(room, "toilet", front=0.45, corner=0.3, tries=30, required=True)
    if toilet is not None and toilet.wall is not None:
        if chance(room, 0.4):
            beside(room, toilet, "trash_can", gap=0.15)
        hang(room, "toilet_paper", walls=[toilet.wall])
    for _ in range(1 + int(chance(room, 0.25))):
        basin = hang(room, "wall_basin", front=0.5) if chance(room, 0.2) else None
        required = not room.of_role("bathroom_sink", "wall_basin")
        basin = basin or against_wall(room, "bathroom_sink", front=0.5, corner=0.2, tries=30, required=required)
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
    """A bathtub, a bathtub with a shower and its curtain, or a shower; a bathtub may come with a shower beside.

    Raises :class:`Unplaceable` if none of them has a place.
    """
    role = one_of(room, "bathtub", "bathtub", "shower_bath", "shower_bath", "shower_bath", "shower_bath", "shower")
    first = _in_a_corner(room, role) or _in_a_corner(room, "shower_bath")
    first = first or against_wall(room, "shower_bath", corner=0.3, tries=24)
    if first is None:
        raise Unplaceable(role)
    if first.role == "bathtub" and chance(room, 0.6):
        _in_a_corner(room, "shower")
    if first.role != "shower" and chance(room, 0.5):
        stand_on(room, first, one_of(room, "bottle", "towel"))
    if chance(room, 0.5):
        lay_before(room, first, "mat")


def _in_a_corner(room: Arranger, role: str) -> Item | None:
    candidate = room.make(role)
    return into_corner(room, candidate, _open_side(candidate), front=0.4)


def _open_side(candidate: Candidate) -> int:
    """The side (-1 left, 1 right, 0 neither) that a bath or a shower for a corner turns to the room.

    There runs a shower's rod back to the wall, and there a corner bath's front is cut off.
    """
    low, high = candidate.local[:2], candidate.local[3:5]
    middle = (low + high) / 2
    for piece in candidate.pieces:
        if candidate.role == "shower" and piece.category == "shower curtain":
            behind = piece.vertices[piece.vertices[:, 1] > middle[1] + 0.1, 0]
            return int(np.sign(np.round(behind.mean() - middle[0], 2))) if len(behind) else 0
    flat = np.concatenate([piece.vertices[:, :2] for piece in candidate.pieces])
    cut = [np.linalg.norm(flat - corner, axis=1).min() for corner in (low, np.array([high[0], low[1]]))]
    return int(np.sign(np.round(cut[1] - cut[0], 1)))
