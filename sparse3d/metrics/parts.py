"""Part segmentation by ShapeNetPart's protocol: the IoU of each shape's parts, averaged over shapes and categories.

Source: Yi et al., "A scalable active framework for region annotation in 3D shape collections" (SIGGRAPH Asia 2016), as
PointNet (Qi et al., CVPR 2017) evaluates it: a shape's IoU is the mean over all parts of its category; a part that
neither truth nor prediction has counts as 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class PartIoU:
    """Shapes' IoUs, kept a shape each so that none is counted twice."""

    def __init__(self, classes: Sequence[str], parts_of: Sequence[Sequence[int]]) -> None:
        """``parts_of``: for each of the ``classes`` the parts that its shapes may have."""
        self.classes = tuple(classes)
        self.parts_of = tuple(tuple(parts) for parts in parts_of)
        self._shapes: dict[str, tuple[int, float]] = {}  # class, IoU

    def update(self, name: str, label: int, prediction: np.ndarray, truth: np.ndarray) -> None:
        """Take in the parts of one shape's points, (N,) integers each. Points whose truth is no part are skipped.

        Raises ValueError for shapes that differ, or a shape that is here already.
        """
        if name in self._shapes:
            raise ValueError(f"shape {name} has been counted already; it would count twice")
        if prediction.shape != truth.shape:
            raise ValueError(f"{prediction.shape} predictions do not fit {truth.shape} parts")
        parts = self.parts_of[label]
        known = np.isin(truth, parts)
        if known.any():
            self._shapes[name] = (label, float(np.mean([_iou(prediction[known], truth[known], p) for p in parts])))

    def merge(self, other: PartIoU) -> None:
        """Take in what another process counted. A shape that both have is kept once."""
        self._shapes = {**other._shapes, **self._shapes}

    def compute(self) -> dict[str, float]:
        """``instance_miou`` (mean over shapes), ``category_miou`` (mean over classes of their shapes' means), then
        ``iou/<class>`` of the classes that occur; none without a labelled shape."""
        if not self._shapes:
            return {}
        labels, values = (np.array(column) for column in zip(*self._shapes.values(), strict=True))
        means = {name: float(values[labels == k].mean()) for k, name in enumerate(self.classes) if (labels == k).any()}
        figures = {"instance_miou": float(values.mean()), "category_miou": float(np.mean(list(means.values())))}
        return figures | {f"iou/{name}": value for name, value in means.items()}


def _iou(prediction: np.ndarray, truth: np.ndarray, part: int) -> float:
    union = int(((prediction == part) | (truth == part)).sum())
    return 1.0 if union == 0 else float(((prediction == part) & (truth == part)).sum()) / union
