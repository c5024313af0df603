"""The sparse tensor: features of voxels, beside the manager that knows where the voxels are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparse3d.sparse.backend import make_manager
from sparse3d.sparse.manager import CoordinateManager


@dataclass(frozen=True)
class SparseTensor:
    """Features (N, C) of the voxels of one tensor stride. Row order is that of the coordinates given at the start."""

    feats: Tensor
    manager: CoordinateManager
    stride: int = 1
    batch_size: int = 1

    @classmethod
    def from_coords(
        cls, coords: Tensor, feats: Tensor, batch_size: int | None = None, backend: str | None = None
    ) -> SparseTensor:
        """A tensor over new coordinates.

        Args:
            coords: (N, 4) int32, batch index first, every voxel once.
            feats: (N, C) float.
            batch_size: number of clouds, also those without a voxel; by default one more than the largest index.
            backend: overrides the configured backend.

        Raises:
            ValueError: shapes that do not fit, coordinates that are no integers, out of range or given twice.
        """
        if coords.ndim != 2 or coords.shape[1] != 4 or len(coords) != len(feats):
            shapes = f"{tuple(coords.shape)}, {tuple(feats.shape)}"
            raise ValueError(f"coords must be (N, 4) beside N feature rows, got {shapes}")
        if coords.is_floating_point():
            raise ValueError(f"voxel coordinates must be integers, got {coords.dtype}: floor them first")
        clouds = int(coords[:, 0].max()) + 1 if len(coords) else 0
        batch_size = clouds if batch_size is None else batch_size
        if batch_size < clouds:
            raise ValueError(f"batch index {clouds - 1} in a batch of {batch_size}")
        return cls(feats, make_manager(coords, backend), 1, batch_size)

    @property
    def coords(self) -> Tensor:
        """(N, 4) int32, multiples of the tensor stride."""
        return self.manager.coords(self.stride)

    def with_feats(self, feats: Tensor) -> SparseTensor:
        """The same voxels with other features (N, C')."""
        if len(feats) != len(self.feats):
            raise ValueError(f"{len(feats)} feature rows for {len(self.feats)} voxels")
        return SparseTensor(feats, self.manager, self.stride, self.batch_size)

    def __add__(self, other: SparseTensor) -> SparseTensor:
        self._check_same_voxels(other)
        return self.with_feats(self.feats + other.feats)

    def _check_same_voxels(self, other: SparseTensor) -> None:
        if other.manager is not self.manager or other.stride != self.stride:
            raise ValueError("the two tensors do not live on the same voxels (other manager or tensor stride)")


def concatenate(*tensors: SparseTensor) -> SparseTensor:
    """Channels side by side; all tensors must live on the same voxels."""
    first = tensors[0]
    for other in tensors[1:]:
        first._check_same_voxels(other)
    return first.with_feats(torch.cat([t.feats for t in tensors], dim=1))
