"""Instance normalisation: every batch item's every channel by its own mean and variance over its voxels."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse3d.sparse.precision import widest_type


def instance_norm(
    feats: Tensor,
    batch_index: Tensor,
    batch_size: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-8,
) -> Tensor:
    """``(x - mean) / sqrt(var + eps) * weight + bias`` per batch item and channel, the variance being the biased one.

    As MinkowskiEngine's ``MinkowskiInstanceNorm``, whose ``eps`` is the default here (Ulyanov et al. 2016). There are
    no running statistics: training and evaluation are the same. A single voxel becomes ``bias``; items may be empty.

    Args:
        feats: (N, C).
        batch_index: (N,) int64 in [0, batch_size), in any order.
        weight, bias: (C,) or (1, C).

    Raises:
        ValueError: as many indices as rows are needed.
    """
    if batch_index.shape != feats.shape[:1]:
        raise ValueError(f"{len(feats)} rows need as many batch indices, got the shape {tuple(batch_index.shape)}")
    batch_index = batch_index.long()
    counts = torch.bincount(batch_index, minlength=batch_size).clamp_min(1).unsqueeze(1)
    wide = feats.to(widest_type(feats))
    mean = _sums(wide, batch_index, batch_size) / counts
    centred = wide - mean[batch_index]
    var = _sums(centred * centred, batch_index, batch_size) / counts
    out = (centred * torch.rsqrt(var + eps)[batch_index]).to(feats.dtype)
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


def _sums(rows: Tensor, batch_index: Tensor, batch_size: int) -> Tensor:
    return rows.new_zeros(batch_size, rows.shape[1]).index_add(0, batch_index, rows)
