"""Voxel coordinates as sorted 64-bit keys, and the kernel maps between coordinate sets.

Invariant: for every kernel slot k and every pair (i, o) of its map, ``in[i] = out[o] + offset[k]``, and every such
triple appears exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

# 63 bits: 12 of batch index, 17 of each coordinate, so that key(c) + key_delta(offset) never borrows across fields
# for the offsets of a kernel that stay inside the guarded range.
_COORD_BITS = 17
_BATCH_BITS = 12
_HALF = 1 << (_COORD_BITS - 1)
_MARGIN = 1 << 10
_TABLE_CELLS = 1 << 24  # of a look-up table over the bounding box: 64 MiB
MAX_BATCH = 1 << _BATCH_BITS
COORD_LIMIT = _HALF - _MARGIN


def check_range(coords: Tensor) -> None:
    """Raise ValueError where ``coords`` (N, 4) does not fit the packed key."""
    if len(coords) == 0:
        return
    low, high = coords.amin(dim=0).tolist(), coords.amax(dim=0).tolist()
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
        key = (key << _COORD_BITS) + (c[:, axis] + _HALF)
    return key


def unpack(keys: Tensor) -> Tensor:
    """Inverse of :func:`pack`, (N, 4) int32."""
    mask = (1 << _COORD_BITS) - 1
    columns = [keys >> (3 * _COORD_BITS)]
    columns += [((keys >> shift) & mask) - _HALF for shift in (2 * _COORD_BITS, _COORD_BITS, 0)]
    return torch.stack(columns, dim=1).to(torch.int32)


def kernel_offsets(kernel_size: int) -> Tensor:
    """Offsets (K^3, 3) int64 in MinkowskiEngine's order: x fastest; odd sizes centred, even ones from 0."""
    start = -(kernel_size // 2) if kernel_size % 2 else 0
    steps = torch.arange(start, start + kernel_size)
    z, y, x = torch.meshgrid(steps, steps, steps, indexing="ij")
    return torch.stack([x.reshape(-1), y.reshape(-1), z.reshape(-1)], dim=1)


@dataclass(frozen=True)
class CoordinateSet:
    """Occupied voxels of one tensor stride: rows in the caller's order, beside their sorted keys."""

    coords: Tensor  # (N, 4) int32
    sorted_keys: Tensor  # (N,) int64
    order: Tensor | None  # (N,) int64: row of each sorted key; None when the rows are sorted already

    @classmethod
    def build(cls, coords: Tensor) -> CoordinateSet:
        """Raises ValueError for coordinates out of range or given twice."""
        check_range(coords)
        keys = pack(coords)
        if bool((keys[1:] > keys[:-1]).all()):
            return cls(coords, keys, None)
        sorted_keys, order = keys.sort()
        if bool((sorted_keys[1:] == sorted_keys[:-1]).any()):
            raise ValueError("two rows have the same voxel coordinates: voxelize the points first")
        return cls(coords, sorted_keys, order)

    def __len__(self) -> int:
        return len(self.coords)

    def find(self, keys: Tensor) -> Tensor:
        """Row of each key, -1 where there is none; any shape."""
        if len(self) == 0:
            return torch.full_like(keys, -1)
        place = torch.searchsorted(self.sorted_keys, keys).clamp_(max=len(self) - 1)
        found = self.sorted_keys[place] == keys
        rows = place if self.order is None else self.order[place]
        return torch.where(found, rows, -1)

    def strided(self, stride: int) -> CoordinateSet:
        """The set of ``floor(c / stride) * stride``, sorted; floors for negative coordinates too."""
        coarse = self.coords.clone()
        coarse[:, 1:] = torch.div(self.coords[:, 1:], stride, rounding_mode="floor") * stride
        keys = torch.unique(pack(coarse), sorted=True)
        return CoordinateSet(unpack(keys), keys, None)


@dataclass(frozen=True)
class KernelMap:
    """Pairs of rows that a kernel connects, grouped by kernel slot.

    Slot k owns ``in_rows[starts[k]:starts[k + 1]]`` and the same slice of ``out_rows``. Within a slot every output row
    occurs at most once, and so does every input row.
    """

    in_rows: Tensor  # (P,) int64
    out_rows: Tensor  # (P,) int64
    starts: list[int]  # K^3 + 1
    in_size: int
    out_size: int
    identity_slot: int | None  # the slot that maps every row to itself, in order

    @cached_property
    def table(self) -> Tensor:
        """The map as a table (K^3, N_out) int32: the input row of each slot and output row, -1 = none."""
        return self._as_table(self.in_rows, self.out_rows, self.out_size)

    @cached_property
    def inverse_table(self) -> Tensor:
        """The other way round, (K^3, N_in) int32: the output row of each slot and input row, -1 = none."""
        return self._as_table(self.out_rows, self.in_rows, self.in_size)

    def _as_table(self, values: Tensor, at: Tensor, size: int) -> Tensor:
        slots = len(self.starts) - 1
        table = torch.full((slots, size), -1, dtype=torch.int32, device=values.device)
        counts = torch.diff(torch.tensor(self.starts, device=values.device))
        slot = torch.repeat_interleave(torch.arange(slots, device=values.device), counts)
        table[slot, at] = values.to(torch.int32)
        return table

    def transposed(self) -> KernelMap:
        """The map of the transposed convolution: same slots, inputs and outputs exchanged."""
        return KernelMap(self.out_rows, self.in_rows, self.starts, self.out_size, self.in_size, self.identity_slot)


def build_kernel_map(
    source: CoordinateSet, target: CoordinateSet, kernel_size: int, spacing: int, unit: int = 1
) -> KernelMap:
    """Map with ``in = out + offset * spacing`` for every offset of the kernel.

    Args:
        source: the input voxels.
        target: the output voxels.
        spacing: dilation x tensor stride of the input.
        unit: all coordinates and ``spacing`` are multiples of it (the input's tensor stride); it only saves memory.
    """
    offsets = kernel_offsets(kernel_size).to(target.coords.device) * spacing
    slots = len(offsets)
    reach = int(offsets.abs().max()) if slots else 0
    if reach >= _MARGIN:
        raise ValueError(
            f"a kernel reaches {reach} voxels, coordinates leave room for {_MARGIN - 1}: fewer levels or less dilation"
        )
    same = source is target and kernel_size % 2 == 1
    if same:
        # On one set the map is symmetric: slot K-1-k holds slot k's pairs with the roles exchanged.
        offsets = offsets[: slots // 2]
    rows = _neighbours_by_table(source, target, offsets, unit)
    if rows is None:
        rows = _neighbours_by_search(source, target, offsets)
    slot, out_rows = torch.nonzero(rows >= 0, as_tuple=True)
    in_rows = rows[slot, out_rows].to(torch.int64)
    counts = torch.bincount(slot, minlength=rows.shape[0])
    if same:
        in_rows, out_rows, counts = _complete_by_symmetry(in_rows, out_rows, counts, len(source))
    starts = [0, *torch.cumsum(counts, 0).tolist()]
    return KernelMap(in_rows, out_rows, starts, len(source), len(target), slots // 2 if same else None)


def _neighbours_by_search(source: CoordinateSet, target: CoordinateSet, offsets: Tensor) -> Tensor:
    """Source row at every target voxel plus every offset, (K, N_out), -1 = none; by binary search."""
    weights = torch.tensor([1 << (2 * _COORD_BITS), 1 << _COORD_BITS, 1], device=offsets.device)
    deltas = (offsets * weights).sum(dim=1)
    return source.find(pack(target.coords)[None, :] + deltas[:, None])


def _neighbours_by_table(source: CoordinateSet, target: CoordinateSet, offsets: Tensor, unit: int) -> Tensor | None:
    """The same by a table over the bounding box, several times faster; None where the box is too large for one."""
    if len(source) == 0 or len(target) == 0 or len(offsets) == 0:
        return None
    found, wanted = source.coords.to(torch.int64), target.coords.to(torch.int64)
    reach = offsets.abs().amax(dim=0)
    zero = reach.new_zeros(1)
    low = torch.minimum(found.amin(dim=0), wanted.amin(dim=0)) - torch.cat([zero, reach])
    high = torch.maximum(found.amax(dim=0), wanted.amax(dim=0)) + torch.cat([zero, reach])
    scale = torch.tensor([1, unit, unit, unit], device=low.device)
    extent = torch.div(high - low, scale, rounding_mode="floor") + 1
    batches, nx, ny, nz = extent.tolist()
    if batches * nx * ny * nz > _TABLE_CELLS:
        return None
    place = torch.tensor([nx * ny * nz, ny * nz, nz, 1], device=low.device)
    table = torch.full((batches * nx * ny * nz,), -1, dtype=torch.int32, device=low.device)
    rows = torch.arange(len(source), dtype=torch.int32, device=low.device)
    table[(torch.div(found - low, scale, rounding_mode="floor") * place).sum(dim=1)] = rows
    start = (torch.div(wanted - low, scale, rounding_mode="floor") * place).sum(dim=1)
    steps = (torch.div(offsets, unit, rounding_mode="floor") * place[1:]).sum(dim=1)
    return table[start[None, :] + steps[:, None]]


def _complete_by_symmetry(
    in_rows: Tensor, out_rows: Tensor, counts: Tensor, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Slots 0..h-1 of a centred kernel -> all 2h + 1 slots (mirrored slots in reverse order)."""
    pieces_in, pieces_out = in_rows.split(counts.tolist()), out_rows.split(counts.tolist())
    identity = torch.arange(size, device=in_rows.device)
    mirrored_in, mirrored_out = pieces_out[::-1], pieces_in[::-1]
    all_counts = torch.cat([counts, counts.new_tensor([size]), counts.flip(0)])
    return (
        torch.cat([*pieces_in, identity, *mirrored_in]),
        torch.cat([*pieces_out, identity, *mirrored_out]),
        all_counts,
    )
