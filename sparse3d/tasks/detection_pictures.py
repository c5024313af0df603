"""Pictures of a detector at work: its boxes beside the true ones, and its curves of precision over recall."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from sparse3d.data.detection_scenes import known_boxes
from sparse3d.data.scene_sources import LabelledScene, SceneSource
from sparse3d.geometry.boxes import points_in_boxes
from sparse3d.metrics.detection import DetectionResult, threshold_mark
from sparse3d.tasks.detection_evaluation import detect_scene
from sparse3d.types import Boxes
from sparse3d.visualize.box_lines import draw_boxes
from sparse3d.visualize.class_colors import distinct_colors, legend
from sparse3d.visualize.layout import side_by_side, stacked
from sparse3d.visualize.scene_views import from_above, see_points
from sparse3d.visualize.segmentation_charts import precision_recall_picture
from sparse3d.visualize.surfaces import point_spacing

if TYPE_CHECKING:
    from sparse3d.tasks.detection import DetectionTask

CEILING = 2.1  # metres above the lowest point: what is higher hides the room from above
SHOWN_SCORE = 0.2
_HIGH, _WIDE = 480, 560


def validation_pictures(
    task: DetectionTask, model: nn.Module, source: SceneSource, device: torch.device
) -> Iterator[tuple[str, np.ndarray]]:
    """A picture a scene: boxes scored :data:`SHOWN_SCORE` and more beside the true ones, from above."""
    names = source.names
    for index in np.unique(np.linspace(0, len(names) - 1, min(task.val_pictures, len(names))).round().astype(int)):
        scene = source.load(int(index))
        found = shown_boxes(detect_scene(task, model, scene, device))
        yield f"boxes/{scene.name}", boxes_picture(scene, found, task.classes)


def boxed_mesh(
    task: DetectionTask, model: nn.Module, scene: LabelledScene, device: torch.device
) -> dict[str, np.ndarray]:
    """``vertices`` (N, 3), ``colors`` (N, 3) uint8 and, where the scene has them, ``faces``, for TensorBoard's meshes.

    A point in several boxes has the colour of the one with the highest score.
    """
    found = shown_boxes(detect_scene(task, model, scene, device))
    colors = np.round(255 * (0.5 * scene.rgb + 0.5)).astype(np.uint8)
    palette, inside = distinct_colors(len(task.classes)), points_in_boxes(scene.xyz, found)
    for k in range(len(found))[::-1]:
        colors[inside[:, k]] = palette[found.label[k]]
    mesh = {"vertices": scene.xyz, "colors": colors}
    return mesh if scene.faces is None else {**mesh, "faces": scene.faces}


def shown_boxes(found: Boxes) -> Boxes:
    """Those that pictures show."""
    assert found.score is not None
    return found.select(found.score >= SHOWN_SCORE)


def curves_pictures(result: DetectionResult) -> Iterator[tuple[str, np.ndarray]]:
    """Curves of precision over recall, a picture for each threshold of overlap."""
    for threshold in result.thresholds:
        yield f"precision_recall/{threshold_mark(threshold)}", curves_picture(result, threshold)


def curves_picture(result: DetectionResult, threshold: float) -> np.ndarray:
    """Precision over recall of each class with truth, at one threshold of overlap."""
    curves, figures = {}, {}
    for name, curve in zip(result.classes, result.curves[threshold], strict=True):
        if curve.truths:
            curves[name] = (curve.recall, curve.precision)
            figures[name] = curve.average_precision
    return precision_recall_picture(curves, figures)


def boxes_picture(scene: LabelledScene, found: Boxes, classes: tuple[str, ...]) -> np.ndarray:
    """Predicted boxes on the left, true ones on the right, in their classes' colours; what is high is cut off."""
    truth = known_boxes(scene.boxes)
    low, high = scene.xyz.min(axis=0), scene.xyz.max(axis=0)
    shown = scene.xyz[:, 2] <= low[2] + CEILING
    seen = see_points(scene.xyz, from_above(low, high, (_HIGH, _WIDE)), point_spacing(scene.xyz), shown=shown)
    plain = seen.painted(np.round(255 * (0.5 * scene.rgb + 0.5)).astype(np.uint8))
    palette = distinct_colors(len(classes))
    panels = []
    for boxes in (found, truth):
        panels.append(draw_boxes(plain, seen, boxes, palette[boxes.label]))
    picture = side_by_side(panels, [f"{len(found)} found (score {SHOWN_SCORE} or more)", f"{len(truth)} true"])
    there = sorted({*found.label.tolist(), *truth.label.tolist()})
    strip = legend([classes[k] for k in there], palette[there], picture.shape[1])
    return stacked([picture, strip])
