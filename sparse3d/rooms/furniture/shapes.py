"""Shapes that several pieces share: tubes, leaves, sunk panels, hollow boxes, and faces that show a whole texture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sparse3d.rooms.builder import PieceBuilder, Vector
from sparse3d.rooms.piece import Material, Piece


def drawn(rng: np.random.Generator, wish: float | None, low: float, high: float) -> float:
    """The wished length, or one drawn between ``low`` and ``high`` metres."""
    return float(rng.uniform(low, high)) if wish is None else float(wish)


def one_of(rng: np.random.Generator, *options: str) -> str:
    """One of ``options``."""
    return options[int(rng.integers(len(options)))]


def whole_texture(material: Material) -> np.ndarray:
    """(4, 2) texture coordinates, metres, that lay the whole of a texture on a quadrilateral once, upright.

    Corners go from the lower left, counter-clockwise as the onlooker sees them. v runs upwards: the last row of a
    texture lies at v = 0.
    """
    rows, cols = material.texture.shape[:2]
    u, v = material.extent, material.extent * rows / cols
    # A hair inside, so that a rounded coordinate does not show the other side's texels.
    u0, u1, v0, v1 = 1e-3 * u, 0.999 * u, 1e-3 * v, 0.999 * v
    return np.array([[u0, v0], [u1, v0], [u1, v1], [u0, v1]])


def image(build: PieceBuilder, low: tuple[float, float], high: tuple[float, float], y: float, material: Material,
          part: str) -> None:  # fmt: skip
    """An upright face towards -y from (x, z) ``low`` to ``high``, showing all of the texture."""
    (x0, z0), (x1, z1) = low, high
    build.quads(np.array([[[x0, y, z0], [x1, y, z0], [x1, y, z1], [x0, y, z1]]]), whole_texture(material)[None],
                material, part)  # fmt: skip


def tube(build: PieceBuilder, points: Sequence[Vector], radius: float, material: Material, part: str,
         sides: int = 6) -> None:  # fmt: skip
    """A round bar along ``points``: handles, stems, cables, legs."""
    for start, end in zip(points, points[1:], strict=False):
        build.cylinder(start, end, radius, material, part, sides=sides, caps=False)


def arc(center: Vector, radius: float, start: float, end: float, across: Vector = (1, 0, 0), up: Vector = (0, 0, 1),
        steps: int = 6) -> list[np.ndarray]:  # fmt: skip
    """Points of a circle's arc between two angles (radians) in the plane of ``across`` and ``up``."""
    across, up = np.asarray(across, dtype=np.float64), np.asarray(up, dtype=np.float64)
    angles = np.linspace(start, end, steps + 1)
    return [np.asarray(center) + radius * (np.cos(a) * across + np.sin(a) * up) for a in angles]


def leaf(build: PieceBuilder, base: Vector, angle: float, length: float, width: float, rise: float, droop: float,
         material: Material, part: str = "leaf", rows: int = 4) -> None:  # fmt: skip
    """A leaf that leaves ``base`` in the direction ``angle`` about z, rises by ``rise`` and sinks by ``droop`` metres
    at its tip, folded a little along its middle."""
    t = np.linspace(0, 1, rows + 1)
    reach = np.sqrt(max(length**2 - (rise - droop) ** 2, (0.15 * length) ** 2))
    out, side = np.array([np.cos(angle), np.sin(angle), 0]), np.array([-np.sin(angle), np.cos(angle), 0])
    middle = np.asarray(base) + reach * t[:, None] * out + (rise * t - droop * t**2)[:, None] * np.array([0, 0, 1])
    half = np.maximum(width / 2 * np.sin(np.pi * t**0.75), 0.06 * width)
    grid = np.stack([middle + s * half[:, None] * side + abs(s) * half[:, None] * [0, 0, 0.3] for s in (-1, 0, 1)], 1)
    build.sheet(grid, material, part)


def hollow_box(build: PieceBuilder, size: Vector, wall: float, material: Material, part: str,
               flare: float = 0.0) -> None:  # fmt: skip
    """An open box with a floor, standing at z = 0 around the origin: its lower edge ``flare`` metres further in."""
    x, y, z = (float(value) for value in size)

    def ring(dx: float, dy: float, height: float) -> np.ndarray:
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * [dx / 2, dy / 2]
        return np.column_stack([corners, np.full(5, height)])

    lower, upper = ring(x - 2 * flare, y - 2 * flare, 0), ring(x, y, z)
    inner_up = ring(x - 2 * wall, y - 2 * wall, z)
    inner_low = ring(x - 2 * (flare + wall), y - 2 * (flare + wall), wall)
    u = np.array([0, x, x + y, 2 * x + y, 2 * (x + y)])
    for a, b, v0, v1 in ((lower, upper, 0, z), (upper, inner_up, z, z + wall), (inner_up, inner_low, z, 0)):
        build.strip(a, b, u, v0, v1, material, part)
    for flat in (lower, inner_low):
        build.quads(flat[None, :4], flat[None, :4, :2] + [x, y], material, part)


def tinted(material: Material, factor: float = 1.0, white: float = 0.0, emission: float | None = None) -> Material:
    """The material made darker by ``factor``, mixed with ``white``, and shining if ``emission`` is given."""
    texture = (material.texture * np.float32(factor * (1 - white)) + np.float32(white)).astype(np.float32)
    return replace(material, texture=texture, emission=material.emission if emission is None else emission)


def scaled(piece: Piece, factors: Vector) -> Piece:
    """The piece stretched about its origin by a factor an axis (3,); its texture keeps its size roughly."""
    stretch = np.asarray(factors, dtype=np.float64)
    mean = float(np.cbrt(stretch.prod()))
    return replace(piece, vertices=piece.vertices * stretch, uv=(piece.uv * np.float32(mean)).astype(np.float32))


def fitted_to_height(piece: Piece, height: float | None) -> Piece:
    """The piece scaled evenly to ``height`` metres, or as it is for None."""
    if height is None:
        return piece
    low, high = piece.bounds
    return scaled(piece, np.full(3, height / (high[2] - low[2])))


def fitted(piece: Piece, **wishes: float | None) -> Piece:
    """The piece stretched to the wished ``width``, ``depth`` and ``height`` (metres); None leaves an axis as it is."""
    low, high = piece.bounds
    size = np.maximum(high - low, 1e-9)
    wished = [wishes.get(name) for name in ("width", "depth", "height")]
    return scaled(piece, np.array([1.0 if w is None else w / s for w, s in zip(wished, size, strict=True)]))
