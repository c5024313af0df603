"""Counters that stand alone: bars, receptions, shop counters."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.casework import carcass, draw_joinery, shelf_boards
from sparse3d.rooms.furniture.grouping import material_of, maybe
from sparse3d.rooms.piece import Piece
from sparse3d.rooms.style import Style


@construction("counter")
def bar_counter(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """High, with a clad front, a top that stands over at the front and a foot rail of metal."""
    width, height, depth = width or float(rng.uniform(1.2, 2.4)), rng.uniform(1.0, 1.12), rng.uniform(0.4, 0.55)
    joinery, top = draw_joinery(rng, style), material_of(rng, style, "wood", "stone", "metal")
    clad, over = material_of(rng, style, "tiles", "wood", "painted", "stone"), rng.uniform(0.08, 0.22)
    build = PieceBuilder("counter")
    build.board((0.03, over, 0), (width - 0.03, over + 0.03, height - 0.04), clad, "front")
    for x in (0.03, width - 0.03 - joinery.board):
        build.board((x, over + 0.03, 0), (x + joinery.board, depth, height - 0.04), joinery.body, "side")
    inside = np.array([0.03 + joinery.board, over + 0.03, 0.0]), np.array([width - 0.03 - joinery.board, depth, height])
    for z in (0.1, 0.55):
        build.board((inside[0][0], inside[0][1], z), (inside[1][0], depth, z + 0.02), joinery.body, "shelf")
        build.support((width / 2, (over + 0.03 + depth) / 2, z + 0.02), (width - 0.2, depth - over - 0.08), 0.35)
    build.board((0, 0, height - 0.04), (width, depth, height), top, "top")
    build.support((width / 2, depth / 2, height), (width - 0.06, depth - 0.06), 0.9)
    if maybe(rng, 0.6):
        y = over * 0.45
        build.cylinder((0.06, y, 0.2), (width - 0.06, y, 0.2), 0.018, joinery.metal, "rail", 10)
        for x in np.linspace(0.12, width - 0.12, 3):
            build.cylinder((x, y, 0.2), (x, over, 0.2), 0.012, joinery.metal, "rail", 8)
    return build.build()


@construction("counter")
def reception_counter(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A desk behind a higher front with a narrow ledge on it; guests stand at its front."""
    width, height, depth = width or float(rng.uniform(1.4, 2.6)), rng.uniform(1.05, 1.18), rng.uniform(0.6, 0.8)
    body, accent = (
        material_of(rng, style, "wood", "painted", "stone"),
        material_of(rng, style, "wood", "metal", "glass"),
    )
    build, desk, ledge = PieceBuilder("counter"), rng.uniform(0.72, 0.76), rng.uniform(0.25, 0.32)
    build.board((0, 0.03, 0), (width, 0.06, height - 0.03), body, "front")
    for k in range(count := int(rng.integers(0, 4))):
        z = 0.2 + k * (height - 0.35) / count
        build.board((0, 0.018, z), (width, 0.03, z + 0.05), accent, "front")
    for x in (0, width - 0.03):
        build.board((x, 0.06, 0), (x + 0.03, depth, desk - 0.028), body, "side")
        build.board((x, 0.06, desk), (x + 0.03, ledge, height - 0.03), body, "side")
    build.board((0, 0.06, desk - 0.028), (width, depth, desk), body, "top")
    build.board((0, 0, height - 0.03), (width, ledge, height), accent, "top")
    build.support((width / 2, ledge / 2, height), (width - 0.06, ledge - 0.04), 0.8)
    build.support((width / 2, (ledge + depth) / 2, desk), (width - 0.1, depth - ledge - 0.04), 0.8)
    return build.build()


@construction("counter")
def shop_counter(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A closed body with a window in its upper front, boards behind it, open at the back."""
    width, height, depth = width or float(rng.uniform(1.0, 2.0)), rng.uniform(0.88, 1.0), rng.uniform(0.45, 0.6)
    joinery, build = draw_joinery(rng, style), PieceBuilder("counter")
    low, high = carcass(build, (0, 0.03, 0), (width, depth, height - 0.03), joinery, back=False)
    split = height * rng.uniform(0.5, 0.65)
    build.board((0, 0.01, 0), (width, 0.03, split), joinery.front, "front")
    window = maybe(rng, 0.6)
    build.board((0, 0.016 if window else 0.01, split), (width, 0.03, height - 0.03),
                joinery.pane if window else joinery.front, "pane" if window else "front")  # fmt: skip
    shelf_boards(build, low, high, [split], joinery)
    top = material_of(rng, style, "wood", "stone", "painted")
    build.board((0, 0, height - 0.03), (width, depth, height), top, "top")
    build.support((width / 2, depth / 2, height), (width - 0.06, depth - 0.06), 0.9)
    return build.build()


@construction("counter")
def wall_counter(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A plain work top with a lip at the wall on three or more panels."""
    width, height, depth = width or float(rng.uniform(1.2, 3.0)), rng.uniform(0.86, 0.95), rng.uniform(0.5, 0.65)
    top, panel = material_of(rng, style, "stone", "wood", "metal"), material_of(rng, style, "wood", "painted")
    build, thick = PieceBuilder("counter"), rng.uniform(0.03, 0.06)
    build.board((0, 0, height - thick), (width, depth, height), top, "top")
    build.board((0, depth - 0.02, height), (width, depth, height + 0.08), top, "back")
    for x in np.linspace(0.03, width - 0.07, max(2, round(width / 0.8) + 1)):
        build.board((x, 0.05, 0), (x + 0.04, depth - 0.02, height - thick), panel, "leg")
    build.board((0.03, depth - 0.04, 0.3), (width - 0.03, depth - 0.02, height - thick), panel, "back")
    build.support((width / 2, depth / 2 - 0.01, height), (width - 0.06, depth - 0.08), 0.6)
    return build.build()
