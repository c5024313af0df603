"""Bar charts of distributions, drawn like every other picture: (H, W, 3) uint8."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from sparse3d.visualize.layout import BACKGROUND, FAINT, INK, font, text_size

BAR = (70, 110, 170)
PALE = (190, 205, 225)
_TEXT = 12


def histogram_picture(
    counts: np.ndarray,
    edges: np.ndarray,
    unit: str = "",
    marked: tuple[float, float] | None = None,
    size: tuple[int, int] = (240, 420),
) -> np.ndarray:
    """Bars of ``counts`` (N,) over the bins between ``edges`` (N + 1,), with a labelled horizontal axis.

    Args:
        counts: height of each bar; the largest is written at its height.
        edges: rising, in ``unit``.
        unit: written behind the axis' labels.
        marked: bins whose middle lies outside this range are pale; None marks all.
        size: (H, W) pixels.
    """
    counts, edges = np.asarray(counts), np.asarray(edges, dtype=np.float64)
    if len(edges) != len(counts) + 1 or len(counts) == 0:
        raise ValueError(f"{len(counts)} counts need {len(counts) + 1} edges, got {len(edges)}")
    height, width = size
    canvas = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    line = text_size("Ag", _TEXT)[1]
    top, base, left, right = line + 6, height - line - 8, 8, width - 14
    tallest = max(float(counts.max()), 1e-12)
    x = left + (edges - edges[0]) / max(edges[-1] - edges[0], 1e-12) * (right - left)
    middles = (edges[:-1] + edges[1:]) / 2
    for count, middle, start, end in zip(counts, middles, x[:-1], x[1:], strict=True):
        if count > 0:
            inside = marked is None or marked[0] <= middle <= marked[1]
            peak = base - max(1.0, float(count) / tallest * (base - top))
            draw.rectangle((start, peak, max(start, end - 1), base), fill=BAR if inside else PALE)
    draw.line((left, base + 1, right, base + 1), fill=FAINT)

    def write(at: float, row: float, text: str) -> None:
        wide = text_size(text, _TEXT)[0]
        draw.text((min(max(at - wide / 2, 2), width - wide - 2), row), text, fill=INK, font=font(_TEXT))

    for value in round_values(float(edges[0]), float(edges[-1])):
        at = left + (value - edges[0]) / (edges[-1] - edges[0]) * (right - left)
        draw.line((at, base + 1, at, base + 4), fill=FAINT)
        write(at, base + 5, f"{value:.6g}{unit and ' ' + unit}")
    highest = int(counts.argmax())
    write((x[highest] + x[highest + 1]) / 2, 1, f"{counts[highest]:,}")
    return np.asarray(canvas)


def round_values(low: float, high: float) -> np.ndarray:
    """Three to eight multiples of 1, 2 or 5 times a power of ten from ``low`` to ``high``; none if they are equal."""
    if not high > low:
        return np.zeros(0)
    raw = (high - low) / 6
    power = 10.0 ** np.floor(np.log10(raw))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= raw)
    return np.arange(np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9) + 1) * step
