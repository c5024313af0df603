"""Voxel features into the views they were seen in."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sparse3d.errors import InputError


def project_features(feats: Tensor, pixel2voxel: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """2D feature maps: the mean of the voxel features of the pixels in each ``stride`` x ``stride`` cell.

    Args:
        feats: (V, C) float.
        pixel2voxel: (N, H, W) int64 rows of ``feats``, -1 = none; H and W multiples of ``stride``.
        stride: pixels a cell.

    Returns:
        maps (N, C, H / stride, W / stride), zero where a cell has no pixel, and mask (N, H / stride, W / stride) bool.

    Raises:
        InputError: the image size is not a multiple of ``stride``.
    """
    n, height, width = pixel2voxel.shape
    if height % stride or width % stride:
        raise InputError(
            f"images of {width} x {height} cannot be cut into cells of {stride} pixels: choose FrameFolder.size and "
            "PretrainTask.map_stride so that width and height are multiples"
        )
    rows, cols = height // stride, width // stride
    cells = pixel2voxel.reshape(n, rows, stride, cols, stride).transpose(2, 3).reshape(n * rows * cols, stride * stride)
    seen = cells >= 0
    counts = seen.sum(dim=1)
    # One more row of zeros serves the pixels without a voxel; padding_idx keeps it out of the mean.
    table = torch.cat([feats, feats.new_zeros(1, feats.shape[1])])
    means = F.embedding_bag(torch.where(seen, cells, len(feats)), table, mode="mean", padding_idx=len(feats))
    maps = means.view(n, rows, cols, -1).permute(0, 3, 1, 2)
    return maps, (counts > 0).view(n, rows, cols)
