"""Average precision: the area under the curve of precision over recall, of detections in the order of their score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class PrecisionRecall:
    """One class at one threshold: a point of the curve for each of its K detections, by falling score."""

    precision: np.ndarray  # (K,) float64, of the first k detections
    recall: np.ndarray  # (K,) float64; NaN where the class has no truth
    score: np.ndarray  # (K,) float32
    truths: int

    @property
    def average_precision(self) -> float:
        """The area under the curve, each precision taken as the best of its recall or a larger one.

        This is all-point interpolation (Pascal VOC since 2010). 0 without detections, NaN without truth.
        """
        if self.truths == 0:
            return float("nan")
        envelope = np.maximum.accumulate(self.precision[::-1])[::-1]
        return float((np.diff(self.recall, prepend=0.0) * envelope).sum())

    @property
    def final_recall(self) -> float:
        """The share of true boxes that any detection found; 0 without detections, NaN without truth."""
        if self.truths == 0:
            return float("nan")
        return float(self.recall[-1]) if len(self.recall) else 0.0


def precision_recall(hit: np.ndarray, score: np.ndarray, truths: int) -> PrecisionRecall:
    """The curve of detections (K,) in the order of their score, of which ``hit`` says whether they found a true box."""
    hits = np.cumsum(hit, dtype=np.int64)
    precision = hits / np.arange(1, len(hit) + 1)
    recall = hits / truths if truths else np.full(len(hit), np.nan)
    return PrecisionRecall(precision, recall, score, truths)


def first_hits(target: np.ndarray) -> np.ndarray:
    """(K,) bool: whether each detection is the first, in the order given, of its ``target`` (K,), -1 for none.

    A second hit on the same true box is a false positive.
    """
    first = np.zeros(len(target), dtype=bool)
    first[np.unique(target, return_index=True)[1]] = True
    return first & (target >= 0)
