"""The confusion matrix and the curves of precision over recall as pictures, (H, W, 3) uint8."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from sparse3d.visualize.charts import round_values
from sparse3d.visualize.colors import ramp_colors
from sparse3d.visualize.layout import BACKGROUND, FAINT, GAP, INK, font, text_size

_TEXT = 12
_GRID = (228, 228, 228)
_NOTHING = (244, 244, 244)  # a class that does not occur has no shares
_SMOOTH = 3  # lines are drawn so many times larger, then shrunk: Pillow's have no smooth edges
# Told apart in lightness and hue; from the 11th on, lines are dashed.
LINE_COLORS = (
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
    (140, 86, 75), (227, 119, 194), (110, 110, 110), (160, 160, 30), (23, 190, 207),
)  # fmt: skip


def confusion_picture(matrix: np.ndarray, classes: Sequence[str], cell: int = 26) -> np.ndarray:
    """Shares of each true class (row) by what it was predicted as (column), in percent; rows add up to 100.

    Args:
        matrix: (C, C) or (C, C + 1) counts, rows true; a last column beside the classes' is "none of them".
        classes: the C names.
        cell: edge of a cell, pixels; below 20 (many classes) the numbers are left out.

    Returns:
        The picture; dark is 0, bright is 1, a class that does not occur is pale grey.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    count = len(classes)
    if count == 0 or matrix.ndim != 2 or matrix.shape[0] != count or matrix.shape[1] not in (count, count + 1):
        raise ValueError(f"a matrix {matrix.shape} does not fit {count} classes")
    names = [*classes, "(none)"][: matrix.shape[1]]
    total = matrix.sum(axis=1, keepdims=True)
    share = np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)
    size = _TEXT if cell >= 15 else max(7, cell - 2)
    names_wide = max(text_size(name, size)[0] for name in names) + 8
    line = text_size("Ag", _TEXT)[1]
    left, top = names_wide + line + 6, names_wide + line + 6
    canvas = Image.new("RGB", (left + cell * len(names) + GAP, top + cell * count + GAP), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    colors = ramp_colors(share)
    for row in range(count):
        for column in range(len(names)):
            x, y = left + column * cell, top + row * cell
            fill = tuple(int(v) for v in colors[row, column]) if total[row] > 0 else _NOTHING
            draw.rectangle((x, y, x + cell - 2, y + cell - 2), fill=fill)
            percent = round(100 * share[row, column])
            if cell >= 20 and percent > 0:
                _centered(draw, (x + cell / 2 - 1, y + cell / 2 - 1), str(percent), INK if percent > 60 else BACKGROUND)
    _axis_names(canvas, names[:count], names, (left, top), cell, size)
    draw.text((left, 2), "predicted, % of the true class", fill=FAINT, font=font(_TEXT))
    _upright(canvas, "true", (2, top), _TEXT, FAINT)
    return np.asarray(canvas)


def _axis_names(
    canvas: Image.Image, rows: Sequence[str], columns: Sequence[str], corner: tuple[int, int], cell: int, size: int
) -> None:
    draw, (left, top) = ImageDraw.Draw(canvas), corner
    for k, name in enumerate(rows):
        wide, high = text_size(name, size)
        draw.text((left - wide - 5, top + k * cell + (cell - high) / 2 - 1), name, fill=INK, font=font(size))
    for k, name in enumerate(columns):
        wide, high = text_size(name, size)
        _upright(canvas, name, (left + k * cell + (cell - high) // 2 - 1, top - wide - 7), size, INK)


def _upright(canvas: Image.Image, text: str, at: tuple[int, int], size: int, color: tuple[int, int, int]) -> None:
    """``text`` read from below upwards, its upper left corner at (x, y) ``at``."""
    wide, high = text_size(text, size)
    strip = Image.new("L", (wide + 2, high + 2), 0)
    ImageDraw.Draw(strip).text((1, 0), text, fill=255, font=font(size))
    turned = strip.transpose(Image.Transpose.ROTATE_90)
    canvas.paste(Image.new("RGB", turned.size, color), at, turned)


def _centered(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, color: tuple[int, int, int]) -> None:
    left, top, right, bottom = font(_TEXT - 2).getbbox(text)
    place = (at[0] - (left + right) / 2, at[1] - (top + bottom) / 2)
    draw.text(place, text, fill=color, font=font(_TEXT - 2))


def precision_recall_picture(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    figures: Mapping[str, float] | None = None,
    size: tuple[int, int] = (380, 400),
) -> np.ndarray:
    """Precision over recall, a line a class, with the names beside it.

    Args:
        curves: by name, recall (K,) and precision (K,), both in [0, 1], recall not falling. Empty ones, and those with
            NaN (classes without truth), keep their name and have no line.
        figures: a number in [0, 1] of each name, written in percent behind it, for instance the average precision.
        size: (H, W) pixels of the picture without the names.
    """
    for name, (recall, precision) in curves.items():
        if np.shape(recall) != np.shape(precision) or np.ndim(recall) != 1:
            raise ValueError(f"curve {name}: recall {np.shape(recall)} and precision {np.shape(precision)} differ")
    height, width = size
    line = text_size("Ag", _TEXT)[1]
    box = (text_size("100", _TEXT)[0] + 8, line + 8, width - 8, height - 2 * line - 12)  # left, top, right, bottom
    canvas = _axes(size, box)
    large = canvas.resize((width * _SMOOTH, height * _SMOOTH), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(large)
    for k, (recall, precision) in enumerate(curves.values()):
        known = np.isfinite(recall) & np.isfinite(precision)
        if not known.any():
            continue
        x = box[0] + np.asarray(recall)[known] * (box[2] - box[0])
        y = box[3] - np.asarray(precision)[known] * (box[3] - box[1])
        # A curve starts at the precision of its first detection, at recall 0.
        points = np.stack([np.append(box[0], x), np.append(y[0], y)], axis=1) * _SMOOTH
        _line(draw, points, LINE_COLORS[k % len(LINE_COLORS)], dashed=k >= len(LINE_COLORS))
    picture = np.array(large.resize((width, height), Image.Resampling.LANCZOS))
    sharp = np.asarray(canvas)
    outside = np.ones((height, width), dtype=bool)
    outside[box[1] - 1 : box[3] + 2, box[0] - 1 : box[2] + 2] = False
    picture[outside] = sharp[outside]  # text stays as it was drawn
    return np.concatenate([picture, _legend(list(curves), figures or {}, height)], axis=1)


def _axes(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    height, width = size
    left, top, right, bottom = box
    canvas = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for value in round_values(0, 100):
        x, y = left + value / 100 * (right - left), bottom - value / 100 * (bottom - top)
        draw.line((x, top, x, bottom), fill=_GRID)
        draw.line((left, y, right, y), fill=_GRID)
        text = f"{value + 0.0:g}"  # no "-0"
        wide, high = text_size(text, _TEXT)
        draw.text((min(x - wide / 2, width - wide), bottom + 3), text, fill=INK, font=font(_TEXT))
        draw.text((left - wide - 4, y - high / 2), text, fill=INK, font=font(_TEXT))
    draw.line((left, top, left, bottom, right, bottom), fill=FAINT)
    draw.text((2, 0), "precision, %", fill=FAINT, font=font(_TEXT))
    wide, high = text_size("recall, %", _TEXT)
    draw.text((right - wide, height - high - 3), "recall, %", fill=FAINT, font=font(_TEXT))
    return canvas


def _line(draw: ImageDraw.ImageDraw, points: np.ndarray, color: tuple[int, int, int], dashed: bool) -> None:
    wide = 2 * _SMOOTH
    if not dashed:
        draw.line([(float(x), float(y)) for x, y in points], fill=color, width=wide, joint="curve")
        return
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    way = np.append(0, np.cumsum(steps))
    for start in np.arange(0, way[-1], 8.0 * _SMOOTH):
        ends = np.clip([start, start + 5.0 * _SMOOTH], 0, way[-1])
        at = np.concatenate([ends[:1], way[(way > ends[0]) & (way < ends[1])], ends[1:]])
        dash = np.stack([np.interp(at, way, points[:, 0]), np.interp(at, way, points[:, 1])], axis=1)
        draw.line([(float(x), float(y)) for x, y in dash], fill=color, width=wide)


def _legend(names: Sequence[str], figures: Mapping[str, float], height: int) -> np.ndarray:
    """Names with their lines, in as many columns as the height asks for."""
    row = text_size("Ag", _TEXT)[1] + 3
    texts = []
    for name in names:
        figure = figures.get(name, np.nan)
        texts.append(f"{name}  {100 * figure:.1f}" if np.isfinite(figure) else f"{name}  -" if figures else name)
    rows = max(1, (height - 2 * GAP) // row)
    column = max([text_size(text, _TEXT)[0] for text in texts], default=0) + 34
    columns = max(1, -(-len(texts) // rows))
    canvas = Image.new("RGB", (columns * column, height), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for k, text in enumerate(texts):
        x, y = k // rows * column + 4, GAP + k % rows * row
        for start, end in [(0, 5), (8, 13), (16, 20)] if k >= len(LINE_COLORS) else [(0, 20)]:
            middle = y + row / 2
            draw.line((x + start, middle, x + end, middle), fill=LINE_COLORS[k % len(LINE_COLORS)], width=2)
        draw.text((x + 26, y), text, fill=INK, font=font(_TEXT))
    return np.asarray(canvas)
