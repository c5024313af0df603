"""Feature maps, error heat maps and overlap matrices as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from sparse3d.visualize.colors import ColorSpace, ramp_colors
from sparse3d.visualize.layout import BACKGROUND, FAINT, INK, font, resized, text_size, with_color_bar

EMPTY = (228, 228, 228)  # cells without a feature


def feature_map_picture(
    maps: np.ndarray, mask: np.ndarray | None, size: tuple[int, int], space: ColorSpace | None = None
) -> np.ndarray:
    """One feature map in PCA colours, (H, W, 3) uint8, light grey where there is no feature.

    Args:
        maps: (C, h, w).
        mask: (h, w) bool, where there are features; None for everywhere.
        size: (H, W) of the picture.
        space: colours shared with other maps; None fits them to this map alone.
    """
    channels, height, width = maps.shape
    known = np.ones((height, width), dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    rows = maps.reshape(channels, -1).T[known.ravel()]
    picture = np.empty((height, width, 3), dtype=np.uint8)
    picture[:] = EMPTY
    picture[known] = (space or ColorSpace.fit(rows)).colors(rows)
    return resized(picture, *size, smooth=False)


def error_heat_map(
    image: np.ndarray, pixels: np.ndarray, errors: np.ndarray, max_error: float, cell: int = 1, unit: str = "m"
) -> np.ndarray:
    """``image`` with the errors at ``pixels`` painted over it, and a colour bar at its right.

    Args:
        image: (H, W, 3) uint8; pixels without an error stay as they are.
        pixels: (M, 2) int (row, col).
        errors: (M,) in ``unit``; those that are not finite are left out.
        max_error: error of the bright end; larger ones have its colour.
        cell: each error paints the ``cell`` x ``cell`` square that starts at its pixel.
        unit: written at the bar.
    """
    if max_error <= 0:
        raise ValueError(f"max_error must be positive, got {max_error}")
    errors = np.asarray(errors, dtype=np.float64).reshape(-1)
    finite = np.isfinite(errors)
    pixels, colors = np.asarray(pixels).reshape(-1, 2)[finite], ramp_colors(errors[finite] / max_error)
    painted = image.copy()
    height, width = image.shape[:2]
    for row in range(cell):
        for col in range(cell):
            r, c = pixels[:, 0] + row, pixels[:, 1] + col
            inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
            painted[r[inside], c[inside]] = colors[inside]
    return with_color_bar(painted, max_error, unit, open_end=True)


def overlap_matrix_picture(overlap: np.ndarray, names: Sequence[str] | None = None, edge: int = 420) -> np.ndarray:
    """The overlap of all pairs of F frames as a square picture with frame names at the axes and a colour bar.

    Args:
        overlap: (F, F) in [0, 1].
        names: F names, of which a few are written; None writes the frames' places.
        edge: length of the matrix in pixels, at least; more frames than pixels are thinned out evenly.
    """
    count = len(overlap)
    if count == 0:
        raise ValueError("an overlap matrix of no frames has no picture")
    shown = np.floor((np.arange(edge) + 0.5) * count / edge).astype(np.int64)  # the frame at each pixel
    matrix = with_color_bar(ramp_colors(overlap)[shown[:, None], shown], 1.0, "")
    ticks = np.unique(np.linspace(0, count - 1, min(count, 6)).round().astype(np.int64))
    texts = [str(tick) if names is None else names[tick] for tick in ticks]
    left = max(text_size(text, 12)[0] for text in texts) + 8
    bottom = text_size("Ag", 12)[1] + 8
    canvas = Image.new("RGB", (left + matrix.shape[1], edge + bottom), BACKGROUND)
    canvas.paste(Image.fromarray(matrix), (left, 0))
    draw = ImageDraw.Draw(canvas)
    end = -1.0
    for tick, text in zip(ticks, texts, strict=True):
        place = (tick + 0.5) * edge / count
        wide, high = text_size(text, 12)
        draw.line((left - 4, place, left - 1, place), fill=FAINT)
        draw.text((left - 6 - wide, min(max(place - high / 2, 0), edge - high)), text, fill=INK, font=font(12))
        start = min(max(left + place - wide / 2, left), left + edge - wide)
        if start > end:
            draw.line((left + place, edge, left + place, edge + 3), fill=FAINT)
            draw.text((start, edge + 4), text, fill=INK, font=font(12))
            end = start + wide + 6
    return np.asarray(canvas)
