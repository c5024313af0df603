"""What many pieces stand on: legs of several shapes, rails between them, and choices that pieces share."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.piece import Material
from sparse3d.rooms.solids import bar, tube

LEG_SHAPES = ("square", "tapered", "round", "turned")


def wished(wish: float | None, rng: np.random.Generator, low: float, high: float) -> float:
    """The wish where there is one, else a draw; the draw is made either way, so what follows does not change."""
    drawn = float(rng.uniform(low, high))
    return drawn if wish is None else float(wish)


def chance(rng: np.random.Generator, share: float) -> bool:
    """True in ``share`` of the draws."""
    return bool(rng.random() < share)


def corners(width: float, depth: float) -> list[tuple[float, float]]:
    """The four corners of a rectangle around the origin: front left, front right, back right, back left."""
    x, y = width / 2, depth / 2
    return [(-x, -y), (x, -y), (x, y), (-x, y)]


def leg(build: PieceBuilder, foot: tuple[float, float], top: tuple[float, float, float], thick: float,
        material: Material, shape: str) -> None:  # fmt: skip
    """A leg of one of :data:`LEG_SHAPES` from the floor at ``foot`` up to ``top``."""
    base = (foot[0], foot[1], 0.0)
    if shape == "square":
        bar(build, base, top, (thick, thick), material, "leg")
    elif shape == "tapered":
        bar(build, top, base, (thick, thick), material, "leg", taper=0.55)
    elif shape == "round":
        build.cylinder(base, top, (thick * 0.33, thick * 0.55), material, "leg", sides=10)
    else:
        r = thick / 2
        profile = [(0, 0), (r * 0.6, 0), (r * 0.7, 0.03), (r * 0.5, 0.06), (r * 0.85, 0.35), (r * 0.95, 0.62),
                   (r * 0.6, 0.68), (r * 1.05, 0.71), (r * 0.6, 0.75), (r, 0.78), (r, 1.0), (0, 1.0)]  # fmt: skip
        build.turned(profile, material, "leg", base, top, sides=10)


def four_legs(build: PieceBuilder, width: float, depth: float, height: float, thick: float, material: Material,
              shape: str, splay: float = 0.0) -> None:  # fmt: skip
    """Legs at the corners of a rectangle (their axes), their feet ``splay`` metres further out than their tops."""
    for x, y in corners(width, depth):
        leg(build, (x + np.sign(x) * splay, y + np.sign(y) * splay), (x, y, height), thick, material, shape)


def apron(build: PieceBuilder, width: float, depth: float, low: float, high: float, thick: float,
          material: Material, part: str = "apron") -> None:  # fmt: skip
    """Four rails on edge around a rectangle, which is their middle line."""
    z, tall = (low + high) / 2, high - low
    for sign in (-1, 1):
        build.box((0, sign * depth / 2, z), (width, thick, tall), material, part)
        build.box((sign * width / 2, 0, z), (thick, depth, tall), material, part)


def sled(build: PieceBuilder, x: float, depth: float, height: float, material: Material, radius: float = 0.012,
         square: bool = False) -> None:  # fmt: skip
    """A runner at ``x``: two uprights joined on the floor, as one bent tube or a frame of square bars."""
    y = depth / 2
    if square:
        wide = 2 * radius
        bar(build, (x, -y, 0), (x, -y, height), (wide, wide), material, "leg")
        bar(build, (x, y, 0), (x, y, height), (wide, wide), material, "leg")
        bar(build, (x, -y, radius), (x, y, radius), (wide, wide), material, "leg")
        bar(build, (x, -y, height - radius), (x, y, height - radius), (wide, wide), material, "leg")
        return
    bend = min(0.05, height / 4)
    points = [(x, -y, height), (x, -y, radius + bend), (x, -y + bend * 0.3, radius + bend * 0.3),
              (x, -y + bend, radius), (x, y - bend, radius), (x, y - bend * 0.3, radius + bend * 0.3),
              (x, y, radius + bend), (x, y, height)]  # fmt: skip
    tube(build, points, radius, material, "leg")


def knob_or_pull(build: PieceBuilder, x: float, y: float, z: float, shape: str, material: Material) -> None:
    """A handle on a front that faces -y at depth ``y``: a "knob", a "bar" or a "cup"."""
    if shape == "knob":
        build.turned([(0.006, 0), (0.006, 0.5), (0.015, 0.6), (0.014, 0.95), (0, 1)], material, "handle",
                     (x, y, z), (x, y - 0.026, z), sides=10)  # fmt: skip
    elif shape == "bar":
        tube(build, [(x - 0.05, y, z), (x - 0.05, y - 0.025, z), (x + 0.05, y - 0.025, z), (x + 0.05, y, z)], 0.005,
             material, "handle", sides=6)  # fmt: skip
    else:
        build.box((x, y - 0.01, z), (0.09, 0.02, 0.018), material, "handle")
