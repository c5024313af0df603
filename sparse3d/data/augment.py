"""Augmentation of clouds. Points move and change colour; none is added, dropped or reordered, so index maps stay true.

Each augmentation is a small callable ``(xyz, rgb, rng) -> (xyz, rgb)``; a new one is one more class here or in
a file of its own, named in gin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gin
import numpy as np

from sparse3d.checks import in_range, not_negative, positive, require

Augmentation = Callable[[np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]]


def apply_all(
    augmentations: Sequence[Augmentation], xyz: np.ndarray, rgb: np.ndarray, rng: np.random.Generator | None
) -> tuple[np.ndarray, np.ndarray]:
    """The augmentations in order; without any ``rng`` may be None."""
    if augmentations and rng is None:
        raise ValueError("augmenting needs a random generator")
    for augment in augmentations:
        assert rng is not None
        xyz, rgb = augment(xyz, rgb, rng)
    return xyz, rgb


@gin.configurable
class RandomYaw:
    """Turn about the up axis (z), through the cloud's mean, by an angle drawn from the full circle or +-``degrees``."""

    def __init__(self, degrees: float = 180.0) -> None:
        not_negative("RandomYaw.degrees", degrees)
        self.degrees = degrees

    def __call__(self, xyz: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        angle = np.deg2rad(rng.uniform(-self.degrees, self.degrees))
        return _rotate(xyz, np.array([0.0, 0.0, 1.0]), angle), rgb


@gin.configurable
class RandomTilt:
    """Turn about a random horizontal axis by a normal angle of ``degrees`` standard deviation (a pose's error)."""

    def __init__(self, degrees: float = 2.0) -> None:
        not_negative("RandomTilt.degrees", degrees)
        self.degrees = degrees

    def __call__(self, xyz: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        heading = rng.uniform(0, 2 * np.pi)
        axis = np.array([np.cos(heading), np.sin(heading), 0.0])
        return _rotate(xyz, axis, np.deg2rad(rng.normal(0, self.degrees))), rgb


@gin.configurable
class RandomFlip:
    """Mirror x, and y, each with ``probability``."""

    def __init__(self, probability: float = 0.5) -> None:
        in_range("RandomFlip.probability", probability, 0, 1)
        self.probability = probability

    def __call__(self, xyz: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        signs = np.where(rng.random(3) < self.probability, -1.0, 1.0)
        signs[2] = 1.0
        return (xyz * signs.astype(np.float32)).astype(np.float32, copy=False), rgb


@gin.configurable
class RandomScale:
    """Scale by a factor from [``low``, ``high``]."""

    def __init__(self, low: float = 0.9, high: float = 1.1) -> None:
        positive("RandomScale.low", low)
        positive("RandomScale.high", high)
        require(low <= high, "RandomScale.low", low, f"at most RandomScale.high = {high}")
        self.low, self.high = low, high

    def __call__(self, xyz: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return (xyz * rng.uniform(self.low, self.high)).astype(np.float32), rgb


@gin.configurable
class RandomShift:
    """Move by up to ``distance`` metres along each axis: the voxel grid's phase, and the parity of strided layers."""

    def __init__(self, distance: float = 1.0) -> None:
        not_negative("RandomShift.distance", distance, "metres")
        self.distance = distance

    def __call__(self, xyz: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        shift = rng.uniform(-self.distance, self.distance, 3).astype(np.float32)
        return (xyz + shift).astype(np.float32, copy=False), rgb


@gin.configurable
class ColorJitter:
    """Brightness, contrast and a gain a channel, each uniform around its neutral value; result clipped to [0, 1]."""

    def __init__(self, brightness: float = 0.15, contrast: float = 0.15, gain: float = 0.05) -> None:
        for option, value in (("brightness", brightness), ("contrast", contrast), ("gain", gain)):
            not_negative(f"ColorJitter.{option}", value)
        self.brightness, self.contrast, self.gain = brightness, contrast, gain

    def __call__(self, xyz: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        gains = 1 + rng.uniform(-self.gain, self.gain, 3)
        contrast = 1 + rng.uniform(-self.contrast, self.contrast)
        offset = rng.uniform(-self.brightness, self.brightness)
        # ((rgb - mean) * contrast + mean + offset) * gains, as one product and one sum a number.
        changed = rgb * (contrast * gains).astype(np.float32)
        changed += ((_mean(rgb) * (1 - contrast) + offset) * gains).astype(np.float32)
        return xyz, np.clip(changed, 0, 1, out=changed).astype(np.float32, copy=False)


@gin.configurable
class ColorDrop:
    """Replace all colours by black with ``probability``: geometry alone must do.

    Not by the middle grey: networks see colours less .5, and features of zero would hide the voxels themselves.
    """

    def __init__(self, probability: float = 0.1) -> None:
        in_range("ColorDrop.probability", probability, 0, 1)
        self.probability = probability

    def __call__(self, xyz: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return xyz, np.zeros_like(rgb) if rng.random() < self.probability else rgb


def _rotate(xyz: np.ndarray, axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation (Rodrigues) about ``axis`` through the mean point."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    center = _mean(xyz)
    moved = xyz.astype(np.float64) @ rotation.T
    moved += center - rotation @ center
    return moved.astype(np.float32)


def _mean(rows: np.ndarray) -> np.ndarray:
    """The mean (3,) float64 of ``rows`` (N, 3), zero of none; by columns, as numpy is several times slower by rows."""
    columns = np.array(rows.T, dtype=np.float64, order="C")
    return columns.mean(axis=1) if len(rows) else np.zeros(3)
