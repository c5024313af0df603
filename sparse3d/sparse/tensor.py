"""The sparse tensor: features of voxels, beside the manager that knows where the voxels are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse3d.sparse.backend import make_manager
from sparse3d.sparse.coordinates import CoordinateSet, Triple, triple
from sparse3d.sparse.manager import CoordinateKey, CoordinateManager


@dataclass(frozen=True)
class SparseTensor:
    """Features (N, C) of voxels. Row order is that of the coordinates given at the start."""

    feats: Tensor
    manager: CoordinateManager
    key: CoordinateKey
    batch_size: int = 1

    @classmethod
    def from_coords(
        cls,
        coords: Tensor,
        feats: Tensor,
        batch_size: int | None = None,
        backend: str | None = None,
        tensor_stride: int | Sequence[int] = 1,
    ) -> SparseTensor:
        """A tensor over new coordinates.

        Args:
            coords: (N, 4) integers, batch index first, every voxel once; copied.
            feats: (N, C) float.
            batch_size: number of clouds, also those without a voxel; by default one more than the largest index.
            backend: overrides the configured backend.
            tensor_stride: distance between neighbouring voxels, of which all coordinates must be multiples.

        Raises:
            ValueError: shapes that do not fit, coordinates that are no integers, out of range, off the stride's
                lattice or given twice.
        """
        if coords.ndim != 2 or coords.shape[1] != 4 or feats.ndim != 2 or len(coords) != len(feats):
            shapes = f"{tuple(coords.shape)}, {tuple(feats.shape)}"
            raise ValueError(f"coords must be (N, 4) beside (N, C) features, got {shapes}")
        if coords.is_floating_point():
            raise ValueError(f"voxel coordinates must be integers, got {coords.dtype}: floor them first")
        clouds = int(coords[:, 0].max()) + 1 if len(coords) else 0
        batch_size = clouds if batch_size is None else batch_size
        if batch_size < clouds:
            raise ValueError(f"batch index {clouds - 1} in a batch of {batch_size}")
        stride = triple(tensor_stride, "tensor_stride")
        if stride != (1, 1, 1) and bool((coords[:, 1:] % torch.tensor(stride, device=coords.device)).any()):
            raise ValueError(f"coordinates must be multiples of the tensor stride {stride}")
        manager = make_manager(coords, backend, stride)
        return cls(feats, manager, manager.origin, batch_size)

    @property
    def coords(self) -> Tensor:
        """(N, 4) int32, multiples of the tensor stride; a copy, made anew each time."""
        return self.manager.coordinates(self.key).coords.clone()

    @property
    def tensor_stride(self) -> Triple:
        """Distance between neighbouring voxels along x, y and z, in voxels of the input."""
        return self.key.stride

    @property
    def batch_index(self) -> Tensor:
        """Batch index (N,) int64 of every voxel."""
        return self.manager.batch_index(self.key)

    def __len__(self) -> int:
        return len(self.feats)

    def with_feats(self, feats: Tensor) -> SparseTensor:
        """The same voxels with other features (N, C')."""
        return self.at(self.key, feats)

    def at(self, key: CoordinateKey, feats: Tensor) -> SparseTensor:
        """Other voxels of the same manager, with their features."""
        if len(feats) != len(self.manager.coordinates(key)):
            raise ValueError(f"{len(feats)} feature rows for {len(self.manager.coordinates(key))} voxels")
        return SparseTensor(feats, self.manager, key, self.batch_size)

    def __add__(self, other: SparseTensor) -> SparseTensor:
        return self._combined(other, torch.add)

    def __sub__(self, other: SparseTensor) -> SparseTensor:
        return self._combined(other, torch.sub)

    def __mul__(self, other: SparseTensor) -> SparseTensor:
        return self._combined(other, torch.mul)

    def _combined(self, other: SparseTensor, operation: Callable[[Tensor, Tensor], Tensor]) -> SparseTensor:
        """Row by row on the same voxels; else over the union of the voxels, on which a missing one counts 0."""
        self._check_manager(other)
        if other.key == self.key:
            return self.with_feats(operation(self.feats, other.feats))
        if other.tensor_stride != self.tensor_stride:
            raise ValueError(f"tensor strides {self.tensor_stride} and {other.tensor_stride} cannot be united")
        union = self.manager.coordinates(self.key).union(self.manager.coordinates(other.key))
        key = self.manager.insert(union, self.tensor_stride)
        return self.at(key, operation(_spread(self, union), _spread(other, union)))

    def check_same_voxels(self, other: SparseTensor, key: CoordinateKey | None = None) -> None:
        """Raises ValueError unless row i of both tensors is the same voxel; of what this one becomes at ``key``."""
        self._check_manager(other)
        if other.key != (key or self.key):
            raise ValueError("the two tensors do not live on the same voxels; a + b takes the union of theirs")

    def _check_manager(self, other: SparseTensor) -> None:
        if other.manager is not self.manager:
            raise ValueError("the two tensors were not computed from the same SparseTensor (other coordinate manager)")


def _spread(x: SparseTensor, over: CoordinateSet) -> Tensor:
    """The features of ``x`` as rows of ``over``, which has all its voxels; 0 elsewhere."""
    wide = x.feats.new_zeros(len(over), x.feats.shape[1])
    return wide.index_copy(0, over.rows_of(x.manager.coordinates(x.key).coords), x.feats)


def concatenate(*tensors: SparseTensor) -> SparseTensor:
    """Channels side by side; all tensors must live on the same voxels."""
    first = tensors[0]
    for other in tensors[1:]:
        first.check_same_voxels(other)
    return first.with_feats(first.manager.concatenate([t.feats for t in tensors]))
