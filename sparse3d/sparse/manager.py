"""Who owns the coordinates: one manager a batch of clouds, shared by every tensor computed from it.

A manager keeps coordinate sets and the kernel maps between them, so layers of the same stride share maps, and all of it
is freed with the last tensor that refers to the manager.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from sparse3d.sparse.coordinates import CoordinateSet, Triple, floor_to, scaled
from sparse3d.sparse.functional import multiplied, sparse_convolution
from sparse3d.sparse.kernel_map import KernelMap, KernelRegion, Neighbours, build_kernel_map, neighbours, spaced_offsets


@dataclass(frozen=True)
class CoordinateKey:
    """Name of a coordinate set in its manager.

    Striding stays on a branch; pruning, uniting and generating open a new one. Branch 0 starts from the coordinates
    that were given.
    """

    stride: Triple
    branch: int = 0


class Connection(NamedTuple):
    """Which voxels a kernel connects: from ``source`` to ``target``."""

    source: CoordinateKey
    target: CoordinateKey
    region: KernelRegion
    transposed: bool = False


class Epilogue(NamedTuple):
    """What is made of a convolution's output (N, C) where no gradient is wanted.

    That is ``relu((out - mean) / sqrt(variance + eps) * weight + bias + residual)``, with ``beside`` to its right.
    """

    mean: Tensor  # (C,), as the next three
    variance: Tensor
    weight: Tensor | None
    bias: Tensor | None
    eps: float
    relu: bool = False
    residual: Tensor | None = None  # (N, C)
    over_residual: bool = False  # the result may be written over the residual
    beside: Tensor | None = None  # (N, C')


class CoordinateManager:
    """The portable backend: coordinate sets, kernel maps by look-up, products by torch on every device.

    The other backends inherit the coordinates and put their own maps and products in place of :attr:`neighbours`,
    :attr:`floors`, :meth:`convolve` and :meth:`product`.

    Args:
        coords: (N, 4) integers, batch index first, every voxel once, multiples of ``stride``; copied.
        stride: their tensor stride.
        products: ``float32`` multiplies what it is given, ``bfloat16`` rounds the operands of every product first.

    Raises:
        ValueError: for coordinates out of range or given twice.
    """

    backend = "torch"
    neighbours: Neighbours = staticmethod(neighbours)  # how kernel maps find them
    floors: Callable[[CoordinateSet, Triple], CoordinateSet] = staticmethod(CoordinateSet.strided)

    def __init__(self, coords: Tensor, stride: Triple = (1, 1, 1), products: str = "float32") -> None:
        self.products = products
        self.origin = CoordinateKey(stride)
        self._sets: dict[CoordinateKey, CoordinateSet] = {self.origin: CoordinateSet.build(coords)}
        self._maps: dict[tuple[CoordinateKey, CoordinateKey, KernelRegion], KernelMap] = {}
        self._parents: dict[tuple[CoordinateKey, CoordinateKey], Tensor] = {}
        self._branches = 1

    def coordinates(self, key: CoordinateKey) -> CoordinateSet:
        """The voxels named ``key``."""
        return self._sets[key]

    def insert(self, coordinates: CoordinateSet, stride: Triple) -> CoordinateKey:
        """A new branch that starts with ``coordinates`` at tensor stride ``stride``."""
        key = CoordinateKey(stride, self._branches)
        self._branches += 1
        self._sets[key] = coordinates
        return key

    def strided(self, key: CoordinateKey, stride: Triple) -> CoordinateKey:
        """Where a layer of ``stride`` puts its output: ``floor(c / s) * s``, on the same branch, made once."""
        out = replace(key, stride=scaled(key.stride, stride))
        if out not in self._sets:
            self._sets[out] = self.floors(self._sets[key], out.stride)
        return out

    def upsampled(self, key: CoordinateKey, stride: Triple, region: KernelRegion) -> CoordinateKey:
        """Where a transposed layer puts its output: the original voxels of that stride; if there are none, made ones.

        Raises:
            ValueError: where the tensor stride cannot be divided by ``stride``.
        """
        out = CoordinateKey(self._finer(key, stride))
        if out not in self._sets:
            self._sets[out] = self._generate(key, out.stride, region)
        return out

    def generated(self, key: CoordinateKey, stride: Triple, region: KernelRegion) -> CoordinateKey:
        """Every voxel of the finer stride that a kernel reaches from ``key``'s voxels.

        They become the original voxels of that stride when there were none yet, and open a new branch otherwise.
        """
        finer = self._finer(key, stride)
        original, made = CoordinateKey(finer), self._generate(key, finer, region)
        if original in self._sets:
            return self.insert(made, finer)
        self._sets[original] = made
        return original

    def parents(self, fine: CoordinateKey, coarse: CoordinateKey) -> Tensor:
        """Row (N,) int64 of the voxel of ``coarse`` that holds each voxel of ``fine``, -1 where there is none."""
        if (fine, coarse) not in self._parents:
            corners = floor_to(self._sets[fine].coords, coarse.stride)
            # Looked up as a kernel of one voxel would; nothing there asks for the keys of the voxels it starts from.
            wanted = CoordinateSet(corners, corners.new_empty(0, dtype=torch.int64), None)
            here = corners.new_zeros(1, 3, dtype=torch.int64)
            self._parents[fine, coarse] = self.neighbours(self._sets[coarse], wanted, here, coarse.stride)[0].long()
        return self._parents[fine, coarse]

    def kernel_map(
        self, source: CoordinateKey, target: CoordinateKey, region: KernelRegion, transposed: bool = False
    ) -> KernelMap:
        """Pairs of rows from ``source`` to ``target``; offsets are multiples of the finer one's tensor stride."""
        if transposed:
            return self.kernel_map(target, source, region).transposed
        name = (source, target, region)
        if name not in self._maps:
            found, wanted = self._sets[source], self._sets[target]
            self._maps[name] = build_kernel_map(found, wanted, region, source.stride, self.neighbours)
        return self._maps[name]

    def forget_map(self, connection: Connection) -> None:
        """Let go of a kernel map that no other layer needs; asked for again, it is made again."""
        source, target, region, transposed = connection
        self._maps.pop((target, source, region) if transposed else (source, target, region), None)

    def convolve(self, feats: Tensor, kernel: Tensor, bias: Tensor | None, connection: Connection) -> Tensor:
        """Convolution of ``feats`` (N_in, C_in), living on the source, to (N_out, C_out) on the target.

        Args:
            kernel: (K, C_in, C_out), or (C_in, C_out) for a kernel of one voxel that stays where it is.
            bias: (1, C_out).
        """

        def multiply(feats: Tensor, kernel: Tensor) -> Tensor:
            return feats @ kernel if kernel.ndim == 2 else self.product(feats, kernel, connection)

        out = multiplied(feats, kernel, multiply, self.products)
        return out if bias is None else out + bias

    def convolve_norm(
        self, feats: Tensor, kernel: Tensor, bias: Tensor | None, connection: Connection, epilogue: Epilogue
    ) -> Tensor | None:
        """:meth:`convolve` and ``epilogue`` in one pass over memory, no gradients; None where the backend has none."""
        return None

    def product(self, feats: Tensor, kernel: Tensor, connection: Connection) -> Tensor:
        """The convolution itself, for a kernel (K, C_in, C_out)."""
        return sparse_convolution(feats, kernel, self.kernel_map(*connection))

    def concatenate(self, parts: list[Tensor]) -> Tensor:
        """Rows (N, C_i) side by side, (N, sum of C_i)."""
        return torch.cat(parts, dim=1)

    def batch_index(self, key: CoordinateKey) -> Tensor:
        """Batch index (N,) int64 of every voxel of ``key``."""
        return self._sets[key].coords[:, 0].to(torch.int64)

    def _generate(self, key: CoordinateKey, finer: Triple, region: KernelRegion) -> CoordinateSet:
        return self._sets[key].expanded(spaced_offsets(region, finer))

    @staticmethod
    def _finer(key: CoordinateKey, stride: Triple) -> Triple:
        if any(coarse % step for coarse, step in zip(key.stride, stride, strict=True)):
            raise ValueError(
                f"a transposed layer of stride {stride} needs a tensor stride that it divides, got {key.stride}"
            )
        a, b, c = (coarse // step for coarse, step in zip(key.stride, stride, strict=True))
        return a, b, c
