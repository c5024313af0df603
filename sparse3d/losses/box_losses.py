"""Overlap of boxes as something to train by: row by row, differentiable, on any device.

Boxes are rows (x, y, z, length, width, height) in metres, the middle first; turned ones have the angle about z as a
seventh number. All arithmetic is in float32 at least, as float16 loses the volume of small boxes.
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


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU (Rezatofighi et al. 2019) of axis-aligned boxes (..., 6): (...) in (-1, 1].

    The IoU less the share of the smallest box around both that neither fills; it has a gradient where boxes are apart.
    """
    a, b = _wide(a), _wide(b)
    common = _common(a, b)
    united = (_volume(a) + _volume(b) - common).clamp(min=_EPSILON)
    around = _around(a, b).prod(dim=-1).clamp(min=_EPSILON)
    return common / united - (around - united).clamp(min=0) / around


def diou(a: Tensor, b: Tensor) -> Tensor:
    """Distance IoU (Zheng et al. 2020) of axis-aligned boxes (..., 6): (...) in (-1, 1].

    The IoU less the squared distance of the middles over the squared diagonal of the smallest box around both.
    """
    a, b = _wide(a), _wide(b)
    apart = (a[..., :3] - b[..., :3]).square().sum(dim=-1)
    diagonal = _around(a, b).square().sum(dim=-1).clamp(min=_EPSILON)
    return aligned_iou(a, b) - apart / diagonal


def turned_iou(a: Tensor, b: Tensor) -> Tensor:
    """Exact IoU of boxes turned about z, (..., 7), row by row: (...) in [0, 1]; differentiable in all seven numbers.

    The formula is that of :mod:`sparse3d.geometry.box_overlap`: the area of the first rectangle inside the second is
    the sum over its edges of the integral of their clamped height, in the frame of the second.
    """
    a, b = torch.broadcast_tensors(_wide(a), _wide(b))
    low = torch.maximum(a[..., 2] - a[..., 5] / 2, b[..., 2] - b[..., 5] / 2)
    high = torch.minimum(a[..., 2] + a[..., 5] / 2, b[..., 2] + b[..., 5] / 2)
    common = _shared_area(a, b) * (high - low).clamp(min=0)
    return common / (_volume(a) + _volume(b) - common).clamp(min=_EPSILON)


def _shared_area(a: Tensor, b: Tensor) -> Tensor:
    x, y = _corners_in_frame(a, b)
    half_x, half_y = b[..., 3, None] / 2, b[..., 4, None] / 2
    next_x, next_y = x.roll(-1, -1), y.roll(-1, -1)
    from_x = torch.minimum(torch.maximum(x, -half_x), half_x)
    to_x = torch.minimum(torch.maximum(next_x, -half_x), half_x)
    width = next_x - x
    # An edge along y has no width and no part in the sum; the slope only has to stay finite, its gradient too.
    slope = torch.where(width.abs() > _EPSILON, width, torch.ones_like(width))
    from_y = y + ((from_x - x) / slope).clamp(0, 1) * (next_y - y)
    to_y = y + ((to_x - x) / slope).clamp(0, 1) * (next_y - y)
    return -((to_x - from_x) * _mean_of_clamped(from_y, to_y, half_y)).sum(dim=-1).clamp(max=0)


def _mean_of_clamped(start: Tensor, end: Tensor, half: Tensor) -> Tensor:
    """The mean of clamp(y, -half, half) + half for y that goes evenly from ``start`` to ``end``."""
    low, high = torch.minimum(start, end), torch.maximum(start, end)
    inside_low = torch.minimum(torch.maximum(low, -half), half)
    inside_high = torch.minimum(torch.maximum(high, -half), half)
    rise = high - low
    steady = rise <= _EPSILON
    safe = torch.where(steady, torch.ones_like(rise), rise)
    inside = torch.where(steady, torch.ones_like(rise), (inside_high - inside_low) / safe)
    above = torch.where(steady, torch.zeros_like(rise), (high - torch.maximum(low, half)).clamp(min=0) / safe)
    return inside * ((inside_low + inside_high) / 2 + half) + above * 2 * half


def _corners_in_frame(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """x and y (..., 4) of the first boxes' corners in the frames of the second, counter-clockwise."""
    along = a.new_tensor((-0.5, 0.5, 0.5, -0.5)) * a[..., 3, None]
    across = a.new_tensor((-0.5, -0.5, 0.5, 0.5)) * a[..., 4, None]
    turn = (a[..., 6] - b[..., 6])[..., None]
    c, s = b[..., 6].cos(), b[..., 6].sin()
    away_x, away_y = a[..., 0] - b[..., 0], a[..., 1] - b[..., 1]
    x = turn.cos() * along - turn.sin() * across + (c * away_x + s * away_y)[..., None]
    y = turn.sin() * along + turn.cos() * across + (c * away_y - s * away_x)[..., None]
    return x, y


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
