"""Shapes for training: normalised, augmented, voxelized, and put together to batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import gin
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sparse3d.checks import at_least, positive, require
from sparse3d.data.augment import Augmentation, apply_all
from sparse3d.data.clouds import VoxelCloud, batch_clouds
from sparse3d.data.recent import RecentItems
from sparse3d.data.shapes.source import Shape, ShapeSource, check_shape
from sparse3d.data.voxelize import majority_label, mean_by_voxel, voxelize
from sparse3d.types import IGNORE, TensorBundle, VoxelBatch

NORMALS = ("unit_sphere", "none")


@dataclass(frozen=True, eq=False)
class ShapeItem:
    """One augmented, voxelized shape of N points and V voxels, still in numpy."""

    name: str
    cloud: VoxelCloud
    label: int
    part: np.ndarray  # (V,) int64, IGNORE for none
    point2voxel: np.ndarray  # (N,) int64


@dataclass
class ShapeBatch(TensorBundle):
    """B shapes; voxel rows are grouped by shape."""

    voxels: VoxelBatch
    label: Tensor  # (B,) int64
    part: Tensor  # (V,) int64, IGNORE for none
    names: list[str] = field(default_factory=list)


@gin.configurable
class ShapeGrid:
    """How a shape becomes voxels, in training and in measuring alike.

    Args:
        voxel_size: in the unit of the normalised shapes: of the sphere's radius, or metres.
        normalize: ``unit_sphere`` moves the points' mean to the origin and the farthest of them to a distance of 1;
            ``none`` keeps the source's size, for objects of scans in metres.

    Raises:
        InputError: an option out of its range.
    """

    def __init__(self, voxel_size: float = 0.05, normalize: str = "unit_sphere") -> None:
        positive("ShapeGrid.voxel_size", voxel_size)
        require(normalize in NORMALS, "ShapeGrid.normalize", normalize, f"one of {', '.join(NORMALS)}")
        self.voxel_size, self.normalize = voxel_size, normalize

    def item(
        self, shape: Shape, augmentations: Sequence[Augmentation] = (), rng: np.random.Generator | None = None
    ) -> ShapeItem:
        """A shape normalised, augmented with draws from ``rng``, and voxelized.

        Points without colours are black, as :class:`~sparse3d.data.augment.ColorDrop` leaves them in pre-training.
        """
        xyz = in_unit_sphere(shape.xyz) if self.normalize == "unit_sphere" else shape.xyz
        rgb = np.zeros_like(xyz) if shape.rgb is None else shape.rgb
        moved = xyz
        if augmentations:
            if rng is None:
                raise ValueError("augmenting needs a random generator")
            moved, rgb = apply_all(augmentations, xyz, rgb, rng)
        coords, point2voxel = voxelize(moved, self.voxel_size)
        count = len(coords)
        feats, centers = mean_by_voxel(rgb, point2voxel, count) - 0.5, mean_by_voxel(xyz, point2voxel, count)
        part = np.full(count, IGNORE, dtype=np.int64)
        if shape.part is not None:
            part = majority_label(shape.part, point2voxel, count, IGNORE)
        cloud = VoxelCloud(coords, feats, centers, np.zeros(count, dtype=bool))
        return ShapeItem(shape.name, cloud, shape.label, part, point2voxel)


@gin.configurable
class LabelledShapes(Dataset):
    """Labelled shapes for training; an item is drawn by ``(index, seed)`` and by nothing else.

    Args:
        source: the shapes.
        grid: how they become voxels.
        thin_to: a shape with more points is thinned out to so many, drawn at random each time; None keeps all.
        augmentations: of every shape after it is normalised; they move and recolour points, and keep their rows.
        cache_bytes: of shapes as they are read, kept in memory by each worker.

    Raises:
        InputError: an option out of its range, or a shape that cannot be used.
    """

    def __init__(
        self,
        source: ShapeSource = gin.REQUIRED,
        grid: ShapeGrid = gin.REQUIRED,
        thin_to: int | None = None,
        augmentations: Sequence[Augmentation] = (),
        cache_bytes: int = 1_000_000_000,
    ) -> None:
        at_least("LabelledShapes.thin_to", thin_to, 1)
        self.source, self.grid, self.thin_to = source, grid, thin_to
        self.augmentations = list(augmentations)
        self._shapes: RecentItems[Shape] = RecentItems(self._checked, cache_bytes)

    def __len__(self) -> int:
        return len(self.source.names)

    def __getitem__(self, key: tuple[int, int]) -> ShapeItem:
        index, seed = key
        rng = np.random.default_rng(seed)
        shape = self._shapes[index]
        if self.thin_to is not None and len(shape) > self.thin_to:
            rows = np.sort(rng.choice(len(shape), self.thin_to, replace=False, shuffle=False))
            shape = _rows_of(shape, rows)
        return self.grid.item(shape, self.augmentations, rng)

    def _checked(self, index: int) -> Shape:
        shape = self.source.load(index)
        check_shape(shape, self.source)
        return shape


def in_unit_sphere(xyz: np.ndarray) -> np.ndarray:
    """Points (N, 3) float32 moved and scaled: their mean is the origin, the farthest is at a distance of 1."""
    centered = xyz.astype(np.float64) - xyz.mean(axis=0, dtype=np.float64)
    return (centered / np.linalg.norm(centered, axis=1).max()).astype(np.float32)


def collate_shapes(items: Sequence[ShapeItem]) -> ShapeBatch:
    """B items as one batch."""
    voxels, _ = batch_clouds([item.cloud for item in items])
    return ShapeBatch(
        voxels=replace(voxels, masked=None),
        label=torch.tensor([item.label for item in items], dtype=torch.int64),
        part=torch.from_numpy(np.concatenate([item.part for item in items])),
        names=[item.name for item in items],
    )


def _rows_of(shape: Shape, rows: np.ndarray) -> Shape:
    rgb, part = (None if array is None else array[rows] for array in (shape.rgb, shape.part))
    return replace(shape, xyz=shape.xyz[rows], rgb=rgb, part=part)
