"""Batch normalisation over the rows of features, with a residual and ReLU in the same call.

Its statistics span all processes that train together, on CPUs (gloo) as on GPUs (NCCL); torch's own SyncBatchNorm runs
on GPUs only, and counts an equal number of rows a process.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce

from sparse3d.errors import InputError
from sparse3d.sparse import ordered_batch_norm
from sparse3d.sparse.native import batch_norm as native_form
from sparse3d.sparse.precision import sum_type, widest_type


class SynchronizedBatchNorm1d(nn.BatchNorm1d):
    """``nn.BatchNorm1d`` over rows (N, C), N differing between processes; alone in its process it means just that."""

    def forward(
        self,
        x: Tensor,
        relu: bool = False,
        residual: Tensor | None = None,
        native: bool = False,
        inplace: bool = False,
    ) -> Tensor:
        """``relu(norm(x) + residual)``, each of the two only if asked for.

        Args:
            x: (N, C), N of any size but 1 when training (over all processes together: at least 2).
            residual: (N, C), added before ReLU.
            native: by the compiled kernel where it can: rows in float32 on a CPU.
            inplace: without gradients the result may be written into ``x``, which nobody else reads.

        Raises:
            InputError: training on a single row.
            ValueError: a residual of another shape.
        """
        if residual is not None and residual.shape != x.shape:
            raise ValueError(f"the residual's shape {tuple(residual.shape)} is not that of x, {tuple(x.shape)}")
        self._check_input_dim(x)
        if self._spans_processes():
            return self._synchronized(x, relu, residual, native)
        training = self.training or self.running_mean is None
        if training and len(x) == 1:
            raise InputError(
                "batch normalisation needs more than 1 value a channel to train on, and this batch, a single small "
                "cloud, has one voxel: raise train.batch_size, or lower the voxel size"
            )
        momentum = self._count_batch()
        running = (
            (self.running_mean, self.running_var) if not self.training or self.track_running_stats else (None,) * 2
        )
        if native and self._native_does(x, residual) and len(x) > training:
            return native_form.batch_norm(
                x, self.weight, self.bias, *running, training, momentum, self.eps, relu, residual, inplace
            )
        if training and ordered_batch_norm.does(x, self.weight, self.bias, *running):
            out = ordered_batch_norm.batch_norm(x, *running, self.weight, self.bias, momentum, self.eps)
        else:
            out = F.batch_norm(x, *running, self.weight, self.bias, training, momentum, self.eps)
        return _finish(out, relu, residual)

    def _spans_processes(self) -> bool:
        return self.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1

    def _native_does(self, x: Tensor, residual: Tensor | None) -> bool:
        return native_form.does(x, self.weight, self.bias, self.running_mean, self.running_var, residual=residual)

    def _count_batch(self) -> float:
        """Count a training batch; the weight of its statistics in the running ones."""
        if not (self.training and self.track_running_stats):
            return 0.0
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        return self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)

    def _synchronized(self, x: Tensor, relu: bool, residual: Tensor | None, native: bool) -> Tensor:
        native = native and self._native_does(x, residual)
        sums = _sums_native(x) if native else _sums(x)
        packed = _total(sums) if native else all_reduce(sums)
        channels = x.shape[1]
        count = float(packed[0].detach())
        if count < 2:
            raise InputError(
                "batch normalisation needs at least two voxels over all processes when training: raise train.batch_size"
            )
        mean = packed[1 : 1 + channels] / count
        moments = torch.stack([mean, (packed[1 + channels :] / count - mean**2).clamp_min(0)])
        momentum = self._count_batch()
        if self.track_running_stats and self.running_mean is not None and self.running_var is not None:
            mean, var = moments.detach()
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
            self.running_var.lerp_((var * (count / (count - 1))).to(self.running_var.dtype), momentum)
        if native:
            return native_form.normalize(
                x, moments, self.eps, self.weight, self.bias, count=count, relu=relu, residual=residual, reduce=_total
            )
        wide = x.to(sum_type(x))  # in half types the mean would be rounded before it is subtracted
        out = (wide - moments[0].to(wide.dtype)) * torch.rsqrt(moments[1] + self.eps).to(wide.dtype)
        if self.weight is not None:
            out = torch.addcmul(self.bias, out, self.weight)
        return _finish(out.to(x.dtype), relu, residual)


def _finish(out: Tensor, relu: bool, residual: Tensor | None) -> Tensor:
    # In place: nothing before has saved `out` for its backward pass.
    if residual is not None:
        out = out.add_(residual) if out.dtype == residual.dtype else out + residual
    return F.relu(out, inplace=True) if relu else out


def _sums(x: Tensor) -> Tensor:
    # Rows, sums, sums of squares, (1 + 2 C,), as wide as can be: the difference of two large sums is taken afterwards.
    wide = x.to(widest_type(x))
    return torch.cat([wide.new_tensor([float(len(x))]), wide.sum(0), (wide**2).sum(0)])


def _sums_native(x: Tensor) -> Tensor:
    if not len(x):
        return x.new_zeros(1 + 2 * x.shape[1], dtype=torch.float64)
    mean, var = native_form.column_moments(x)
    return len(x) * torch.cat([mean.new_ones(1), mean, var + mean**2])


def _total(sums: Tensor) -> Tensor:
    dist.all_reduce(sums)
    return sums
