"""Procedural materials for the demo's rooms: square images that repeat without a seam, one texel a centimetre."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.ndimage import gaussian_filter

TEXEL = 0.01  # metres
SIDE = 512  # texels: a pattern repeats after 5.12 m

Image = np.ndarray  # (SIDE, SIDE, 3) float64, about [0, 1]
Colors = np.ndarray  # (C, 3) float64 in [0, 1]


def make_textures(colors: Colors, rng: np.random.Generator) -> tuple[dict[str, int], np.ndarray]:
    """Every material, painted in a few colours that all of them share (so that colour alone tells no object).

    Returns:
        The materials' rows by name, and the atlas (M, SIDE, SIDE, 3) float32 in [0, 1].
    """
    images = []
    for paint in MATERIALS.values():
        image = paint(rng.permutation(colors), rng)
        blurred = gaussian_filter(image, (0.6, 0.6, 0), mode="wrap")  # no edge sharper than a camera would see
        images.append(np.clip(blurred, 0, 1))
    return {name: row for row, name in enumerate(MATERIALS)}, np.stack(images).astype(np.float32)


def _smooth_noise(rng: np.random.Generator, sigma_rows: float, sigma_cols: float) -> np.ndarray:
    """(SIDE, SIDE, 1) noise of unit variance, that wraps around."""
    noise = gaussian_filter(rng.standard_normal((SIDE, SIDE)), (sigma_rows, sigma_cols), mode="wrap")
    return (noise / noise.std())[..., None]


def _cuts(rng: np.random.Generator, low: int, high: int, step: int = 1) -> np.ndarray:
    """Starts of pieces, each ``low`` to ``high`` texels wide, that together fill a side."""
    starts = [0]
    while starts[-1] + 2 * high < SIDE:
        starts.append(starts[-1] + int(rng.integers(low, high + 1)) // step * step)
    return np.array(starts)


def _piece_of_texel(starts: np.ndarray) -> np.ndarray:
    return np.searchsorted(starts, np.arange(SIDE), side="right") - 1


def _flat(color: np.ndarray) -> Image:
    return np.broadcast_to(color, (SIDE, SIDE, 3)).copy()


def _paint(colors: Colors, rng: np.random.Generator) -> Image:
    """A painted wall: pale, with faint unevenness."""
    return _flat(0.55 + 0.45 * colors[0]) + 0.02 * _smooth_noise(rng, 25, 25) + 0.008 * _smooth_noise(rng, 1, 1)


def _planks(colors: Colors, rng: np.random.Generator) -> Image:
    """Floor boards 16 cm wide, each of its own shade and length."""
    wood = 0.5 * colors[0] + 0.5 * np.array([0.55, 0.38, 0.22])
    image = np.empty((SIDE, SIDE, 3))
    for top in range(0, SIDE, 16):
        starts = _cuts(rng, 70, 130)
        shade = rng.normal(1, 0.13, len(starts))
        row = np.roll(shade[_piece_of_texel(starts)], int(rng.integers(SIDE)))
        joint = np.flatnonzero(np.diff(row, prepend=row[-1]))
        image[top : top + 16] = wood * row[:, None]
        image[top : top + 16, joint] = wood * 0.45
        image[top] = wood * 0.5
    return image * (1 + 0.07 * _smooth_noise(rng, 0.8, 14))


def _tiles(colors: Colors, rng: np.random.Generator) -> Image:
    """Tiles of 32 cm in two shades, strewn, with pale joints."""
    shades = np.where(rng.random((SIDE // 32, SIDE // 32, 1)) < 0.25, colors[1], 0.35 + 0.6 * colors[0])
    image = np.kron(shades + rng.normal(0, 0.03, shades.shape[:2] + (1,)), np.ones((32, 32, 1)))
    joint = (np.arange(SIDE) % 32) < 2
    image[joint] = image[:, joint] = 0.8
    return image + 0.02 * _smooth_noise(rng, 3, 3)


def _checks(colors: Colors, rng: np.random.Generator) -> Image:
    """Two colours in squares of 8 cm."""
    odd = np.add.outer(np.arange(SIDE) // 8, np.arange(SIDE) // 8) % 2
    return np.where(odd[..., None], colors[0], 0.4 + 0.6 * colors[1]) + 0.03 * _smooth_noise(rng, 1, 1)


def _stripes(colors: Colors, rng: np.random.Generator) -> Image:
    """Upright stripes of uneven width in four colours."""
    starts = _cuts(rng, 3, 14)
    shown = rng.integers(0, 4, len(starts))[_piece_of_texel(starts)]
    return np.broadcast_to(colors[shown][None], (SIDE, SIDE, 3)) + 0.03 * _smooth_noise(rng, 1, 1)


def _wallpaper(colors: Colors, rng: np.random.Generator) -> Image:
    """Diamonds of 32 cm with a dot inside, on a pale ground."""
    place = np.arange(SIDE) % 32 - 15.5
    distance = np.add.outer(np.abs(place), np.abs(place))[..., None]
    ground = 0.5 + 0.5 * colors[0]
    image = np.where(np.abs(distance - 14) < 1.6, 0.3 + 0.6 * colors[1], ground)
    return np.where(distance < 5, colors[2], image) + 0.015 * _smooth_noise(rng, 2, 2)


def _cloth(colors: Colors, rng: np.random.Generator) -> Image:
    """Woven cloth with worn patches."""
    threads = 0.03 * ((np.arange(SIDE) // 2) % 2)[:, None, None] + 0.03 * ((np.arange(SIDE) // 2) % 2)[:, None]
    return colors[0] * (1 + 0.12 * _smooth_noise(rng, 6, 6) + 0.06 * _smooth_noise(rng, 1, 1)) + threads


def _carpet(colors: Colors, rng: np.random.Generator) -> Image:
    """Blotches of three colours, a few decimetres across."""
    fields = np.concatenate([_smooth_noise(rng, 7, 7) for _ in range(3)], axis=2)
    return colors[fields.argmax(axis=2)] * (1 + 0.1 * _smooth_noise(rng, 1, 1))


def _books(colors: Colors, rng: np.random.Generator) -> Image:
    """Backs of books on boards 32 cm apart."""
    image = np.empty((SIDE, SIDE, 3))
    for top in range(0, SIDE, 32):
        starts = _cuts(rng, 2, 6)
        piece = _piece_of_texel(starts)
        shown = colors[rng.integers(0, len(colors), len(starts))] * rng.uniform(0.5, 1.1, (len(starts), 1))
        heights = rng.integers(20, 30, len(starts))[piece]
        above = np.arange(32)[:, None] >= heights  # rows grow upwards: the gap over a book is dark
        image[top : top + 32] = np.where(above[..., None], 0.12, shown[piece][None])
        image[top : top + 3] = 0.5 * colors[0] + np.array([0.25, 0.18, 0.1])
    return image


def _wood(colors: Colors, rng: np.random.Generator) -> Image:
    """Furniture wood with a long grain."""
    wood = 0.45 * colors[0] + 0.55 * np.array([0.5, 0.33, 0.2])
    grain = 0.10 * _smooth_noise(rng, 1.5, 30) + 0.05 * _smooth_noise(rng, 0.7, 8)
    return wood * (1 + grain)


def _panels(colors: Colors, rng: np.random.Generator) -> Image:
    """Cabinet fronts: panels of 48 by 36 cm with dark gaps and a handle."""
    image = _flat(0.3 + 0.6 * colors[0]) + 0.02 * _smooth_noise(rng, 2, 20)
    rows, cols = np.arange(SIDE) % 36, np.arange(SIDE) % 48
    image[rows < 2] = image[:, cols < 2] = 0.15
    handle = ((rows >= 26) & (rows < 29))[:, None] & ((cols >= 16) & (cols < 32))[None]
    image[handle] = colors[1]
    return image


def _picture(colors: Colors, rng: np.random.Generator) -> Image:
    """A painting: smooth shapes of all the colours."""
    fields = np.concatenate([_smooth_noise(rng, 9, 12) for _ in range(len(colors))], axis=2)
    return colors[fields.argmax(axis=2)] + 0.06 * _smooth_noise(rng, 2, 2)


def _window(colors: Colors, rng: np.random.Generator) -> Image:
    """Bright panes of 40 cm between bars, with the sky's unevenness."""
    sky = np.array([0.78, 0.88, 0.97]) + 0.05 * _smooth_noise(rng, 12, 25)
    bar = (np.arange(SIDE) % 40) < 4
    sky[bar] = sky[:, bar] = 0.35 + 0.5 * colors[0]
    return sky


MATERIALS: dict[str, Callable[[Colors, np.random.Generator], Image]] = {
    "paint": _paint,
    "planks": _planks,
    "tiles": _tiles,
    "checks": _checks,
    "stripes": _stripes,
    "wallpaper": _wallpaper,
    "cloth": _cloth,
    "carpet": _carpet,
    "books": _books,
    "wood": _wood,
    "panels": _panels,
    "picture": _picture,
    "window": _window,
}
