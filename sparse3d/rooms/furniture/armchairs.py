"""Armchairs: small sofas, wing chairs, shells and lounge chairs of wood."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.bases import chance, four_legs
from sparse3d.rooms.furniture.sofas import backs, cover_of, seats
from sparse3d.rooms.piece import Piece
from sparse3d.rooms.solids import SolidBuilder, bar, padding, shell, tube
from sparse3d.rooms.style import Style


@construction("armchair")
def block_armchair(rng: np.random.Generator, style: Style) -> Piece:
    """A sofa for one: box arms, a seat cushion and a back cushion."""
    inner, arm, depth = rng.uniform(0.5, 0.6), rng.uniform(0.09, 0.2), rng.uniform(0.78, 0.92)
    foot, seat, arm_top, top = rng.uniform(0.05, 0.16), rng.uniform(0.4, 0.46), rng.uniform(0.55, 0.64), 0.0
    top = rng.uniform(0.74, 0.92)
    cover, build, cushion, rear = cover_of(rng, style), SolidBuilder("armchair"), seat - 0.15, depth / 2 - 0.14
    padding(
        build, (0, 0, (foot + cushion) / 2), (inner + arm, depth - 0.01, cushion - foot), cover, "base", radius=0.02
    )
    padding(
        build, (0, depth / 2 - 0.08, (foot + top) / 2), (inner + 0.02, 0.16, top - foot), cover, "back", radius=0.05
    )
    for side in (-1, 1):
        padding(build, (side * (inner + arm) / 2, 0, (foot + arm_top) / 2), (arm, depth, arm_top - foot), cover, "arm",
                radius=rng.uniform(0.02, 0.045))  # fmt: skip
    seats(build, -inner / 2, inner / 2, -depth / 2 - 0.01, rear, cushion, seat - cushion, cover)
    if chance(rng, 0.7):
        backs(build, -inner / 2, inner / 2, rear, seat - 0.01, top - seat, cover)
    four_legs(build, inner + arm, depth - 0.14, foot + 0.01, 0.045, style.material("wood", rng), "tapered")
    return build.build()


@construction("armchair")
def wing_chair(rng: np.random.Generator, style: Style) -> Piece:
    """A high back with wings at head height, rolled arms, wooden legs."""
    wide, depth, seat = rng.uniform(0.7, 0.8), rng.uniform(0.74, 0.84), rng.uniform(0.43, 0.48)
    top, foot, cover = rng.uniform(1.0, 1.15), rng.uniform(0.14, 0.2), cover_of(rng, style)
    build, lean, arm_top = SolidBuilder("armchair"), rng.uniform(0.1, 0.18), rng.uniform(0.58, 0.64)
    padding(build, (0, 0, (foot + seat - 0.1) / 2), (wide - 0.06, depth - 0.06, seat - 0.1 - foot), cover, "base",
            radius=0.03)  # fmt: skip
    inner = wide - 0.2
    padding(build, (0, -0.05, seat - 0.05), (inner, depth - 0.14, 0.12), cover, "seat", radius=0.045, crown=0.015)
    tall, rear = top - foot, depth / 2 - 0.09
    padding(build, (0, rear + np.sin(lean) * (tall / 2 - 0.15), foot + tall / 2), (wide - 0.08, 0.13, tall), cover,
            "back", radius=0.05, tilt=-lean)  # fmt: skip
    for side in (-1, 1):
        x = side * (wide / 2 - 0.05)
        padding(
            build, (x, -0.02, (foot + arm_top) / 2), (0.09, depth - 0.06, arm_top - foot), cover, "arm", radius=0.03
        )
        build.cylinder((x, -depth / 2 + 0.01, arm_top), (x, rear, arm_top), 0.055, cover, "arm", sides=12)
        low, high = arm_top, top - 0.06
        at = np.sin(lean) * ((low + high) / 2 - foot - 0.15)
        padding(build, (x, rear - 0.12 + at, (low + high) / 2), (0.06, 0.26, high - low), cover, "back", radius=0.028,
                tilt=-lean)  # fmt: skip
    four_legs(build, wide - 0.14, depth - 0.14, foot + 0.01, 0.045, style.material("wood", rng),
              str(rng.choice(["turned", "tapered"])), splay=0.02)  # fmt: skip
    return build.build()


@construction("armchair")
def tub_chair(rng: np.random.Generator, style: Style) -> Piece:
    """Arms and back are one round wall around the seat."""
    wide, depth, seat = rng.uniform(0.66, 0.78), rng.uniform(0.64, 0.74), rng.uniform(0.4, 0.46)
    foot, cover, build = rng.uniform(0.1, 0.2), cover_of(rng, style), SolidBuilder("armchair")
    arm_top, top, thick = rng.uniform(0.56, 0.66), rng.uniform(0.68, 0.82), rng.uniform(0.06, 0.09)
    turn = np.linspace(-np.pi * 0.36, np.pi * 1.36, 25)
    low = foot if chance(rng, 0.6) else seat - 0.16
    rows = []
    for share in (0.0, 0.5, 0.93, 1.0):
        crest = arm_top + (top - arm_top) * np.clip(np.sin(turn), 0, 1) ** 1.5
        wider = 1.0 - 0.06 * (1 - share) - (0.05 if share == 1.0 else 0.0)
        rows.append(np.stack([np.cos(turn) * wide / 2 * wider, np.sin(turn) * depth / 2 * wider,
                              low + share * (crest - low)], axis=1))  # fmt: skip
    grid = np.stack(rows)
    shell(build, grid[:, :8], thick, cover, "arm")
    shell(build, grid[:, 7:18], thick, cover, "back")
    shell(build, grid[:, 17:], thick, cover, "arm")
    base = seat - 0.14
    outline = np.stack([np.cos(turn) * (wide / 2 - thick * 0.6), np.sin(turn) * (depth / 2 - thick * 0.6)], axis=1)
    build.prism(outline * 0.97, min(base, foot + 0.02), base, cover, "base")
    build.prism(outline * [0.98, 0.98], base, seat, cover, "seat")
    four_legs(build, wide * 0.6, depth * 0.6, min(base, foot + 0.02) + 0.01, 0.04,
              style.material(str(rng.choice(["wood", "metal"])), rng), "round", splay=0.04)  # fmt: skip
    return build.build()


@construction("armchair")
def lounge_chair(rng: np.random.Generator, style: Style) -> Piece:
    """A reclining frame of wood or tube with one seat and one back cushion."""
    wide, depth, seat = rng.uniform(0.6, 0.7), rng.uniform(0.7, 0.82), rng.uniform(0.36, 0.42)
    wood, cover = style.material(str(rng.choice(["wood", "metal"])), rng), cover_of(rng, style)
    build, arm, lean, tall = SolidBuilder("armchair"), rng.uniform(0.54, 0.6), rng.uniform(0.25, 0.42), 0.58
    x, slope, bent = wide / 2 - 0.025, rng.uniform(0.06, 0.14), chance(rng, 0.4)
    front, back = -depth / 2 + 0.03, depth / 2 - 0.08
    head = np.array([0.0, back + np.sin(lean) * tall, seat - 0.05 + np.cos(lean) * tall])
    for side in (-1, 1):
        s = np.array([side * x, 0, 0])
        if bent:
            tube(build, [s + [0, back + 0.1, 0.018], s + [0, front + 0.08, 0.018], s + [0, front, 0.1],
                         s + [0, front + 0.01, arm - 0.06], s + [0, front + 0.07, arm],
                         s + [0, back + 0.06, arm - 0.03]], 0.018, wood, "leg")  # fmt: skip
        else:
            bar(build, s + [0, front - 0.02, 0], s + [0, front + 0.02, arm], (0.03, 0.05), wood, "leg")
            bar(build, s + [0, back + 0.08, 0], s + [0, back, arm - 0.03], (0.03, 0.05), wood, "leg")
        bar(build, s + [0, front - 0.03, arm], s + [0, back + 0.1, arm - 0.035], (0.06, 0.025), wood, "arm")
        bar(build, s * 0.96 + [0, front, seat - 0.07 + slope / 2], s * 0.96 + [0, back + 0.04, seat - 0.07 - slope / 2],
            (0.03, 0.05), wood, "frame")  # fmt: skip
        bar(build, s * 0.92 + [0, back, seat - 0.14], s * 0.92 + head, (0.03, 0.04), wood, "frame")
    for place in ((front + 0.02, seat - 0.07 + slope / 2), (back, seat - 0.07 - slope / 2)):
        bar(build, (-x, *place), (x, *place), (0.04, 0.03), wood, "frame")
    bar(build, (-x * 0.92, *(head[1:] - [0.02, 0.06])), (x * 0.92, *(head[1:] - [0.02, 0.06])), (0.03, 0.05), wood,
        "frame")  # fmt: skip
    pitch = np.arctan2(-slope, back - front)
    padding(build, (0, (front + back) / 2, seat - 0.005), (wide - 0.08, depth - 0.1, 0.12), cover, "seat",
            radius=0.045, crown=0.012, tilt=pitch)  # fmt: skip
    middle = (np.array([0, back, seat - 0.05]) + head) / 2 + np.array([0, -np.cos(lean), np.sin(lean)]) * 0.065
    padding(build, middle + [0, 0.015, 0.03], (wide - 0.09, 0.12, tall), cover, "back", radius=0.045, tilt=-lean)
    return build.build()
