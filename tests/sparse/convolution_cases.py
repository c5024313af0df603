"""Convolutions for the tests of the compiled kernels: operands, results, and what they must be."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse3d.sparse.coordinates import CoordinateSet
from sparse3d.sparse.functional import sparse_convolution
from sparse3d.sparse.kernel_map import KernelMap, KernelRegion, build_kernel_map
from sparse3d.sparse.native.convolution import convolve


def some_coords(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randperm(2 * 12**3, generator=generator)[:count]
    return torch.stack([cells // 1728, cells // 144 % 12 - 6, cells // 12 % 12 - 6, cells % 12 - 6], dim=1).int()


def some_map(coords: Tensor, kernel_size: int, stride: int) -> KernelMap | None:
    """None for a kernel of one voxel that stays where it is."""
    if kernel_size == stride == 1:
        return None
    source = CoordinateSet.build(coords)
    target = source if stride == 1 else source.strided((stride,) * 3)
    return build_kernel_map(source, target, KernelRegion((kernel_size,) * 3))


def operands(kernel_map: KernelMap | None, rows: int, channels: tuple[int, int]) -> list[Tensor]:
    """Features, kernel, bias and the gradient of the output."""
    torch.manual_seed(0)
    slots = () if kernel_map is None else (kernel_map.slots,)
    rows_out = rows if kernel_map is None else kernel_map.out_size
    return [
        torch.randn(rows, channels[0]),
        torch.randn(*slots, *channels),
        torch.randn(1, channels[1]),
        torch.randn(rows_out, channels[1]),
    ]


def through_kernel(kernel_map: KernelMap | None, given: list[Tensor], products: str = "float32") -> list[Tensor]:
    """The output and the gradients of features, kernel and bias."""
    leaves = [tensor.clone().requires_grad_() for tensor in given[:3]]
    out = convolve(leaves[0], leaves[1], kernel_map, leaves[2], products)
    return [out.detach(), *torch.autograd.grad(out, leaves, given[3])]


def by_definition(kernel_map: KernelMap | None, x: Tensor, kernel: Tensor, bias: Tensor, grad: Tensor) -> list[Tensor]:
    """The same in float64 by torch."""
    x, kernel = x.double().requires_grad_(), kernel.double().requires_grad_()
    out = x @ kernel if kernel_map is None else sparse_convolution(x, kernel, kernel_map)
    grads = torch.autograd.grad(out, (x, kernel), grad.double())
    return [out.detach() + bias.double(), *grads, grad.double().sum(dim=0, keepdim=True)]


def assert_close(kernel_map: KernelMap | None, given: list[Tensor], products: str) -> None:
    """Every number within rounding of float32 sums: in proportion to the sum of the magnitudes of its terms."""
    found = through_kernel(kernel_map, given, products)
    x, kernel, bias, grad = given
    if products == "bfloat16":
        x, kernel, rounded = (tensor.bfloat16().float() for tensor in (x, kernel, grad))
    else:
        rounded = grad
    expected = by_definition(kernel_map, x, kernel, bias, rounded)
    expected[3] = grad.double().sum(dim=0, keepdim=True)  # a bias has no product to round
    sizes = by_definition(kernel_map, x.abs(), kernel.abs(), bias.abs(), grad.abs())
    for one, other, size in zip(found, expected, sizes, strict=True):
        assert one.shape == other.shape
        assert ((one - other).abs() <= 1e-5 * size + 1e-30).all()
