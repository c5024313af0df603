"""Points chosen far apart and grouped by distance, for all clouds of a batch at once, in plain torch."""

from __future__ import annotations

import torch
from torch import Tensor


def dense_rows(item: Tensor, batch_size: int) -> Tensor:
    """The rows of each cloud side by side, (B, longest) int64, -1 behind a cloud's last; ``item`` (N,) in any order."""
    counts = torch.bincount(item, minlength=batch_size)
    order = item.argsort(stable=True)
    starts = counts.cumsum(0) - counts
    place = torch.arange(len(item), device=item.device) - starts[item[order]]
    rows = item.new_full((batch_size, int(counts.max()) if len(item) else 0), -1)
    rows[item[order], place] = order
    return rows


@torch.no_grad()
def farthest_points(xyz: Tensor, valid: Tensor, count: int) -> Tensor:
    """Farthest point sampling: each next point is the one farthest from those that were taken.

    The first point taken is the first valid one, and of equally far ones the first is taken. A cloud of fewer points
    than asked for gives some more than once.

    Args:
        xyz: (B, N, 3).
        valid: (B, N) bool; a cloud without a valid point gives its point 0.
        count: S, points to take of each cloud.

    Returns:
        (B, S) int64 indices into N.

    Source: Eldar et al., "The Farthest Point Strategy for Progressive Image Sampling" (1997), as used by PointNet++.
    """
    batch, number = valid.shape
    if number == 0:
        raise ValueError("farthest point sampling of clouds without any point")
    planes = xyz.float().permute(2, 0, 1).contiguous()  # three contiguous planes are faster than rows of three
    # -1 for points that do not exist: never the farthest of a cloud that has a point.
    distance = torch.where(valid, torch.inf, -1.0)
    taken = torch.empty(batch, count, dtype=torch.int64, device=xyz.device)
    clouds = torch.arange(batch, device=xyz.device)
    for k in range(count):
        newest = distance.argmax(dim=1)
        taken[:, k] = newest
        away = planes - planes[:, clouds, newest][..., None]
        distance = torch.minimum(distance, away.square_().sum(dim=0))
    return taken


def ball_groups(centers: Tensor, points: Tensor, radius: float, count: int) -> Tensor:
    """For each center the ``count`` nearest points within ``radius``, (B, P, count) int64.

    Where there are fewer the nearest stands in for those that are missing, also when it lies farther off.

    Args:
        centers: (B, P, 3).
        points: (B, S, 3).
        radius: as the coordinates.
        count: points a group.
    """
    count = min(count, points.shape[1])
    distance, nearest = torch.cdist(centers.float(), points.float()).topk(count, dim=2, largest=False)
    return torch.where(distance <= radius, nearest, nearest[..., :1])


def gathered(values: Tensor, index: Tensor) -> Tensor:
    """``values`` (B, N, C) at ``index`` (B, ...) of N: (B, ..., C)."""
    flat = index.flatten(1)
    found = values.gather(1, flat[..., None].expand(-1, -1, values.shape[2]))
    return found.reshape(*index.shape, values.shape[2])
