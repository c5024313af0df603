"""Boxes of whole scenes, and how good they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from sparse3d.data.detection_scenes import detection_item, known_boxes
from sparse3d.data.labelled_scenes import collate_scenes
from sparse3d.data.scene_sources import LabelledScene, SceneSource, check_scene
from sparse3d.geometry.boxes import count_points_in_boxes, nms
from sparse3d.metrics.detection import DetectionAP
from sparse3d.models.detection.detection_net import DetectionNet
from sparse3d.progress import track
from sparse3d.types import Boxes

if TYPE_CHECKING:
    from sparse3d.tasks.detection import DetectionTask


def unwrapped(model: nn.Module) -> DetectionNet:
    """The network inside a wrapper for several processes."""
    inner = getattr(model, "module", model)
    assert isinstance(inner, DetectionNet)
    return inner


@torch.no_grad()
def detect_scene(task: DetectionTask, model: nn.Module, scene: LabelledScene, device: torch.device) -> Boxes:
    """The boxes that the network finds in a whole scene, by falling score; the network should be in evaluation mode."""
    net = unwrapped(model)
    batch = collate_scenes([detection_item(scene, task.voxel_size, task.points)]).to(device)
    output = net(batch.voxels, batch.moved)
    (found,) = net.head.detect(output, 1)
    return cleaned(found, scene.xyz, task.min_points, task.nms_iou)


def cleaned(boxes: Boxes, xyz: np.ndarray, min_points: int, nms_iou: float) -> Boxes:
    """The boxes that hold ``min_points`` of the points ``xyz`` (N, 3), without doubles.

    In this order, VoteNet's: an empty box must not drive out one that is not.
    """
    boxes = boxes.select(count_points_in_boxes(xyz, boxes) >= min_points)
    return boxes.select(nms(boxes, nms_iou))


def measured(task: DetectionTask, model: nn.Module, source: SceneSource, device: torch.device) -> DetectionAP:
    """The counts of all scenes of ``source``."""
    precision = DetectionAP(task.classes)
    for index in track(range(len(source.names)), "measuring", "scene"):
        scene = source.load(index)
        check_scene(scene, len(source.classes))
        precision.update(scene.name, detect_scene(task, model, scene, device), known_boxes(scene.boxes))
    return precision
