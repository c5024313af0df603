"""Overlap of boxes as something to train by: row by row, differentiable, on any device.

Boxes are rows (x, y, z, length, width, height) in metres, the middle first. All arithmetic is in float32 at least, as
float16 loses the volume of small boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor

_EPSILON = 1e-8


def aligned_iou(a: Tensor, b: Tensor) -> Tensor:
    """Common over united volume of axis-aligned boxes (..., 6), row by row: (...) in [0, 1]."""
    a, b = _wide(a), _wide(b)
    common = _common(a, b)
    return common / (_volume(a) + _volume(b) - common).clamp(min=_EPSILON)


def diou(a: Tensor, b: Tensor) -> Tensor:
    """Distance IoU (Zheng et al. 2020) of axis-aligned boxes (..., 6): (...) in (-1, 1].

    The IoU less the squared distance of the middles over the squared diagonal of the smallest box around both.
    """
    a, b = _wide(a), _wide(b)
    apart = (a[..., :3] - b[..., :3]).square().sum(dim=-1)
    diagonal = _around(a, b).square().sum(dim=-1).clamp(min=_EPSILON)
    return aligned_iou(a, b) - apart / diagonal


def _wide(boxes: Tensor) -> Tensor:
    return boxes if boxes.dtype == torch.float64 else boxes.float()


def _volume(boxes: Tensor) -> Tensor:
    return boxes[..., 3:6].clamp(min=0).prod(dim=-1)


def _common(a: Tensor, b: Tensor) -> Tensor:
    low = torch.maximum(a[..., :3] - a[..., 3:6] / 2, b[..., :3] - b[..., 3:6] / 2)
    high = torch.minimum(a[..., :3] + a[..., 3:6] / 2, b[..., :3] + b[..., 3:6] / 2)
    return (high - low).clamp(min=0).prod(dim=-1)


def _around(a: Tensor, b: Tensor) -> Tensor:
    """Edges (..., 3) of the smallest axis-aligned box around both."""
    low = torch.minimum(a[..., :3] - a[..., 3:6] / 2, b[..., :3] - b[..., 3:6] / 2)
    high = torch.maximum(a[..., :3] + a[..., 3:6] / 2, b[..., :3] + b[..., 3:6] / 2)
    return (high - low).clamp(min=0)
