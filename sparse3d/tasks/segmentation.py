"""The segmentation task: a class for every point of a scan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gin
import numpy as np
import torch
from torch import Tensor, nn

from sparse3d import checks
from sparse3d.data.labelled_scenes import LabelledScenes, SceneBatch, collate_scenes
from sparse3d.data.scene_sources import SceneSource, check_scene
from sparse3d.data.voxelize import majority_label
from sparse3d.errors import InputError
from sparse3d.losses.segmentation import cross_entropy, inverse_log_weights, lovasz_softmax
from sparse3d.metrics.segmentation import ConfusionMatrix
from sparse3d.models.resunet import SRUNet
from sparse3d.models.segmenter import Segmenter
from sparse3d.progress import track
from sparse3d.tasks.class_names import difference
from sparse3d.tasks.segmentation_prediction import ScenePredictor
from sparse3d.training.task import StepOutput, Task
from sparse3d.types import IGNORE

CLASS_WEIGHTS = ("none", "inverse_log", "given")


@gin.configurable
class SegmentationTask(Task):
    """Semantic segmentation: an SR-UNet with a linear head, trained on pieces and measured on whole scenes.

    Parts are given as constructors (``@SRUNet``, not ``@SRUNet()``), so that each is built when it is needed.

    Args:
        data: the training pieces.
        val: the scenes to measure on; None measures nothing while training.
        backbone: the network; its ``out_channels`` become the number of classes.
        predictor: how whole scenes are run.
        label_smoothing: of the cross-entropy, in [0, 1).
        class_weights: ``none``, ``inverse_log`` (by the frequency of the labels that are trained on) or ``given``.
        given_weights: one a class, for ``class_weights = "given"``.
        lovasz_weight: weight of the Lovasz-softmax loss beside the cross-entropy; 0 leaves it out.
        tta: measure ``miou_tta`` too, by test-time augmentation (eight times the work).
        pictures: validation scenes that are drawn.

    Raises:
        InputError: an option out of its range.
    """

    name = "segmentation"

    def __init__(
        self,
        data: Callable[..., LabelledScenes] = gin.REQUIRED,
        val: Callable[..., SceneSource] | None = None,
        backbone: Callable[..., SRUNet] = SRUNet,
        predictor: Callable[..., ScenePredictor] = ScenePredictor,
        label_smoothing: float = 0.0,
        class_weights: str = "none",
        given_weights: Sequence[float] | None = None,
        lovasz_weight: float = 0.0,
        tta: bool = False,
        pictures: int = 2,
    ) -> None:
        checks.one_of("SegmentationTask.class_weights", class_weights, CLASS_WEIGHTS)
        if (given_weights is None) == (class_weights == "given"):
            raise InputError("SegmentationTask.given_weights belong to class_weights = 'given', and only to it")
        checks.require(0 <= label_smoothing < 1, "SegmentationTask.label_smoothing", label_smoothing, "in [0, 1)")
        checks.not_negative("SegmentationTask.lovasz_weight", lovasz_weight)
        checks.at_least("SegmentationTask.pictures", pictures, 0)
        if given_weights is not None:
            checks.weights("SegmentationTask.given_weights", given_weights)
        self._make_data, self._make_val, self._make_backbone = data, val, backbone
        self._make_predictor = predictor
        self.label_smoothing, self.lovasz_weight, self.tta = label_smoothing, lovasz_weight, tta
        self.weighting, self.given_weights, self.drawn = class_weights, given_weights, pictures
        self.device = torch.device("cpu")
        self.weights: Tensor | None = None  # (C,) of the classes, once known
        self.matrices: dict[str, ConfusionMatrix] = {}  # of the last evaluation, by kind
        self._data: LabelledScenes | None = None
        self._val: SceneSource | None = None
        self._predictor: ScenePredictor | None = None

    # What the loop asks for -------------------------------------------------------------------------------

    def build_model(self) -> nn.Module:
        """The network with random weights."""
        return Segmenter(self._make_backbone, len(self.class_source.classes))

    def train_dataset(self) -> LabelledScenes:
        """The training pieces; counts their labels where the loss is weighted by frequency."""
        data = self.train_data
        if self.weights is None and self.weighting != "none":
            self.weights = self._class_weights(data).to(self.device)
        return data

    @staticmethod
    def collate(items: list[Any]) -> SceneBatch:
        """Pieces as one batch."""
        return collate_scenes(items)

    def to(self, device: torch.device) -> SegmentationTask:
        """Moves the class weights."""
        self.device = device
        self.weights = None if self.weights is None else self.weights.to(device)
        return self

    def state_dict(self) -> dict[str, Any]:
        """The names of the classes that the network's outputs stand for, and the class weights."""
        return {
            "classes": list(self.class_source.classes.names),
            "class_weights": None if self.weights is None else self.weights.cpu(),
            "weighting": self.weighting,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what :meth:`state_dict` gave.

        Raises:
            InputError: the network was trained on other classes, or on the same in another order.
        """
        stored, here = state.get("classes"), list(self.class_source.classes.names)
        if stored is not None and list(stored) != here:  # checkpoints of earlier versions name none
            raise InputError(
                f"the checkpoint's classes are not the scenes': {difference(stored, here)}; choose scenes with the "
                "same classes, or start a new run from it with init.checkpoint"
            )
        # Counted ones are kept, which saves reading every scene; others are the config's, which counts.
        if self.weighting == "inverse_log" == state.get("weighting", "inverse_log"):
            weights = state["class_weights"]
            self.weights = None if weights is None else weights.to(self.device)

    def training_step(self, model: nn.Module, batch: SceneBatch, step: int) -> StepOutput:
        """The losses; a batch without any label has a loss of 0, and is counted."""
        self.matrices = {}  # what was measured is an older network's from here on
        scores, labels = model(batch.voxels), batch.semantic
        labelled = labels != IGNORE
        loss = cross_entropy(scores, labels, self.weights, self.label_smoothing)
        scalars: dict[str, float | Tensor] = {
            "data/voxels": float(len(labels)),
            "data/labelled_voxels": labelled.sum().float(),
            "data/batches_without_labels": float(not bool(labelled.any())),
            "loss/cross_entropy": loss.detach(),
        }
        if bool(labelled.any()):
            scalars["accuracy"] = (scores.detach().argmax(dim=1) == labels)[labelled].float().mean()
        if self.lovasz_weight > 0:
            lovasz = lovasz_softmax(scores, labels)
            scalars["loss/lovasz"] = lovasz.detach()
            loss = loss + self.lovasz_weight * lovasz
        return StepOutput(loss, scalars, items=len(batch.names))

    def evaluate(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        """Figures on whole scenes: of points first, then of voxels, then by test-time augmentation where asked for."""
        yield from self.evaluate_scenes(model, device)

    def pictures(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, np.ndarray]]:
        """Validation scenes by truth, prediction and error; the confusion matrix where this network was measured."""
        from sparse3d.tasks.segmentation_pictures import scene_pictures
        from sparse3d.visualize.segmentation_charts import confusion_picture

        if self.val_scenes is None:
            return
        yield from scene_pictures(self, model, self.val_scenes, device, self.drawn)
        if "point" in self.matrices:
            yield "confusion", confusion_picture(self.matrices["point"].matrix, self.matrices["point"].classes)

    def meshes(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """The first validation scene in the colours of its prediction."""
        from sparse3d.tasks.segmentation_pictures import predicted_mesh

        if self.val_scenes is not None and self.drawn:
            yield "prediction", predicted_mesh(self, model, self.val_scenes, device)

    def text(self) -> Iterator[tuple[str, str]]:
        """The scenes on both sides."""
        yield "scenes/train", "\n".join(self.train_data.source.names)
        if self.val_scenes is not None:
            yield "scenes/val", "\n".join(self.val_scenes.names)

    # Whole scenes ----------------------------------------------------------------------------------------------

    def evaluate_scenes(
        self,
        model: nn.Module,
        device: torch.device,
        on_scene: Callable[[str, np.ndarray], None] | None = None,
    ) -> Iterator[tuple[str, float]]:
        """The figures of :meth:`evaluate`; ``on_scene`` is called with each scene's name and the classes of its points.

        With test-time augmentation these are the averaged votes'.
        """
        source = self.val_scenes
        if source is None:
            return
        kinds = ("point", "voxel", *(("tta",) if self.tta else ()))
        matrices = {kind: ConfusionMatrix(source.classes.names) for kind in kinds}
        for index, name in track(list(enumerate(source.names)), "measuring", "scene"):
            scene = source.load(index)
            check_scene(scene, len(source.classes))
            voxels = self.predictor.voxels(scene.xyz, scene.rgb)
            guessed = self.predictor.voxel_probabilities(model, voxels, device).argmax(dim=1).numpy()
            truth = majority_label(scene.semantic, voxels.point2voxel, len(voxels.coords), IGNORE)
            matrices["voxel"].update(name, guessed, truth)
            points = guessed[voxels.point2voxel]
            matrices["point"].update(name, points, scene.semantic)
            if self.tta:
                votes = self.predictor.point_probabilities(model, scene.xyz, scene.rgb, device, tta=True)
                points = votes.argmax(dim=1).numpy()
                matrices["tta"].update(name, points, scene.semantic)
            if on_scene is not None:
                on_scene(name, points)
        self.matrices = matrices
        for kind, matrix in matrices.items():
            if matrix.matrix.sum():  # a benchmark's test scenes have no labels, and so no figures
                yield from matrix.compute(kind).items()

    def write_submission(self, model: nn.Module, device: torch.device, folder: str | Path) -> dict[str, float]:
        """A text file a scene in ``folder``, an id a point in the points' order; returns the figures, if any.

        This is the form of the ScanNet benchmark: nyu40 ids for its 20 classes, ids of raw categories for the 200.
        """
        from sparse3d.tasks.segmentation_submission import demand_empty, write_labels

        source = self.val_scenes
        if source is None:
            raise InputError("SegmentationTask.val names no scenes: bind it to write a submission")
        ids = np.array(source.classes.ids)
        demand_empty(Path(folder))

        def write(scene: str, labels: np.ndarray) -> None:
            write_labels(Path(folder), scene, ids[labels])

        return dict(self.evaluate_scenes(model, device, write))

    # Parts, built when first needed -------------------------------------------------------------------------

    @property
    def train_data(self) -> LabelledScenes:
        """The training pieces, opened at the first call."""
        if self._data is None:
            data = self._make_data()
            if data.voxel_size != self.predictor.voxel_size:
                raise InputError(
                    f"LabelledScenes.voxel_size = {data.voxel_size} but ScenePredictor.voxel_size = "
                    f"{self.predictor.voxel_size}: training and prediction must agree"
                )
            theirs, ours = data.source.classes.names, (self.val_scenes or data.source).classes.names
            if theirs != ours:
                raise InputError(
                    f"the training scenes' classes are not the validation scenes': {difference(theirs, ours)}; bind "
                    "the same classes for train/ and val/"
                )
            self._data = data
        return self._data

    @property
    def val_scenes(self) -> SceneSource | None:
        """The validation scenes, opened at the first call."""
        if self._val is None and self._make_val is not None:
            self._val = self._make_val()
        return self._val

    @property
    def class_source(self) -> SceneSource:
        """Whose classes the network has: the validation's, which evaluation needs anyway, else the training's."""
        return self.val_scenes if self.val_scenes is not None else self.train_data.source

    @property
    def predictor(self) -> ScenePredictor:
        """Runs whole scenes."""
        if self._predictor is None:
            self._predictor = self._make_predictor()
        return self._predictor

    def _class_weights(self, data: LabelledScenes) -> Tensor:
        classes = data.source.classes
        if self.weighting == "given":
            assert self.given_weights is not None
            if len(self.given_weights) != len(classes):
                raise InputError(
                    f"SegmentationTask.given_weights: {len(self.given_weights)} for {len(classes)} classes"
                )
            return torch.tensor(list(self.given_weights), dtype=torch.float32)
        return inverse_log_weights(torch.from_numpy(data.label_counts()))
