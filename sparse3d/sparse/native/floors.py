"""Coarser sets of voxels through the compiled bitmap."""

from __future__ import annotations

import math

import torch

from sparse3d.sparse.coordinates import COORD_BITS, COORD_LIMIT, CoordinateSet, Triple
from sparse3d.sparse.native import library

_MOST_CELLS = 1 << 26  # of the bounding box, a bit each: beyond 8 MiB going through them takes as long as sorting


def native_strided(source: CoordinateSet, stride: Triple) -> CoordinateSet:
    """What :meth:`CoordinateSet.strided` gives; by it where the box is too large, or not on a CPU."""
    coords = source.coords.contiguous()
    if len(source) == 0 or coords.device.type != "cpu" or coords.dtype != torch.int32:
        return source.strided(stride)
    steps = torch.tensor([1, *stride], device=coords.device)
    low, high = (torch.div(bound, steps, rounding_mode="floor") for bound in source.bounds)
    extent = high - low + 1
    inside = int(low[1:].mul(steps[1:]).min()) >= -COORD_LIMIT
    if not inside or math.prod(extent.tolist()) > _MOST_CELLS:
        return source.strided(stride)
    coarse, keys = torch.empty_like(coords), coords.new_empty(len(coords), dtype=torch.int64)
    tensors = (coords, steps, low, extent, coarse, keys)
    found = library.load().sparse3d_floors(*(tensor.data_ptr() for tensor in tensors), len(coords), COORD_BITS)
    if found < 0:
        return source.strided(stride)
    made = CoordinateSet(coarse[:found].clone(), keys[:found].clone(), None)
    made.__dict__["bounds"] = (low * steps, high * steps)  # `cached_property` looks here first
    return made
