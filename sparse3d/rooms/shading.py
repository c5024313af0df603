"""Light on surfaces: textures looked up without aliasing, rectangular lamps, soft shadows and dark corners.

Everything is linear RGB between :func:`to_linear` and :func:`to_srgb`. Shadows and the ambient light's occlusion take
one ray a pixel; the pixels of every 4 x 4 block aim at different places, and a filter over such a block, which stops at
edges, puts them together (Keller and Heidrich, "Interleaved Sampling", 2001). So they need no random numbers, and the
same view is the same image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sparse3d.rooms.piece import Light, Material

Occluded = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
BLOCK = 4  # pixels: one side of a block whose pixels share their shadow rays
OCCLUSION_REACH = 0.7  # metres: what is farther away does not darken the ambient light
LIFT = 2e-3  # metres: shadow rays start this far above their surface
LAMP_GAP = 0.12  # metres: a shade or a frame this near to a lamp casts no shadow
_SHOULDER = 0.65  # linear: from here on brightness is compressed towards 1


class TextureAtlas:
    """The textures of all materials with their mip levels, in one array that pixels are looked up in at once.

    A texture's columns run along u and its rows along v, row 0 at v = 0.
    """

    def __init__(self, materials: Sequence[Material]) -> None:
        rows: list[tuple[int, int, int]] = []  # offset, height, width of every level
        texels: list[np.ndarray] = []
        first, last, count = [], [], 0
        for material in materials:
            first.append(len(rows))
            for level in mip_levels(material.texture):
                rows.append((count, *level.shape[:2]))
                texels.append(level.reshape(-1, 3))
                count += len(texels[-1])
            last.append(len(rows) - 1)
        self._texels = np.concatenate(texels)
        self._levels = np.array(rows, dtype=np.int64)
        self._first, self._last = np.array(first), np.array(last)
        self._extent = np.array([m.extent for m in materials], dtype=np.float32)
        self._shape = np.array([m.texture.shape[:2] for m in materials], dtype=np.float32)

    def look_up(self, material: np.ndarray, uv: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """Linear colour (N, 3) float32 of ``material`` (N,) at ``uv`` (N, 2) metres, averaged over ``footprint`` (N,).

        The level whose texels are about as large as the footprint (metres) is interpolated bilinearly.
        """
        height, width = self._shape[material].T
        texel = self._extent[material] / width
        level = np.log2(np.maximum(footprint / texel, 1.0)) + 0.25  # a little too sharp rather than blurred
        row = np.minimum(self._first[material] + level.astype(np.int64), self._last[material])
        offset, rows, cols = self._levels[row].T
        x = _fraction(uv[:, 0] / self._extent[material]) * cols - 0.5
        y = _fraction(uv[:, 1] / (texel * height)) * rows - 0.5
        x0, y0 = np.floor(x), np.floor(y)
        fx, fy = (x - x0).astype(np.float32)[:, None], (y - y0).astype(np.float32)[:, None]
        left, low = x0.astype(np.int64) % cols, y0.astype(np.int64) % rows
        right, high = (left + 1) % cols, (low + 1) % rows
        one, next_one = offset + low * cols, offset + high * cols
        t = self._texels
        here = t[one + left] * (1 - fx) + t[one + right] * fx
        there = t[next_one + left] * (1 - fx) + t[next_one + right] * fx
        return to_linear(here * (1 - fy) + there * fy)


def mip_levels(texture: np.ndarray) -> list[np.ndarray]:
    """The texture (h, w, 3) and its halvings, down to one row or column. Odd sides are filled up from their start.

    Halves are means of the squares, which stand for linear light (a gamma of 2 is near enough to sRGB).
    """
    levels = [np.asarray(texture, dtype=np.float32)]
    while min(levels[-1].shape[:2]) > 1:
        fine = levels[-1]
        fine = np.concatenate([fine, fine[: len(fine) % 2]])
        fine = np.concatenate([fine, fine[:, : fine.shape[1] % 2]], axis=1) ** 2
        levels.append(np.sqrt((fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]) / 4))
    return levels


def _fraction(value: np.ndarray) -> np.ndarray:
    return value - np.floor(value)


def to_linear(srgb: np.ndarray) -> np.ndarray:
    """Linear RGB of sRGB in [0, 1] (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((np.maximum(srgb, 0.0) + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] of linear RGB (IEC 61966-2-1), clipped."""
    linear = np.clip(linear, 0.0, 1.0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def develop(linear: np.ndarray) -> np.ndarray:
    """Linear light as a sensor holds it: unchanged up to a shoulder, then bent so that nothing passes 1."""
    room = 1 - _SHOULDER
    over = np.maximum(linear - _SHOULDER, 0.0)
    return np.minimum(linear, _SHOULDER) + room * (1 - np.exp(-over / room))


def from_lamp(light: Light, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brightness (N,) of an unshadowed white surface before ``light``'s colour, and unit vectors to the lamp (N, 3).

    The lamp shines as a small Lambertian source: the cosines at both ends over the squared distance, 1 at 2 metres.
    """
    to = np.asarray(light.center, dtype=np.float32) - points
    spread = np.float32(light.size[0] * light.size[1] / np.pi)  # keeps surfaces beside the lamp from burning out
    square = _dot(to, to)
    to /= np.sqrt(np.maximum(square, 1e-12))[:, None]
    at_surface = np.maximum(_dot(normals, to), 0)
    at_lamp = np.maximum(-(to @ np.asarray(light.direction, dtype=np.float32)), 0)
    return at_surface * at_lamp * (4 + spread) / (square + spread), to


def lamp_visibility(light: Light, points: np.ndarray, normals: np.ndarray, slot: np.ndarray,
                    occluded: Occluded) -> np.ndarray:  # fmt: skip
    """Whether each point (N, 3) sees its place on the lamp, by its ``slot`` (N,) in the block; (N,) float32."""
    u, v = _axes(np.asarray(light.direction, dtype=np.float64))
    spots = (_PLACES - 0.5) * np.asarray(light.size)
    target = np.asarray(light.center) + spots[:, :1] * u + spots[:, 1:] * v
    start = points + normals * LIFT
    to = target.astype(np.float32)[slot] - start
    length = np.sqrt(_dot(to, to))
    reach = np.maximum(1 - LAMP_GAP / np.maximum(length, 1e-6), 0.0)
    return 1.0 - occluded(start, to, reach).astype(np.float32)


def openness(points: np.ndarray, normals: np.ndarray, slot: np.ndarray, occluded: Occluded) -> np.ndarray:
    """Whether each point's ray, one of a cosine-weighted set over the hemisphere, gets away; (N,) float32."""
    radius, angle = np.sqrt(_PLACES[:, 0]), 2 * np.pi * _PLACES[:, 1]
    local = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - _PLACES[:, 0])], axis=1)
    x, y, z = local.astype(np.float32)[slot].T[..., None]
    # Axes across the normals without a branch: Duff et al., "Building an Orthonormal Basis, Revisited", 2017.
    n0, n1, n2 = normals.T
    sign = np.copysign(np.float32(1), n2)
    a = -1 / (sign + n2)
    b = n0 * n1 * a
    u = np.stack([1 + sign * n0 * n0 * a, sign * b, -sign * n0], axis=1)
    v = np.stack([b, sign + n1 * n1 * a, -n1], axis=1)
    reach = np.full(len(points), OCCLUSION_REACH, dtype=np.float32)
    return 1.0 - occluded(points + normals * LIFT, x * u + y * v + z * normals, reach).astype(np.float32)


def slots(height: int, width: int) -> np.ndarray:
    """Each pixel's place (H * W,) in its block, int64 in [0, 16)."""
    return (np.arange(height)[:, None] % BLOCK * BLOCK + np.arange(width) % BLOCK).reshape(-1)


def smooth_blocks(values: np.ndarray, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Means of ``values`` (H, W, C) over about a block of the same surface.

    Neighbours count when they lie near the pixel's plane and look the same way: ``points`` and ``normals`` (H, W, 3).
    """
    for axis in (0, 1):
        values = _smooth_along(axis, values, points, normals)
    return values


def _smooth_along(axis: int, values: np.ndarray, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    total, weight = values * 2, np.full((*values.shape[:2], 1), 2.0, dtype=np.float32)
    for shift, share in ((1, 2.0), (2, 1.0)):  # 1 2 2 2 1: every residue modulo 4 has the same weight
        here, there = [slice(None)] * 2, [slice(None)] * 2
        here[axis], there[axis] = slice(None, -shift), slice(shift, None)
        a, b = tuple(here), tuple(there)
        apart = points[b] - points[a]
        off = np.maximum(np.abs(_dot(normals[a], apart)), np.abs(_dot(normals[b], apart)))
        same = share * ((off < 0.015) & (_dot(normals[a], normals[b]) > 0.8)).astype(np.float32)[..., None]
        total[a] += same * values[b]
        total[b] += same * values[a]
        weight[a] += same
        weight[b] += same
    return total / weight


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...i,...i->...", a, b)


def _axes(direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors across ``direction``: level first where it is upright light, as windows are measured."""
    level = np.cross(direction, [0.0, 0.0, 1.0])
    u = level / np.linalg.norm(level) if np.linalg.norm(level) > 1e-6 else np.array([1.0, 0.0, 0.0])
    return u, np.cross(u, direction / np.linalg.norm(direction))


def _spread_places() -> np.ndarray:
    """16 places (16, 2) in the unit square (Hammersley's), in an order that keeps neighbours in a block apart."""
    k = np.arange(BLOCK * BLOCK)
    reverse = sum(((k >> bit) & 1) << (3 - bit) for bit in range(4))
    return np.stack([(k + 0.5) / 16, (reverse + 0.5) / 16], axis=1)[k * 7 % 16]


_PLACES = _spread_places()
