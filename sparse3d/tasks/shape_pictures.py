"""What the tasks on single shapes draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from sparse3d.data.shapes.dataset import in_unit_sphere
from sparse3d.data.shapes.source import Shape, ShapeSource
from sparse3d.visualize.class_colors import distinct_colors, palette_colors
from sparse3d.visualize.layout import caption, side_by_side, stacked
from sparse3d.visualize.scene_views import around, see_points
from sparse3d.visualize.surfaces import point_normals, point_spacing

if TYPE_CHECKING:
    from sparse3d.tasks.classification import ClassificationTask
    from sparse3d.tasks.parts import PartSegmentationTask

SIZE = (200, 220)  # of one shape, pixels
A_ROW = 4
GREY = 150


def shape_picture(shape: Shape, colors: np.ndarray | None = None) -> np.ndarray:
    """A shape from one corner, (H, W, 3) uint8, in ``colors`` (N, 3) uint8, else its own, else grey."""
    xyz = in_unit_sphere(shape.xyz)
    if colors is None:
        own = np.full((len(xyz), 3), GREY / 255) if shape.rgb is None else shape.rgb
        colors = np.round(own * 255).astype(np.uint8)
    view = around(xyz.min(axis=0), xyz.max(axis=0), turns=(-125.0,), size=SIZE)[0]
    normals = point_normals(xyz, xyz.mean(axis=0) + (0, 0, 10))
    return see_points(xyz, view, 1.3 * point_spacing(xyz), normals, np.ones(len(xyz), dtype=bool)).painted(colors)


def confused_shapes(
    task: ClassificationTask, model: nn.Module, device: torch.device, source: ShapeSource, most: int
) -> np.ndarray:
    """Shapes that are taken for others, the surest first: "chair -> sofa .93"; the unsurest right ones where all are
    right."""
    found = [(shape.name, shape.label, p[0]) for shape, p in task.predicted(model, device, source)]
    wrong = [k for k, (_, label, p) in enumerate(found) if p.argmax() != label]
    chosen = sorted(wrong or range(len(found)), key=lambda k: -found[k][2].max() if wrong else found[k][2].max())[:most]
    panels = []
    for k in chosen:
        _, label, p = found[k]
        guess = int(p.argmax())
        named = source.classes[label] + (f" -> {source.classes[guess]}" if guess != label else "")
        panels.append(caption(shape_picture(source.load(k)), f"{named} {p[guess]:.2f}"))
    return _grid(panels)


def parts_of_shapes(
    task: PartSegmentationTask, model: nn.Module, device: torch.device, source: ShapeSource, most: int
) -> np.ndarray:
    """Truth and prediction of shapes spread evenly over the set, in the colours of parts."""
    from sparse3d.tasks.parts import parts_among

    count = len(source.names)
    palette = distinct_colors(max(len(parts) for parts in source.parts_of))
    panels = []
    for index in np.unique(np.linspace(0, count - 1, min(most, count)).astype(int)):
        shape = source.load(int(index))
        allowed = source.parts_of[shape.label]
        guess = parts_among(task.probabilities(model, device, [shape])[0], allowed)
        name = source.classes[shape.label]
        for what, part in (("truth", shape.part), ("prediction", guess)):
            if part is not None:
                place = np.full(len(part), -1)  # among the parts of the class; grey for none
                for k, known in enumerate(allowed):
                    place[part == known] = k
                panels.append(caption(shape_picture(shape, palette_colors(place, palette)), f"{name}: {what}"))
    return _grid(panels)


def _grid(panels: list[np.ndarray]) -> np.ndarray:
    return stacked([side_by_side(panels[k : k + A_ROW]) for k in range(0, len(panels), A_ROW)])
