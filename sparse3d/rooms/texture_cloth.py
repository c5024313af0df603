"""Fabric, carpets and wallpapers."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.palette import shifted
from sparse3d.rooms.texture_pattern import PATTERNS, stripes
from sparse3d.rooms.textures import SIZE, Draw, Look, flat, paint, shaded

_PLAIN = SIZE // 2


def _weave(draw: Draw, size: int) -> np.ndarray:
    """Threads along both directions that are uneven in thickness and colour, deviation about 1."""
    along, up = draw.field("dash", size), draw.field("dash", size).T
    line = np.arange(size)
    over = np.where((line[:, None] // 2 + line[None, :] // 2) % 2 == 0, np.float32(1), np.float32(-1))
    return 0.7 * np.where(over > 0, along, up) + draw.rng.uniform(0, 0.6) * over


def _dressed(draw: Draw, texture: np.ndarray, color: np.ndarray, name: str) -> None:
    """Paint the pattern ``name`` over ``texture`` in colours that stand off ``color``."""
    rng = draw.rng
    for depth, mask in enumerate(PATTERNS[name](draw)):
        ink = draw.palette.contrast(rng, color) if depth or draw.chance(0.7) else shifted(
            color, rng.choice([-1, 1]) * rng.uniform(0.06, 0.14)
        )  # fmt: skip
        paint(texture, mask * rng.uniform(0.65, 1.0), ink)


def fabric(draw: Draw) -> Look:
    """Woven cloth: plain, melange, herringbone, striped, checked, dotted, flowered or damask."""
    rng = draw.rng
    color = draw.palette.color(rng)
    names = ("plain", "stripes", "checks", "herringbone", "dots", "trellis", "floral", "damask", "blots")
    name = draw.pick(names, (0.45, 0.1, 0.1, 0.08, 0.05, 0.05, 0.09, 0.04, 0.04))
    if name == "plain":
        texture, extent = flat(color, _PLAIN), rng.uniform(0.4, 0.6)
    else:
        texture, extent = flat(color), rng.uniform(0.6, 1.1)
        _dressed(draw, texture, color, name)
    shaded(texture, _weave(draw, len(texture)), rng.uniform(0.02, 0.065))
    shaded(texture, draw.field("cloud", len(texture)), rng.uniform(0.005, 0.03))
    return Look(texture, extent, 0.0 if draw.chance(0.8) else rng.uniform(0.05, 0.2))


def carpet(draw: Draw) -> Look:
    """Carpet: mottled pile, loops, or a pattern."""
    rng = draw.rng
    color = draw.palette.color(rng)
    texture = flat(color)
    kind = draw.pick(("pile", "loops", "melange", "pattern"), (0.35, 0.15, 0.15, 0.35))
    if kind == "pattern":
        names = ("medallions", "stripes", "trellis", "checks", "damask", "floral", "blots")
        _dressed(draw, texture, color, draw.pick(names, (0.35, 0.12, 0.15, 0.1, 0.1, 0.08, 0.1)))
    elif kind == "melange":
        for _ in range(2):
            paint(
                texture, np.clip(0.35 + 0.35 * draw.field("fine"), 0, 1) * 0.7, draw.palette.contrast(rng, color, 0.1)
            )
    elif kind == "loops":
        line = np.arange(SIZE)
        shaded(texture, np.where((line[:, None] // 2 + line[None, :] // 3) % 2 == 0, 1.0, -1.0), 0.06)
    shaded(texture, draw.field("fine") + 0.5 * draw.field("white"), rng.uniform(0.04, 0.1))
    shaded(texture, draw.field("cloud"), rng.uniform(0.01, 0.05))
    return Look(texture, rng.uniform(1.0, 1.5), 0.0)


def wallpaper(draw: Draw) -> Look:
    """Wallpaper: textured, striped, damask, flowered, latticed or blotched; mostly light but of any hue."""
    rng = draw.rng
    color = draw.palette.color(rng, rng.choice([0.0, 0.3, 0.6]))
    texture = flat(color)
    names = ("none", "stripes", "damask", "floral", "trellis", "dots", "blots")
    name = draw.pick(names, (0.25, 0.2, 0.18, 0.12, 0.1, 0.05, 0.1))
    if name != "none":
        masks = stripes(draw) if name == "stripes" else PATTERNS[name](draw)
        near = draw.chance(0.65)  # tone on tone
        for mask in masks:
            gap = rng.choice([-1, 1]) * rng.uniform(0.04, 0.12)
            ink = shifted(color, gap, rng.uniform(0.8, 1.5)) if near else draw.palette.contrast(rng, color, 0.12)
            paint(texture, mask * rng.uniform(0.5, 0.95), ink)
    shaded(texture, draw.field(draw.pick(("grit", "dash", "fine", "rough"))), rng.uniform(0.006, 0.03))
    return Look(texture, rng.uniform(0.8, 1.3), rng.uniform(0.0, 0.15))
