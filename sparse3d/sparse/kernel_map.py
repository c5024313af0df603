"""Kernel maps: which input voxel each kernel offset brings to which output voxel.

Invariant: for every kernel slot k and every pair (i, o) of its map, ``in[i] = out[o] + offset[k]``, and every such
triple appears exactly once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import torch
from torch import Tensor

from sparse3d.sparse.coordinates import COORD_BITS, MARGIN, CoordinateSet, Triple, pack

Neighbours = Callable[[CoordinateSet, CoordinateSet, Tensor, Triple], Tensor]  # see `neighbours`

# Rows that are gathered, multiplied and scattered at a time on a CPU, so that a block stays in the caches.
_CPU_BLOCK_ROWS = 4096
_TABLE_CELLS = 1 << 24  # of a look-up table over the bounding box: 64 MiB


@dataclass(frozen=True)
class KernelRegion:
    """The offsets of a kernel, in MinkowskiEngine's order: x fastest.

    An axis of odd size has its offsets around the voxel, one of even size from the voxel on; ``from_corner`` has all
    of them from the voxel on (pooling whose kernel is its stride).
    """

    size: Triple
    dilation: Triple = (1, 1, 1)
    from_corner: bool = False

    @property
    def volume(self) -> int:
        """Number of slots."""
        return math.prod(self.size)

    @property
    def symmetric(self) -> bool:
        """Whether slot K-1-k is the opposite of slot k."""
        return all(size % 2 for size in self.size) and (not self.from_corner or self.volume == 1)

    def offsets(self) -> Tensor:
        """(K, 3) int64, dilation included, in units of the finer tensor stride."""
        axes = []
        for size, dilation in zip(self.size, self.dilation, strict=True):
            start = -(size // 2) if size % 2 and not self.from_corner else 0
            axes.append(torch.arange(start, start + size, device="cpu") * dilation)
        z, y, x = torch.meshgrid(*reversed(axes), indexing="ij")
        return torch.stack([x.reshape(-1), y.reshape(-1), z.reshape(-1)], dim=1)


@dataclass(frozen=True)
class KernelMap:
    """Pairs of rows that a kernel connects, as a table or grouped by kernel slot.

    Slot k owns ``in_rows[starts[k]:starts[k + 1]]`` and the same slice of ``out_rows``. Within a slot every output row
    occurs at most once, and so does every input row.
    """

    table: Tensor  # (K, N_out) int32: the input row of each slot and output row, -1 = none
    in_size: int
    identity_slot: int | None  # the slot that maps every row to itself; only where slot K-1-k is the inverse of slot k

    @property
    def slots(self) -> int:
        return self.table.shape[0]

    @property
    def out_size(self) -> int:
        return self.table.shape[1]

    @cached_property
    def _pairs(self) -> tuple[Tensor, Tensor, Tensor]:
        slot, out_rows = torch.nonzero(self.table >= 0, as_tuple=True)
        return slot, self.table[slot, out_rows].to(torch.int64), out_rows

    @property
    def slot_of_pair(self) -> Tensor:
        """(P,) int64, ascending."""
        return self._pairs[0]

    @property
    def in_rows(self) -> Tensor:
        """(P,) int64."""
        return self._pairs[1]

    @property
    def out_rows(self) -> Tensor:
        """(P,) int64."""
        return self._pairs[2]

    @cached_property
    def starts(self) -> list[int]:
        """Where each slot's pairs start, and the number of pairs: K + 1."""
        counts = torch.bincount(self.slot_of_pair, minlength=self.slots)
        return [0, *torch.cumsum(counts, 0).tolist()]

    @cached_property
    def block_rows(self) -> int:
        """Most rows of one of :attr:`blocks`: few on a CPU, all of the fullest slot elsewhere, where large products are
        the fast ones."""
        fullest = max((end - start for start, end in pairwise(self.starts)), default=0)
        return min(fullest, _CPU_BLOCK_ROWS) if self.table.device.type == "cpu" else fullest

    @cached_property
    def blocks(self) -> list[tuple[int, Tensor, Tensor]]:
        """Slot, rows in and rows out of all pairs but those of the identity's slot, ordered by slot."""
        blocks = []
        for slot, (first, last) in enumerate(pairwise(self.starts)):
            if slot != self.identity_slot and first < last:
                pairs = (
                    self.in_rows[first:last].split(self.block_rows),
                    self.out_rows[first:last].split(self.block_rows),
                )
                blocks += [(slot, *rows) for rows in zip(*pairs, strict=True)]
        return blocks

    @cached_property
    def inverse_table(self) -> Tensor:
        """The other way round, (K, N_in) int32: the output row of each slot and input row, -1 = none."""
        if self.identity_slot is not None:
            return self.table.flip(0)
        table = self.table.new_full((self.slots, self.in_size), -1)
        table[self.slot_of_pair, self.in_rows] = self.out_rows.to(torch.int32)
        return table

    @cached_property
    def transposed(self) -> KernelMap:
        """The map of the transposed convolution: same slots, inputs and outputs exchanged."""
        transposed = KernelMap(self.inverse_table, self.out_size, self.identity_slot)
        # Both tables are at hand: neither map computes the other's again. (`cached_property` looks here first.)
        transposed.__dict__["inverse_table"] = self.table
        return transposed


def build_kernel_map(
    source: CoordinateSet,
    target: CoordinateSet,
    region: KernelRegion,
    unit: Triple = (1, 1, 1),
    find: Neighbours | None = None,
) -> KernelMap:
    """Map with ``in = out + offset * unit`` for every offset of the kernel.

    Args:
        source: the input voxels.
        target: the output voxels.
        unit: tensor stride of the input, of which all coordinates are multiples.
        find: by default :func:`neighbours`.

    Raises:
        ValueError: for a kernel that reaches further than the coordinates leave room for, or more voxels than an
            int32 counts.
    """
    if max(len(source), len(target)) >= 2**31:
        raise ValueError(f"{max(len(source), len(target))} voxels in one batch: fewer than 2^31 are possible")
    offsets = spaced_offsets(region, unit).to(target.coords.device)
    rows = (find or neighbours)(source, target, offsets, unit)
    symmetric = source is target and region.symmetric
    return KernelMap(rows, len(source), region.volume // 2 if symmetric else None)


@lru_cache(maxsize=256)  # layers ask for the same few, for every new cloud
def spaced_offsets(region: KernelRegion, unit: Triple) -> Tensor:
    """Offsets (K, 3) int64 of ``region`` in voxels, for a finer tensor stride of ``unit``; on the CPU, not to be
    written to.

    Raises ValueError for a kernel that reaches further than the coordinates leave room for.
    """
    offsets = region.offsets() * torch.tensor(unit, device="cpu")
    reach = int(offsets.abs().max())
    if reach >= MARGIN:
        raise ValueError(
            f"a kernel reaches {reach} voxels, coordinates leave room for {MARGIN - 1}: fewer levels or less dilation"
        )
    return offsets


def neighbours(source: CoordinateSet, target: CoordinateSet, offsets: Tensor, unit: Triple) -> Tensor:
    """Source row at every target voxel plus every offset, (K, N_out) int32, -1 = none.

    Args:
        offsets: (K, 3) int64, of :func:`spaced_offsets`.
        unit: what all coordinates and offsets are multiples of.
    """
    box = table_box(source, target, offsets, unit)
    if box is None:
        return _neighbours_by_search(source, target, offsets)
    return _neighbours_by_table(source, target, offsets, box)


def _neighbours_by_search(source: CoordinateSet, target: CoordinateSet, offsets: Tensor) -> Tensor:
    weights = torch.tensor([1 << (2 * COORD_BITS), 1 << COORD_BITS, 1], device=offsets.device)
    keys, deltas = pack(target.coords), (offsets * weights).sum(dim=1)
    rows = torch.empty(len(offsets), len(target), dtype=torch.int32, device=keys.device)
    for slot, delta in enumerate(deltas):  # one by one: the int64 keys of all slots at once take much memory
        rows[slot] = source.find(keys + delta)
    return rows


@dataclass(frozen=True)
class TableBox:
    """The bounding box of two sets of voxels and a kernel's reach, cell by cell: a look-up table several times faster
    than a search."""

    low: Tensor  # (4,) int64, as the next two: batch index, x, y, z
    scale: Tensor  # what coordinates are multiples of
    place: Tensor  # how far apart neighbours along each of them lie
    cells: int

    def index(self, coords: Tensor) -> Tensor:
        """Cell (N,) int64 of every voxel of ``coords`` (N, 4)."""
        return (torch.div(coords - self.low, self.scale, rounding_mode="floor") * self.place).sum(dim=1)

    def steps(self, offsets: Tensor) -> Tensor:
        """How many cells further each of ``offsets`` (K, 3) leads, (K,) int64."""
        return (torch.div(offsets, self.scale[1:], rounding_mode="floor") * self.place[1:]).sum(dim=1)


def table_box(source: CoordinateSet, target: CoordinateSet, offsets: Tensor, unit: Triple) -> TableBox | None:
    """The box of a table that :func:`neighbours` could use; None where it is too large for one, or empty."""
    if len(source) == 0 or len(target) == 0:
        return None
    reach = torch.cat([offsets.new_zeros(1), offsets.abs().amax(dim=0)])
    low = torch.minimum(source.bounds[0], target.bounds[0]) - reach
    high = torch.maximum(source.bounds[1], target.bounds[1]) + reach
    scale = torch.tensor([1, *unit], device=low.device)
    extent = (torch.div(high - low, scale, rounding_mode="floor") + 1).tolist()
    cells = math.prod(extent)
    if cells > _TABLE_CELLS:
        return None
    place = torch.tensor([math.prod(extent[axis:]) for axis in (1, 2, 3, 4)], device=low.device)
    return TableBox(low, scale, place, cells)


def _neighbours_by_table(source: CoordinateSet, target: CoordinateSet, offsets: Tensor, box: TableBox) -> Tensor:
    device = box.low.device
    cells = torch.full((box.cells,), -1, dtype=torch.int32, device=device)
    cells[box.index(source.coords)] = torch.arange(len(source), dtype=torch.int32, device=device)
    start = box.index(target.coords)
    rows = torch.empty(len(offsets), len(target), dtype=torch.int32, device=device)
    for slot, step in enumerate(box.steps(offsets)):
        torch.index_select(cells, 0, start + step, out=rows[slot])
    return rows
