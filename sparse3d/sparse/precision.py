"""What sums are taken in."""

from __future__ import annotations

import torch
from torch import Tensor


def sum_type(feats: Tensor) -> torch.dtype:
    """At least float32: autocast leaves features in half types behind, and a bfloat16 sum of ones stops at 256."""
    return torch.promote_types(feats.dtype, torch.float32)


def widest_type(feats: Tensor) -> torch.dtype:
    """Float64 where the device has it: a sum over 100,000 rows, one after the other, loses three digits of a float."""
    return sum_type(feats) if feats.device.type == "mps" else torch.float64
