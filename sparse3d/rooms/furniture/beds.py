"""Beds with their pillows: a group of the bed, its blanket a part of it, and pieces that lie on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.bases import chance, four_legs
from sparse3d.rooms.furniture.soft import centred, pillow
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.solids import SolidBuilder, arc, bar, padding, tube
from sparse3d.rooms.style import Style

_WIDTHS = (0.9, 1.0, 1.2, 1.4, 1.6, 1.8)  # of mattresses, as they are sold


@dataclass(frozen=True)
class Mattress:
    """A mattress's measures; it lies on height ``low`` around the origin, its head end at +y."""

    width: float
    length: float
    low: float
    thick: float

    @property
    def top(self) -> float:
        return self.low + self.thick


def _mattress(rng: np.random.Generator, width: float | None, low: float) -> Mattress:
    drawn = float(rng.choice(_WIDTHS))
    return Mattress(drawn if width is None else width, rng.uniform(1.95, 2.05), low, rng.uniform(0.16, 0.26))


def _bedding(build: PieceBuilder, m: Mattress, rng: np.random.Generator, style: Style,
             leaning: bool = True) -> tuple[Piece, ...]:  # fmt: skip
    """Lays the mattress and mostly a blanket; gives the pillows, and sometimes a throw, in the bed's frame.

    ``leaning`` says that pillows may lean on a headboard.
    """
    padding(build, (0, 0, m.low + m.thick / 2), (m.width, m.length, m.thick), style.material("fabric", rng), "mattress",
            radius=0.04)  # fmt: skip
    pieces = list(_pillows(m, rng, style, leaning))
    thick, covered = rng.uniform(0.025, 0.05), chance(rng, 0.85)
    head = min(p.bounds[0][1] for p in pieces) - rng.uniform(0.015, 0.2)
    if covered:
        _blanket(build, m, head, thick, style.material("fabric", rng), rng)
    if covered and chance(rng, 0.2):
        throw, deep = SolidBuilder("blanket"), rng.uniform(0.3, 0.5)
        y = -m.length / 2 + deep / 2 + 0.1
        padding(throw, (0, y, m.top + thick + 0.008), (m.width * 0.9, deep, 0.024), style.material("fabric", rng),
                "blanket", radius=0.01)  # fmt: skip
        pieces.append(throw.build_at())
    return tuple(pieces)


def _blanket(build: PieceBuilder, m: Mattress, head: float, thick: float, cover: Material,
             rng: np.random.Generator) -> None:  # fmt: skip
    """A quilt over the mattress from its foot up to depth ``head``: hanging down the sides, its hem in waves."""
    drop, out = rng.uniform(0.5, 0.9) * m.thick, 0.018
    side, foot = m.width / 2, -m.length / 2
    # Across: hem, edge, top, edge, hem. Along: from the head's end to the foot and down it.
    across = np.concatenate([[-side - out] * 2, np.linspace(-side + 0.02, side - 0.02, 15), [side + out] * 2])
    fall = np.concatenate([[drop, 0.03], np.zeros(15), [0.03, drop]])
    along = np.concatenate([np.linspace(head, foot + 0.02, 12), [foot - out] * 2])
    droop = np.concatenate([np.zeros(12), [0.03, drop]])
    grid = np.empty((14, 19, 3))
    grid[..., 0], grid[..., 1] = across[None], along[:, None]
    wave = np.sin(np.cumsum(rng.uniform(0.5, 1.6, 14)))[:, None] * np.where(fall > 0.05, 1.0, 0.0)[None]
    grid[..., 0] += 0.012 * wave * np.sign(across)[None]
    grid[..., 2] = m.top + thick - np.maximum(fall[None], droop[:, None]) + 0.008 * rng.uniform(-1, 0, (14, 19))
    build.sheet(grid, cover, "blanket")
    fold = (0, head - 0.06, m.top + thick * 0.5)
    padding(build, fold, (m.width + 0.02, 0.14, thick + 0.012), cover, "blanket", radius=thick * 0.45)


def _pillows(m: Mattress, rng: np.random.Generator, style: Style, leaning: bool) -> tuple[Piece, ...]:
    """One or two side by side at the head, lying or leaning, and sometimes smaller ones before them."""
    count, lean = (2 if m.width > 1.3 else 1), chance(rng, 0.35) and leaning
    wide, deep, thick = min(0.78, m.width / count - 0.08), rng.uniform(0.4, 0.5), rng.uniform(0.11, 0.16)
    cover, back = style.material("fabric", rng), m.length / 2 - 0.005
    places = [(k - (count - 1) / 2) * m.width / count for k in range(count)]
    tilt = rng.uniform(0.9, 1.2) if lean else 0.0
    pieces = [pillow((wide, deep, thick), cover, (x, back, m.top), tilt=tilt) for x in places]
    if chance(rng, 0.35):
        second, front = style.material("fabric", rng), float(min(p.bounds[0][1] for p in pieces)) - 0.01
        pieces += [pillow((wide * 0.6, 0.3, 0.1), second, (x, front, m.top)) for x in places]
    return tuple(pieces)


def _headboard(build: PieceBuilder, wide: float, y: float, low: float, high: float, kind: str, material: Material,
               cover: Material) -> None:  # fmt: skip
    """Behind depth ``y``: a plain board, a padded one, one with channels, or slats between posts."""
    middle = (low + high) / 2
    if kind == "board":
        build.board((-wide / 2, y, low), (wide / 2, y + 0.03, high), material, "headboard")
    elif kind == "padded":
        padding(build, (0, y + 0.045, middle), (wide, 0.09, high - low), cover, "headboard", radius=0.035)
    elif kind == "channels":
        count = int(np.clip(round(wide / 0.22), 3, 7))
        for x in (np.arange(count) + 0.5) / count * wide - wide / 2:
            padding(build, (x, y + 0.045, middle), (wide / count, 0.09, high - low), cover, "headboard", radius=0.03)
    else:
        for side in (-1, 1):
            bar(
                build,
                (side * (wide / 2 - 0.03), y + 0.03, 0),
                (side * (wide / 2 - 0.03), y + 0.03, high),
                (0.06, 0.06),
                material,
                "headboard",
            )
        for z in (low + 0.1, high - 0.06):
            build.box((0, y + 0.03, z), (wide - 0.06, 0.03, 0.08), material, "headboard")
        for x in np.linspace(-wide / 2, wide / 2, int(wide / 0.11))[1:-1]:
            bar(build, (x, y + 0.03, low + 0.1), (x, y + 0.03, high - 0.06), (0.04, 0.014), material, "headboard")


@construction("bed")
def frame_bed(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """A wooden frame on legs with a headboard, sometimes with a footboard or drawers."""
    m, build = _mattress(rng, width, rng.uniform(0.22, 0.34)), SolidBuilder("bed")
    wood = style.material(str(rng.choice(["wood", "wood", "painted"])), rng)
    cover = style.material(str(rng.choice(["fabric", "leather"])), rng)
    wide, head, foot, rail = m.width + 0.08, m.length / 2 + 0.01, -m.length / 2 - 0.03, m.low + 0.06
    drawers = chance(rng, 0.25)
    base = 0.03 if drawers else m.low - rng.uniform(0.06, 0.14)
    for side in (-1, 1):
        x = side * (wide / 2 - 0.0125)
        build.board((x - 0.0125, foot, base), (x + 0.0125, head, rail), wood, "frame")
    build.board((-wide / 2, foot - 0.02, base), (wide / 2, foot + 0.01, rail), wood, "frame")
    build.board((-wide / 2 + 0.02, foot, m.low - 0.02), (wide / 2 - 0.02, head, m.low), wood, "frame")
    if drawers:
        for k in range(2):
            y0 = foot + 0.05 + k * m.length / 2
            for side in (-1, 1):
                low, high = sorted((side * wide / 2, side * (wide / 2 + 0.018)))
                build.board((low, y0, 0.05), (high, y0 + m.length / 2 - 0.05, rail - 0.03), wood, "drawer")
                tube(build, [(side * (wide / 2 + 0.01), y0 + 0.4, 0.2), (side * (wide / 2 + 0.035), y0 + 0.4, 0.2),
                             (side * (wide / 2 + 0.035), y0 + 0.54, 0.2), (side * (wide / 2 + 0.01), y0 + 0.54, 0.2)],
                     0.006, wood, "handle", sides=6)  # fmt: skip
    four_legs(build, wide - 0.06, m.length - 0.04, base + 0.02, 0.06, wood, str(rng.choice(["square", "tapered"])))
    tall = rng.uniform(0.8, 1.15)
    _headboard(build, wide, head, base, tall, str(rng.choice(["board", "padded", "channels", "slats"])), wood, cover)
    if chance(rng, 0.3):
        build.board((-wide / 2, foot - 0.05, base), (wide / 2, foot - 0.02, rng.uniform(m.top, m.top + 0.15)), wood,
                    "footboard")  # fmt: skip
    pieces = _bedding(build, m, rng, style)
    return centred(build.build_at(), *pieces)


@construction("bed")
def box_spring_bed(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """An upholstered box, the mattress as wide as it, a padded headboard."""
    foot, box = rng.uniform(0.05, 0.12), rng.uniform(0.2, 0.28)
    m, build = _mattress(rng, width, foot + box), SolidBuilder("bed")
    cover = style.material("leather" if chance(rng, 0.25) else "fabric", rng)
    halves = 2 if m.width > 1.5 and chance(rng, 0.5) else 1
    for k in range(halves):
        x = (k - (halves - 1) / 2) * m.width / halves
        padding(build, (x, 0, foot + box / 2), (m.width / halves, m.length + 0.01, box), cover, "base", radius=0.025)
    four_legs(build, m.width - 0.16, m.length - 0.16, foot + 0.01, 0.06, style.material("metal", rng), "round")
    kind = str(rng.choice(["padded", "channels"]))
    _headboard(build, m.width + rng.uniform(0.0, 0.3), m.length / 2, rng.uniform(0.0, foot), rng.uniform(0.95, 1.25),
               kind, cover, cover)  # fmt: skip
    pieces = _bedding(build, m, rng, style)
    return centred(build.build_at(), *pieces)


@construction("bed")
def metal_bed(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """A frame of steel tube with upright bars under a straight or an arched rail at head and foot."""
    m, build = _mattress(rng, width, rng.uniform(0.28, 0.36)), SolidBuilder("bed")
    metal, arched = style.material(str(rng.choice(["metal", "painted"])), rng), chance(rng, 0.5)
    x, r, low = m.width / 2 + 0.03, rng.uniform(0.014, 0.022), m.low - 0.02
    foot_high = rng.uniform(m.top + 0.02, m.top + 0.25) if chance(rng, 0.7) else low + 0.05
    for y, high, part in ((m.length / 2 + 0.03, rng.uniform(0.85, 1.1), "headboard"),
                          (-m.length / 2 - 0.03, foot_high, "footboard")):  # fmt: skip
        rise = 0.16 if arched and high > m.top + 0.1 else 0.0
        crest = arc((0, y, high - rise), (x, 0, 0), (0, 0, max(rise, 1e-3)), 0, np.pi, 14 if rise else 1)
        for side in (-1, 1):
            build.cylinder((side * x, y, 0), (side * x, y, high - rise), r, metal, "leg", sides=10)
            build.cushion(
                (side * x, y, high - rise + r * 0.7), (r * 3, r * 3, r * 3), metal, part, roundness=1, steps=5
            )
        tube(build, crest, r * 0.9, metal, part)
        tube(build, [(-x, y, low), (x, y, low)], r * 0.8, metal, part)
        if high > m.top:
            for across in np.linspace(-x, x, int(m.width / 0.13) + 2)[1:-1]:
                end = high - rise + rise * np.sqrt(1 - (across / x) ** 2)
                build.cylinder((across, y, low), (across, y, end), r * 0.5, metal, part, sides=6)
    for side in (-1, 0, 1):
        bar(build, (side * x, -m.length / 2 - 0.03, low), (side * x, m.length / 2 + 0.03, low), (0.025, 0.04), metal,
            "frame")  # fmt: skip
    for y in np.linspace(-m.length / 2 + 0.1, m.length / 2 - 0.1, 8):
        build.box((0, y, low + 0.012), (2 * x, 0.06, 0.016), metal, "frame")
    pieces = _bedding(build, m, rng, style)
    return centred(build.build_at(), *pieces)


@construction("bed")
def platform_bed(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """A low platform wider than the mattress on a plinth, its headboard a long board with a ledge or none at all."""
    m, build = _mattress(rng, width, rng.uniform(0.2, 0.28)), SolidBuilder("bed")
    wood, rim = style.material("wood", rng), rng.uniform(0.06, 0.16)
    wide = m.width + 2 * rim
    build.board((-wide / 2, -m.length / 2 - rim, m.low - 0.06), (wide / 2, m.length / 2, m.low), wood, "frame")
    inset = 0.15
    build.board((-wide / 2 + inset, -m.length / 2 - rim + inset, 0), (wide / 2 - inset, m.length / 2, m.low - 0.05),
                wood, "base")  # fmt: skip
    board = chance(rng, 0.8)
    if board:
        high = rng.uniform(0.7, 1.0)
        build.board((-wide / 2, m.length / 2, 0), (wide / 2, m.length / 2 + 0.04, high), wood, "headboard")
        if chance(rng, 0.4):
            build.board(
                (-wide / 2, m.length / 2, high - 0.03), (wide / 2, m.length / 2 + 0.14, high), wood, "headboard"
            )
            build.support((0, m.length / 2 + 0.08, high), (wide - 0.05, 0.1), 0.5)
            build.board((-wide / 2, m.length / 2 + 0.04, 0), (wide / 2, m.length / 2 + 0.13, high - 0.03), wood,
                        "headboard")  # fmt: skip
    pieces = _bedding(build, m, rng, style, leaning=board)
    return centred(build.build_at(), *pieces)
