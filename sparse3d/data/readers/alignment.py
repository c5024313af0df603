"""Colour brought onto the depth camera's pixels when the two cameras differ.

Both cameras of a registered recording share the optical centre and axes, so a ray has one pixel in each image and
colour is found at ``K_color K_depth^-1 pixel``: a scale and a shift along each axis, whatever the depth.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from sparse3d.errors import InputError
from sparse3d.types import Camera


def cameras_disagree(color: Camera, depth: Camera, tolerance: float = 1.0) -> bool:
    """Whether plainly resizing colour to the depth's size would shift a corner by more than ``tolerance`` pixels."""
    left, top, right, bottom = _window(color.scaled(depth.width, depth.height), depth)
    shifts = (left + 0.5, top + 0.5, right - depth.width + 0.5, bottom - depth.height + 0.5)
    return max(abs(shift) for shift in shifts) > tolerance


def sample_color(color: np.ndarray, color_camera: Camera, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Colour (H, W, 3) uint8 as ``camera`` sees it, and which of its pixels (H, W) bool the colour image covers.

    Each pixel is a filtered (antialiased) sample of ``color``; pixels that the colour camera does not see are black.
    """
    left, top, right, bottom = _window(color_camera, camera)
    if not (right > left and bottom > top):
        raise InputError("colour and depth camera are mirrored against each other (focal lengths of opposite sign)")
    height, width = color.shape[:2]
    # PIL counts from the image's corner, so pixel centres lie at 0.5.
    box = np.array([left, top, right, bottom]) + 0.5
    before = np.maximum(0, np.ceil(-box[:2])).astype(int)
    after = np.maximum(0, np.ceil(box[2:] - (width, height))).astype(int)
    padded = np.pad(color, ((before[1], after[1]), (before[0], after[0]), (0, 0)))
    shifted = tuple(box + np.tile(before, 2))
    out = Image.fromarray(padded).resize((camera.width, camera.height), Image.Resampling.BILINEAR, box=shifted)
    cols = left + (np.arange(camera.width) + 0.5) * (right - left) / camera.width
    rows = top + (np.arange(camera.height) + 0.5) * (bottom - top) / camera.height
    inside_cols = (cols >= -0.5) & (cols <= width - 0.5)
    inside_rows = (rows >= -0.5) & (rows <= height - 0.5)
    return np.asarray(out), inside_rows[:, None] & inside_cols[None, :]


def _window(color: Camera, camera: Camera) -> tuple[float, float, float, float]:
    """Left, top, right, bottom edge of ``camera``'s image in pixels of ``color`` (pixel centres at integers)."""

    def x(col: float) -> float:
        return (col - camera.cx) / camera.fx * color.fx + color.cx

    def y(row: float) -> float:
        return (row - camera.cy) / camera.fy * color.fy + color.cy

    return x(-0.5), y(-0.5), x(camera.width - 0.5), y(camera.height - 0.5)
