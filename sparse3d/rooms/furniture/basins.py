"""Bathroom sinks: on a pedestal, on the wall, in a vanity, in a counter."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.casework import carcass, doors, draw_joinery, drawers, feet
from sparse3d.rooms.furniture.grouping import build_group, material_of, maybe
from sparse3d.rooms.furniture.kitchens import RIM, let_in_sink
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style
from sparse3d.rooms.vessels import Ring, loft, plate_with_hole, tap, tub, tube


def _block_basin(build: PieceBuilder, rng: np.random.Generator, white: Material, metal: Material,
                 size: tuple[float, float], low: float, high: float) -> None:  # fmt: skip
    """A basin of one block from ``low`` to ``high`` with a ledge for the tap at the back; its middle is (0, 0)."""
    a, b, power = size[0] / 2, size[1] / 2, float(rng.choice([0.25, 0.4, 0.7]))
    deep = min(0.13, high - low - 0.02)
    hole = Ring(high, (a - 0.05, b - 0.07), 0.0, -0.035, power)
    outer = Ring(high, (a, b), 0.0, 0.0, min(power, 0.4))
    plate_with_hole(build, outer.points(28)[:-1][:, :2], hole, high - 0.02, high, white, "rim")
    inner = [Ring(high - deep * t, (hole.half[0] * s, hole.half[1] * s), 0.0, hole.y, power)
             for t, s in ((0.1, 1.0), (0.7, 0.85), (1.0, 0.5), (1.0, 0.0))]  # fmt: skip
    loft(build, inner, white, "basin")
    skin = [(high - 0.02, 1.0), (low + 0.4 * (high - low), 0.9), (low, 0.55), (low, 0.0)]
    loft(build, [Ring(z, (a * s, b * s), 0.0, b * (1 - s) * 0.5, outer.power) for z, s in skin], white, "basin")
    drain = (0.0, hole.y, high - deep)
    build.cylinder(drain, (0.0, hole.y, high - deep + 0.003), 0.022, metal, "drain", 12)
    tap(build, (0, b - 0.05, high), rng.uniform(0.1, 0.22), rng.uniform(0.1, 0.14), metal, maybe(rng, 0.4))


@construction("bathroom_sink")
def pedestal_sink(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A basin on a foot of the same ware."""
    width, depth, height = width or float(rng.uniform(0.5, 0.68)), rng.uniform(0.42, 0.52), rng.uniform(0.8, 0.87)
    white, metal, build = style.material("ceramic", rng), style.material("metal", rng), PieceBuilder("sink")
    low = height - rng.uniform(0.16, 0.2)
    _block_basin(build, rng, white, metal, (width, depth), low, height)
    waist, y = rng.uniform(0.06, 0.085), depth * 0.12
    loft(
        build,
        [
            Ring(0, (0, 0), 0, y),
            Ring(0, (waist * 1.5, waist * 1.4), 0, y),
            Ring(0.05, (waist * 1.3, waist * 1.2), 0, y),
            Ring(0.4, (waist, waist), 0, y),
            Ring(low + 0.01, (waist * 1.4, waist * 1.3), 0, y),
        ],
        white,
        "pedestal",
    )
    return build.build()


@construction("bathroom_sink")
def washstand(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A basin on a frame of metal with a rail for towels and at times a board below."""
    width, depth, height = width or float(rng.uniform(0.6, 0.9)), rng.uniform(0.45, 0.52), rng.uniform(0.82, 0.88)
    white, metal, build = style.material("ceramic", rng), style.material("metal", rng), PieceBuilder("sink")
    low, x, y = height - 0.15, width / 2 - 0.05, depth / 2 - 0.05
    _block_basin(build, rng, white, metal, (width, depth), low, height)
    for sx in (-x, x):
        for sy in (-y, y):
            build.cylinder((sx, sy, 0), (sx, sy, height - 0.02), 0.013, metal, "leg", 8)
        build.cylinder((sx, -y, 0.62), (sx, y, 0.62), 0.009, metal, "rod", 8)
    build.cylinder((-x, -y, 0.62), (x, -y, 0.62), 0.009, metal, "rod", 8)
    if maybe(rng):
        board = material_of(rng, style, "wood", "glass")
        build.board((-x, -y, 0.22), (x, y, 0.24), board, "shelf")
        build.support((0, 0, 0.24), (2 * x - 0.06, 2 * y - 0.06), 0.22)
    tube(build, [(0, 0, low), (0, 0, 0.5), (0, depth / 2, 0.5)], 0.02, metal, "pipe")
    return build.build()


@construction("wall_basin")
def wall_basin(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A basin that hangs on the wall, its trap below. Hangs at 0.62 m."""
    width, depth = width or float(rng.uniform(0.4, 0.65)), rng.uniform(0.36, 0.48)
    white, metal, build = style.material("ceramic", rng), style.material("metal", rng), PieceBuilder("sink")
    _block_basin(build, rng, white, metal, (width, depth), 0.1, rng.uniform(0.22, 0.26))
    y = depth * 0.1
    tube(build, [(0, y, 0.11), (0, y, 0.018), (0, y + 0.07, 0.018), (0, y + 0.07, 0.07), (0, depth / 2, 0.07)], 0.016,
         metal, "pipe")  # fmt: skip
    return build.build()


def _bowl_on_top(build: PieceBuilder, rng: np.random.Generator, white: Material, metal: Material, x: float, y: float,
                 top: float, room: float) -> None:  # fmt: skip
    """A free bowl standing on the top, with a tall tap behind it."""
    half, tall = min(rng.uniform(0.18, 0.26), room), rng.uniform(0.11, 0.15)
    deep = 0.16
    tub(build, (2 * half, 2 * deep, top + tall), tall - 0.02, white, float(rng.choice([0.3, 0.6, 1.0])), 0.012, 0.05,
        top, ("basin", "rim", "basin"), (x, y))  # fmt: skip
    build.board((x - 0.03, y + deep - 0.06, top), (x + 0.03, y + deep + 0.05, top + 0.012), metal, "faucet")
    tap(build, (x, y + deep + 0.02, top + 0.01), tall + 0.14, 0.12, metal, maybe(rng))


def _top_with_basin(top: PieceBuilder, sink: PieceBuilder, rng: np.random.Generator, style: Style,
                    size: tuple[float, float], height: float, thick: float, material: Material) -> None:  # fmt: skip
    """A top over (0, 0) .. ``size`` and one or two basins, let into it or standing on it."""
    white, metal = style.material("ceramic", rng), style.material("metal", rng)
    width, depth = size
    y = depth * 0.42
    if maybe(rng, 0.35):
        top.board((0, 0, height - thick), (width, depth, height), material, "top")
        _bowl_on_top(sink, rng, white, metal, width / 2, y, height, width / 2 - 0.06)
        half = 0.3
    else:
        power = float(rng.choice([0.3, 0.5, 1.0]))
        half = min(rng.uniform(0.17, 0.24), width / 2 - 0.07)
        hole = Ring(height, (half, rng.uniform(0.12, 0.145)), width / 2, y, power)
        outline = np.array([(0, 0), (width, 0), (width, depth), (0, depth)])
        plate_with_hole(top, outline, hole, height - thick, height, material, "top")
        let_in_sink(sink, rng, white, metal, hole, height, rng.uniform(0.11, 0.15))
    side = width / 2 - half - RIM
    if side > 0.15:
        for x in (side / 2, width - side / 2):
            top.support((x, depth / 2, height), (side - 0.05, depth - 0.06), 0.6)


@construction("bathroom_sink")
def vanity(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """A cabinet with doors or drawers under a basin. A group: "bathroom vanity", "sink"."""
    width, depth, height = width or float(rng.uniform(0.6, 1.3)), rng.uniform(0.45, 0.54), rng.uniform(0.8, 0.88)
    joinery, over, thick = draw_joinery(rng, style), 0.022, rng.uniform(0.018, 0.04)
    cabinet, sink, foot = PieceBuilder("bathroom vanity"), PieceBuilder("sink"), rng.uniform(0.06, 0.2)
    under = height - thick
    feet(cabinet, str(rng.choice(["plinth", "block", "splayed"])), (0.01, over), (width - 0.01, depth), foot,
         joinery.body)  # fmt: skip
    low, high = carcass(cabinet, (0.01, over, foot), (width - 0.01, depth, under), joinery, top=False)
    columns = max(1, round(width / 0.5))
    if maybe(rng):
        doors(cabinet, joinery, (0.01, foot), (width - 0.01, under), over, max(2, columns), grip=0.85)
    else:
        drawers(cabinet, joinery, (0.01, foot), (width - 0.01, under), over, [1, 1], columns=max(1, columns - 1))
    material = material_of(rng, style, "stone", "ceramic", "wood")
    _top_with_basin(cabinet, sink, rng, style, (width, depth), height, thick, material)
    return build_group(cabinet, sink)


@construction("bathroom_sink")
def counter_sink(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """A counter on legs or panels with a basin. A group: "bathroom counter", "sink"."""
    width, depth, height = width or float(rng.uniform(0.7, 1.6)), rng.uniform(0.45, 0.55), rng.uniform(0.8, 0.88)
    counter, sink = PieceBuilder("bathroom counter"), PieceBuilder("sink")
    material, thick = material_of(rng, style, "stone", "wood", "ceramic"), rng.uniform(0.03, 0.06)
    body = material_of(rng, style, "wood", "painted", "metal")
    _top_with_basin(counter, sink, rng, style, (width, depth), height, thick, material)
    under = height - thick
    if maybe(rng):
        for x in (0.02, width - 0.06):
            counter.board((x, 0.02, 0), (x + 0.04, depth, under), body, "side")
    else:
        feet(counter, "block", (0, 0), (width, depth), under, body)
    counter.board((0.04, depth - 0.055, under - 0.12), (width - 0.04, depth - 0.035, under), body, "back")
    if maybe(rng, 0.6):
        z = rng.uniform(0.15, 0.3)
        counter.board((0.03, 0.03, z), (width - 0.03, depth - 0.02, z + 0.022), body, "shelf")
        counter.support((width / 2, depth / 2, z + 0.022), (width - 0.2, depth - 0.14), 0.25)
    counter.board((0, depth - 0.012, height), (width, depth, height + 0.06), material, "back")
    return build_group(counter, sink)
