"""The compiled kernel: torch's products for every shape, the same bits for every thread count, safe without compiler.

For every slot k and output o with in = table[k][o] >= 0, exactly x[in] @ W[k] is added to out[o].
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparse3d.errors import InputError
from sparse3d.sparse import Convolution, SparseTensor, configure, native, resolve
from sparse3d.sparse.coordinates import CoordinateSet
from sparse3d.sparse.functional import sparse_convolution
from sparse3d.sparse.kernel_map import KernelRegion, build_kernel_map
from sparse3d.sparse.native import library
from sparse3d.sparse.native.convolution import convolve

pytestmark = pytest.mark.skipif(not native.available(), reason=native.why_not())


def some_coords(count: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randperm(2 * 12**3, generator=generator)[:count]
    return torch.stack([cells // 1728, cells // 144 % 12 - 6, cells // 12 % 12 - 6, cells % 12 - 6], dim=1).int()


def both_ways(
    coords: Tensor, channels: tuple[int, int], kernel_size: int, stride: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Output and both gradients by the native kernel, and in float64 by torch."""
    torch.manual_seed(0)
    source = CoordinateSet.build(coords)
    target = source if stride == 1 else source.strided((stride,) * 3)
    kernel_map = build_kernel_map(source, target, KernelRegion((kernel_size,) * 3))
    x, kernel = torch.randn(len(coords), channels[0]), torch.randn(kernel_size**3, *channels)
    cotangent = torch.randn(len(target), channels[1])
    results = []
    for product, dtype in (
        (convolve, torch.float32),
        (sparse_convolution, torch.float64),
    ):
        a, b = x.to(dtype).requires_grad_(), kernel.to(dtype).requires_grad_()
        out = product(a, b, kernel_map)
        results.append([out.detach(), *torch.autograd.grad(out, (a, b), cotangent.to(dtype))])
    return results[0], results[1]


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 600),
    c_in=st.integers(1, 100),
    c_out=st.integers(1, 100),
    kernel=st.sampled_from([(1, 1), (2, 2), (3, 1), (3, 2), (5, 1)]),
    seed=st.integers(0, 9),
)
def test_every_shape_agrees_with_double_precision(
    count: int, c_in: int, c_out: int, kernel: tuple[int, int], seed: int
) -> None:
    """Channels that are no multiple of the vector, tiles that are not full, one voxel."""
    for found, expected in zip(*both_ways(some_coords(count, seed), (c_in, c_out), *kernel), strict=True):
        scale = expected.abs().max().clamp_min(1e-3)
        assert ((found - expected).abs().max() / scale) < 1e-5


@pytest.mark.parametrize("shape", [(64, 64), (100, 50), (3, 24)])
def test_bits_do_not_depend_on_the_number_of_threads(shape: tuple[int, int]) -> None:
    before, runs = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            runs.append(both_ways(some_coords(2500, 1), shape, 3, 1)[0])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for run in runs[1:] for a, b in zip(runs[0], run, strict=True))


def test_rows_that_do_not_lie_side_by_side_in_memory_are_read_right() -> None:
    coords = some_coords(200, 0)
    wide = torch.randn(200, 16)
    layer = Convolution(8, 8, 3)
    strided = layer(SparseTensor.from_coords(coords, wide[:, ::2], backend="native"))
    packed = layer(SparseTensor.from_coords(coords, wide[:, ::2].contiguous(), backend="native"))
    assert torch.equal(strided.feats, packed.feats)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_voxels_no_channels_and_double_precision_take_the_portable_way(dtype: torch.dtype) -> None:
    for rows, c_in, c_out in ((0, 4, 4), (5, 0, 4), (5, 4, 0)):
        layer = Convolution(max(c_in, 1), max(c_out, 1), 3).to(dtype)
        layer.kernel = torch.nn.Parameter(torch.zeros(27, c_in, c_out, dtype=dtype))
        x = SparseTensor.from_coords(some_coords(rows, 0), torch.ones(rows, c_in, dtype=dtype), 2, backend="native")
        assert layer(x).feats.shape == (rows, c_out)


def test_every_variant_that_this_machine_runs_gives_the_same_within_rounding() -> None:
    """AVX-512, AVX2 and the portable build; each in a process of its own, as torch reads its capability once."""
    if native.variant() != "AVX512":
        pytest.skip(f"this machine runs the {native.variant()} build only")
    script = (
        "import torch; from sparse3d.sparse import *; from sparse3d.sparse import native; torch.manual_seed(0);"
        "c = torch.cartesian_prod(torch.arange(1), torch.arange(9), torch.arange(9), torch.arange(3)).int();"
        "l = Convolution(20, 37, 3); y = l(SparseTensor.from_coords(c, torch.randn(len(c), 20), backend='native'));"
        "y.feats.square().sum().backward(); print(native.variant(), float(y.feats.sum()), float(l.kernel.grad.sum()))"
    )
    told = {}
    for capability in ("avx512", "avx2", "default"):
        environment = os.environ | {"ATEN_CPU_CAPABILITY": capability}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        name, *sums = done.stdout.split()
        told[name] = [float(value) for value in sums]
    assert set(told) == {"AVX512", "AVX2", "portable"}
    for sums in told.values():
        assert sums == pytest.approx(told["portable"], rel=1e-4, abs=1e-3)


def test_without_a_compiler_auto_takes_torch_and_native_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARSE3D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.delenv("SPARSE3D_BACKEND", raising=False)
    for remembered in (library.load, library.why_not):
        remembered.cache_clear()
    try:
        name, reason = resolve(torch.device("cpu"), "auto")
        assert name == "torch" and "no C++ compiler" in reason
        with pytest.raises(InputError, match="no C\\+\\+ compiler") as caught:
            configure("native")
        assert "sparse.backend" in str(caught.value).splitlines()[0]  # gin adds lines of its own, which the tools drop
    finally:
        configure("auto")
        for remembered in (library.load, library.why_not):
            remembered.cache_clear()


def test_a_library_is_built_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSE3D_CACHE", str(tmp_path))
    path = library.build("portable")
    built = path.stat().st_mtime_ns
    assert library.build("portable") == path and path.stat().st_mtime_ns == built
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_failing_compiler_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSE3D_CACHE", str(tmp_path))
    monkeypatch.setattr(library, "FLAGS", (*library.FLAGS, "-no-such-flag"))
    with pytest.raises(native.NativeUnavailableError) as caught:
        library.build("portable")
    assert "\n" not in str(caught.value) and list((tmp_path / "native").iterdir()) == []
