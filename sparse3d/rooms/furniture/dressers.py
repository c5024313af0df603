"""Dressers: drawers for clothes."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.casework import Joinery, carcass, doors, draw_joinery, drawers, feet
from sparse3d.rooms.furniture.grouping import material_of, maybe
from sparse3d.rooms.piece import Piece
from sparse3d.rooms.style import Style


def _top(build: PieceBuilder, joinery: Joinery, width: float, depth: float, height: float, over: float) -> None:
    """A top board from 0 to ``width`` that stands over the body by ``over`` at the front and the sides."""
    build.board((0, -over, height - 0.022), (width, depth, height), joinery.body, "top")
    build.support((width / 2, (depth - over) / 2, height), (width - 0.05, depth + over - 0.05))


@construction("dresser")
def chest_of_drawers(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Three to six drawers above each other, the upper ones at times in two columns."""
    width = width or float(rng.uniform(0.6, 1.1))
    height, depth = rng.uniform(0.75, 1.3), rng.uniform(0.4, 0.5)
    joinery, over, foot = draw_joinery(rng, style), rng.uniform(0, 0.02) + 0.021, rng.uniform(0.05, 0.15)
    build = PieceBuilder("dresser")
    side = rng.uniform(0.0, 0.02)
    feet(build, str(rng.choice(["plinth", "block", "splayed"])), (side, 0), (width - side, depth), foot, joinery.body)
    top = height - 0.022
    carcass(build, (side, 0, foot), (width - side, depth, top), joinery, top=False)
    _top(build, joinery, width, depth, height, over)
    count = int(np.clip(round((height - foot) / rng.uniform(0.17, 0.24)), 3, 6))
    low, high = (side, foot), (width - side, top)
    if maybe(rng):
        split = top - (top - foot) / (count + 0.2)
        drawers(build, joinery, (low[0], split), high, 0, [1], columns=2)
        drawers(build, joinery, low, (high[0], split), 0, [1] * (count - 1))
    else:
        drawers(build, joinery, low, high, 0, np.linspace(1.4, 1.0, count).tolist())
    return build.build()


@construction("dresser")
def wide_dresser(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Low and wide: two or three columns of drawers on legs."""
    width = width or float(rng.uniform(1.2, 1.8))
    height, depth = rng.uniform(0.7, 0.9), rng.uniform(0.42, 0.52)
    joinery, foot = draw_joinery(rng, style), rng.uniform(0.1, 0.22)
    legs = material_of(rng, style, "wood", "metal")
    build = PieceBuilder("dresser")
    feet(build, str(rng.choice(["block", "splayed", "sled"])), (0, 0), (width, depth), foot, legs)
    carcass(build, (0, 0, foot), (width, depth, height - 0.022), joinery, top=False)
    _top(build, joinery, width, depth, height, 0.021)
    drawers(build, joinery, (0, foot), (width, height - 0.022), 0, [1.25, 1.1, 1][: int(rng.integers(2, 4))],
            columns=int(rng.integers(2, 4)))  # fmt: skip
    return build.build()


@construction("dresser")
def dresser_with_door(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Drawers in one column, a door beside them, a raised rim at the back of the top."""
    width = width or float(rng.uniform(0.9, 1.3))
    height, depth = rng.uniform(0.8, 1.1), rng.uniform(0.4, 0.5)
    joinery, foot = draw_joinery(rng, style), rng.uniform(0.06, 0.14)
    build = PieceBuilder("dresser")
    feet(build, str(rng.choice(["plinth", "block"])), (0, 0), (width, depth), foot, joinery.body)
    top = height - 0.022
    low, high = carcass(build, (0, 0, foot), (width, depth, top), joinery, top=False)
    _top(build, joinery, width, depth, height, 0.021)
    split = width * rng.uniform(0.45, 0.6)
    build.board((split - 0.009, low[1], low[2]), (split + 0.009, high[1], top), joinery.body, "side")
    drawers(build, joinery, (0, foot), (split, top), 0, [1.2, 1.1, 1, 1][: int(rng.integers(3, 5))])
    doors(build, joinery, (split, foot), (width, top), 0, 1, grip=0.65)
    if maybe(rng):
        build.board((0, depth - 0.02, height), (width, depth, height + rng.uniform(0.04, 0.1)), joinery.body, "back")
    return build.build()
