"""Further augmentations, for labelled scenes; those of :mod:`sparse3d.data.augment` serve here too.

The same rule holds: points move and change colour; none is added, dropped or reordered.
"""

from __future__ import annotations

from collections.abc import Sequence

import gin
import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import uniform_filter

from sparse3d.checks import in_range, not_negative
from sparse3d.errors import InputError

_MOST_CELLS = 2e7  # of the field: 240 MB


@gin.configurable
class ElasticDistortion:
    """Bends the room softly: a random field of displacements, smooth over ``granularity``, at several scales.

    Noise on a coarse grid is smoothed twice by a box of three cells and read between the cells linearly, as in Graham,
    Engelcke, van der Maaten, "3D Semantic Segmentation with Submanifold Sparse Convolutional Networks" (CVPR 2018),
    with the two scales that SR-UNets are trained with.

    Args:
        scales: (granularity, magnitude) each, metres; after smoothing, a displacement's standard deviation is about a
            ninth of its magnitude along each axis.
        probability: of distorting at all.
    """

    def __init__(self, scales: Sequence[Sequence[float]] = ((0.2, 0.4), (0.8, 1.6)), probability: float = 0.95) -> None:
        if any(len(scale) != 2 or scale[0] <= 0 for scale in scales):
            raise InputError(f"ElasticDistortion.scales = {scales}: pairs of granularity and magnitude are needed")
        in_range("ElasticDistortion.probability", probability, 0, 1)
        self.scales, self.probability = [tuple(scale) for scale in scales], probability

    def __call__(self, xyz: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if rng.random() >= self.probability or not len(xyz):
            return xyz, rgb
        for granularity, magnitude in self.scales:
            xyz = _bent(xyz, granularity, magnitude, rng)
        return xyz, rgb


def _bent(xyz: np.ndarray, granularity: float, magnitude: float, rng: np.random.Generator) -> np.ndarray:
    low = xyz.min(axis=0)
    # One cell around the cloud, so that smoothing has neighbours everywhere.
    cells = (xyz - low) / granularity + 1.0
    shape = tuple(np.floor(cells.max(axis=0)).astype(int) + 3)
    if np.prod(shape, dtype=np.float64) > _MOST_CELLS:
        extent = " x ".join(f"{edge:.4g}" for edge in np.ptp(xyz, axis=0))
        raise InputError(
            f"ElasticDistortion: a scene of {extent} m has too many cells of {granularity} m; check that its "
            "coordinates are metres, or leave the augmentation out"
        )
    noise = rng.standard_normal((3, *shape), dtype=np.float32)
    box = (0, 3, 3, 3)  # not across the three axes of the displacement
    field = uniform_filter(uniform_filter(noise, box, mode="constant"), box, mode="constant")
    return (xyz + magnitude * _between(field, cells)).astype(np.float32)


def _between(field: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Values (N, C) of a field (C, X, Y, Z) at places ``cells`` (N, 3) between its samples, trilinear.

    torch samples all channels in one pass, at a third of the time of scipy's map_coordinates.
    """
    last = np.array(field.shape[1:], dtype=np.float32) - 1
    grid = torch.from_numpy((cells / last * 2 - 1).astype(np.float32)).flip(1)  # torch counts z, y, x
    found = F.grid_sample(torch.from_numpy(field)[None], grid.reshape(1, 1, 1, -1, 3), align_corners=True)
    return found.reshape(len(field), -1).T.numpy()


@gin.configurable
class AutoContrast:
    """Stretches every colour channel to the whole range and blends it with what it was, with ``probability``.

    Args:
        probability: of doing it.
        blend: how much of the stretched colour counts; None draws it from [0, 1].
    """

    def __init__(self, probability: float = 0.2, blend: float | None = None) -> None:
        in_range("AutoContrast.probability", probability, 0, 1)
        if blend is not None:
            in_range("AutoContrast.blend", blend, 0, 1)
        self.probability, self.blend = probability, blend

    def __call__(self, xyz: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if rng.random() >= self.probability or not len(rgb):
            return xyz, rgb
        low, high = rgb.min(axis=0), rgb.max(axis=0)
        span = high - low
        stretched = np.where(span > 0, (rgb - low) / np.where(span > 0, span, 1), rgb)
        share = rng.random() if self.blend is None else self.blend
        return xyz, np.clip((1 - share) * rgb + share * stretched, 0, 1).astype(np.float32)


@gin.configurable
class ColorNoise:
    """Adds normal noise of standard deviation ``std`` to every point's colour, with ``probability``."""

    def __init__(self, std: float = 0.05, probability: float = 0.95) -> None:
        not_negative("ColorNoise.std", std)
        in_range("ColorNoise.probability", probability, 0, 1)
        self.std, self.probability = std, probability

    def __call__(self, xyz: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if rng.random() >= self.probability:
            return xyz, rgb
        noisy = rgb + self.std * rng.standard_normal(rgb.shape, dtype=np.float32)
        return xyz, np.clip(noisy, 0, 1).astype(np.float32)
