"""Convolution layers with the parameter names and shapes of MinkowskiEngine's modules."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from sparse3d.sparse.coordinates import Triple, scaled, triple
from sparse3d.sparse.kernel_map import KernelRegion
from sparse3d.sparse.manager import Connection, CoordinateKey
from sparse3d.sparse.tensor import SparseTensor


class ConvolutionBase(nn.Module):
    """``kernel`` is (K, C_in, C_out), or (C_in, C_out) for kernel size 1 with stride 1; ``bias`` is (1, C_out).

    Args:
        kernel_size: one number, or one for each of x, y and z; K is their product, slots run through x fastest. Odd
            sizes are centred on the voxel, even ones start at it.
        stride: factor between the tensor strides of input and output.
        dilation: distance between the kernel's voxels, in the finer one's tensor stride.

    Raises:
        ValueError: sizes, strides or dilations that are no positive integers.
    """

    transposed: bool = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        dilation: int | Sequence[int] = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.region = KernelRegion(triple(kernel_size, "kernel_size"), triple(dilation, "dilation"))
        self.stride = triple(stride, "stride")
        pointwise = self.region.volume == 1 and self.stride == (1, 1, 1)
        shape = (in_channels, out_channels) if pointwise else (self.region.volume, in_channels, out_channels)
        self.kernel = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(1, out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """MinkowskiEngine's start: uniform in +-1/sqrt(K C_in), C_out in place of C_in when transposed."""
        fan = (self.out_channels if self.transposed else self.in_channels) * self.region.volume
        bound = 1.0 / math.sqrt(fan) if fan else 0.0
        nn.init.uniform_(self.kernel, -bound, bound)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -bound, bound)

    def output_key(self, x: SparseTensor) -> CoordinateKey:
        """The voxels of the output where the caller does not say."""
        raise NotImplementedError

    def connection(self, x: SparseTensor, onto: SparseTensor | None = None) -> Connection:
        """From the voxels of ``x`` to those of the output.

        Raises:
            ValueError: other channels than the layer's, or an ``onto`` of another manager or tensor stride.
        """
        if x.feats.shape[1] != self.kernel.shape[-2]:
            raise ValueError(f"a layer of {self.kernel.shape[-2]} input channels was given {x.feats.shape[1]}")
        if x.feats.device != self.kernel.device:
            raise ValueError(f"the layer is on {self.kernel.device}, its input on {x.feats.device}: move one of them")
        target = self.output_key(x) if onto is None else given_key(x, onto, self.stride, self.transposed)
        if self.kernel.ndim == 2 and target != x.key:
            raise ValueError("a kernel of one voxel stays on the voxels of its input")
        return Connection(x.key, target, self.region, self.transposed)

    def forward(self, x: SparseTensor, onto: SparseTensor | None = None) -> SparseTensor:
        """The convolution of ``x``; ``onto`` asks for the output on that tensor's voxels.

        Raises:
            ValueError: see :meth:`connection`.
        """
        return self.along(x, self.connection(x, onto))

    def along(self, x: SparseTensor, connection: Connection) -> SparseTensor:
        """The convolution of ``x`` through what :meth:`connection` gave for it."""
        return x.at(connection.target, x.manager.convolve(x.feats, self.kernel, self.bias, connection))

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={_short(self.region.size)}"
        text += f", stride={_short(self.stride)}" if self.stride != (1, 1, 1) else ""
        return text + (f", dilation={_short(self.region.dilation)}" if self.region.dilation != (1, 1, 1) else "")


class Convolution(ConvolutionBase):
    """Sparse convolution; with a stride, the output lives on ``floor(c / stride)`` of the input's voxels."""

    def output_key(self, x: SparseTensor) -> CoordinateKey:
        return x.key if self.stride == (1, 1, 1) else x.manager.strided(x.key, self.stride)


class ConvolutionTranspose(ConvolutionBase):
    """Transposed sparse convolution onto the original voxels of the finer stride.

    Where there are none (the tensor was made at a coarse stride), all voxels that the kernel reaches are made.
    """

    transposed = True

    def output_key(self, x: SparseTensor) -> CoordinateKey:
        # A stride of 1 too leads a pruned or generated tensor back to the original voxels, as in MinkowskiEngine.
        return x.key if self.kernel.ndim == 2 else x.manager.upsampled(x.key, self.stride, self.region)


class GenerativeConvolutionTranspose(ConvolutionBase):
    """Transposed sparse convolution that makes every voxel its kernel reaches, whatever was there before."""

    transposed = True

    def output_key(self, x: SparseTensor) -> CoordinateKey:
        return x.key if self.kernel.ndim == 2 else x.manager.generated(x.key, self.stride, self.region)


def given_key(x: SparseTensor, onto: SparseTensor, stride: Triple, transposed: bool) -> CoordinateKey:
    """The voxels of ``onto`` as those of the output of a layer of ``stride`` for ``x``.

    Raises ValueError for another manager, or a tensor stride that the layer does not lead to.
    """
    if onto.manager is not x.manager:
        raise ValueError("`onto` must be computed from the same SparseTensor as the input")
    fine, coarse = (onto, x) if transposed else (x, onto)
    if scaled(fine.tensor_stride, stride) != coarse.tensor_stride:
        raise ValueError(
            f"`onto` has tensor stride {onto.tensor_stride}, which stride {stride} does not lead to "
            f"from {x.tensor_stride}"
        )
    return onto.key


def _short(values: Triple) -> str:
    return str(values[0]) if len(set(values)) == 1 else str(values)
