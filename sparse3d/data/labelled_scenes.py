"""Labelled scenes for training: crops, augmented and voxelized, with labels, instances and boxes.

Segmentation and detection read the same items; each takes what it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import gin
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sparse3d.checks import at_least
from sparse3d.data.augment import Augmentation, apply_all
from sparse3d.data.clouds import VoxelCloud, batch_clouds
from sparse3d.data.crops import CENTERS, SHAPES, crop_center, crop_rows
from sparse3d.data.scene_sources import LabelledScene, SceneCache, SceneSource
from sparse3d.data.voxelize import majority_label, mean_by_voxel, voxelize
from sparse3d.errors import InputError
from sparse3d.geometry.boxes import count_points_in_boxes
from sparse3d.types import IGNORE, Boxes, TensorBundle, VoxelBatch


@dataclass(frozen=True, eq=False)
class SceneItem:
    """One augmented, voxelized piece of a scene, still in numpy. ``cloud.xyz`` is where voxels were in the scene."""

    name: str
    cloud: VoxelCloud
    moved: np.ndarray  # (V, 3) float32, metres: mean of the voxel's points after augmentation
    semantic: np.ndarray  # (V,) int64, IGNORE for none
    instance: np.ndarray  # (V,) int64, row of ``boxes``, -1 for none
    boxes: Boxes  # after augmentation, in the frame of ``moved``


@dataclass
class SceneBatch(TensorBundle):
    """B pieces of scenes; voxel rows are grouped by piece. Boxes of all pieces stand in one table of K rows."""

    voxels: VoxelBatch
    moved: Tensor  # (V, 3) float32, metres
    semantic: Tensor  # (V,) int64
    instance: Tensor  # (V,) int64, row of ``boxes``, -1 for none
    boxes: Tensor  # (K, 7) float32: centre, full size (metres), yaw (radians)
    box_label: Tensor  # (K,) int64
    box_item: Tensor  # (K,) int64, index into the batch
    names: list[str] = field(default_factory=list)


@gin.configurable
class LabelledScenes(Dataset):
    """Pieces of labelled scenes for training; an item is drawn by ``(index, seed)`` and by nothing else.

    Args:
        source: the scenes.
        voxel_size: metres.
        crop_points: the most points of a piece; None takes whole scenes.
        crop_shape: ``column`` or ``sphere``.
        crop_centers: what pieces are cut around: ``points`` drawn from all of the scene's, or from one of its
            ``classes``, each as likely as any other, so that rare ones are seen more often.
        thin_to: a piece with more points is thinned out to so many, drawn at random each time: cheaper, and enough
            where a voxel holds many points. None keeps all. With ``points`` given, those with a label always stay.
        augmentations: of every piece; they move and recolour points, and keep their rows.
        points: labelled points a scene (limited annotations); None takes all labels.
        points_seed: which points these are.
        repeat: how often a scene occurs in an epoch.
        min_box_points: a box with fewer points of its instance in the piece is left out.
        cache_bytes: of decoded scenes kept in memory by each worker.

    Raises:
        InputError: an option out of its range, or a scene that cannot be used.
    """

    def __init__(
        self,
        source: SceneSource = gin.REQUIRED,
        voxel_size: float = 0.05,
        crop_points: int | None = 60_000,
        crop_shape: str = "column",
        crop_centers: str = "points",
        thin_to: int | None = None,
        augmentations: Sequence[Augmentation] = (),
        points: int | None = None,
        points_seed: int = 0,
        repeat: int = 1,
        min_box_points: int = 5,
        cache_bytes: int = 1_000_000_000,
    ) -> None:
        if voxel_size <= 0:
            raise InputError(f"LabelledScenes.voxel_size = {voxel_size}: must be positive, in metres")
        choices = (("crop_shape", crop_shape, SHAPES), ("crop_centers", crop_centers, CENTERS))
        for option, chosen, known in choices:
            if chosen not in known:
                raise InputError(f"LabelledScenes.{option} = {chosen!r} is unknown: choose one of {', '.join(known)}")
        numbers = (("crop_points", crop_points), ("thin_to", thin_to), ("points", points), ("repeat", repeat))
        for option, value in numbers:
            if value is not None and value < 1:
                raise InputError(f"LabelledScenes.{option} = {value}: must be at least 1")
        at_least("LabelledScenes.points_seed", points_seed, 0)
        self.source, self.voxel_size = source, voxel_size
        self.crop_points, self.crop_shape, self.crop_centers = crop_points, crop_shape, crop_centers
        self.thin_to, self.few_labels = thin_to, points is not None
        self.augmentations, self.repeat, self.min_box_points = list(augmentations), repeat, min_box_points
        self._scenes = SceneCache(source, cache_bytes, points, points_seed)

    def __len__(self) -> int:
        return len(self.source.names) * self.repeat

    def label_counts(self) -> np.ndarray:
        """Points of every class, (C,) int64, over the labels that are trained on. Reads every scene once."""
        count = len(self.source.classes)
        total = np.zeros(count, dtype=np.int64)
        for index in range(len(self.source.names)):
            labels = self._scenes[index].semantic
            total += np.bincount(labels[labels != IGNORE], minlength=count)
        return total

    def __getitem__(self, key: tuple[int, int]) -> SceneItem:
        index, seed = key
        rng = np.random.default_rng(seed)
        scene = self._scenes[index % len(self.source.names)]
        rows = self._drawn_rows(scene, rng)
        scene = scene if rows is None else _rows_of(scene, rows)
        return make_item(scene, self.voxel_size, self.augmentations, rng, self.min_box_points)

    def _drawn_rows(self, scene: LabelledScene, rng: np.random.Generator) -> np.ndarray | None:
        """Rising rows of the piece, cut out and thinned; None for all of the scene."""
        rows = None
        if self.crop_points is not None and len(scene) > self.crop_points:
            center = crop_center(scene.xyz, scene.semantic, rng, self.crop_centers)
            rows = crop_rows(scene.xyz, center, self.crop_points, self.crop_shape)
        count = len(scene) if rows is None else len(rows)
        if self.thin_to is not None and count > self.thin_to:
            if self.few_labels:
                kept = _thinned_around(scene.semantic if rows is None else scene.semantic[rows], self.thin_to, rng)
            else:
                kept = np.sort(rng.choice(count, self.thin_to, replace=False, shuffle=False))
            rows = kept if rows is None else rows[kept]
        return rows


def _thinned_around(semantic: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """``most`` rising rows of a piece at random, with every labelled one among them."""
    labelled, rest = np.flatnonzero(semantic != IGNORE), np.flatnonzero(semantic == IGNORE)
    drawn = rng.choice(rest, min(len(rest), max(0, most - len(labelled))), replace=False, shuffle=False)
    return np.sort(np.concatenate([labelled, drawn]))


def _rows_of(scene: LabelledScene, rows: np.ndarray) -> LabelledScene:
    parts = {name: getattr(scene, name)[rows] for name in ("xyz", "rgb", "semantic", "instance")}
    # A piece that shows no instance has no box; without any in the whole scene points in boxes count: moved_boxes.
    shows_none = not (parts["instance"] >= 0).any() and (scene.instance >= 0).any()
    boxes = scene.boxes.select(np.zeros(len(scene.boxes), dtype=bool)) if shows_none else scene.boxes
    return replace(scene, **parts, boxes=boxes, faces=None)


def make_item(
    scene: LabelledScene,
    voxel_size: float,
    augmentations: Sequence[Augmentation] = (),
    rng: np.random.Generator | None = None,
    min_box_points: int = 5,
) -> SceneItem:
    """A scene augmented and voxelized, its labels by the majority of a voxel's points.

    Boxes along the axes are drawn anew around the moved points of their instances, as they would be annotated in the
    turned room; turned boxes move with their corners.
    """
    xyz, rgb, corners = scene.xyz, scene.rgb, scene.boxes.corners()
    if augmentations:
        if rng is None:
            raise ValueError("augmenting needs a random generator")
        xyz, rgb, corners = _augmented(scene, corners, augmentations, rng)
    coords, point2voxel = voxelize(xyz, voxel_size)
    count = len(coords)
    feats, world = mean_by_voxel(rgb, point2voxel, count) - 0.5, mean_by_voxel(scene.xyz, point2voxel, count)
    boxes, instance = moved_boxes(scene.boxes, corners, xyz, scene.instance, min_box_points)
    return SceneItem(
        name=scene.name,
        cloud=VoxelCloud(coords, feats, world, np.zeros(count, dtype=bool)),
        moved=mean_by_voxel(xyz, point2voxel, count),
        semantic=majority_label(scene.semantic, point2voxel, count, IGNORE),
        instance=majority_label(instance, point2voxel, count, IGNORE),  # "no instance" has a vote like any other
        boxes=boxes,
    )


def _augmented(
    scene: LabelledScene, corners: np.ndarray, augmentations: Sequence[Augmentation], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # The boxes' corners ride along as further points; their colour is a point's, so that they stretch no range.
    extra = corners.reshape(-1, 3)
    all_xyz = np.concatenate([scene.xyz, extra])
    all_rgb = np.concatenate([scene.rgb, np.repeat(scene.rgb[:1], len(extra), axis=0)])
    xyz, rgb = apply_all(augmentations, all_xyz, all_rgb, rng)
    return xyz[: len(scene)], rgb[: len(scene)], xyz[len(scene) :].reshape(corners.shape)


def moved_boxes(
    boxes: Boxes, corners: np.ndarray, xyz: np.ndarray, instance: np.ndarray, min_points: int
) -> tuple[Boxes, np.ndarray]:
    """The boxes of a moved piece, and the points' rows of them.

    Args:
        boxes: as they were.
        corners: (K, 8, 3) their corners, moved with the points.
        xyz: (N, 3) the moved points.
        instance: (N,) row of ``boxes`` of every point, -1 for none; where no point has one (a data set with boxes
            only), the points inside the moved boxes are counted.
        min_points: boxes with fewer points are left out, and their points' rows become -1.
    """
    if not len(boxes):
        return boxes, np.full(len(instance), -1, dtype=np.int64)
    center, size = corners.mean(axis=1), np.array(boxes.size)
    edges = [np.linalg.norm(corners[:, 1 << axis] - corners[:, 0], axis=1) for axis in range(3)]
    along_x = corners[:, 1] - corners[:, 0]
    yaw = np.arctan2(along_x[:, 1], along_x[:, 0])
    size = np.stack(edges, axis=1)
    seen = instance >= 0
    if not seen.any():
        moved = Boxes(center, size, yaw, boxes.label)
        if min_points > 0:
            moved = moved.select(count_points_in_boxes(xyz, moved) >= min_points)
        return moved, np.full(len(instance), -1, dtype=np.int64)
    counts = np.bincount(instance[seen], minlength=len(boxes))
    upright = boxes.yaw == 0
    low, high = _bounds(xyz[seen], instance[seen], len(boxes))
    redrawn = upright & (counts > 0)
    center[redrawn], size[redrawn] = (low[redrawn] + high[redrawn]) / 2, high[redrawn] - low[redrawn]
    yaw = np.where(redrawn, 0.0, yaw)
    kept = counts >= max(1, min_points)
    old2new = np.where(kept, np.cumsum(kept) - 1, -1)
    rows = np.where(seen, old2new[np.where(seen, instance, 0)], -1)
    return Boxes(center, size, yaw, boxes.label).select(kept), rows.astype(np.int64)


def _bounds(xyz: np.ndarray, instance: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner (K, 3) of every instance's points; +-inf for one without."""
    low, high = np.full((count, 3), np.inf, np.float32), np.full((count, 3), -np.inf, np.float32)
    # Sorting small numbers and reducing runs of rows is several times as fast as ufunc.at.
    order = np.argsort(instance.astype(np.min_scalar_type(count)), kind="stable")
    there, starts = np.unique(instance[order], return_index=True)
    sorted_xyz = xyz[order]
    low[there], high[there] = np.minimum.reduceat(sorted_xyz, starts), np.maximum.reduceat(sorted_xyz, starts)
    return low, high


def collate_scenes(items: Sequence[SceneItem]) -> SceneBatch:
    """B items as one batch."""
    voxels, _ = batch_clouds([item.cloud for item in items])
    counts = [len(item.boxes) for item in items]
    starts = np.cumsum([0, *counts[:-1]])
    boxes = Boxes.concatenate([item.boxes for item in items])
    instance = [np.where(i.instance >= 0, i.instance + start, -1) for i, start in zip(items, starts, strict=True)]
    table = np.concatenate([boxes.center, boxes.size, boxes.yaw[:, None]], axis=1)
    return SceneBatch(
        voxels=replace(voxels, masked=None),
        moved=torch.from_numpy(np.concatenate([item.moved for item in items])),
        semantic=torch.from_numpy(np.concatenate([item.semantic for item in items])),
        instance=torch.from_numpy(np.concatenate(instance)),
        boxes=torch.from_numpy(table),
        box_label=torch.from_numpy(boxes.label),
        box_item=torch.from_numpy(np.repeat(np.arange(len(items)), counts)),
        names=[item.name for item in items],
    )
