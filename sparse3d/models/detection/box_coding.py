"""Turned boxes as numbers without a jump.

A box of length l and width w, turned by yaw, is the same box as one of length w and width l turned by a quarter more,
and as itself turned by a half. So a network tells the sum l + w and the pair

    turn = ln(l / w) (cos 2 yaw, sin 2 yaw)

which is the same for all of these and runs through 0 for a square, whose direction cannot be told. (The form of FCAF3D,
Rukhovich et al., ECCV 2022, a Moebius strip.)
"""

from __future__ import annotations

import torch
from torch import Tensor


def encode_turn(size: Tensor, yaw: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of length and width (N,) and the pair (N, 2) of boxes with ``size`` (N, 3), metres, and ``yaw`` (N,)."""
    ratio = torch.log(size[:, 0] / size[:, 1])
    return size[:, 0] + size[:, 1], ratio[:, None] * torch.stack([torch.cos(2 * yaw), torch.sin(2 * yaw)], dim=1)


def edges_from_ratio(total: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
    """Length and width of sum ``total`` and logarithm of quotient ``ratio``."""
    length = total * torch.sigmoid(ratio)
    return length, total - length


def sizes_and_yaw(size: Tensor, turn: Tensor | None) -> tuple[Tensor, Tensor]:
    """Edges (N, 3), metres, and yaw (N,) of what a network tells; the length is the longer edge.

    Args:
        size: (N, 3) the edges; for turned boxes (l + w, anything, height).
        turn: (N, 2) the pair, None for boxes along the axes.
    """
    if turn is None:
        return size, size.new_zeros(len(size))
    length, width = edges_from_ratio(size[:, 0], turn.norm(dim=1))
    yaw = 0.5 * torch.atan2(turn[:, 1], turn[:, 0])
    return torch.stack([length, width, size[:, 2]], dim=1), yaw
