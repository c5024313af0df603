"""The detection task: boxes of objects in whole scenes, by any head with its losses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gin
import numpy as np
import torch
from torch import nn
from torch.profiler import record_function

from sparse3d.checks import at_least, positive, require
from sparse3d.data.detection_scenes import DetectionScenes, box_class_names, class_mean_sizes
from sparse3d.data.labelled_scenes import SceneBatch, collate_scenes
from sparse3d.data.scene_sources import PreparedSplit, SceneSource
from sparse3d.errors import InputError
from sparse3d.losses.detection_truth import DetectionTruth
from sparse3d.metrics.detection import DetectionResult
from sparse3d.models.detection.detection_net import DetectionHead, DetectionNet
from sparse3d.models.resunet import SRUNet
from sparse3d.tasks.detection_evaluation import measured, unwrapped
from sparse3d.training.task import StepOutput, Task


@gin.configurable
class DetectionTask(Task):
    """Trains a head on the SR-UNet to find boxes, and measures average precision by VoteNet's protocol.

    Parts are given as constructors (``@SRUNet``, not ``@SRUNet()``), built when they are needed.

    Args:
        data: the training scenes, whole.
        head: ``@SparseHead`` or ``@VoteNetHead``; built with the backbone and the number of classes.
        criterion: the losses that fit the head: ``@SparseDetectionLoss`` or ``@VoteNetLoss``.
        val: the scenes to measure on; None measures nothing while training.
        backbone: the network below the head.
        classes: the list of the boxes' classes: ``scannet18`` or ``sunrgbd10``.
        voxel_size: metres, in evaluation; the training scenes' own must be the same.
        points: that a scene is thinned out to in evaluation, always the same ones; None keeps all.
        min_points: predicted boxes with fewer points of the scan inside are dropped.
        nms_iou: boxes of a class that overlap a better one by more are dropped.
        val_pictures: scenes drawn.
    """

    name = "detection"

    def __init__(
        self,
        data: Callable[..., DetectionScenes] = gin.REQUIRED,
        head: Callable[..., DetectionHead] = gin.REQUIRED,
        criterion: Callable[..., Any] = gin.REQUIRED,
        val: Callable[..., SceneSource] | None = None,
        backbone: Callable[..., SRUNet] = SRUNet,
        classes: str = "scannet18",
        voxel_size: float = 0.05,
        points: int | None = 40_000,
        min_points: int = 5,
        nms_iou: float = 0.25,
        val_pictures: int = 2,
    ) -> None:
        self.classes = box_class_names(classes)
        positive("DetectionTask.voxel_size", voxel_size, "metres")
        at_least("DetectionTask.min_points", min_points, 0)
        at_least("DetectionTask.val_pictures", val_pictures, 0)
        require(0 <= nms_iou < 1, "DetectionTask.nms_iou", nms_iou, "in [0, 1)")
        at_least("DetectionTask.points", points, 1)
        self._make_data, self._make_head, self._make_val, self._make_backbone = data, head, val, backbone
        self.criterion = criterion()
        self.voxel_size, self.points, self.min_points, self.nms_iou = voxel_size, points, min_points, nms_iou
        self.val_pictures = val_pictures
        self._val: SceneSource | None = None
        self._train_source: SceneSource | None = None
        self._result: DetectionResult | None = None  # of the network as it is: a step of training clears it

    # What the loop asks for -------------------------------------------------------------------------------

    def build_model(self) -> DetectionNet:
        """The network with random weights."""
        backbone = self._make_backbone()
        head = self._make_head(backbone, len(self.classes))
        told = getattr(head, "voxel_size", self.voxel_size)
        if told != self.voxel_size:
            raise InputError(
                f"{type(head).__name__}.voxel_size = {told} but DetectionTask.voxel_size = {self.voxel_size}: boxes "
                "would be told in the wrong place"
            )
        return DetectionNet(backbone, head)

    def train_dataset(self) -> DetectionScenes:
        """The training scenes."""
        data = self._make_data()
        if data.voxel_size != self.voxel_size:
            raise InputError(
                f"DetectionScenes.voxel_size = {data.voxel_size} but DetectionTask.voxel_size = {self.voxel_size}: "
                "training and evaluation must agree"
            )
        self._check_classes(data.source)
        self._train_source = data.source
        return data

    @staticmethod
    def collate(items: list[Any]) -> SceneBatch:
        """Items of :class:`DetectionScenes` as one batch."""
        return collate_scenes(items)

    def training_step(self, model: nn.Module, batch: SceneBatch, step: int) -> StepOutput:
        """The head's losses; each part is logged."""
        self._give_sizes(model)
        self._result = None
        output = model(batch.voxels, batch.moved)
        if not isinstance(output, getattr(self.criterion, "predictions", object)):
            raise InputError(
                f"DetectionTask.criterion = @{type(self.criterion).__name__} is not for the configured head, which "
                f"tells {type(output).__name__}: take the loss that is bound beside this head in gin/base"
            )
        truth = truth_of(batch)
        with record_function("sparse3d.losses"):
            loss, parts = self.criterion(output, truth)
        scalars = {"data/voxels": float(len(batch.moved)), "data/boxes": float(len(truth)), **parts}
        return StepOutput(loss, scalars, items=batch.voxels.batch_size)

    def evaluate(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        """Average precision and recall at IoU .25 and .5: means over the classes with truth, then a class each."""
        if self.val_scenes is not None:
            self._result = measured(self, model, self.val_scenes, device).compute()
            if self._result.truths.any():  # a benchmark's test scenes have no boxes, and so no figures
                yield from self._result.figures().items()

    def pictures(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, np.ndarray]]:
        """Predicted and true boxes over validation scenes, from above; curves of precision over recall."""
        from sparse3d.tasks.detection_pictures import curves_pictures, validation_pictures

        if self.val_scenes is not None:
            yield from validation_pictures(self, model, self.val_scenes, device)
            if self._result is None:
                self._result = measured(self, model, self.val_scenes, device).compute()
            yield from curves_pictures(self._result)

    def meshes(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """The first validation scene, what lies in predicted boxes in their classes' colours."""
        from sparse3d.tasks.detection_pictures import boxed_mesh

        if self.val_scenes is not None and self.val_pictures:
            yield "boxes", boxed_mesh(self, model, self.val_scenes.load(0), device)

    def text(self) -> Iterator[tuple[str, str]]:
        """The validation scenes."""
        if self.val_scenes is not None:
            yield "val/scenes", "\n".join(self.val_scenes.names)

    def state_dict(self) -> dict[str, Any]:
        """The classes' names, for those who use the network without its data."""
        return {"classes": list(self.classes)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing is to be taken back: the classes are the config's. Raises InputError where they differ."""
        if tuple(state["classes"]) != self.classes:
            raise InputError("the checkpoint was trained for other box classes: check DetectionTask.classes")

    # Data, opened when first needed -------------------------------------------------------------------------

    @property
    def val_scenes(self) -> SceneSource | None:
        """The scenes to measure on, opened at the first call."""
        if self._val is None and self._make_val is not None:
            self._val = self._make_val()
            self._check_classes(self._val)
        return self._val

    def _give_sizes(self, model: nn.Module) -> None:
        """Size bins are the training set's means: taken at the first step, and from then on with the network."""
        head = unwrapped(model).head
        if head.needs_mean_sizes and self._train_source is not None:
            head.set_mean_sizes(torch.from_numpy(class_mean_sizes(self._train_source)))

    def _check_classes(self, source: SceneSource) -> None:
        if source.box_classes.names != self.classes:
            raise InputError(
                f"DetectionTask.classes has {len(self.classes)} classes ({self.classes[0]}, ...), the scenes' boxes "
                f"have {len(source.box_classes.names)} ({source.box_classes.names[0]}, ...): they must be the same"
            )
        if isinstance(source, PreparedSplit):  # other data sets are annotated as a whole
            source.check_instances()


def truth_of(batch: SceneBatch) -> DetectionTruth:
    """The batch's boxes that have a class, and the voxels' rows of them."""
    known = batch.box_label >= 0
    old2new = torch.where(known, known.cumsum(0) - 1, -1)
    # The entry behind the last row is what row -1 reads.
    rows = torch.cat([old2new, old2new.new_full((1,), -1)])[batch.instance]
    return DetectionTruth(batch.boxes[known], batch.box_label[known], batch.box_item[known], rows)
