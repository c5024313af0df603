"""The library behind the compiled kernels: every variant is right, built once, whole, and safe without a compiler."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sparse3d.compiler import compiler_command
from sparse3d.errors import InputError
from sparse3d.sparse import configure, native, resolve
from sparse3d.sparse.native import library

pytestmark = pytest.mark.skipif(not native.available(), reason=native.why_not())

_LAYER = (
    "import torch; from sparse3d.sparse import *; from sparse3d.sparse import native; torch.manual_seed(0);"
    "c = torch.cartesian_prod(torch.arange(1), torch.arange(9), torch.arange(9), torch.arange(3)).int();"
    "l = Convolution(20, 37, 3); y = l(SparseTensor.from_coords(c, torch.randn(len(c), 20), backend='native'));"
    "y.feats.square().sum().backward(); print(native.variant(), float(y.feats.sum()), float(l.kernel.grad.sum()))"
)


@pytest.fixture
def quick_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and flags under which a build is a matter of a second."""
    monkeypatch.setenv("SPARSE3D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARSE3D_NATIVE_FLAGS", f"{os.environ.get('SPARSE3D_NATIVE_FLAGS', '')} -O0")
    return tmp_path / "cache" / "native"


def test_every_variant_that_this_machine_runs_gives_the_same_within_rounding() -> None:
    """AVX-512, AVX2 and the portable build; each in a process of its own, as torch reads its capability once."""
    if native.variant() != "AVX512":
        pytest.skip(f"this machine runs the {native.variant()} build only")
    told = {}
    for capability in ("avx512", "avx2", "default"):
        environment = os.environ | {"ATEN_CPU_CAPABILITY": capability}
        done = subprocess.run(
            [sys.executable, "-c", _LAYER], env=environment, capture_output=True, text=True, check=True
        )
        name, *sums = done.stdout.split()
        told[name] = [float(value) for value in sums]
    assert set(told) == {"AVX512", "AVX2", "portable"}
    for sums in told.values():
        assert sums == pytest.approx(told["portable"], rel=1e-4, abs=1e-3)


def test_processes_that_start_at_once_on_an_empty_cache_all_compute_and_leave_one_whole_library(
    quick_build: Path,
) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", _LAYER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    told = [process.communicate() for process in started]
    assert all(process.returncode == 0 for process in started), told
    assert len({out for out, _ in told}) == 1
    assert [entry.suffix for entry in quick_build.iterdir()] == [".so"]


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


def test_a_library_is_built_once_and_whole_and_anew_for_other_flags(
    quick_build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = library.build("portable")
    built = path.stat().st_mtime_ns
    assert library.build("portable") == path and path.stat().st_mtime_ns == built
    assert [entry.name for entry in quick_build.iterdir()] == [path.name]
    monkeypatch.setenv("SPARSE3D_NATIVE_FLAGS", f"{os.environ['SPARSE3D_NATIVE_FLAGS']} -DOTHER")
    assert library.build("portable") != path


@pytest.mark.parametrize("damage", ["cut short", "all zeros"])
def test_a_library_that_was_damaged_is_built_anew(quick_build: Path, damage: str) -> None:
    path = library.build("portable")
    whole = path.read_bytes()
    # Aside and renamed: a library that a process has loaded must not change under it.
    (quick_build / "damaged").write_bytes(whole[: len(whole) // 2] if damage == "cut short" else bytes(len(whole)))
    (quick_build / "damaged").rename(path)
    again = library.build("portable")
    assert library.build("portable") == again and again.read_bytes()[:4] == whole[:4]
    ctypes.CDLL(str(again))


@pytest.mark.parametrize("name", ["AVX512", "portable"])
def test_a_compiler_that_does_not_start_is_one_line(
    name: str, quick_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the CPU has bfloat16 products, of which the compiler is asked first."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True, raising=False)
    (tmp_path / "cxx").write_bytes(b"\x7fno program")
    (tmp_path / "cxx").chmod(0o755)
    monkeypatch.setenv("CXX", str(tmp_path / "cxx"))
    with pytest.raises(native.NativeUnavailableError, match="cxx does not start") as caught:
        library.build(name)
    assert "\n" not in str(caught.value)


def test_a_compiler_may_be_started_through_another_program(
    quick_build: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in CXX="ccache g++"."""
    [plain, *_] = compiler_command()
    (tmp_path / "through").write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/started\nexec "$@"\n')
    (tmp_path / "through").chmod(0o755)
    monkeypatch.setenv("CXX", f"'{tmp_path}/through' {plain}")
    ctypes.CDLL(str(library.build("portable")))
    assert set((tmp_path / "started").read_text().split()) == {plain}


def test_a_failing_compiler_is_one_line(quick_build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSE3D_NATIVE_FLAGS", "-no-such-flag")
    with pytest.raises(native.NativeUnavailableError) as caught:
        library.build("portable")
    assert "\n" not in str(caught.value) and list(quick_build.iterdir()) == []


def test_an_empty_variable_is_an_unset_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSE3D_BACKEND", "")
    assert configure() == "auto"
    code = "from sparse3d.sparse import backend; print(backend._configured)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "auto\n"


def test_a_backend_that_is_not_there_is_named_where_it_is_first_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by the environment variable alone, which nobody checks before."""
    monkeypatch.setattr("sparse3d.sparse.minkowski_import.available", lambda: False)
    monkeypatch.setattr("sparse3d.sparse.minkowski_import.why_not", lambda: "it is not installed")
    with pytest.raises(InputError, match="sparse.backend = 'minkowski': it is not installed"):
        resolve(torch.device("cpu"), "minkowski")
    monkeypatch.setattr("sparse3d.sparse.minkowski_import.available", lambda: True)
    monkeypatch.setattr("sparse3d.sparse.minkowski_import.has_cuda", lambda: False)
    assert resolve(torch.device("cpu"), "minkowski") == ("minkowski", "as configured")
    with pytest.raises(InputError, match="MinkowskiEngine is built without CUDA here, and the network is on cuda:0"):
        resolve(torch.device("cuda:0"), "minkowski")
