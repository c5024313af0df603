"""What a segmenter makes of validation scenes: truth, prediction and error, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from sparse3d.data.scannet.classes import ClassList
from sparse3d.data.scene_sources import LabelledScene, SceneSource
from sparse3d.types import IGNORE
from sparse3d.visualize.class_colors import NONE, distinct_colors, legend, palette_colors
from sparse3d.visualize.layout import side_by_side, stacked
from sparse3d.visualize.scene_views import SeenPoints, around, see_mesh, see_points
from sparse3d.visualize.surfaces import point_normals, point_spacing

if TYPE_CHECKING:
    from sparse3d.tasks.segmentation import SegmentationTask

RIGHT, WRONG = (120, 190, 120), (215, 48, 39)
MOST_POINTS = 200_000  # of a cloud without faces that are drawn
SIZE = (420, 560)  # of one view, pixels


def class_palette(classes: ClassList) -> np.ndarray:
    """(C, 3) uint8: the data set's own colours, or distinct ones where it has none."""
    return np.array(classes.colors, dtype=np.uint8) if classes.colors else distinct_colors(len(classes))


def predicted_labels(
    task: SegmentationTask, model: nn.Module, scene: LabelledScene, device: torch.device
) -> np.ndarray:
    """(N,) int64, the class of every point."""
    probabilities = task.predictor.point_probabilities(model, scene.xyz, scene.rgb, device)
    return probabilities.argmax(dim=1).numpy()


def scene_pictures(
    task: SegmentationTask, model: nn.Module, source: SceneSource, device: torch.device, most: int
) -> Iterator[tuple[str, np.ndarray]]:
    """One picture a scene, of the first ``most`` scenes."""
    for index in range(min(most, len(source.names))):
        scene = source.load(index)
        labels = predicted_labels(task, model, scene, device)
        yield f"val/{scene.name}", scene_picture(scene, labels, source.classes)


def scene_picture(scene: LabelledScene, labels: np.ndarray, classes: ClassList) -> np.ndarray:
    """Colour, truth, prediction and error from one corner, over a legend of the classes that occur; (H, W, 3) uint8."""
    palette = class_palette(classes)
    if scene.faces is None and len(scene) > MOST_POINTS:
        some = np.linspace(0, len(scene) - 1, MOST_POINTS).astype(np.int64)
        parts = {name: getattr(scene, name)[some] for name in ("xyz", "rgb", "semantic", "instance")}
        scene, labels = replace(scene, **parts), labels[some]
    seen = _seen(scene)
    panels = {
        "colour": np.round(scene.rgb * 255).astype(np.uint8),
        "truth": palette_colors(scene.semantic, palette),
        "prediction": palette_colors(labels, palette),
        "error": error_colors(scene.semantic, labels),
    }
    rows = [
        side_by_side([seen.painted(panels[name]) for name in names], list(names))
        for names in (("colour", "truth"), ("prediction", "error"))
    ]
    there = np.union1d(scene.semantic[scene.semantic != IGNORE], labels)
    names = [classes.names[k] for k in there]
    strip = legend([*names, "none"], [*palette[there].tolist(), NONE], rows[0].shape[1])
    return stacked([*rows, strip])


def error_colors(truth: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, 3) uint8: right points green, wrong ones red, those without truth grey."""
    colors = np.where((truth == labels)[:, None], RIGHT, WRONG)
    return np.where((truth == IGNORE)[:, None], NONE, colors).astype(np.uint8)


def _seen(scene: LabelledScene) -> SeenPoints:
    view = around(scene.xyz.min(axis=0), scene.xyz.max(axis=0), turns=(-125.0,), size=SIZE)[0]
    if scene.faces is not None:
        return see_mesh(scene.xyz, scene.faces, view)  # nearer walls turn their backs, and are looked through
    normals = point_normals(scene.xyz, scene.xyz.mean(axis=0))
    everywhere = np.ones(len(scene), dtype=bool)
    return see_points(scene.xyz, view, 1.3 * point_spacing(scene.xyz), normals, everywhere)


def predicted_mesh(
    task: SegmentationTask, model: nn.Module, source: SceneSource, device: torch.device
) -> dict[str, np.ndarray]:
    """The first scene for TensorBoard's mesh plugin: ``vertices`` (N, 3), ``colors`` (N, 3) uint8, ``faces``."""
    scene = source.load(0)
    labels = predicted_labels(task, model, scene, device)
    mesh = {"vertices": scene.xyz, "colors": palette_colors(labels, class_palette(source.classes))}
    return mesh if scene.faces is None else {**mesh, "faces": scene.faces}
