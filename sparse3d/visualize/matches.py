"""Correspondences drawn across two images."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from sparse3d.visualize.layout import BACKGROUND, GAP, resized

TRUE = (70, 150, 255)
RIGHT = (40, 200, 80)
WRONG = (240, 60, 50)
_SMOOTH = 2  # drawn so many times larger, then shrunk: Pillow's lines have no smooth edges


def spread_choice(pixels: np.ndarray, count: int) -> np.ndarray:
    """Rows of at most ``count`` of the ``pixels`` (M, 2), far from each other: each is the farthest from those before.

    Starts at the pixel nearest to their middle; of equally far ones takes the first, so the choice is always the same.
    """
    places = np.asarray(pixels, dtype=np.float64).reshape(-1, 2)
    if len(places) == 0 or count < 1:
        return np.zeros(0, dtype=np.int64)
    chosen = [int(((places - places.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    distance = ((places - places[chosen[0]]) ** 2).sum(axis=1)
    distance[chosen] = -1  # never again, even where several pixels are one and the same
    while len(chosen) < min(count, len(places)):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, ((places - places[chosen[-1]]) ** 2).sum(axis=1))
        distance[chosen] = -1
    return np.array(chosen, dtype=np.int64)


def draw_matches(
    image_a: np.ndarray,
    image_b: np.ndarray,
    pixels_a: np.ndarray,
    true_pixels_b: np.ndarray,
    predicted_pixels_b: np.ndarray | None = None,
    correct: np.ndarray | None = None,
    count: int = 40,
    scale: float = 1.0,
) -> np.ndarray:
    """Both images in a row with lines between matching pixels.

    Blue leads to the true match. With predictions, a line leads to the predicted pixel, green where ``correct`` and red
    where not; a wrong one is joined to a ring at the truth by a thin blue line.

    Args:
        image_a, image_b: (H, W, 3) uint8, of equal or different size.
        pixels_a: (M, 2) (row, col) in a; M may be 0.
        true_pixels_b: (M, 2) in b.
        predicted_pixels_b: (M, 2) in b, or None to draw the truth alone.
        correct: (M,) bool, whether the prediction is near enough; needed with predictions.
        count: at most so many are drawn, spread over ``image_a``.
        scale: of the picture against the images.
    """
    if predicted_pixels_b is not None and correct is None:
        raise ValueError("predictions need `correct`, which says what colour they get")
    chosen = spread_choice(pixels_a, count)
    factor = scale * _SMOOTH
    parts = [resized(i, round(i.shape[0] * factor), round(i.shape[1] * factor)) for i in (image_a, image_b)]
    offset = parts[0].shape[1] + GAP * _SMOOTH
    canvas = Image.new("RGB", (offset + parts[1].shape[1], max(part.shape[0] for part in parts)), BACKGROUND)
    canvas.paste(Image.fromarray(parts[0]), (0, 0))
    canvas.paste(Image.fromarray(parts[1]), (offset, 0))
    draw = ImageDraw.Draw(canvas)

    def place(pixel: np.ndarray, shift: int) -> tuple[float, float]:
        return float((pixel[1] + 0.5) * factor + shift), float((pixel[0] + 0.5) * factor)

    for row in chosen:
        start, truth = place(pixels_a[row], 0), place(true_pixels_b[row], offset)
        if predicted_pixels_b is None or correct is None:
            _connect(draw, start, truth, TRUE)
            continue
        end = place(predicted_pixels_b[row], offset)
        _connect(draw, start, end, RIGHT if correct[row] else WRONG)
        if not correct[row]:
            draw.line((*end, *truth), fill=TRUE, width=_SMOOTH)
            draw.circle(truth, 4 * _SMOOTH, outline=TRUE, width=_SMOOTH)
    size = (canvas.width // _SMOOTH, canvas.height // _SMOOTH)
    return np.asarray(canvas.resize(size, Image.Resampling.BOX))


def _connect(
    draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float], color: tuple[int, int, int]
) -> None:
    draw.line((*start, *end), fill=color, width=_SMOOTH)
    for point in (start, end):
        draw.circle(point, 2.5 * _SMOOTH, fill=color, outline=(255, 255, 255))
