"""Who owns the coordinates: one manager a batch of clouds, shared by every tensor computed from it.

A manager keeps one coordinate set a tensor stride and the kernel maps between them, so layers of the same stride share
maps, and all of it is freed with the last tensor that refers to the manager.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from sparse3d.sparse.coordinates import CoordinateSet, KernelMap, build_kernel_map
from sparse3d.sparse.functional import sparse_convolution


class CoordinateManager(ABC):
    """What a backend must be able to do. Tensor strides are in voxels of the input."""

    backend: str

    @abstractmethod
    def coords(self, stride: int) -> Tensor:
        """Coordinates (N, 4) int32 of the voxels of tensor stride ``stride``, in row order."""

    @abstractmethod
    def convolve(
        self,
        feats: Tensor,
        kernel: Tensor,
        stride_in: int,
        kernel_size: int,
        stride: int,
        dilation: int,
        transposed: bool,
    ) -> tuple[Tensor, int]:
        """Convolution of ``feats`` living at ``stride_in``.

        Args:
            kernel: (kernel_size^3, C_in, C_out), or (C_in, C_out) for kernel size 1 with stride 1.

        Returns:
            The output features and their tensor stride, ``stride_in * stride`` or ``stride_in // stride``.
        """

    def batch_index(self, stride: int) -> Tensor:
        """Batch index (N,) int64 of every voxel of ``stride``."""
        return self.coords(stride)[:, 0].to(torch.int64)


class TorchCoordinateManager(CoordinateManager):
    """The portable backend: kernel maps by table look-up or binary search, products by torch."""

    backend = "torch"

    def __init__(self, coords: Tensor) -> None:
        self._sets: dict[int, CoordinateSet] = {1: CoordinateSet.build(coords)}
        self._maps: dict[tuple[int, int, int, int], KernelMap] = {}
        self._transposed: dict[tuple[int, int, int, int], KernelMap] = {}

    def coords(self, stride: int) -> Tensor:
        return self._sets[stride].coords

    def convolve(
        self,
        feats: Tensor,
        kernel: Tensor,
        stride_in: int,
        kernel_size: int,
        stride: int,
        dilation: int,
        transposed: bool,
    ) -> tuple[Tensor, int]:
        if kernel.ndim == 2:
            return feats @ kernel, stride_in
        if not transposed:
            stride_out = stride_in * stride
            if stride_out not in self._sets:
                self._sets[stride_out] = self._sets[stride_in].strided(stride_out)
            kernel_map = self._kernel_map(stride_in, stride_out, kernel_size, dilation)
        else:
            stride_out = stride_in // stride
            if stride_out * stride != stride_in or stride_out not in self._sets:
                raise ValueError(
                    f"no voxels of stride {stride_in}/{stride} to convolve back to: a transposed convolution "
                    "needs the coordinates that a strided one started from"
                )
            kernel_map = self._transposed_map(stride_out, stride_in, kernel_size, dilation)
        return self._product(feats, kernel, kernel_map), stride_out

    def _product(self, feats: Tensor, kernel: Tensor, kernel_map: KernelMap) -> Tensor:
        return sparse_convolution(feats, kernel, kernel_map)

    def _transposed_map(self, fine: int, coarse: int, kernel_size: int, dilation: int) -> KernelMap:
        key = (fine, coarse, kernel_size, dilation)
        if key not in self._transposed:
            self._transposed[key] = self._kernel_map(*key).transposed()
        return self._transposed[key]

    def _kernel_map(self, fine: int, coarse: int, kernel_size: int, dilation: int) -> KernelMap:
        key = (fine, coarse, kernel_size, dilation)
        if key not in self._maps:
            self._maps[key] = build_kernel_map(
                self._sets[fine], self._sets[coarse], kernel_size, spacing=dilation * fine, unit=fine
            )
        return self._maps[key]
