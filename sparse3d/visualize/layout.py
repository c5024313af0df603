"""Pictures put together: captions, rows, columns, colour bars. All pictures are (H, W, 3) uint8 arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sparse3d.visualize.colors import ramp_colors

BACKGROUND = (255, 255, 255)
INK = (30, 30, 30)
FAINT = (150, 150, 150)
GAP = 6  # pixels between pictures


@cache
def font(size: int = 14) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, so that pictures look the same on every machine."""
    return ImageFont.load_default(size)


def text_size(text: str, size: int = 14) -> tuple[int, int]:
    """Width and height in pixels of ``text`` (one line; the height is the font's, the same for every text)."""
    left, _, right, _ = font(size).getbbox(text)
    _, top, _, bottom = font(size).getbbox("Ag")
    return int(np.ceil(right - left)), int(np.ceil(bottom - min(top, 0)))


def caption(image: np.ndarray, text: str, size: int = 14) -> np.ndarray:
    """``image`` under a line of text, which is shortened when it does not fit."""
    height = text_size("Ag", size)[1] + 5
    strip = Image.new("RGB", (image.shape[1], height), BACKGROUND)
    ImageDraw.Draw(strip).text((2, 1), _shortened(text, image.shape[1] - 4, size), fill=INK, font=font(size))
    return np.concatenate([np.asarray(strip), image])


def _shortened(text: str, width: int, size: int) -> str:
    if text_size(text, size)[0] <= width:
        return text
    while text and text_size(text + "...", size)[0] > width:
        text = text[:-1]
    return text.rstrip() + "..."


def side_by_side(images: Sequence[np.ndarray], labels: Sequence[str] | None = None, gap: int = GAP) -> np.ndarray:
    """``images`` in a row, each under its label; lower ones are filled up at the bottom."""
    if labels is not None:
        images = [caption(image, label) for image, label in zip(images, labels, strict=True)]
    height = max(image.shape[0] for image in images)
    parts: list[np.ndarray] = []
    for image in images:
        parts += [_blank(height, gap), _padded(image, height, image.shape[1])]
    return np.concatenate(parts[1:], axis=1)


def stacked(images: Sequence[np.ndarray], gap: int = GAP) -> np.ndarray:
    """``images`` in a column; narrower ones are filled up at the right."""
    width = max(image.shape[1] for image in images)
    parts: list[np.ndarray] = []
    for image in images:
        parts += [_blank(gap, width), _padded(image, image.shape[0], width)]
    return np.concatenate(parts[1:])


def resized(image: np.ndarray, height: int, width: int, smooth: bool = True) -> np.ndarray:
    """``image`` at another size; ``smooth`` False keeps cells square-edged and unmixed."""
    method = Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(image).resize((width, height), method))


def with_color_bar(image: np.ndarray, high: float, unit: str, low: float = 0.0, open_end: bool = False) -> np.ndarray:
    """``image`` beside a bar of the ramp with its ends and middle labelled.

    Args:
        image: the picture.
        high: value of the bright end.
        unit: written behind the values.
        low: value of the dark end.
        open_end: whether larger values have the bright end's colour.
    """
    size, bar = 12, 14
    ends = [(1.0, high), (0.5, (low + high) / 2), (0.0, low)]
    texts = [f"{value:g}{unit and ' ' + unit}" for _, value in ends]
    if open_end:
        texts[0] = "> " + texts[0]
    width = GAP + bar + 4 + max(text_size(text, size)[0] for text in texts) + 2
    panel = np.full((image.shape[0], width, 3), BACKGROUND, dtype=np.uint8)
    panel[:, GAP : GAP + bar] = ramp_colors(np.linspace(1, 0, image.shape[0]))[:, None]
    canvas = Image.fromarray(panel)
    draw = ImageDraw.Draw(canvas)
    line = text_size("Ag", size)[1]
    for (place, _), text in zip(ends, texts, strict=True):
        top = (1 - place) * (image.shape[0] - line) - 1
        draw.text((GAP + bar + 4, top), text, fill=INK, font=font(size))
    return np.concatenate([image, np.asarray(canvas)], axis=1)


def _blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), BACKGROUND, dtype=np.uint8)


def _padded(image: np.ndarray, height: int, width: int) -> np.ndarray:
    canvas = _blank(height, width)
    canvas[: image.shape[0], : image.shape[1]] = image
    return canvas
