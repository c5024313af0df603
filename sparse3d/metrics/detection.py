"""3D detection by VoteNet's protocol, for axis-aligned and turned boxes.

Of each class, the boxes of all scenes are taken in the order of their score. A box is a hit if the true box of its
class and scene that it overlaps most does so by *more* than the threshold and no box before it had that one;
otherwise it is a false positive, a second hit as well. Classes without truth are left out of the means; a class with
truth but without predictions counts 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sparse3d.geometry.box_overlap import box_iou
from sparse3d.geometry.boxes import score_order
from sparse3d.metrics.average_precision import PrecisionRecall, first_hits, precision_recall
from sparse3d.types import Boxes


@dataclass(frozen=True, eq=False)
class _SceneMatches:
    """What one scene leaves behind: a row a predicted box, by falling score."""

    label: np.ndarray  # (K,) int64
    score: np.ndarray  # (K,) float32
    iou: np.ndarray  # (K,) float64 with the true box of the same class that it overlaps most
    target: np.ndarray  # (K,) int64, that box's row among the scene's, -1 where it overlaps none
    truths: np.ndarray  # (C,) int64 true boxes of each class
    skipped: int  # true boxes of no class

    def equals(self, other: _SceneMatches) -> bool:
        names = ("label", "score", "iou", "target", "truths", "skipped")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """Curves of every class at every threshold."""

    classes: tuple[str, ...]
    thresholds: tuple[float, ...]
    truths: np.ndarray  # (C,) int64
    predictions: np.ndarray  # (C,) int64
    curves: dict[float, list[PrecisionRecall]]  # by threshold, one a class

    @cached_property
    def average_precision(self) -> np.ndarray:
        """(T, C) float64 in [0, 1], NaN for classes without truth."""
        return np.array([[curve.average_precision for curve in self.curves[t]] for t in self.thresholds])

    @cached_property
    def recall(self) -> np.ndarray:
        """(T, C) float64 in [0, 1], NaN for classes without truth."""
        return np.array([[curve.final_recall for curve in self.curves[t]] for t in self.thresholds])

    def figures(self) -> dict[str, float]:
        """The figures by name, fractions of 1, for the thresholds .25 and .5 as percents 25 and 50.

        ``map25`` and ``recall25`` (means over the classes with truth, NaN without any), then ``ap25/<class>`` and
        ``recall25/<class>`` of those classes; the same of the other thresholds.
        """
        known = self.truths > 0
        means: dict[str, float] = {}
        per_class: dict[str, float] = {}
        for threshold, ap, recall in zip(self.thresholds, self.average_precision, self.recall, strict=True):
            mark = threshold_mark(threshold)
            means[f"map{mark}"] = float(ap[known].mean()) if known.any() else float("nan")
            means[f"recall{mark}"] = float(recall[known].mean()) if known.any() else float("nan")
            for k in np.flatnonzero(known):
                per_class[f"ap{mark}/{self.classes[k]}"] = float(ap[k])
                per_class[f"recall{mark}/{self.classes[k]}"] = float(recall[k])
        return means | per_class

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows for a report: a row a class, figures in percent, "-" where there is none."""
        marks = [threshold_mark(t) for t in self.thresholds]
        header = ["class", "true", "predicted", *(f"{kind}{m}" for m in marks for kind in ("AP", "recall "))]
        figures = np.stack([self.average_precision, self.recall], axis=1).reshape(-1, len(self.classes)).T
        rows = [
            [name, str(true), str(found), *("-" if np.isnan(v) else f"{100 * v:.1f}" for v in values)]
            for name, true, found, values in zip(self.classes, self.truths, self.predictions, figures, strict=True)
        ]
        return header, rows


def threshold_mark(threshold: float) -> str:
    """A threshold as it stands in names: in percent, "25" for 0.25 and "12.5" for 0.125."""
    return f"{100 * threshold:.6g}"


class DetectionAP:
    """Gathers the predicted and true boxes of scenes; each process fills its own and they are merged.

    Neither the order of scenes, boxes and merging, nor the number of processes changes a figure: boxes of equal score
    are ordered by the scene's name, then by their own numbers.
    """

    def __init__(self, classes: Sequence[str], thresholds: Sequence[float] = (0.25, 0.5)) -> None:
        """``classes``: the C names, the labels are their places; a hit overlaps by more than a threshold in [0, 1)."""
        if not classes or len(set(classes)) != len(classes):
            raise ValueError(f"average precision needs classes of different names, got {list(classes)}")
        if not thresholds or not all(0 <= t < 1 for t in thresholds) or len(set(thresholds)) != len(thresholds):
            raise ValueError(f"thresholds must be different numbers in [0, 1), got {list(thresholds)}")
        self.classes = tuple(classes)
        self.thresholds = tuple(float(t) for t in thresholds)
        self._scenes: dict[str, _SceneMatches] = {}

    def update(self, scene: str, predicted: Boxes, truth: Boxes) -> None:
        """Take in one scene. True boxes whose label is none of the classes are skipped, and counted as skipped.

        Raises ValueError for a scene that is here already, predictions without scores, with a score that is not a
        number, or with a label that is none of the classes.
        """
        if scene in self._scenes:
            raise ValueError(f"scene {scene} has been counted already; it would count twice")
        if predicted.score is None or np.isnan(predicted.score).any():
            raise ValueError(f"scene {scene}: predicted boxes need scores that are numbers")
        count = len(self.classes)
        strange = predicted.label[(predicted.label < 0) | (predicted.label >= count)]
        if len(strange):
            raise ValueError(f"scene {scene}: predicted label {strange[0]} is none of the {count} classes")
        known = (truth.label >= 0) & (truth.label < count)
        truth, skipped = truth.select(known), int((~known).sum())
        # In an order of their own, so that of two true boxes overlapped alike the same one is taken every time.
        truth = truth.select(score_order(Boxes(truth.center, truth.size, truth.yaw, truth.label)))
        predicted = predicted.select(score_order(predicted))
        iou, target = _best_overlaps(predicted, truth)
        truths = np.bincount(truth.label, minlength=count)
        assert predicted.score is not None
        self._scenes[scene] = _SceneMatches(predicted.label, predicted.score, iou, target, truths, skipped)

    def merge(self, other: DetectionAP) -> None:
        """Take in what another process gathered. A scene that both have is kept once.

        Raises ValueError for other classes or thresholds, or a scene whose boxes differ: then one of the two is of
        another network.
        """
        if (other.classes, other.thresholds) != (self.classes, self.thresholds):
            raise ValueError("average precisions of different classes or thresholds cannot be merged")
        for scene, matches in other._scenes.items():
            if not self._scenes.setdefault(scene, matches).equals(matches):
                raise ValueError(f"scene {scene} was counted twice with different boxes: are some predictions stale?")

    @property
    def scenes(self) -> list[str]:
        """Names of the scenes taken in, sorted."""
        return sorted(self._scenes)

    @property
    def skipped(self) -> int:
        """True boxes whose label is none of the classes."""
        return sum(scene.skipped for scene in self._scenes.values())

    def compute(self) -> DetectionResult:
        """Curves and figures of all scenes taken in so far; ``compute().figures()`` has the names and numbers."""
        count = len(self.classes)
        found = [self._scenes[name] for name in self.scenes]
        truths = sum((scene.truths for scene in found), np.zeros(count, dtype=np.int64))
        label = np.concatenate([np.zeros(0, dtype=np.int64), *(scene.label for scene in found)])
        score = np.concatenate([np.zeros(0, dtype=np.float32), *(scene.score for scene in found)])
        iou = np.concatenate([np.zeros(0), *(scene.iou for scene in found)])
        # True boxes numbered through all scenes.
        starts = np.cumsum([0, *(int(scene.truths.sum()) for scene in found)])
        numbered = [np.where(s.target >= 0, s.target + start, -1) for s, start in zip(found, starts, strict=False)]
        target = np.concatenate([np.zeros(0, dtype=np.int64), *numbered])
        order = np.argsort(-score, kind="stable")
        curves: dict[float, list[PrecisionRecall]] = {t: [] for t in self.thresholds}
        for k in range(count):
            rows = order[label[order] == k]
            for threshold in self.thresholds:
                hit = first_hits(np.where(iou[rows] > threshold, target[rows], -1))
                curves[threshold].append(precision_recall(hit, score[rows], int(truths[k])))
        predictions = np.bincount(label, minlength=count)
        return DetectionResult(self.classes, self.thresholds, truths, predictions, curves)


def _best_overlaps(predicted: Boxes, truth: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """Overlap (K,) of each predicted box with the true box of its class that it overlaps most, and that one's row."""
    if len(truth) == 0 or len(predicted) == 0:
        return np.zeros(len(predicted)), np.full(len(predicted), -1, dtype=np.int64)
    overlap = np.where(predicted.label[:, None] == truth.label, box_iou(predicted, truth), 0.0)
    target = overlap.argmax(axis=1)
    best = overlap[np.arange(len(predicted)), target]
    return best, np.where(best > 0, target, -1)
