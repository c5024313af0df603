"""Kitchens: a run of counters with a sink, a refrigerator and a stove beside it, wall cabinets above, a table."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.arranger import Arranger, Item, Unplaceable
from sparse3d.rooms.fixtures import hang, hang_above, litter, stand_on
from sparse3d.rooms.layouts.groups import between, chance, decorate, dining_group, one_of, sofa_group, storage
from sparse3d.rooms.places import against_wall, at_wall, beside, in_the_open, lay_before, seats_around

_COUNTER_THINGS = ("jar", "bottle", "bowl", "plate", "cup", "plant", "box", "jar", "bottle", "books", "tissue_box")


def furnish_kitchen(room: Arranger) -> None:
    """Furnish a kitchen; a washing machine, an island, a sofa come at times."""
    area = room.plan.area
    run = _run(room)
    _equipment(room, run)
    if area > 16 and chance(room, 0.35):
        second = against_wall(
            room, "kitchen_run", front=0.6, corner=0.7, width=between(room, 1.2, 2.0), with_sink=False
        )
        if second is not None:
            _dress_run(room, second)
    if area > 18 and chance(room, 0.4):
        island = in_the_open(room, "island", margin=0.7)
        if island is not None:
            seats_around(room, island, "stool", int(room.rng.integers(2, 4)), ends=False)
            litter(room, island, _COUNTER_THINGS, 3)
    if chance(room, 0.85):
        dining_group(room, int(room.rng.integers(2, 7)))
    if chance(room, 0.3):
        against_wall(room, "washing_machine", front=0.4, corner=0.6)
    if area > 22 and chance(room, 0.35):
        sofa_group(room, screen=0.5)
    storage(room, ("cabinet", "cabinet", "shelf", "bookshelf"), int(room.rng.integers(0, 3)))
    against_wall(room, "trash_can", corner=0.6)
    if chance(room, 0.3):
        lay_before(room, run, "mat")
    if chance(room, 0.3):
        hang(room, "towel")
    decorate(room, pictures=(0, 2), clutter=(0, 3))


def kitchenette(room: Arranger) -> None:
    """A short run with a refrigerator beside it, for a room that is more than a kitchen."""
    run = against_wall(room, "kitchen_run", front=0.5, corner=0.8, width=between(room, 1.2, 1.8), with_sink=True)
    if run is not None:
        _dress_run(room, run)
        if beside(room, run, "refrigerator", gap=0.015) is None:
            against_wall(room, "refrigerator", corner=0.8)


def _run(room: Arranger) -> Item:
    """The main run, as long as the wall lets it be, with space left for what stands beside it."""
    for attempt in range(12):
        wall = int(room.rng.integers(len(room.walls)))
        length = room.walls[wall].length
        width = min(between(room, 1.8, 3.4), length - 0.9) * (1 - 0.04 * attempt)
        if width < 1.2:
            continue
        candidate = room.make("kitchen_run", width=width, with_sink=True)
        half = float(candidate.size[0]) / 2
        for _ in range(6):
            along = half + 0.02 + float(room.rng.choice([0.0, 0.75, 1.0])) * (length - 2 * half - 0.04)
            run = at_wall(room, candidate, wall, along, front=0.6)
            if run is not None:
                _dress_run(room, run)
                return run
    raise Unplaceable("kitchen_run")


def _dress_run(room: Arranger, run: Item) -> None:
    """Wall cabinets over a run (in one piece or in several, not over windows) and things on it."""
    pieces = int(room.rng.integers(1, 4))
    width = run.width / pieces
    for k in range(pieces):
        if chance(room, 0.85):
            shift = (k - (pieces - 1) / 2) * width
            hang_above(room, run, "wall_cabinet", shift=shift, clear=0.45, width=width - 0.01)
    for role in ("kettle", "coffee_maker", "microwave"):
        if chance(room, 0.45):
            stand_on(room, run, role, tries=10)
    litter(room, run, _COUNTER_THINGS, int(room.rng.integers(2, 7)))


def _equipment(room: Arranger, run: Item) -> None:
    """The refrigerator, the stove and the like beside the run, or at another wall."""
    sides = [int(side) for side in room.rng.permutation([-1, 1])]
    fridge = None
    if chance(room, 0.95):
        fridge = beside(room, run, "refrigerator", gap=0.015, front=0.5, sides=sides)
        fridge = fridge or against_wall(room, "refrigerator", front=0.5, corner=0.8, tries=30)
    if chance(room, 0.8):
        anchors = [run] + ([fridge] if fridge is not None else [])
        for anchor in anchors:
            stove = beside(room, anchor, "stove", gap=0.01, front=0.5, sides=sides[::-1])
            if stove is not None:
                break
        else:
            stove = against_wall(room, "stove", front=0.5)
        if stove is not None and chance(room, 0.3):
            beside(room, stove, "counter", gap=0.01, front=0.4)
    if fridge is not None and fridge.top < 1.3 and chance(room, 0.6):
        stand_on(room, fridge, one_of(room, "microwave", "box", "bowl"))
    if np.all([item.role != "stove" for item in room.items]):
        against_wall(room, "counter", front=0.4)
