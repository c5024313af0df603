"""Boxes, bins and baskets."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.shapes import hollow_box, one_of, tinted, tube
from sparse3d.rooms.piece import Piece
from sparse3d.rooms.style import Style


def _size(rng: np.random.Generator) -> np.ndarray:
    """From a shoe box to a removal box, (x, y, z)."""
    return rng.uniform(0.22, 0.55) * np.array([1.0, rng.uniform(0.6, 0.95), rng.uniform(0.45, 0.9)])


@construction("box")
def closed_box(rng: np.random.Generator, style: Style) -> Piece:
    """A cardboard box closed with tape, at times with a label."""
    build, (x, y, z) = PieceBuilder("box"), _size(rng)
    card = style.material("cardboard", rng)
    build.board((-x / 2, -y / 2, 0), (x / 2, y / 2, z), card, "body")
    tape = tinted(style.material("plastic", rng), 0.7, white=0.2)
    build.board((-x / 2 - 0.001, -0.025, z), (x / 2 + 0.001, 0.025, z + 0.001), tape, "tape")
    for side in (-1, 1):
        build.board((side * x / 2 - 0.001, -0.025, z - 0.08), (side * x / 2 + 0.001, 0.025, z), tape, "tape")
    if rng.random() < 0.6:
        a, b = -0.4 * x + rng.uniform(0, 0.3) * x, 0.3 * z
        build.board((a, -y / 2 - 0.001, b), (a + 0.3 * x, -y / 2, b + 0.3 * z), style.material("paper", rng), "label")
    return build.build()


@construction("box")
def open_box(rng: np.random.Generator, style: Style) -> Piece:
    """A cardboard box with its four flaps turned out, empty or with something in it."""
    build, (x, y, z) = PieceBuilder("box"), _size(rng)
    card = style.material("cardboard", rng)
    hollow_box(build, (x, y, z), 0.006, card, "body")
    for across, along, axis in ((x, y, 1), (y, x, 0)):
        for side in (-1, 1):
            angle = rng.uniform(0.3, 1.9)
            reach = 0.45 * min(x, y)
            out = np.zeros(3)
            out[axis], out[2] = side * np.sin(angle), np.cos(angle)
            edge, way = np.zeros(3), np.zeros(3)
            edge[axis], way[1 - axis] = side * along / 2, across / 2
            edge[2] = z
            low, high = np.stack([edge - way, edge + way]), np.stack([edge - way, edge + way]) + reach * out
            build.strip(low, high, np.array([0, across]), 0.0, reach, card, "flap")
    if rng.random() < 0.5:
        build.board((-0.42 * x, -0.4 * y, 0.005), (0.42 * x, 0.4 * y, rng.uniform(0.4, 0.85) * z),
                    style.material(one_of(rng, "fabric", "paper", "plastic", "books"), rng), "content")  # fmt: skip
    return build.build()


@construction("box")
def lidded_box(rng: np.random.Generator, style: Style) -> Piece:
    """A box with a loose lid, of card or wood, as for shoes and files."""
    build, (x, y, z) = PieceBuilder("box"), _size(rng) * 0.75
    body = style.material(one_of(rng, "cardboard", "painted", "wood", "fabric"), rng)
    lid = body if rng.random() < 0.5 else style.material(one_of(rng, "cardboard", "painted"), rng)
    build.board((-x / 2 + 0.004, -y / 2 + 0.004, 0), (x / 2 - 0.004, y / 2 - 0.004, z - 0.002), body, "body")
    build.board((-x / 2, -y / 2, z - max(0.03, 0.22 * z)), (x / 2, y / 2, z), lid, "lid")
    if rng.random() < 0.4:
        build.board((-0.04, -y / 2 - 0.003, 0.3 * z), (0.04, -y / 2 + 0.004, 0.3 * z + 0.05),
                    style.material("metal", rng), "handle")  # fmt: skip
    return build.build()


@construction("box")
def storage_bin(rng: np.random.Generator, style: Style) -> Piece:
    """A tapered plastic tub with a rim, with or without its lid."""
    build, (x, y, z) = PieceBuilder("storage bin"), _size(rng)
    plastic = style.material("plastic", rng)
    hollow_box(build, (x, y, z), 0.006, plastic, "body", flare=0.06 * x)
    for side in (-1, 1):
        build.board((side * x / 2 - 0.015, -0.2 * y, z - 0.04), (side * x / 2 + 0.015, 0.2 * y, z), plastic, "handle")
    if rng.random() < 0.6:
        lid = style.material("plastic", rng)
        build.board((-x / 2 - 0.012, -y / 2 - 0.012, z), (x / 2 + 0.012, y / 2 + 0.012, z + 0.018), lid, "lid")
        build.board((-0.4 * x, -0.4 * y, z + 0.018), (0.4 * x, 0.4 * y, z + 0.026), lid, "lid")
    else:
        build.board((-0.38 * x, -0.36 * y, 0.005), (0.38 * x, 0.36 * y, rng.uniform(0.3, 0.8) * z),
                    style.material("fabric", rng), "content")  # fmt: skip
    return build.build()


@construction("box")
def crate(rng: np.random.Generator, style: Style) -> Piece:
    """A crate of slats on corner posts."""
    build, (x, y, z) = PieceBuilder("crate"), _size(rng)
    wood = style.material(one_of(rng, "wood", "wood", "plastic"), rng)
    build.board((-x / 2, -y / 2, 0), (x / 2, y / 2, 0.012), wood, "bottom")
    slats = int(rng.integers(3, 5))
    high = z / slats
    for side in (-1, 1):
        for end in (-1, 1):
            build.box((side * (x / 2 - 0.02), end * (y / 2 - 0.02), z / 2), (0.03, 0.03, z), wood, "post")
        for k in range(slats):
            middle = k * high + 0.45 * high
            build.box((side * (x / 2 - 0.005), 0, middle), (0.01, y - 0.02, 0.75 * high), wood, "slat")
            build.box((0, side * (y / 2 - 0.005), middle), (x, 0.01, 0.75 * high), wood, "slat")
    return build.build()


@construction("basket")
def round_basket(rng: np.random.Generator, style: Style) -> Piece:
    """A woven round basket, often with two handles."""
    build, radius = PieceBuilder("basket"), float(rng.uniform(0.13, 0.24))
    height, weave = radius * float(rng.uniform(0.9, 1.8)), style.material(one_of(rng, "fabric", "carpet", "wood"), rng)
    low = radius * float(rng.uniform(0.7, 0.95))
    shape = [(0, 0), (low, 0), (radius, 0.6), (0.97 * radius, 1), (0.93 * radius, 1), (0.93 * low, 0.04), (0, 0.04)]
    build.turned(shape, weave, "body", (0, 0, 0), (0, 0, height), sides=16)
    if rng.random() < 0.6:
        for side in (-1, 1):
            x = side * 0.95 * radius
            tube(build, [(x, -0.06, height - 0.01), (x, -0.04, height + 0.05), (x, 0.04, height + 0.05),
                         (x, 0.06, height - 0.01)], 0.008, weave, "handle")  # fmt: skip
    return build.build()


@construction("basket")
def square_basket(rng: np.random.Generator, style: Style) -> Piece:
    """A low rectangular basket with a thick rim and a cloth or things in it."""
    build, (x, y, z) = PieceBuilder("basket"), _size(rng) * [0.9, 0.9, 0.7]
    weave = style.material(one_of(rng, "fabric", "carpet", "wood"), rng)
    hollow_box(build, (x, y, z), 0.012, weave, "body", flare=0.02)
    for side in (-1, 1):
        build.box((side * x / 2, 0, z), (0.022, y + 0.022, 0.022), weave, "rim")
        build.box((0, side * y / 2, z), (x, 0.022, 0.022), weave, "rim")
    if rng.random() < 0.5:
        build.cushion((0, 0, 0.55 * z), (0.88 * x, 0.86 * y, 0.9 * z), style.material("fabric", rng), "content", 0.4, 6)
    return build.build()


@construction("basket")
def handled_basket(rng: np.random.Generator, style: Style) -> Piece:
    """An oval basket under one high handle."""
    build, width = PieceBuilder("basket"), float(rng.uniform(0.3, 0.45))
    weave, height = style.material(one_of(rng, "fabric", "carpet", "wood"), rng), 0.5 * width
    radius = width / 2
    shape = [(0, 0), (0.75 * radius, 0), (radius, 1), (0.95 * radius, 1), (0.7 * radius, 0.05), (0, 0.05)]
    build.turned(shape, weave, "body", (0, 0, 0), (0, 0, height), sides=16)
    angles = np.linspace(0, np.pi, 9)
    points = [np.array([0.97 * radius * np.cos(a), 0, height - 0.02 + 0.8 * radius * np.sin(a)]) for a in angles]
    tube(build, points, 0.009, weave, "handle")
    return build.build()
