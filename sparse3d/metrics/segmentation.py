"""Semantic segmentation: one confusion matrix over all scenes, and the figures that are read from it.

The protocol is the ScanNet benchmark's: points whose truth is none of the classes are skipped; a prediction that is
none of them is a miss of the true class and no other class's false positive; a class that does not occur has no figure
and is left out of the mean. The benchmark's own script counts such a class as 0 once a point is predicted to be of it;
on its scenes every class occurs. On small sets that made means over different classes for different networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class _SceneCounts:
    """The cells of one scene's matrix that are not zero; a scene has few, also of 200 classes."""

    cells: np.ndarray  # (K,) int64, rising
    counts: np.ndarray  # (K,) int64
    skipped: int

    def equals(self, other: _SceneCounts) -> bool:
        return (
            self.skipped == other.skipped
            and np.array_equal(self.cells, other.cells)
            and np.array_equal(self.counts, other.counts)
        )


class ConfusionMatrix:
    """Counts of (truth, prediction) over scenes, kept a scene each so that none is counted twice.

    Each process fills its own and they are merged; neither the order of scenes, of points, nor of merging changes a
    figure, as all are made of whole numbers.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        """``classes``: the C names; the labels are their places. Raises ValueError for none, or a name given twice."""
        if not classes or len(set(classes)) != len(classes):
            raise ValueError(f"a confusion matrix needs classes of different names, got {list(classes)}")
        self.classes = tuple(classes)
        self._scenes: dict[str, _SceneCounts] = {}

    def update(self, scene: str, prediction: np.ndarray | Tensor, truth: np.ndarray | Tensor) -> None:
        """Take in one scene's labels: integers of equal shape, on any device.

        Raises ValueError for shapes that differ, labels that are not integers, or a scene that is here already.
        """
        if scene in self._scenes:
            raise ValueError(f"scene {scene} has been counted already; it would count twice")
        self._scenes[scene] = self._counted(_labels(prediction), _labels(truth))

    def _counted(self, prediction: np.ndarray, truth: np.ndarray) -> _SceneCounts:
        if prediction.shape != truth.shape:
            raise ValueError(f"{prediction.shape} predictions do not fit {truth.shape} labels")
        count = len(self.classes)
        known = (truth >= 0) & (truth < count)
        true, guessed = truth[known], prediction[known]
        guessed = np.where((guessed >= 0) & (guessed < count), guessed, count)
        counts = np.bincount(true * (count + 1) + guessed)
        cells = np.flatnonzero(counts)
        return _SceneCounts(cells, counts[cells], int(truth.size - known.sum()))

    def merge(self, other: ConfusionMatrix) -> None:
        """Take in what another process counted. A scene that both have is kept once.

        Raises ValueError for other classes, or a scene whose counts differ: then one of the two is of another network.
        """
        if other.classes != self.classes:
            raise ValueError(f"confusion matrices of {self.classes} and {other.classes} cannot be merged")
        for scene, counts in other._scenes.items():
            if not self._scenes.setdefault(scene, counts).equals(counts):
                raise ValueError(f"scene {scene} was counted twice with different results: are some predictions stale?")

    @property
    def scenes(self) -> list[str]:
        """Names of the scenes counted, sorted."""
        return sorted(self._scenes)

    @property
    def skipped(self) -> int:
        """Points whose truth is none of the classes."""
        return sum(scene.skipped for scene in self._scenes.values())

    @property
    def matrix(self) -> np.ndarray:
        """(C, C + 1) int64 counts: a row a true class, a column a predicted one, the last for "none of them"."""
        count = len(self.classes)
        total = np.zeros(count * (count + 1), dtype=np.int64)
        for scene in self._scenes.values():
            total[scene.cells] += scene.counts
        return total.reshape(count, count + 1)

    def iou(self) -> np.ndarray:
        """(C,) float64 in [0, 1]: hits over points that are, or are predicted to be, of the class.

        NaN for a class that does not occur.
        """
        matrix = self.matrix
        hits, true = matrix.diagonal(), matrix.sum(axis=1)
        return np.where(true > 0, _ratio(hits, true + matrix[:, :-1].sum(axis=0) - hits), np.nan)

    def accuracy(self) -> np.ndarray:
        """(C,) float64 in [0, 1]: hits over the points of the class; NaN for a class that does not occur."""
        matrix = self.matrix
        return _ratio(matrix.diagonal(), matrix.sum(axis=1))

    def compute(self, kind: str) -> dict[str, float]:
        """The figures by name, fractions of 1; ``kind`` says what was counted: "point", "voxel" or "tta".

        ``miou_<kind>``, ``mean_accuracy_<kind>`` and ``overall_accuracy_<kind>`` (NaN where no point had a label),
        then ``iou_<kind>/<class>`` of the classes that occur.
        """
        matrix, iou = self.matrix, self.iou()
        figures = {
            f"miou_{kind}": _mean_of_known(iou),
            f"mean_accuracy_{kind}": _mean_of_known(self.accuracy()),
            f"overall_accuracy_{kind}": float(_ratio(matrix.diagonal().sum(), matrix.sum())),
        }
        per_class = zip(self.classes, iou.tolist(), strict=True)
        return figures | {f"iou_{kind}/{name}": value for name, value in per_class if not np.isnan(value)}


def _labels(values: np.ndarray | Tensor) -> np.ndarray:
    found = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if not np.issubdtype(found.dtype, np.integer):
        raise ValueError(f"labels must be integers, got {found.dtype}")
    return found.astype(np.int64, copy=False)


def _ratio(part: Any, whole: Any) -> np.ndarray:
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _mean_of_known(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
