"""Toilets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.grouping import material_of, maybe
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style
from sparse3d.rooms.vessels import Ring, loft


@dataclass(frozen=True)
class Bowl:
    """A bowl seen from above: half its width, its reach to the front and to the back of (0, 0), its rim's height."""

    half: float
    front: float
    back: float
    top: float
    power: float

    def ring(self, z: float, share: float = 1.0, inset: float = 0.0, y: float = 0.0) -> Ring:
        """The outline at ``z``, scaled by ``share`` and drawn in by ``inset`` metres."""
        half, front, back = (max(v * share - inset, 0.0) for v in (self.half, self.front, self.back))
        return Ring(z, (half, front), 0.0, y, self.power, back)


def draw_bowl(rng: np.random.Generator, top: float | None = None) -> Bowl:
    """Round ones and square ones."""
    power = 1.0 if maybe(rng, 0.65) else float(rng.uniform(0.45, 0.7))
    height = float(rng.uniform(0.37, 0.42)) if top is None else top
    return Bowl(float(rng.uniform(0.17, 0.195)), float(rng.uniform(0.27, 0.32)), float(rng.uniform(0.18, 0.21)), height,
                power)  # fmt: skip


def _hollow(build: PieceBuilder, bowl: Bowl, white: Material) -> None:
    """The rim and the inside, with water at its bottom."""
    top = bowl.top
    loft(build, [bowl.ring(top - 0.02), bowl.ring(top, inset=0.004), bowl.ring(top, inset=0.045)], white, "rim")
    inside = [bowl.ring(top, inset=0.045), bowl.ring(top - 0.1, 0.85, 0.05), bowl.ring(top - 0.2, 0.45, 0.02)]
    loft(build, [*inside, bowl.ring(top - 0.2, 0.0)], white, "bowl")


def _seat(build: PieceBuilder, rng: np.random.Generator, bowl: Bowl, plastic: Material, lid_up: bool) -> None:
    """The seat on the rim, and the lid on it or leaning back."""
    z, lift = bowl.top, 0.018
    seat = [bowl.ring(z, inset=0.05), bowl.ring(z + lift, inset=0.055), bowl.ring(z + lift, inset=-0.004),
            bowl.ring(z, inset=-0.004), bowl.ring(z, inset=0.05)]  # fmt: skip
    loft(build, seat, plastic, "seat")
    hinge = (0, bowl.back - 0.015, z + lift + 0.006)
    low = z + lift
    lid = [bowl.ring(low, 0.0), bowl.ring(low, inset=-0.004), bowl.ring(low + 0.012, inset=-0.002),
           bowl.ring(low + 0.018, inset=0.02), bowl.ring(low + 0.018, 0.0)]  # fmt: skip
    loft(build, lid, plastic, "lid", tilt=-float(rng.uniform(1.48, 1.56)) if lid_up else 0.0, pivot=hinge)
    for x in (-0.07, 0.07):
        build.cylinder((x - 0.02, *hinge[1:]), (x + 0.02, *hinge[1:]), 0.014, plastic, "hinge", 8)


def _tank(build: PieceBuilder, rng: np.random.Generator, bowl: Bowl, white: Material, metal: Material) -> None:
    """A cistern on the ledge behind the bowl, with its lid and a button or a lever."""
    half, deep, tall = rng.uniform(0.18, 0.23), rng.uniform(0.08, 0.1), rng.uniform(0.34, 0.42)
    y, low = bowl.back + deep + 0.035, bowl.top - 0.005
    high, power = low + tall, 0.2
    body = [
        Ring(low, (0, 0), 0, y),
        Ring(low, (half - 0.03, deep - 0.012), 0, y, power),
        Ring(low + 0.06, (half - 0.008, deep - 0.003), 0, y, power),
        Ring(high - 0.03, (half, deep), 0, y, power),
    ]
    loft(build, body, white, "tank")
    lid = [
        Ring(high - 0.03, (half + 0.008, deep + 0.008), 0, y, power),
        Ring(high - 0.006, (half + 0.008, deep + 0.008), 0, y, power),
        Ring(high, (half, deep), 0, y, power),
        Ring(high, (0, 0), 0, y),
    ]
    loft(build, [Ring(high - 0.03, (0, 0), 0, y), *lid], white, "tank")
    if maybe(rng):
        build.cylinder((0, y, high), (0, y, high + 0.008), 0.025, metal, "button", 14)
    else:
        build.support((0, y, high), (2 * half - 0.08, 2 * deep - 0.04), 0.5)
        front = y - deep
        build.cylinder((half - 0.07, front + 0.01, high - 0.07), (half - 0.07, front - 0.02, high - 0.07), 0.012, metal,
                       "handle", 8)  # fmt: skip
        build.box((half - 0.1, front - 0.02, high - 0.072), (0.08, 0.01, 0.016), metal, "handle")


def _standing(build: PieceBuilder, rng: np.random.Generator, bowl: Bowl, white: Material, slim: float) -> None:
    """The foot and the outside of a bowl that stands on the floor; ``slim`` is the waist's share of the rim."""
    y = 0.03
    foot = [
        bowl.ring(0, 0.0),
        bowl.ring(0, slim + 0.1, y=y),
        bowl.ring(0.03, slim + 0.08, y=y),
        bowl.ring(0.45 * bowl.top, slim, y=y),
        bowl.ring(0.75 * bowl.top, (1 + slim) / 2),
        bowl.ring(bowl.top - 0.02),
    ]
    loft(build, foot, white, "bowl")


@construction("toilet")
def close_coupled_toilet(rng: np.random.Generator, style: Style) -> Piece:
    """A bowl on a foot, the tank on a ledge behind it."""
    white, metal, bowl = style.material("ceramic", rng), style.material("metal", rng), draw_bowl(rng)
    plastic = white if maybe(rng) else material_of(rng, style, "plastic", "wood", "ceramic")
    build = PieceBuilder("toilet")
    _standing(build, rng, bowl, white, rng.uniform(0.55, 0.75))
    _hollow(build, bowl, white)
    build.board((-0.13, 0.06, 0), (0.13, bowl.back + 0.16, bowl.top - 0.005), white, "bowl")
    _tank(build, rng, bowl, white, metal)
    _seat(build, rng, bowl, plastic, maybe(rng, 0.35))
    return build.build()


@construction("toilet")
def skirted_toilet(rng: np.random.Generator, style: Style) -> Piece:
    """Straight closed sides from the rim to the floor, the tank behind."""
    white, metal, bowl = style.material("ceramic", rng), style.material("metal", rng), draw_bowl(rng)
    build = PieceBuilder("toilet")
    loft(build, [bowl.ring(0, 0.0), bowl.ring(0, 0.86), bowl.ring(bowl.top - 0.1, 0.95), bowl.ring(bowl.top - 0.02)],
         white, "bowl")  # fmt: skip
    _hollow(build, bowl, white)
    build.board((-bowl.half * 0.85, 0.05, 0), (bowl.half * 0.85, bowl.back + 0.2, bowl.top - 0.005), white, "bowl")
    _tank(build, rng, bowl, white, metal)
    _seat(build, rng, bowl, white if maybe(rng) else style.material("plastic", rng), maybe(rng, 0.35))
    return build.build()


@construction("toilet")
def wall_hung_toilet(rng: np.random.Generator, style: Style) -> Piece:
    """A bowl that hangs on a panel before the wall; the tank is inside, its button on the panel."""
    white, metal, bowl = style.material("ceramic", rng), style.material("metal", rng), draw_bowl(rng)
    panel = material_of(rng, style, "tiles", "painted", "stone", "wood")
    build, high, half = PieceBuilder("toilet"), rng.uniform(1.0, 1.2), rng.uniform(0.22, 0.4)
    low, deep = rng.uniform(0.08, 0.16), rng.uniform(0.14, 0.2)
    loft(build, [bowl.ring(low, 0.0), bowl.ring(low, 0.45, y=0.05), bowl.ring(low + 0.1, 0.72, y=0.02),
                 bowl.ring(bowl.top - 0.08, 0.95), bowl.ring(bowl.top - 0.02)], white, "bowl")  # fmt: skip
    _hollow(build, bowl, white)
    y = bowl.back + 0.02
    build.board((-0.15, 0.05, low + 0.04), (0.15, y, bowl.top - 0.005), white, "bowl")
    build.board((-half, y, 0), (half, y + deep, high), panel, "panel")
    build.board((-0.12, y - 0.008, high - 0.28), (0.12, y, high - 0.12), metal, "button")
    build.support((0, y + deep / 2, high), (2 * half - 0.06, deep - 0.04), 0.6)
    _seat(build, rng, bowl, white, maybe(rng, 0.35))
    return build.build()
