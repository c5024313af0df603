"""Shapes for training: normalised, augmented, voxelized, and put together to batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import gin
import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor
from torch.utils.data import Dataset

from sparse3d.checks import at_least, one_of, positive
from sparse3d.data.augment import Augmentation, apply_all
from sparse3d.data.recent import RecentItems
from sparse3d.data.shapes.source import Shape, ShapeSource, check_shape
from sparse3d.data.voxel_clouds import VoxelCloud, batch_clouds, voxel_cloud
from sparse3d.data.voxelize import majority_label
from sparse3d.types import IGNORE, TensorBundle, VoxelBatch

NORMALS = ("unit_sphere", "none")


@dataclass(frozen=True, eq=False)
class ShapeItem:
    """One augmented, voxelized shape of V voxels, still in numpy."""

    name: str
    cloud: VoxelCloud
    label: int
    part: np.ndarray  # (V,) int64, IGNORE for none
    point2voxel: np.ndarray  # (N,) int64, of every point of the shape, also of those that are not among the voxels'


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
        points: a shape with more is thinned out to so many: others each time in training, always the same ones in
            measuring. None keeps all. Networks see how full a voxel's surroundings are: both sides need one density.

    Raises:
        InputError: an option out of its range.
    """

    def __init__(self, voxel_size: float = 0.05, normalize: str = "unit_sphere", points: int | None = 1024) -> None:
        positive("ShapeGrid.voxel_size", voxel_size)
        one_of("ShapeGrid.normalize", normalize, NORMALS)
        at_least("ShapeGrid.points", points, 1)
        self.voxel_size, self.normalize, self.points = voxel_size, normalize, points

    def drawn(self, shape: Shape, augmentations: Sequence[Augmentation], rng: np.random.Generator) -> ShapeItem:
        """A shape for training: thinned and augmented with draws from ``rng``."""
        return self._item(shape, augmentations, rng, whole=False)

    def measured(self, shape: Shape) -> ShapeItem:
        """A shape for measuring: the same each time, as long as its points stand in the same order."""
        return self._item(shape, (), np.random.default_rng(0), whole=True)

    def _item(
        self, shape: Shape, augmentations: Sequence[Augmentation], rng: np.random.Generator, whole: bool
    ) -> ShapeItem:
        """``whole``: map every point of the shape to a voxel; else those that are left."""
        xyz = in_unit_sphere(shape.xyz) if self.normalize == "unit_sphere" else shape.xyz
        # Without colours black, as ColorDrop leaves clouds in pre-training: networks see colours less .5.
        rgb = np.zeros_like(xyz) if shape.rgb is None else shape.rgb
        rows = np.arange(len(xyz))
        if self.points is not None and len(rows) > self.points:
            rows = np.sort(rng.choice(len(rows), self.points, replace=False, shuffle=False))
        kept, rgb = xyz[rows], rgb[rows]
        moved, rgb = apply_all(augmentations, kept, rgb, rng)
        cloud, point2voxel = voxel_cloud(moved, rgb, self.voxel_size, kept)
        count = len(cloud.coords)
        part = np.full(count, IGNORE, dtype=np.int64)
        if shape.part is not None:
            part = majority_label(shape.part[rows], point2voxel, count, IGNORE)
        if whole and len(rows) < len(xyz):
            point2voxel = point2voxel[cKDTree(kept).query(xyz)[1]]
        return ShapeItem(shape.name, cloud, shape.label, part, point2voxel)


@gin.configurable
class LabelledShapes(Dataset):
    """Labelled shapes for training; an item is drawn by ``(index, seed)`` and by nothing else.

    Args:
        source: the shapes.
        grid: how they become voxels.
        augmentations: of every shape after it is normalised; they move and recolour points, and keep their rows.
        cache_bytes: of shapes as they are read, kept in memory by each worker; of sources that hold theirs in memory
            none are.

    Raises:
        InputError: an option out of its range, or a shape that cannot be used.
    """

    def __init__(
        self,
        source: ShapeSource = gin.REQUIRED,
        grid: ShapeGrid = gin.REQUIRED,
        augmentations: Sequence[Augmentation] = (),
        cache_bytes: int = 1_000_000_000,
    ) -> None:
        at_least("LabelledShapes.cache_bytes", cache_bytes, 0)
        self.source, self.grid, self.augmentations = source, grid, list(augmentations)
        self._shapes: RecentItems[Shape] = RecentItems(self._checked, 0 if source.in_memory else cache_bytes)

    def idle_options(self) -> dict[str, str]:
        """Options without effect beside the others, and why."""
        return {"cache_bytes": "the shapes are in memory as they are"} if self.source.in_memory else {}

    def __len__(self) -> int:
        return len(self.source.names)

    def __getitem__(self, key: tuple[int, int]) -> ShapeItem:
        index, seed = key
        return self.grid.drawn(self._shapes[index], self.augmentations, np.random.default_rng(seed))

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
