"""A trained network from its checkpoint alone, asked for classes of points or of shapes, for boxes or for features.

::

    model = sparse3d.load("runs/classes/checkpoints/best.pt")
    found = model.predict(points, colors)     # (N, 3) metres, z up; (N, 3) in [0, 1] or uint8
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import gin
import numpy as np
import torch
from torch import nn

from sparse3d import config, run
from sparse3d.data.scannet.classes import ClassList
from sparse3d.errors import InputError
from sparse3d.prediction.checkpoint_config import ClassesOnly, bound, list_of, placeholders, segmentation_classes
from sparse3d.prediction.cloud_input import as_scene, canonical_order, checked_cloud
from sparse3d.prediction.kept_config import config_put_aside
from sparse3d.prediction.point_features import FeaturePredictor, Features
from sparse3d.prediction.shape_prediction import ClassificationPrediction, ShapesOnly, classify, segment_parts
from sparse3d.sparse.backend import multiplying
from sparse3d.tasks.classification import ClassificationTask
from sparse3d.tasks.detection import DetectionTask
from sparse3d.tasks.detection_evaluation import detect_scene
from sparse3d.tasks.parts import PartSegmentationTask
from sparse3d.tasks.pretrain import PretrainTask
from sparse3d.tasks.segmentation import SegmentationTask
from sparse3d.tasks.segmentation_prediction import ScenePredictor
from sparse3d.tasks.shapes import ShapeTask
from sparse3d.training.checkpoint import load_checkpoint, load_same_network
from sparse3d.training.distribution import choose_device
from sparse3d.types import Boxes
from sparse3d.visualize.class_colors import distinct_colors

SHAPE_TASKS = {task.name: task for task in (ClassificationTask, PartSegmentationTask)}
TASKS = (SegmentationTask.name, DetectionTask.name, PretrainTask.name, *SHAPE_TASKS)
# What answers for each task that predict() is not for.
INSTEAD = {"pretrain": "features", "classification": "classify", "parts": "segment_parts"}


@dataclass(frozen=True, eq=False)
class SegmentationPrediction:
    """A class for each of N points."""

    labels: np.ndarray  # (N,) int64, index of the model's classes
    probabilities: np.ndarray  # (N, C) float32, rows sum to 1


class Model:
    """A trained network and what belongs to it; made by :func:`load`.

    Attributes:
        task: ``segmentation``, ``detection``, ``classification``, ``parts`` or ``pretrain``.
        classes: names, a label is a place among them (of parts: of all kinds of shapes); empty for a pre-training.
        kinds: names of the kinds of shapes whose parts the network knows; empty for other tasks.
        colors: (C, 3) uint8 of the classes: the data set's own, or distinct ones.
        colored: whether points need colours; False for shapes without.
        voxel_size: metres; of shapes that are brought to the unit sphere, of its radius.
        step: optimiser steps that the network was trained for.
        measured: the validation figures that its training saw last, with the ``step``; empty where it saw none.
        products: of its convolutions, as in training; see :func:`sparse3d.sparse.configure`.
        config_text: the run's whole gin config.
        checkpoint: the file, as it was named.
        key: of the checkpoint: name, step and a digest of its content, for files that must not mix with another's.
        device: where the network runs.
    """

    def __init__(self, checkpoint: str, state: dict[str, Any], device: torch.device) -> None:
        self.checkpoint, self.device = checkpoint, device
        self.task: str = state["task_name"]
        self.config_text: str = state["config"]
        self.step = int(state["step"])
        self.measured: dict[str, float] = dict(state.get("measured", {}))
        self.classes: tuple[str, ...] = ()
        self.kinds: tuple[str, ...] = ()
        self.colors = np.zeros((0, 3), dtype=np.uint8)
        self.colored = True
        self.voxel_size = 0.0
        self.products: str = bound("sparse.products", "float32")
        self._scenes: ScenePredictor | None = None
        self._detection: DetectionTask | None = None
        self._shapes: tuple[ShapeTask, ShapesOnly] | None = None
        build = {
            "segmentation": self._build_segmenter,
            "detection": self._build_detector,
            "pretrain": self._build_backbone,
        }.get(self.task, self._build_shape_network)
        self.network: nn.Module = build(state).eval().requires_grad_(False).to(device)

    @cached_property
    def key(self) -> str:
        """See above."""
        digest = sha256()
        with Path(self.checkpoint).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        return f"{Path(self.checkpoint).name}, step {self.step}, sha256 {digest.hexdigest()[:16]}"

    def __repr__(self) -> str:
        classes = f", {len(self.classes)} classes" if self.classes else ""
        return f"<Model {self.checkpoint}: {self.task}{classes}, step {self.step}, on {self.device}>"

    # Use --------------------------------------------------------------------------------------------------------

    def predict(self, points: Any, colors: Any, tta: bool = False) -> SegmentationPrediction | Boxes:
        """What the network finds in a cloud. The answer does not depend on the order of the points.

        Args:
            points: (N, 3) metres, z up; a whole scan, not a single view, is what networks are trained on.
            colors: (N, 3), floats in [0, 1] or whole numbers from 0 to 255.
            tta: segmentation only: the average over eight turned and mirrored views, at eight times the time.

        Returns:
            Of a segmentation a :class:`SegmentationPrediction`, of a detection :class:`~sparse3d.types.Boxes` with
            scores, by falling score and without doubles; labels are places in :attr:`classes`.

        Raises:
            InputError: points or colours that cannot be used, or a network that answers something else: a pre-trained
                one has features, networks for single shapes classes or parts.
        """
        if self.task in INSTEAD:
            raise InputError(f"{self.checkpoint} is of task {self.task!r}: use {INSTEAD[self.task]}()")
        if self._detection is not None:
            if tta:
                raise InputError("tta = True is for segmentation; this model detects boxes")
            xyz, rgb = checked_cloud(points, colors)
            order = canonical_order(xyz, rgb)
            scene = as_scene("points", xyz[order], rgb[order])
            with multiplying(self.products):
                return detect_scene(self._detection, self.network, scene, self.device)
        xyz, rgb = checked_cloud(points, colors)
        assert self._scenes is not None
        with multiplying(self.products):
            scores = self._scenes.point_probabilities(self.network, xyz, rgb, self.device, tta).numpy()
        return SegmentationPrediction(scores.argmax(axis=1), scores)

    def classify(self, points: Any, colors: Any = None) -> ClassificationPrediction:
        """The class of a single shape, from as many votes as ``ClassificationTask.votes`` of the run's config says.

        The answer does not depend on the order of the points.

        Args:
            points: (N, 3), z up; in metres where the network was trained on shapes of their own size.
            colors: (N, 3) as for :meth:`predict` where the shapes trained on have colours, else None.

        Raises:
            InputError: points or colours that cannot be used, or a network of another task.
        """
        task, source = self._shapes_of(ClassificationTask.name, "classify")
        with multiplying(self.products):
            return classify(task, self.network, self.device, source, points, colors)

    def segment_parts(self, points: Any, kind: str, colors: Any = None) -> SegmentationPrediction:
        """A part for every point of a single shape whose kind is known; other kinds' parts have a probability of 0.

        Args:
            points, colors: as for :meth:`classify`.
            kind: one of :attr:`kinds`.

        Raises:
            InputError: points, colours or a kind that cannot be used, or a network of another task.
        """
        task, source = self._shapes_of(PartSegmentationTask.name, "segment_parts")
        with multiplying(self.products):
            found = segment_parts(task, self.network, self.device, source, points, kind, colors)
        return SegmentationPrediction(*found)

    def _shapes_of(self, task: str, method: str) -> tuple[ShapeTask, ShapesOnly]:
        if self._shapes is None or self.task != task:
            raise InputError(f"{self.checkpoint} is of task {self.task!r}: {method}() is for {task!r}")
        return self._shapes

    def features(self, points: Any, colors: Any) -> np.ndarray:
        """Features (N, D) float32 of a pre-trained backbone; arguments as for :meth:`predict`.

        They are compared by cosine: bring rows to unit length before measuring distances.

        Raises:
            InputError: points or colours that cannot be used, or a network of another task.
        """
        if not isinstance(self.network, Features):
            raise InputError(f"{self.checkpoint} is of task {self.task!r}: features() is for pre-trained networks")
        xyz, rgb = checked_cloud(points, colors)
        assert isinstance(self._scenes, FeaturePredictor)
        with multiplying(self.products):
            return self._scenes.point_features(self.network, xyz, rgb, self.device)

    # Building: the checkpoint's config is the loaded one --------------------------------------------------------

    def _build_segmenter(self, state: dict[str, Any]) -> nn.Module:
        classes = segmentation_classes(state["task"], self.checkpoint)
        with gin.unlock_config():
            gin.bind_parameter("SegmentationTask.val", lambda: ClassesOnly(classes))
        task = run.build_task()
        self._name(classes)
        self._scenes = task.predictor
        self.voxel_size = task.predictor.voxel_size
        return self._filled(task.build_model(), state["model"])

    def _build_detector(self, state: dict[str, Any]) -> nn.Module:
        task = run.build_task()
        self._name(list_of(tuple(task.classes)))
        self._detection, self.voxel_size = task, task.voxel_size
        return self._filled(task.build_model(), state["model"])

    def _build_backbone(self, state: dict[str, Any]) -> nn.Module:
        self.voxel_size = float(bound("ViewSets.voxel_size", 0.05))
        self._scenes = FeaturePredictor(voxel_size=self.voxel_size)
        with config.configured_calls():
            net = run.build_task().build_encoder()
        heads = ("student.", "head.")
        self._filled(net, {name: value for name, value in state["model"].items() if not name.startswith(heads)})
        return Features(net)

    def _build_shape_network(self, state: dict[str, Any]) -> nn.Module:
        source = ShapesOnly(state["task"])
        with gin.unlock_config():
            gin.bind_parameter(f"{SHAPE_TASKS[self.task].__name__}.val", lambda: source)
        task = run.build_task()
        self._name(list_of(source.parts or source.classes))
        self.kinds = source.classes if source.parts else ()
        self._shapes, self.voxel_size, self.colored = (task, source), task.grid.voxel_size, source.colored
        return self._filled(task.build_model(), state["model"])

    def _filled(self, network: nn.Module, tensors: dict[str, torch.Tensor]) -> nn.Module:
        load_same_network(network, tensors, self.checkpoint)
        return network

    def _name(self, classes: ClassList) -> None:
        self.classes = classes.names
        self.colors = np.array(classes.colors, np.uint8) if classes.colors else distinct_colors(len(classes))


def load(path: str | Path, device: str = "auto") -> Model:
    """The model of a checkpoint, built from the config in it; neither its data nor its folder are needed.

    Args:
        path: a checkpoint of a run, such as ``runs/classes/checkpoints/best.pt``.
        device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        InputError: no checkpoint, one of an unknown task, or a device that is not there.
    """
    where = choose_device(device, option="device")
    state = load_checkpoint(path)
    if state.get("task_name") not in TASKS:
        raise InputError(f"checkpoint {path} is of task {state.get('task_name')!r}: known are {', '.join(TASKS)}")
    # Neither the caller's config nor its random numbers may notice.
    with config_put_aside(), torch.random.fork_rng(devices=[]):
        config.load_config_text(state["config"], placeholders(state["config"]), source=f"{path}'s config")
        return Model(str(path), state, where)
