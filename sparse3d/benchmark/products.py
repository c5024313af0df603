"""The bound: the matrix products of a network's convolutions and nothing else, by torch.mm."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sparse3d.sparse import Convolution, ConvolutionTranspose

_BITS = 20  # a coordinate in a packed key


@dataclass(frozen=True)
class ConvolutionShape:
    """One convolution: its channels, and the pairs of voxels that each kernel slot connects."""

    c_in: int
    c_out: int
    pairs: tuple[int, ...]  # of the slots that connect any
    has_input_gradient: bool

    @property
    def flops(self) -> int:
        """Of the forward pass, a multiplication and an addition counted as two."""
        return 2 * sum(self.pairs) * self.c_in * self.c_out


def convolution_shapes(network: nn.Module, coords: np.ndarray, input_gradient: bool) -> list[ConvolutionShape]:
    """The convolutions of ``network`` in the order that they run in, which must be the order of its modules.

    Kernels and strides must be the same along all axes, without dilation, as those of :mod:`networks` are.

    Args:
        coords: (V, 3) int, the voxels of the input.
        input_gradient: whether the input's features have a gradient.
    """
    levels = {1: np.asarray(coords, dtype=np.int64)}
    counted: dict[tuple[int, int, int], tuple[int, ...]] = {}
    shapes: list[ConvolutionShape] = []
    stride = 1
    for module in network.modules():
        if not isinstance(module, Convolution | ConvolutionTranspose):
            continue
        c_in, c_out = module.kernel.shape[-2:]
        size, step = module.region.size[0], module.stride[0]
        before, stride = stride, stride // step if isinstance(module, ConvolutionTranspose) else stride * step
        fine, coarse = min(before, stride), max(before, stride)
        if coarse not in levels:
            levels[coarse] = np.unique(levels[fine] // coarse * coarse, axis=0)
        key = (fine, coarse, size)
        if key not in counted:
            counted[key] = tuple(p for p in pair_counts(levels[fine], levels[coarse], size, fine) if p)
        shapes.append(ConvolutionShape(c_in, c_out, counted[key], input_gradient or bool(shapes)))
    return shapes


def pair_counts(fine: np.ndarray, coarse: np.ndarray, kernel_size: int, spacing: int) -> list[int]:
    """For each kernel slot, the number of voxels of ``coarse`` (M, 3) that have a neighbour in ``fine`` (N, 3)."""
    start = -(kernel_size // 2) if kernel_size % 2 else 0
    steps = np.arange(start, start + kernel_size) * spacing
    origin = np.minimum(fine.min(0), coarse.min(0)) - kernel_size * spacing
    keys, targets = np.sort(_packed(fine - origin)), np.sort(_packed(coarse - origin))
    counts = []
    for z in steps:
        for y in steps:
            for x in steps:
                wanted = targets + ((x << 2 * _BITS) + (y << _BITS) + z)
                place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
                counts.append(int(np.count_nonzero(keys[place] == wanted)))
    return counts


def _packed(cells: np.ndarray) -> np.ndarray:
    cells = cells.astype(np.int64)
    return (cells[:, 0] << 2 * _BITS) + (cells[:, 1] << _BITS) + cells[:, 2]


class Products:
    """Runs the products; operands lie ready and contiguous, and every product of one kind writes to one buffer."""

    def __init__(self, shapes: list[ConvolutionShape]) -> None:
        self.shapes = shapes
        rows = [(max(s.pairs, default=0), s) for s in shapes]
        widest = max(n * max(s.c_in, s.c_out) for n, s in rows)
        self._left, self._right = torch.rand(widest), torch.rand(widest)
        self._out = torch.empty(max(widest, max(s.c_in * s.c_out for s in shapes)))
        self._weights = [torch.rand(s.c_in, s.c_out) for s in shapes]

    @property
    def flops(self) -> int:
        """Of the forward pass."""
        return sum(shape.flops for shape in self.shapes)

    def forward(self) -> float:
        """Seconds for input times weight, of every slot of every convolution."""
        started = time.perf_counter()
        for shape, weight in zip(self.shapes, self._weights, strict=True):
            for n in shape.pairs:
                torch.mm(_view(self._left, n, shape.c_in), weight, out=_view(self._out, n, shape.c_out))
        return time.perf_counter() - started

    def backward(self) -> float:
        """Seconds for the gradients of inputs (where there is one) and weights."""
        turned = [weight.t().contiguous() for weight in self._weights]
        started = time.perf_counter()
        for shape, weight in zip(reversed(self.shapes), reversed(turned), strict=True):
            for n in shape.pairs:
                grad = _view(self._right, n, shape.c_out)
                if shape.has_input_gradient:
                    torch.mm(grad, weight, out=_view(self._out, n, shape.c_in))
                inputs = _view(self._left, shape.c_in, n)
                torch.mm(inputs, grad, out=_view(self._out, shape.c_in, shape.c_out))
        return time.perf_counter() - started


def _view(buffer: Tensor, rows: int, columns: int) -> Tensor:
    return buffer[: rows * columns].view(rows, columns)
