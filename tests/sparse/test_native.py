"""The compiled convolution: torch's products for every shape, and the same bits for every thread count.

For every slot k and output o with in = table[k][o] >= 0, exactly x[in] @ W[k] is added to the bias in out[o].
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from convolution_cases import assert_close, operands, some_coords, some_map, through_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse3d.sparse import Convolution, SparseTensor, native
from sparse3d.sparse.native import convolution
from sparse3d.sparse.native.convolution import convolve

pytestmark = pytest.mark.skipif(not native.available(), reason=native.why_not())


@settings(max_examples=80, deadline=None)
@given(
    count=st.integers(1, 600),
    c_in=st.integers(1, 150),
    c_out=st.integers(1, 150),
    kernel=st.sampled_from([(1, 1), (1, 2), (2, 2), (3, 1), (3, 2), (5, 1)]),
    seed=st.integers(0, 9),
    products=st.sampled_from(["float32", "bfloat16"]),
)
def test_every_shape_agrees_with_double_precision(
    count: int, c_in: int, c_out: int, kernel: tuple[int, int], seed: int, products: str
) -> None:
    """Channels that are no multiple of the vector, tiles that are not full, one voxel."""
    kernel_map = some_map(some_coords(count, seed), *kernel)
    assert_close(kernel_map, operands(kernel_map, count, (c_in, c_out)), products)


@pytest.mark.parametrize("products", ["float32", "bfloat16"])
@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 1)])
def test_many_rows_agree_with_double_precision(kernel: tuple[int, int], products: str) -> None:
    """Enough of them for the segments of the weight gradient."""
    axes = [torch.arange(2), torch.arange(-25, 25), torch.arange(50), torch.arange(8)]
    coords = torch.cartesian_prod(*axes).int()[::2]
    kernel_map = some_map(coords, *kernel)
    assert_close(kernel_map, operands(kernel_map, len(coords), (5, 21)), products)


@pytest.mark.parametrize("products", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("channels", "kernel", "rows"),
    [
        ((64, 64), 3, 2400),
        ((100, 50), 3, 2400),
        ((3, 24), 3, 2400),
        ((30, 200), 2, 2400),
        ((10, 20), 3, 17200),
        ((64, 30), 1, 17200),
        ((20, 300), 1, 17200),
    ],
)
def test_bits_do_not_depend_on_the_number_of_threads(
    channels: tuple[int, int], kernel: int, rows: int, products: str
) -> None:
    """Nor on the run: one and four threads twice; on few and on many rows."""
    before, runs = torch.get_num_threads(), []
    coords = torch.cartesian_prod(*(torch.arange(n) for n in (1, 20, 20, rows // 400))).int()
    kernel_map = some_map(coords, kernel, 1)
    values = operands(kernel_map, len(coords), channels)
    try:
        for threads in (1, 2, 3, 4, 4, 1):
            torch.set_num_threads(threads)
            runs.append(through_kernel(kernel_map, values, products))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for run in runs[1:] for a, b in zip(runs[0], run, strict=True))


def test_without_a_bias_nothing_is_added_and_gradients_that_nobody_wants_are_not_made() -> None:
    x, kernel = torch.randn(9, 4), torch.randn(4, 6, requires_grad=True)
    out = convolve(x, kernel, None)
    assert torch.allclose(out, x @ kernel, atol=1e-5)
    out.sum().backward()
    assert x.grad is None and kernel.grad is not None
    assert torch.allclose(kernel.grad, x.t() @ torch.ones(9, 6), atol=1e-5)


def test_what_is_not_a_number_stays_with_its_neighbours() -> None:
    """Channels behind the last one, which the vectors hold too, never reach a result."""
    coords = torch.cartesian_prod(torch.arange(1), torch.arange(40), torch.arange(1), torch.arange(1)).int()
    kernel_map = some_map(coords, 3, 1)
    x, kernel, bias, grad = operands(kernel_map, 40, (5, 7))
    x[20, 3], grad[30] = torch.nan, torch.inf
    out, grad_x, grad_kernel, _ = through_kernel(kernel_map, [x, kernel, bias, grad])
    assert out.isnan().any(dim=1).nonzero().flatten().tolist() == [19, 20, 21]
    assert (~grad_x.isfinite()).any(dim=1).nonzero().flatten().tolist() == [29, 30, 31]
    assert grad_kernel[:, 3].isnan().any() and grad_kernel[0].isfinite().all()


def test_rows_that_do_not_lie_side_by_side_in_memory_are_read_right() -> None:
    coords = some_coords(200, 0)
    wide = torch.randn(200, 16)
    layer = Convolution(8, 8, 3)
    strided = layer(SparseTensor.from_coords(coords, wide[:, ::2], backend="native"))
    packed = layer(SparseTensor.from_coords(coords, wide[:, ::2].contiguous(), backend="native"))
    assert torch.equal(strided.feats, packed.feats)
    kernel = torch.randn(8, 6, 27).permute(2, 0, 1)
    values = operands(some_map(coords, 3, 1), 200, (8, 6))
    values[1], values[3] = kernel, torch.ones(1, 1).expand(200, 6)
    assert_close(some_map(coords, 3, 1), values, "float32")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_voxels_no_channels_and_double_precision_take_the_portable_way(dtype: torch.dtype) -> None:
    for rows, c_in, c_out in ((0, 4, 4), (5, 0, 4), (5, 4, 0)):
        layer = Convolution(max(c_in, 1), max(c_out, 1), 3).to(dtype)
        layer.kernel = torch.nn.Parameter(torch.zeros(27, c_in, c_out, dtype=dtype))
        x = SparseTensor.from_coords(some_coords(rows, 0), torch.ones(rows, c_in, dtype=dtype), 2, backend="native")
        assert layer(x).feats.shape == (rows, c_out)
        kernel, bias = torch.ones(c_in, c_out, dtype=dtype), torch.ones(1, c_out, dtype=dtype)
        out = convolve(torch.ones(rows, c_in, dtype=dtype), kernel, None, bias)
        assert out.dtype == dtype and torch.equal(out, torch.full((rows, c_out), c_in + 1.0, dtype=dtype))


@pytest.mark.parametrize("products", ["float32", "bfloat16"])
def test_more_rows_than_the_kernel_counts_take_the_portable_way(products: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise AssertionError("the kernel ran")

    kernel_map = some_map(some_coords(30, 0), 3, 1)
    monkeypatch.setattr(convolution, "_MOST_ROWS", 29)
    monkeypatch.setattr(convolution, "_convolve", refused)
    assert_close(kernel_map, operands(kernel_map, 30, (4, 5)), products)
    assert_close(None, operands(None, 30, (4, 5)), products)


def test_a_kernel_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        convolve(torch.ones(5, 3), torch.ones(4, 2), None)
    with pytest.raises(ValueError, match="does not fit"):
        convolve(torch.ones(5, 3), torch.ones(1, 3, 2), None)
    for size in (1, 3):  # the kernel would read past the first and leave out some of the second
        with pytest.raises(ValueError, match="bias .* does not fit 2 output channels"):
            convolve(torch.ones(5, 3), torch.ones(3, 2), None, torch.ones(1, size))


def test_weights_left_on_another_device_are_an_error_not_an_address_to_read() -> None:
    layer = Convolution(8, 8, 3).to("meta")
    with pytest.raises(ValueError, match="the layer is on meta, its input on cpu"):
        layer(SparseTensor.from_coords(some_coords(20, 0), torch.randn(20, 8), backend="native"))
