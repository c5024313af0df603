"""Benches and ottomans."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.bases import apron, chance, four_legs, sled, wished
from sparse3d.rooms.furniture.sofas import cover_of
from sparse3d.rooms.piece import Piece
from sparse3d.rooms.solids import SolidBuilder, bar, padding, rounded_board
from sparse3d.rooms.style import Style


@construction("bench")
def plank_bench(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A plank, or several, on legs, panels or steel runners."""
    wide, depth, seat = wished(width, rng, 0.9, 1.7), rng.uniform(0.28, 0.4), rng.uniform(0.42, 0.47)
    wood, build, kind = style.material("wood", rng), SolidBuilder("bench"), str(rng.choice(["legs", "panels", "sled"]))
    count = int(rng.integers(1, 4))
    step = depth / count
    for k in range(count):
        y = -depth / 2 + (k + 0.5) * step
        rounded_board(build, (0, y, seat - 0.02), (wide, step - (0.008 if count > 1 else 0), 0.04), 0.01, wood, "seat")
    if kind == "legs":
        four_legs(build, wide - 0.12, depth - 0.07, seat - 0.035, 0.055, wood, str(rng.choice(["square", "tapered"])))
        apron(build, wide - 0.12, depth - 0.07, seat - 0.1, seat - 0.035, 0.022, wood)
    elif kind == "panels":
        for side in (-1, 1):
            build.box(
                (side * (wide / 2 - 0.12), 0, (seat - 0.035) / 2), (0.035, depth - 0.04, seat - 0.035), wood, "leg"
            )
        build.box((0, 0, seat * 0.5), (wide - 0.24, 0.03, 0.09), wood, "stretcher")
    else:
        metal = style.material("metal", rng)
        for side in (-1, 1):
            sled(build, side * (wide / 2 - 0.1), depth - 0.06, seat - 0.035, metal, radius=0.018, square=True)
        for y in (-depth / 2 + 0.03, depth / 2 - 0.03):
            bar(
                build,
                (-wide / 2 + 0.1, y, seat - 0.05),
                (wide / 2 - 0.1, y, seat - 0.05),
                (0.025, 0.03),
                metal,
                "frame",
            )
    return build.build()


@construction("bench")
def padded_bench(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """An upholstered seat on thin legs, as at the foot of a bed."""
    wide, depth, seat = wished(width, rng, 0.9, 1.5), rng.uniform(0.36, 0.46), rng.uniform(0.43, 0.49)
    build, thick = SolidBuilder("bench"), rng.uniform(0.07, 0.13)
    padding(
        build, (0, 0, seat - thick / 2), (wide, depth, thick), cover_of(rng, style), "seat", radius=0.03, crown=0.012
    )
    four_legs(build, wide - 0.14, depth - 0.12, seat - thick + 0.01, 0.04,
              style.material(str(rng.choice(["wood", "metal"])), rng), str(rng.choice(["tapered", "round"])),
              splay=rng.uniform(0, 0.04))  # fmt: skip
    return build.build()


@construction("bench")
def bench_with_back(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A settle: a plank seat, a back of slats between posts, and arms."""
    wide, depth, seat = wished(width, rng, 1.0, 1.6), rng.uniform(0.42, 0.5), rng.uniform(0.42, 0.46)
    wood, build, top = style.material(str(rng.choice(["wood", "painted"])), rng), SolidBuilder("bench"), 0.0
    top, x, rear, lean = rng.uniform(0.8, 0.95), wide / 2 - 0.025, depth / 2 - 0.025, rng.uniform(0.03, 0.08)
    build.board((-wide / 2, -depth / 2, seat - 0.03), (wide / 2, rear, seat), wood, "seat")
    for side in (-1, 1):
        bar(build, (side * x, -rear, 0), (side * x, -rear, seat + 0.2), (0.045, 0.045), wood, "leg")
        bar(build, (side * x, rear, 0), (side * x, rear, seat), (0.045, 0.045), wood, "leg")
        bar(build, (side * x, rear, seat), (side * x, rear + lean, top), (0.045, 0.045), wood, "back")
        build.box((side * x, 0, seat + 0.21), (0.06, depth, 0.025), wood, "arm")
    apron(build, 2 * x, 2 * rear, seat - 0.1, seat - 0.025, 0.02, wood)

    def place(z: float) -> float:
        return float(rear + lean * (z - seat) / (top - seat))

    if chance(rng, 0.5):
        for z in np.linspace(seat + 0.1, top - 0.04, int(rng.integers(3, 5))):
            build.box((0, place(z), z), (2 * x, 0.02, 0.07), wood, "back")
    else:
        for z in (seat + 0.08, top - 0.03):
            build.box((0, place(z), z), (2 * x, 0.025, 0.05), wood, "back")
        for across in np.linspace(-x, x, int(wide / 0.11))[1:-1]:
            low, high = seat + 0.09, top - 0.04
            bar(build, (across, place(low), low), (across, place(high), high), (0.035, 0.012), wood, "back")
    return build.build()


@construction("ottoman")
def cube_ottoman(rng: np.random.Generator, style: Style) -> Piece:
    """A padded block with a lid or without, on short feet."""
    wide, depth, high = rng.uniform(0.42, 0.9), rng.uniform(0.4, 0.6), rng.uniform(0.36, 0.46)
    build, cover, foot = SolidBuilder("ottoman"), cover_of(rng, style), rng.uniform(0.03, 0.1)
    lid = high - rng.uniform(0.08, 0.14)
    padding(build, (0, 0, (foot + lid) / 2), (wide - 0.02, depth - 0.02, lid - foot), cover, "base", radius=0.02)
    padding(build, (0, 0, (lid + high) / 2), (wide, depth, high - lid), cover, "seat", radius=0.035, crown=0.015)
    four_legs(build, wide - 0.12, depth - 0.12, foot + 0.01, 0.045, style.material("wood", rng), "tapered")
    return build.build()


@construction("ottoman")
def round_pouf(rng: np.random.Generator, style: Style) -> Piece:
    """A drum or a soft pouf."""
    r, high, build = rng.uniform(0.22, 0.34), rng.uniform(0.34, 0.44), SolidBuilder("ottoman")
    cover = cover_of(rng, style)
    if chance(rng, 0.5):
        profile = [(0, 0), (r * 0.75, 0), (r * 0.97, 0.2), (r, 0.5), (r * 0.95, 0.82), (r * 0.7, 0.97), (0, 1.0)]
        build.turned(profile, cover, "seat", end=(0, 0, high), sides=24)
    else:
        rim = style.material(str(rng.choice(["wood", "metal", "fabric"])), rng)
        build.cylinder((0, 0, 0), (0, 0, 0.05), r * 0.96, rim, "base", sides=24)
        profile = [(0, 0), (r, 0), (r, 0.88), (r * 0.96, 0.97), (r * 0.85, 1.0), (0, 1.0)]
        build.turned(profile, cover, "seat", (0, 0, 0.05), (0, 0, high), sides=24)
    return build.build()


@construction("ottoman")
def footstool(rng: np.random.Generator, style: Style) -> Piece:
    """A thick cushion on four visible legs, as belongs to an armchair."""
    wide, depth, high = rng.uniform(0.45, 0.62), rng.uniform(0.38, 0.5), rng.uniform(0.38, 0.45)
    build, wood, thick = SolidBuilder("ottoman"), style.material("wood", rng), rng.uniform(0.1, 0.16)
    padding(
        build, (0, 0, high - thick / 2), (wide, depth, thick), cover_of(rng, style), "seat", radius=0.045, crown=0.02
    )
    apron(build, wide - 0.08, depth - 0.08, high - thick - 0.04, high - thick + 0.01, 0.02, wood)
    four_legs(build, wide - 0.08, depth - 0.08, high - thick + 0.005, 0.04, wood,
              str(rng.choice(["turned", "tapered", "round"])), splay=0.01)  # fmt: skip
    return build.build()
