"""Night stands."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.bases import LEG_SHAPES, chance, four_legs, knob_or_pull
from sparse3d.rooms.furniture.desks import drawers
from sparse3d.rooms.furniture.tables import flat_top, round_top
from sparse3d.rooms.piece import Piece
from sparse3d.rooms.solids import SolidBuilder
from sparse3d.rooms.style import Style

_PULLS = ("knob", "bar", "cup")


@construction("night_stand")
def drawer_night_stand(rng: np.random.Generator, style: Style) -> Piece:
    """A block of one to three drawers on legs or on a plinth."""
    wide, deep, height = rng.uniform(0.36, 0.55), rng.uniform(0.34, 0.45), rng.uniform(0.42, 0.65)
    build, body = SolidBuilder("nightstand"), style.material(str(rng.choice(["wood", "wood", "painted"])), rng)
    face = body if chance(rng, 0.65) else style.material(str(rng.choice(["wood", "painted"])), rng)
    legged = chance(rng, 0.6)
    low = rng.uniform(0.1, 0.22) if legged else 0.05
    flat_top(build, wide, deep, height, 0.022, body, 0.006)
    inner = wide - float(rng.choice([0.0, 0.02]))
    drawers(build, 0.0, inner, -deep / 2 + 0.004, deep / 2, low, height - 0.022, int(rng.integers(1, 4)), body, face,
            style.material("metal", rng), str(rng.choice(_PULLS)))  # fmt: skip
    if legged:
        four_legs(build, inner - 0.06, deep - 0.09, low + 0.01, 0.045, body, str(rng.choice(LEG_SHAPES)))
    else:
        build.board(
            (-inner / 2 + 0.02, -deep / 2 + 0.05, 0), (inner / 2 - 0.02, deep / 2 - 0.01, low + 0.005), body, "base"
        )
    return build.build()


@construction("night_stand")
def open_night_stand(rng: np.random.Generator, style: Style) -> Piece:
    """A drawer over an open compartment, or only the compartment."""
    wide, deep, height = rng.uniform(0.36, 0.52), rng.uniform(0.34, 0.42), rng.uniform(0.42, 0.62)
    build, body = SolidBuilder("nightstand"), style.material(str(rng.choice(["wood", "painted"])), rng)
    t, low = 0.018, rng.uniform(0.04, 0.16)
    flat_top(build, wide, deep, height, t, body, 0.004)
    for side in (-1, 1):
        x = side * (wide / 2 - t / 2)
        build.box((x, 0, (height - t) / 2), (t, deep, height - t), body, "side")
    build.board((-wide / 2 + t / 2, -deep / 2 + 0.01, low), (wide / 2 - t / 2, deep / 2, low + t), body, "shelf")
    build.board((-wide / 2 + t / 2, deep / 2 - 0.008, low), (wide / 2 - t / 2, deep / 2, height - t), body, "back")
    ceiling = height - t
    if chance(rng, 0.65):
        ceiling = height - t - rng.uniform(0.12, 0.17)
        face = body if chance(rng, 0.5) else style.material("painted", rng)
        drawers(build, 0.0, wide - 2 * t, -deep / 2 + 0.004, deep / 2 - 0.008, ceiling, height - t, 1, body, face,
                style.material("metal", rng), str(rng.choice(_PULLS)))  # fmt: skip
    build.support((0, 0.0, low + t), (wide - 2 * t - 0.03, deep - 0.05), ceiling - low - t)
    return build.build()


@construction("night_stand")
def door_night_stand(rng: np.random.Generator, style: Style) -> Piece:
    """A small cupboard: a door, a frame on it or none, on legs."""
    wide, deep, height = rng.uniform(0.36, 0.48), rng.uniform(0.34, 0.42), rng.uniform(0.48, 0.68)
    build, body = SolidBuilder("nightstand"), style.material(str(rng.choice(["wood", "painted"])), rng)
    low, front = rng.uniform(0.06, 0.2), -deep / 2 + 0.006
    flat_top(build, wide, deep, height, 0.024, body, 0.01)
    build.board(
        (-wide / 2 + 0.01, front + 0.018, low), (wide / 2 - 0.01, deep / 2 - 0.005, height - 0.024), body, "side"
    )
    face = body if chance(rng, 0.5) else style.material("painted", rng)
    x0, z0, z1 = wide / 2 - 0.016, low + 0.006, height - 0.03
    build.board((-x0, front + 0.004, z0), (x0, front + 0.018, z1), face, "door")
    if chance(rng, 0.6):
        for side in (-1, 1):
            build.board(
                (side * (x0 - 0.025) - 0.025, front, z0), (side * (x0 - 0.025) + 0.025, front + 0.006, z1), face, "door"
            )
        for z in (z0, z1 - 0.05):
            build.board((-x0, front, z), (x0, front + 0.006, z + 0.05), face, "door")
    knob_or_pull(
        build, float(rng.choice([-1, 1])) * (x0 - 0.03), front, (z0 + z1) / 2, "knob", style.material("metal", rng)
    )
    four_legs(build, wide - 0.08, deep - 0.08, low + 0.01, 0.04, body, str(rng.choice(LEG_SHAPES)))
    return build.build()


@construction("night_stand")
def round_night_stand(rng: np.random.Generator, style: Style) -> Piece:
    """A round drum with a shelf: two discs on four posts."""
    wide, height = rng.uniform(0.36, 0.48), rng.uniform(0.44, 0.58)
    build, wood = SolidBuilder("nightstand"), style.material(str(rng.choice(["wood", "painted"])), rng)
    metal, low = style.material(str(rng.choice(["metal", "wood"])), rng), rng.uniform(0.12, 0.2)
    round_top(build, wide, wide, height, 0.022, wood)
    build.cylinder((0, 0, low), (0, 0, low + 0.02), wide * 0.48, wood, "shelf", sides=24)
    build.support((0, 0, low + 0.02), (wide * 0.55, wide * 0.55), height - low - 0.042)
    for angle in (np.arange(4) + 0.5) * np.pi / 2:
        x, y = np.cos(angle) * wide * 0.45, np.sin(angle) * wide * 0.45
        build.cylinder((x, y, 0), (x, y, height - 0.022), 0.013, metal, "leg", sides=8)
    return build.build()
