"""What the tasks on single shapes draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from sparse3d.data.shapes.dataset import in_unit_sphere
from sparse3d.data.shapes.source import Shape
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


def shape_picture(
    shape: Shape, colors: np.ndarray | None = None, turn: float = -125.0, size: tuple[int, int] = SIZE
) -> np.ndarray:
    """A shape from one corner, (H, W, 3) uint8, in ``colors`` (N, 3) uint8, else its own, else grey.

    Args:
        shape: N points.
        colors: (N, 3) uint8.
        turn: degrees about the up axis.
        size: height and width in pixels.
    """
    xyz = in_unit_sphere(shape.xyz)
    if colors is None:
        own = np.full((len(xyz), 3), GREY / 255) if shape.rgb is None else shape.rgb
        colors = np.round(own * 255).astype(np.uint8)
    view = around(xyz.min(axis=0), xyz.max(axis=0), turns=(turn,), size=size)[0]
    normals = point_normals(xyz, xyz.mean(axis=0) + (0, 0, 10))
    return see_points(xyz, view, 1.3 * point_spacing(xyz), normals, np.ones(len(xyz), dtype=bool)).painted(colors)


def confused_shapes(task: ClassificationTask, found: list[tuple[int, np.ndarray]], most: int) -> np.ndarray:
    """Validation shapes that are taken for others, the surest first: "chair -> sofa 0.93".

    Where all are right, those are shown of which the network is least sure.

    Args:
        task: whose validation shapes are looked at.
        found: for each of them its class and its probabilities (C,).
        most: how many to draw.
    """
    assert task.val_shapes is not None
    classes = task.val_shapes.classes
    wrong = [k for k, (label, p) in enumerate(found) if p.argmax() != label]
    sure = [float(p.max()) for _, p in found]
    chosen = sorted(wrong, key=lambda k: -sure[k]) if wrong else sorted(range(len(found)), key=lambda k: sure[k])
    panels = []
    for k in chosen[:most]:
        label, guess = found[k][0], int(found[k][1].argmax())
        named = classes[label] + (f" -> {classes[guess]}" if guess != label else "")
        panels.append(caption(shape_picture(task.val_shape(k)), f"{named} {sure[k]:.2f}"))
    return _grid(panels)


def parts_of_shapes(task: PartSegmentationTask, model: nn.Module, device: torch.device, most: int) -> np.ndarray:
    """Truth and prediction of validation shapes spread evenly over the set, in the colours of parts."""
    from sparse3d.tasks.parts import parts_among

    source = task.val_shapes
    assert source is not None
    count = len(source.names)
    palette = distinct_colors(max(len(parts) for parts in source.parts_of))
    panels = []
    for index in np.unique(np.linspace(0, count - 1, min(most, count)).astype(int)):
        shape = task.val_shape(int(index))
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
