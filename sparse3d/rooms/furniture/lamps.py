"""Lamps: standing on the floor, on tables, hanging from the ceiling. Lit shades and bulbs shine a little."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.shapes import arc, drawn, fitted_to_height, one_of, tinted, tube
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style


def _lit(rng: np.random.Generator, style: Style, kind: str = "fabric") -> Material:
    """A shade's cloth, lit from inside in two rooms of three."""
    cloth = style.material(kind, rng)
    return tinted(cloth, 1.0, white=0.45, emission=0.55) if rng.random() < 0.65 else tinted(cloth, 1.0, white=0.2)


def _glow(style: Style, rng: np.random.Generator) -> Material:
    return tinted(style.material("plastic", rng), 0.4, white=0.9, emission=0.9)


def _shade(build: PieceBuilder, rng: np.random.Generator, style: Style, low: float, high: float, radius: float,
           x: float = 0.0) -> None:  # fmt: skip
    """A drum or a cone of cloth around a bulb, open at both ends, held by three spokes."""
    top = radius * float(rng.choice([1.0, 0.75, 0.5]))
    cloth = _lit(rng, style)
    wire = style.material("metal", rng)
    build.turned([(radius, 0), (top, 1), (top - 0.004, 1), (radius - 0.004, 0)], cloth, "shade", (x, 0, low),
                 (x, 0, high), sides=18)  # fmt: skip
    z = high - 0.2 * (high - low)
    reach = radius + 0.8 * (top - radius)
    for angle in np.arange(3) * 2 * np.pi / 3:
        out = np.array([np.cos(angle), np.sin(angle), 0]) * reach
        build.cylinder((x, 0, z), out + [x, 0, z], 0.003, wire, "spoke", sides=4, caps=False)
    build.turned([(0.012, 0), (0.012, 0.3), (0.03, 0.6), (0.024, 0.9), (0, 1)], _glow(style, rng), "bulb",
                 (x, 0, z - 0.1), (x, 0, z + 0.02), sides=8)  # fmt: skip


def _foot(build: PieceBuilder, rng: np.random.Generator, radius: float, material: Material) -> None:
    if rng.random() < 0.7:
        build.turned([(0, 0), (radius, 0), (radius, 0.6), (0.03, 1)], material, "base", (0, 0, 0), (0, 0, 0.03), 18)
    else:
        build.board((-radius, -radius, 0), (radius, radius, 0.025), material, "base")


@construction("floor_lamp")
def shaded_floor_lamp(rng: np.random.Generator, style: Style, height: float | None = None) -> Piece:
    """A shade on a straight stem."""
    tall, metal = drawn(rng, height, 1.4, 1.75), style.material(one_of(rng, "metal", "wood", "painted"), rng)
    build, deep = PieceBuilder("lamp"), float(rng.uniform(0.2, 0.35))
    _foot(build, rng, float(rng.uniform(0.13, 0.18)), metal)
    build.cylinder((0, 0, 0.02), (0, 0, tall - 0.1 * deep), 0.012, metal, "stem", sides=8)
    _shade(build, rng, style, tall - deep, tall, float(rng.uniform(0.16, 0.26)))
    return fitted_to_height(build.build(), height)


@construction("floor_lamp")
def tripod_lamp(rng: np.random.Generator, style: Style, height: float | None = None) -> Piece:
    """A shade on three slanting legs."""
    tall, wood = drawn(rng, height, 1.3, 1.6), style.material(one_of(rng, "wood", "metal"), rng)
    build, deep, hub = PieceBuilder("lamp"), float(rng.uniform(0.22, 0.32)), tall - 0.36
    for angle in np.arange(3) * 2 * np.pi / 3 + np.pi / 2:
        out = np.array([np.cos(angle), np.sin(angle), 0])
        build.cylinder(out * 0.3, out * 0.02 + [0, 0, hub], (0.012, 0.016), wood, "leg", sides=8)
    build.cylinder((0, 0, hub - 0.04), (0, 0, tall - 0.1 * deep), 0.02, wood, "stem", sides=8)
    _shade(build, rng, style, tall - deep, tall, float(rng.uniform(0.2, 0.27)))
    return fitted_to_height(build.build(), height)


@construction("floor_lamp")
def arched_lamp(rng: np.random.Generator, style: Style, height: float | None = None) -> Piece:
    """A long bow with a bowl-shaped shade at its end."""
    tall, metal = drawn(rng, height, 1.6, 1.9), style.material("metal", rng)
    build, reach = PieceBuilder("lamp"), float(rng.uniform(0.35, 0.5))
    _foot(build, rng, 0.17, style.material(one_of(rng, "metal", "stone"), rng))
    bow = arc((reach, 0, tall - reach), reach, np.pi, 0.25 * np.pi, steps=10)
    tube(build, [np.array([0, 0, 0.02]), *bow], 0.012, metal, "stem", sides=6)
    x, _, z = bow[-1]
    bowl = [(0.015, 1), (0.08, 0.85), (0.13, 0.45), (0.15, 0), (0.14, 0)]
    build.turned(bowl, style.material(one_of(rng, "metal", "painted", "plastic"), rng), "shade", (x, 0, z - 0.15),
                 (x, 0, z), sides=16)  # fmt: skip
    build.cylinder((x, 0, z - 0.12), (x, 0, z), (0.045, 0.02), _glow(style, rng), "bulb", sides=8)
    return fitted_to_height(build.build(), height)


@construction("floor_lamp")
def reading_lamp(rng: np.random.Generator, style: Style, height: float | None = None) -> Piece:
    """An uplighter's bowl on a stem, often with a small reading arm half way up."""
    tall, metal = drawn(rng, height, 1.6, 1.85), style.material("metal", rng)
    build = PieceBuilder("lamp")
    _foot(build, rng, 0.14, metal)
    build.cylinder((0, 0, 0.02), (0, 0, tall - 0.08), 0.012, metal, "stem", sides=8)
    shade = style.material(one_of(rng, "metal", "glass", "painted"), rng)
    build.turned([(0.02, 0), (0.12, 0.6), (0.16, 1), (0.15, 1), (0.0, 0.5)], shade, "shade", (0, 0, tall - 0.1),
                 (0, 0, tall), 18)  # fmt: skip
    if rng.random() < 0.6:
        z = 0.68 * tall
        tube(build, [(0, 0, z), (0.12, -0.05, z + 0.05), (0.24, -0.1, z)], 0.007, metal, "arm")
        build.turned([(0.02, 1), (0.05, 0), (0.045, 0.02)], shade, "shade", (0.27, -0.13, z - 0.1), (0.24, -0.1, z), 10)
    return fitted_to_height(build.build(), height)


@construction("table_lamp")
def turned_table_lamp(rng: np.random.Generator, style: Style, height: float | None = None) -> Piece:
    """A shade over a round-bellied foot."""
    tall = drawn(rng, height, 0.35, 0.6)
    build, body = PieceBuilder("lamp"), style.material(one_of(rng, "ceramic", "wood", "metal", "painted", "glass"), rng)
    deep, belly = 0.45 * tall, float(rng.uniform(0.05, 0.09)) * tall / 0.45
    profiles = (
        [(0, 0), (0.7, 0), (1, 0.3), (0.9, 0.55), (0.3, 0.85), (0.2, 1)],
        [(0, 0), (1, 0), (0.9, 0.08), (0.3, 0.2), (0.45, 0.5), (0.25, 0.8), (0.2, 1)],
        [(0, 0), (0.8, 0), (0.8, 0.9), (0.2, 1)],
    )
    shape = profiles[int(rng.integers(3))]
    build.turned([(r * belly, t) for r, t in shape], body, "base", (0, 0, 0), (0, 0, 0.6 * tall), sides=14)
    build.cylinder((0, 0, 0.58 * tall), (0, 0, 0.95 * tall), 0.008, style.material("metal", rng), "stem", sides=6)
    _shade(build, rng, style, tall - deep, tall, float(rng.uniform(0.26, 0.38)) * tall)
    return fitted_to_height(build.build(), height)


@construction("table_lamp")
def desk_lamp(rng: np.random.Generator, style: Style, height: float | None = None) -> Piece:
    """A jointed arm with a conical head that looks down at the desk in front."""
    build, metal = PieceBuilder("lamp"), style.material(one_of(rng, "metal", "painted", "plastic"), rng)
    _foot(build, rng, float(rng.uniform(0.07, 0.1)), metal)
    lower, upper = rng.uniform(0.25, 0.4), rng.uniform(0.25, 0.35)
    lean = rng.uniform(0.1, 0.5)
    knee = np.array([0, lower * np.sin(lean), 0.02 + lower * np.cos(lean)])
    neck = knee + upper * np.array([0, -np.cos(0.5), np.sin(0.5)])
    for dx in (-0.012, 0.012):
        tube(build, [(dx, 0, 0.02), knee + [dx, 0, 0], neck + [dx, 0, 0]], 0.005, metal, "arm")
    for joint in (knee, neck):
        build.cylinder(joint - [0.02, 0, 0], joint + [0.02, 0, 0], 0.016, metal, "joint", sides=8)
    build.turned([(0, 0), (0.025, 0), (0.03, 0.3), (0.075, 1), (0.07, 1)], metal, "shade", neck + [0, 0.01, 0.02],
                 neck + [0, -0.06, -0.12], sides=14)  # fmt: skip
    build.turned([(0.02, 0), (0.035, 0.7), (0, 1)], _glow(style, rng), "bulb", neck + [0, -0.02, -0.04],
                 neck + [0, -0.05, -0.11], sides=8)  # fmt: skip
    return fitted_to_height(build.build(), height)


@construction("table_lamp")
def globe_lamp(rng: np.random.Generator, style: Style, height: float | None = None) -> Piece:
    """A lit ball, or a column of paper, on a small foot."""
    tall = drawn(rng, height, 0.22, 0.45)
    build, foot = PieceBuilder("lamp"), style.material(one_of(rng, "wood", "metal", "ceramic"), rng)
    glow = tinted(style.material(one_of(rng, "paper", "glass", "fabric"), rng), 1.0, white=0.5, emission=0.6)
    build.turned([(0, 0), (0.25 * tall, 0), (0.25 * tall, 0.6), (0.1 * tall, 1)], foot, "base", (0, 0, 0),
                 (0, 0, 0.12 * tall), sides=14)  # fmt: skip
    if rng.random() < 0.6:
        build.cushion((0, 0, 0.55 * tall), (0.9 * tall, 0.9 * tall, 0.9 * tall), glow, "shade", 1.0, steps=8)
    else:
        build.turned([(0.2 * tall, 0), (0.2 * tall, 1), (0, 1)], glow, "shade", (0, 0, 0.1 * tall), (0, 0, tall), 14)
    return fitted_to_height(build.build(), height)


@construction("ceiling_lamp")
def pendant(rng: np.random.Generator, style: Style) -> Piece:
    """A shade on a cord from a rose at the ceiling."""
    build, drop = PieceBuilder("ceiling lamp"), float(rng.uniform(0.35, 0.8))
    cord = style.material("plastic", rng)
    build.turned([(0.05, 1), (0.05, 0.5), (0.01, 0)], cord, "rose", (0, 0, drop - 0.04), (0, 0, drop), sides=12)
    build.cylinder((0, 0, 0.15), (0, 0, drop - 0.02), 0.004, cord, "cord", sides=5)
    kind = one_of(rng, "drum", "bell", "ball")
    if kind == "drum":
        _shade(build, rng, style, 0.0, 0.22, float(rng.uniform(0.18, 0.3)))
    elif kind == "bell":
        metal = style.material(one_of(rng, "metal", "painted", "glass"), rng)
        radius = float(rng.uniform(0.14, 0.22))
        build.turned([(radius, 0), (0.9 * radius, 0.35), (0.5 * radius, 0.75), (0.02, 1)], metal, "shade", (0, 0, 0),
                     (0, 0, 0.2), sides=18)  # fmt: skip
        build.cushion((0, 0, 0.1), (0.08, 0.08, 0.14), _glow(style, rng), "bulb", 1.0, steps=5)
    else:
        size = float(rng.uniform(0.22, 0.4))
        build.cushion((0, 0, size / 2), (size, size, size), _lit(rng, style, one_of(rng, "paper", "glass")), "shade",
                      1.0, steps=8)  # fmt: skip
    return build.build()


@construction("ceiling_lamp")
def flush_light(rng: np.random.Generator, style: Style) -> Piece:
    """A shallow bowl or disc right at the ceiling."""
    build, radius, deep = PieceBuilder("ceiling lamp"), float(rng.uniform(0.15, 0.26)), float(rng.uniform(0.07, 0.13))
    rim = style.material(one_of(rng, "metal", "plastic", "wood"), rng)
    build.turned([(radius, 1), (radius, 0)], rim, "base", (0, 0, deep - 0.025), (0, 0, deep), sides=20)
    build.turned([(0, 0), (0.6 * radius, 0.15), (0.9 * radius, 0.6), (0.96 * radius, 1)], _glow(style, rng), "shade",
                 (0, 0, 0), (0, 0, deep), sides=20)  # fmt: skip
    return build.build()


@construction("ceiling_lamp")
def panel_light(rng: np.random.Generator, style: Style) -> Piece:
    """A box with a lit panel or with tubes, as in offices, close below the ceiling or on two wires."""
    build = PieceBuilder("ceiling lamp")
    length, width = ((1.2, 0.2), (0.6, 0.6), (1.2, 0.3))[int(rng.integers(3))]
    drop = float(rng.choice([0.0, rng.uniform(0.2, 0.5)]))
    metal = tinted(style.material("metal", rng), 1.0, white=0.5)
    build.board((-length / 2, -width / 2, 0.005), (length / 2, width / 2, 0.07), metal, "housing")
    build.board((-length / 2 + 0.02, -width / 2 + 0.02, 0), (length / 2 - 0.02, width / 2 - 0.02, 0.006),
                _glow(style, rng), "shade")  # fmt: skip
    if drop:
        for x in (-0.35 * length, 0.35 * length):
            build.cylinder((x, 0, 0.07), (x, 0, 0.07 + drop), 0.003, metal, "wire", sides=4)
    return build.build()


@construction("ceiling_lamp")
def spot_bar(rng: np.random.Generator, style: Style) -> Piece:
    """Three or four spots on a bar, or arms with small shades (a plain chandelier)."""
    build, metal = PieceBuilder("ceiling lamp"), style.material(one_of(rng, "metal", "painted"), rng)
    glow = _glow(style, rng)
    count = int(rng.integers(3, 6))
    if rng.random() < 0.5:
        length = 0.22 * count
        build.board((-length / 2, -0.02, 0.18), (length / 2, 0.02, 0.205), metal, "bar")
        for x in (np.arange(count) - (count - 1) / 2) * 0.22:
            tip = np.array([x, float(rng.uniform(-0.08, 0.08)), 0.02])
            build.cylinder((x, 0, 0.18), (x, 0, 0.13), 0.006, metal, "arm", sides=5)
            build.cylinder((x, 0, 0.14), tip, (0.02, 0.045), metal, "shade", sides=10)
            build.cylinder((x, 0, 0.12), tip - [0, 0, 0.004], (0.01, 0.038), glow, "bulb", sides=8)
        return build.build()
    drop = float(rng.uniform(0.4, 0.6))
    build.cylinder((0, 0, 0.02), (0, 0, drop), 0.012, metal, "stem", sides=8)
    build.cylinder((0, 0, drop - 0.03), (0, 0, drop), (0.02, 0.05), metal, "rose", sides=12)
    for angle in np.arange(count) * 2 * np.pi / count:
        out = np.array([np.cos(angle), np.sin(angle), 0])
        tube(build, [[0, 0, 0.05], out * 0.15, out * 0.26 + [0, 0, 0.05]], 0.008, metal, "arm")
        build.cylinder(out * 0.26 + [0, 0, 0.05], out * 0.26 + [0, 0, 0.16], (0.03, 0.05), glow, "shade", sides=10)
    return build.build()


@construction("ceiling_lamp")
def lit_tile(rng: np.random.Generator, style: Style) -> Piece:
    """A flat square of light in a thin frame."""
    build, size = PieceBuilder("ceiling lamp"), float(rng.choice([0.4, 0.6]))
    frame = style.material(one_of(rng, "metal", "painted"), rng)
    build.board((-size / 2, -size / 2, 0.004), (size / 2, size / 2, 0.03), frame, "housing")
    build.board((-0.46 * size, -0.46 * size, 0), (0.46 * size, 0.46 * size, 0.005), _glow(style, rng), "shade")
    return build.build()
