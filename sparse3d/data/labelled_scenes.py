"""Labelled scenes for training: items and batches of all tasks, and the pieces that segmentation trains on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import gin
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sparse3d.checks import at_least, one_of, positive
from sparse3d.data.augment import Augmentation, apply_all
from sparse3d.data.crops import CENTERS, SHAPES, crop_center, crop_rows
from sparse3d.data.scene_sources import LabelledScene, SceneCache, SceneSource
from sparse3d.data.voxel_clouds import VoxelCloud, batch_clouds, voxel_cloud
from sparse3d.data.voxelize import majority_label, mean_by_voxel
from sparse3d.types import IGNORE, Boxes, TensorBundle, VoxelBatch

NO_BOXES = Boxes(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), np.zeros(0))


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
    """Pieces of labelled scenes for training by classes; an item is drawn by ``(index, seed)`` and by nothing else.

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
        cache_bytes: int = 1_000_000_000,
    ) -> None:
        positive("LabelledScenes.voxel_size", voxel_size, "metres")
        one_of("LabelledScenes.crop_shape", crop_shape, SHAPES)
        one_of("LabelledScenes.crop_centers", crop_centers, CENTERS)
        numbers = (("crop_points", crop_points), ("thin_to", thin_to), ("points", points), ("repeat", repeat))
        for option, value in numbers:
            at_least(f"LabelledScenes.{option}", value, 1)
        at_least("LabelledScenes.points_seed", points_seed, 0)
        self.source, self.voxel_size = source, voxel_size
        self.crop_points, self.crop_shape, self.crop_centers = crop_points, crop_shape, crop_centers
        self.thin_to, self.few_labels = thin_to, points is not None
        self.augmentations, self.repeat = list(augmentations), repeat
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
        return make_item(scene, self.voxel_size, self.augmentations, rng)

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
    return replace(scene, **parts, boxes=NO_BOXES, faces=None)


def make_item(
    scene: LabelledScene,
    voxel_size: float,
    augmentations: Sequence[Augmentation] = (),
    rng: np.random.Generator | None = None,
) -> SceneItem:
    """A scene augmented and voxelized, its classes by the majority of a voxel's points; without instances and boxes."""
    xyz, rgb = apply_all(augmentations, scene.xyz, scene.rgb, rng)
    cloud, point2voxel = voxel_cloud(xyz, rgb, voxel_size, scene.xyz)
    count = len(cloud.coords)
    return SceneItem(
        name=scene.name,
        cloud=cloud,
        moved=mean_by_voxel(xyz, point2voxel, count),
        semantic=majority_label(scene.semantic, point2voxel, count, IGNORE),
        instance=np.full(count, -1, dtype=np.int64),
        boxes=NO_BOXES,
    )


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
