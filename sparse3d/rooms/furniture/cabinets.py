"""Cabinets of living rooms, halls and schools, and the low ones that televisions stand on."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.casework import (
    Joinery,
    carcass,
    doors,
    draw_joinery,
    drawers,
    feet,
    handle,
    shelf_boards,
)
from sparse3d.rooms.furniture.grouping import material_of, maybe
from sparse3d.rooms.piece import Piece
from sparse3d.rooms.style import Style


def fill_bays(build: PieceBuilder, rng: np.random.Generator, joinery: Joinery, low: np.ndarray, high: np.ndarray,
              faces: tuple[float, float], odds: tuple[float, float, float]) -> None:  # fmt: skip
    """Divide the body into bays: each has doors, drawers or is open, by the ``odds`` of these three.

    ``low``, ``high`` bound the room inside; ``faces`` are the lower and the upper z that fronts cover.
    """
    bays = max(1, round((high[0] - low[0]) / rng.uniform(0.45, 0.65)))
    t = joinery.board
    edges = np.linspace(low[0] - t / 2, high[0] + t / 2, bays + 1)
    kinds = [str(rng.choice(["doors", "drawers", "open"], p=odds)) for _ in range((bays + 1) // 2)]
    kinds = [*kinds, *kinds[::-1][bays % 2 :]]  # mirrored about the middle, as most sideboards are
    for k, kind in enumerate(kinds):
        x0, x1 = edges[k], edges[k + 1]
        if k:
            build.board((x0 - t / 2, low[1], low[2]), (x0 + t / 2, high[1], high[2]), joinery.body, "side")
        outer = (x0 - (t / 2 if k == 0 else 0), x1 + (t / 2 if k + 1 == bays else 0))
        if kind == "doors":
            doors(build, joinery, (outer[0], faces[0]), (outer[1], faces[1]), low[1], 1 if x1 - x0 < 0.55 else 2, 0.7)
        elif kind == "drawers":
            count = int(np.clip(round((faces[1] - faces[0]) / 0.2), 1, 5))
            drawers(build, joinery, (outer[0], faces[0]), (outer[1], faces[1]), low[1], [1] * count)
        else:
            inside = np.array([x0 + t / 2, *low[1:]]), np.array([x1 - t / 2, *high[1:]])
            count = int(np.clip((high[2] - low[2]) / 0.3, 0, 4))
            levels = np.linspace(low[2], high[2] + t, count + 2)[1:-1]
            shelf_boards(build, *inside, levels.tolist(), joinery)


@construction("cabinet")
def sideboard(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Waist high, with doors, drawers and at times an open bay, on legs or a plinth."""
    width = width or float(rng.uniform(1.0, 2.0))
    height, depth, foot = rng.uniform(0.7, 0.95), rng.uniform(0.38, 0.48), rng.uniform(0.06, 0.2)
    joinery = draw_joinery(rng, style)
    build = PieceBuilder("cabinet")
    feet(build, str(rng.choice(["plinth", "block", "splayed", "sled"])), (0, 0), (width, depth), foot,
         material_of(rng, style, "wood", "metal"))  # fmt: skip
    low, high = carcass(build, (0, 0, foot), (width, depth, height), joinery)
    fill_bays(build, rng, joinery, low, high, (foot, height), (0.5, 0.35, 0.15))
    build.support((width / 2, depth / 2, height), (width - 0.05, depth - 0.05))
    return build.build()


@construction("cabinet", "wardrobe")
def tall_cupboard(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Taller than a person, two to four doors over the whole height or in two rows."""
    width = width or float(rng.uniform(0.6, 1.3))
    height, depth, foot = rng.uniform(1.6, 2.2), rng.uniform(0.38, 0.6), rng.uniform(0.05, 0.1)
    joinery = draw_joinery(rng, style, kinds=("wood", "painted", "metal"))
    build = PieceBuilder("cabinet")
    feet(build, str(rng.choice(["plinth", "block"])), (0, 0), (width, depth), foot, joinery.body)
    carcass(build, (0, 0, foot), (width, depth, height), joinery)
    count, split = max(2, round(width / 0.45)), height
    if maybe(rng):
        split = rng.uniform(0.7, 1.0)
        doors(build, joinery, (0, split), (width, height), 0, count, grip=0.2)
    doors(build, joinery, (0, foot), (width, split), 0, count, grip=0.85 if split < height else 0.5)
    build.support((width / 2, depth / 2, height), (width - 0.05, depth - 0.05), 0.3)
    return build.build()


@construction("cabinet")
def glass_cabinet(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Boards behind doors of glass, above drawers or plain doors."""
    width = width or float(rng.uniform(0.7, 1.3))
    height, depth, foot, waist = rng.uniform(1.3, 2.0), rng.uniform(0.35, 0.45), 0.07, rng.uniform(0.4, 0.7)
    joinery = draw_joinery(rng, style, fronts=("flat", "framed"))
    build = PieceBuilder("cabinet")
    feet(build, str(rng.choice(["plinth", "block"])), (0, 0), (width, depth), foot, joinery.body)
    carcass(build, (0, 0, foot), (width, depth, waist), joinery)
    low, high = carcass(build, (0, 0, waist), (width, depth, height), joinery, bottom=False)
    levels = np.linspace(waist, height, int(rng.integers(3, 6)))[1:-1].tolist()
    shelf_boards(build, low, high, levels, joinery, open_front=False)
    count = 2 if width < 1.1 else 3
    doors(build, joinery, (0, waist), (width, height), 0, count, grip=0.4, kind="glass")
    if maybe(rng):
        drawers(build, joinery, (0, foot), (width, waist), 0, [1.0] * (2 if waist > 0.5 else 1), columns=2)
    else:
        doors(build, joinery, (0, foot), (width, waist), 0, count, grip=0.75)
    build.support((width / 2, depth / 2, height), (width - 0.05, depth - 0.05), 0.3)
    return build.build()


@construction("cabinet")
def lockers(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Narrow steel doors side by side, in one to three rows, with slots to air them."""
    columns = int(rng.integers(2, 5)) if width is None else max(1, round(width / 0.33))
    width = width or columns * float(rng.uniform(0.28, 0.4))
    height, depth, foot, rows = rng.uniform(1.6, 1.95), rng.uniform(0.42, 0.5), 0.09, int(rng.integers(1, 4))
    joinery = draw_joinery(rng, style, kinds=("metal", "painted"), fronts=("flat",), handles=("knob", "bar", "cup"))
    build = PieceBuilder("cabinet")
    feet(build, str(rng.choice(["plinth", "block"])), (0, 0), (width, depth), foot, joinery.body)
    carcass(build, (0, 0, foot), (width, depth, height), joinery)
    xs, zs = np.linspace(0, width, columns + 1), np.linspace(foot, height, rows + 1)
    for z0, z1 in zip(zs, zs[1:], strict=False):
        doors(build, joinery, (0, z0), (width, z1), 0, columns, grip=0.5, handle_length=0.09)
        for x0, x1 in zip(xs, xs[1:], strict=False):
            for k in range(3):
                z = z1 - 0.08 - 0.025 * k
                build.board((x0 + 0.3 * (x1 - x0), -0.024, z), (x1 - 0.3 * (x1 - x0), -0.02, z + 0.008),
                            joinery.metal, "door")  # fmt: skip
    build.support((width / 2, depth / 2, height), (width - 0.05, depth - 0.05), 0.4)
    return build.build()


@construction("cabinet")
def low_board(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A long low cabinet with doors, drawers and open bays: where a television stands."""
    return _media_board(rng, style, "cabinet", width)


def _media_board(rng: np.random.Generator, style: Style, category: str, width: float | None) -> Piece:
    width = width or float(rng.uniform(1.1, 2.0))
    height, depth, foot = rng.uniform(0.4, 0.6), rng.uniform(0.36, 0.45), rng.uniform(0.05, 0.16)
    joinery = draw_joinery(rng, style)
    build = PieceBuilder(category)
    feet(build, str(rng.choice(["plinth", "splayed", "sled", "block"])), (0, 0), (width, depth), foot,
         material_of(rng, style, "wood", "metal"))  # fmt: skip
    low, high = carcass(build, (0, 0, foot), (width, depth, height), joinery)
    fill_bays(build, rng, joinery, low, high, (foot, height), (0.35, 0.3, 0.35))
    build.support((width / 2, depth / 2, height), (width - 0.05, depth - 0.05), 1.2)
    return build.build()


@construction("tv_stand")
def tv_board(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A low board with bays of doors, drawers and devices."""
    return _media_board(rng, style, "tv stand", width)


@construction("tv_stand")
def tv_rack(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Two or three boards of glass or wood between posts."""
    width = width or float(rng.uniform(0.9, 1.4))
    height, depth, count = rng.uniform(0.4, 0.55), rng.uniform(0.38, 0.48), int(rng.integers(2, 4))
    board, post = material_of(rng, style, "wood", "glass", "painted"), material_of(rng, style, "metal", "wood")
    build, thick, radius = PieceBuilder("tv stand"), 0.022, rng.uniform(0.016, 0.028)
    levels = np.linspace(0.08, height - thick, count)
    for z, above in zip(levels, [*levels[1:], height + 1.2], strict=True):
        top = above == height + 1.2
        build.board((0, 0, z), (width, depth, z + thick), board, "top" if top else "shelf")
        build.support((width / 2, depth / 2, z + thick), (width - 0.16, depth - 0.06), float(above - z - thick))
    for x in (0.05, width - 0.05):
        for y in (0.05, depth - 0.05):
            build.cylinder((x, y, 0), (x, y, height - thick), radius, post, "leg", 10)
    return build.build()


@construction("tv_stand")
def tv_bench(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """An open box with one row of drawers under a board: two uprights at a distance from the ends."""
    width = width or float(rng.uniform(1.2, 1.8))
    height, depth = rng.uniform(0.42, 0.56), rng.uniform(0.36, 0.44)
    joinery = draw_joinery(rng, style)
    build, middle, t = PieceBuilder("tv stand"), rng.uniform(0.2, 0.26), 0.03
    build.board((0, 0, height - t), (width, depth, height), joinery.body, "top")
    build.board((0, 0, middle - t), (width, depth, middle), joinery.body, "shelf")
    for x in (0.0, width - t, (width - t) / 2):
        build.board((x, 0.001, middle), (x + t, depth, height - t), joinery.body, "side")
        build.board((x, 0.001, 0), (x + t, depth, middle - t), joinery.body, "leg")
    for x0, x1 in ((t, (width - t) / 2), ((width + t) / 2, width - t)):
        if maybe(rng):
            drawers(build, joinery, (x0, middle), (x1, height - t), 0.02, [1])
            build.board((x0, 0.02, middle), (x1, depth - 0.01, height - t), joinery.body, "drawer")
        else:
            center = ((x0 + x1) / 2, depth / 2, middle)
            build.support(center, (x1 - x0 - 0.03, depth - 0.04), height - t - middle)
    build.support((width / 2, depth / 2, height), (width - 0.05, depth - 0.05), 1.2)
    return build.build()


@construction("file_cabinet")
def filing_tower(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Two to four high drawers of steel with label frames."""
    width = width or float(rng.uniform(0.38, 0.5))
    count, depth = int(rng.integers(2, 5)), rng.uniform(0.45, 0.65)
    height = 0.06 + count * float(rng.uniform(0.28, 0.34))
    joinery = draw_joinery(rng, style, kinds=("metal", "painted"), fronts=("flat",), handles=("cup", "bar", "edge"))
    build, label = PieceBuilder("file cabinet"), style.material("paper", rng)
    feet(build, "plinth", (0, 0), (width, depth), 0.04, joinery.body)
    carcass(build, (0, 0, 0.04), (width, depth, height), joinery)
    drawers(build, joinery, (0, 0.04), (width, height), 0, [1] * count)
    for z in np.linspace(0.04, height, count + 1)[1:]:
        build.board((width / 2 - 0.04, -0.023, z - 0.075), (width / 2 + 0.04, -0.02, z - 0.045), label, "label")
    build.support((width / 2, depth / 2, height), (width - 0.05, depth - 0.05))
    return build.build()


@construction("file_cabinet")
def pedestal(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A rolling one that goes under a desk: a pen drawer, one or two above a high one, on castors."""
    width = width or float(rng.uniform(0.38, 0.45))
    height, depth = rng.uniform(0.52, 0.62), rng.uniform(0.45, 0.6)
    joinery = draw_joinery(rng, style, kinds=("metal", "wood", "painted"), fronts=("flat",))
    build, rubber = PieceBuilder("file cabinet"), style.material("rubber", rng)
    carcass(build, (0, 0, 0.055), (width, depth, height), joinery)
    drawers(build, joinery, (0, 0.055), (width, height), 0, [2, 1, 1] if maybe(rng) else [2, 1.5, 0.5])
    for x in (0.05, width - 0.05):
        for y in (0.05, depth - 0.05):
            build.cylinder((x - 0.012, y, 0.022), (x + 0.012, y, 0.022), 0.022, rubber, "wheel", 10)
            build.board((x - 0.012, y - 0.012, 0.022), (x + 0.012, y + 0.012, 0.055), joinery.metal, "leg")
    build.support((width / 2, depth / 2, height), (width - 0.05, depth - 0.05), 0.15)
    return build.build()


@construction("file_cabinet")
def lateral_file(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """As wide as two: long drawers with a grip on each side, or roller shutters."""
    width = width or float(rng.uniform(0.76, 1.1))
    count, depth = int(rng.integers(2, 5)), rng.uniform(0.42, 0.5)
    height = 0.08 + count * float(rng.uniform(0.3, 0.35))
    joinery = draw_joinery(rng, style, kinds=("metal", "painted"), fronts=("flat",), handles=("cup", "bar"))
    build = PieceBuilder("file cabinet")
    feet(build, "plinth", (0, 0), (width, depth), 0.06, joinery.body)
    carcass(build, (0, 0, 0.06), (width, depth, height), joinery)
    if maybe(rng, 0.3):
        strips = np.linspace(0.002, width - 0.002, round(width / 0.035) + 1)
        for k, (x0, x1) in enumerate(zip(strips, strips[1:], strict=False)):
            out = 0.02 if k % 2 else 0.014
            build.board((x0, -out, 0.065), (x1, 0, height - 0.005), joinery.front, "door")
        for x in (width / 2 - 0.05, width / 2 + 0.05):
            build.board((x - 0.012, -0.032, height / 2 - 0.1), (x + 0.012, -0.014, height / 2 + 0.1),
                        joinery.metal, "handle")  # fmt: skip
    else:
        drawers(build, joinery, (0, 0.06), (width, height), 0, [1] * count)
        for z in np.linspace(0.06, height, count + 1)[1:]:
            handle(build, joinery, (width * 0.2, z - 0.06), -0.02, upright=False)
    build.support((width / 2, depth / 2, height), (width - 0.05, depth - 0.05))
    return build.build()
