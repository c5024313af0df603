"""Dining chairs of wood: a frame of legs and rails whose back is filled with slats, rungs, spindles or a panel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.bases import apron, chance, corners, leg
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.solids import SolidBuilder, bar, ellipse, padding, rounded_board, shell, tube
from sparse3d.rooms.style import Style


@dataclass(frozen=True)
class Frame:
    """A wooden chair's measures; its posts stand at (+-``x``, ``y`` + lean) behind the seat."""

    width: float
    depth: float
    seat: float  # height of the seat's upper side
    top: float
    lean: float  # how far the posts' tops are behind their feet
    post: float

    @property
    def x(self) -> float:
        return self.width / 2 - self.post / 2

    def y(self, z: float) -> float:
        """Depth of the posts' axis at height ``z``."""
        return self.depth / 2 - self.post / 2 + self.lean * max(z - self.seat, 0.0) / (self.top - self.seat)


def _frame(rng: np.random.Generator) -> Frame:
    seat = rng.uniform(0.43, 0.48)
    return Frame(
        width=rng.uniform(0.40, 0.48), depth=rng.uniform(0.40, 0.46), seat=seat, top=seat + rng.uniform(0.36, 0.58),
        lean=rng.uniform(0.03, 0.1), post=rng.uniform(0.03, 0.042),
    )  # fmt: skip


def _wood(rng: np.random.Generator, style: Style) -> Material:
    return style.material("painted" if chance(rng, 0.3) else "wood", rng)


def _carcass(build: PieceBuilder, f: Frame, wood: Material, rng: np.random.Generator, style: Style) -> None:
    """Legs, posts, rails, the seat and sometimes stretchers and arms."""
    front = -f.depth / 2 + f.post / 2
    shape = str(rng.choice(["square", "tapered", "turned"]))
    for side in (-1, 1):
        leg(build, (side * f.x, front), (side * f.x, front, f.seat - 0.03), f.post * 1.1, wood, shape)
        bar(build, (side * f.x, f.y(0) + rng.uniform(0.0, 0.02), 0), (side * f.x, f.y(0), f.seat), (f.post, f.post),
            wood, "leg")  # fmt: skip
        bar(build, (side * f.x, f.y(0), f.seat), (side * f.x, f.y(f.top), f.top), (f.post, f.post), wood, "back",
            taper=0.8)  # fmt: skip
    apron(build, 2 * f.x, f.depth - f.post, f.seat - 0.085, f.seat - 0.025, 0.02, wood)
    if chance(rng, 0.5):
        low = rng.uniform(0.1, 0.25)
        for side in (-1, 1):
            build.box((side * f.x, 0, low), (0.02, f.depth - f.post, 0.03), wood, "stretcher")
        build.box((0, 0, low), (2 * f.x, 0.02, 0.03), wood, "stretcher")
    _seat(build, f, wood, rng, style)
    if chance(rng, 0.25):
        _arms(build, f, wood, rng)


def _seat(build: PieceBuilder, f: Frame, wood: Material, rng: np.random.Generator, style: Style) -> None:
    shift = f.post * 0.35
    size = (f.width + 0.01, f.depth - f.post * 0.7, 0.03)
    rounded_board(build, (0, -shift, f.seat - 0.015), size, 0.02, wood, "seat")
    if chance(rng, 0.45):
        cover = style.material(str(rng.choice(["fabric", "leather"])), rng)
        thick = rng.uniform(0.025, 0.05)
        padding(build, (0, -shift, f.seat + thick * 0.45), (size[0] - 0.02, size[1] - 0.02, thick), cover, "seat",
                radius=thick * 0.45, crown=0.008)  # fmt: skip


def _arms(build: PieceBuilder, f: Frame, wood: Material, rng: np.random.Generator) -> None:
    z, front = f.seat + rng.uniform(0.18, 0.24), -f.depth / 2 + rng.uniform(0.04, 0.1)
    for side in (-1, 1):
        bar(build, (side * f.x, front - 0.03, z), (side * f.x, f.y(z), z - 0.02), (0.045, 0.025), wood, "arm")
        bar(build, (side * f.x, front, f.seat - 0.02), (side * f.x, front, z), (0.03, 0.03), wood, "arm")


def _rail(build: PieceBuilder, f: Frame, low: float, high: float, bow: float, thick: float, wood: Material) -> None:
    """A board between the posts from height ``low`` to ``high``, bowed backwards by ``bow`` in its middle."""
    across = np.linspace(-1, 1, 9)
    rows = [
        np.stack([across * f.x, f.y(z) - thick / 2 + bow * (1 - across**2), np.full(9, z)], axis=1) for z in (low, high)
    ]
    shell(build, np.stack(rows)[:, ::-1], thick, wood, "back")


@construction("chair")
def slat_back_chair(rng: np.random.Generator, style: Style) -> Piece:
    """Upright slats between a lower rail and a crest rail."""
    f, wood, build = _frame(rng), _wood(rng, style), SolidBuilder("chair")
    _carcass(build, f, wood, rng, style)
    low, crest, count = f.seat + rng.uniform(0.06, 0.14), rng.uniform(0.05, 0.09), int(rng.integers(3, 8))
    _rail(build, f, low, low + 0.04, 0.0, 0.02, wood)
    _rail(build, f, f.top - crest, f.top, 0.0, 0.022, wood)
    wide = float(np.clip(2 * f.x / count * rng.uniform(0.3, 0.6), 0.014, 0.09))
    for x in np.linspace(-f.x, f.x, count + 2)[1:-1]:
        start, end = low + 0.02, f.top - crest / 2
        bar(build, (x, f.y(start), start), (x, f.y(end), end), (wide, 0.012), wood, "back")
    return build.build()


@construction("chair")
def ladder_back_chair(rng: np.random.Generator, style: Style) -> Piece:
    """Level rungs, bowed or straight, between the posts."""
    f, wood, build = _frame(rng), _wood(rng, style), SolidBuilder("chair")
    _carcass(build, f, wood, rng, style)
    count, bow = int(rng.integers(2, 6)), rng.choice([0.0, 0.02, 0.035])
    places = np.linspace(f.seat + 0.12, f.top, count + 1)
    tall = (places[1] - places[0]) * rng.uniform(0.4, 0.65)
    for high in places[1:]:
        _rail(build, f, high - tall, high, bow, 0.016, wood)
    return build.build()


@construction("chair")
def panel_back_chair(rng: np.random.Generator, style: Style) -> Piece:
    """A full panel of wood, cane-coloured cloth or upholstery between the posts."""
    f, wood, build = _frame(rng), _wood(rng, style), SolidBuilder("chair")
    _carcass(build, f, wood, rng, style)
    low, kind = f.seat + rng.uniform(0.03, 0.2), str(rng.choice(["wood", "fabric", "leather", "painted"]))
    panel = wood if kind == "wood" else style.material(kind, rng)
    _rail(build, f, low, f.top - 0.005, float(rng.choice([0.0, 0.03])), 0.018, panel)
    if kind in ("fabric", "leather"):
        middle = (low + f.top) / 2
        tilt = -np.arctan2(f.lean, f.top - f.seat)
        padding(build, (0, f.y(middle) - 0.012, middle), (2 * f.x - f.post, 0.04, f.top - low - 0.04), panel, "back",
                radius=0.018, tilt=tilt)  # fmt: skip
    return build.build()


@construction("chair")
def windsor_chair(rng: np.random.Generator, style: Style) -> Piece:
    """A saddle seat on splayed turned legs, spindles up to a bow or a comb."""
    wood, build = _wood(rng, style), SolidBuilder("chair")
    width, depth, seat = rng.uniform(0.42, 0.5), rng.uniform(0.40, 0.45), rng.uniform(0.43, 0.47)
    build.prism(ellipse(width, depth), seat - 0.035, seat, wood, "seat")
    shape = str(rng.choice(["turned", "round"]))
    for x, y in corners(width * 0.6, depth * 0.6):
        leg(build, (x * 1.45, y * 1.45), (x, y, seat - 0.03), 0.038, wood, shape)
    low = 0.18
    for side in (-1, 1):
        reach = width * 0.3 * (1.45 - 0.45 * low / seat)
        tube(build, [(side * reach, -depth * 0.37, low), (side * reach, depth * 0.37, low)], 0.009, wood, "stretcher")
    tube(build, [(-reach, 0, low), (reach, 0, low)], 0.009, wood, "stretcher")
    _spindles(build, width, depth, seat, wood, rng)
    return build.build()


def _spindles(build: PieceBuilder, width: float, depth: float, seat: float, wood: Material,
              rng: np.random.Generator) -> None:  # fmt: skip
    """The back of a Windsor chair: a hoop, or a comb rail, that leans backwards."""
    tall, lean, count = rng.uniform(0.4, 0.55), rng.uniform(0.06, 0.12), int(rng.integers(5, 9))
    turn = np.linspace(np.pi * 0.14, np.pi * 0.86, count)
    feet = np.stack([np.cos(turn) * width * 0.45, np.sin(turn) * depth * 0.44, np.full(count, seat - 0.01)], axis=1)
    if chance(rng, 0.5):
        sweep = np.linspace(0, np.pi, 17)
        hoop = np.stack([-np.cos(sweep) * width * 0.44, depth * 0.16 + np.sin(sweep) * (depth * 0.26 + lean),
                         seat - 0.01 + np.sin(sweep) ** 0.8 * tall], axis=1)  # fmt: skip
        tube(build, hoop, 0.012, wood, "back")
        for foot in feet[1:-1]:
            left = np.interp(foot[0] * 1.05, hoop[:, 0], np.arange(17))
            head = np.stack([np.interp(left, np.arange(17), hoop[:, axis]) for axis in range(3)])
            build.cylinder(foot, head, 0.007, wood, "back", sides=6)
        return
    heads = feet * [1.08, 1.0, 0.0] + [0.0, lean, seat + tall]
    for foot, head in zip(feet, heads, strict=True):
        build.cylinder(foot, head, 0.008, wood, "back", sides=6)
    rail = heads + (heads - heads.mean(axis=0)) * [0.12, 0.05, 0.0] + [0, -0.01, -0.015]
    shell(build, np.stack([rail, rail + [0, 0.01, 0.09]]), 0.02, wood, "back")
