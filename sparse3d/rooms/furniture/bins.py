"""Trash cans, laundry hampers and toilet paper."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.grouping import material_of, maybe
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style
from sparse3d.rooms.vessels import Ring, loft, tub, tube


@construction("trash_can")
def open_bin(rng: np.random.Generator, style: Style) -> Piece:
    """Round or square, narrower below, open; at times with a bag turned over its rim."""
    a, height = rng.uniform(0.11, 0.17), rng.uniform(0.26, 0.42)
    b = a * (1.0 if maybe(rng) else rng.uniform(0.65, 0.9))
    wall, power = material_of(rng, style, "plastic", "metal", "wood", "leather"), float(rng.choice([0.2, 0.35, 1.0]))
    build, taper = PieceBuilder("trash can"), rng.uniform(0.0, 0.03)
    tub(build, (2 * a, 2 * b, height), height - 0.02, wall, power, 0.006, taper)
    if maybe(rng, 0.4):
        bag = style.material("plastic", rng)
        skirt = [
            Ring(height - 0.09, (a + 0.004, b + 0.004), power=power),
            Ring(height + 0.003, (a + 0.006, b + 0.006), power=power),
            Ring(height + 0.003, (a - 0.009, b - 0.009), power=power),
            Ring(height - 0.15, (a * 0.8, b * 0.8), power=power),
        ]
        loft(build, skirt, bag, "bag")
    return build.build()


@construction("trash_can")
def pedal_bin(rng: np.random.Generator, style: Style) -> Piece:
    """A can with a domed lid and a pedal in front."""
    r, height = rng.uniform(0.1, 0.16), rng.uniform(0.27, 0.65)
    wall, dark = material_of(rng, style, "metal", "plastic", "painted"), material_of(rng, style, "plastic", "rubber")
    power, build = float(rng.choice([0.3, 1.0, 1.0])), PieceBuilder("trash can")
    body = [Ring(0.025, (0, 0)), Ring(0.025, (r, r), power=power), Ring(height, (r, r), power=power)]
    loft(build, body, wall, "side")
    loft(
        build,
        [
            Ring(0, (0, 0)),
            Ring(0, (r + 0.006, r + 0.006), power=power),
            Ring(0.03, (r + 0.006, r + 0.006), power=power),
            Ring(0.03, (r - 0.002, r - 0.002), power=power),
        ],
        dark,
        "base",
    )
    lid = [(0.0, 1.03), (0.02, 1.03), (0.035, 0.92), (0.055, 0.6), (0.06, 0.0)]
    tilt = -float(rng.uniform(1.1, 1.5)) if maybe(rng, 0.15) else 0.0
    loft(build, [Ring(height, (0, 0)), *[Ring(height + z, (r * s, r * s), power=power) for z, s in lid]], wall, "lid",
         tilt=tilt, pivot=(0, r, height))  # fmt: skip
    if tilt:
        loft(build, [Ring(height, (r - 0.006, r - 0.006), power=power), Ring(0.05, (r - 0.01, r - 0.01), power=power),
                     Ring(0.05, (0, 0))], dark, "bag")  # fmt: skip
    build.board((-0.04, -r - 0.05, 0.012), (0.04, -r * 0.9, 0.022), dark, "pedal")
    build.box((0, r + 0.006, height - 0.01), (0.07, 0.025, 0.05), dark, "hinge")
    return build.build()


@construction("trash_can")
def swing_bin(rng: np.random.Generator, style: Style) -> Piece:
    """A tall box with a roof-shaped top and a flap in it, or a roller bin with wheels and a handle."""
    a, b, height = rng.uniform(0.12, 0.22), rng.uniform(0.1, 0.18), rng.uniform(0.4, 0.75)
    wall, top = style.material("plastic", rng), style.material("plastic", rng)
    build, power, taper = PieceBuilder("trash can"), 0.2, rng.uniform(0.01, 0.03)
    loft(
        build,
        [Ring(0, (0, 0)), Ring(0, (a - taper, b - taper), power=power), Ring(height, (a, b), power=power)],
        wall,
        "side",
    )
    rise = rng.uniform(0.08, 0.14)
    loft(
        build,
        [
            Ring(height - 0.02, (a + 0.006, b + 0.006), power=power),
            Ring(height + 0.01, (a + 0.006, b + 0.006), power=power),
            Ring(height + rise, (a * 0.85, b * 0.3), power=power),
            Ring(height + rise, (0, 0)),
        ],
        top,
        "lid",
    )
    slope = np.arctan2(rise - 0.01, b * 0.7)
    build.box((0, -b * 0.66, height + rise * 0.55), (a * 1.2, np.hypot(rise, b * 0.7) * 0.7, 0.012), wall, "flap",
              tilt=slope)  # fmt: skip
    return build.build()


def _lattice(
    build: PieceBuilder,
    material: Material,
    low: tuple[float, float],
    high: tuple[float, float],
    height: float,
    count: int,
    bar: float,
    part: str,
    power: float,
) -> None:
    """Upright bars between a foot and a top ring, with rings around them; half sizes ``low`` and ``high``."""
    foot, rim = Ring(bar, low, power=power).points(count), Ring(height - bar, high, power=power).points(count)
    for start, end in zip(foot[:-1], rim[:-1], strict=True):
        build.cylinder(start, end, bar, material, part, 5, caps=False)
    for share in (0.0, 0.35, 0.7, 1.0):
        half = tuple(float(p + (q - p) * share) for p, q in zip(low, high, strict=True))
        z, thick = bar + share * (height - 2 * bar), bar * 1.3
        rings = [Ring(z + dz, (half[0] + out, half[1] + out), power=power)
                 for dz, out in ((-thick, 0), (0, thick), (thick, 0), (0, -thick), (-thick, 0))]  # fmt: skip
        loft(build, rings, material, "rim" if share == 1.0 else part, count)


@construction("trash_can")
def wire_basket(rng: np.random.Generator, style: Style) -> Piece:
    """A waste paper basket of wire or wicker, with some crumpled paper in it at times."""
    r, height = rng.uniform(0.12, 0.16), rng.uniform(0.26, 0.36)
    wire, build = material_of(rng, style, "metal", "wood"), PieceBuilder("trash can")
    low = r * rng.uniform(0.65, 0.85)
    _lattice(build, wire, (low, low), (r, r), height, int(rng.integers(16, 26)), 0.0035, "side", 1.0)
    build.cylinder((0, 0, 0.0), (0, 0, 0.006), low, wire, "base", 20)
    paper, z = style.material("paper", rng), 0.006
    for k in range(int(rng.integers(0, 5))):
        size, turn = rng.uniform(0.06, 0.085), k * 2.1
        at = (np.cos(turn) * low * 0.35, np.sin(turn) * low * 0.35, z + 0.45 * size + k * 0.02)
        build.cushion(at, (size, size * 0.9, size * 0.9), paper, "paper", 0.8, steps=4)
    return build.build()


@construction("laundry_hamper")
def round_hamper(rng: np.random.Generator, style: Style) -> Piece:
    """Wicker or cloth, round or with round corners, with a lid or with clothes showing."""
    a, height = rng.uniform(0.19, 0.25), rng.uniform(0.5, 0.65)
    b, power = a * rng.uniform(0.75, 1.0), float(rng.choice([0.3, 1.0]))
    wall, build = material_of(rng, style, "fabric", "wood", "plastic", "carpet"), PieceBuilder("laundry hamper")
    tub(build, (2 * a, 2 * b, height), height - 0.03, wall, power, 0.012, rng.uniform(0.0, 0.03))
    for x in (-a, a):
        tube(build, [(x, -0.06, height * 0.78), (x * 1.12, -0.04, height * 0.8), (x * 1.12, 0.04, height * 0.8),
                     (x, 0.06, height * 0.78)], 0.01, style.material("leather", rng), "handle", 6)  # fmt: skip
    if maybe(rng):
        lid = [(0.0, 1.02), (0.03, 1.02), (0.045, 0.95), (0.05, 0.0)]
        loft(build, [Ring(height, (0, 0)), *[Ring(height + z, (a * s, b * s), power=power) for z, s in lid]], wall,
             "lid")  # fmt: skip
        build.turned([(0.012, 0), (0.012, 0.4), (0.025, 0.7), (0, 1)], wall, "handle", (0, 0, height + 0.05),
                     (0, 0, height + 0.085), 10)  # fmt: skip
    else:
        _laundry(build, rng, style, a * 0.85, b * 0.85, height)
    return build.build()


def _laundry(build: PieceBuilder, rng: np.random.Generator, style: Style, a: float, b: float, height: float) -> None:
    """Clothes heaped into a hamper whose rim is at ``height``."""
    build.cushion((0, 0, height - 0.08), (2 * a, 2 * b, 0.1), style.material("fabric", rng), "clothes", 0.5, steps=6)
    for _ in range(int(rng.integers(1, 4))):
        at = (rng.uniform(-0.3, 0.3) * a, rng.uniform(-0.3, 0.3) * b, height - 0.03)
        build.cushion(at, (a * rng.uniform(0.7, 1.1), b * rng.uniform(0.7, 1.1), 0.08), style.material("fabric", rng),
                      "clothes", 0.7, steps=6, yaw=rng.uniform(0, 3))  # fmt: skip


@construction("laundry_hamper")
def framed_hamper(rng: np.random.Generator, style: Style) -> Piece:
    """A bag of cloth in a frame of crossed or straight bars."""
    a, b, height = rng.uniform(0.2, 0.3), rng.uniform(0.17, 0.22), rng.uniform(0.55, 0.7)
    frame, bag = material_of(rng, style, "wood", "metal"), style.material("fabric", rng)
    build, bar = PieceBuilder("laundry hamper"), rng.uniform(0.009, 0.014)
    tub(build, (2 * a, 2 * b, height - 0.02), height - 0.1, bag, 0.25, 0.008, 0.02, 0.06)
    crossed, top, foot = maybe(rng), height - bar, b + 0.012
    for x in (-a - bar, a + bar):
        if crossed:
            build.cylinder((x, -foot, 0), (x, foot, top), bar, frame, "leg", 8)
            build.cylinder((x, foot, 0), (x, -foot, top), bar, frame, "leg", 8)
        else:
            for y in (-foot, foot):
                build.cylinder((x, y, 0), (x, y, top), bar, frame, "leg", 8)
            build.cylinder((x, -foot, 0.1), (x, foot, 0.1), bar * 0.8, frame, "rail", 8)
        build.cylinder((x, -foot, top), (x, foot, top), bar, frame, "rail", 8)
    for y in (-foot, foot):
        build.cylinder((-a - bar, y, top), (a + bar, y, top), bar, frame, "rail", 8)
    if maybe(rng):
        _laundry(build, rng, style, a * 0.9, b * 0.9, height - 0.02)
    return build.build()


@construction("laundry_hamper")
def slatted_hamper(rng: np.random.Generator, style: Style) -> Piece:
    """A basket of plastic bars with a solid rim, filled with clothes, low or high."""
    a, b, height = rng.uniform(0.2, 0.3), rng.uniform(0.16, 0.22), rng.uniform(0.28, 0.62)
    wall, build = material_of(rng, style, "plastic", "wood"), PieceBuilder("laundry hamper")
    low = (a * 0.82, b * 0.82)
    _lattice(build, wall, low, (a, b), height, 28, 0.006, "side", 0.4)
    loft(build, [Ring(0.0, (0, 0)), Ring(0.0, low, power=0.4), Ring(0.012, low, power=0.4), Ring(0.012, (0, 0))], wall,
         "base")  # fmt: skip
    inner = [
        Ring(0.012, (0, 0)),
        Ring(0.012, (a * 0.77, b * 0.77), power=0.4),
        Ring(height - 0.04, (a * 0.95, b * 0.95), power=0.4),
    ]
    loft(build, inner, style.material("fabric", rng), "clothes", 20)
    _laundry(build, rng, style, a * 0.93, b * 0.93, height)
    return build.build()


def _roll(build: PieceBuilder, rng: np.random.Generator, style: Style, start: np.ndarray, end: np.ndarray,
          radius: float) -> None:  # fmt: skip
    """A roll on its core between two points."""
    paper, card = style.material("paper", rng), style.material("cardboard", rng)
    build.turned([(0.02, 0), (radius, 0), (radius, 1), (0.02, 1)], paper, "roll", start, end, 20)
    build.turned([(0.02, 0), (0.02, 1)], card, "core", start, end, 12)


@construction("toilet_paper")
def roll_on_bar(rng: np.random.Generator, style: Style) -> Piece:
    """On a bent bar at the wall, a sheet hanging down. Hangs at 0.65 m."""
    metal, r, build = style.material("metal", rng), rng.uniform(0.04, 0.06), PieceBuilder("toilet paper")
    wall = r + 0.025
    tube(build, [(0.08, wall, 0.1), (0.08, 0, 0.1), (-0.06, 0, 0.1)], 0.006, metal, "holder")
    build.cylinder((0.08, wall, 0.1), (0.08, wall - 0.008, 0.1), 0.024, metal, "holder", 14)
    start, end = np.array([-0.05, 0, 0.086]), np.array([0.05, 0, 0.086])
    _roll(build, rng, style, start, end, r)
    hang = rng.uniform(0.02, 0.12)
    build.box((0, -r + 0.0005, 0.086 - hang / 2), (0.098, 0.001, hang), style.material("paper", rng), "paper")
    return build.build()


@construction("toilet_paper")
def covered_roll(rng: np.random.Generator, style: Style) -> Piece:
    """Under a bent cover of metal or plastic. Hangs at 0.65 m."""
    shell, r, build = (
        material_of(rng, style, "metal", "plastic", "wood"),
        rng.uniform(0.042, 0.058),
        PieceBuilder("toilet paper"),
    )
    z, out = r + 0.02, r + 0.006
    turn = np.linspace(0, np.pi * 0.75, 9)
    arc = [(0.0, out + 0.012, z - 0.03), *[(0.0, out * np.cos(t), z + out * np.sin(t)) for t in turn]]
    grid = np.array([[(x, y, h) for _, y, h in arc] for x in (-0.062, 0.062)])
    build.sheet(grid, shell, "lid")
    build.board((-0.064, out + 0.01, z - 0.05), (0.064, out + 0.018, z + 0.03), shell, "back")
    for x in (-0.06, 0.056):
        build.board((x, -0.008, z - 0.008), (x + 0.004, out + 0.012, z + 0.008), shell, "holder")
    build.cylinder((-0.058, 0, z), (0.058, 0, z), 0.019, shell, "holder", 10)
    _roll(build, rng, style, np.array([-0.05, 0, z]), np.array([0.05, 0, z]), r)
    build.box((0, -r + 0.0005, z - 0.03), (0.098, 0.001, 0.06), style.material("paper", rng), "paper")
    return build.build()


@construction("toilet_paper")
def roll_in_ring(rng: np.random.Generator, style: Style) -> Piece:
    """On a peg between two arms from a plate of wood or metal. Hangs at 0.65 m."""
    holder, r, build = (
        material_of(rng, style, "wood", "metal", "ceramic"),
        rng.uniform(0.04, 0.058),
        PieceBuilder("toilet paper"),
    )
    z, back = 0.065, r + 0.03
    build.board((-0.085, back - 0.015, z - 0.035), (0.085, back, z + 0.035), holder, "back")
    for x in (-0.075, 0.06):
        build.board((x, -0.02, z - 0.018), (x + 0.015, back - 0.015, z + 0.018), holder, "holder")
    build.cylinder((-0.062, 0, z), (0.062, 0, z), 0.019, holder, "holder", 10)
    _roll(build, rng, style, np.array([-0.05, 0, z]), np.array([0.05, 0, z]), r)
    return build.build()


@construction("toilet_paper_stand")
def paper_stand(rng: np.random.Generator, style: Style) -> Piece:
    """Spare rolls on a pole that stands on the floor."""
    metal, r, build = material_of(rng, style, "metal", "wood"), rng.uniform(0.045, 0.058), PieceBuilder("toilet paper")
    build.cylinder((0, 0, 0), (0, 0, 0.015), 0.085, metal, "base", 20)
    count = int(rng.integers(2, 5))
    build.cylinder((0, 0, 0.015), (0, 0, 0.06 + 0.1 * count), 0.018, metal, "rod", 10)
    for k in range(int(rng.integers(1, count + 1))):
        _roll(build, rng, style, np.array([0, 0, 0.015 + 0.1 * k]), np.array([0, 0, 0.113 + 0.1 * k]), r)
    return build.build()
