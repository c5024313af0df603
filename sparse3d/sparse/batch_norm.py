"""Batch normalisation whose statistics span all processes, on CPUs (gloo) as on GPUs (NCCL).

torch's own SyncBatchNorm runs on GPUs only, and counts an equal number of rows a process.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class SynchronizedBatchNorm1d(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` over rows (N, C), N differing between processes; alone in its process it is exactly that."""

    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(x)
        count, total, squares = self._sums(x)
        mean = total / count
        var = (squares / count - mean**2).clamp_min(0)
        self._update_running(mean.detach(), var.detach(), count)
        normalized = (x - mean.to(x.dtype)) * torch.rsqrt(var + self.eps).to(x.dtype)
        return normalized * self.weight + self.bias

    @staticmethod
    def _sums(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # In float64: the difference of two large sums is taken below.
        wide = x.double()
        packed = torch.cat([wide.new_tensor([float(len(x))]), wide.sum(0), (wide**2).sum(0)])
        packed = all_reduce(packed)
        count = packed[0].detach()
        if count < 2:
            raise ValueError("batch normalisation needs at least two voxels over all processes when training")
        channels = x.shape[1]
        return count, packed[1 : 1 + channels], packed[1 + channels :]

    def _update_running(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        if not self.track_running_stats or self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        momentum = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        unbiased = var * (count / (count - 1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), momentum)
