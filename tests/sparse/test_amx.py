"""Products of bfloat16 in tile registers: those of rounded operands, for every shape and number of threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from convolution_cases import assert_close, operands, some_coords, some_map, through_kernel

from sparse3d.sparse import native
from sparse3d.sparse.native import library


@pytest.fixture(params=["tiles", "vectors"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every test by tiles and by vectors, so that neither is left to the machines that have no other."""
    if not native.available():
        pytest.skip(native.why_not())
    granted = library.load().sparse3d_use_amx(request.param == "tiles")
    if request.param == "tiles" and not granted:
        pytest.skip("no tile registers here")
    yield request.param
    library.load().sparse3d_use_amx(1)


@pytest.mark.parametrize("rows", [1, 15, 17, 33, 1200])
@pytest.mark.parametrize("kernel", [(1, 1), (2, 2), (3, 1), (3, 2)])
@pytest.mark.parametrize(
    "channels", [(1, 17), (3, 1), (4, 20), (17, 100), (32, 32), (64, 48), (100, 3), (33, 31), (300, 16)]
)
def test_tiles_that_are_not_full_hold_nothing_but_zeros(
    rows: int, kernel: tuple[int, int], channels: tuple[int, int]
) -> None:
    """Odd channels, few rows, missing neighbours; forward, transposed and reversed, gradients of weights."""
    kernel_map = some_map(some_coords(rows, 1), *kernel)
    assert_close(kernel_map, operands(kernel_map, rows, channels), "bfloat16")


@pytest.mark.parametrize("channels", [(24, 40), (64, 64), (200, 96)])
@pytest.mark.parametrize(("kernel", "rows"), [(1, 700), (3, 700), (3, 18800)])
def test_bits_do_not_depend_on_the_number_of_threads(channels: tuple[int, int], kernel: int, rows: int) -> None:
    """Inside of a volume blocks of rows lie side by side, which are summed in place; at its faces they do not."""
    coords = torch.cartesian_prod(*(torch.arange(n) for n in (1, 10, 10, rows // 100))).int()
    kernel_map = some_map(coords, kernel, 1)
    values = operands(kernel_map, len(coords), channels)
    before, runs = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3, 1):
            torch.set_num_threads(threads)
            runs.append(through_kernel(kernel_map, values, "bfloat16"))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for run in runs[1:] for a, b in zip(runs[0], run, strict=True))


def test_what_is_not_a_number_stays_with_its_neighbours() -> None:
    """Neither a tile's other rows nor the zeros that fill it are touched."""
    coords = torch.cartesian_prod(torch.arange(1), torch.arange(40), torch.arange(1), torch.arange(1)).int()
    kernel_map = some_map(coords, 3, 1)
    x, kernel, bias, grad = operands(kernel_map, 40, (20, 21))
    x[20, 3], grad[30] = torch.nan, torch.inf
    out, grad_x, grad_kernel, _ = through_kernel(kernel_map, [x, kernel, bias, grad], "bfloat16")
    assert out.isnan().any(dim=1).nonzero().flatten().tolist() == [19, 20, 21]
    assert (~grad_x.isfinite()).any(dim=1).nonzero().flatten().tolist() == [29, 30, 31]
    assert grad_kernel[:, 3].isnan().any() and grad_kernel[0].isfinite().all()


def test_nothing_is_left_in_the_registers_for_other_code() -> None:
    """torch's own tile kernels configure the registers as they like, in between."""
    kernel_map = some_map(some_coords(300, 0), 3, 1)
    values = operands(kernel_map, 300, (40, 40))
    first = through_kernel(kernel_map, values, "bfloat16")
    square = torch.randn(256, 256).bfloat16()
    expected = square.float() @ square.float()
    assert torch.allclose((square @ square).float(), expected, rtol=2e-2, atol=0.5)
    assert all(torch.equal(a, b) for a, b in zip(first, through_kernel(kernel_map, values, "bfloat16"), strict=True))
