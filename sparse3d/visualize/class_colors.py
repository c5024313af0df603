"""Colours of classes and instances, and their legend."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from sparse3d.visualize.layout import BACKGROUND, INK, font, text_size

NONE = (205, 205, 205)  # without a label
_GOLDEN = 0.6180339887498949


def palette_colors(indices: np.ndarray, palette: np.ndarray | Sequence[Sequence[int]]) -> np.ndarray:
    """(..., 3) uint8: the row of ``palette`` (C, 3) for each index (...); grey for one outside the palette."""
    table = np.concatenate([np.asarray(palette, dtype=np.uint8).reshape(-1, 3), [NONE]]).astype(np.uint8)
    indices = np.asarray(indices)
    known = (indices >= 0) & (indices < len(table) - 1)
    return table[np.where(known, indices, len(table) - 1)]


def distinct_colors(count: int) -> np.ndarray:
    """(count, 3) uint8 colours, neighbours in the list far apart: hues by the golden ratio at three levels of light."""
    rows = []
    for k in range(count):
        hue = (0.07 + k * _GOLDEN) % 1.0
        light, strength = ((0.55, 0.75), (0.40, 0.80), (0.72, 0.70))[k % 3]
        rows.append([round(255 * channel) for channel in colorsys.hls_to_rgb(hue, light, strength)])
    return np.array(rows, dtype=np.uint8).reshape(-1, 3)


def legend(names: Sequence[str], colors: Sequence[Sequence[int]] | np.ndarray, width: int = 800) -> np.ndarray:
    """A strip (h, ``width``, 3) uint8 of swatches with names, in as many lines as it takes."""
    line = text_size("Ag")[1] + 6
    places, at, row = [], 4, 0
    for name in names:
        long = line + 4 + text_size(name)[0] + 14
        if at + long > width and at > 4:
            at, row = 4, row + 1
        places.append((at, row * line))
        at += long
    canvas = Image.new("RGB", (width, (row + 1) * line + 4), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for name, color, (left, top) in zip(names, colors, places, strict=True):
        swatch = (left, top + 3, left + line - 6, top + line - 3)
        draw.rectangle(swatch, fill=tuple(int(c) for c in color), outline=INK)
        draw.text((left + line, top + 2), name, fill=INK, font=font())
    return np.asarray(canvas)
