"""Appliances of kitchens and laundries: refrigerators, stoves, ovens, dishwashers, washing machines."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.casework import GAP, Joinery, carcass, doors, draw_joinery, drawers, feet
from sparse3d.rooms.furniture.grouping import build_group, material_of, maybe
from sparse3d.rooms.piece import Piece
from sparse3d.rooms.style import Style


def enamelled(rng: np.random.Generator, style: Style) -> Joinery:
    """Bodies of painted sheet, steel or plastic with plain fronts."""
    return draw_joinery(rng, style, kinds=("metal", "plastic", "painted", "ceramic"), fronts=("flat",),
                        handles=("bar", "edge"))  # fmt: skip


def long_grip(build: PieceBuilder, joinery: Joinery, start: tuple[float, float], end: tuple[float, float], y: float,
              out: float = 0.045) -> None:  # fmt: skip
    """A bar between two points (x, z) before the plane ``y``, on two posts."""
    a, b = np.array([start[0], y - out, start[1]]), np.array([end[0], y - out, end[1]])
    build.cylinder(a, b, 0.011, joinery.metal, "handle", 8)
    for share in (0.08, 0.92):
        post = a + (b - a) * share
        build.cylinder(post, post + [0, out, 0], 0.008, joinery.metal, "handle", 6, caps=False)


def cold_door(build: PieceBuilder, joinery: Joinery, x: tuple[float, float], z: tuple[float, float], side: int,
              thick: float = 0.055, grip: tuple[float, float] = (0.25, 0.75)) -> None:  # fmt: skip
    """A thick door on the plane y = 0; its grip at the side ``side`` (-1 left, 1 right) over the ``grip`` shares."""
    build.board((x[0] + GAP, -0.008, z[0] + 0.006), (x[1] - GAP, 0, z[1] - 0.006), joinery.pane, "seal")
    build.board((x[0] + GAP, -thick, z[0] + 0.003), (x[1] - GAP, -0.008, z[1] - 0.003), joinery.front, "door")
    at = x[0] + 0.045 if side < 0 else x[1] - 0.045
    z0, z1 = z[0] + (z[1] - z[0]) * grip[0], z[0] + (z[1] - z[0]) * grip[1]
    if joinery.handle_kind == "edge":
        build.board((at - 0.012, -thick - 0.014, z0), (at + 0.012, -thick, z1), joinery.metal, "handle")
    else:
        long_grip(build, joinery, (at, z0), (at, z1), -thick)


def _cold_body(build: PieceBuilder, joinery: Joinery, size: tuple[float, float, float], foot: float = 0.04) -> None:
    width, depth, height = size
    feet(build, "plinth", (0.01, 0.02), (width - 0.01, depth), foot, joinery.pane)
    carcass(build, (0, 0, foot), (width, depth, height), joinery)
    build.support((width / 2, depth / 2, height), (width - 0.06, depth - 0.06), 0.4)


@construction("refrigerator")
def one_door_refrigerator(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """One door, as high as a counter or as a person."""
    width, tall = width or float(rng.uniform(0.54, 0.62)), maybe(rng, 0.7)
    height = rng.uniform(1.4, 1.9) if tall else rng.uniform(0.84, 1.2)
    joinery, depth, side = enamelled(rng, style), rng.uniform(0.52, 0.6), -1 if maybe(rng) else 1
    build = PieceBuilder("refrigerator")
    _cold_body(build, joinery, (width, depth, height))
    grip = (0.3, 0.6) if tall else (0.5, 0.9)
    cold_door(build, joinery, (0, width), (0.04, height), side, grip=grip)
    return build.build()


@construction("refrigerator")
def two_door_refrigerator(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A freezer above or below, behind a door of its own."""
    width = width or float(rng.uniform(0.55, 0.75))
    height, depth, side = rng.uniform(1.55, 2.0), rng.uniform(0.55, 0.65), -1 if maybe(rng) else 1
    joinery, below = enamelled(rng, style), maybe(rng)
    split = height * (rng.uniform(0.32, 0.42) if below else rng.uniform(0.66, 0.76))
    build = PieceBuilder("refrigerator")
    _cold_body(build, joinery, (width, depth, height))
    lower, upper = (0.04, split), (split, height)
    cold_door(build, joinery, (0, width), lower, side, grip=(0.45, 0.93))
    cold_door(build, joinery, (0, width), upper, side, grip=(0.08, 0.5))
    return build.build()


@construction("refrigerator")
def side_by_side_refrigerator(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Two doors beside each other, at times with a dispenser, at times above a freezing drawer."""
    width = width or float(rng.uniform(0.85, 0.95))
    height, depth = rng.uniform(1.7, 1.85), rng.uniform(0.6, 0.7)
    joinery, french = enamelled(rng, style), maybe(rng, 0.4)
    build, foot = PieceBuilder("refrigerator"), 0.04
    _cold_body(build, joinery, (width, depth, height))
    split = width / 2 if french else width * rng.uniform(0.4, 0.48)
    if french:
        foot = rng.uniform(0.55, 0.7)
        build.board((GAP, -0.055, 0.043), (width - GAP, 0, foot - 0.003), joinery.front, "drawer")
        long_grip(build, joinery, (width * 0.12, foot - 0.06), (width * 0.88, foot - 0.06), -0.055)
    grip = (0.15, 0.85) if not french else (0.08, 0.7)
    cold_door(build, joinery, (0, split), (foot, height), 1, grip=grip)
    cold_door(build, joinery, (split, width), (foot, height), -1, grip=grip)
    if not french and maybe(rng):
        build.board((split * 0.2, -0.061, 0.95), (split * 0.7, -0.055, 1.3), joinery.pane, "dispenser")
        build.board((split * 0.25, -0.075, 0.95), (split * 0.65, -0.061, 0.965), joinery.metal, "dispenser")
    return build.build()


@construction("refrigerator")
def retro_refrigerator(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A round-shouldered body: its outline, seen from the front, has round upper corners; a latch handle."""
    width = width or float(rng.uniform(0.55, 0.65))
    height, depth, round_by = rng.uniform(1.2, 1.6), rng.uniform(0.5, 0.6), rng.uniform(0.08, 0.14)
    joinery = enamelled(rng, style)
    build, body = PieceBuilder("refrigerator"), joinery.front

    def slab(y0: float, y1: float, inset: float, z0: float, z1: float, part: str, shoulders: bool) -> None:
        turn = np.linspace(0, np.pi / 2, 6)
        a, r = width / 2 - inset, max(round_by - inset, 0.01) if shoulders else 0.012
        top = [(a - r + r * np.cos(t), z1 - inset - r + r * np.sin(t)) for t in turn]
        line = np.array([(-a, z0), (a, z0), *top, *[(-x, z) for x, z in top[::-1]]])
        front, back = (np.column_stack([line[:, 0], np.full(len(line), y), line[:, 1]]) for y in (y0, y1))
        u = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        build.strip(front, back, u, 0, y1 - y0, body, part)
        fan = np.array([(0, k, k + 1) for k in range(1, len(line) - 1)])
        for face in (front, back):
            build.triangles(face, fan, (line - line.min(axis=0))[fan], body, part)

    foot = 0.08
    slab(0, depth, 0, foot, height, "side", True)
    split = height * rng.uniform(0.62, 0.72) if maybe(rng) else None
    if split:
        slab(-0.06, 0, 0.012, split + 0.004, height, "door", True)
        slab(-0.06, 0, 0.012, foot + 0.01, split + 0.008, "door", False)
    else:
        slab(-0.06, 0, 0.012, foot + 0.01, height, "door", True)
    long_grip(build, joinery, (-width / 2 + 0.07, height * 0.5), (-width / 2 + 0.07, height * 0.5 + 0.16), -0.06)
    for x in (-width / 2 + 0.07, width / 2 - 0.07):
        for y in (0.05, depth - 0.05):
            build.cylinder((x, y, 0), (x, y, foot), (0.018, 0.025), joinery.metal, "leg", 10)
    build.support((0, depth / 2, height), (width - 2.2 * round_by, depth - 0.06), 0.4)
    return build.build()


@construction("refrigerator")
def mini_fridge(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Knee-high, with one door."""
    width = width or float(rng.uniform(0.42, 0.5))
    height, depth = rng.uniform(0.48, 0.85), rng.uniform(0.4, 0.5)
    joinery, build = enamelled(rng, style), PieceBuilder("mini fridge")
    _cold_body(build, joinery, (width, depth, height), foot=0.025)
    cold_door(build, joinery, (0, width), (0.025, height), -1 if maybe(rng) else 1, 0.04, (0.55, 0.9))
    return build.build()


def washer_front(build: PieceBuilder, rng: np.random.Generator, joinery: Joinery, x: tuple[float, float],
                 z: tuple[float, float]) -> None:  # fmt: skip
    """A round door with its bowl of glass, the soap drawer and a knob on the panel above, on the plane y = 0."""
    middle, low, high = (x[0] + x[1]) / 2, z[0], z[1]
    panel = high - rng.uniform(0.11, 0.15)
    build.board((x[0], -0.012, low), (x[1], 0, panel - 0.004), joinery.front, "front")
    build.board((x[0], -0.018, panel), (x[1], 0, high), joinery.body, "panel")
    r, at = rng.uniform(0.16, 0.19), (low + panel) / 2 + 0.02
    ring = [(r - 0.045, 0.55), (r - 0.03, 1.0), (r - 0.01, 0.9), (r, 0.0)]
    build.turned(ring, joinery.metal, "door", (middle, -0.012, at), (middle, -0.05, at), 24)
    build.turned([(0, 0.1), (r - 0.09, 0.25), (r - 0.045, 0.56)], joinery.pane, "pane", (middle, -0.012, at),
                 (middle, -0.05, at), 24)  # fmt: skip
    build.box((middle + r - 0.02, -0.052, at), (0.02, 0.012, 0.08), joinery.metal, "handle")
    wide = x[1] - x[0]
    build.board((x[0] + 0.03, -0.024, panel + 0.025), (x[0] + 0.03 + 0.25 * wide, -0.018, high - 0.02),
                joinery.body, "drawer")  # fmt: skip
    build.cylinder((middle, -0.018, (panel + high) / 2), (middle, -0.04, (panel + high) / 2), 0.025, joinery.metal,
                   "knob", 14)  # fmt: skip
    build.board((middle + 0.1, -0.022, panel + 0.04), (x[1] - 0.04, -0.018, high - 0.04), joinery.pane, "display")


@construction("washing_machine")
def front_loader(rng: np.random.Generator, style: Style) -> Piece:
    """A round door of glass in the front."""
    joinery, build = enamelled(rng, style), PieceBuilder("washing machine")
    width, depth, height = rng.uniform(0.58, 0.62), rng.uniform(0.45, 0.62), rng.uniform(0.82, 0.88)
    feet(build, "plinth", (0.02, 0), (width - 0.02, depth), 0.03, joinery.pane)
    carcass(build, (0, 0, 0.03), (width, depth, height - 0.022), joinery)
    build.board((-0.002, -0.012, height - 0.022), (width + 0.002, depth, height), joinery.body, "top")
    washer_front(build, rng, joinery, (0, width), (0.03, height - 0.024))
    build.support((width / 2, depth / 2, height), (width - 0.06, depth - 0.06))
    return build.build()


@construction("washing_machine")
def top_loader(rng: np.random.Generator, style: Style) -> Piece:
    """A lid in the top before a slanting panel of knobs."""
    joinery, build = enamelled(rng, style), PieceBuilder("washing machine")
    width, depth, height = rng.uniform(0.45, 0.68), rng.uniform(0.55, 0.66), rng.uniform(0.85, 0.95)
    feet(build, "block", (0, 0), (width, depth), 0.03, joinery.pane)
    carcass(build, (0, 0, 0.03), (width, depth, height), joinery)
    build.board((0.004, -0.01, 0.06), (width - 0.004, 0, height - 0.02), joinery.front, "front")
    lid = depth * rng.uniform(0.62, 0.7)
    build.board((0.04, 0.03, height), (width - 0.04, lid, height + 0.018), material_of(rng, style, "glass", "metal"),
                "lid")  # fmt: skip
    build.box((width / 2, 0.022, height + 0.01), (0.14, 0.016, 0.014), joinery.metal, "handle")
    build.board((0, depth - 0.05, height), (width, depth, height + 0.14), joinery.body, "panel")
    build.box((width / 2, depth - 0.072, height + 0.06), (width, 0.012, 0.13), joinery.body, "panel", tilt=-0.35)
    for x in np.linspace(0.1, width - 0.1, int(rng.integers(2, 5))):
        build.cylinder((x, depth - 0.07, height + 0.07), (x, depth - 0.1, height + 0.08), 0.02, joinery.metal,
                       "knob", 10)  # fmt: skip
    return build.build()


@construction("washing_machine")
def stacked_washer(rng: np.random.Generator, style: Style) -> Piece:
    """A washer with a dryer of the same make on it."""
    joinery, build = enamelled(rng, style), PieceBuilder("washing machine")
    width, depth, height = rng.uniform(0.58, 0.66), rng.uniform(0.55, 0.65), rng.uniform(0.82, 0.88)
    for low in (0.0, height):
        feet_low = low + 0.02
        build.board((0.02, 0.02, low), (width - 0.02, depth - 0.02, feet_low), joinery.pane, "base")
        carcass(build, (0, 0, feet_low), (width, depth, low + height), joinery)
        washer_front(build, rng, joinery, (0, width), (feet_low, low + height - 0.002))
    build.support((width / 2, depth / 2, 2 * height), (width - 0.06, depth - 0.06), 0.4)
    return build.build()


def oven_front(build: PieceBuilder, rng: np.random.Generator, joinery: Joinery, x: tuple[float, float],
               z: tuple[float, float], y: float, knobs: int) -> None:  # fmt: skip
    """A panel with ``knobs`` knobs above an oven's door with its window and grip, on the plane ``y``."""
    panel = z[1] - 0.09
    build.board((x[0], y - 0.02, panel), (x[1], y, z[1]), joinery.body, "panel")
    for k in range(knobs):
        at = x[0] + (x[1] - x[0]) * (k + 1) / (knobs + 1)
        build.cylinder((at, y - 0.02, panel + 0.045), (at, y - 0.045, panel + 0.045), (0.02, 0.016), joinery.metal,
                       "knob", 10)  # fmt: skip
    door = z[0] + (0.16 if z[1] - z[0] > 0.65 else 0.0)
    if door > z[0]:
        build.board((x[0] + GAP, y - 0.02, z[0]), (x[1] - GAP, y, door - 0.003), joinery.front, "drawer")
    build.board((x[0] + GAP, y - 0.03, door), (x[1] - GAP, y, panel - 0.004), joinery.front, "door")
    build.board((x[0] + 0.07, y - 0.033, door + 0.07), (x[1] - 0.07, y - 0.03, panel - 0.11), joinery.pane, "pane")
    long_grip(build, joinery, (x[0] + 0.05, panel - 0.055), (x[1] - 0.05, panel - 0.055), y - 0.03)


def cooktop(build: PieceBuilder, rng: np.random.Generator, joinery: Joinery, center: tuple[float, float, float],
            size: tuple[float, float], gas: bool) -> None:  # fmt: skip
    """A plate with four fields: rings on glass, or gas burners under cast grates."""
    x, y, z = center
    build.board((x - size[0] / 2, y - size[1] / 2, z), (x + size[0] / 2, y + size[1] / 2, z + 0.006), joinery.pane,
                "top")  # fmt: skip
    for sx in (-1, 1):
        for sy in (-1, 1):
            at = np.array([x + sx * size[0] * 0.24, y + sy * size[1] * 0.24, z + 0.006])
            r = float(rng.uniform(0.065, 0.1))
            if not gas:
                build.cylinder(at, at + [0, 0, 0.002], r, joinery.metal, "burner", 18)
                continue
            build.cylinder(at, at + [0, 0, 0.02], (0.04, 0.03), joinery.metal, "burner", 12)
            for turn in (0.0, np.pi / 2):
                build.box(at + [0, 0, 0.025], (0.2, 0.012, 0.01), joinery.metal, "grate", yaw=turn)
                for end in (-0.09, 0.09):
                    leg = at + np.array([np.cos(turn) * end, np.sin(turn) * end, 0.01])
                    build.box(leg, (0.012, 0.012, 0.02), joinery.metal, "grate")


def cooker(build: PieceBuilder, rng: np.random.Generator, joinery: Joinery, x: tuple[float, float],
           y: tuple[float, float], height: float, gas: bool, back: float = 0.0) -> None:  # fmt: skip
    """A stove with an oven from the floor to its cooktop at ``height``; ``back``: a panel behind that stands higher."""
    feet(build, "plinth", (x[0], y[0]), (x[1], y[1]), 0.06, joinery.pane)
    carcass(build, (x[0], y[0], 0.06), (x[1], y[1], height - 0.006), joinery)
    middle = ((x[0] + x[1]) / 2, (y[0] + y[1]) / 2, height - 0.006)
    cooktop(build, rng, joinery, middle, (x[1] - x[0], y[1] - y[0]), gas)
    oven_front(build, rng, joinery, x, (0.06, height - 0.008), y[0], int(rng.integers(4, 7)))
    if back:
        build.board((x[0], y[1] - 0.03, height), (x[1], y[1], height + back), joinery.body, "back")
        build.board((x[0] + 0.2, y[1] - 0.034, height + 0.3 * back), (x[1] - 0.2, y[1] - 0.03, height + 0.8 * back),
                    joinery.pane, "display")  # fmt: skip


@construction("stove")
def electric_stove(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A cooktop of glass over an oven, at times with a panel behind."""
    width, depth, height = width or float(rng.uniform(0.5, 0.62)), rng.uniform(0.58, 0.65), rng.uniform(0.86, 0.92)
    build = PieceBuilder("stove")
    cooker(build, rng, enamelled(rng, style), (0, width), (0, depth), height, False, 0.14 if maybe(rng) else 0.0)
    return build.build()


@construction("stove")
def gas_stove(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Gas burners under grates, over an oven."""
    width, depth, height = width or float(rng.uniform(0.5, 0.8)), rng.uniform(0.58, 0.65), rng.uniform(0.86, 0.92)
    build = PieceBuilder("stove")
    cooker(build, rng, enamelled(rng, style), (0, width), (0, depth), height, True, 0.1 if maybe(rng, 0.3) else 0.0)
    return build.build()


@construction("stove")
def iron_stove(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A broad stove of cast iron on legs, with two ovens, a rail along its front and an upstand."""
    width, depth, height = width or float(rng.uniform(0.85, 1.1)), rng.uniform(0.58, 0.65), rng.uniform(0.88, 0.93)
    joinery, build = enamelled(rng, style), PieceBuilder("stove")
    feet(build, "block", (0, 0), (width, depth), 0.1, joinery.metal)
    carcass(build, (0, 0, 0.1), (width, depth, height - 0.006), joinery)
    cooktop(build, rng, joinery, (width / 2, depth / 2, height - 0.006), (width, depth), maybe(rng))
    split = width * rng.uniform(0.5, 0.62)
    oven_front(build, rng, joinery, (0, split), (0.1, height - 0.008), 0, 3)
    oven_front(build, rng, joinery, (split, width), (0.1, height - 0.008), 0, 3)
    build.board((0, depth - 0.02, height), (width, depth, height + 0.08), joinery.metal, "back")
    return build.build()


@construction("oven")
def tall_oven_unit(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """An oven at breast height in a tall kitchen cabinet. A group: "kitchen cabinet", "oven"."""

    width, depth, height = width or 0.6, 0.6, rng.uniform(2.0, 2.2)
    joinery, steel = draw_joinery(rng, style), enamelled(rng, style)
    cabinet, oven = PieceBuilder("kitchen cabinet"), PieceBuilder("oven")
    feet(cabinet, "plinth", (0, 0), (width, depth), 0.1, joinery.body)
    low, high = carcass(cabinet, (0, 0, 0.1), (width, depth, height), joinery)
    z0 = rng.uniform(0.6, 0.8)
    z1, t = z0 + rng.uniform(0.45, 0.6), joinery.board
    for z in (z0 - t, z1):
        cabinet.board((low[0], low[1], z), (high[0], high[1], z + t), joinery.body, "shelf")
    drawers(cabinet, joinery, (0, 0.1), (width, z0), 0, [1.3, 1])
    doors(cabinet, joinery, (0, z1), (width, height), 0, 1, grip=0.1)
    cabinet.support((width / 2, depth / 2, height), (width - 0.06, depth - 0.06), 0.2)
    inner = (low[0] + 0.001, high[0] - 0.001)
    carcass(oven, (inner[0], 0.001, z0), (inner[1], depth - 0.06, z1 - 0.001), steel)
    oven_front(oven, rng, steel, inner, (z0 + 0.002, z1 - 0.002), 0.001, 2)
    return build_group(cabinet, oven)


def dishwasher_front(build: PieceBuilder, joinery: Joinery, x: tuple[float, float], z: tuple[float, float],
                     y: float) -> None:  # fmt: skip
    """A flap over the whole front with its grip and a strip of buttons."""
    build.board((x[0] + GAP, y - 0.025, z[0]), (x[1] - GAP, y, z[1] - 0.1), joinery.front, "door")
    build.board((x[0] + GAP, y - 0.03, z[1] - 0.097), (x[1] - GAP, y, z[1]), joinery.body, "panel")
    build.board((x[1] - 0.2, y - 0.033, z[1] - 0.06), (x[1] - 0.05, y - 0.03, z[1] - 0.035), joinery.pane, "display")
    long_grip(build, joinery, (x[0] + 0.08, z[1] - 0.14), (x[1] - 0.08, z[1] - 0.14), y - 0.025)


@construction("dishwasher")
def dishwasher(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Free-standing, under its own top."""
    width, depth, height = width or float(rng.choice([0.45, 0.6])), rng.uniform(0.56, 0.6), rng.uniform(0.82, 0.87)
    joinery, build = enamelled(rng, style), PieceBuilder("dishwasher")
    feet(build, "plinth", (0, 0), (width, depth), 0.1, joinery.pane)
    carcass(build, (0, 0, 0.1), (width, depth, height - 0.025), joinery)
    build.board((0, -0.03, height - 0.025), (width, depth, height), joinery.body, "top")
    dishwasher_front(build, joinery, (0, width), (0.1, height - 0.027), 0)
    build.support((width / 2, depth / 2, height), (width - 0.06, depth - 0.06))
    return build.build()
