"""The part segmentation task: a part for every point of a shape whose class is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gin
import numpy as np
import torch
from torch import Tensor, nn

from sparse3d import checks
from sparse3d.data.shapes.dataset import LabelledShapes, ShapeBatch, ShapeGrid
from sparse3d.data.shapes.source import ShapeSource
from sparse3d.losses.segmentation import cross_entropy
from sparse3d.metrics.parts import PartIoU
from sparse3d.models.resunet import SRUNet
from sparse3d.models.shape_nets import PartSegmenter
from sparse3d.tasks.shapes import ShapeTask
from sparse3d.training.task import StepOutput
from sparse3d.types import IGNORE


@gin.configurable
class PartSegmentationTask(ShapeTask):
    """Part segmentation by ShapeNetPart's protocol: the class is given, only its parts can be answered.

    Parts of the task are given as constructors (``@SRUNet``, not ``@SRUNet()``), built when they are needed.

    Args:
        data: the training shapes.
        grid: how shapes become voxels; the training shapes' own must be the same.
        val: the shapes to measure on; None measures nothing while training.
        backbone: the network.
        label_smoothing: of the cross-entropy, in [0, 1).
        votes: how many turns about the up axis figures are averaged over.
        pictures: validation shapes that are drawn.

    Raises:
        InputError: an option out of its range, or shapes without parts.
    """

    name = "parts"
    of_points = True
    needs_parts = True

    def __init__(
        self,
        data: Callable[..., LabelledShapes] = gin.REQUIRED,
        grid: ShapeGrid = gin.REQUIRED,
        val: Callable[..., ShapeSource] | None = None,
        backbone: Callable[..., SRUNet] = SRUNet,
        label_smoothing: float = 0.0,
        votes: int = 1,
        pictures: int = 6,
    ) -> None:
        super().__init__(data, grid, val, backbone, votes, pictures)
        checks.require(0 <= label_smoothing < 1, "PartSegmentationTask.label_smoothing", label_smoothing, "in [0, 1)")
        self.label_smoothing = label_smoothing

    def build_model(self) -> nn.Module:
        """The network with random weights."""
        source = self.class_source
        return PartSegmenter(self.make_backbone, len(source.classes), len(source.parts))

    def training_step(self, model: nn.Module, batch: ShapeBatch, step: int) -> StepOutput:
        """The cross-entropy over the parts of all classes; a batch without any part has a loss of 0."""
        scores, parts = self.scores_of(model, batch), batch.part
        loss = cross_entropy(scores, parts, label_smoothing=self.label_smoothing)
        known = parts != IGNORE
        scalars: dict[str, float | Tensor] = {"loss/cross_entropy": loss.detach(), "data/voxels": float(len(parts))}
        if bool(known.any()):
            scalars["accuracy"] = (scores.detach().argmax(dim=1) == parts)[known].float().mean()
        return StepOutput(loss, scalars, items=len(batch.names))

    def scores_of(self, model: nn.Module, batch: ShapeBatch) -> Tensor:
        """(V, parts)."""
        return model(batch.voxels, batch.label)

    def evaluate(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        """``instance_miou``, ``category_miou`` and ``iou/CLASS``, on the shapes' own points."""
        if self.val_shapes is None:
            return
        source = self.val_shapes
        measured = PartIoU(source.classes, source.parts_of)
        for shape, found in self.predicted(model, device):
            if shape.part is not None:
                measured.update(shape.name, shape.label, parts_among(found, source.parts_of[shape.label]), shape.part)
        yield from measured.compute().items()

    def pictures(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, np.ndarray]]:
        """Validation shapes by truth and prediction, spread over the set."""
        from sparse3d.tasks.shape_pictures import parts_of_shapes

        if self.val_shapes is not None and self.drawn:
            yield "val/parts", parts_of_shapes(self, model, device, self.drawn)


def parts_among(probabilities: np.ndarray, allowed: tuple[int, ...]) -> np.ndarray:
    """The likeliest of the ``allowed`` parts for every row of ``probabilities`` (N, parts), (N,) int64."""
    choice = np.array(allowed, dtype=np.int64)
    return choice[probabilities[:, choice].argmax(axis=1)]
