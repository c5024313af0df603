"""Repeating figures for cloth, carpets and wallpapers.

A pattern is a list of (SIZE, SIZE) masks in [0, 1], painted over the ground one after another, each in its own colour.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sparse3d.rooms.textures import SIZE, Draw, axes, step, window

Masks = list[np.ndarray]
_WHOLE = np.zeros((SIZE, SIZE), np.float32)


def stripes(draw: Draw, upright: bool = True) -> Masks:
    """Groups of stripes, across u if ``upright``."""
    count, line = draw.count(3, 12), axes()[1][0]
    place = (line * count) % 1
    broad = step(np.abs(place - 0.5), draw.rng.uniform(0.1, 0.35), 6 * count / SIZE * 0.25)
    thin = 1 - step(np.abs(place - draw.rng.uniform(0.1, 0.9)), draw.rng.uniform(0.02, 0.06), 2 * count / SIZE)
    masks = [1 - broad, thin] if draw.chance(0.6) else [1 - broad]
    return [_WHOLE + (mask[None, :] if upright else mask[:, None]) for mask in masks]


def checks(draw: Draw) -> Masks:
    """Gingham or tartan: bands that cross, and lines over them."""
    count, line = draw.count(3, 12), axes()[1][0]
    place = (line * count) % 1
    band = (1 - step(np.abs(place - 0.5), draw.rng.uniform(0.15, 0.3), count / SIZE)) * 0.5
    masks = [band[None, :] + band[:, None]]
    if draw.chance(0.6):
        thin = 1 - step(np.abs(place - draw.rng.uniform(0.0, 0.2)), 0.03, 2 * count / SIZE)
        masks.append(np.maximum(thin[None, :], thin[:, None]) * draw.rng.uniform(0.4, 1.0))
    return masks


def herringbone_weave(draw: Draw) -> Masks:
    """Slanting lines that turn at every band."""
    v, u = axes()
    bands, lines = 2 * draw.count(4, 10), draw.count(20, 36)
    fold = np.abs((u * bands) % 2 - 1) / bands
    return [0.5 + 0.5 * np.sin(2 * np.pi * lines * (v + fold))]


def dots(draw: Draw) -> Masks:
    """Dots or small diamonds in staggered rows."""
    count = draw.count(4, 14)
    v, u = axes()
    place = np.stack(np.broadcast_arrays((u + v) * count, (u - v) * count))
    x, y = np.abs(place % 1 - 0.5)
    reach = np.hypot(x, y) if draw.chance(0.6) else np.maximum(x, y)
    edge = draw.rng.uniform(0.12, 0.36)
    masks = [1 - step(reach, edge, 3 * count / SIZE)]
    if draw.chance(0.3):
        masks.append(1 - step(np.abs(reach - edge - 0.05), 0.02, 3 * count / SIZE))
    return masks


def trellis(draw: Draw) -> Masks:
    """Curved lattices: ogees, scales or crossing lines."""
    v, u = axes()
    count, kind = draw.count(3, 8), draw.pick(("ogee", "scales", "lattice"))
    if kind == "scales":
        row = np.floor(v * 2 * count)
        x = (u * count + 0.5 * (row % 2)) % 1 - 0.5
        reach = np.hypot(2 * x, (v * 2 * count) % 1)
        return [1 - step(np.abs((reach * 3) % 1 - 0.5), 0.2, 0.3)]
    if kind == "ogee":
        wave = np.cos(2 * np.pi * count * u) + np.cos(2 * np.pi * count * v)
        return [1 - step(np.abs(wave), draw.rng.uniform(0.15, 0.5), 0.3)]
    place = np.minimum(np.abs(((u + v) * count) % 1 - 0.5), np.abs(((u - v) * count) % 1 - 0.5))
    return [1 - step(place, draw.rng.uniform(0.03, 0.1), 3 * count / SIZE)]


def floral(draw: Draw) -> Masks:
    """Blossoms with leaves, strewn: leaves, petals, hearts."""
    leaves, petals, hearts = _WHOLE.copy(), _WHOLE.copy(), _WHOLE.copy()
    count = draw.count(8, 22)
    largest = min(44.0, 0.42 * SIZE / np.sqrt(count))
    # A jittered lattice strews them evenly without a search.
    centers = np.stack([np.arange(count) / count, np.arange(count) * 0.618034 % 1], 1)
    centers = (centers + draw.rng.normal(0, 0.02, centers.shape)) * SIZE
    lobes = draw.count(4, 8)
    for center in centers:
        radius = largest * draw.rng.uniform(0.55, 1.0)
        turn = draw.rng.uniform(0, 2 * np.pi)
        index, dy, dx = window(SIZE, (center[0], center[1]), radius)
        reach, angle = np.hypot(dx, dy) / radius, np.arctan2(dy, dx) + turn
        petal = step(0.68 + 0.2 * np.cos(lobes * angle) - reach, 0, 0.12)
        leaf = step(np.abs(np.cos(1.5 * angle)) ** 6 - reach, 0, 0.15)
        for mask, part in ((leaves, leaf), (petals, petal), (hearts, step(0.22 - reach, 0, 0.1))):
            mask[index] = np.maximum(mask[index], part)
    return [leaves, petals, hearts]


def damask(draw: Draw) -> Masks:
    """Blots mirrored left to right, in columns that are staggered by half: the look of damask."""
    columns = draw.count(2, 4)
    width, height = SIZE // 4, SIZE // 2
    v, u = axes()
    blot = draw.field("pebble") * 0.35 + draw.field("blotch") + 0.5 * draw.field("cloud")
    fold = np.abs((u * columns) % 1 - 0.5) * 2
    drop = np.floor(u * columns) * (0.5 if columns % 2 == 0 else 0.0)
    row, column = ((v + drop) % 1 * 2 % 1), fold
    # The blot is read along a closed path in v, or its own seam would show inside the texture.
    rise = np.abs(row * 2 - 1)
    medallion = 1.1 - 2.2 * np.hypot(column, (rise - 0.35) * 1.2)
    values = blot[(rise * height).astype(int) % SIZE, (column * width).astype(int)] + medallion
    return [step(values, 0.0, 0.35)]


def blots(draw: Draw) -> Masks:
    """Soft camouflage of one or two colours."""
    kind = draw.pick(("cloud", "blotch", "pebble"))
    soft = draw.rng.uniform(0.2, 1.5)
    return [step(draw.field(kind), draw.rng.uniform(-0.3, 0.8), soft) for _ in range(draw.count(1, 2))]


def medallions(draw: Draw) -> Masks:
    """An oriental carpet's ornaments: three sharp figures, symmetrical in both directions."""
    v, u = axes()
    count = draw.count(1, 3)
    x, y = np.abs((u * count) % 1 * 2 - 1), np.abs((v * count) % 1 * 2 - 1)
    reach = np.hypot(x, y) if draw.chance(0.5) else x + y
    rows, columns = (y * SIZE / 3).astype(int), (x * SIZE / 3).astype(int)
    masks = []
    for level in (0.0, 0.4, 0.6):
        values = draw.field("pebble")[rows, columns] + draw.rng.uniform(0.5, 1.5) * np.cos(
            draw.rng.uniform(4, 9) * reach + draw.rng.uniform(0, 6)
        )
        masks.append(step(values, level, 0.25))
    return masks


PATTERNS: dict[str, Callable[[Draw], Masks]] = {
    "stripes": stripes,
    "checks": checks,
    "herringbone": herringbone_weave,
    "dots": dots,
    "trellis": trellis,
    "floral": floral,
    "damask": damask,
    "blots": blots,
    "medallions": medallions,
}
