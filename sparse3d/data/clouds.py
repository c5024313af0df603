"""Frames to clouds to voxels, with the pixel -> voxel map that projects features back into the frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sparse3d.data.augment import Augmentation, apply_all
from sparse3d.data.masking import draw_mask
from sparse3d.data.voxel_clouds import VoxelCloud, voxel_cloud
from sparse3d.errors import InputError
from sparse3d.geometry import transform_points, unproject_depth
from sparse3d.types import Frame, PointCloud

FARTHEST = 1000.0  # metres


@dataclass(frozen=True)
class FramePoints:
    """The cloud of one frame: point k was seen by pixel ``pixels[k]``."""

    cloud: PointCloud
    pixels: np.ndarray  # (N, 2) int64 (row, col)
    height: int
    width: int


@dataclass(frozen=True)
class Masking:
    """How much of the input the network must do without.

    Args:
        ratio: share of the voxels, 0 = none.
        block: edge of the masked blocks, metres; 0 masks single voxels.
        remove: take the voxels away instead of hiding their colour.
    """

    ratio: float = 0.0
    block: float = 0.2
    remove: bool = False


def frame_points(frame: Frame, max_depth: float = 5.0) -> FramePoints:
    """The points of every pixel with a reading up to ``max_depth`` metres, in the world frame, with their colour.

    Raises:
        InputError: a point lies so far from the origin that single precision and voxel coordinates give out.
    """
    depth = np.where(frame.depth <= max_depth, frame.depth, 0)
    xyz, pixels = unproject_depth(depth, frame.camera)
    rgb = frame.color.reshape(-1, 3).take(_places(pixels, frame.camera.width), axis=0).astype(np.float32)
    rgb /= 255
    world = transform_points(frame.T_world_cam, xyz)
    if len(world) and float(np.abs(world).max()) > FARTHEST:
        raise InputError(
            f"frame {frame.name}: its points lie {np.abs(world).max():.4g} m from the origin, more than "
            f"{FARTHEST:.0f} m: poses must be in metres, and a map's large offset be taken off them"
        )
    cloud = PointCloud(world, rgb)
    return FramePoints(cloud, pixels, frame.camera.height, frame.camera.width)


def voxelize_frames(
    frames: Sequence[FramePoints],
    voxel_size: float,
    augmentations: Sequence[Augmentation] = (),
    masking: Masking | None = None,
    rng: np.random.Generator | None = None,
) -> tuple[VoxelCloud, np.ndarray]:
    """One voxelized cloud of the union of ``frames``, under one augmentation.

    Args:
        frames: F frames of equal image size.
        voxel_size: metres.
        augmentations: move and recolour the points; none may add, drop or reorder them.
        masking: what to hide; None hides nothing.
        rng: needed where something is random.

    Returns:
        The cloud, and pixel2voxel (F, H, W) int64 with -1 where a pixel has no voxel.
    """
    world = np.concatenate([f.cloud.xyz for f in frames])
    xyz, rgb = apply_all(augmentations, world, np.concatenate([f.cloud.rgb for f in frames]), rng)
    cloud, point2voxel = voxel_cloud(xyz, rgb, voxel_size, world)
    if masking is not None and masking.ratio > 0:
        if rng is None:
            raise ValueError("masking needs a random generator")
        block = max(1, round(masking.block / voxel_size))
        cloud = replace(cloud, masked=draw_mask(cloud.coords, masking.ratio, block, rng))
    if masking is not None and masking.remove:
        cloud, point2voxel = _without_masked(cloud, point2voxel)
    return cloud, _pixel_map(frames, point2voxel)


def _without_masked(cloud: VoxelCloud, point2voxel: np.ndarray) -> tuple[VoxelCloud, np.ndarray]:
    kept = ~cloud.masked
    if not kept.any():  # a cloud needs a voxel: the least that is left is the whole
        return replace(cloud, masked=np.zeros_like(cloud.masked)), point2voxel
    old2new = np.where(kept, np.cumsum(kept) - 1, -1)
    left = VoxelCloud(cloud.coords[kept], cloud.feats[kept], cloud.xyz[kept], cloud.masked[kept])
    return left, old2new[point2voxel]


def _pixel_map(frames: Sequence[FramePoints], point2voxel: np.ndarray) -> np.ndarray:
    pixel2voxel = np.full((len(frames), frames[0].height, frames[0].width), -1, dtype=np.int64)
    ends = np.cumsum([len(f.cloud) for f in frames])[:-1]
    for view, (frame, voxels) in enumerate(zip(frames, np.split(point2voxel, ends), strict=True)):
        pixel2voxel[view].reshape(-1)[_places(frame.pixels, frame.width)] = voxels
    return pixel2voxel


def _places(pixels: np.ndarray, width: int) -> np.ndarray:
    """Where ``pixels`` (N, 2) (row, col) lie in an image, row by row: numpy finds one number faster than two."""
    return pixels[:, 0] * width + pixels[:, 1]
