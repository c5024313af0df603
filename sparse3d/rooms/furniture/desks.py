"""Desks of homes, offices and classrooms. Their user sits at -y."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.bases import apron, chance, four_legs, knob_or_pull, sled, wished
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.solids import SolidBuilder, bar, rounded_board, tube
from sparse3d.rooms.style import Style


def _board_material(rng: np.random.Generator, style: Style) -> Material:
    return style.material(str(rng.choice(["wood", "wood", "painted", "plastic"])), rng)


def _top(build: PieceBuilder, wide: float, deep: float, height: float, thick: float, material: Material,
         free: float | None = None) -> None:  # fmt: skip
    """The top around the origin; ``free`` metres from its front edge are to put things on, else all of it."""
    rounded_board(build, (0, 0, height - thick / 2), (wide, deep, thick), 0.008, material, "top")
    free = deep if free is None else free
    build.support((0, (free - deep) / 2, height), (wide - 0.03, free - 0.03), 0.8)


def drawers(build: PieceBuilder, x: float, wide: float, front: float, back: float, low: float, high: float, count: int,
            body: Material, face: Material, pull: Material, shape: str) -> None:  # fmt: skip
    """A block of drawers around ``x``, from depth ``front`` to ``back``: a case, fronts before it, handles."""
    build.board((x - wide / 2, front + 0.018, low), (x + wide / 2, back, high), body, "side")
    tall = (high - low) / count
    for k in range(count):
        z = low + (k + 0.5) * tall
        build.box((x, front + 0.009, z), (wide - 0.006, 0.018, tall - 0.006), face, "drawer")
        knob_or_pull(build, x, front, z + tall * 0.15, shape, pull)


def _legs(build: PieceBuilder, wide: float, deep: float, high: float, rng: np.random.Generator, wood: Material,
          metal: Material) -> None:  # fmt: skip
    """One of a desk's common stands: wooden legs, steel frames, or T-feet with a column each."""
    kind = str(rng.choice(["legs", "frames", "columns"]))
    if kind == "legs":
        four_legs(build, wide - 0.1, deep - 0.1, high, 0.05, wood, str(rng.choice(["square", "tapered", "round"])))
        apron(build, wide - 0.1, deep - 0.1, high - 0.07, high, 0.02, wood)
        return
    x = wide / 2 - (0.06 if kind == "frames" else 0.2)
    for side in (-1, 1):
        if kind == "frames":
            sled(build, side * x, deep - 0.1, high, metal, radius=0.02, square=True)
        else:
            build.box((side * x, 0, 0.0175), (0.07, deep - 0.08, 0.035), metal, "leg")
            build.box((side * x, 0, high / 2), (0.08, 0.06, high - 0.03), metal, "leg")
            build.box((side * x, 0, high - 0.015), (0.05, deep - 0.2, 0.03), metal, "frame")
    build.box((0, 0.1 if kind == "frames" else 0.0, high - 0.02), (2 * x, 0.05, 0.04), metal, "frame")
    if kind == "frames":
        for y in (-deep / 2 + 0.05, deep / 2 - 0.05):
            build.box((0, y, high - 0.02), (2 * x, 0.04, 0.04), metal, "frame")


@construction("desk")
def plain_desk(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A top on legs, frames or columns; sometimes with flat drawers under it."""
    wide, deep, height = wished(width, rng, 1.0, 1.7), rng.uniform(0.58, 0.8), rng.uniform(0.71, 0.77)
    build, thick, wood = SolidBuilder("desk"), rng.uniform(0.02, 0.035), _board_material(rng, style)
    metal = style.material("metal", rng)
    _top(build, wide, deep, height, thick, wood)
    _legs(build, wide, deep, height - thick, rng, wood, metal)
    if chance(rng, 0.4):
        high, count = height - thick, int(rng.integers(1, 4))
        each = (wide - 0.22) / count
        for k in range(count):
            drawers(build, (k - (count - 1) / 2) * each, each - 0.01, -deep / 2 + 0.02, deep / 2 - 0.12, high - 0.1,
                    high, 1, wood, wood, metal, "knob")  # fmt: skip
    return build.build()


@construction("desk")
def pedestal_desk(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A block of drawers at one end or at both, a panel or legs at the other, a modesty panel."""
    wide, deep, height = wished(width, rng, 1.1, 1.8), rng.uniform(0.6, 0.8), rng.uniform(0.72, 0.77)
    build, thick, body = SolidBuilder("desk"), rng.uniform(0.02, 0.04), _board_material(rng, style)
    face = body if chance(rng, 0.6) else _board_material(rng, style)
    metal, shape, block = style.material("metal", rng), str(rng.choice(["knob", "bar", "cup"])), rng.uniform(0.34, 0.42)
    _top(build, wide, deep, height, thick, body)
    high, both, side = height - thick, wide > 1.35 and chance(rng, 0.4), int(rng.choice([-1, 1]))
    for s in (side, -side):
        x = s * (wide / 2 - 0.02 - block / 2)
        if s == side or both:
            drawers(build, x, block, -deep / 2 + 0.02, deep / 2 - 0.02, 0.04, high, int(rng.integers(2, 5)), body, face,
                    metal, shape)  # fmt: skip
            build.board(
                (x - block / 2 + 0.02, -deep / 2 + 0.06, 0),
                (x + block / 2 - 0.02, deep / 2 - 0.04, 0.045),
                body,
                "base",
            )
        else:
            build.box((s * (wide / 2 - 0.03), 0, high / 2), (0.03, deep - 0.04, high), body, "leg")
    low = rng.uniform(0.2, 0.45)
    build.board((-wide / 2 + 0.03, deep / 2 - 0.08, low), (wide / 2 - 0.03, deep / 2 - 0.06, high), body, "panel")
    return build.build()


@construction("desk")
def hutch_desk(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Panel sides, and a rack of shelves standing on the back of the top."""
    wide, deep, height = wished(width, rng, 1.0, 1.5), rng.uniform(0.6, 0.72), rng.uniform(0.72, 0.76)
    build, thick, body = SolidBuilder("desk"), 0.024, _board_material(rng, style)
    rack, high, levels = rng.uniform(0.2, 0.26), rng.uniform(0.45, 0.75), int(rng.integers(1, 3))
    _top(build, wide, deep, height, thick, body, free=deep - rack)
    for side in (-1, 1):
        x = side * (wide / 2 - 0.012)
        build.box((x, 0, (height - thick) / 2), (0.024, deep - 0.02, height - thick), body, "side")
        build.box((x, deep / 2 - rack / 2, height + high / 2), (0.02, rack, high), body, "side")
    build.board(
        (-wide / 2 + 0.02, deep / 2 - 0.05, 0.3), (wide / 2 - 0.02, deep / 2 - 0.03, height - thick), body, "panel"
    )
    step = high / (levels + 1)
    gap = step - 0.02
    bays = [(-wide / 2 + 0.04, wide / 2 - 0.04)]
    if chance(rng, 0.5):
        x = rng.uniform(-0.1, 0.1) * wide
        low, top = (x - 0.01, deep / 2 - rack + 0.01, height), (x + 0.01, deep / 2 - 0.004, height + high - 0.02)
        build.board(low, top, body, "side")
        bays = [(-wide / 2 + 0.04, x - 0.02), (x + 0.02, wide / 2 - 0.04)]
    for k in range(levels + 2):
        z, last = height + k * step, k == levels + 1
        if k:
            build.board((-wide / 2 + 0.012, deep / 2 - rack, z - 0.02), (wide / 2 - 0.012, deep / 2, z), body, "shelf")
        for x0, x1 in [(-wide / 2 + 0.02, wide / 2 - 0.02)] if last else bays:
            build.support(((x0 + x1) / 2, deep / 2 - rack / 2, z), (x1 - x0, rack - 0.03), 0.4 if last else gap)
    if chance(rng, 0.6):
        low, top = (-wide / 2 + 0.01, deep / 2 - 0.006, height), (wide / 2 - 0.01, deep / 2, height + high)
        build.board(low, top, body, "back")
    return build.build()


@construction("desk")
def corner_desk(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """An L: a top with a wing that comes forward at its left or at its right."""
    wide, deep, height = wished(width, rng, 1.4, 1.9), rng.uniform(0.55, 0.68), rng.uniform(0.72, 0.76)
    side, wing, across = int(rng.choice([-1, 1])), rng.uniform(0.45, 0.8), rng.uniform(0.45, 0.6)
    build, wood, metal = SolidBuilder("desk"), _board_material(rng, style), style.material("metal", rng)
    thick, x, x_in = 0.026, side * wide / 2, side * (wide / 2 - across)
    _top(build, wide, deep, height, thick, wood)
    low, high = sorted((x, x_in))
    build.board((low, -deep / 2 - wing, height - thick), (high, -deep / 2, height), wood, "top")
    build.support(((low + high) / 2, -deep / 2 - wing / 2, height), (across - 0.03, wing - 0.03), 0.8)
    feet = [
        (-x + side * 0.05, -deep / 2 + 0.05),
        (-x + side * 0.05, deep / 2 - 0.05),
        (x - side * 0.05, deep / 2 - 0.05),
        (x - side * 0.05, -deep / 2 - wing + 0.05),
        (x_in + side * 0.05, -deep / 2 - wing + 0.05),
    ]
    for foot in feet:
        bar(build, (*foot, 0), (*foot, height - thick), (0.045, 0.045), metal, "leg")
    if chance(rng, 0.6):
        drawers(build, (x + x_in) / 2, across - 0.1, -deep / 2 - wing + 0.09, -deep / 2, 0.1, height - thick, 3, wood,
                wood, metal, "bar")  # fmt: skip
    build.board(
        (-wide / 2 + 0.05, deep / 2 - 0.06, 0.35), (wide / 2 - 0.05, deep / 2 - 0.04, height - thick), wood, "panel"
    )
    return build.build()


@construction("school_desk")
def steel_school_desk(rng: np.random.Generator, style: Style) -> Piece:
    """A single or double pupils' desk: a thin top on a frame of tube, a rack or hooks under it."""
    wide, deep = float(rng.choice([0.65, 0.7, 1.2, 1.3])), rng.uniform(0.48, 0.56)
    height, thick, build = rng.uniform(0.68, 0.76), 0.02, SolidBuilder("desk")
    top, metal = style.material(str(rng.choice(["wood", "plastic"])), rng), style.material("metal", rng)
    _top(build, wide, deep, height, thick, top)
    high, x = height - thick, wide / 2 - 0.06
    kind = str(rng.choice(["legs", "sled", "column"]))
    for side in (-1, 1):
        if kind == "sled":
            sled(build, side * x, deep - 0.08, high, metal, radius=0.014)
        elif kind == "legs":
            for y in (-deep / 2 + 0.05, deep / 2 - 0.05):
                tube(build, [(side * x, y, 0), (side * x, y, high)], 0.015, metal, "leg")
        else:
            tube(build, [(side * x, -deep / 2 + 0.02, 0.016), (side * x, deep / 2 - 0.02, 0.016)], 0.016, metal, "leg")
            tube(build, [(side * x, 0.03, 0.016), (side * x, 0.03, high)], 0.02, metal, "leg")
        build.box((side * x, 0, high - 0.012), (0.03, deep - 0.07, 0.024), metal, "frame")
    for y in (-deep / 2 + 0.05, deep / 2 - 0.05):
        build.box((0, y, high - 0.012), (2 * x, 0.025, 0.024), metal, "frame")
    if kind == "column":
        build.box((0, 0.03, 0.25), (2 * x, 0.03, 0.05), metal, "frame")
    if chance(rng, 0.6):
        z = high - 0.13
        build.board((-x + 0.03, -deep / 2 + 0.06, z), (x - 0.03, deep / 2 - 0.08, z + 0.006), metal, "shelf")
        build.board((-x, deep / 2 - 0.086, z), (x, deep / 2 - 0.08, high - 0.005), metal, "panel")
        for side in (-1, 1):
            build.board((side * (x - 0.03) - 0.002, -deep / 2 + 0.06, z), (side * (x - 0.03) + 0.002, deep / 2 - 0.08,
                        high), metal, "side")  # fmt: skip
    return build.build()


@construction("school_desk")
def wooden_school_desk(rng: np.random.Generator, style: Style) -> Piece:
    """A single or double desk of wood: a box for books under the top, plank or square legs."""
    wide, deep = float(rng.choice([0.6, 0.7, 1.2])), rng.uniform(0.45, 0.55)
    height, wood, build = rng.uniform(0.66, 0.75), style.material("wood", rng), SolidBuilder("desk")
    _top(build, wide, deep, height, 0.024, wood)
    high, box = height - 0.024, rng.uniform(0.1, 0.14)
    build.board(
        (-wide / 2 + 0.05, -deep / 2 + 0.04, high - box),
        (wide / 2 - 0.05, deep / 2 - 0.04, high - box + 0.012),
        wood,
        "shelf",
    )
    build.board(
        (-wide / 2 + 0.05, deep / 2 - 0.056, high - box), (wide / 2 - 0.05, deep / 2 - 0.04, high), wood, "panel"
    )
    for side in (-1, 1):
        build.board((side * (wide / 2 - 0.05) - 0.009, -deep / 2 + 0.04, high - box),
                    (side * (wide / 2 - 0.05) + 0.009, deep / 2 - 0.04, high), wood, "side")  # fmt: skip
    if chance(rng, 0.5):
        four_legs(build, wide - 0.1, deep - 0.1, high, 0.045, wood, "square")
        for side in (-1, 1):
            build.box((side * (wide / 2 - 0.05), 0, 0.15), (0.025, deep - 0.1, 0.04), wood, "stretcher")
    else:
        for side in (-1, 1):
            build.box((side * (wide / 2 - 0.05), 0, high / 2), (0.025, 0.24, high), wood, "leg")
            build.box((side * (wide / 2 - 0.05), 0, 0.02), (0.05, deep - 0.04, 0.04), wood, "leg")
    build.box((0, 0.02, 0.15), (wide - 0.1, 0.02, 0.06), wood, "stretcher")
    return build.build()


@construction("school_desk")
def table_arm_desk(rng: np.random.Generator, style: Style) -> Piece:
    """A trapezoid top of plastic on four splayed steel legs, as is pushed together for groups."""
    wide, deep, height = rng.uniform(0.7, 0.9), rng.uniform(0.48, 0.56), rng.uniform(0.68, 0.76)
    build, top, metal = SolidBuilder("desk"), style.material(str(rng.choice(["plastic", "wood"])), rng), None
    metal = style.material("metal", rng)
    short = wide * rng.uniform(0.62, 0.9)
    outline = np.array([[-wide / 2, -deep / 2], [wide / 2, -deep / 2], [short / 2, deep / 2], [-short / 2, deep / 2]])
    build.prism(outline, height - 0.022, height, top, "top")
    build.support((0, 0, height), (short - 0.04, deep - 0.04), 0.8)
    heads = [(x * 0.84, y * 0.8, height - 0.022 - 0.013) for x, y in outline]
    for (x, y), head in zip(outline * 0.96, heads, strict=True):
        tube(build, [(x, y, 0), head], 0.014, metal, "leg")
    tube(build, heads, 0.013, metal, "frame", closed=True)
    return build.build()


@construction("teacher_desk")
def teacher_desk(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A heavy desk with drawers whose modesty panel, at the back, hides the legs from the class."""
    wide, deep, height = wished(width, rng, 1.3, 1.8), rng.uniform(0.68, 0.8), rng.uniform(0.74, 0.78)
    build, wood, metal = SolidBuilder("desk"), _board_material(rng, style), style.material("metal", rng)
    _top(build, wide, deep, height, 0.03, wood)
    high, block, side = height - 0.03, rng.uniform(0.36, 0.44), int(rng.choice([-1, 1]))
    steel = chance(rng, 0.4)
    stand = metal if steel else wood
    if steel:
        four_legs(build, wide - 0.08, deep - 0.08, high, 0.045, stand, "square")
        apron(build, wide - 0.08, deep - 0.08, high - 0.05, high, 0.03, stand)
    else:
        for s in (-1, 1):
            build.box((s * (wide / 2 - 0.03), 0, high / 2), (0.03, deep - 0.04, high), stand, "side")
    low = 0.25 if steel else 0.04
    x = side * (wide / 2 - 0.07 - block / 2)
    drawers(
        build,
        x,
        block,
        -deep / 2 + 0.03,
        deep / 2 - 0.1,
        low,
        high,
        3,
        wood,
        wood,
        metal,
        str(rng.choice(["bar", "cup"])),
    )
    if chance(rng, 0.4):
        drawers(
            build,
            0.0 - side * 0.12,
            wide - block - 0.55,
            -deep / 2 + 0.03,
            deep / 2 - 0.12,
            high - 0.1,
            high,
            1,
            wood,
            wood,
            metal,
            "bar",
        )
    build.board(
        (-wide / 2 + 0.04, deep / 2 - 0.07, rng.uniform(0.08, 0.3)),
        (wide / 2 - 0.04, deep / 2 - 0.05, high),
        wood,
        "panel",
    )
    return build.build()
