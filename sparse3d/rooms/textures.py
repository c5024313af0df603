"""What textures are painted with: seamless noise, colour ramps, patches and the box that every maker draws from.

A texture's column runs along u and its row along v: row 0 lies at v = 0, the foot of an upright surface. Noise comes
from a white field shaped in the frequency domain, so it is periodic by construction; a room's fields are made once and
then only shifted and mirrored, as a fast Fourier transform a material would cost more than all the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from sparse3d.rooms.palette import Palette, srgb

SIZE = 256  # texels; a maker whose surface is plain uses half


def _long(u: np.ndarray, v: np.ndarray, f: np.ndarray) -> np.ndarray:
    return np.exp(-((u / 5) ** 2)) / (1 + np.abs(v) / 12) ** 0.7


# Amplitude by frequency; u, v and f (their length) in cycles a texture.
_SPECTRA: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "white": lambda u, v, f: np.ones_like(f),
    "fine": lambda u, v, f: np.exp(-((f / 60) ** 2)),
    "grit": lambda u, v, f: np.exp(-(((f - 34) / 14) ** 2)),
    "pebble": lambda u, v, f: np.exp(-(((f - 18) / 7) ** 2)),
    "cloud": lambda u, v, f: 1 / np.maximum(f, 1) ** 1.7,
    "rough": lambda u, v, f: 1 / np.maximum(f, 1) ** 1.1,
    "blotch": lambda u, v, f: np.exp(-((f / 5) ** 2)),
    "swell": lambda u, v, f: np.exp(-((f / 2) ** 2)),
    "grain": _long,
    "dash": lambda u, v, f: np.exp(-((u / 16) ** 2)),
    "streak": lambda u, v, f: np.exp(-((u / 2) ** 2)),
    "figure": lambda u, v, f: np.exp(-((u / 1.6) ** 2) - (v / 5) ** 2),
}


class Noise:
    """Seamless noise fields of mean 0 and deviation 1, cut at 3; made when first asked for, then kept."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._seed = int(rng.integers(2**62))
        self._fields: dict[tuple[str, int], np.ndarray] = {}

    def field(self, kind: str, rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
        """A (size, size) float32 field of one of the spectra, shifted and mirrored at random."""
        base = self._base(kind, size)
        row, col, mirror = (int(value) for value in rng.integers([size, size, 4]))
        base = np.roll(base, (row, col), axis=(0, 1))
        return base[:: -1 if mirror & 1 else 1, :: -1 if mirror & 2 else 1]

    def line(self, rng: np.random.Generator, size: int = SIZE, kind: str = "cloud") -> np.ndarray:
        """A periodic (size,) line of noise."""
        return self.field(kind, rng, size)[0]

    def _base(self, kind: str, size: int) -> np.ndarray:
        if (kind, size) not in self._fields:
            # A generator of its own for each field: which fields are asked for first does not change them.
            rng = np.random.default_rng([self._seed, list(_SPECTRA).index(kind), size])
            v, u = np.fft.fftfreq(size, 1 / size)[:, None], np.fft.rfftfreq(size, 1 / size)[None, :]
            shape = _SPECTRA[kind](u, v, np.hypot(u, v))
            shape = np.broadcast_to(shape, (size, size // 2 + 1)).copy()
            shape[0, 0] = 0.0
            values = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size), dtype=np.float32)) * shape)
            values /= max(float(values.std()), 1e-12)
            self._fields[kind, size] = np.clip(values, -3, 3).astype(np.float32)
        return self._fields[kind, size]


@dataclass(frozen=True, eq=False)
class Draw:
    """What a maker of textures draws from."""

    rng: np.random.Generator
    palette: Palette
    noise: Noise

    def chance(self, share: float) -> bool:
        """True in ``share`` of the calls."""
        return bool(self.rng.random() < share)

    def pick(self, names: tuple[str, ...], weights: tuple[float, ...] | None = None) -> str:
        """One of ``names``."""
        p = None if weights is None else np.array(weights) / sum(weights)
        return names[int(self.rng.choice(len(names), p=p))]

    def field(self, kind: str, size: int = SIZE) -> np.ndarray:
        """A seamless (size, size) noise field."""
        return self.noise.field(kind, self.rng, size)

    def count(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return int(self.rng.integers(low, high + 1))


@dataclass(frozen=True, eq=False)
class Look:
    """What a maker gives back: the texture (h, w, 3), its width in metres, gloss and emission."""

    texture: np.ndarray
    extent: float
    gloss: float = 0.0
    emission: float = field(default=0.0)


def flat(color: np.ndarray, size: int = SIZE, rows: int | None = None) -> np.ndarray:
    """A (rows, size, 3) texture of one OKLab colour."""
    return np.broadcast_to(srgb(color), (rows or size, size, 3)).copy()


def ramp(t: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(h, w, 3): the OKLab colours ``low`` where ``t`` (h, w) is 0, ``high`` where it is 1."""
    a, b = srgb(low), srgb(high)
    return t.astype(np.float32)[..., None] * (b - a) + a


def paint(texture: np.ndarray, mask: np.ndarray, color: np.ndarray) -> None:
    """Lay the OKLab ``color`` over ``texture`` where ``mask`` (h, w) in [0, 1] says; in place."""
    texture += mask.astype(np.float32)[..., None] * (srgb(color) - texture)


def shaded(texture: np.ndarray, field: np.ndarray, strength: float) -> np.ndarray:
    """``texture`` times 1 + ``strength`` x ``field`` (h, w): unevenness that keeps the hue."""
    texture *= (1 + np.float32(strength) * field)[..., None]
    return texture


def step(value: np.ndarray, edge: float, soft: float) -> np.ndarray:
    """0 below ``edge``, 1 above, a straight slope of width ``soft`` between."""
    return np.clip((value - edge) / soft + 0.5, 0, 1)


def window(size: int, center: tuple[float, float], radius: float) -> tuple[tuple, np.ndarray, np.ndarray]:
    """The texels within ``radius`` of ``center`` (row, col) on the torus: their index, and (dy, dx) grids to them."""
    reach = int(np.ceil(radius)) + 1
    base = np.floor(center).astype(int)
    near = np.arange(-reach, reach + 1)
    dy, dx = near[:, None] + base[0] - center[0], near[None, :] + base[1] - center[1]
    index = np.ix_((near + base[0]) % size, (near + base[1]) % size)
    return index, dy.astype(np.float32), dx.astype(np.float32)


def axes(size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """(v (size, 1), u (1, size)): texel centres as shares of the texture."""
    line = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return line[:, None], line[None, :]
