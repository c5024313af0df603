"""Curves over two logarithmic axes, as a PNG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from sparse3d.errors import InputError
from sparse3d.visualize.layout import BACKGROUND, FAINT, INK, font, text_size
from sparse3d.whole_files import write_whole

Curves = Mapping[str, Sequence[tuple[float, float]]]
# Told apart by colour-blind eyes as well (Okabe and Ito, "Color universal design", 2008).
_COLORS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0), (86, 180, 233))
_SIZE, _LEFT, _RIGHT, _TOP, _BOTTOM = (860, 520), 70, 250, 24, 44
_TEXT = 13


def check_picture_path(path: Path) -> None:
    """Raises InputError where no PNG can be written, before anything is measured."""
    if path.suffix.lower() != ".png":
        raise InputError(f"--picture {path}: the picture is a PNG, end its name in .png")
    if not path.parent.is_dir():
        raise InputError(f"--picture {path}: there is no folder {path.parent}")


def save_curves(path: Path, curves: Curves, x_label: str, y_label: str) -> None:
    """Writes :func:`draw_curves` to ``path``, at once and whole."""
    picture = draw_curves(curves, x_label, y_label)
    write_whole(path, lambda file: picture.save(file, format="PNG"))


def draw_curves(curves: Curves, x_label: str, y_label: str) -> Image.Image:
    """The curves with their points marked and a legend at the right; all values must be positive."""
    canvas = Image.new("RGB", _SIZE, BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    points = [point for curve in curves.values() for point in curve]
    x = LogScale([p[0] for p in points], _LEFT, _SIZE[0] - _RIGHT)
    y = LogScale([p[1] for p in points], _SIZE[1] - _BOTTOM, _TOP)
    if len({p[0] for p in points}) <= 8:
        x.ticks = sorted({p[0] for p in points})
    _draw_axes(draw, x, y, x_label, y_label)
    for number, (title, curve) in enumerate(curves.items()):
        color = _COLORS[number % len(_COLORS)]
        places = [(x(a), y(b)) for a, b in curve]
        draw.line(places, fill=color, width=2)
        for a, b in places:
            draw.ellipse((a - 3, b - 3, a + 3, b + 3), fill=color)
        row = _TOP + 20 * number
        draw.line((_SIZE[0] - _RIGHT + 14, row + 7, _SIZE[0] - _RIGHT + 34, row + 7), fill=color, width=3)
        draw.text((_SIZE[0] - _RIGHT + 40, row), title, fill=INK, font=font(_TEXT))
    return canvas


def _draw_axes(draw: ImageDraw.ImageDraw, x: LogScale, y: LogScale, x_label: str, y_label: str) -> None:
    left, right, bottom, top = _LEFT, _SIZE[0] - _RIGHT, _SIZE[1] - _BOTTOM, _TOP
    for value in x.ticks:
        draw.line((x(value), bottom, x(value), top), fill=(230, 230, 230))
        text = f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"
        draw.text((x(value) - text_size(text, _TEXT)[0] / 2, bottom + 5), text, fill=INK, font=font(_TEXT))
    for value in y.ticks:
        draw.line((left, y(value), right, y(value)), fill=(230, 230, 230))
        text = f"{value:g}"
        draw.text((left - 6 - text_size(text, _TEXT)[0], y(value) - 8), text, fill=INK, font=font(_TEXT))
    draw.rectangle((left, top, right, bottom), outline=FAINT)
    x_label, y_label = f"{x_label}, logarithmic", f"{y_label}, logarithmic"
    draw.text((right - text_size(x_label, _TEXT)[0], bottom + 22), x_label, fill=INK, font=font(_TEXT))
    draw.text((6, 4), y_label, fill=INK, font=font(_TEXT))


class LogScale:
    """A logarithmic axis from pixel ``start`` to ``end``, a little wider than its values."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = math.log10(min(values)), math.log10(max(values))
        margin = max(0.04 * (high - low), 0.02)
        self._low, self._high, self._start, self._end = low - margin, high + margin, start, end
        marks = _round_powers(self._low, self._high) if high - low >= 1 else _even_marks(10**low, 10**high)
        self.ticks: list[float] = [value for value in marks if self._low <= math.log10(value) <= self._high]

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)


def _round_powers(low: float, high: float) -> list[float]:
    powers = range(math.floor(low), math.ceil(high) + 1)
    return [factor * 10.0**power for power in powers for factor in (1, 2, 5)]


def _even_marks(low: float, high: float) -> list[float]:
    """Multiples of a round step, four or more from ``low`` to ``high``: within a decade 1, 2 and 5 would be too few."""
    wanted = max(high - low, 0.05 * high) / 4
    unit = 10.0 ** math.floor(math.log10(wanted))
    step = max(factor * unit for factor in (1, 2, 5) if factor * unit <= wanted * (1 + 1e-9))
    return [round(k * step, 12) for k in range(max(1, math.floor(low / step)), math.ceil(high / step) + 1)]
