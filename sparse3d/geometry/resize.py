"""Resizing depth and colour images in step with ``Camera.scaled``: the image spans [-0.5, width - 0.5] throughout."""

from __future__ import annotations

import numpy as np
from PIL import Image

from sparse3d.geometry.projection import has_reading

_SPREAD_ABS, _SPREAD_REL = 0.03, 0.02  # readings of one surface: within 3 cm or 2 %


def resize_depth(depth: np.ndarray, height: int, width: int) -> np.ndarray:
    """``depth`` (H, W) metres as (height, width) float32; 0 = no reading, also for what was not finite.

    Shrunk by whole factors, a pixel is the mean of its block's readings when they lie within max(3 cm, 2 %) of each
    other, else the reading nearest to the block's centre: never an average across a jump, a surface in mid-air. Other
    sizes take the reading nearest to the new pixel's centre.
    """
    _check_positive(height, width)
    depth = np.where(has_reading(depth), depth, 0).astype(np.float32, copy=False)
    if depth.shape == (height, width):
        return depth
    if depth.shape[0] % height or depth.shape[1] % width:
        rows = np.floor((np.arange(height) + 0.5) * (depth.shape[0] / height)).astype(np.int64)
        cols = np.floor((np.arange(width) + 0.5) * (depth.shape[1] / width)).astype(np.int64)
        return depth[rows[:, None], cols]
    return _shrink_blocks(depth, depth.shape[0] // height, depth.shape[1] // width)


def resize_color(color: np.ndarray, height: int, width: int) -> np.ndarray:
    """``color`` (H, W, 3) uint8 as (height, width, 3) uint8, averaged where it shrinks, without a shift."""
    _check_positive(height, width)
    if color.shape[:2] == (height, width):
        return color
    whole = color.shape[0] % height == 0 and color.shape[1] % width == 0
    # a box that cuts pixels in parts shifts by parts of a pixel; PIL's triangle, widened by the factor, does not
    method = Image.Resampling.BOX if whole else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(color).resize((width, height), method))


def _check_positive(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise ValueError(f"image size must be positive, got {height} x {width}")


def _shrink_blocks(depth: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Blocks of ``rows`` x ``cols`` pixels made one pixel each."""
    height, width = depth.shape[0] // rows, depth.shape[1] // cols
    # one plane (height, width) a position in the block, from the centre outwards
    r, c = np.divmod(np.arange(rows * cols), cols)
    order = np.argsort((r - (rows - 1) / 2) ** 2 + (c - (cols - 1) / 2) ** 2, kind="stable")
    planes = [depth[r[k] :: rows, c[k] :: cols] for k in order]
    total, count = np.zeros((height, width), np.float64), np.zeros((height, width), np.int64)
    lowest, highest = np.full((height, width), np.inf, np.float32), np.zeros((height, width), np.float32)
    nearest = np.zeros((height, width), np.float32)
    for plane in planes:
        valid = plane > 0
        total += plane
        count += valid
        np.minimum(lowest, plane, out=lowest, where=valid)
        np.maximum(highest, plane, out=highest)
        np.copyto(nearest, plane, where=valid & (nearest == 0))
    mean = (total / np.maximum(count, 1)).astype(np.float32)
    agree = (count > 0) & (highest - lowest <= np.maximum(_SPREAD_ABS, _SPREAD_REL * mean))
    return np.where(agree, mean, nearest)
