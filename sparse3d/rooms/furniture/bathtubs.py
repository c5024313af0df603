"""Bathtubs, showers and the curtains before them."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.grouping import build_group, material_of, maybe
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style
from sparse3d.rooms.vessels import Ring, hanging_cloth, loft, plate_with_hole, tap, tub, tube


def _let_in_tub(build: PieceBuilder, outline: np.ndarray, hole: Ring, height: float, deep: float, white: Material,
                metal: Material) -> None:  # fmt: skip
    """The top with its hole and the hollow below it."""
    plate_with_hole(build, outline, hole, height - 0.03, height, white, "rim", 36)
    steps = ((0.0, 1.0), (0.6, 0.9), (0.92, 0.82), (1.0, 0.65), (1.0, 0.0))
    rings = [Ring(height - 0.015 - (deep - 0.015) * t, (hole.half[0] * s, hole.half[1] * s), hole.x, hole.y, hole.power)
             for t, s in steps]  # fmt: skip
    loft(build, rings, white, "basin", 36)
    drain = (hole.x, hole.y, height - deep)
    build.cylinder(drain, (drain[0], drain[1], drain[2] + 0.004), 0.03, metal, "drain", 12)


def built_in(build: PieceBuilder, rng: np.random.Generator, style: Style, size: tuple[float, float, float]) -> None:
    """A tub over (0, 0) .. ``size`` with an apron before it, its other sides closed, too."""
    length, depth, height = size
    white, metal = style.material("ceramic", rng), style.material("metal", rng)
    apron = white if maybe(rng) else material_of(rng, style, "tiles", "painted", "wood")
    hole = Ring(height, (length / 2 - rng.uniform(0.07, 0.12), depth / 2 - 0.075), length / 2, depth / 2 - 0.01,
                float(rng.choice([0.25, 0.4, 0.6])))  # fmt: skip
    outline = np.array([(0, 0), (length, 0), (length, depth), (0, depth)])
    _let_in_tub(build, outline, hole, height, height - rng.uniform(0.1, 0.14), white, metal)
    build.board((0.015, 0.015, 0), (length - 0.015, 0.035, height - 0.03), apron, "apron")
    build.board((0.015, depth - 0.03, 0), (length - 0.015, depth - 0.01, height - 0.03), apron, "side")
    for x in (0.015, length - 0.035):
        build.board((x, 0.035, 0), (x + 0.02, depth - 0.03, height - 0.03), apron, "side")
    if maybe(rng, 0.7):
        tap(build, (length / 2, depth - 0.045, height), rng.uniform(0.1, 0.2), 0.14, metal, maybe(rng, 0.3))


@construction("bathtub")
def built_in_tub(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A rectangle with an apron; it lies along the wall."""
    build = PieceBuilder("bathtub")
    built_in(build, rng, style, (width or float(rng.uniform(1.4, 1.8)), rng.uniform(0.7, 0.8), rng.uniform(0.5, 0.6)))
    return build.build()


@construction("bathtub")
def freestanding_tub(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """An oval that stands free, on the floor or on four feet, at times with a tap on a standpipe at its end."""
    length, depth, height = width or float(rng.uniform(1.45, 1.8)), rng.uniform(0.7, 0.82), rng.uniform(0.54, 0.64)
    white, metal, build = style.material("ceramic", rng), style.material("metal", rng), PieceBuilder("bathtub")
    feet_high = rng.uniform(0.1, 0.14) if maybe(rng, 0.4) else 0.0
    power, taper = float(rng.choice([0.6, 0.8, 1.0])), rng.uniform(0.06, 0.14)
    tub(
        build,
        (length, depth, height),
        height - feet_high - 0.08,
        white,
        power,
        rng.uniform(0.025, 0.05),
        taper,
        feet_high,
    )
    if feet_high:
        for sx in (-1, 1):
            for sy in (-1, 1):
                x, y = sx * length * 0.27, sy * depth * 0.2
                build.turned([(0, 0), (0.035, 0), (0.03, 0.3), (0.018, 0.5), (0.035, 1.0)], metal, "leg", (x, y, 0),
                             (x, y, feet_high + 0.06), 10)  # fmt: skip
    if maybe(rng):
        x = depth * 0.1
        tube(build, [(x, depth / 2 - 0.03, height - 0.002), (x, depth / 2 - 0.03, height + 0.1),
                     (x, depth / 2 - 0.18, height + 0.12), (x, depth / 2 - 0.2, height + 0.06)], 0.014, metal,
             "faucet")  # fmt: skip
    return build.build()


@construction("bathtub")
def corner_tub(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Two sides along walls (the back, +y, and one side), a cut or round front across the corner."""
    side, height = width or float(rng.uniform(1.2, 1.5)), rng.uniform(0.5, 0.6)
    white, metal, build = style.material("ceramic", rng), style.material("metal", rng), PieceBuilder("bathtub")
    cut, mirrored = side * rng.uniform(0.42, 0.6), maybe(rng)
    turn = np.linspace(-np.pi / 2, 0, 7) if maybe(rng) else None
    if turn is None:
        front = [(side - cut, 0.0), (side, cut)]
    else:
        front = [(side - cut + cut * np.cos(t), cut + cut * np.sin(t)) for t in turn]
    outline = np.array([(0.0, 0.0), *front, (side, side), (0.0, side)])
    if mirrored:
        outline = (outline * [-1, 1] + [side, 0])[::-1]
    middle = side * 0.46 if not mirrored else side * 0.54
    hole = Ring(height, (side * 0.36, side * 0.36), middle, side * 0.54, 1.0)
    _let_in_tub(build, outline, hole, height, height - 0.12, white, metal)
    inner = (outline - outline.mean(axis=0)) * 0.97 + outline.mean(axis=0)
    closed = np.concatenate([inner, inner[:1]])
    u = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    low, high = (np.column_stack([closed, np.full(len(closed), z)]) for z in (0.0, height - 0.03))
    build.strip(low, high, u, 0, height - 0.03, white if maybe(rng) else style.material("tiles", rng), "apron")
    tap(build, (side * (0.08 if not mirrored else 0.92), side * 0.92, height), 0.16, 0.13, metal, maybe(rng))
    return build.build()


def hang_curtain(build: PieceBuilder, rng: np.random.Generator, style: Style, path: np.ndarray, bottom: float,
                 top: float) -> None:  # fmt: skip
    """A rod along ``path`` (N, 2) at ``top``, rings on it and the curtain, drawn over all or a part of it."""
    metal, cloth = material_of(rng, style, "metal", "plastic"), material_of(rng, style, "fabric", "plastic", "fabric")
    points = [np.array([x, y, top]) for x, y in path]
    tube(build, points, 0.013, metal, "rod")
    for end, next_to in ((points[0], points[1]), (points[-1], points[-2])):
        way = (next_to - end) / np.linalg.norm(next_to - end)
        build.cylinder(end, end + way * 0.012, 0.03, metal, "rod", 12)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    open_share, side = (0.0 if maybe(rng, 0.6) else float(rng.uniform(0.25, 0.65))), maybe(rng)
    start, end = (
        (0.03, along[-1] * (1 - open_share) - 0.03) if side else (along[-1] * open_share + 0.03, along[-1] - 0.03)
    )
    at = np.unique(np.clip([start, end, *along], start, end))
    line = np.stack([np.interp(at, along, path[:, 0]), np.interp(at, along, path[:, 1])], axis=1)
    wave = rng.uniform(0.1, 0.2) * (0.6 if open_share else 1.0)
    hanging_cloth(build, line, top - 0.03, bottom, cloth, "curtain", rng, rng.uniform(0.018, 0.03), wave)
    for s in np.arange(start + 0.03, end, 0.16):
        x, y = np.interp(s, along, path[:, 0]), np.interp(s, along, path[:, 1])
        build.box((x, y, top - 0.018), (0.006, 0.034, 0.06), metal, "ring")


@construction("shower_bath")
def bath_with_curtain(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """A built-in tub and a curtain hanging before its apron. A group: "bathtub", "shower curtain"."""
    length, depth, height = width or float(rng.uniform(1.4, 1.8)), rng.uniform(0.7, 0.8), rng.uniform(0.48, 0.58)
    bath, curtain = PieceBuilder("bathtub"), PieceBuilder("shower curtain")
    built_in(bath, rng, style, (length, depth, height))
    path = np.array([(0.0, -0.045), (length, -0.045)])
    hang_curtain(curtain, rng, style, path, rng.uniform(0.1, 0.25), rng.uniform(1.95, 2.1))
    return build_group(bath, curtain)


@construction("shower_curtain")
def shower_curtain(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Alone on its rod, between two walls. Hangs at 0.12 m."""
    build, length = PieceBuilder("shower curtain"), width or float(rng.uniform(0.8, 1.8))
    hang_curtain(build, rng, style, np.array([(0.0, 0.0), (length, 0.0)]), 0.0, rng.uniform(1.83, 2.0))
    return build.build()


def _tray(build: PieceBuilder, rng: np.random.Generator, style: Style, outline: np.ndarray, hole: Ring,
          height: float) -> None:  # fmt: skip
    """A shallow tray with a sunk floor and a drain."""
    white, metal = material_of(rng, style, "ceramic", "stone", "plastic"), style.material("metal", rng)
    plate_with_hole(build, outline, hole, 0.0, height, white, "rim")
    floor = height - 0.035
    rings = [Ring(height - 0.005, hole.half, hole.x, hole.y, hole.power),
             Ring(floor, (hole.half[0] - 0.01, hole.half[1] - 0.01), hole.x, hole.y, hole.power),
             Ring(floor, (0, 0), hole.x, hole.y)]  # fmt: skip
    loft(build, rings, white, "basin")
    build.cylinder((hole.x, hole.y, floor), (hole.x, hole.y, floor + 0.004), 0.05, metal, "drain", 14)


@construction("shower")
def corner_shower(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """A square tray in a corner (its back and its left or right side at walls), a rod bent around it.

    A group: "shower curtain", "mat" (the tray).
    """
    side, height = width or float(rng.uniform(0.8, 1.0)), rng.uniform(0.06, 0.14)
    curtain, tray = PieceBuilder("shower curtain"), PieceBuilder("mat")
    _tray(tray, rng, style, np.array([(0, 0), (side, 0), (side, side), (0, side)]),
          Ring(height, (side / 2 - 0.05, side / 2 - 0.05), side / 2, side / 2, 0.25), height)  # fmt: skip
    r, inner = 0.12, 0.04
    turn = np.linspace(-np.pi / 2, 0, 5)
    bend = [(side - inner - r + r * np.cos(t), inner + r + r * np.sin(t)) for t in turn]
    path = np.array([(0.0, inner), *bend, (side - inner, side)])
    if maybe(rng):
        path = path * [-1, 1] + [side, 0]
    hang_curtain(curtain, rng, style, path, height + 0.02, rng.uniform(1.95, 2.1))
    return build_group(curtain, tray)


@construction("shower")
def niche_shower(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """A broad tray between walls, a straight curtain before it. A group: "shower curtain", "mat" (the tray)."""
    length, depth, height = width or float(rng.uniform(0.9, 1.4)), rng.uniform(0.75, 0.95), rng.uniform(0.05, 0.12)
    curtain, tray = PieceBuilder("shower curtain"), PieceBuilder("mat")
    _tray(tray, rng, style, np.array([(0, 0), (length, 0), (length, depth), (0, depth)]),
          Ring(height, (length / 2 - 0.05, depth / 2 - 0.05), length / 2, depth / 2, 0.2), height)  # fmt: skip
    hang_curtain(curtain, rng, style, np.array([(0.0, 0.04), (length, 0.04)]), height + 0.02, rng.uniform(1.95, 2.1))
    return build_group(curtain, tray)


@construction("shower")
def round_shower(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """A quarter round tray in a corner, the rod bent along it. A group: "shower curtain", "mat" (the tray)."""
    side, height = width or float(rng.uniform(0.85, 1.05)), rng.uniform(0.06, 0.14)
    curtain, tray = PieceBuilder("shower curtain"), PieceBuilder("mat")
    turn, r = np.linspace(-np.pi / 2, 0, 9), side * 0.75
    arc = np.array([(side - r + r * np.cos(t), r + r * np.sin(t)) for t in turn])
    outline = np.array([(0.0, 0.0), *arc, (side, side), (0.0, side)])
    hole = Ring(height, (side * 0.36, side * 0.36), side * 0.44, side * 0.56, 0.8)
    s = r - 0.05
    inner = np.array([(side - r + s * np.cos(t), r + s * np.sin(t)) for t in turn])
    path = np.array([(0.0, 0.05), *inner, (side - 0.05, side)])
    if maybe(rng):
        outline, path = (outline * [-1, 1] + [side, 0])[::-1], path * [-1, 1] + [side, 0]
        hole = Ring(height, hole.half, side - hole.x, hole.y, hole.power)
    _tray(tray, rng, style, outline, hole, height)
    hang_curtain(curtain, rng, style, path, height + 0.02, rng.uniform(1.95, 2.1))
    return build_group(curtain, tray)
