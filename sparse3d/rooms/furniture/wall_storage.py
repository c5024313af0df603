"""Storage that hangs on the wall: cabinets and shelves. Their lowest point is z = 0; see mounting.MOUNT_HEIGHT."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.bookshelves import draw_covers, stand_books
from sparse3d.rooms.furniture.casework import carcass, doors, draw_joinery, shelf_boards
from sparse3d.rooms.furniture.grouping import material_of, maybe
from sparse3d.rooms.piece import Piece
from sparse3d.rooms.style import Style


@construction("wall_cabinet")
def wall_cabinet(rng: np.random.Generator, style: Style, width: float | None = None,
                 category: str = "kitchen cabinet") -> Piece:  # fmt: skip
    """A row of doors over the whole height; ``category`` may be "bathroom cabinet". Hangs at 1.4 m."""
    width = width or float(rng.uniform(0.5, 1.4))
    bath = category == "bathroom cabinet"
    height, depth = rng.uniform(0.5, 0.9), rng.uniform(0.14, 0.2) if bath else rng.uniform(0.3, 0.36)
    joinery = draw_joinery(rng, style)
    build = PieceBuilder(category)
    carcass(build, (0, 0, 0), (width, depth, height), joinery)
    doors(build, joinery, (0, 0), (width, height), 0, max(1, round(width / 0.45)), grip=0.15)
    build.support((width / 2, depth / 2, height), (width - 0.05, depth - 0.04), 0.2)
    return build.build()


@construction("wall_cabinet")
def glazed_wall_cabinet(rng: np.random.Generator, style: Style, width: float | None = None,
                        category: str = "kitchen cabinet") -> Piece:  # fmt: skip
    """Doors of glass (of mirror in a bathroom) before two or three boards. Hangs at 1.4 m."""
    width = width or float(rng.uniform(0.5, 1.2))
    bath = category == "bathroom cabinet"
    height, depth = rng.uniform(0.5, 0.85), rng.uniform(0.14, 0.2) if bath else rng.uniform(0.3, 0.36)
    joinery = draw_joinery(rng, style, fronts=("flat", "framed"))
    build = PieceBuilder(category)
    low, high = carcass(build, (0, 0, 0), (width, depth, height), joinery)
    shelf_boards(build, low, high, np.linspace(0, height, int(rng.integers(3, 5)))[1:-1].tolist(), joinery,
                 open_front=False)  # fmt: skip
    doors(build, joinery, (0, 0), (width, height), 0, max(1, round(width / 0.45)), grip=0.15, kind="glass")
    build.support((width / 2, depth / 2, height), (width - 0.05, depth - 0.04), 0.2)
    return build.build()


@construction("wall_cabinet")
def half_open_wall_cabinet(rng: np.random.Generator, style: Style, width: float | None = None,
                           category: str = "kitchen cabinet") -> Piece:  # fmt: skip
    """Doors on one side, open boards on the other, or an open board under the doors. Hangs at 1.4 m."""
    width = width or float(rng.uniform(0.7, 1.4))
    bath = category == "bathroom cabinet"
    height, depth = rng.uniform(0.6, 0.85), rng.uniform(0.14, 0.2) if bath else rng.uniform(0.3, 0.36)
    joinery = draw_joinery(rng, style)
    build, t = PieceBuilder(category), joinery.board
    low, high = carcass(build, (0, 0, 0), (width, depth, height), joinery)
    if maybe(rng):
        split = width * rng.uniform(0.3, 0.45)
        build.board((split - t, low[1], low[2]), (split, high[1], high[2]), joinery.body, "side")
        levels = np.linspace(low[2], high[2] + t, 4 if height > 0.7 else 3)[1:-1]
        shelf_boards(build, low, np.array([split - t, *high[1:]]), levels.tolist(), joinery)
        doors(build, joinery, (split - t, 0), (width, height), 0, max(1, round((width - split) / 0.45)), grip=0.15)
    else:
        split = height * rng.uniform(0.3, 0.4)
        shelf_boards(build, low, np.array([*high[:2], split - t]), [], joinery)
        build.board((low[0], low[1], split - t), (high[0], high[1], split), joinery.body, "shelf")
        doors(build, joinery, (0, split - t), (width, height), 0, max(2, round(width / 0.45)), grip=0.2)
    build.support((width / 2, depth / 2, height), (width - 0.05, depth - 0.04), 0.2)
    return build.build()


@construction("shelf")
def bracket_shelf(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """One to three boards on brackets. Hangs at 1.35 m."""
    width = width or float(rng.uniform(0.5, 1.3))
    depth, count, rise = rng.uniform(0.16, 0.28), int(rng.integers(1, 4)), rng.uniform(0.26, 0.36)
    board, metal = material_of(rng, style, "wood", "painted", "glass"), material_of(rng, style, "metal", "wood")
    thick, reach = rng.uniform(0.016, 0.035), depth * 0.8
    build = PieceBuilder("shelf")
    for k in range(count):
        z = 0.12 + k * rise
        build.board((0, 0, z), (width, depth, z + thick), board, "shelf")
        build.support((width / 2, depth / 2, z + thick), (width - 0.03, depth - 0.03),
                      rise - thick - 0.13 if k + 1 < count else 0.35)  # fmt: skip
        for x in (width * 0.15, width * 0.85):
            foot = z - 0.12 if k == 0 else z - rise + thick  # the strip runs on from board to board
            build.board((x - 0.01, depth - 0.008, foot), (x + 0.01, depth, z), metal, "bracket")
            build.board((x - 0.01, depth - reach, z - 0.008), (x + 0.01, depth - 0.008, z), metal, "bracket")
            start = (x, depth - 0.006, z - 0.11)
            build.cylinder(start, (x, depth - reach * 0.85, z - 0.005), 0.005, metal, "bracket", 6)
    return build.build()


@construction("shelf")
def box_shelf(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """An open box of boards, divided, some of it with books. Hangs at 1.35 m."""
    width = width or float(rng.uniform(0.5, 1.2))
    height, depth, count = rng.uniform(0.25, 0.5), rng.uniform(0.18, 0.26), int(rng.integers(1, 4))
    joinery, covers = draw_joinery(rng, style), draw_covers(rng, style)
    build, t = PieceBuilder("shelf"), joinery.board
    low, high = carcass(build, (0, 0, 0), (width, depth, height), joinery, back=maybe(rng, 0.6))
    edges = np.linspace(low[0], high[0] + t, count + 1)
    for k, (x0, x1) in enumerate(zip(edges, edges[1:] - t, strict=False)):
        if k:
            build.board((x0 - t, low[1], low[2]), (x0, high[1], high[2]), joinery.body, "side")
        inside = np.array([x0, *low[1:]]), np.array([x1, *high[1:]])
        if maybe(rng, 0.3):
            stand_books(build, rng, covers, *inside, filled=rng.uniform(0.4, 0.9))
        else:
            shelf_boards(build, *inside, [], joinery)
    build.support((width / 2, depth / 2, height), (width - 0.03, depth - 0.03), 0.35)
    return build.build()


@construction("shelf")
def rail_shelf(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Boards on two upright wall rails. Hangs at 1.35 m."""
    width = width or float(rng.uniform(0.6, 1.4))
    depth, count, rise = rng.uniform(0.2, 0.3), int(rng.integers(2, 4)), rng.uniform(0.28, 0.36)
    board, metal = material_of(rng, style, "wood", "painted"), material_of(rng, style, "metal", "painted")
    covers, thick, build = draw_covers(rng, style), 0.022, PieceBuilder("shelf")
    for x in (width * 0.15, width * 0.85):
        build.board((x - 0.012, depth, 0), (x + 0.012, depth + 0.015, 0.1 + rise * (count - 0.6)), metal, "rail")
    for k in range(count):
        z = 0.08 + k * rise
        build.board((0, 0, z), (width, depth, z + thick), board, "shelf")
        for x in (width * 0.15, width * 0.85):
            build.board((x - 0.006, 0.02, z - 0.03), (x + 0.006, depth, z), metal, "bracket")
        low, high = np.array([0.0, 0.0, z + thick]), np.array([width, depth, z + rise - 0.032])
        end = stand_books(build, rng, covers, low, high, rng.uniform(0.2, 0.7)) if maybe(rng, 0.4) else 0.0
        if width - end > 0.15:
            build.support(((end + width) / 2, depth / 2, z + thick), (width - end - 0.03, depth - 0.03),
                          rise - thick - 0.032)  # fmt: skip
    return build.build()
