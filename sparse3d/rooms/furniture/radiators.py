"""Radiators, hung under windows or on bare walls: brackets and pipes end at the wall, at their highest y."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.shapes import drawn, one_of, tinted
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style


def _size(rng: np.random.Generator, width: float | None, height: float | None) -> tuple[float, float]:
    return drawn(rng, width, 0.6, 1.4), drawn(rng, height, 0.55, 0.8)


def _enamel(rng: np.random.Generator, style: Style) -> Material:
    """Mostly white, as most radiators are."""
    return tinted(style.material(one_of(rng, "painted", "metal"), rng), 1.0, white=float(rng.choice([0.85, 0.6, 0.2])))


def _mounts(build: PieceBuilder, width: float, height: float, front: float, metal: Material) -> None:
    """Brackets, and below them pipes, from the body at ``front`` to the wall."""
    for side in (-1, 1):
        x = side * (width / 2 - 0.08)
        build.cylinder((x, front, 0.03), (x, 0, 0.03), 0.011, metal, "pipe", sides=8)
        for z in (0.2 * height, 0.8 * height):
            build.board((x - 0.015, front, z - 0.02), (x + 0.015, 0, z + 0.02), metal, "bracket")


def _valve(build: PieceBuilder, x: float, y: float, z: float, plastic: Material) -> None:
    build.cylinder((x, y, z), (x, y - 0.06, z), (0.02, 0.024), plastic, "valve", sides=8)


@construction("radiator")
def panel_radiator(rng: np.random.Generator, style: Style, width: float | None = None,
                   height: float | None = None) -> Piece:  # fmt: skip
    """A flat or finely ribbed panel with a grille on top."""
    width, height = _size(rng, width, height)
    build, enamel = PieceBuilder("radiator"), _enamel(rng, style)
    build.board((-width / 2, -0.1, 0), (width / 2, -0.04, height - 0.005), enamel, "panel")
    for x in np.linspace(-width / 2 + 0.04, width / 2 - 0.04, int(rng.choice([2, 12, 16]))):
        build.board((x - 0.012, -0.106, 0.04), (x + 0.012, -0.1, height - 0.05), enamel, "rib")
    build.board((-width / 2, -0.105, height - 0.012), (width / 2, -0.035, height), enamel, "grille")
    _mounts(build, width, height, -0.05, enamel)
    _valve(build, width / 2 - 0.05, -0.1, 0.05, style.material("plastic", rng))
    return build.build()


@construction("radiator")
def column_radiator(rng: np.random.Generator, style: Style, width: float | None = None,
                    height: float | None = None) -> Piece:  # fmt: skip
    """Rounded columns side by side on two headers, as cast iron ones are."""
    width, height = _size(rng, width, height)
    build, enamel = PieceBuilder("radiator"), _enamel(rng, style)
    count = max(4, round(width / 0.085))
    step = width / count
    for k in range(count):
        x = -width / 2 + (k + 0.5) * step
        for y in (-0.045, -0.105):
            radius = 0.4 * step
            build.turned([(radius, 0), (radius, 1), (0, 1)], enamel, "column", (x, y, 0), (x, y, height), sides=6)
    for z in (0.04, height - 0.04):
        build.board((-width / 2, -0.12, z - 0.02), (width / 2, -0.03, z + 0.02), enamel, "header")
    _mounts(build, width, height, -0.05, enamel)
    return build.build()


@construction("radiator")
def tube_radiator(rng: np.random.Generator, style: Style, width: float | None = None,
                  height: float | None = None) -> Piece:  # fmt: skip
    """Level tubes between two uprights, as in bathrooms, or a low convector of level fins."""
    width, height = _size(rng, width, height)
    build, enamel = PieceBuilder("radiator"), _enamel(rng, style)
    for side in (-1, 1):
        x = side * (width / 2 - 0.02)
        build.board((x - 0.02, -0.08, 0), (x + 0.02, -0.04, height), enamel, "upright")
        for z in (0.15 * height, 0.85 * height):
            build.board((x - 0.012, -0.05, z - 0.02), (x + 0.012, 0, z + 0.02), enamel, "bracket")
    for z in np.linspace(0.06, height - 0.06, max(5, int(height / 0.07))):
        build.cylinder((-width / 2 + 0.02, -0.062, z), (width / 2 - 0.02, -0.062, z), 0.012, enamel, "tube", sides=6)
    _valve(build, width / 2 - 0.02, -0.08, 0.08, style.material("plastic", rng))
    return build.build()
