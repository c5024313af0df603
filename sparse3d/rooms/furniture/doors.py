"""Doors, made to measure for an opening in a wall.

A door fills its opening: ``width`` x ``height`` is the opening's size, and the piece's back (its highest y) is the
wall's outer side. The frame stands :data:`PROUD` out of the wall's inner side, the handle further.
"""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.shapes import drawn, one_of, tinted
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style

WALL_THICKNESS = 0.12  # of the walls that doors and windows are made for; y = 0 is the inner side here
PROUD = 0.015
_JAMB = 0.05


def _size(rng: np.random.Generator, width: float | None, height: float | None) -> tuple[float, float]:
    return drawn(rng, width, 0.75, 1.0), drawn(rng, height, 1.95, 2.15)


def _frame(build: PieceBuilder, width: float, height: float, material: Material) -> None:
    for side in (-1, 1):
        x = side * (width / 2 - _JAMB / 2)
        build.box((x, (WALL_THICKNESS - PROUD) / 2, height / 2), (_JAMB, WALL_THICKNESS + PROUD, height), material,
                  "frame")  # fmt: skip
    build.board((-width / 2 + _JAMB, -PROUD, height - _JAMB), (width / 2 - _JAMB, WALL_THICKNESS, height), material,
                "frame")  # fmt: skip


def _handle(build: PieceBuilder, rng: np.random.Generator, x: float, y: float, inward: float, metal: Material) -> None:
    """A lever, a knob or a bar on the leaf's face at ``y``; ``inward`` is the sign of x towards the leaf's middle."""
    z = 1.03
    kind = one_of(rng, "lever", "lever", "knob", "bar")
    if kind == "bar":
        for dz in (-0.14, 0.14):
            build.cylinder((x, y, z + dz), (x, y - 0.045, z + dz), 0.008, metal, "handle", sides=6)
        build.cylinder((x, y - 0.045, z - 0.17), (x, y - 0.045, z + 0.17), 0.011, metal, "handle", sides=8)
        return
    build.box((x, y - 0.004, z - 0.03), (0.04, 0.008, 0.18), metal, "handle")
    if kind == "knob":
        profile = [(0.012, 0.0), (0.012, 0.4), (0.026, 0.6), (0.026, 0.85), (0.0, 1.0)]
        build.turned(profile, metal, "handle", (x, y, z), (x, y - 0.06, z), sides=10)
        return
    build.cylinder((x, y, z), (x, y - 0.05, z), 0.009, metal, "handle", sides=8)
    build.box((x + inward * 0.05, y - 0.05, z), (0.12, 0.016, 0.018), metal, "handle")


class _Leaf:
    """Where a leaf sits: its opening from ``x0`` to ``x1``, its front face at ``y``, up to ``top``."""

    def __init__(self, x0: float, x1: float, y: float, top: float) -> None:
        self.x0, self.x1, self.y, self.top = x0, x1, y, top

    def slab(self, build: PieceBuilder, material: Material) -> None:
        build.board((self.x0, self.y, 0.004), (self.x1, self.y + 0.04, self.top), material, "leaf")

    def framework(self, build: PieceBuilder, material: Material, stile: float, rails: list[float]) -> None:
        """Stiles at both sides and rails of height ``stile`` whose lower edges are at the heights ``rails``."""
        for a, b in ((self.x0, self.x0 + stile), (self.x1 - stile, self.x1)):
            build.board((a, self.y, 0.004), (b, self.y + 0.04, self.top), material, "leaf")
        for low in rails:
            high = min(low + stile, self.top)
            build.board((self.x0 + stile, self.y, low), (self.x1 - stile, self.y + 0.04, high), material, "leaf")

    def panels(self, build: PieceBuilder, material: Material, columns: int, rows: list[float]) -> None:
        """A sunk slab with a framework over it and raised fields; ``rows`` are shares of the height between rails."""
        stile, shade = 0.1, tinted(material, 0.86)  # the sunk part lies in the shade of the stiles
        build.board((self.x0, self.y + 0.025, 0.004), (self.x1, self.y + 0.04, self.top), shade, "leaf")
        edges = [0.004 + share * (self.top - stile) for share in rows]
        self.framework(build, material, stile, edges)
        cell = (self.x1 - self.x0 - stile) / columns
        for k in range(1, columns):
            x = self.x0 + k * cell
            build.board((x, self.y, 0.1), (x + stile, self.y + 0.026, self.top - 0.05), material, "leaf")
        for low, high in zip(edges, edges[1:], strict=False):
            for k in range(columns):
                a, b = self.x0 + k * cell + stile + 0.03, self.x0 + (k + 1) * cell - 0.03
                if b > a and high - 0.03 > low + stile + 0.03:
                    build.board((a, self.y + 0.012, low + stile + 0.03), (b, self.y + 0.026, high - 0.03), material,
                                "panel")  # fmt: skip


def _begin(rng: np.random.Generator, style: Style, width: float, height: float) -> tuple[PieceBuilder, _Leaf, Material]:
    """A builder with the frame in it, the place of a single leaf, and the leaf's material."""
    build = PieceBuilder("door")
    wood = style.material(one_of(rng, "wood", "painted"), rng)
    frame = wood if rng.random() < 0.5 else style.material(one_of(rng, "wood", "painted", "metal"), rng)
    _frame(build, width, height, frame)
    y = float(rng.choice([-0.005, 0.03, 0.075]))
    return build, _Leaf(-width / 2 + _JAMB, width / 2 - _JAMB, y, height - _JAMB), wood


@construction("door")
def panelled_door(rng: np.random.Generator, style: Style, width: float | None = None,
                  height: float | None = None) -> Piece:  # fmt: skip
    """A leaf of stiles and rails with two to six raised fields."""
    width, height = _size(rng, width, height)
    build, leaf, wood = _begin(rng, style, width, height)
    rows = [[0.0, 0.45, 1.0], [0.0, 0.3, 0.75, 1.0], [0.0, 0.25, 0.5, 0.75, 1.0], [0.0, 1.0]][int(rng.integers(4))]
    leaf.panels(build, wood, int(rng.integers(1, 3)) if leaf.x1 - leaf.x0 > 0.6 else 1, rows)
    side = float(rng.choice([-1, 1]))
    x = side * ((leaf.x1 - leaf.x0) / 2 - 0.05)
    _handle(build, rng, x, leaf.y, -side, style.material("metal", rng))
    return build.build()


@construction("door")
def flush_door(rng: np.random.Generator, style: Style, width: float | None = None,
               height: float | None = None) -> Piece:  # fmt: skip
    """A plain leaf, at times with a kick plate, a small pane or a grille, as in offices and schools."""
    width, height = _size(rng, width, height)
    build, leaf, wood = _begin(rng, style, width, height)
    leaf.slab(build, wood)
    side = float(rng.choice([-1, 1]))
    metal = style.material("metal", rng)
    extra = one_of(rng, "none", "plate", "pane", "grille")
    x0, x1, y = leaf.x0, leaf.x1, leaf.y
    if extra == "plate":
        build.board((x0 + 0.02, y - 0.003, 0.02), (x1 - 0.02, y, rng.uniform(0.2, 0.35)), metal, "plate")
    elif extra == "pane":
        a = -side * (x1 - x0) * 0.15
        build.board((a - 0.1, y - 0.006, 1.2), (a + 0.1, y, leaf.top - 0.2), wood, "frame")
        build.board((a - 0.08, y - 0.007, 1.22), (a + 0.08, y, leaf.top - 0.22), style.material("glass", rng), "pane")
    elif extra == "grille":
        for k in range(8):
            z = 0.15 + 0.03 * k
            build.box((0, y - 0.004, z), (0.5 * (x1 - x0), 0.012, 0.012), metal, "grille", tilt=0.5)
    _handle(build, rng, side * ((x1 - x0) / 2 - 0.06), y, -side, metal)
    return build.build()


@construction("door")
def glazed_door(rng: np.random.Generator, style: Style, width: float | None = None,
                height: float | None = None) -> Piece:  # fmt: skip
    """A leaf with panes of glass between its bars, over a solid foot or down to the floor."""
    width, height = _size(rng, width, height)
    build, leaf, wood = _begin(rng, style, width, height)
    glass = style.material("glass", rng)
    foot = float(rng.choice([0.004, 0.5, 0.85]))
    stile, y = 0.11, leaf.y
    leaf.framework(build, wood, stile, sorted({0.004, foot, leaf.top - stile}))
    if foot > 0.1:
        build.board((leaf.x0 + stile, y + 0.012, 0.1), (leaf.x1 - stile, y + 0.03, foot), wood, "panel")
    build.board((leaf.x0 + stile, y + 0.016, foot + stile), (leaf.x1 - stile, y + 0.024, leaf.top - stile), glass,
                "pane")  # fmt: skip
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(1, 6))
    for k in range(1, columns):
        x = leaf.x0 + stile + k * (leaf.x1 - leaf.x0 - 2 * stile) / columns
        build.board((x - 0.012, y + 0.005, foot + stile), (x + 0.012, y + 0.035, leaf.top - stile), wood, "bar")
    for k in range(1, rows):
        z = foot + stile + k * (leaf.top - foot - 2 * stile) / rows
        build.board((leaf.x0 + stile, y + 0.006, z - 0.012), (leaf.x1 - stile, y + 0.034, z + 0.012), wood, "bar")
    side = float(rng.choice([-1, 1]))
    _handle(build, rng, side * ((leaf.x1 - leaf.x0) / 2 - 0.05), y, -side, style.material("metal", rng))
    return build.build()


@construction("door")
def double_or_boarded_door(rng: np.random.Generator, style: Style, width: float | None = None,
                           height: float | None = None) -> Piece:  # fmt: skip
    """Two leaves where the opening is wide, else one of upright boards with ledges across."""
    width, height = drawn(rng, width, 0.8, 1.8), drawn(rng, height, 1.95, 2.15)
    build, leaf, wood = _begin(rng, style, width, height)
    metal = style.material("metal", rng)
    if width >= 1.2:
        panelled = rng.random() < 0.6
        for side in (-1, 1):
            half = _Leaf(min(0.0, side * leaf.x1), max(0.0, side * leaf.x1), leaf.y, leaf.top)
            half.panels(build, wood, 1, [0.0, 0.4, 1.0]) if panelled else half.slab(build, wood)
            _handle(build, rng, side * 0.05, leaf.y, side, metal)
        build.board((-0.02, leaf.y - 0.01, 0.004), (0.02, leaf.y, leaf.top), wood, "leaf")
        return build.build()
    boards = int(rng.integers(5, 9))
    step = (leaf.x1 - leaf.x0) / boards
    for k in range(boards):
        a = leaf.x0 + k * step
        build.board((a, leaf.y + 0.004 * (k % 2), 0.004), (a + step, leaf.y + 0.035, leaf.top), wood, "leaf")
    for z in (0.25, leaf.top - 0.25):
        build.board((leaf.x0, leaf.y - 0.018, z - 0.06), (leaf.x1, leaf.y + 0.004, z + 0.06), wood, "ledge")
    edge = float(rng.choice([-1, 1]))
    _handle(build, rng, edge * ((leaf.x1 - leaf.x0) / 2 - 0.05), leaf.y, -edge, metal)
    return build.build()
