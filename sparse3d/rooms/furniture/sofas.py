"""Sofas, two to four seats wide, each with loose cushions or without."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.bases import chance, four_legs, wished
from sparse3d.rooms.furniture.soft import centred, thrown
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.solids import SolidBuilder, bar, padding
from sparse3d.rooms.style import Style


def cover_of(rng: np.random.Generator, style: Style) -> Material:
    """What a seat is covered with."""
    return style.material("leather" if chance(rng, 0.3) else "fabric", rng)


def seats(build: PieceBuilder, low: float, high: float, front: float, back: float, z: float, thick: float,
          cover: Material) -> None:  # fmt: skip
    """Seat cushions side by side from x = ``low`` to ``high``, lying on height ``z``."""
    count = max(1, round((high - low) / 0.68))
    wide = (high - low) / count
    for k in range(count):
        place = (low + (k + 0.5) * wide, (front + back) / 2, z + thick / 2)
        padding(build, place, (wide - 0.004, back - front, thick), cover, "seat", radius=0.045, crown=0.012)


def backs(build: PieceBuilder, low: float, high: float, y: float, z: float, tall: float, cover: Material,
          lean: float = 0.16) -> float:  # fmt: skip
    """Back cushions standing on height ``z`` before the back at depth ``y``; gives their front's depth at the seat."""
    count, thick = max(1, round((high - low) / 0.68)), 0.15
    wide = (high - low) / count
    for k in range(count):
        place = (low + (k + 0.5) * wide, y - thick / 2 - 0.035, z + tall / 2)
        padding(build, place, (wide - 0.006, thick, tall), cover, "back", radius=0.05, tilt=-lean)
    return y - thick - 0.035 - np.sin(lean) * tall / 2


@construction("sofa")
def block_sofa(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """Box arms and back around seat and back cushions, on short feet or a plinth."""
    wide, depth = wished(width, rng, 1.4, 2.3), rng.uniform(0.82, 0.98)
    arm, arm_top, seat = rng.uniform(0.1, 0.24), rng.uniform(0.55, 0.66), rng.uniform(0.4, 0.46)
    foot, cover, build = rng.uniform(0.04, 0.13), cover_of(rng, style), SolidBuilder("couch")
    cushion, back_top, rear = seat - rng.uniform(0.13, 0.18), rng.uniform(0.72, 0.88), depth / 2 - 0.16
    padding(build, (0, 0, (foot + cushion) / 2), (wide - 0.01, depth - 0.01, cushion - foot), cover, "base",
            radius=0.02)  # fmt: skip
    padding(build, (0, depth / 2 - 0.09, (foot + back_top) / 2 - 0.02), (wide - 2 * arm, 0.18, back_top - foot - 0.04),
            cover, "back", radius=0.04)  # fmt: skip
    for side in (-1, 1):
        place = (side * (wide / 2 - arm / 2), 0, (foot + arm_top) / 2)
        padding(build, place, (arm, depth, arm_top - foot), cover, "arm", radius=rng.uniform(0.02, 0.05))
    inner = wide / 2 - arm
    seats(build, -inner, inner, -depth / 2 - 0.01, rear, cushion, seat - cushion, cover)
    front = backs(build, -inner, inner, rear, seat - 0.01, back_top - seat + rng.uniform(-0.02, 0.1), cover)
    four_legs(build, wide - 0.16, depth - 0.16, foot + 0.01, 0.05,
              style.material(str(rng.choice(["wood", "metal", "plastic"])), rng), "tapered")  # fmt: skip
    covers = [style.material("fabric", rng) for _ in range(2)]
    return centred(build.build_at(), *thrown(rng, covers, -inner, inner, front + 0.04, seat + 0.012))


@construction("sofa")
def chaise_sofa(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """An L: a straight sofa whose last seat runs out into a chaise, to the left or to the right."""
    wide, depth, long = wished(width, rng, 2.0, 2.8), rng.uniform(0.85, 0.98), rng.uniform(1.4, 1.65)
    side, cover, build = int(rng.choice([-1, 1])), cover_of(rng, style), SolidBuilder("couch")
    seat, foot, arm, lounge = rng.uniform(0.4, 0.45), rng.uniform(0.04, 0.12), rng.uniform(0.12, 0.22), 0.32 * wide
    cushion, back_top, rear = seat - 0.15, rng.uniform(0.72, 0.86), long / 2 - 0.18
    tip = rear + 0.18 - depth
    for x0, x1, front in ((-wide / 2, wide / 2 - lounge, tip), (wide / 2 - lounge, wide / 2, -long / 2)):
        low, high = sorted((side * x0, side * x1))
        padding(build, ((low + high) / 2, (front + long / 2) / 2, (foot + cushion) / 2),
                (high - low, long / 2 - front, cushion - foot), cover, "base", radius=0.02)  # fmt: skip
    padding(build, (0, long / 2 - 0.09, (foot + back_top) / 2), (wide, 0.18, back_top - foot), cover, "back",
            radius=0.04)  # fmt: skip
    arms = [(-1, tip)] + ([(1, tip)] if chance(rng, 0.4) else [])
    for which, front in arms:
        x = side * which * (wide / 2 - arm / 2)
        padding(build, (x, (front + rear) / 2, (foot + 0.6) / 2), (arm, rear - front, 0.6 - foot), cover, "arm",
                radius=0.035)  # fmt: skip
    left, right = sorted((side * (-wide / 2 + arm), side * (wide / 2 - lounge)))
    outer = wide / 2 - (arm if len(arms) == 2 else 0.0)
    last = sorted((side * (wide / 2 - lounge), side * outer))
    seats(build, left, right, tip - 0.01, rear, cushion, seat - cushion, cover)
    padding(build, (sum(last) / 2, (rear - long / 2) / 2, (cushion + seat) / 2),
            (last[1] - last[0] - 0.004, rear + long / 2 - 0.01, seat - cushion), cover, "seat", radius=0.045,
            crown=0.012)  # fmt: skip
    both = (min(left, last[0]), max(right, last[1]))
    front = backs(build, *both, rear, seat - 0.01, back_top - seat + rng.uniform(-0.02, 0.08), cover)
    feet = style.material("metal", rng)
    for x, y in (
        (-1, tip + 0.08),
        (-1, long / 2 - 0.08),
        (1, long / 2 - 0.08),
        (1, -long / 2 + 0.08),
        (0.4, tip + 0.08),
    ):
        build.cylinder((side * x * (wide / 2 - 0.08), y, 0), (side * x * (wide / 2 - 0.08), y, foot + 0.01), 0.025,
                       feet, "leg", sides=10)  # fmt: skip
    covers = [style.material("fabric", rng) for _ in range(2)]
    return centred(build.build_at(), *thrown(rng, covers, *both, front + 0.04, seat + 0.012))


@construction("sofa")
def scandinavian_sofa(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """A light frame of wood on tall tapered legs, with loose seat and back cushions and slim arms."""
    wide, depth, seat = wished(width, rng, 1.3, 2.1), rng.uniform(0.74, 0.86), rng.uniform(0.41, 0.46)
    wood, cover, build = style.material("wood", rng), cover_of(rng, style), SolidBuilder("couch")
    rail, back_top, arm_top = seat - 0.13, rng.uniform(0.74, 0.84), rng.uniform(0.56, 0.64)
    x, rear = wide / 2 - 0.025, depth / 2 - 0.05
    build.box((0, 0, rail - 0.03), (wide - 0.06, depth - 0.06, 0.06), wood, "base")
    open_arms = chance(rng, 0.6)
    for side in (-1, 1):
        for y in (-depth / 2 + 0.05, depth / 2 - 0.05):
            high = arm_top if open_arms else rail
            bar(build, (side * x, y, high), (side * (x + 0.02), y * 1.05, 0), (0.045, 0.045), wood, "leg", taper=0.6)
        if open_arms:
            bar(build, (side * x, -depth / 2, arm_top), (side * x, depth / 2, arm_top), (0.06, 0.03), wood, "arm")
        else:
            padding(build, (side * (x - 0.02), 0, (rail + arm_top) / 2), (0.09, depth - 0.04, arm_top - rail + 0.02),
                    cover, "arm", radius=0.03)  # fmt: skip
    inner = x - 0.03 if open_arms else x - 0.07
    padding(build, (0, rear + 0.01, (rail + back_top - 0.06) / 2), (2 * inner, 0.06, back_top - 0.06 - rail), cover,
            "back", radius=0.025)  # fmt: skip
    seats(build, -inner, inner, -depth / 2 + 0.01, rear, rail, seat - rail, cover)
    front = backs(build, -inner, inner, rear, seat - 0.01, back_top - seat, cover, lean=0.13)
    return centred(
        build.build_at(), *thrown(rng, [style.material("fabric", rng)], -inner, inner, front + 0.04, seat + 0.012)
    )


@construction("sofa")
def chesterfield(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """Arms as high as the back, both rolled over and tufted with buttons, on turned feet."""
    wide, depth, top = wished(width, rng, 1.6, 2.3), rng.uniform(0.88, 0.98), rng.uniform(0.68, 0.76)
    cover, build, r = cover_of(rng, style), SolidBuilder("couch"), rng.uniform(0.07, 0.1)
    foot, seat = rng.uniform(0.06, 0.11), rng.uniform(0.42, 0.46)
    cushion, arm, rear = seat - 0.14, 1.4 * r, depth / 2 - 2.4 * r
    padding(build, (0, -0.01, (foot + cushion) / 2), (wide - 2 * r, depth - 0.08, cushion - foot), cover, "base",
            radius=0.02)  # fmt: skip
    for side in (-1, 1):
        x = side * (wide / 2 - r)
        padding(build, (x - side * 0.2 * r, 0.02, (foot + top - r) / 2), (arm, depth - 0.08, top - r - foot), cover,
                "arm", radius=0.03)  # fmt: skip
        build.cylinder((x, -depth / 2, top - r), (x, depth / 2, top - r), r, cover, "arm", sides=16)
        build.cylinder((x, -depth / 2 - 0.006, top - r), (x, -depth / 2, top - r), r * 0.45, cover, "arm", sides=12)
    padding(build, (0, depth / 2 - 1.2 * r, (foot + top - r) / 2), (wide - 2 * r, arm, top - r - foot), cover, "back",
            radius=0.03)  # fmt: skip
    build.cylinder((-wide / 2 + r, depth / 2 - r, top - r), (wide / 2 - r, depth / 2 - r, top - r), r, cover, "back",
                   sides=16)  # fmt: skip
    inner = wide / 2 - r - arm / 2 - 0.2 * r
    seats(build, -inner, inner, -depth / 2 + 0.02, rear + 0.5 * r, cushion, seat - cushion, cover)
    face = depth / 2 - 1.2 * r - arm / 2
    for row, z in enumerate((seat + 0.08, seat + 0.16)):
        for x in np.arange(-inner + 0.1 + 0.09 * row, inner - 0.05, 0.18):
            build.cushion((x, face, z), (0.03, 0.02, 0.03), cover, "button", steps=4, roundness=1.0)
    four_legs(build, wide - 0.2, depth - 0.2, foot + 0.01, 0.07, style.material("wood", rng), "round")
    covers = [style.material("fabric", rng) for _ in range(2)]
    return centred(build.build_at(), *thrown(rng, covers, -inner, inner, face - 0.012, seat + 0.012))
