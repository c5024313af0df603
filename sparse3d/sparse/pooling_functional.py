"""Sums and maxima over the pairs of a kernel map, forward and backward, in plain torch on every device.

All of it goes through the map's table, slot by slot: no list of pairs is made, which would take several times the
table's memory. On a CPU a block of output rows is finished before the next one, so that it stays in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparse3d.sparse.kernel_map import KernelMap
from sparse3d.sparse.precision import sum_type

_BLOCK_ELEMENTS = 1 << 17  # of features; between 1 << 16 and 1 << 20 the time hardly changes


def sum_pool(feats: Tensor, kernel_map: KernelMap, backwards: bool = False) -> Tensor:
    """Sum over the pairs of a map: ``out[o] = sum of feats[i] over pairs (i, o)``, (N_out, C).

    Args:
        feats: (N_in, C), or (N_out, C) with ``backwards``, which exchanges i and o.
    """
    return _SumPool.apply(feats.to(sum_type(feats)), kernel_map, backwards).to(feats.dtype)


def max_pool(feats: Tensor, kernel_map: KernelMap) -> Tensor:
    """Largest value over the pairs of a map, (N_out, C); 0 where there is no pair, NaN where one of them is.

    Of equal values the one of the first slot gets the gradient.
    """
    return _MaxPool.apply(feats, kernel_map)


class _SumPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feats: Tensor, kernel_map: KernelMap, backwards: bool) -> Tensor:
        ctx.kernel_map, ctx.backwards = kernel_map, backwards
        if not backwards:
            return _gathered_sum(feats, kernel_map.table)
        if kernel_map.identity_slot is not None:  # slot K-1-k is the inverse of slot k: nothing to compute
            return _gathered_sum(feats, kernel_map.inverse_table)
        return _scattered_sum(feats, kernel_map)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, None, None]:
        return _SumPool.apply(grad_out, ctx.kernel_map, not ctx.backwards), None, None


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, feats: Tensor, kernel_map: KernelMap) -> Tensor:
        best = feats.new_empty(kernel_map.out_size, feats.shape[1])
        training = ctx.needs_input_grad[0]
        winner = torch.zeros(  # the first slot with the largest value
            best.shape if training else (0, 0),
            dtype=_counting(kernel_map.slots),
            device=feats.device,
        )
        padded = _with_row(feats, -torch.inf)
        for block, rows in _blocks(kernel_map.table, feats):
            values = padded.index_select(0, rows[0])
            for slot in range(1, len(rows)):
                others = padded.index_select(0, rows[slot])
                if training:  # several times faster than to fill the slot in where it wins
                    wins = (others > values).to(winner.dtype).mul_(slot)
                    torch.maximum(winner[block], wins, out=winner[block])
                torch.maximum(values, others, out=values)
            nobody = rows.amin(dim=0) == len(feats)
            best[block] = values.masked_fill_(nobody[:, None], 0)
        ctx.kernel_map = kernel_map
        ctx.save_for_backward(winner)
        return best

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, None]:
        (winner,) = ctx.saved_tensors
        kernel_map: KernelMap = ctx.kernel_map
        grad = grad_out.new_zeros(kernel_map.in_size + 1, grad_out.shape[1], dtype=sum_type(grad_out))
        columns = torch.arange(grad_out.shape[1], device=grad.device)
        for block, rows in _blocks(kernel_map.table, grad[:-1]):
            won = rows.t().gather(1, winner[block].to(torch.int64)).to(torch.int64)
            addends = grad_out[block].to(grad.dtype)
            if grad.is_cpu:  # one thread a column, so always in one order
                grad.scatter_add_(0, won, addends)
            else:  # sorts, so always in one order; scatter_add_ would be atomic
                grad.index_put_((won, columns), addends, accumulate=True)
        return grad[:-1].to(grad_out.dtype), None


def _counting(slots: int) -> torch.dtype:
    """The narrowest type that numbers them."""
    return next(t for t in (torch.uint8, torch.int16, torch.int32) if slots - 1 <= torch.iinfo(t).max)


def _gathered_sum(feats: Tensor, table: Tensor) -> Tensor:
    out = feats.new_zeros(table.shape[1], feats.shape[1])
    padded = _with_row(feats, 0.0)
    for block, rows in _blocks(table, feats):
        for row in rows:
            out[block] += padded.index_select(0, row)
    return out


def _scattered_sum(feats: Tensor, kernel_map: KernelMap) -> Tensor:
    """From output rows to input rows. Within a slot no row occurs twice, so the order of additions is fixed."""
    out = feats.new_zeros(kernel_map.in_size, feats.shape[1])
    for row in kernel_map.table:
        source = torch.nonzero(row >= 0).squeeze(1)
        out.index_add_(0, row[source], feats.index_select(0, source))
    return out


def _with_row(feats: Tensor, value: float) -> Tensor:
    """``feats`` with one more row, which stands for a missing voxel."""
    return torch.cat([feats, feats.new_full((1, feats.shape[1]), value)])


def _blocks(table: Tensor, feats: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of output rows, and the rows of ``feats`` (K, rows) int32 for them: len(feats) where there is none."""
    step = max(1, _BLOCK_ELEMENTS // max(1, feats.shape[1])) if feats.is_cpu else max(1, table.shape[1])
    for start in range(0, table.shape[1], step):
        rows = table[:, start : start + step]
        yield slice(start, start + step), torch.where(rows < 0, len(feats), rows)
