"""The colours of one room: a scheme of hues, neutrals and wood tones.

Colours are drawn and varied as (lightness, chroma, hue) of OKLab, in which equal steps look equal (Bjorn Ottosson, "A
perceptual color space for image processing", 2020); :func:`srgb` gives what a texture holds.
"""

from __future__ import annotations

import numpy as np

# Hues of a scheme, radians beside its first hue.
_SCHEMES: tuple[tuple[float, ...], ...] = (
    (0.0, 0.2, -0.2, 0.1),
    (0.0, 0.7, -0.7, 0.3),
    (0.0, np.pi, 0.4, np.pi - 0.4),
    (0.0, 2.1, 4.2, 0.3),
    (0.0, 1.6, 3.1, 4.7),
)
# Woods from near white to black: lightness, chroma, hue in degrees.
_WOODS = np.array(
    [
        (0.93, 0.015, 85),  # white-washed
        (0.88, 0.045, 82),  # birch
        (0.81, 0.075, 76),  # pine
        (0.74, 0.065, 66),  # beech
        (0.69, 0.075, 73),  # oak
        (0.62, 0.015, 75),  # weathered
        (0.57, 0.085, 62),  # teak
        (0.52, 0.090, 48),  # cherry
        (0.40, 0.075, 38),  # mahogany
        (0.42, 0.050, 57),  # walnut
        (0.30, 0.025, 55),  # wenge
        (0.24, 0.006, 60),  # black
    ]
)


def srgb(color: np.ndarray) -> np.ndarray:
    """sRGB (..., 3) float32 in [0, 1] of OKLab lightness, chroma and hue in radians (..., 3), cut to the gamut."""
    color = np.asarray(color, dtype=np.float64)
    light, a, b = color[..., 0], color[..., 1] * np.cos(color[..., 2]), color[..., 1] * np.sin(color[..., 2])
    long = (light + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (light - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (light - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = np.stack(
        [
            4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
        ],
        axis=-1,
    )
    linear = np.clip(linear, 0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.clip(curved, 0, 1).astype(np.float32)


def shifted(color: np.ndarray, light: float = 0.0, chroma: float = 1.0, hue: float = 0.0) -> np.ndarray:
    """``color`` (..., 3) with its lightness moved by ``light``, its chroma times ``chroma``, its hue turned."""
    moved = np.array(color, dtype=np.float64)
    moved[..., 0] = np.clip(moved[..., 0] + light, 0.1, 0.985)
    moved[..., 1] *= chroma
    moved[..., 2] += hue
    return moved


class Palette:
    """Colours that go together. What is drawn from it is (3,) float64: OKLab lightness, chroma, hue."""

    def __init__(self, rng: np.random.Generator) -> None:
        hues = rng.uniform(0, 2 * np.pi) + np.array(_SCHEMES[int(rng.integers(len(_SCHEMES)))])
        liveliness = rng.uniform(0.5, 1.25)
        self.accents = np.column_stack(
            [rng.uniform(0.32, 0.92, len(hues)), rng.uniform(0.025, 0.1, len(hues)) * liveliness, hues]
        )
        light = np.array([rng.uniform(0.9, 0.98), rng.uniform(0.75, 0.93), rng.uniform(0.45, 0.75),
                          rng.uniform(0.15, 0.4)])  # fmt: skip
        tint = np.radians(rng.choice([rng.uniform(60, 100), rng.uniform(220, 280), rng.uniform(0, 360)]))
        self.neutrals = np.column_stack([light, rng.uniform(0, 0.022, 4), np.full(4, tint)])
        self.woods = _WOODS[rng.integers(len(_WOODS), size=3)].copy()
        self.woods[:, 2] = np.radians(self.woods[:, 2])

    def color(self, rng: np.random.Generator, lighter: float = 0.0) -> np.ndarray:
        """Any colour of the room: an accent, a neutral, a wood's tone or, now and then, a stranger.

        ``lighter`` in [0, 1] moves it towards white, as paint on walls tends to be.
        """
        which = rng.random()
        if which < 0.42:
            color = self.accents[rng.integers(len(self.accents))]
        elif which < 0.72:
            color = self.neutrals[rng.integers(len(self.neutrals))]
        elif which < 0.84:
            color = self.woods[rng.integers(len(self.woods))]
        else:
            color = np.array([rng.uniform(0.25, 0.93), rng.uniform(0.02, 0.1), rng.uniform(0, 2 * np.pi)])
        color = self._varied(color, rng, 0.07)
        color[0] += (0.955 - color[0]) * lighter
        color[1] *= 1 - 0.4 * lighter
        return color

    def contrast(self, rng: np.random.Generator, color: np.ndarray, least: float = 0.16) -> np.ndarray:
        """A second colour for a pattern on ``color``: its lightness differs by ``least`` or more."""
        other = self.color(rng)
        gap = other[0] - color[0]
        if abs(gap) < least:
            up = color[0] < 0.55 if rng.random() < 0.7 else color[0] < 0.8
            other[0] = color[0] + (least if up else -least) * rng.uniform(1.0, 1.6)
        return shifted(other)

    def wood(self, rng: np.random.Generator) -> np.ndarray:
        """One of the room's wood tones, or another wood's."""
        if rng.random() < 0.8:
            return self._varied(self.woods[rng.integers(len(self.woods))], rng, 0.03)
        color = _WOODS[rng.integers(len(_WOODS))].copy()
        color[2] = np.radians(color[2])
        return self._varied(color, rng, 0.05)

    @staticmethod
    def _varied(color: np.ndarray, rng: np.random.Generator, spread: float) -> np.ndarray:
        varied = shifted(color, rng.normal(0, spread), rng.uniform(0.7, 1.2), rng.normal(0, 1.6 * spread))
        varied[0] = np.clip(varied[0], 0.19, 0.955)  # no paint or dye is blacker or whiter
        # Pale and dark paints and dyes are less strong than those between; without this, rooms look like toys.
        varied[1] = min(varied[1], 0.33 * varied[0] * (1.06 - varied[0]))
        return varied
