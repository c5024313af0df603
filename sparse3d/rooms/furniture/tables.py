"""Tables to eat at, to put before a sofa and beside it."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.bases import LEG_SHAPES, apron, chance, four_legs, leg, sled, wished
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.solids import SolidBuilder, bar, ellipse, rounded_board, tube
from sparse3d.rooms.style import Style


def surface(rng: np.random.Generator, style: Style) -> Material:
    """What a table's top is made of."""
    return style.material(str(rng.choice(["wood", "wood", "painted", "stone", "plastic"])), rng)


def round_top(build: PieceBuilder, wide: float, deep: float, height: float, thick: float, material: Material) -> None:
    """A round or oval top and the level square in it on which things can stand."""
    build.prism(ellipse(wide, deep, 32), height - thick, height, material, "top")
    build.support((0, 0, height), (wide * 0.66, deep * 0.66), 0.8)


def flat_top(build: PieceBuilder, wide: float, deep: float, height: float, thick: float, material: Material,
             radius: float = 0.012) -> None:  # fmt: skip
    """A rectangular top, its upright edges rounded, and its whole surface to put things on."""
    rounded_board(build, (0, 0, height - thick / 2), (wide, deep, thick), radius, material, "top")
    build.support((0, 0, height), (wide - 2 * radius, deep - 2 * radius), 0.8)


def pedestal(build: PieceBuilder, reach: float, top: float, material: Material, rng: np.random.Generator) -> None:
    """One foot in the middle: a trumpet of metal, or a turned post on three or four curved feet."""
    if chance(rng, 0.4):
        profile = [(0, 0), (reach, 0), (reach * 0.96, 0.015), (reach * 0.35, 0.07), (0.06, 0.25), (0.04, 0.55),
                   (0.06, 0.85), (min(0.16, reach), 1.0), (0, 1.0)]  # fmt: skip
        build.turned(profile, material, "leg", end=(0, 0, top), sides=24)
        return
    profile = [(0, 0.12), (0.05, 0.12), (0.06, 0.25), (0.04, 0.35), (0.055, 0.6), (0.04, 0.85), (0.09, 0.97), (0, 1)]
    build.turned(profile, material, "leg", end=(0, 0, top), sides=14)
    count = int(rng.integers(3, 5))
    for angle in (np.arange(count) + 0.25) * 2 * np.pi / count:
        out = np.array([np.cos(angle), np.sin(angle), 0])
        path = [out * 0.03 + [0, 0, top * 0.3], out * reach * 0.45 + [0, 0, top * 0.26],
                out * reach * 0.8 + [0, 0, top * 0.12], out * reach + [0, 0, 0.022]]  # fmt: skip
        tube(build, path, 0.022, material, "leg")


@construction("table")
def four_legged_table(rng: np.random.Generator, style: Style, width: float | None = None,
                      depth: float | None = None) -> Piece:  # fmt: skip
    """The plain dining table: four legs, an apron, a rectangular top."""
    wide, deep = wished(width, rng, 1.1, 2.0), wished(depth, rng, 0.75, 0.95)
    height, thick, build = rng.uniform(0.72, 0.77), rng.uniform(0.02, 0.045), SolidBuilder("dining table")
    top, shape, size = surface(rng, style), str(rng.choice(LEG_SHAPES)), rng.uniform(0.05, 0.085)
    legs = top if chance(rng, 0.5) else style.material(str(rng.choice(["wood", "painted", "metal"])), rng)
    flat_top(build, wide, deep, height, thick, top, float(rng.choice([0.005, 0.02, 0.08])))
    inset = size + rng.uniform(0.01, 0.1)
    four_legs(build, wide - inset, deep - inset, height - thick, size, legs, shape)
    if shape != "round" or chance(rng, 0.5):
        low = height - thick - rng.uniform(0.06, 0.11)
        apron(build, wide - inset, deep - inset, low, height - thick, 0.022, legs)
    return build.build()


@construction("table")
def pedestal_table(rng: np.random.Generator, style: Style, width: float | None = None,
                   depth: float | None = None) -> Piece:  # fmt: skip
    """A round or oval top on one foot; a ``depth`` other than the ``width`` makes it oval."""
    wide = wished(width, rng, 0.8, 1.3)
    deep = wide if depth is None else float(depth)
    height, thick, build = rng.uniform(0.72, 0.76), rng.uniform(0.018, 0.035), SolidBuilder("dining table")
    round_top(build, wide, deep, height, thick, surface(rng, style))
    legs = style.material(str(rng.choice(["wood", "metal", "painted"])), rng)
    pedestal(build, min(wide, deep) * rng.uniform(0.28, 0.38), height - thick, legs, rng)
    return build.build()


@construction("table")
def trestle_table(rng: np.random.Generator, style: Style, width: float | None = None,
                  depth: float | None = None) -> Piece:  # fmt: skip
    """A long top of planks on two trestles, of A's, T's or X's, with a beam between them."""
    wide, deep = wished(width, rng, 1.3, 2.1), wished(depth, rng, 0.78, 0.98)
    height, thick, build = rng.uniform(0.73, 0.77), rng.uniform(0.03, 0.05), SolidBuilder("table")
    wood, high, planks = style.material("wood", rng), 0.0, int(rng.integers(1, 6))
    high = height - thick
    for k in range(planks):
        y = -deep / 2 + (k + 0.5) * deep / planks
        build.box((0, y, height - thick / 2), (wide, deep / planks - 0.002, thick), wood, "top")
    build.support((0, 0, height), (wide - 0.01, deep - 0.01), 0.8)
    beam, kind, x = 0.0, str(rng.choice(["A", "T", "X"])), wide / 2 - rng.uniform(0.18, 0.3)
    for side in (-1, 1):
        s = side * x
        build.box((s, 0, high - 0.025), (0.07, deep - 0.12, 0.05), wood, "frame")
        if kind == "T":
            build.box((s, 0, 0.03), (0.08, deep - 0.16, 0.06), wood, "leg")
            build.box((s, 0, high / 2), (0.06, 0.14, high - 0.05), wood, "leg")
            beam = high * 0.45
        else:
            for sign in (-1, 1):
                near = sign * (0.06 if kind == "A" else -(deep / 2 - 0.12))
                lift = 0.0 if kind == "A" else sign * 0.021
                bar(
                    build,
                    (s + lift, sign * (deep / 2 - 0.1), 0),
                    (s + lift, near, high),
                    (0.04, 0.07),
                    wood,
                    "leg",
                    axis=2,
                )
            if kind == "A":
                build.box((s, 0, high * 0.3), (0.04, deep * 0.62, 0.06), wood, "stretcher")
            beam = high * (0.3 if kind == "A" else 0.5)
    bar(build, (-x, 0, beam), (x, 0, beam), (0.04, 0.09), wood, "stretcher")
    return build.build()


@construction("table")
def steel_frame_table(rng: np.random.Generator, style: Style, width: float | None = None,
                      depth: float | None = None) -> Piece:  # fmt: skip
    """A top on two closed frames of steel, as of canteens and meeting rooms."""
    wide, deep = wished(width, rng, 1.2, 2.0), wished(depth, rng, 0.7, 0.95)
    height, thick, build = rng.uniform(0.72, 0.76), rng.uniform(0.02, 0.05), SolidBuilder("table")
    flat_top(build, wide, deep, height, thick, surface(rng, style), 0.006)
    metal, square = style.material("metal", rng), chance(rng, 0.7)
    for side in (-1, 1):
        sled(build, side * (wide / 2 - rng.uniform(0.08, 0.2)), deep - 0.1, height - thick, metal, radius=0.025,
             square=square)  # fmt: skip
    for y in (-deep / 4, deep / 4):
        build.box((0, y, height - thick - 0.02), (wide - 0.2, 0.04, 0.04), metal, "frame")
    return build.build()


@construction("coffee_table")
def low_table(rng: np.random.Generator, style: Style, width: float | None = None,
              depth: float | None = None) -> Piece:  # fmt: skip
    """A low rectangular table, often with a shelf under it."""
    wide, deep = wished(width, rng, 0.8, 1.3), wished(depth, rng, 0.45, 0.7)
    height, thick, build = rng.uniform(0.36, 0.48), rng.uniform(0.02, 0.05), SolidBuilder("coffee table")
    top, size = surface(rng, style), rng.uniform(0.035, 0.07)
    legs = top if chance(rng, 0.5) else style.material(str(rng.choice(["wood", "metal"])), rng)
    flat_top(build, wide, deep, height, thick, top, float(rng.choice([0.005, 0.05, 0.12])))
    inset = size + 0.04
    shape = str(rng.choice(["square", "tapered", "round"]))
    upright = chance(rng, 0.6)
    four_legs(build, wide - inset, deep - inset, height - thick, size, legs, shape, splay=0.0 if upright else 0.04)
    if upright and chance(rng, 0.6):
        low = rng.uniform(0.1, 0.16)
        build.box((0, 0, low), (wide - inset, deep - inset, 0.018), top, "shelf")
        build.support((0, 0, low + 0.009), (wide - inset - 2 * size, deep - inset - 2 * size),
                      height - thick - low - 0.01)  # fmt: skip
    return build.build()


@construction("coffee_table")
def round_coffee_table(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A round or oval top on three or four splayed legs, on a drum, or on a ring of wire."""
    wide, height = wished(width, rng, 0.6, 1.0), rng.uniform(0.35, 0.46)
    deep, build, thick = wide * float(rng.choice([1.0, 1.0, 0.6])), SolidBuilder("coffee table"), 0.022
    round_top(build, wide, deep, height, thick, surface(rng, style))
    kind = str(rng.choice(["legs", "drum", "wire"]))
    legs = style.material(str(rng.choice(["wood", "metal"])), rng)
    if kind == "drum":
        build.prism(ellipse(wide * 0.8, deep * 0.8, 24), 0, height - thick, legs, "base")
        return build.build()
    count = int(rng.integers(3, 5)) if kind == "legs" else 10
    for angle in (np.arange(count) + 0.5) * 2 * np.pi / count:
        out = np.array([np.cos(angle) * wide, np.sin(angle) * deep]) / 2
        if kind == "legs":
            leg(
                build,
                (out[0] * 0.92, out[1] * 0.92),
                (out[0] * 0.68, out[1] * 0.68, height - thick),
                0.045,
                legs,
                "round",
            )
        else:
            tube(build, [(*(out * 0.62), 0.008), (*(out * 0.9), height - thick)], 0.005, legs, "leg", sides=6)
    if kind == "wire":
        build.prism(ellipse(wide * 0.64, deep * 0.64, 20), 0, 0.012, legs, "base")
    return build.build()


@construction("coffee_table")
def block_coffee_table(rng: np.random.Generator, style: Style, width: float | None = None,
                       depth: float | None = None) -> Piece:  # fmt: skip
    """Panels down to the floor at two sides, with a shelf or a drawer between them."""
    wide, deep = wished(width, rng, 0.7, 1.2), wished(depth, rng, 0.45, 0.8)
    height, thick, build = rng.uniform(0.33, 0.45), rng.uniform(0.025, 0.06), SolidBuilder("coffee table")
    body = surface(rng, style)
    flat_top(build, wide, deep, height, thick, body, 0.004)
    for side in (-1, 1):
        build.box((side * (wide / 2 - thick / 2), 0, (height - thick) / 2), (thick, deep, height - thick), body, "leg")
    inner, low = wide - 2 * thick, rng.uniform(0.06, 0.14)
    build.box((0, 0, low), (inner, deep - 0.02, 0.02), body, "shelf")
    if chance(rng, 0.4):
        front = style.material("wood", rng)
        build.board((-inner / 2 + 0.003, -deep / 2 + 0.012, low + 0.008), (inner / 2 - 0.003, deep / 2 - 0.012,
                    height - thick - 0.004), front, "drawer")  # fmt: skip
        tube(
            build,
            [
                (-0.08, -deep / 2 + 0.014, 0.22),
                (-0.08, -deep / 2 - 0.012, 0.22),
                (0.08, -deep / 2 - 0.012, 0.22),
                (0.08, -deep / 2 + 0.014, 0.22),
            ],
            0.005,
            style.material("metal", rng),
            "handle",
            sides=6,
        )
    else:
        build.support((0, 0, low + 0.01), (inner - 0.02, deep - 0.04), height - thick - low - 0.01)
    return build.build()


@construction("side_table")
def round_side_table(rng: np.random.Generator, style: Style) -> Piece:
    """A small round top on a pedestal or on three legs."""
    wide, height, build = rng.uniform(0.34, 0.52), rng.uniform(0.45, 0.62), SolidBuilder("end table")
    round_top(build, wide, wide, height, 0.02, surface(rng, style))
    legs = style.material(str(rng.choice(["wood", "metal", "painted"])), rng)
    if chance(rng, 0.5):
        pedestal(build, wide * 0.4, height - 0.02, legs, rng)
        return build.build()
    for angle in np.arange(3) * 2 * np.pi / 3 + 0.3:
        out = np.array([np.cos(angle), np.sin(angle)]) * wide / 2
        leg(build, (out[0] * 0.95, out[1] * 0.95), (out[0] * 0.6, out[1] * 0.6, height - 0.02), 0.035, legs, "round")
    return build.build()


@construction("side_table")
def square_side_table(rng: np.random.Generator, style: Style) -> Piece:
    """A small square table with a shelf or a drawer."""
    wide, deep, height = rng.uniform(0.38, 0.55), rng.uniform(0.36, 0.5), rng.uniform(0.45, 0.6)
    build, wood, size = SolidBuilder("end table"), surface(rng, style), rng.uniform(0.03, 0.045)
    flat_top(build, wide, deep, height, 0.022, wood)
    four_legs(
        build, wide - size - 0.01, deep - size - 0.01, height - 0.022, size, wood, str(rng.choice(LEG_SHAPES[:2]))
    )
    inner, across = wide - size - 0.01, deep - size - 0.01
    apron(build, inner, across, height - 0.13, height - 0.022, 0.016, wood)
    if chance(rng, 0.5):
        build.board(
            (-inner / 2 + size, -across / 2 - 0.02, height - 0.12),
            (inner / 2 - size, -across / 2, height - 0.03),
            wood,
            "drawer",
        )
        build.cushion(
            (0, -across / 2 - 0.03, height - 0.075),
            (0.026, 0.026, 0.026),
            style.material("metal", rng),
            "handle",
            roundness=1.0,
            steps=5,
        )
    if chance(rng, 0.6):
        low = rng.uniform(0.1, 0.2)
        build.box((0, 0, low), (inner, across, 0.016), wood, "shelf")
        build.support((0, 0, low + 0.008), (inner - 2 * size, across - 2 * size), height - 0.14 - low)
    return build.build()


@construction("side_table")
def c_table(rng: np.random.Generator, style: Style) -> Piece:
    """A top on one upright at its side, its foot reaching under the sofa."""
    wide, deep, height = rng.uniform(0.42, 0.52), rng.uniform(0.28, 0.38), rng.uniform(0.52, 0.64)
    build, metal, side = SolidBuilder("end table"), style.material("metal", rng), int(rng.choice([-1, 1]))
    flat_top(build, wide, deep, height, 0.02, surface(rng, style))
    x = side * (wide / 2 - 0.02)
    for y in (-deep / 2 + 0.03, deep / 2 - 0.03):
        path = [(-x, y, height - 0.03), (x, y, height - 0.03), (x, y, 0.0125), (-x, y, 0.0125)]
        for start, end in zip(path, path[1:], strict=False):
            bar(build, start, end, (0.025, 0.025), metal, "leg")
    bar(build, (x, -deep / 2 + 0.03, 0.0125), (x, deep / 2 - 0.03, 0.0125), (0.025, 0.025), metal, "leg")
    return build.build()


@construction("side_table")
def drum_side_table(rng: np.random.Generator, style: Style) -> Piece:
    """A drum of cloth or of woven basket with a tray on it."""
    wide, height, build = rng.uniform(0.36, 0.5), rng.uniform(0.4, 0.52), SolidBuilder("end table")
    body = style.material(str(rng.choice(["fabric", "wood", "metal"])), rng)
    r, belly = wide * 0.4, rng.uniform(1.0, 1.12)
    profile = [(0, 0), (r * 0.93, 0), (r, 0.06), (r * belly, 0.5), (r, 0.95), (r * 0.95, 1), (0, 1)]
    build.turned(profile, body, "base", end=(0, 0, height - 0.02), sides=24)
    tray = surface(rng, style)
    build.prism(ellipse(wide, wide, 24), height - 0.025, height, tray, "top")
    build.support((0, 0, height), (wide * 0.66, wide * 0.66), 0.8)
    return build.build()
