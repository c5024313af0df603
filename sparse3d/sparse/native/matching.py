"""The matching loss of unit embeddings with its gradients as one compiled pass, see ``matching.cpp``.

The formulas are those of :mod:`sparse3d.losses.consistency`, which decides when this form is taken. The bits do not
depend on the number of threads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparse3d.sparse.native import library
from sparse3d.sparse.native.memory import empty_rows

Gradients = tuple[Tensor, ...]


def does(queries: Tensor, keys: Tensor) -> bool:
    """Whether the kernel takes queries (M, d) and keys (K, d): float32 on a CPU, none of the sizes zero."""
    return all(t.device.type == "cpu" and t.dtype == torch.float32 and t.numel() > 0 for t in (queries, keys))


def matching(
    queries: Tensor,
    keys: Tensor,
    scale: Tensor,
    true_key: Tensor,
    true_place: Tensor,
    key_place: Tensor,
    key_xyz: Tensor | None = None,
    near_distance: float = 0.0,
    coordinate_weight: float = 1.0,
    gradients: bool = True,
) -> tuple[Tensor, Tensor, Gradients]:
    """The loss, the share of right answers, and the gradients by queries, keys and scale (or none); see :func:`does`.

    Args:
        queries: (M, d); keys: (K, d).
        scale: one over the softmax's temperature, one element.
        true_key: (M,) int64; true_place: (M, 2); key_place: (K, 2).
        key_xyz: (K, 3); keys closer than ``near_distance`` to a query's true key are no answers to it. None: all are.
        gradients: whether to compute them.

    Raises:
        ValueError: shapes that do not fit.
        IndexError: a true key that is none.
    """
    queries, keys = queries.detach().contiguous(), keys.detach().contiguous()
    count, key_count, channels = len(queries), len(keys), queries.shape[1]
    _check_shapes(queries, keys, true_key, true_place, key_place, key_xyz)
    if int(true_key.min()) < 0 or int(true_key.max()) >= key_count:
        raise IndexError(f"matching: true keys {int(true_key.min())} to {int(true_key.max())}, of {key_count} keys")
    true_key = true_key.long().contiguous()
    true_place, key_place = true_place.float().contiguous(), key_place.float().contiguous()
    xyz = None if key_xyz is None or near_distance <= 0 else key_xyz.detach().float().contiguous()
    kernel, threads = library.load(), torch.get_num_threads()
    memory = empty_rows(1, kernel.sparse3d_match_floats(count, key_count, channels, gradients, threads))
    per_query, results = (queries.new_zeros(shape, dtype=torch.float64) for shape in ((3, count), (3,)))
    grad_queries, grad_keys = (torch.empty_like(queries), torch.empty_like(keys)) if gradients else (None, None)
    inputs = (true_key, true_place, key_place, xyz)
    kernel.sparse3d_match(
        queries.data_ptr(),
        keys.data_ptr(),
        float(scale),
        *(None if t is None else t.data_ptr() for t in inputs),
        near_distance,
        coordinate_weight,
        *(None if t is None else t.data_ptr() for t in (memory, per_query, results, grad_queries, grad_keys)),
        count,
        key_count,
        channels,
        threads,
    )
    loss, share, grad_scale = (result.clone() for result in results.float())
    if grad_queries is None or grad_keys is None:
        return loss, share, ()
    return loss, share, (grad_queries, grad_keys, grad_scale.reshape(scale.shape))


def _check_shapes(
    queries: Tensor, keys: Tensor, true_key: Tensor, true_place: Tensor, key_place: Tensor, key_xyz: Tensor | None
) -> None:
    count, key_count = len(queries), len(keys)
    shapes = [
        (keys, (key_count, queries.shape[1])),
        (true_key, (count,)),
        (true_place, (count, 2)),
        (key_place, (key_count, 2)),
    ]
    if key_xyz is not None:
        shapes.append((key_xyz, (key_count, 3)))
    for tensor, shape in shapes:
        if tuple(tensor.shape) != shape:
            raise ValueError(f"matching: expected shape {shape}, got {tuple(tensor.shape)}")
