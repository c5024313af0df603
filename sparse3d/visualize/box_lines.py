"""Lines drawn into a picture of points: boxes, camera paths, a scale. What lies behind a surface is drawn faintly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from sparse3d.types import Boxes
from sparse3d.visualize.layout import INK, font, text_size
from sparse3d.visualize.scene_views import NEAR, SeenPoints, Viewpoint

_EDGES = np.array(
    [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7)], dtype=np.int64
)
_CORNERS = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], dtype=np.float64)
_HIDDEN = 0.35  # how much of a hidden line's colour is left
_START, _END = (20, 150, 60), (210, 30, 40)  # of a path
_LOOK = 0.3  # metres, length of a tick
_SLACK = 0.03  # metres that a line may lie behind the surface and still count as before it


def box_corners(boxes: Boxes) -> np.ndarray:
    """(B, 8, 3) float64 corners: four below, four above, each counter-clockwise seen from above."""
    size, yaw = boxes.size.astype(np.float64), boxes.yaw.astype(np.float64)
    flat = _CORNERS[None] * size[:, None, :2] / 2
    cosine, sine = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    corners = np.empty((len(boxes), 8, 3))
    corners[:, :4, 0] = corners[:, 4:, 0] = flat[..., 0] * cosine - flat[..., 1] * sine
    corners[:, :4, 1] = corners[:, 4:, 1] = flat[..., 0] * sine + flat[..., 1] * cosine
    corners[:, :4, 2], corners[:, 4:, 2] = -size[:, 2:] / 2, size[:, 2:] / 2
    return corners + boxes.center[:, None].astype(np.float64)


def draw_segments(
    color: np.ndarray, seen: SeenPoints, ends: np.ndarray, colors: np.ndarray, thickness: int = 2
) -> np.ndarray:
    """``color`` (H, W, 3) with straight lines: ``ends`` (L, 2, 3) metres, ``colors`` (L, 3) uint8."""
    picture = color.copy()
    for (start, end), own in zip(np.asarray(ends, dtype=np.float64), np.asarray(colors), strict=True):
        points = _along(start, end, seen.view)
        if len(points):
            _paint(picture, seen, points, own, thickness)
    return picture


def draw_boxes(
    color: np.ndarray, seen: SeenPoints, boxes: Boxes, colors: np.ndarray, names: Sequence[str] | None = None
) -> np.ndarray:
    """``color`` (H, W, 3) with B ``boxes`` in ``colors`` (B, 3) uint8 and, if given, their names at the top.

    A thin line goes along its own x axis in the top of a box that is turned.
    """
    colors = np.asarray(colors).reshape(-1, 3)
    corners = box_corners(boxes)
    picture = draw_segments(color, seen, corners[:, _EDGES].reshape(-1, 2, 3), np.repeat(colors, 12, axis=0))
    turned = np.flatnonzero(boxes.yaw)
    top = corners[turned, 4:].mean(axis=1)
    front = (corners[turned, 5] + corners[turned, 6]) / 2
    picture = draw_segments(picture, seen, np.stack([top, front], axis=1), colors[turned], 1)
    return picture if names is None else _named(picture, seen.view, corners[:, 4:].mean(axis=1), names, colors)


def draw_path(color: np.ndarray, seen: SeenPoints, poses: np.ndarray, ticks: int = 30) -> np.ndarray:
    """``color`` with the path of a camera: ``poses`` (F, 4, 4) camera to world, green at the start and red at the end.

    About so many ``ticks`` show where the camera looks. Nothing hides the path.
    """
    if not len(poses):
        return color
    bare = replace(seen, depth=np.full_like(seen.depth, np.inf))
    places, forward = poses[:, :3, 3], poses[:, :3, 2]
    share = np.linspace(0, 1, len(poses))[:, None]
    shades = np.round((1 - share) * np.array([_START]) + share * np.array([_END])).astype(np.uint8)
    picture = draw_segments(color, bare, np.stack([places[:-1], places[1:]], axis=1), shades[1:])
    chosen = np.arange(0, len(poses), max(1, len(poses) // ticks))
    looks = np.stack([places[chosen], places[chosen] + _LOOK * forward[chosen]], axis=1)
    picture = draw_segments(picture, bare, looks, shades[chosen], 1)
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    pixels, depth = seen.view.project(places)
    for k in [*chosen.tolist(), len(poses) - 1]:
        if depth[k] > NEAR:
            row, col = pixels[k]
            radius = 5 if k in (0, len(poses) - 1) else 3
            circle = (col - radius, row - radius, col + radius, row + radius)
            draw.ellipse(circle, fill=tuple(int(c) for c in shades[k]), outline=(255, 255, 255))
    return np.asarray(canvas)


def draw_scale(color: np.ndarray, view: Viewpoint, metres: float = 1.0) -> np.ndarray:
    """A parallel view with a bar of ``metres`` in its lower left corner."""
    canvas = Image.fromarray(color)
    draw = ImageDraw.Draw(canvas)
    long, bottom = view.zoom * metres, view.height - 12
    draw.line((12, bottom, 12 + long, bottom), fill=INK, width=3)
    draw.text((12, bottom - text_size("Ag")[1] - 4), f"{metres:g} m", fill=INK, font=font())
    return np.asarray(canvas)


def _along(start: np.ndarray, end: np.ndarray, view: Viewpoint) -> np.ndarray:
    """Points (P, 3) of the line about half a pixel apart, those before the viewer."""
    pixels, depth = view.project(np.stack([start, end]))
    if (depth <= NEAR).all():
        return np.zeros((0, 3))
    length = float(np.abs(pixels[1] - pixels[0]).max()) if (depth > NEAR).all() else 4.0 * view.width
    share = np.linspace(0, 1, int(min(max(2 * length, 2), 8 * view.width)))[:, None]
    return start + share * (end - start)


def _paint(picture: np.ndarray, seen: SeenPoints, points: np.ndarray, own: np.ndarray, thickness: int) -> None:
    view = seen.view
    pixels, depth = view.project(points)
    base = np.floor(pixels - (thickness - 1) / 2 + 0.5).astype(np.int64)
    # A pixel is painted once however many points fall on it, or faint lines would add up.
    rows, cols, strengths = [], [], []
    for down in range(thickness):
        for right in range(thickness):
            row, col = base[:, 0] + down, base[:, 1] + right
            good = (depth > NEAR) & (row >= 0) & (row < view.height) & (col >= 0) & (col < view.width)
            row, col = row[good], col[good]
            rows.append(row)
            cols.append(col)
            strengths.append(np.where(depth[good] <= seen.depth[row, col] + _SLACK, 1.0, _HIDDEN))
    place = np.concatenate(rows) * view.width + np.concatenate(cols)
    pixel, inverse = np.unique(place, return_inverse=True)
    strength = np.zeros(len(pixel))
    np.maximum.at(strength, inverse, np.concatenate(strengths))
    flat = picture.reshape(-1, 3)
    mixed = flat[pixel] * (1 - strength[:, None]) + np.asarray(own, dtype=np.float64) * strength[:, None]
    flat[pixel] = np.round(mixed).astype(np.uint8)


def _named(
    picture: np.ndarray, view: Viewpoint, places: np.ndarray, names: Sequence[str], colors: np.ndarray
) -> np.ndarray:
    canvas = Image.fromarray(picture)
    draw = ImageDraw.Draw(canvas)
    pixels, depth = view.project(places)
    for k in np.argsort(-depth, kind="stable").tolist():  # the nearest last
        wide, high = text_size(names[k], 12)
        row, col = pixels[k]
        if depth[k] > NEAR and 0 <= row < view.height and 0 <= col < view.width:
            at = (min(max(col - wide / 2, 2), view.width - wide - 3), min(max(row - high, 2), view.height - high - 2))
            draw.rectangle((at[0] - 2, at[1] - 1, at[0] + wide + 2, at[1] + high + 1), fill=(255, 255, 255))
            shade = tuple(int(c * 0.6) for c in colors[k])
            draw.text(at, names[k], fill=shade, font=font(12))
    return np.asarray(canvas)
