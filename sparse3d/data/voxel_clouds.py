"""What networks are given: voxels with mean colours, one cloud or a batch of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sparse3d.data.voxelize import mean_by_voxel, voxelize
from sparse3d.types import VoxelBatch

MIDDLE = 0.5  # networks see colours less this, so that they are centred


@dataclass(frozen=True)
class VoxelCloud:
    """One voxelized cloud, still in numpy; the fields of :class:`~sparse3d.types.VoxelBatch` without a batch index."""

    coords: np.ndarray  # (V, 3) int32
    feats: np.ndarray  # (V, 3) float32, mean colour - 0.5
    xyz: np.ndarray  # (V, 3) float32
    masked: np.ndarray  # (V,) bool


@dataclass(frozen=True, eq=False)
class VoxelScene:
    """A scene's voxels at the evaluation's fixed phase: the grid begins at the world's origin."""

    coords: np.ndarray  # (V, 3) int32
    feats: np.ndarray  # (V, 3) float32
    point2voxel: np.ndarray  # (N,) int64


def voxel_cloud(
    xyz: np.ndarray, rgb: np.ndarray, voxel_size: float, world: np.ndarray
) -> tuple[VoxelCloud, np.ndarray]:
    """Points as the voxels that every network is trained on, none masked.

    Args:
        xyz: (N, 3) metres, as augmented: they decide the voxels.
        rgb: (N, 3) in [0, 1].
        voxel_size: metres.
        world: (N, 3) the points as they were before, for the voxels' places.

    Returns:
        The cloud, and point2voxel (N,) int64.

    Raises:
        InputError: a coordinate that is not finite or too far out for the voxel size.
    """
    coords, point2voxel = voxelize(xyz, voxel_size)
    count = len(coords)
    feats, places = _colors(rgb, point2voxel, count), mean_by_voxel(world, point2voxel, count)
    return VoxelCloud(coords, feats, places, np.zeros(count, dtype=bool)), point2voxel


def voxelize_scene(xyz: np.ndarray, rgb: np.ndarray, voxel_size: float) -> VoxelScene:
    """Voxels of points (N, 3), the same to the last bit in whatever order the points are given.

    Sums of floats depend on their order, so the points are first brought into one.
    """
    order = np.lexsort((*rgb.T, *xyz.T))
    coords, sorted2voxel = voxelize(xyz[order], voxel_size)
    point2voxel = np.empty_like(sorted2voxel)
    point2voxel[order] = sorted2voxel
    return VoxelScene(coords, _colors(rgb[order], sorted2voxel, len(coords)), point2voxel)


def _colors(rgb: np.ndarray, point2voxel: np.ndarray, count: int) -> np.ndarray:
    """What a network sees of the points' colours: (V, 3) float32."""
    return mean_by_voxel(rgb, point2voxel, count) - MIDDLE


def batch_clouds(clouds: Sequence[VoxelCloud]) -> tuple[VoxelBatch, np.ndarray]:
    """Clouds as one batch, cloud b with batch index b; beside it the row at which each cloud starts, (B,) int64."""
    sizes = [len(c.coords) for c in clouds]
    index = np.repeat(np.arange(len(clouds), dtype=np.int32), sizes)
    coords = np.concatenate([index[:, None], np.concatenate([c.coords for c in clouds])], axis=1)
    batch = VoxelBatch(
        coords=torch.from_numpy(coords),
        feats=torch.from_numpy(np.concatenate([c.feats for c in clouds])),
        xyz=torch.from_numpy(np.concatenate([c.xyz for c in clouds])),
        batch_size=len(clouds),
        masked=torch.from_numpy(np.concatenate([c.masked for c in clouds])),
    )
    return batch, np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
