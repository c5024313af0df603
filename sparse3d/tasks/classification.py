"""The classification task: one class for a whole shape."""

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
from sparse3d.metrics.segmentation import ConfusionMatrix
from sparse3d.models.resunet import SRUNet
from sparse3d.models.shape_nets import ShapeClassifier
from sparse3d.tasks.shapes import ShapeTask
from sparse3d.training.task import StepOutput


@gin.configurable
class ClassificationTask(ShapeTask):
    """Shape classification: an SR-UNet's encoder, pooled, with a small head.

    Parts are given as constructors (``@SRUNet``, not ``@SRUNet()``), so that each is built when it is needed.

    Args:
        data: the training shapes.
        grid: how shapes become voxels; the training shapes' own must be the same.
        val: the shapes to measure on; None measures nothing while training.
        backbone: the network.
        hidden: width of the head's hidden layer; 0 leaves a linear head.
        dropout: before the head's last layer, in [0, 1).
        label_smoothing: of the cross-entropy, in [0, 1).
        votes: how many turns about the up axis figures are averaged over.
        pictures: wrongly classified validation shapes that are drawn.

    Raises:
        InputError: an option out of its range.
    """

    name = "classification"

    def __init__(
        self,
        data: Callable[..., LabelledShapes] = gin.REQUIRED,
        grid: ShapeGrid = gin.REQUIRED,
        val: Callable[..., ShapeSource] | None = None,
        backbone: Callable[..., SRUNet] = SRUNet,
        hidden: int = 0,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        votes: int = 1,
        pictures: int = 12,
    ) -> None:
        super().__init__(data, grid, val, backbone, votes, pictures)
        checks.at_least("ClassificationTask.hidden", hidden, 0)
        checks.require(0 <= dropout < 1, "ClassificationTask.dropout", dropout, "in [0, 1)")
        checks.require(0 <= label_smoothing < 1, "ClassificationTask.label_smoothing", label_smoothing, "in [0, 1)")
        self.hidden, self.dropout, self.label_smoothing = hidden, dropout, label_smoothing
        # Of the last evaluation, until the next step: the counts, and each shape's class and probabilities.
        self.matrix: ConfusionMatrix | None = None
        self.found: list[tuple[int, np.ndarray]] = []

    def build_model(self) -> nn.Module:
        """The network with random weights."""
        return ShapeClassifier(self.make_backbone, len(self.class_source.classes), self.hidden, self.dropout)

    def training_step(self, model: nn.Module, batch: ShapeBatch, step: int) -> StepOutput:
        """The cross-entropy of the batch."""
        self.matrix, self.found = None, []
        scores = self.scores_of(model, batch)
        loss = cross_entropy(scores, batch.label, label_smoothing=self.label_smoothing)
        right = (scores.detach().argmax(dim=1) == batch.label).float().mean()
        voxels = float(len(batch.voxels.coords))
        return StepOutput(
            loss,
            {"loss/cross_entropy": loss.detach(), "accuracy": right, "data/voxels": voxels},
            items=len(batch.names),
        )

    def scores_of(self, model: nn.Module, batch: ShapeBatch) -> Tensor:
        """(B, classes)."""
        return model(batch.voxels)

    def evaluate(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        """``overall_accuracy`` (of all shapes), ``mean_accuracy`` (over the classes that occur), ``accuracy/CLASS``."""
        if self.val_shapes is None:
            return
        matrix, everything = ConfusionMatrix(self.val_shapes.classes), []
        for shape, found in self.predicted(model, device):
            matrix.update(shape.name, found.argmax(axis=1), np.array([shape.label]))
            everything.append((shape.label, found[0]))
        self.matrix, self.found = matrix, everything
        counted, accuracy = matrix.matrix, matrix.accuracy()
        yield "overall_accuracy", float(counted.diagonal().sum() / counted.sum())
        yield "mean_accuracy", float(np.nanmean(accuracy))
        for name, value in zip(self.val_shapes.classes, accuracy.tolist(), strict=True):
            if not np.isnan(value):
                yield f"accuracy/{name}", value

    def pictures(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, np.ndarray]]:
        """Shapes that are taken for others, and the confusion matrix where this network was measured."""
        from sparse3d.tasks.shape_pictures import confused_shapes
        from sparse3d.visualize.segmentation_charts import confusion_picture

        if self.val_shapes is None:
            return
        if self.drawn:
            found = self.found or [(shape.label, p[0]) for shape, p in self.predicted(model, device)]
            yield "val/confused", confused_shapes(self, found, self.drawn)
        if self.matrix is not None:
            yield "confusion", confusion_picture(self.matrix.matrix, self.matrix.classes)
