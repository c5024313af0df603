"""Windows, made to measure for an opening in a wall, with a lit outside behind instead of glass.

As a door does, a window fills its opening, and its back (its highest y) is the wall's outer side. Only the sill stands
out of the wall's inner side, by less than curtains hang in front of it.
"""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.doors import WALL_THICKNESS
from sparse3d.rooms.furniture.shapes import drawn, image, one_of
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style

_FRAME = 0.05
_SASH = 0.045
_FRONT, _BACK = 0.05, 0.1  # of the sashes; the wall's inner side is y = 0


def _begin(rng: np.random.Generator, style: Style, width: float, height: float) -> tuple[PieceBuilder, Material]:
    """The lining of the opening, the sill and the outside."""
    build = PieceBuilder("window")
    frame = style.material(one_of(rng, "painted", "plastic", "wood", "metal"), rng)
    sill = style.material(one_of(rng, "stone", "wood", "painted"), rng) if rng.random() < 0.6 else frame
    out = float(rng.uniform(0.015, 0.05))
    x, y = width / 2, WALL_THICKNESS
    image(build, (-x, 0), (x, height), y, style.material("outside", rng), "pane")
    for a, b in ((-x, -x + _FRAME), (x - _FRAME, x)):
        build.board((a, 0.0, 0.0), (b, y, height), frame, "frame")
    build.board((-x + _FRAME, 0, height - _FRAME), (x - _FRAME, y, height), frame, "frame")
    build.board((-x + _FRAME, 0.03, 0), (x - _FRAME, y, _FRAME), frame, "frame")
    build.board((-x, -out, 0), (x, _FRONT, 0.025), sill, "sill")
    return build, frame


def _sash(build: PieceBuilder, x0: float, x1: float, z0: float, z1: float, material: Material,
          y0: float = _FRONT, y1: float = _BACK, bar: float = _SASH) -> None:  # fmt: skip
    """A frame of four bars between (x0, z0) and (x1, z1)."""
    for a, b in ((x0, x0 + bar), (x1 - bar, x1)):
        build.board((a, y0, z0), (b, y1, z1), material, "sash")
    for a, b in ((z0, z0 + bar), (z1 - bar, z1)):
        build.board((x0 + bar, y0, a), (x1 - bar, y1, b), material, "sash")


def _handle(build: PieceBuilder, x: float, z: float, material: Material, y: float = _FRONT) -> None:
    build.board((x - 0.012, y - 0.01, z - 0.04), (x + 0.012, y, z + 0.04), material, "handle")
    build.board((x - 0.01, y - 0.035, z - 0.12), (x + 0.01, y - 0.01, z + 0.01), material, "handle")


def _inner(width: float, height: float) -> tuple[float, float, float, float]:
    return -width / 2 + _FRAME, width / 2 - _FRAME, _FRAME, height - _FRAME


def _size(rng: np.random.Generator, width: float | None, height: float | None) -> tuple[float, float]:
    return drawn(rng, width, 0.8, 1.8), drawn(rng, height, 0.9, 1.5)


@construction("window")
def casement_window(rng: np.random.Generator, style: Style, width: float | None = None,
                    height: float | None = None) -> Piece:  # fmt: skip
    """One to three casements side by side, each with a handle."""
    width, height = _size(rng, width, height)
    build, frame = _begin(rng, style, width, height)
    x0, x1, z0, z1 = _inner(width, height)
    count = int(np.clip(round((x1 - x0) / rng.uniform(0.5, 0.9)), 1, 4))
    step = (x1 - x0) / count
    metal = style.material(one_of(rng, "metal", "plastic"), rng)
    for k in range(count):
        _sash(build, x0 + k * step, x0 + (k + 1) * step, z0, z1, frame)
        edge = x0 + (k + 1) * step - _SASH / 2 if k % 2 == 0 else x0 + k * step + _SASH / 2
        _handle(build, edge, (z0 + z1) / 2, metal)
    return build.build()


@construction("window")
def barred_window(rng: np.random.Generator, style: Style, width: float | None = None,
                  height: float | None = None) -> Piece:  # fmt: skip
    """Two casements divided into small panes by glazing bars."""
    width, height = _size(rng, width, height)
    build, frame = _begin(rng, style, width, height)
    x0, x1, z0, z1 = _inner(width, height)
    leaves = 2 if width > 0.9 else 1
    columns, rows = int(rng.integers(2, 4)), int(rng.integers(2, 5))
    step = (x1 - x0) / leaves
    for k in range(leaves):
        a, b = x0 + k * step, x0 + (k + 1) * step
        _sash(build, a, b, z0, z1, frame)
        for c in range(1, columns):
            x = a + _SASH + c * (step - 2 * _SASH) / columns
            build.board((x - 0.01, 0.06, z0 + _SASH), (x + 0.01, 0.09, z1 - _SASH), frame, "mullion")
        for r in range(1, rows):
            z = z0 + _SASH + r * (z1 - z0 - 2 * _SASH) / rows
            build.board((a + _SASH, 0.061, z - 0.01), (b - _SASH, 0.089, z + 0.01), frame, "mullion")
    _handle(build, x0 + step - _SASH / 2, (z0 + z1) / 2, style.material("metal", rng))
    return build.build()


@construction("window")
def sliding_window(rng: np.random.Generator, style: Style, width: float | None = None,
                   height: float | None = None) -> Piece:  # fmt: skip
    """Two sashes in two tracks: side by side, or one above the other with the lower one pushed up a little."""
    width, height = _size(rng, width, height)
    build, frame = _begin(rng, style, width, height)
    x0, x1, z0, z1 = _inner(width, height)
    if width > height:
        middle = (x0 + x1) / 2
        _sash(build, x0, middle + 0.02, z0, z1, frame, 0.035, 0.07, 0.04)
        _sash(build, middle - 0.02, x1, z0, z1, frame, 0.07, 0.105, 0.04)
        return build.build()
    middle, lift = (z0 + z1) / 2, float(rng.choice([0.0, rng.uniform(0.05, 0.3) * (z1 - z0)]))
    _sash(build, x0, x1, z0 + lift, middle + 0.02 + lift, frame, 0.035, 0.07, 0.04)
    _sash(build, x0, x1, middle - 0.02, z1, frame, 0.07, 0.105, 0.04)
    return build.build()


@construction("window")
def window_with_light(rng: np.random.Generator, style: Style, width: float | None = None,
                      height: float | None = None) -> Piece:  # fmt: skip
    """Casements below a fixed light (or above one), parted by a transom."""
    width, height = _size(rng, width, height)
    build, frame = _begin(rng, style, width, height)
    x0, x1, z0, z1 = _inner(width, height)
    cut = z0 + float(rng.choice([0.3, 0.65, 0.72])) * (z1 - z0)
    count = int(np.clip(round((x1 - x0) / rng.uniform(0.45, 0.8)), 1, 4))
    step = (x1 - x0) / count
    _sash(build, x0, x1, z0 if cut < (z0 + z1) / 2 else cut, cut if cut < (z0 + z1) / 2 else z1, frame)
    low, high = (cut, z1) if cut < (z0 + z1) / 2 else (z0, cut)
    for k in range(count):
        _sash(build, x0 + k * step, x0 + (k + 1) * step, low, high, frame)
    build.board((x0, 0.035, cut - 0.025), (x1, 0.11, cut + 0.025), frame, "transom")
    _handle(build, x0 + step - _SASH / 2, (low + high) / 2, style.material("metal", rng))
    return build.build()
