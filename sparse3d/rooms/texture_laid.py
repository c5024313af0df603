"""Wood and what is laid of pieces: parquet and tiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse3d.rooms.palette import shifted, srgb
from sparse3d.rooms.textures import SIZE, Draw, Look, axes, paint, ramp, shaded, step


@dataclass(frozen=True, eq=False)
class Laying:
    """How pieces cover the texture; all (SIZE, SIZE). ``along`` and ``across`` are texels within the piece."""

    piece: np.ndarray  # int64, the same number for the texels of one piece
    along: np.ndarray
    across: np.ndarray
    edge: np.ndarray  # texels to the piece's nearest edge
    turned: np.ndarray  # bool: the piece lies along v
    length: float
    width: float


def rows_laid(rows: int, columns: int, offsets: np.ndarray) -> Laying:
    """Pieces in ``rows`` rows of ``columns``, row r moved along by ``offsets[r]`` of a piece's length."""
    v, u = axes()
    row = np.floor(v * rows).astype(int)
    place = (u * columns + offsets[row]) % columns
    column = np.floor(place).astype(int)
    length, width = SIZE / columns, SIZE / rows
    along, across = (place - column) * length, np.broadcast_to((v * rows - row) * width, place.shape)
    return _laying(row * columns + column, along, across, np.zeros(place.shape, bool), length, width)


def herringbone(strips: int, ratio: int) -> Laying:
    """Pieces ``ratio`` times as long as wide, at right angles; ``strips`` is a multiple of 2 x ``ratio``.

    In units of the width, cell (i, j) belongs to k = (i - j) mod 2 ratio: the first half lies along u, k its place
    within the piece; the second half stands along v, counted from its end.
    """
    v, u = axes()
    i, j = np.floor(u * strips).astype(int), np.floor(v * strips).astype(int)
    k = (i - j) % (2 * ratio)
    turned = k >= ratio
    at_u, at_v = u * strips - i, v * strips - j
    unit = SIZE / strips
    start = 2 * ratio - 1 - k
    along = np.where(turned, start + at_v, k + at_u) * unit
    across = np.where(turned, at_u, at_v) * unit
    piece = np.where(turned, strips**2 + ((j - start) % strips) * strips + i, j * strips + (i - k) % strips)
    return _laying(piece, along, across, turned, unit * ratio, unit)


def basket(blocks: int, ratio: int) -> Laying:
    """Square blocks (an even number a side) of ``ratio`` parallel pieces, every other block turned."""
    v, u = axes()
    i, j = np.floor(u * blocks).astype(int), np.floor(v * blocks).astype(int)
    turned = ((i + j) % 2 == 1) & np.ones((SIZE, SIZE), bool)
    at_u, at_v = (u * blocks - i) + 0 * v, (v * blocks - j) + 0 * u
    along, over = np.where(turned, at_v, at_u), np.where(turned, at_u, at_v)
    strip = np.floor(over * ratio).astype(int)
    unit = SIZE / blocks
    return _laying(
        (j * blocks + i) * ratio + strip,
        along * unit,
        (over * ratio - strip) * unit / ratio,
        turned,
        unit,
        unit / ratio,
    )


def diamonds(count: int) -> Laying:
    """Squares standing on a corner, ``count`` of them in a row."""
    v, u = axes()
    p, q = (u + v) * count, (u - v) * count
    i, j = np.floor(p).astype(int), np.floor(q).astype(int)
    unit = SIZE / count / np.sqrt(2)
    # Both lattice directions come back to themselves after `count` steps along u or v.
    column, row = (i + j) % (2 * count), (i - j) % (2 * count)
    return _laying(row * 2 * count + column, (p - i) * unit, (q - j) * unit, np.zeros(p.shape, bool), unit, unit)


def hexagons(columns: int) -> Laying:
    """Hexagons of ``columns`` a row; they are squeezed a little so that a whole number of rows fits."""
    v, u = axes()
    rows = 2 * max(1, round(columns / np.sqrt(3)))
    x, y = u * columns, v * rows / 2  # two lattices of unit rectangles, the second moved by half of both sides
    best: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    for moved in (0.0, 0.5):
        cx, cy = np.floor(x + moved), np.floor(y + moved)
        dx, dy = x + moved - cx - 0.5 + 0 * y, (y + moved - cy - 0.5) * np.sqrt(3) + 0 * x
        number = (cy % (rows // 2)) * columns + cx % columns + moved * 2 * rows * columns
        best.append((dx, dy, number, dx**2 + dy**2))
    first = best[0][3] < best[1][3]
    dx, dy, number = (np.where(first, a, b) for a, b in zip(best[0][:3], best[1][:3], strict=True))
    unit = SIZE / columns
    reach = np.maximum(np.abs(dx), np.abs(dx) / 2 + np.abs(dy) * np.sqrt(3) / 2)
    edge = (0.5 - reach) * unit
    half = unit / 2
    still = np.zeros(edge.shape, bool)
    return Laying(number.astype(int), dx * unit + half, dy * unit + half, edge, still, unit, unit)


def _laying(piece: np.ndarray, along: np.ndarray, across: np.ndarray, turned: np.ndarray,
            length: float, width: float) -> Laying:  # fmt: skip
    edge = np.minimum(np.minimum(along, length - along), np.minimum(across, width - across))
    return Laying(piece, along, across, edge, turned, length, width)


def grain(draw: Draw) -> np.ndarray:
    """(SIZE, SIZE) about 0, deviation about 1: fibres along u, bands of year rings with flames, short pores."""
    v, _ = axes()
    figure = draw.field("figure")
    rings = np.sin(2 * np.pi * (draw.count(3, 9) * v + draw.rng.uniform(0.3, 1.3) * figure))
    share = draw.rng.uniform(0.3, 0.9)
    pores = np.maximum(draw.field("dash") - 0.9, 0)
    return share * rings * (0.75 + 0.25 * figure) + 0.75 * draw.field("grain") - draw.rng.uniform(0.3, 1.1) * pores


def wood(draw: Draw) -> Look:
    """Veneer or solid boards, the grain along u; sometimes painted so that the grain just shows."""
    painted = draw.chance(0.15)
    color = draw.palette.color(draw.rng, 0.3) if painted else draw.palette.wood(draw.rng)
    strength = draw.rng.uniform(0.025, 0.07) * (0.4 if painted else 1.0)
    values = grain(draw)
    if not painted and draw.chance(0.3):  # glued up from staves
        staves = draw.count(4, 8)
        tone = draw.rng.normal(0, 0.8, staves)
        values = values + np.repeat(tone, -(-SIZE // staves))[:SIZE, None].astype(np.float32)
    texture = ramp(0.5 + values / 4, shifted(color, -2 * strength, 1.1, -0.08), shifted(color, 1.6 * strength, 0.95))
    return Look(texture, draw.rng.uniform(1.0, 1.3), draw.rng.uniform(0.05, 0.45))


def parquet(draw: Draw) -> Look:
    """Boards, strips, herringbone or basket weave of one wood, every piece with a tone and a grain of its own."""
    rng, layout = draw.rng, draw.pick(("boards", "strips", "herringbone", "basket"), (0.45, 0.25, 0.2, 0.1))
    if layout == "boards":
        extent, rows = rng.uniform(1.5, 1.9), draw.count(9, 16)
        laid = rows_laid(rows, draw.count(1, 2), rng.random(rows))
    elif layout == "strips":
        extent, rows = rng.uniform(1.3, 1.6), draw.count(16, 24)
        laid = rows_laid(rows, draw.count(3, 5), rng.random(rows))
    elif layout == "herringbone":
        ratio = draw.count(4, 6)
        extent, laid = rng.uniform(1.2, 1.6), herringbone(4 * ratio if ratio < 5 else 2 * ratio, ratio)
    else:
        extent, laid = rng.uniform(1.2, 1.5), basket(2 * draw.count(2, 4), draw.count(4, 6))
    stained = draw.chance(0.12)
    color = draw.palette.color(rng) if stained else draw.palette.wood(rng)
    tones = rng.normal(0, 1, (int(laid.piece.max()) + 1, 3)).astype(np.float32)
    start = (np.abs(tones[:, 1:]) * SIZE).astype(int)[laid.piece]
    rows_of, columns_of = (
        (laid.across.astype(int) + start[..., 0]) % SIZE,
        (laid.along.astype(int) + start[..., 1]) % SIZE,
    )
    values = grain(draw)[rows_of, columns_of] * 0.6 + tones[laid.piece, 0] * rng.uniform(0.3, 1.1)
    strength = rng.uniform(0.03, 0.065)
    texture = ramp(0.5 + values / 4, shifted(color, -2 * strength, 1.1, -0.06), shifted(color, 1.6 * strength, 0.95))
    paint(texture, (1 - step(laid.edge, 0.6, 1.0)) * rng.uniform(0.25, 0.7), shifted(color, -0.22))
    return Look(texture, extent, rng.uniform(0.1, 0.5))


def _laid_tiles(draw: Draw) -> tuple[Laying, float]:
    """A layout of tiles and the width in metres that the texture spans."""
    rng = draw.rng
    layout = draw.pick(("grid", "bond", "metro", "mosaic", "diamond", "hexagon", "herringbone", "slabs"),
                       (0.3, 0.12, 0.13, 0.1, 0.08, 0.1, 0.07, 0.1))  # fmt: skip
    if layout == "grid":
        count = draw.count(3, 10)
        return rows_laid(count, count, np.zeros(count)), count * rng.uniform(0.11, 0.16) * (1.0 if count > 6 else 2.0)
    if layout == "bond":
        rows = 2 * draw.count(2, 4)
        return rows_laid(rows, rows // 2, np.arange(rows) * 0.5), rows * rng.uniform(0.15, 0.25)
    if layout == "metro":
        rows = 2 * draw.count(6, 8)
        return rows_laid(rows, rows // 2, np.arange(rows) * 0.5), rows * rng.uniform(0.065, 0.085)
    if layout == "mosaic":
        count = draw.count(20, 32)
        return rows_laid(count, count, np.zeros(count)), count * rng.uniform(0.025, 0.04)
    if layout == "diamond":
        return diamonds(draw.count(4, 7)), rng.uniform(1.0, 1.3)
    if layout == "hexagon":
        return hexagons(draw.count(6, 14)), rng.uniform(1.0, 1.4)
    if layout == "herringbone":
        ratio = draw.count(3, 4)
        return herringbone(4 * ratio, ratio), rng.uniform(0.9, 1.2)
    return rows_laid(3, 2, np.array([0.0, 0.5, 0.0]) * draw.count(0, 1)), rng.uniform(1.4, 1.6)


def tiles(draw: Draw) -> Look:
    """Tiles with grout: plain, of uneven tones, chequered, veined, speckled or ornamented."""
    rng = draw.rng
    laid, extent = _laid_tiles(draw)
    color = draw.palette.color(rng, rng.choice([0.0, 0.0, 0.4, 0.7]))
    other = draw.palette.contrast(rng, color)
    count = int(laid.piece.max()) + 1
    texture = ramp(rng.normal(0.5, 0.16, count).astype(np.float32)[laid.piece],
                   *(shifted(color, sign * rng.uniform(0.02, 0.1)) for sign in (-1, 1)))  # fmt: skip
    face = draw.pick(("plain", "chequer", "mixed", "veined", "speckled", "ornament"), (0.4, 0.1, 0.1, 0.16, 0.12, 0.12))
    if face == "chequer" and laid.length > 14:  # a small one flickers
        v, u = axes()
        share = rng.choice([0.5, 0.25])
        taken = rng.random(count) < share
        even = (np.floor(u * round(SIZE / laid.length)) + np.floor(v * round(SIZE / laid.width))) % 2 == 0
        whole = round(SIZE / laid.length) % 2 == 0 and laid.length == laid.width
        paint(texture, even if whole else taken[laid.piece], other)
    elif face in ("mixed", "chequer"):
        paint(texture, (rng.random(count) * (rng.random(count) < 0.5))[laid.piece], other)
    elif face == "veined":
        start = rng.integers(SIZE, size=(count, 2))[laid.piece]
        cloud = draw.field("cloud")[
            (laid.across.astype(int) + start[..., 0]) % SIZE, (laid.along.astype(int) + start[..., 1]) % SIZE
        ]
        paint(texture, 0.5 * np.clip(1 - 5 * np.abs(cloud), 0, 1) + 0.15 * step(cloud, 0.3, 2.0), other)
    elif face == "speckled":
        paint(texture, 0.55 * step(draw.field("fine"), 1.0, 0.8), other)
        shaded(texture, draw.field("rough"), 0.03)
    elif face == "ornament" and min(laid.length, laid.width) > 18:
        paint(texture, _ornament(draw, laid), other)
    shaded(texture, draw.field("swell"), 0.015)
    grout = shifted(draw.palette.neutrals[rng.integers(4)], rng.normal(0, 0.06))
    joint = max(0.6, rng.uniform(0.0015, 0.003) / extent * SIZE)  # half a joint, texels
    texture += (1 - step(laid.edge, joint, 0.9)).astype(np.float32)[..., None] * (srgb(grout) - texture)
    return Look(texture, extent, rng.uniform(0.15, 0.75))


def _ornament(draw: Draw, laid: Laying) -> np.ndarray:
    """A figure in every tile, symmetrical about its middle: rings, petals and corner pieces."""
    x, y = laid.along / laid.length * 2 - 1, laid.across / laid.width * 2 - 1
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    petals = 0.55 + 0.3 * np.cos(draw.count(1, 3) * 4 * angle)
    figure = step(petals - radius * draw.rng.uniform(0.9, 1.3), 0, 0.15)
    corner = step(np.hypot(1 - np.abs(x), 1 - np.abs(y)), draw.rng.uniform(0.3, 0.6), 0.12)
    ring = step(np.abs(radius - draw.rng.uniform(0.75, 0.95)), 0.06, 0.08)
    return np.maximum(np.maximum(figure, 1 - corner), (1 - ring) * (draw.count(0, 1)))
