"""How far colour alone goes: the classes of a set of rooms must not be given away by it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from sparse3d.data.prepared import PreparedScene
from sparse3d.data.scannet.classes import SCANNET20
from sparse3d.data.voxelize import majority_label, mean_by_voxel, voxelize
from sparse3d.metrics.segmentation import ConfusionMatrix
from sparse3d.types import IGNORE

VOXEL_SIZE = 0.05  # metres
NEIGHBOURS = 15
A_CLASS_AND_ROOM = 100  # voxels that each class of each room contributes to what is known


def color_voxels(scene: PreparedScene) -> tuple[np.ndarray, np.ndarray]:
    """Mean colours (V, 3) and majority labels (V,) of a scene's voxels that have a label of the 20 classes."""
    mesh = scene.mesh()
    coords, point2voxel = voxelize(mesh.xyz, VOXEL_SIZE)
    color = mean_by_voxel(mesh.rgb, point2voxel, len(coords))
    label = majority_label(mesh.semantic, point2voxel, len(coords), IGNORE)
    return color[label != IGNORE], label[label != IGNORE]


def color_knn_miou(train: Sequence[PreparedScene], val: Sequence[PreparedScene], seed: int = 0) -> float:
    """mIoU over the voxels of ``val`` of a k-NN on colour that knows ``train``, every class equally often a room."""
    rng = np.random.default_rng(seed)
    colors, labels = [], []
    for scene in train:
        color, label = color_voxels(scene)
        for own in np.unique(label):
            rows = np.flatnonzero(label == own)
            rows = rng.choice(rows, min(len(rows), A_CLASS_AND_ROOM), replace=False)
            colors.append(color[rows])
            labels.append(label[rows])
    known = KNeighborsClassifier(NEIGHBOURS).fit(np.concatenate(colors), np.concatenate(labels))
    matrix = ConfusionMatrix(SCANNET20.names)
    for scene in val:
        color, label = color_voxels(scene)
        matrix.update(scene.name, known.predict(color), label)
    return matrix.compute("voxel")["miou_voxel"]
