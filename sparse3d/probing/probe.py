"""The probe of frozen features: fit on points of labelled scenes, measured on other scenes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import gin
import numpy as np
import torch
from torch import Tensor

from sparse3d.checks import at_least, not_negative, positive
from sparse3d.data.scene_sources import LabelledScene, SceneSource, check_scene
from sparse3d.data.voxel_clouds import VoxelScene, voxelize_scene
from sparse3d.errors import InputError
from sparse3d.metrics.segmentation import ConfusionMatrix
from sparse3d.models.resunet import SRUNet
from sparse3d.probing.features import KINDS, LevelFeatures, scene_features
from sparse3d.probing.linear import LinearClassifier, fit_linear
from sparse3d.probing.neighbours import NeighbourClassifier
from sparse3d.progress import track
from sparse3d.types import IGNORE

METHODS = ("linear", "knn")
Classifier = LinearClassifier | NeighbourClassifier


@dataclass(frozen=True)
class _Sample:
    """Features and labels of drawn points."""

    feats: dict[str, Tensor]  # by kind (N, C)
    labels: Tensor  # (N,) int64


@gin.configurable
class FeatureProbe:
    """How well classes can be read from a network's features, without changing it.

    Args:
        train: the scenes with labels to learn from.
        val: the scenes to measure on.
        backbone: the network.
        voxel_size: metres, that of the pre-training.
        features: of ``encoder`` (five levels side by side) and ``decoder`` (its output).
        methods: of ``linear`` (logistic regression on standardised features; measured on all points) and ``knn``
            (cosine of standardised features; measured on a draw of the points, as each is compared with all that is
            learnt from).
        points: labelled points drawn from each training scene.
        most_points: drawn from all of them together.
        knn_points: labelled points drawn from each validation scene, for ``knn``.
        l2: of the logistic regression.
        iterations: of its solver, at most.
        k: neighbours.
        seed: of the draws.
        network_seed: of the network's random weights, where no checkpoint gives others.

    Raises:
        InputError: an option out of its range.
    """

    def __init__(
        self,
        train: Callable[..., SceneSource] = gin.REQUIRED,
        val: Callable[..., SceneSource] = gin.REQUIRED,
        backbone: Callable[..., SRUNet] = SRUNet,
        voxel_size: float = 0.05,
        features: Sequence[str] = ("encoder",),
        methods: Sequence[str] = METHODS,
        points: int = 2000,
        most_points: int = 60_000,
        knn_points: int = 2000,
        l2: float = 3e-3,
        iterations: int = 200,
        k: int = 20,
        seed: int = 0,
        network_seed: int = 0,
    ) -> None:
        for option, values, known in (("features", features, KINDS), ("methods", methods, METHODS)):
            if not values or not set(values) <= set(known) or len(set(values)) < len(values):
                raise InputError(f"FeatureProbe.{option} = {tuple(values)}: choose of {', '.join(known)}, each once")
        counts = {"points": points, "most_points": most_points, "knn_points": knn_points, "iterations": iterations}
        for option, count in (counts | {"k": k}).items():
            at_least(f"FeatureProbe.{option}", count, 1)
        at_least("FeatureProbe.seed", seed, 0)
        at_least("FeatureProbe.network_seed", network_seed, 0)
        positive("FeatureProbe.voxel_size", voxel_size, "metres")
        not_negative("FeatureProbe.l2", l2)
        self._make_train, self._make_val, self._make_backbone = train, val, backbone
        self.voxel_size, self.features, self.methods = voxel_size, tuple(features), tuple(methods)
        self.points, self.most_points, self.knn_points = points, most_points, knn_points
        self.l2, self.iterations, self.k, self.seed, self.network_seed = l2, iterations, k, seed, network_seed

    def build_backbone(self) -> SRUNet:
        """The network with random weights, those of ``network_seed``."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.network_seed)
            return self._make_backbone()

    def measure(self, backbone: SRUNet, device: torch.device) -> dict[str, dict[str, float]]:
        """Figures of :class:`~sparse3d.metrics.segmentation.ConfusionMatrix` by ``<method>_<features>``.

        Raises:
            InputError: scenes that cannot be used, or without a labelled point.
        """
        backbone = backbone.to(device).eval()
        train, val = self._make_train(), self._make_val()
        if train.classes.names != val.classes.names:
            raise InputError("FeatureProbe: the scenes to learn from and to measure on have other classes")
        sample = self._training_sample(backbone, train, device)
        classifiers = {
            f"{method}_{kind}": (kind, self._fit(method, sample.feats[kind], sample.labels, len(train.classes)))
            for kind in self.features
            for method in self.methods
        }
        matrices = {name: ConfusionMatrix(val.classes.names) for name in classifiers}
        for index in track(range(len(val.names)), "measuring", "scene"):
            scene, voxels, found = self._scene(backbone, val, index, device)
            drawn = self._drawn(scene, self.knn_points)
            for name, (kind, classifier) in classifiers.items():
                guessed, truth = _predicted(classifier, found[kind], voxels, scene, drawn)
                matrices[name].update(scene.name, guessed, truth)
        return {
            name: matrix.compute("point") | {"train_points": float(len(sample.labels))}
            for name, matrix in matrices.items()
        }

    def _fit(self, method: str, feats: Tensor, labels: Tensor, classes: int) -> Classifier:
        if method == "linear":
            return fit_linear(feats, labels, classes, self.l2, self.iterations)
        return NeighbourClassifier.of(feats, labels, classes, self.k)

    def _training_sample(self, backbone: SRUNet, source: SceneSource, device: torch.device) -> _Sample:
        each = max(1, min(self.points, self.most_points // max(1, len(source.names))))
        feats: dict[str, list[Tensor]] = {kind: [] for kind in self.features}
        labels = []
        for index in track(range(len(source.names)), "learning", "scene"):
            scene, voxels, found = self._scene(backbone, source, index, device)
            drawn = self._drawn(scene, each)
            labels.append(torch.from_numpy(scene.semantic[drawn]))
            for kind in self.features:
                feats[kind].append(found[kind].at(torch.from_numpy(voxels.point2voxel[drawn])))
        joined = torch.cat(labels) if labels else torch.zeros(0)
        if not len(joined):
            raise InputError("FeatureProbe.train: none of its scenes has a labelled point")
        return _Sample({kind: torch.cat(parts) for kind, parts in feats.items()}, joined)

    def _scene(
        self, backbone: SRUNet, source: SceneSource, index: int, device: torch.device
    ) -> tuple[LabelledScene, VoxelScene, dict[str, LevelFeatures]]:
        scene = source.load(index)
        check_scene(scene, len(source.classes))
        voxels = voxelize_scene(scene.xyz, scene.rgb, self.voxel_size)
        return scene, voxels, scene_features(backbone, voxels, self.features, device)

    def _drawn(self, scene: LabelledScene, count: int) -> np.ndarray:
        """Rows of ``count`` labelled points, by the seed and the scene's name alone."""
        known = np.flatnonzero(scene.semantic != IGNORE)
        own = int.from_bytes(sha256(scene.name.encode("utf-8")).digest()[:8], "little")
        return known[np.random.default_rng([self.seed, own]).permutation(len(known))[:count]]


def _predicted(
    classifier: Classifier, found: LevelFeatures, voxels: VoxelScene, scene: LabelledScene, drawn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Classes and true labels: of all points, or of the drawn ones."""
    if isinstance(classifier, LinearClassifier):
        guessed = found.linear(classifier.weight, classifier.bias).argmax(dim=1).numpy()
        return guessed[voxels.point2voxel], scene.semantic
    rows = torch.from_numpy(voxels.point2voxel[drawn])
    return classifier.predict(found.at(rows)).numpy(), scene.semantic[drawn]
