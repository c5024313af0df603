"""Voxel coordinates as sorted 64-bit keys: sets of them, and the sets made from sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

# 63 bits: 12 of batch index, 17 of each coordinate, so that key(c) + key_delta(offset) never borrows across fields
# for the offsets of a kernel that stay inside the guarded range.
COORD_BITS = 17
_BATCH_BITS = 12
_HALF = 1 << (COORD_BITS - 1)
MARGIN = 1 << 10  # how far a kernel may reach beyond the guarded range
MAX_BATCH = 1 << _BATCH_BITS
COORD_LIMIT = _HALF - MARGIN

Triple = tuple[int, int, int]


def triple(value: int | Sequence[int], what: str) -> Triple:
    """One number for all axes, or three; raises ValueError unless all are positive integers."""
    values = (value,) * 3 if isinstance(value, int) else tuple(value)
    if len(values) != 3 or not all(isinstance(v, int) and v > 0 for v in values):
        raise ValueError(f"{what} must be a positive integer or three of them, got {value!r}")
    return values[0], values[1], values[2]


def scaled(a: Triple, b: Triple) -> Triple:
    """The product of each axis."""
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]


def check_range(coords: Tensor) -> None:
    """Raise ValueError where ``coords`` (N, 4) does not fit the packed key."""
    if len(coords) == 0:
        return
    columns = coords.t().contiguous()
    low, high = columns.amin(dim=1).tolist(), columns.amax(dim=1).tolist()
    if low[0] < 0 or high[0] >= MAX_BATCH:
        raise ValueError(f"batch indices must lie in [0, {MAX_BATCH}), got [{low[0]}, {high[0]}]: use smaller batches")
    if min(low[1:]) < -COORD_LIMIT or max(high[1:]) > COORD_LIMIT:
        raise ValueError(
            f"voxel coordinates must lie in [-{COORD_LIMIT}, {COORD_LIMIT}], got {low[1:]} to {high[1:]}: "
            "shift the cloud towards the origin or use larger voxels"
        )


def pack(coords: Tensor) -> Tensor:
    """Keys (N,) int64 of ``coords`` (N, 4); the order of keys is the lexicographic order of rows."""
    c = coords.to(torch.int64)
    key = c[:, 0]
    for axis in (1, 2, 3):
        key = (key << COORD_BITS) + (c[:, axis] + _HALF)
    return key


def unpack(keys: Tensor) -> Tensor:
    """Inverse of :func:`pack`, (N, 4) int32."""
    mask = (1 << COORD_BITS) - 1
    columns = [keys >> (3 * COORD_BITS)]
    columns += [((keys >> shift) & mask) - _HALF for shift in (2 * COORD_BITS, COORD_BITS, 0)]
    return torch.stack(columns, dim=1).to(torch.int32)


@dataclass(frozen=True)
class CoordinateSet:
    """Occupied voxels of one tensor stride: rows in the caller's order, beside their sorted keys; not written to."""

    coords: Tensor  # (N, 4) int32
    sorted_keys: Tensor  # (N,) int64
    order: Tensor | None  # (N,) int64: row of each sorted key; None when the rows are sorted already

    @classmethod
    def build(cls, coords: Tensor) -> CoordinateSet:
        """The set of ``coords`` (N, 4), integers of any width, which are copied.

        Raises ValueError for coordinates out of range or given twice.
        """
        check_range(coords)
        # A copy: what is known of the set is kept, and nobody else may change the rows that it was known of.
        coords = coords.to(torch.int32, copy=True, memory_format=torch.contiguous_format)
        keys = pack(coords)
        if bool((keys[1:] > keys[:-1]).all()):
            return cls(coords, keys, None)
        sorted_keys, order = keys.sort()
        if bool((sorted_keys[1:] == sorted_keys[:-1]).any()):
            raise ValueError("two rows have the same voxel coordinates: voxelize the points first")
        return cls(coords, sorted_keys, order)

    def __len__(self) -> int:
        return len(self.coords)

    @cached_property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """Lowest and highest batch index, x, y and z: (4,) int64 each. There must be a voxel."""
        columns = self.coords.t().contiguous()  # along rows of four the search is several times slower
        return columns.amin(dim=1).to(torch.int64), columns.amax(dim=1).to(torch.int64)

    def find(self, keys: Tensor) -> Tensor:
        """Row of each key, -1 where there is none; any shape."""
        if len(self) == 0:
            return torch.full_like(keys, -1)
        place = torch.searchsorted(self.sorted_keys, keys).clamp_(max=len(self) - 1)
        found = self.sorted_keys[place] == keys
        rows = place if self.order is None else self.order[place]
        return torch.where(found, rows, -1)

    @classmethod
    def of_keys(cls, keys: Tensor) -> CoordinateSet:
        """The set of the voxels ``keys`` (any number of times each), sorted."""
        keys = torch.unique(keys, sorted=True)
        return cls(unpack(keys), keys, None)

    def strided(self, stride: Triple) -> CoordinateSet:
        """The set of ``floor(c / stride) * stride``, sorted; floors for negative coordinates too.

        Raises ValueError where a floor leaves the guarded range.
        """
        floors = floor_to(self.coords, stride)
        check_range(floors)
        return CoordinateSet.of_keys(pack(floors))

    def expanded(self, offsets: Tensor) -> CoordinateSet:
        """The set of all voxels plus all ``offsets`` (K, 3), sorted.

        Raises ValueError where that leaves the guarded range.
        """
        moved = self.coords[:, None, 1:] + offsets.to(self.coords)
        batch = self.coords[:, None, :1].expand(-1, len(offsets), -1)
        everywhere = torch.cat([batch, moved], dim=2).reshape(-1, 4)
        check_range(everywhere)
        return CoordinateSet.of_keys(pack(everywhere))

    def subset(self, rows: Tensor) -> CoordinateSet:
        """The voxels of ``rows``, in that order."""
        return CoordinateSet.build(self.coords[rows])

    def union(self, other: CoordinateSet) -> CoordinateSet:
        """The voxels of both, sorted."""
        return CoordinateSet.of_keys(torch.cat([self.sorted_keys, other.sorted_keys]))

    def rows_of(self, coords: Tensor) -> Tensor:
        """Row of each voxel of ``coords`` (..., 4), -1 where there is none, also beyond the packed range."""
        flat = coords.reshape(-1, 4)
        spatial, batch = flat[:, 1:], flat[:, 0]
        inside = ((spatial >= -_HALF) & (spatial < _HALF)).all(dim=1) & (batch >= 0) & (batch < MAX_BATCH)
        rows = self.find(pack(torch.where(inside[:, None], flat, 0)))
        return torch.where(inside, rows, -1).reshape(coords.shape[:-1])


def floor_to(coords: Tensor, stride: Triple) -> Tensor:
    """``coords`` (N, 4) floored to multiples of ``stride``, the batch index left alone."""
    steps = torch.tensor(stride, dtype=coords.dtype, device=coords.device)
    floored = torch.div(coords[:, 1:], steps, rounding_mode="floor") * steps
    return torch.cat([coords[:, :1], floored], dim=1)
