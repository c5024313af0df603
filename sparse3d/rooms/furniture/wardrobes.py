"""Wardrobes."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.casework import carcass, doors, draw_joinery, drawers, feet, panel, shelf_boards
from sparse3d.rooms.furniture.grouping import material_of, maybe
from sparse3d.rooms.piece import Piece
from sparse3d.rooms.style import Style


@construction("wardrobe")
def hinged_wardrobe(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Two to five hinged doors, at times drawers under them and a cornice above."""
    width = width or float(rng.uniform(0.8, 2.2))
    height, depth, foot = rng.uniform(1.8, 2.3), rng.uniform(0.52, 0.64), rng.uniform(0.05, 0.12)
    joinery, count = draw_joinery(rng, style), max(2, round(width / rng.uniform(0.42, 0.55)))
    build, cornice = PieceBuilder("wardrobe"), 0.03 if maybe(rng) else 0.0
    side = cornice
    feet(build, str(rng.choice(["plinth", "block"])), (side, 0), (width - side, depth), foot, joinery.body)
    top = height - 1.7 * cornice
    carcass(build, (side, 0, foot), (width - side, depth, top), joinery)
    if cornice:
        build.board((0, -0.035, top), (width, depth, height), joinery.body, "top")
    split = foot + (rng.uniform(0.2, 0.45) if maybe(rng, 0.4) else 0.0)
    if split > foot:
        rows = 1 if split < 0.35 else 2
        drawers(build, joinery, (side, foot), (width - side, split), 0, [1] * rows, columns=max(1, count // 2))
    doors(build, joinery, (side, split), (width - side, top), 0, count, grip=0.45, handle_length=rng.uniform(0.12, 0.4))
    build.support((width / 2, depth / 2, height), (width - 0.1, depth - 0.08), 0.3)
    return build.build()


@construction("wardrobe")
def sliding_wardrobe(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Two or three sliding doors, one in front of the other, some with a mirror."""
    width = width or float(rng.uniform(1.4, 2.6))
    height, depth = rng.uniform(2.0, 2.35), rng.uniform(0.58, 0.66)
    joinery = draw_joinery(rng, style, handles=("edge",))
    mirror, count = material_of(rng, style, "glass", "painted", "wood"), 2 if width < 1.9 else 3
    build = PieceBuilder("wardrobe")
    feet(build, "plinth", (0, -0.03), (width, depth), 0.05, joinery.body)
    low, high = carcass(build, (0, 0, 0.05), (width, depth, height), joinery)
    for z0, z1 in ((0.05, 0.075), (height - 0.03, height)):
        build.board((0, -0.06, z0), (width, 0, z1), joinery.metal, "rail")
    edges = np.linspace(0, width, count + 1)
    for k, (x0, x1) in enumerate(zip(edges, edges[1:], strict=False)):
        y = -0.006 - 0.028 * (k % 2)
        lap = 0.02
        x0, x1 = max(0.0, x0 - lap), min(width, x1 + lap)
        panel(build, joinery, (x0, 0.073), (x1, height - 0.028), y, "door", "flat")
        if maybe(rng):
            build.board((x0 + 0.07, y - 0.023, 0.2), (x1 - 0.07, y - 0.02, height - 0.15), mirror, "pane")
        for x in (x0 + 0.02, x1 - 0.02):
            build.board((x - 0.014, y - 0.027, 0.1), (x + 0.014, y - 0.02, height - 0.06), joinery.metal, "handle")
    build.support((width / 2, depth / 2, height), (width - 0.1, depth - 0.08), 0.3)
    return build.build()


@construction("wardrobe")
def open_wardrobe(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """No doors: a rod with clothes on one side, boards or drawers on the other."""
    width = width or float(rng.uniform(1.0, 1.8))
    height, depth = rng.uniform(1.8, 2.2), rng.uniform(0.48, 0.6)
    joinery = draw_joinery(rng, style)
    build, t = PieceBuilder("wardrobe"), joinery.board
    low, high = carcass(build, (0, 0, 0), (width, depth, height), joinery)
    split = width * rng.uniform(0.5, 0.65)
    build.board((split - t / 2, low[1], low[2]), (split + t / 2, high[1], high[2]), joinery.body, "side")
    rod, y = high[2] - rng.uniform(0.05, 0.25), depth / 2
    build.cylinder((low[0], y, rod), (split - t / 2, y, rod), 0.014, joinery.metal, "rod", 8)
    x = low[0] + 0.05
    while x < split - 0.12:
        cloth, long = material_of(rng, style, "fabric", "fabric", "leather"), rng.uniform(0.6, 1.15)
        wide, thick = rng.uniform(0.36, 0.42), rng.uniform(0.025, 0.06)
        build.cushion((x + thick / 2, y, rod - 0.01 - long / 2), (thick, wide, long), cloth, "clothes", 0.3, steps=5)
        x += thick + rng.uniform(0.005, 0.06)
    inside = np.array([split + t / 2, *low[1:]]), high
    rows = 0.6 if maybe(rng) else 0.0
    if rows:
        drawers(build, joinery, (inside[0][0], low[2]), (high[0], low[2] + rows), 0.025, [1, 1, 1])
        build.board((inside[0][0], 0.005, low[2] + rows), (high[0], high[1], low[2] + rows + t), joinery.body, "shelf")
        inside[0][2] += rows + t
    levels = np.linspace(inside[0][2], high[2] + t, int(rng.integers(4, 7)))[1:-1]
    shelf_boards(build, *inside, levels.tolist(), joinery)
    build.support((width / 2, depth / 2, height), (width - 0.1, depth - 0.08), 0.3)
    return build.build()
