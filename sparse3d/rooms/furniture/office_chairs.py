"""Swivel chairs: a star of five castors, a column, a seat, and a back of mesh, cloth, leather or plastic."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.bases import chance
from sparse3d.rooms.furniture.shell_chairs import bucket
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.solids import SolidBuilder, bar, padding, shell, tube
from sparse3d.rooms.style import Style


def star_base(build: PieceBuilder, radius: float, top: float, metal: Material, rubber: Material, turn: float) -> None:
    """Five spokes with castors, and the gas spring up to height ``top``."""
    hub = 0.11
    for k in range(5):
        angle = turn + k * 2 * np.pi / 5
        out = np.array([np.cos(angle), np.sin(angle), 0.0])
        build.cylinder([0, 0, hub], out * radius + [0, 0, 0.075], (0.026, 0.016), metal, "base", sides=8)
        build.cylinder(out * radius + [0, 0, 0.04], out * radius + [0, 0, 0.08], 0.01, metal, "base", sides=6)
        side = np.array([-np.sin(angle + 0.7), np.cos(angle + 0.7), 0.0])
        wheel = out * radius + [0, 0, 0.028]
        for sign in (-1, 1):
            build.cylinder(wheel + side * sign * 0.005, wheel + side * sign * 0.024, 0.028, rubber, "wheel", sides=12)
        build.cylinder(wheel - side * 0.006, wheel + side * 0.006, 0.013, metal, "wheel", sides=6)
    build.cylinder((0, 0, hub - 0.045), (0, 0, hub + 0.05), 0.035, metal, "base", sides=12)
    build.cylinder((0, 0, hub), (0, 0, top - 0.1), 0.025, metal, "column", sides=12)
    build.cylinder((0, 0, top - 0.12), (0, 0, top), 0.014, metal, "column", sides=10)


def _arms(build: PieceBuilder, width: float, seat: float, hard: Material, soft: Material,
          rng: np.random.Generator) -> None:  # fmt: skip
    """T-shaped or looped arms from the seat's underside."""
    x, z, y = width / 2 + 0.035, seat + rng.uniform(0.17, 0.24), rng.uniform(-0.02, 0.05)
    looped = chance(rng, 0.4)
    for side in (-1, 1):
        low = seat - 0.07
        if looped:
            tube(build, [(side * width * 0.3, y - 0.08, low), (side * x, y - 0.08, low + 0.01),
                         (side * x, y - 0.16, z), (side * x, y + 0.12, z), (side * x, y + 0.07, low + 0.01),
                         (side * width * 0.3, y + 0.07, low)], 0.014, hard, "arm")  # fmt: skip
        else:
            bar(build, (side * width * 0.3, y, low), (side * x, y, low), (0.06, 0.015), hard, "arm")
            bar(build, (side * x, y, low - 0.007), (side * x, y, z), (0.025, 0.06), hard, "arm")
        padding(build, (side * x, y - 0.02, z + 0.008), (0.075, rng.uniform(0.22, 0.28), 0.03), soft, "arm",
                radius=0.013)  # fmt: skip


def _back_grid(width: float, low: float, high: float, y: float, lean: float, bow: float) -> np.ndarray:
    """(9, 9, 3) of a back with a lumbar curve, its corners rounded in."""
    rise, s = np.linspace(0, 1, 9), np.linspace(1, -1, 9)
    half = width / 2 * np.interp(rise, [0, 0.12, 0.5, 0.88, 1], [0.78, 0.95, 1.0, 0.9, 0.68])
    grid = np.empty((9, 9, 3))
    grid[..., 0] = half[:, None] * s
    grid[..., 1] = (y + lean * rise**1.5 - 0.03 * np.sin(rise * np.pi * 0.9))[:, None] - bow * (s**2)[None]
    grid[..., 2] = (low + (high - low) * rise)[:, None]
    return grid


def _under(build: PieceBuilder, seat: float, rear: float, back: float, hard: Material) -> None:
    """The mechanism under the seat and the arm that carries the back at (0, ``rear``, ``back``)."""
    build.box((0, 0.02, seat - 0.06), (0.2, 0.26, 0.05), hard, "mechanism")
    tube(build, [(0, 0.1, seat - 0.06), (0, rear + 0.03, seat - 0.05), (0, rear + 0.055, seat + 0.02),
                 (0, rear + 0.015, back)], 0.018, hard, "mechanism")  # fmt: skip
    tube(build, [(0.08, -0.02, seat - 0.065), (0.27, -0.03, seat - 0.075)], 0.006, hard, "handle", sides=6)


@construction("office_chair")
def task_chair(rng: np.random.Generator, style: Style) -> Piece:
    """A padded seat, a back of stretched mesh in a frame or of padding, arms or none, a head rest or none."""
    width, depth, seat = rng.uniform(0.46, 0.52), rng.uniform(0.44, 0.5), rng.uniform(0.44, 0.54)
    build, hard, rubber = SolidBuilder("office chair"), style.material("plastic", rng), style.material("rubber", rng)
    metal, cover = style.material(str(rng.choice(["metal", "plastic"])), rng), style.material("fabric", rng)
    star_base(build, rng.uniform(0.28, 0.33), seat - 0.06, metal, rubber, rng.uniform(0, 1.2))
    padding(build, (0, 0, seat - 0.025), (width, depth, 0.07), cover, "seat", radius=0.03, crown=0.008, steps=3)
    rear, low, high = depth / 2, seat + rng.uniform(0.06, 0.13), seat + rng.uniform(0.42, 0.6)
    grid = _back_grid(width * rng.uniform(0.86, 0.98), low, high, rear, rng.uniform(0.05, 0.1), rng.uniform(0.02, 0.05))
    _under(build, seat, float(grid[3, 4, 1]), float(grid[3, 4, 2]), hard)
    if chance(rng, 0.5):
        build.sheet(grid, cover, "back")
        edge = np.concatenate([grid[0], grid[1:-1, -1], grid[-1, ::-1], grid[-2:0:-1, 0]])
        tube(build, edge, 0.013, hard, "back", sides=6, closed=True)
        tube(build, grid[:, 4] + [0, 0.012, 0], 0.012, hard, "back", sides=6)
    else:
        shell(build, grid, 0.045, cover, "back")
    if chance(rng, 0.25):
        y, z = float(grid[-1, 4, 1]), float(grid[-1, 4, 2])
        tube(build, [(0, y + 0.01, z - 0.04), (0, y + 0.01, z + 0.12)], 0.012, hard, "head rest")
        padding(build, (0, y, z + 0.13), (0.27, 0.05, 0.13), cover, "head rest", radius=0.022, tilt=-0.1)
    if chance(rng, 0.65):
        _arms(build, width, seat, hard, style.material("plastic", rng), rng)
    return build.build()


@construction("office_chair")
def executive_chair(rng: np.random.Generator, style: Style) -> Piece:
    """A high back of stitched cushions, thick seat and padded arms."""
    width, depth, seat = rng.uniform(0.5, 0.56), rng.uniform(0.48, 0.54), rng.uniform(0.46, 0.54)
    build, hard, rubber = SolidBuilder("office chair"), style.material("plastic", rng), style.material("rubber", rng)
    metal, cover = style.material("metal", rng), style.material(str(rng.choice(["leather", "fabric"])), rng)
    star_base(build, rng.uniform(0.3, 0.35), seat - 0.08, metal, rubber, rng.uniform(0, 1.2))
    padding(build, (0, 0, seat - 0.03), (width, depth, 0.12), cover, "seat", radius=0.05, crown=0.012, steps=3)
    lean, count, tall = rng.uniform(0.1, 0.2), int(rng.integers(2, 5)), rng.uniform(0.56, 0.72)
    foot, step = np.array([0.0, depth / 2 - 0.02, seat + 0.02]), tall / count
    for k in range(count):
        along = np.array([0, np.sin(lean), np.cos(lean)]) * (k + 0.5) * step
        wide = width * (0.98 - 0.05 * k)
        padding(build, foot + along, (wide, 0.11, step + 0.03), cover, "back", radius=0.045, tilt=-lean)
    _under(build, seat - 0.02, depth / 2 + 0.02, seat + 0.2, hard)
    build.cylinder((0, 0, seat - 0.1), (0, 0, seat - 0.05), 0.03, hard, "mechanism", sides=10)
    _arms(build, width - 0.03, seat, hard, cover, rng)
    return build.build()


@construction("office_chair")
def swivel_shell_chair(rng: np.random.Generator, style: Style) -> Piece:
    """A moulded shell on castors, as of home offices and meeting rooms."""
    width, depth, seat = rng.uniform(0.44, 0.52), rng.uniform(0.43, 0.48), rng.uniform(0.43, 0.5)
    build, body = SolidBuilder("office chair"), style.material(str(rng.choice(["plastic", "wood", "fabric"])), rng)
    metal, rubber = style.material("metal", rng), style.material("rubber", rng)
    grid = bucket(width, depth, seat, rng.uniform(0.34, 0.44), rng.uniform(0.01, 0.08), rng.uniform(0.05, 0.1))
    shell(build, grid[:9, ::-1], 0.012, body, "seat")
    shell(build, grid[8:, ::-1], 0.012, body, "back")
    star_base(build, rng.uniform(0.26, 0.31), seat - 0.04, metal, rubber, rng.uniform(0, 1.2))
    build.box((0, 0, seat - 0.035), (0.2, 0.22, 0.06), metal, "mechanism")
    if chance(rng, 0.5):
        padding(
            build,
            (0, -0.02 * depth, seat + 0.008),
            (width * 0.78, depth * 0.7, 0.04),
            style.material("fabric", rng),
            "seat",
            radius=0.018,
        )
    return build.build()
