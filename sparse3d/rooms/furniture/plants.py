"""Plants in pots: from a table's succulent to a palm in the corner of a room."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.shapes import drawn, fitted_to_height, hollow_box, leaf, one_of, scaled, tinted, tube
from sparse3d.rooms.piece import Piece
from sparse3d.rooms.style import Style


def _pot(build: PieceBuilder, rng: np.random.Generator, style: Style, radius: float, height: float) -> float:
    """A pot with earth in it; gives the earth's height."""
    clay = style.material(one_of(rng, "ceramic", "ceramic", "plastic", "stone", "wood", "metal"), rng)
    earth = tinted(style.material("cardboard", rng), 0.35)
    kind, top = one_of(rng, "cone", "cylinder", "belly", "square"), 0.88 * height
    if kind == "square":
        hollow_box(build, (1.8 * radius, 1.8 * radius, height), 0.08 * radius, clay, "pot", flare=0.15 * radius)
        build.board((-0.84 * radius, -0.84 * radius, top - 0.02), (0.84 * radius, 0.84 * radius, top), earth, "earth")
        return top
    shape = {
        "cone": [(0, 0), (0.7, 0), (0.92, 0.8), (1, 0.8), (1, 1), (0.9, 1), (0.88, 0.85)],
        "cylinder": [(0, 0), (0.9, 0), (1, 0.04), (1, 1), (0.9, 1), (0.9, 0.85)],
        "belly": [(0, 0), (0.6, 0), (0.95, 0.3), (1, 0.55), (0.85, 0.85), (0.9, 1), (0.82, 1), (0.8, 0.85)],
    }[kind]
    build.turned([(r * radius, t) for r, t in shape], clay, "pot", (0, 0, 0), (0, 0, height), sides=14)
    build.turned([(0.9 * radius, 0), (0, 1)], earth, "earth", (0, 0, top - 0.01), (0, 0, top), sides=14)
    return top


@construction("plant")
def leafy_bush(rng: np.random.Generator, style: Style, height: float | None = None) -> Piece:
    """Stems with leaves along them."""
    tall = drawn(rng, height, 0.5, 1.3)
    build, pot = PieceBuilder("plant"), float(rng.uniform(0.22, 0.32)) * tall
    earth = _pot(build, rng, style, float(rng.uniform(0.13, 0.19)) * tall, pot)
    green, stem = style.material("leaf", rng), tinted(style.material("leaf", rng), 0.6)
    for k in range(stems := int(rng.integers(3, 7))):
        lean, turn = rng.uniform(0.05, 0.32), 2 * np.pi * k / stems + rng.uniform(-0.4, 0.4)
        length = (tall - earth) * rng.uniform(0.6, 0.95)
        out = np.array([np.cos(turn) * np.sin(lean), np.sin(turn) * np.sin(lean), np.cos(lean)])
        foot = np.array([0.02 * np.cos(turn), 0.02 * np.sin(turn), earth - 0.01])
        build.cylinder(foot, foot + out * length, (0.007 * tall + 0.002, 0.003), stem, "stem", sides=5, caps=False)
        for t in np.linspace(0.25, 1, int(rng.integers(5, 9))):
            size = rng.uniform(0.16, 0.26) * tall
            leaf(build, foot + out * length * t, turn + rng.uniform(-2.2, 2.2), size, size * rng.uniform(0.35, 0.55),
                 rng.uniform(0.1, 0.7) * size, 0.5 * size, green, rows=3)  # fmt: skip
    return fitted_to_height(build.build(), height)


@construction("plant")
def palm(rng: np.random.Generator, style: Style, height: float | None = None) -> Piece:
    """Long fronds from the top of a trunk, or straight from the pot."""
    tall = drawn(rng, height, 0.9, 1.9)
    build, pot = PieceBuilder("plant"), float(rng.uniform(0.15, 0.22)) * tall
    earth = _pot(build, rng, style, float(rng.uniform(0.1, 0.14)) * tall, pot)
    green, bark = style.material("leaf", rng), tinted(style.material("wood", rng), 0.7)
    crown = earth + (tall - earth) * float(rng.choice([0.1, 0.4, 0.55]))
    build.cylinder((0, 0, earth - 0.01), (0, 0, crown), (0.025 * tall, 0.015 * tall), bark, "trunk", sides=8)
    count = int(rng.integers(9, 15))
    for k in range(count):
        turn, up = 2 * np.pi * k * 0.382, rng.uniform(0.55, 1.0)
        length = (tall - crown) * rng.uniform(0.8, 1.2)
        leaf(build, (0, 0, crown - 0.01), turn, length, 0.16 * length + 0.02, 1.3 * up * length, 0.65 * up * length,
             green, rows=6)  # fmt: skip
    piece = fitted_to_height(build.build(), tall)
    low, high = piece.bounds
    spread, most = float((high - low)[:2].max()), 0.75 * tall
    return piece if spread <= most else scaled(piece, (most / spread, most / spread, 1))


@construction("plant")
def cactus(rng: np.random.Generator, style: Style, height: float | None = None) -> Piece:
    """One ribbed column with arms, or a few balls."""
    tall = drawn(rng, height, 0.15, 0.8)
    build, pot = PieceBuilder("plant"), 0.3 * tall
    earth = _pot(build, rng, style, 0.2 * tall, pot)
    green = style.material("leaf", rng)
    column = [(0.6, 0), (1, 0.1), (1, 0.85), (0.7, 0.96), (0, 1)]
    if rng.random() < 0.6:
        radius = 0.08 * tall
        build.turned([(radius * r, t) for r, t in column], green, "stem", (0, 0, earth - 0.01), (0, 0, tall), sides=9)
        for k in range(int(rng.integers(0, 4))):
            turn, z = k * 2.1 + rng.uniform(0, 1), earth + (tall - earth) * rng.uniform(0.25, 0.55)
            out = np.array([np.cos(turn), np.sin(turn), 0])
            elbow = out * 0.19 * tall + [0, 0, z]
            build.cylinder([0, 0, z], elbow, 0.6 * radius, green, "arm", sides=7)
            build.turned([(0.6 * radius * r, t) for r, t in column], green, "arm", elbow - [0, 0, 0.4 * radius],
                         elbow + [0, 0, 0.2 * tall], sides=7)  # fmt: skip
    else:
        for k in range(int(rng.integers(1, 4))):
            size = 0.34 * tall * (1 - 0.25 * k)
            turn = 2.4 * k
            x, y = (0.09 * tall * np.cos(turn), 0.09 * tall * np.sin(turn)) if k else (0.0, 0.0)
            build.cushion((x, y, earth + 0.42 * size), (size, size, size * 1.1), green, "stem", 0.9, steps=6)
    return fitted_to_height(build.build(), height)


@construction("plant")
def small_rosette(rng: np.random.Generator, style: Style, height: float | None = None) -> Piece:
    """A succulent, a fern or a tuft of grass in a small pot."""
    tall = drawn(rng, height, 0.12, 0.32)
    build, pot = PieceBuilder("plant"), float(rng.uniform(0.35, 0.5)) * tall
    earth = _pot(build, rng, style, float(rng.uniform(0.2, 0.3)) * tall, pot)
    green = style.material("leaf", rng)
    count, slim = int(rng.integers(12, 26)), float(rng.choice([0.1, 0.2, 0.4]))
    for k in range(count):
        size = (tall - earth) * rng.uniform(0.8, 1.2)
        up = rng.uniform(0.5, 1.0) * (0.6 + 0.4 * k / count)
        leaf(build, (0, 0, earth - 0.004), 2.4 * k, size, slim * size, 1.1 * up * size, 0.45 * up * size, green, rows=3)
    return fitted_to_height(build.build(), height)


@construction("plant")
def tall_blades(rng: np.random.Generator, style: Style, height: float | None = None) -> Piece:
    """Stiff upright blades."""
    tall = drawn(rng, height, 0.4, 1.0)
    build, pot = PieceBuilder("plant"), float(rng.uniform(0.22, 0.3)) * tall
    radius = float(rng.uniform(0.12, 0.18)) * tall
    earth, green = _pot(build, rng, style, radius, pot), style.material("leaf", rng)
    for k in range(int(rng.integers(7, 14))):
        turn, spread = 2.4 * k, radius * 0.7 * rng.uniform(0.1, 1)
        base = np.array([np.cos(turn) * spread, np.sin(turn) * spread, earth - 0.01])
        size = (tall - earth) * rng.uniform(0.6, 1.0)
        leaf(build, base, turn, size, 0.1 * tall, 0.97 * size, 0.0, green, rows=4)
    return fitted_to_height(build.build(), height)


@construction("plant")
def small_tree(rng: np.random.Generator, style: Style, height: float | None = None) -> Piece:
    """A trunk with a few boughs and a round head of leaves."""
    tall = drawn(rng, height, 1.1, 1.9)
    build, pot = PieceBuilder("plant"), float(rng.uniform(0.14, 0.2)) * tall
    earth = _pot(build, rng, style, float(rng.uniform(0.09, 0.13)) * tall, pot)
    green, bark = style.material("leaf", rng), style.material("wood", rng)
    fork, radius = earth + (tall - earth) * rng.uniform(0.3, 0.5), 0.17 * tall
    middle = np.array([0, 0, tall - 1.05 * radius])
    build.cylinder((0, 0, earth - 0.01), (0, 0, fork), (0.014 * tall, 0.01 * tall), bark, "trunk", sides=7)
    for k in range(7):
        turn = 2.4 * k
        out = np.array([np.cos(turn), np.sin(turn), rng.uniform(-0.5, 1.2)])
        tip = middle + out / np.linalg.norm(out) * radius * 0.75
        tube(build, [(0, 0, fork - 0.01), (middle * [1, 1, 0.9] + tip) / 2, tip], 0.005 * tall, bark, "bough", sides=4)
        for j in range(7):
            size = 0.13 * tall * rng.uniform(0.8, 1.2)
            leaf(build, tip - out * 0.02 * j, turn + 0.9 * j, size, 0.5 * size, rng.uniform(-0.2, 0.9) * size,
                 0.4 * size, green, rows=2)  # fmt: skip
    return fitted_to_height(build.build(), height)
