"""Scenes for detection: whole rooms thinned out to a number of points, with boxes that follow every augmentation."""

from __future__ import annotations

from collections.abc import Sequence

import gin
import numpy as np
from torch.utils.data import Dataset

from sparse3d.checks import at_least, in_range, positive
from sparse3d.data.augment import Augmentation, apply_all
from sparse3d.data.labelled_scenes import SceneItem
from sparse3d.data.s3dis_scenes import S3DIS13
from sparse3d.data.scannet.classes import CLASS_LISTS
from sparse3d.data.scene_sources import LabelledScene, SceneCache, SceneSource
from sparse3d.data.sunrgbd_scenes import SUNRGBD10
from sparse3d.data.voxel_clouds import voxel_cloud
from sparse3d.data.voxelize import mean_by_voxel
from sparse3d.errors import InputError
from sparse3d.geometry.boxes import count_points_in_boxes
from sparse3d.types import IGNORE, Boxes

# Known without opening any data, so that a trained network says what it found.
BOX_CLASSES: dict[str, tuple[str, ...]] = {
    "scannet18": CLASS_LISTS["scannet18"].names, "sunrgbd10": SUNRGBD10.names, "s3dis": S3DIS13.names,
}  # fmt: skip


@gin.configurable
class DetectionScenes(Dataset):
    """Whole scenes for training; an item is drawn by ``(index, seed)`` and by nothing else.

    Args:
        source: the scenes.
        voxel_size: metres.
        points: drawn from a scene's points, after the boxes were found on all of them; None keeps all.
        augmentations: they move and recolour points, and keep their rows.
        repeat: how often a scene occurs in an epoch.
        min_box_points: boxes whose instance has fewer points in the scene are not asked for; of scenes without
            instances, boxes that hold fewer.
        cache_bytes: of decoded scenes kept in memory by each worker.

    Raises:
        InputError: an option out of its range, or a scene that cannot be used.
    """

    def __init__(
        self,
        source: SceneSource = gin.REQUIRED,
        voxel_size: float = 0.05,
        points: int | None = 40_000,
        augmentations: Sequence[Augmentation] = (),
        repeat: int = 1,
        min_box_points: int = 20,
        cache_bytes: int = 1_000_000_000,
    ) -> None:
        positive("DetectionScenes.voxel_size", voxel_size, "metres")
        at_least("DetectionScenes.points", points, 1)
        at_least("DetectionScenes.repeat", repeat, 1)
        self.source, self.voxel_size, self.points = source, voxel_size, points
        self.augmentations, self.repeat, self.min_box_points = list(augmentations), repeat, min_box_points
        self._scenes = SceneCache(source, cache_bytes)

    def __len__(self) -> int:
        return len(self.source.names) * self.repeat

    def __getitem__(self, key: tuple[int, int]) -> SceneItem:
        index, seed = key
        scene, rng = self._scenes[index % len(self.source.names)], np.random.default_rng(seed)
        return detection_item(scene, self.voxel_size, self.points, self.augmentations, rng, self.min_box_points)


def detection_item(
    scene: LabelledScene,
    voxel_size: float,
    points: int | None,
    augmentations: Sequence[Augmentation] = (),
    rng: np.random.Generator | None = None,
    min_box_points: int = 1,
) -> SceneItem:
    """A scene moved, thinned out and voxelized. Its ``semantic`` is empty of labels: detection goes by boxes.

    Boxes along the axes are those of all moved points of their instances; turned ones move with their corners. Without
    ``rng`` nothing is random: the points are chosen by their coordinates, whatever rows they stand in.
    """
    xyz, rgb, corners = scene.xyz, scene.rgb, scene.boxes.corners()
    if augmentations:
        # The corners ride along as further points, in the colour of one that is there.
        extra = corners.reshape(-1, 3)
        colors = np.concatenate([rgb, np.repeat(rgb[:1], len(extra), axis=0)])
        all_xyz, all_rgb = apply_all(augmentations, np.concatenate([xyz, extra]), colors, rng)
        xyz, rgb, corners = all_xyz[: len(scene)], all_rgb[: len(scene)], all_xyz[len(scene) :].reshape(corners.shape)
    boxes, instance = moved_boxes(scene.boxes, corners, xyz, scene.instance, min_box_points)
    rows = thinned_rows(xyz, rgb, points, rng)
    cloud, point2voxel = voxel_cloud(xyz[rows], rgb[rows], voxel_size, scene.xyz[rows])
    count = len(cloud.coords)
    return SceneItem(
        name=scene.name,
        cloud=cloud,
        moved=mean_by_voxel(xyz[rows], point2voxel, count),
        semantic=np.full(count, IGNORE, dtype=np.int64),
        instance=_most_frequent(instance[rows], point2voxel, count),
        boxes=boxes,
    )


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
    center = corners.mean(axis=1)
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


def thinned_rows(
    xyz: np.ndarray, rgb: np.ndarray, points: int | None, rng: np.random.Generator | None = None
) -> np.ndarray:
    """Rows (M,) int64 of ``points`` of the points ``xyz``, ``rgb`` (N, 3), of all where there are no more.

    Without ``rng`` they are drawn with a fixed seed from the points in the order of their coordinates, and keep an
    order that has nothing to do with their rows: so sums over voxels are the same to the last bit.
    """
    if rng is not None:
        return np.arange(len(xyz)) if points is None or len(xyz) <= points else rng.permutation(len(xyz))[:points]
    order = np.lexsort((*rgb.T, *xyz.T[::-1]))
    if points is None or len(xyz) <= points:
        return order
    return order[np.random.default_rng(0).permutation(len(xyz))[:points]]


def _most_frequent(instance: np.ndarray, point2voxel: np.ndarray, voxels: int) -> np.ndarray:
    """The instance that most points of each voxel have, -1 (none) among them; ties go to the smaller number."""
    width = int(instance.max(initial=-1)) + 2
    pairs, counts = np.unique(point2voxel * width + instance + 1, return_counts=True)
    voxel, number = pairs // width, pairs % width - 1
    result = np.full(voxels, -1, dtype=np.int64)
    order = np.lexsort((-number, counts, voxel))  # the last of a voxel counts
    result[voxel[order]] = number[order]
    return result


@gin.configurable
class RandomQuarterTurn:
    """Turn about z through the origin by 0, 90, 180 or 270 degrees: boxes along the axes stay tight."""

    def __call__(self, xyz: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[int(rng.integers(4))]
        turned = np.stack([cos * xyz[:, 0] - sin * xyz[:, 1], sin * xyz[:, 0] + cos * xyz[:, 1], xyz[:, 2]], axis=1)
        return turned.astype(np.float32), rgb


@gin.configurable
class RandomMirrorX:
    """Mirror left and right with ``probability``, in frames whose camera looks along y: what is behind stays behind."""

    def __init__(self, probability: float = 0.5) -> None:
        in_range("RandomMirrorX.probability", probability, 0, 1)
        self.probability = probability

    def __call__(self, xyz: np.ndarray, rgb: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        side = np.float32(-1.0 if rng.random() < self.probability else 1.0)
        return xyz * np.array([side, 1, 1], dtype=np.float32), rgb


def known_boxes(boxes: Boxes) -> Boxes:
    """The boxes that have a class."""
    return boxes.select(boxes.label != IGNORE)


def scene_boxes(source: SceneSource, index: int) -> Boxes:
    """The boxes of scene ``index``, without its points where the source has them apart."""
    return source.boxes(index) if hasattr(source, "boxes") else source.load(index).boxes


def class_mean_sizes(source: SceneSource) -> np.ndarray:
    """Mean edges (C, 3) float32, metres, of the boxes of each class; of all boxes for a class without any.

    1 m where the source has no box at all.
    """
    count = len(source.box_classes)
    sums, counts = np.zeros((count, 3)), np.zeros(count)
    for index in range(len(source.names)):
        boxes = known_boxes(scene_boxes(source, index))
        np.add.at(sums, boxes.label, boxes.size.astype(np.float64))
        counts += np.bincount(boxes.label, minlength=count)
    typical = sums.sum(axis=0) / counts.sum() if counts.any() else np.ones(3)
    means = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], typical)
    return np.maximum(means, 0.01).astype(np.float32)


def box_class_names(name: str) -> tuple[str, ...]:
    """The names of a list of box classes, in the order of their labels.

    Raises:
        InputError: no such list.
    """
    if name not in BOX_CLASSES:
        raise InputError(f"box classes {name!r} are unknown: choose one of {', '.join(BOX_CLASSES)}")
    return BOX_CLASSES[name]
