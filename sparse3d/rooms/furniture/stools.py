"""Stools."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.bases import apron, chance, four_legs
from sparse3d.rooms.furniture.office_chairs import star_base
from sparse3d.rooms.piece import Piece
from sparse3d.rooms.solids import SolidBuilder, arc, padding, rounded_board, tube
from sparse3d.rooms.style import Style


@construction("stool")
def round_stool(rng: np.random.Generator, style: Style) -> Piece:
    """A round seat on three or four slanting legs, low or as high as a bar's, with a ring for the feet."""
    height, radius = rng.uniform(0.42, 0.78), rng.uniform(0.15, 0.2)
    seat, leg = style.material("wood", rng), style.material(str(rng.choice(["wood", "metal"])), rng)
    build = SolidBuilder("stool")
    build.cylinder((0, 0, height - 0.035), (0, 0, height), radius, seat, "seat", sides=20)
    for angle in np.arange(legs := int(rng.integers(3, 5))) * 2 * np.pi / legs:
        out = np.array([np.cos(angle), np.sin(angle), 0])
        build.cylinder(out * radius, out * radius * 0.7 + [0, 0, height - 0.03], 0.014, leg, "leg", sides=8)
    if height > 0.55 or chance(rng, 0.3):
        low = rng.uniform(0.16, 0.28)
        reach = radius * (1 - 0.3 * low / height)
        ring = arc((0, 0, low), (reach, 0, 0), (0, reach, 0), 0, 2 * np.pi, 20)[:-1]
        tube(build, ring, 0.009, leg, "stretcher", sides=6, closed=True)
    return build.build()


@construction("stool")
def square_stool(rng: np.random.Generator, style: Style) -> Piece:
    """A square seat, bare or covered, on four upright legs with rails."""
    height, side = rng.uniform(0.42, 0.68), rng.uniform(0.3, 0.4)
    wood = style.material(str(rng.choice(["wood", "painted", "metal"])), rng)
    build, thick = SolidBuilder("stool"), 0.032
    rounded_board(build, (0, 0, height - 0.0125), (side, side, 0.025), 0.015, wood, "seat")
    if chance(rng, 0.4):
        cover = style.material(str(rng.choice(["fabric", "leather"])), rng)
        padding(
            build, (0, 0, height + 0.018), (side - 0.01, side - 0.01, 0.045), cover, "seat", radius=0.02, crown=0.01
        )
    four_legs(build, side - 0.05, side - 0.05, height - 0.02, thick, wood, str(rng.choice(["square", "tapered"])))
    apron(build, side - 0.05, side - 0.05, height - 0.08, height - 0.02, 0.018, wood)
    low = rng.uniform(0.12, 0.3)
    apron(build, side - 0.05, side - 0.05, low - 0.012, low + 0.012, 0.018, wood, "stretcher")
    return build.build()


@construction("stool")
def swivel_stool(rng: np.random.Generator, style: Style) -> Piece:
    """A round padded seat on a column, with castors or a plate on the floor."""
    height, radius = rng.uniform(0.45, 0.78), rng.uniform(0.16, 0.2)
    build, metal = SolidBuilder("stool"), style.material("metal", rng)
    cover = style.material(str(rng.choice(["leather", "fabric", "plastic", "wood"])), rng)
    profile = [(0, 0), (radius * 0.96, 0.02), (radius, 0.3), (radius * 0.99, 0.7), (radius * 0.9, 0.95), (0, 1)]
    build.turned(profile, cover, "seat", (0, 0, height - 0.07), (0, 0, height), sides=20)
    if chance(rng, 0.5) and height < 0.62:
        star_base(build, rng.uniform(0.24, 0.28), height - 0.065, metal, style.material("rubber", rng), 0.3)
        return build.build()
    _plate(build, height, radius, style, rng)
    return build.build()


def _plate(build: PieceBuilder, height: float, radius: float, style: Style, rng: np.random.Generator) -> None:
    """A heavy disc with a column and, for high stools, a bent rest for the feet."""
    metal = style.material("metal", rng)
    foot = radius * rng.uniform(1.05, 1.25)
    build.turned([(0, 0), (foot, 0), (foot, 0.25), (foot * 0.4, 0.6), (0.03, 1)], metal, "base", end=(0, 0, 0.035))
    build.cylinder((0, 0, 0.02), (0, 0, height - 0.06), 0.026, metal, "column", sides=12)
    if height > 0.6:
        rest = arc((0, -0.02, 0.25), (0.13, 0, 0), (0, -0.14, 0), 0, np.pi, 10)
        tube(build, [(0, 0, 0.25), *rest, (0, 0, 0.25)], 0.009, metal, "foot rest", sides=6)
