"""Stools."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.piece import Piece
from sparse3d.rooms.style import Style


@construction("stool")
def round_stool(rng: np.random.Generator, style: Style) -> Piece:
    """A round seat on three or four slanting legs."""
    height, radius = rng.uniform(0.42, 0.7), rng.uniform(0.15, 0.2)
    seat, leg = style.material("wood", rng), style.material(str(rng.choice(["wood", "metal"])), rng)
    build = PieceBuilder("stool")
    build.cylinder((0, 0, height - 0.035), (0, 0, height), radius, seat, "seat")
    for angle in np.arange(legs := int(rng.integers(3, 5))) * 2 * np.pi / legs:
        out = np.array([np.cos(angle), np.sin(angle), 0])
        build.cylinder(out * radius, out * radius * 0.7 + [0, 0, height - 0.035], 0.014, leg, "leg", sides=8)
    return build.build()
