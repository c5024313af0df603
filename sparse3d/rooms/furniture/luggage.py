"""Bags, suitcases and shoes."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.shapes import arc, hollow_box, one_of, tinted, tube
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style


@construction("backpack")
def backpack(rng: np.random.Generator, style: Style) -> Piece:
    """A standing rucksack with a pocket in front, a flap or a zip, and straps behind."""
    height = float(rng.uniform(0.4, 0.52))
    width, depth = 0.68 * height, 0.38 * height
    build, cloth = PieceBuilder("backpack"), style.material(one_of(rng, "fabric", "fabric", "leather"), rng)
    other = cloth if rng.random() < 0.4 else style.material("fabric", rng)
    build.cushion((0, 0, height / 2), (width, depth, height), cloth, "body", 0.3, steps=8)
    build.cushion((0, -0.45 * depth, 0.3 * height), (0.78 * width, 0.4 * depth, 0.42 * height), other, "pocket", 0.3, 6)
    if rng.random() < 0.5:
        build.cushion(
            (0, -0.08 * depth, 0.85 * height), (1.02 * width, 1.05 * depth, 0.32 * height), other, "flap", 0.3, 6
        )
    tube(build, arc((0, 0.3 * depth, 0.96 * height), 0.045, 0, np.pi, steps=5), 0.008, other, "handle")
    for side in (-1, 1):
        x = side * 0.2 * width
        points = [(x, 0.4 * depth, 0.92 * height), (x * 1.3, 0.68 * depth, 0.6 * height), (x * 1.5, 0.62 * depth,
                  0.25 * height), (x * 1.4, 0.42 * depth, 0.1 * height)]  # fmt: skip
        tube(build, points, 0.016, other, "strap", sides=5)
    return build.build()


@construction("bag")
def shopping_bag(rng: np.random.Generator, style: Style) -> Piece:
    """A paper or cloth bag with two loops."""
    width = float(rng.uniform(0.24, 0.38))
    depth, height = width * rng.uniform(0.35, 0.5), width * rng.uniform(0.9, 1.3)
    build, skin = PieceBuilder("bag"), style.material(one_of(rng, "paper", "cardboard", "fabric", "plastic"), rng)
    hollow_box(build, (width, depth, height), 0.003, skin, "body", flare=float(rng.uniform(-0.01, 0.02)))
    cord = style.material("fabric", rng)
    for side in (-1, 1):
        y = side * (depth / 2 - 0.003)
        points = [p + np.array([0, 0, -0.01]) for p in arc((0, y, height), 0.25 * width, 0, np.pi, steps=6)]
        tube(build, points, 0.004, cord, "handle", sides=5)
    if rng.random() < 0.4:
        build.board((-0.42 * width, -0.4 * depth, 0.004), (0.42 * width, 0.4 * depth, 0.7 * height),
                    style.material(one_of(rng, "fabric", "paper"), rng), "content")  # fmt: skip
    return build.build()


@construction("bag")
def hand_bag(rng: np.random.Generator, style: Style) -> Piece:
    """A soft handbag: trapezoid, with a band and two handles."""
    width = float(rng.uniform(0.26, 0.4))
    height, depth = 0.68 * width, 0.36 * width
    build, skin = PieceBuilder("bag"), style.material(one_of(rng, "leather", "leather", "fabric"), rng)
    t = np.linspace(0, 1, 6)
    ring = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
    rows = [np.column_stack([ring[:, 0] * width / 2 * (1 - 0.2 * k**2), ring[:, 1] * depth / 2 * (1 - 0.8 * k**1.3),
                             np.full(5, k * height)]) for k in t]  # fmt: skip
    build.sheet(np.stack(rows), skin, "body")
    build.quads(rows[0][None, :4], rows[0][None, :4, :2] + width, skin, "body")
    build.quads(rows[-1][None, :4], rows[-1][None, :4, :2] + width, skin, "body")
    band = style.material(one_of(rng, "leather", "metal"), rng)
    build.box((0, 0, height), (0.81 * width, 0.24 * depth, 0.02), band, "band")
    for side in (-1, 1):
        y = side * 0.1 * depth
        tube(build, arc((0, y, height - 0.01), 0.26 * width, 0, np.pi, steps=7), 0.006, band, "handle", sides=5)
    return build.build()


@construction("bag")
def sports_bag(rng: np.random.Generator, style: Style) -> Piece:
    """A lying roll with two straps around it."""
    build, half = PieceBuilder("bag"), float(rng.uniform(0.2, 0.32))
    radius, cloth = float(rng.uniform(0.55, 0.7)) * half, style.material(one_of(rng, "fabric", "leather"), rng)
    radius = min(radius, 0.16)
    shape = [(0, 0), (0.85 * radius, 0), (radius, 0.05), (radius, 0.95), (0.85 * radius, 1), (0, 1)]
    build.turned(shape, cloth, "body", (-half, 0, radius), (half, 0, radius), sides=14)
    strap = style.material("fabric", rng)
    for x in (-0.45 * half, 0.45 * half):
        build.cylinder(
            (x - 0.015, 0, radius), (x + 0.015, 0, radius), 1.02 * radius, strap, "strap", sides=14, caps=False
        )
    points = arc((0, 0, 1.95 * radius), 0.45 * half, 0, np.pi, steps=7)
    tube(build, [p * [1, 1, 0.6] + [0, 0, 0.78 * radius] for p in points], 0.01, strap, "handle", sides=5)
    return build.build()


@construction("suitcase")
def trolley(rng: np.random.Generator, style: Style) -> Piece:
    """An upright case on wheels with ribs and a drawn-out handle."""
    height = float(rng.uniform(0.5, 0.72))
    width, depth = 0.66 * height, 0.4 * height
    build, shell = PieceBuilder("suitcase"), style.material(one_of(rng, "plastic", "fabric", "metal"), rng)
    dark = tinted(style.material("plastic", rng), 0.25)
    build.cushion((0, 0, 0.05 + height / 2), (width, depth, height), shell, "body", 0.08, steps=8)
    for k in range(int(rng.integers(0, 6))):
        x = (k - 2) * 0.16 * width
        build.board((x - 0.01, -depth / 2 - 0.005, 0.12), (x + 0.01, -depth / 2 + 0.01, height - 0.02), shell, "rib")
    for x in (-0.4 * width, 0.4 * width):
        for y in (-0.35 * depth, 0.35 * depth):
            build.cylinder((x - 0.012, y, 0.025), (x + 0.012, y, 0.025), 0.025, dark, "wheel", sides=8)
            build.box((x, y, 0.055), (0.012, 0.03, 0.05), dark, "wheel")
    out = float(rng.choice([0.03, rng.uniform(0.2, 0.38)]))
    y, top = 0.4 * depth, 0.05 + height
    tube(build, [(-0.2 * width, y, top - 0.02), (-0.2 * width, y, top + out), (0.2 * width, y, top + out),
                 (0.2 * width, y, top - 0.02)], 0.008, dark, "handle")  # fmt: skip
    return build.build()


@construction("suitcase")
def old_suitcase(rng: np.random.Generator, style: Style) -> Piece:
    """A flat case with corners, clasps and a grip, lying or standing on its long side."""
    width = float(rng.uniform(0.45, 0.7))
    deep, thick = 0.64 * width, 0.26 * width
    build, skin = PieceBuilder("suitcase"), style.material(one_of(rng, "leather", "cardboard", "fabric"), rng)
    metal, edge = style.material("metal", rng), style.material("leather", rng)
    standing = rng.random() < 0.6
    size = np.array([width, thick, deep] if standing else [width, deep, thick])
    build.box(size * [0, 0, 0.5], size, skin, "body")
    for a in (-1, 1):
        for b in (-1, 1):
            for c in (0.03, 0.97):
                build.box(size * [0.47 * a, 0.47 * b, c], size * 0.06 + 0.006, edge, "corner")
    grip = [(-0.08, 0.0), (-0.06, 0.035), (0.06, 0.035), (0.08, 0.0)]
    if standing:
        tube(build, [(x, 0, size[2] + z - 0.003) for x, z in grip], 0.009, edge, "handle")
        spots = [(x, 0.0, size[2]) for x in (-0.3 * width, 0.3 * width)]
    else:
        tube(build, [(x, -size[1] / 2 - z + 0.003, size[2] / 2) for x, z in grip], 0.009, edge, "handle")
        spots = [(x, -size[1] / 2, size[2] / 2) for x in (-0.3 * width, 0.3 * width)]
    for spot in spots:
        build.box(spot, (0.04, 0.02, 0.02), metal, "clasp")
    return build.build()


@construction("suitcase")
def trunk(rng: np.random.Generator, style: Style) -> Piece:
    """A low trunk with bands, a lid and grips at its sides."""
    width = float(rng.uniform(0.6, 0.95))
    depth, height = 0.52 * width, 0.45 * width
    build, skin = PieceBuilder("suitcase"), style.material(one_of(rng, "wood", "leather", "painted"), rng)
    band = style.material(one_of(rng, "metal", "leather", "wood"), rng)
    build.board((-width / 2, -depth / 2, 0), (width / 2, depth / 2, 0.7 * height), skin, "body")
    build.board((-width / 2 - 0.005, -depth / 2 - 0.005, 0.7 * height), (width / 2 + 0.005, depth / 2 + 0.005, height),
                skin, "lid")  # fmt: skip
    for x in (-0.3 * width, 0.3 * width):
        build.board((x - 0.02, -depth / 2 - 0.009, 0), (x + 0.02, depth / 2 + 0.009, height + 0.004), band, "band")
    build.board((-0.03, -depth / 2 - 0.016, 0.6 * height), (0.03, -depth / 2, 0.78 * height), band, "clasp")
    for side in (-1, 1):
        build.box((side * (width / 2 + 0.006), 0, 0.42 * height), (0.024, 0.14, 0.05 * height), band, "handle")
    build.support((0, 0, height), (0.5 * width, 0.9 * depth), 0.5)
    return build.build()


def _shoe(build: PieceBuilder, x: float, y: float, yaw: float, length: float, high: float, upper: Material,
          sole: Material) -> None:  # fmt: skip
    """A shoe whose toe looks along -y: a sole, a rounded front and a shaft of height ``high``."""
    way, wide = np.array([np.sin(yaw), -np.cos(yaw)]), 0.36 * length

    def at(forward: float, z: float) -> np.ndarray:
        return np.array([x + way[0] * forward, y + way[1] * forward, z])

    build.box(at(0, 0.01), (0.92 * wide, length, 0.02), sole, "sole", yaw=yaw)
    build.cushion(at(0.2 * length, 0.04), (wide, 0.58 * length, 0.065), upper, "upper", 0.5, 6, yaw=yaw)
    build.cushion(
        at(-0.22 * length, 0.015 + high / 2), (0.88 * wide, 0.54 * length, high), upper, "upper", 0.3, 6, yaw=yaw
    )


@construction("shoes")
def pair_of_shoes(rng: np.random.Generator, style: Style) -> Piece:
    """Two shoes beside each other: low, ankle-high, or boots."""
    build, length = PieceBuilder("shoes"), float(rng.uniform(0.24, 0.3))
    upper = style.material(one_of(rng, "leather", "fabric", "rubber"), rng)
    sole = tinted(style.material("rubber", rng), 0.5, white=float(rng.choice([0.0, 0.7])))
    high = float(rng.choice([0.07, 0.1, 0.26]))
    for side in (-1, 1):
        x, y, yaw = side * rng.uniform(0.06, 0.08), rng.uniform(-0.02, 0.02), rng.uniform(-0.2, 0.2)
        _shoe(build, x, y, yaw, length, high, upper, sole)
    return build.build()
