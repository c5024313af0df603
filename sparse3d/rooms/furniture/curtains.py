"""Curtains and blinds in front of windows, ``width`` x ``height`` metres; their backs lie on the wall.

The cloth hangs 6 cm and more in front of the wall, clear of a window's sill.
"""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.shapes import drawn, one_of, tube
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style

_HANG = 0.1  # metres from the wall to the middle of the cloth


def _size(rng: np.random.Generator, width: float | None, height: float | None) -> tuple[float, float]:
    return drawn(rng, width, 1.2, 2.4), drawn(rng, height, 1.4, 2.3)


def _rod(build: PieceBuilder, rng: np.random.Generator, style: Style, width: float, height: float) -> float:
    """A rod with knobs on brackets; gives the height of its axis."""
    bar, radius = style.material(one_of(rng, "metal", "wood"), rng), float(rng.uniform(0.01, 0.016))
    knob = 0.028
    z = height - knob
    build.cylinder((-width / 2 + 0.04, -_HANG, z), (width / 2 - 0.04, -_HANG, z), radius, bar, "rod", sides=8)
    for side in (-1, 1):
        start, end = (side * (width / 2 - 0.06), -_HANG, z), (side * width / 2, -_HANG, z)
        build.turned([(radius, 0), (knob, 0.3), (knob, 0.7), (0, 1)], bar, "rod", start, end, sides=8)
        build.board((side * (width / 2 - 0.09) - 0.008, -_HANG, z - 0.012), (side * (width / 2 - 0.09) + 0.008, 0,
                    z + 0.012), bar, "bracket")  # fmt: skip
    return z


def _cloth(build: PieceBuilder, rng: np.random.Generator, x0: float, x1: float, z0: float, z1: float,
           material: Material, tied: float = 0.0) -> None:  # fmt: skip
    """A pleated sheet between x0 and x1; ``tied`` > 0 draws it together to its outer side at a third of its height."""
    width = x1 - x0
    waves = max(2, round(width / rng.uniform(0.09, 0.16)))
    columns, phase = (5 if tied else 6) * waves + 1, rng.uniform(0, 6)
    u = np.linspace(0, 1, columns)
    heights = np.linspace(0, 1, 6 if tied else 4)
    rows = []
    for t in heights:
        narrow = 1 - tied * np.exp(-(((t - 0.38) / 0.25) ** 2))
        spread = (u - 0.5) * narrow + 0.5
        if tied:
            spread = u * narrow if x0 < 0 else 1 - (1 - u) * narrow
        deep = 0.026 * (1 - 0.35 * t) * (0.5 + 0.5 * narrow)
        y = -_HANG + deep * np.sin(2 * np.pi * waves * u + phase + 0.35 * np.sin(5 * t + phase))
        rows.append(np.column_stack([x0 + width * spread, y, np.full(columns, z0 + t * (z1 - z0))]))
    build.sheet(np.stack(rows), material, "cloth")


@construction("curtain")
def open_curtains(rng: np.random.Generator, style: Style, width: float | None = None,
                  height: float | None = None) -> Piece:  # fmt: skip
    """A sheet gathered at either side of the window."""
    width, height = _size(rng, width, height)
    build, cloth = PieceBuilder("curtain"), style.material("fabric", rng)
    z = _rod(build, rng, style, width, height)
    share = rng.uniform(0.14, 0.28)
    for side in (-1, 1):
        a, b = sorted((side * width / 2 * 0.97, side * width * (0.5 - share)))
        _cloth(build, rng, a, b, 0.0, z, cloth)
    return build.build()


@construction("curtain")
def drawn_curtains(rng: np.random.Generator, style: Style, width: float | None = None,
                   height: float | None = None) -> Piece:  # fmt: skip
    """Two sheets that meet in the middle, or nearly."""
    width, height = _size(rng, width, height)
    build, cloth = PieceBuilder("curtain"), style.material("fabric", rng)
    z = _rod(build, rng, style, width, height)
    gap = float(rng.choice([0.0, rng.uniform(0.0, 0.15)])) * width
    _cloth(build, rng, -width / 2 * 0.97, -gap / 2, 0.0, z, cloth)
    _cloth(build, rng, gap / 2, width / 2 * 0.97, 0.0, z, cloth)
    return build.build()


@construction("curtain")
def tied_curtains(rng: np.random.Generator, style: Style, width: float | None = None,
                  height: float | None = None) -> Piece:  # fmt: skip
    """Sheets tied back to the sides, at times under a pelmet instead of on a rod."""
    width, height = _size(rng, width, height)
    build, cloth = PieceBuilder("curtain"), style.material("fabric", rng)
    if rng.random() < 0.5:
        z = _rod(build, rng, style, width, height)
    else:
        z = height - 0.1
        pelmet = style.material(one_of(rng, "wood", "fabric", "painted"), rng)
        build.board((-width / 2, -0.14, z), (width / 2, 0.0, height), pelmet, "pelmet")
    share = rng.uniform(0.25, 0.45)
    tie = style.material("fabric", rng)
    for side in (-1, 1):
        a, b = sorted((side * width / 2 * 0.97, side * width * (0.5 - share)))
        _cloth(build, rng, a, b, 0.0, z, cloth, tied=0.55)
        middle = side * width * (0.485 - 0.45 * share * 0.5)
        build.box((middle, -_HANG, 0.38 * z), (share * width * 0.46, 0.062, 0.04), tie, "tie")
    return build.build()


@construction("curtain")
def single_curtain(rng: np.random.Generator, style: Style, width: float | None = None,
                   height: float | None = None) -> Piece:  # fmt: skip
    """One sheet on rings, pushed to one side."""
    width, height = _size(rng, width, height)
    build, cloth = PieceBuilder("curtain"), style.material("fabric", rng)
    z = _rod(build, rng, style, width, height)
    side, share = float(rng.choice([-1, 1])), rng.uniform(0.3, 0.7)
    a, b = sorted((side * width / 2 * 0.95, side * width * (0.475 - share)))
    _cloth(build, rng, a, b, 0.0, z - 0.03, cloth)
    ring = style.material("metal", rng)
    for x in np.linspace(a + 0.02, b - 0.02, max(4, int((b - a) / 0.15))):
        build.cylinder((x - 0.004, -_HANG, z - 0.008), (x + 0.004, -_HANG, z - 0.008), 0.026, ring, "ring", sides=8)
    return build.build()


def _cord(build: PieceBuilder, x: float, y: float, top: float, material: Material) -> None:
    """A cord down to z = 0 with a knob at its end."""
    tube(build, [(x, y, top), (x, y, 0.02)], 0.003, material, "cord", sides=4)
    build.cylinder((x, y, 0.0), (x, y, 0.04), 0.008, material, "cord", sides=6)


@construction("blinds")
def venetian_blinds(rng: np.random.Generator, style: Style, width: float | None = None,
                    height: float | None = None) -> Piece:  # fmt: skip
    """Slats between a head rail and a bottom rail, turned open or shut."""
    width, height = _size(rng, width, height)
    build = PieceBuilder("blinds")
    slat = style.material(one_of(rng, "plastic", "wood", "metal", "painted"), rng)
    tilt, depth, y = float(rng.choice([0.25, 0.6, 1.2])), float(rng.uniform(0.03, 0.05)), -0.055
    build.board((-width / 2, -0.085, height - 0.045), (width / 2, 0.0, height), slat, "rail")
    drop = float(rng.choice([1.0, 1.0, rng.uniform(0.4, 0.9)])) * (height - 0.045)
    bottom = height - 0.045 - drop
    build.board((-width / 2 + 0.01, y - 0.02, bottom), (width / 2 - 0.01, y + 0.02, bottom + 0.025), slat, "rail")
    for z in np.arange(bottom + 0.04, height - 0.05, depth * 0.9):
        build.box((0, y, z), (width - 0.02, depth, 0.002), slat, "slat", tilt=tilt)
    for x in (-0.35 * width, 0.35 * width):
        tube(build, [(x, y, bottom), (x, y, height - 0.04)], 0.002, slat, "cord", sides=4)
    _cord(build, width / 2 - 0.06, -0.082, height - 0.02, slat)
    return build.build()


@construction("blinds")
def roller_blind(rng: np.random.Generator, style: Style, width: float | None = None,
                 height: float | None = None) -> Piece:  # fmt: skip
    """A flat cloth from a roll, let down fully or in part."""
    width, height = _size(rng, width, height)
    build, cloth = PieceBuilder("blinds"), style.material("fabric", rng)
    metal = style.material(one_of(rng, "metal", "plastic"), rng)
    y, radius = -0.06, 0.03
    build.cylinder((-width / 2 + 0.012, y, height - 0.035), (width / 2 - 0.012, y, height - 0.035), radius, cloth,
                   "roll", sides=10)  # fmt: skip
    for side in (-1, 1):
        x = side * (width / 2 - 0.006)
        build.board((x - 0.006, -0.09, height - 0.07), (x + 0.006, 0, height), metal, "bracket")
    bottom = height - float(rng.choice([1.0, rng.uniform(0.35, 0.95)])) * height
    build.board((-width / 2 + 0.015, y - 0.031, bottom), (width / 2 - 0.015, y - 0.029, height - 0.035), cloth, "cloth")
    build.board((-width / 2 + 0.015, y - 0.036, bottom), (width / 2 - 0.015, y - 0.024, bottom + 0.02), metal, "rail")
    _cord(build, width / 2 - 0.02, y - 0.02, height - 0.035, metal)
    return build.build()


@construction("blinds")
def roman_blind(rng: np.random.Generator, style: Style, width: float | None = None,
                height: float | None = None) -> Piece:  # fmt: skip
    """A cloth that folds up in level waves."""
    width, height = _size(rng, width, height)
    build, cloth = PieceBuilder("blinds"), style.material("fabric", rng)
    rail = style.material("wood", rng)
    build.board((-width / 2, -0.06, height - 0.04), (width / 2, 0, height), rail, "rail")
    drop = float(rng.choice([1.0, rng.uniform(0.4, 0.9)])) * (height - 0.02)
    folds = int(rng.integers(4, 8))
    t = np.linspace(0, 1, folds * 4 + 1)
    bulge = 0.015 + 0.03 * (1 - drop / height)
    y = -0.045 - bulge * np.abs(np.sin(np.pi * folds * t))
    z = height - 0.02 - drop * (1 - t)
    for dy in (0.0, 0.003):
        grid = [np.column_stack([[-width / 2 + 0.005, width / 2 - 0.005], [b + dy] * 2, [c] * 2])
                for b, c in zip(y, z, strict=True)]  # fmt: skip
        build.sheet(np.stack(grid), cloth, "cloth")
    _cord(build, width / 2 - 0.05, -0.05, height - 0.02, rail)
    return build.build()
