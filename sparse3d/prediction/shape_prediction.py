"""What networks for single shapes answer: a class, or a part for every point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from sparse3d.data.shapes.source import Shape, check_shape
from sparse3d.errors import InputError
from sparse3d.prediction.cloud_input import canonical_order, checked_shape
from sparse3d.tasks.parts import PartSegmentationTask, parts_among
from sparse3d.tasks.shapes import ShapeTask


@dataclass(frozen=True, eq=False)
class ClassificationPrediction:
    """A class for a whole shape."""

    label: int  # a place in the model's classes
    probabilities: np.ndarray  # (C,) float32, sums to 1


class ShapesOnly:
    """Shapes of which only the classes and parts are known, from a checkpoint's state of the task."""

    def __init__(self, task_state: dict[str, Any]) -> None:
        self.names: list[str] = []
        self.classes = tuple(task_state["classes"])
        self.parts = tuple(task_state["parts"])
        self.parts_of = tuple(tuple(parts) for parts in task_state["parts_of"])
        self.colored = bool(task_state["colored"])
        self.in_memory = True

    def load(self, index: int) -> Shape:
        """There are none."""
        raise IndexError(f"shape {index}: a loaded model has no shapes")


def as_shape(points: Any, colors: Any, source: ShapesOnly, label: int = 0) -> tuple[Shape, np.ndarray]:
    """The shape, its points in an order that depends on them alone, and the row of each given point in it (N,).

    Raises:
        InputError: points or colours that cannot be used.
    """
    xyz, rgb = checked_shape(points, colors)
    if (rgb is not None) != source.colored:
        has = "colours: give them, too" if source.colored else "none: leave them out"
        raise InputError(f"points: the shapes that the network was trained on have {has}")
    order = canonical_order(xyz, xyz if rgb is None else rgb)
    shape = Shape("points", xyz[order], None if rgb is None else rgb[order], label)
    check_shape(shape, source)
    row = np.empty(len(order), dtype=np.int64)
    row[order] = np.arange(len(order))
    return shape, row


def classify(
    task: ShapeTask, network: nn.Module, device: torch.device, source: ShapesOnly, points: Any, colors: Any
) -> ClassificationPrediction:
    """The class of one shape; see :meth:`sparse3d.prediction.model.Model.classify`."""
    shape, _ = as_shape(points, colors, source)
    probabilities = task.probabilities(network, device, [shape])[0][0].astype(np.float32)
    return ClassificationPrediction(int(probabilities.argmax()), probabilities)


def segment_parts(
    task: ShapeTask, network: nn.Module, device: torch.device, source: ShapesOnly, points: Any, kind: str, colors: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Parts (N,) int64 and probabilities (N, P) float32; see :meth:`sparse3d.prediction.model.Model.segment_parts`."""
    assert isinstance(task, PartSegmentationTask)
    if kind not in source.classes:
        raise InputError(f"kind = {kind!r} is none of the network's classes: {', '.join(source.classes)}")
    label = source.classes.index(kind)
    shape, row = as_shape(points, colors, source, label)
    allowed = np.array(source.parts_of[label])
    scores = task.probabilities(network, device, [shape])[0][row]
    among = np.zeros(scores.shape, dtype=np.float32)
    among[:, allowed] = scores[:, allowed] / scores[:, allowed].sum(axis=1, keepdims=True).clip(1e-30)
    return parts_among(scores, source.parts_of[label]), among
