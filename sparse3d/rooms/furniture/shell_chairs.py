"""Chairs whose seat and back are one: moulded shells, upholstered ones, and bent steel tube."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.bases import chance, corners, four_legs, leg, sled
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.solids import SolidBuilder, padding, shell, tube
from sparse3d.rooms.style import Style


def bucket(width: float, depth: float, seat: float, tall: float, wing: float, lean: float) -> np.ndarray:
    """(15, 11, 3) grid of a moulded shell, from the front edge over the seat up to the back's top.

    ``wing`` metres lift the seat's sides and pull the back's sides forwards.
    """
    t = np.linspace(0, 1, 15)
    # Down over the front edge, level, round the corner at the back, up.
    knots = np.array([0.0, 0.06, 0.14, 0.42, 0.52, 0.6, 1.0])
    y = np.interp(t, knots, np.array([-0.5, -0.46, -0.4, 0.3, 0.42, 0.46, 0.46]) * depth)
    y += lean * np.clip((t - 0.52) / 0.48, 0, 1)
    z = np.interp(t, knots, [seat - 0.025, seat - 0.006, seat, seat - 0.02, seat + 0.01, seat + 0.08, seat + tall])
    half = width / 2 * np.interp(t, [0, 0.2, 0.5, 0.7, 0.93, 1.0], [0.9, 1.0, 0.98, 0.94, 0.78, 0.55])
    s = np.linspace(-1, 1, 11)
    rise, pull = np.interp(t, [0, 0.15, 0.5, 0.7], [0.1, 0.6, 1.0, 0.0]), np.interp(t, [0.4, 0.6, 1.0], [0, 1, 0.7])
    grid = np.empty((15, 11, 3))
    grid[..., 0] = half[:, None] * s
    grid[..., 1] = y[:, None] - (wing * pull)[:, None] * s**2
    grid[..., 2] = z[:, None] + (wing * 0.6 * rise)[:, None] * s**4
    return grid


def _add_bucket(build: PieceBuilder, grid: np.ndarray, material: Material, thick: float = 0.007) -> None:
    """The shell, its lower half the seat and its upper one the back."""
    shell(build, grid[:9, ::-1], thick, material, "seat")
    shell(build, grid[8:, ::-1], thick, material, "back")


def _legs(build: PieceBuilder, width: float, depth: float, seat: float, rng: np.random.Generator, style: Style) -> None:
    """Splayed wooden legs with a cross, four steel tubes, or a sled, up to the shell's underside."""
    kind, metal, high = str(rng.choice(["dowel", "tube", "sled"])), style.material("metal", rng), seat - 0.035
    w, d = width * 0.55, depth * 0.5
    if kind == "dowel":
        wood = style.material("wood", rng)
        for x, y in corners(w, d):
            leg(build, (x * 1.5, y * 1.6), (x, y, high + 0.015), 0.045, wood, "round")
        for a, b in ((0, 2), (1, 3)):
            p, q = corners(w, d)[a], corners(w, d)[b]
            tube(build, [(*p, high), (*q, high)], 0.007, metal, "frame", sides=6)
    elif kind == "tube":
        for x, y in corners(w, d):
            tube(build, [(x * 1.5, y * 1.55, 0), (x, y, high)], 0.011, metal, "leg")
        for y in (-d / 2, d / 2):
            tube(build, [(-w / 2, y, high), (w / 2, y, high)], 0.011, metal, "frame")
    else:
        for side in (-1, 1):
            sled(build, side * w * 0.62, depth * 0.72, high, metal, radius=0.009)
        for y in (-depth * 0.36, depth * 0.36):
            tube(build, [(-w * 0.62, y, high), (w * 0.62, y, high)], 0.009, metal, "frame")
    # The shell is bent and the frame is not: pads bridge what is between them.
    for x, y in corners(w * 0.7, d):
        build.cylinder((x, y, high - 0.008), (x, y, seat - (0.022 if y > 0 else 0.008)), 0.016, metal, "frame", sides=8)
    for y in (-d / 2, d / 2):
        tube(build, [(-w * 0.62, y, high), (w * 0.62, y, high)], 0.008, metal, "frame", sides=6)
    if kind == "sled":
        for side in (-1, 1):
            tube(build, [(side * w * 0.62, -depth * 0.36, high), (side * w * 0.62, depth * 0.36, high)], 0.009, metal,
                 "frame")  # fmt: skip


@construction("chair")
def plastic_shell_chair(rng: np.random.Generator, style: Style) -> Piece:
    """A moulded plastic shell on dowels, tubes or a sled."""
    width, depth, seat = rng.uniform(0.44, 0.52), rng.uniform(0.42, 0.48), rng.uniform(0.43, 0.46)
    wing, tall, lean = rng.uniform(0.01, 0.07), rng.uniform(0.34, 0.42), rng.uniform(0.05, 0.12)
    build, plastic = SolidBuilder("chair"), style.material("plastic", rng)
    _add_bucket(build, bucket(width, depth, seat, tall, wing, lean), plastic)
    _legs(build, width, depth, seat, rng, style)
    if chance(rng, 0.3):
        cover = style.material("fabric", rng)
        padding(build, (0, -0.02 * depth, seat + 0.008), (width * 0.75, depth * 0.68, 0.03), cover, "seat",
                radius=0.013)  # fmt: skip
    return build.build()


@construction("chair")
def upholstered_chair(rng: np.random.Generator, style: Style) -> Piece:
    """A dining chair covered all round: thick seat, straight or winged back, thin legs."""
    width, depth, seat = rng.uniform(0.44, 0.54), rng.uniform(0.44, 0.5), rng.uniform(0.46, 0.5)
    tall, thick = rng.uniform(0.38, 0.6), rng.uniform(0.06, 0.1)
    cover = style.material(str(rng.choice(["fabric", "leather"])), rng)
    build, feet = SolidBuilder("chair"), style.material(str(rng.choice(["wood", "metal"])), rng)
    padding(build, (0, 0, seat - thick / 2), (width, depth, thick), cover, "seat", radius=0.03, crown=0.012)
    lean = rng.uniform(0.08, 0.2)
    if chance(rng, 0.5):
        place = (0, depth / 2 - 0.01 + np.sin(lean) * tall / 2, seat - 0.03 + tall / 2)
        padding(build, place, (width * 0.96, 0.07, tall + 0.06), cover, "back", radius=0.03, tilt=-lean)
    else:
        rise, s = np.linspace(0, 1, 5), np.linspace(1, -1, 11)
        grid = np.empty((5, 11, 3))
        wide = width / 2 * (1 - 0.12 * rise**2)
        grid[..., 0] = wide[:, None] * np.sin(s * 1.25)[None] / np.sin(1.25)
        grid[..., 1] = depth / 2 - 0.06 - rng.uniform(0.05, 0.16) * (s**2)[None] + (np.tan(lean) * tall * rise)[:, None]
        grid[..., 2] = (seat - 0.03 + (tall + 0.03) * rise)[:, None] - 0.05 * rise[:, None] * (s**2)[None]
        shell(build, grid, 0.05, cover, "back")
    four_legs(build, width - 0.1, depth - 0.1, seat - thick + 0.01, 0.035, feet,
              str(rng.choice(["tapered", "round", "square"])), splay=rng.uniform(0.0, 0.05))  # fmt: skip
    return build.build()


@construction("chair")
def cantilever_chair(rng: np.random.Generator, style: Style) -> Piece:
    """One bent steel tube without back legs; seat and back of wood, leather or cloth."""
    width, depth, seat = rng.uniform(0.42, 0.48), rng.uniform(0.42, 0.47), rng.uniform(0.43, 0.47)
    top, lean, r = seat + rng.uniform(0.34, 0.45), rng.uniform(0.04, 0.09), 0.0125
    build, metal = SolidBuilder("chair"), style.material("metal", rng)
    cover = style.material(str(rng.choice(["wood", "leather", "fabric", "plastic"])), rng)
    x, front, rear = width / 2, -depth / 2, depth / 2
    for side in (-1, 1):
        path = [
            (0, rear, r),
            (side * (x - 0.05), rear, r),
            (side * x, rear - 0.05, r),
            (side * x, front + 0.06, r),
            (side * x, front + 0.02, r + 0.02),
            (side * x, front, r + 0.06),
            (side * x, front, seat - 0.06),
            (side * x, front + 0.02, seat - 0.02),
            (side * x, front + 0.06, seat),
            (side * x, rear - 0.06, seat),
            (side * x, rear - 0.01, seat + 0.03),
            (side * x, rear, seat + 0.07),
            (side * x, rear + lean, top),
        ]
        tube(build, path, r, metal, "leg")
    padding(build, (0, 0.005, seat + 0.004), (width - 0.005, depth - 0.05, 0.034), cover, "seat", radius=0.014)
    s, low = np.linspace(1, -1, 9), top - rng.uniform(0.16, 0.3)
    grid = np.stack([np.stack([s * x, rear + lean * (z - seat) / (top - seat) + 0.025 * (1 - s**2), np.full(9, z)], 1)
                     for z in (low, top)])  # fmt: skip
    shell(build, grid, 0.012, cover, "back")
    if chance(rng, 0.5):
        z = seat + 0.2
        for side in (-1, 1):
            near = front + rng.uniform(0.0, 0.06)
            tube(build, [(side * x, near, seat), (side * x, near, z - 0.03), (side * x, near + 0.03, z),
                         (side * x, rear + 0.02, z)], r * 0.9, metal, "arm")  # fmt: skip
            build.box((side * x, near + 0.15, z + r), (0.04, 0.22, 0.02), cover, "arm")
    return build.build()
