"""Kernel maps through the compiled look-up."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse3d.sparse.coordinates import CoordinateSet, Triple
from sparse3d.sparse.kernel_map import neighbours, table_box
from sparse3d.sparse.native import library
from sparse3d.sparse.native.memory import empty_rows


def native_neighbours(source: CoordinateSet, target: CoordinateSet, offsets: Tensor, unit: Triple) -> Tensor:
    """What :func:`sparse3d.sparse.kernel_map.neighbours` gives; by it where there is no table, or not on a CPU."""
    tensors = (source.coords, target.coords)
    box = table_box(source, target, offsets, unit)
    if box is None or any(coords.device.type != "cpu" or coords.dtype != torch.int32 for coords in tensors):
        return neighbours(source, target, offsets, unit)
    found, wanted = (coords.contiguous() for coords in tensors)
    steps, numbers = box.steps(offsets), torch.stack([box.low, box.scale, box.place])
    rows = empty_rows(len(offsets), len(wanted)).view(torch.int32)
    done = library.load().sparse3d_neighbours(
        *(tensor.data_ptr() for tensor in (found, wanted, numbers, steps, rows)),
        len(found),
        len(wanted),
        box.cells,
        len(offsets),
        torch.get_num_threads(),
    )
    return rows if done else neighbours(source, target, offsets, unit)
