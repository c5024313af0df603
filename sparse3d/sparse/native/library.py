"""The compiled library of the native backend: built on first use, in seconds, into the user's cache.

Every ``*.cpp`` of this folder goes into it. Its file name holds a hash of the sources, the flags and the compiler, so a
stale library is never loaded, and one of its own content, so neither is one that was cut short: loading that may end
the process. It is written under a temporary name and renamed, so processes that start at once at worst build it twice.
The interface is plain C through ctypes: nothing of torch's headers is compiled, so one build
takes seconds and serves every version of torch.

``SPARSE3D_NATIVE_FLAGS`` adds flags for the compiler, and they enter the hash: `make sanitize` runs the tests of the
kernels under the address and undefined-behaviour sanitizers that way.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import torch

from sparse3d.cache_folder import cache_root
from sparse3d.compiler import NoCompilerError, compiler_command

FOLDER = Path(__file__).parent
FLAGS = ("-std=c++17", "-O3", "-ffp-contract=fast", "-fopenmp", "-fPIC")
# The instruction set that torch itself found on this machine (ATEN_CPU_CAPABILITY overrides it) decides the variant.
_AVX2 = ("-mavx2", "-mfma", "-mbmi", "-mbmi2", "-mf16c")  # spelled out: -march=x86-64-v3 needs GCC 11
VARIANTS = {"AVX512": (*_AVX2, "-mavx512f", "-mavx512bw", "-mavx512cd", "-mavx512dq", "-mavx512vl"), "AVX2": _AVX2}

_pointer, _long, _int, _double = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_double

# Every exported function: what it returns and its arguments; one line each.
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "sparse3d_vector_width": (_int, []),
    "sparse3d_convolve": (None, [_pointer] * 5 + [_long] * 2 + [_int] * 7),
    "sparse3d_convolve_norm": (None, [_pointer] * 10 + [_double] + [_long] * 3 + [_int] * 5),
    "sparse3d_weight_gradient": (None, [_pointer] * 4 + [_long] * 2 + [_int] * 5),
    "sparse3d_column_sum": (None, [_pointer] * 2 + [_long] + [_int] * 2),
    "sparse3d_multiplies_bfloat16": (_int, []),
    "sparse3d_use_amx": (_int, [_int]),
    "sparse3d_column_moments": (None, [_pointer] * 2 + [_long] + [_int] * 2),
    "sparse3d_batch_norm": (None, [_pointer] * 6 + [_double, _int, _long] + [_int] * 2),
    "sparse3d_batch_norm_gradient_sums": (None, [_pointer] * 8 + [_double, _int, _long] + [_int] * 2),
    "sparse3d_batch_norm_gradient": (None, [_pointer] * 8 + [_double] * 2 + [_int, _long] + [_int] * 2),
    "sparse3d_match_floats": (_long, [_long] * 2 + [_int] * 3),
    "sparse3d_match": (
        None,
        [_pointer] * 2 + [_double] + [_pointer] * 4 + [_double] * 2 + [_pointer] * 5 + [_long] * 2 + [_int] * 2,
    ),
    "sparse3d_neighbours": (_int, [_pointer] * 5 + [_long] * 3 + [_int] * 2),
    "sparse3d_floors": (_long, [_pointer] * 6 + [_long, _int]),
    "sparse3d_pool_rows": (_pointer, [_long] * 2),
    "sparse3d_pool_used": (_long, []),
    "sparse3d_pool_kept": (_long, []),
    "sparse3d_pool_most": (_long, []),
    "sparse3d_update_running": (None, [_pointer] * 3 + [_double] * 2 + [_int]),
}


class NativeUnavailableError(RuntimeError):
    """The library cannot be built or loaded here; the message is one line and says why."""


def variant() -> str:
    """Name of the variant for this machine: ``AVX512``, ``AVX2`` or ``portable``."""
    capability = torch.backends.cpu.get_cpu_capability()
    return capability if capability in VARIANTS else "portable"


def available() -> bool:
    """Whether the native backend can compute here; builds the library if need be."""
    return why_not() == ""


@cache
def why_not() -> str:
    """Why the native backend cannot compute here, in one line; empty when it can."""
    try:
        load()
    except NativeUnavailableError as error:
        return str(error)
    return ""


@cache
def load() -> ctypes.CDLL:
    """The library, built if it is not in the cache.

    Raises:
        NativeUnavailableError: no compiler, a failed build, or a library that does not load.
    """
    path = build(variant())
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise NativeUnavailableError(f"{path} does not load: {error}") from error
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def build(name: str) -> Path:
    """Path of the compiled variant ``name``, from the cache or built now.

    Raises:
        NativeUnavailableError: no compiler, or it fails.
    """
    try:
        compiler = compiler_command()
    except NoCompilerError as error:
        raise NativeUnavailableError(str(error)) from error
    command = [
        *compiler,
        *FLAGS,
        *VARIANTS.get(name, ()),
        *_bfloat16(name, compiler),
        *os.environ.get("SPARSE3D_NATIVE_FLAGS", "").split(),
    ]
    try:
        cache = cache_root() / "native"
    except OSError as error:
        raise NativeUnavailableError(str(error)) from error
    start = f"sparse3d-{name.lower()}-{_fingerprint(compiler, command)}"
    whole = (path for path in sorted(cache.glob(f"{start}-*.so")) if path.stem == f"{start}-{_digest(path)}")
    try:
        return next(whole, None) or _built(command, cache, start)
    except OSError as error:
        raise NativeUnavailableError(f"{cache} cannot be written: {error}") from error


def _built(command: list[str], cache: Path, start: str) -> Path:
    """A new library in ``cache``, its name ``start`` and the digest."""
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        made = _compile(command, Path(folder))
        with made.open("rb") as file:
            os.fsync(file.fileno())  # else a crash of the machine may leave the name and not the content
        path = cache / f"{start}-{_digest(made)}.so"
        os.replace(made, path)
    return path


def _digest(path: Path) -> str:
    """Of the content; of none where there is nothing to read."""
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    return hashlib.sha256(content).hexdigest()[:16]


def _compile(command: list[str], folder: Path) -> Path:
    """Every source by a compiler of its own, at the same time; then the library in ``folder``."""
    objects = {source: str(folder / f"{source.stem}.o") for source in sorted(FOLDER.glob("*.cpp"))}
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(_run, [*command, "-c", str(s), "-o", o]) for s, o in objects.items()]:
            done.result()
    library = folder / "library.so"
    _run([*command, "-shared", *objects.values(), "-o", str(library)])
    return library


def _bfloat16(name: str, compiler: list[str]) -> tuple[str, ...]:
    """Flags of bfloat16 products, where the CPU has them: of vectors (GCC 10, clang 9), of tiles (GCC 11, clang 12).

    Whether the CPU and the system allow tiles is asked when the library runs.
    """
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    if name != "AVX512" or not supported():
        return ()
    vectors = ("-mavx512bf16",)
    tiles = (*vectors, "-mamx-tile", "-mamx-bf16")
    # One instruction each: a compiler that knows the flag may still have an assembler that does not.
    for flags, instruction in ((tiles, "tilerelease"), (vectors, "vdpbf16ps %zmm0, %zmm1, %zmm2")):
        command = [*compiler, *VARIANTS[name], *flags, "-c", "-x", "c++", "-", "-o", os.devnull]
        program = f'void probe() {{ asm volatile("{instruction}"); }}'
        if _ended(command, program).returncode == 0:
            return flags
    return ()


def _fingerprint(compiler: list[str], command: list[str]) -> str:
    told = _run([*compiler, "--version"])
    sources = sorted(path for path in FOLDER.iterdir() if path.suffix in (".cpp", ".h"))
    text = "\n".join((*(path.read_text(encoding="utf-8") for path in sources), *command, told))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _ended(command: list[str], given: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, input=given, capture_output=True, text=True)
    except OSError as error:
        raise NativeUnavailableError(f"{command[0]} does not start: {error}") from error


def _run(command: list[str]) -> str:
    done = _ended(command)
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip()[:200])
        raise NativeUnavailableError(f"{command[0]} failed: {reason}")
    return done.stdout
