"""MinkowskiEngine 0.5.4 as a wheel: built once on this machine, kept outside the repository, installed from there.

The sources are not changed. They need a BLAS to link to, and the one that every package index has is OpenBLAS inside
the wheel ``scipy-openblas32``, whose symbols carry a prefix; hence ``-D`` flags and a link named ``libopenblas.so``.
pip does the fetching (its hash is checked), the metadata and the building, so indexes, proxies and certificates are
set up as for every other package.

Only the standard library is needed, and the interpreter of the environment that the wheel is for.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from sparse3d.cache_folder import cache_root
from sparse3d.compiler import NoCompilerError, compiler_command

VERSION = "0.5.4"
SDIST_SHA256 = "b1879c00d0b0b1d30ba622cce239886a7e3c78ee9da1064cdfe2f64c2ab15f94"
# The BLAS functions that its C++ calls, which scipy-openblas32 exports as scipy_cblas_*.
BLAS_FUNCTIONS = ("sgemm", "dgemm", "saxpy", "daxpy")
BUILD_REQUIREMENTS = ("torch", "numpy", "setuptools", "wheel", "ninja", "scipy-openblas32")
COST = "the portable torch backend computes, or our compiled one: nothing is lost on a CPU, CUDA kernels on a GPU"
_IMPORT_CHECK = "from sparse3d.sparse import minkowski_import; minkowski_import.load()"


class BuildImpossible(RuntimeError):
    """MinkowskiEngine cannot be built: the ``reason``, the ``remedy`` as a command, the ``log`` if there is one."""

    def __init__(self, reason: str, remedy: str, log: Path | None = None) -> None:
        super().__init__(reason)
        self.reason, self.remedy, self.log = reason, remedy, log

    def one_line(self) -> str:
        """What is missing, what that costs and how to get it."""
        log = f"; build log: {self.log}" if self.log else ""
        how = f"{self.remedy}, then {build_command()}"
        return f"MinkowskiEngine is left out ({self.reason}); {COST}; to get it: {how}{log}"


def build_command() -> str:
    """The command that installs MinkowskiEngine: make's in a clone, else the console script's."""
    in_clone = (Path(__file__).resolve().parents[2] / "Makefile").is_file()
    return "`make minkowski`" if in_clone else "`sparse3d-build-minkowski --required`"


@dataclass(frozen=True)
class WheelKey:
    """What a built wheel depends on; two machines with equal keys may share one."""

    python: str  # "cpython-311"
    torch: str  # "2.13.0+cpu"
    platform: str  # "linux-x86_64"
    device: str  # "cpu" or "cuda"
    minkowski: str = VERSION

    @classmethod
    def here(cls, device: str = "cpu") -> WheelKey:
        """The key of the running interpreter and its torch.

        Raises BuildImpossible when torch is not installed.
        """
        try:
            torch = metadata.version("torch")
        except metadata.PackageNotFoundError:
            raise BuildImpossible("torch is not installed", "`make setup`") from None
        return cls(sys.implementation.cache_tag, torch, sysconfig.get_platform(), device)

    def __str__(self) -> str:
        return f"minkowski{self.minkowski}-torch{self.torch}-{self.python}-{self.platform}-{self.device}"


def devices_to_try() -> list[str]:
    """``["cuda", "cpu"]`` where a CUDA compiler and a usable GPU are present, else ``["cpu"]``."""
    if shutil.which("nvcc") is None and "CUDA_HOME" not in os.environ:
        return ["cpu"]
    probe = [sys.executable, "-c", "import sys, torch; sys.exit(not torch.cuda.is_available())"]
    return ["cuda", "cpu"] if subprocess.run(probe, capture_output=True).returncode == 0 else ["cpu"]


def wheel_folder(key: WheelKey) -> Path:
    """Where the cache keeps the wheel of ``key`` and the log of its build."""
    return cache_root() / "wheels" / str(key)


def cached_wheel(key: WheelKey) -> Path | None:
    """The wheel of ``key`` in the cache, or None."""
    return next(iter(sorted(wheel_folder(key).glob("*.whl"))), None)


def check_buildable() -> None:
    """Raises BuildImpossible, before minutes are spent, for what is plainly missing."""
    try:
        compiler_command()
    except NoCompilerError as error:
        raise BuildImpossible(str(error), error.remedy) from error
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        raise BuildImpossible("Python.h is missing", "install Python's headers (Debian: `apt-get install python3-dev`)")
    for name in BUILD_REQUIREMENTS:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            raise BuildImpossible(f"{name} is not installed", f"`pip install {name}`") from None


def build_environment(scratch: Path, device: str) -> dict[str, str]:
    """The variables of the build; writes the link to OpenBLAS and a ``pip`` that does nothing into ``scratch``."""
    spec = importlib.util.find_spec("scipy_openblas32")
    assert spec is not None and spec.origin is not None, "check_buildable comes first"
    openblas = Path(spec.origin).parent
    library = next(iter(sorted((openblas / "lib").glob("libscipy_openblas.*"))))
    (scratch / "lib").mkdir()
    (scratch / "lib" / f"libopenblas{library.suffix}").symlink_to(library)
    # Its setup.py begins with `pip uninstall MinkowskiEngine`, which would break the environment it is built in.
    (scratch / "bin").mkdir()
    (scratch / "bin" / "pip").write_text("#!/bin/sh\nexit 0\n")
    (scratch / "bin" / "pip").chmod(0o755)
    flags = " ".join(["-g0", *(f"-Dcblas_{name}=scipy_cblas_{name}" for name in BLAS_FUNCTIONS)])
    env = dict(os.environ)
    env.setdefault("MAX_JOBS", str(min(os.cpu_count() or 1, 8)))
    path = [str(scratch / "bin"), str(Path(sys.executable).parent), env.get("PATH", "")]
    return env | {
        "PATH": os.pathsep.join(path),
        "CFLAGS": flags,
        "CXXFLAGS": flags,
        "CPATH": os.pathsep.join(filter(None, [str(openblas / "include"), env.get("CPATH", "")])),
        "LIBRARY_PATH": os.pathsep.join(filter(None, [str(scratch / "lib"), env.get("LIBRARY_PATH", "")])),
        "LDFLAGS": f"-L{scratch / 'lib'} -Wl,-rpath,$ORIGIN/../scipy_openblas32/lib",
        "FORCE_CUDA": "1" if device == "cuda" else "0",
    }


def build(key: WheelKey) -> Path:
    """Build the wheel of ``key`` into the cache: about 6 minutes on 2 cores, 0.5 MB.

    Raises BuildImpossible, naming the log, when the build fails.
    """
    check_buildable()
    folder = wheel_folder(key)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "build.log"
    with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as scratch_name:
        scratch = Path(scratch_name)
        requirement = scratch / "requirement.txt"
        requirement.write_text(_requirement(key.device))
        command = [sys.executable, "-m", "pip", "wheel", "-v", "--no-cache-dir", "--no-deps", "--no-build-isolation"]
        command += ["--use-pep517", "--no-binary", "MinkowskiEngine", "--require-hashes", "-r", str(requirement)]
        with log.open("w") as output:
            done = subprocess.run(
                [*command, "-w", str(scratch / "out")],
                env=build_environment(scratch, key.device),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        built = sorted((scratch / "out").glob("*.whl"))
        if done.returncode != 0 or not built:
            raise BuildImpossible(f"its {key.device} build failed", "mend what the log names", log)
        os.replace(built[0], folder / built[0].name)
        return folder / built[0].name


def _requirement(device: str) -> str:
    """The line of a requirements file that makes pip fetch, verify and configure the sources."""
    options = ["--blas=openblas", "--force_cuda" if device == "cuda" else "--cpu_only"]
    settings = " ".join(f'--config-settings="--global-option={option}"' for option in options)
    return f"MinkowskiEngine=={VERSION} {settings} --hash=sha256:{SDIST_SHA256}\n"


def works_here() -> bool:
    """Whether a fresh interpreter of this environment can load MinkowskiEngine."""
    return subprocess.run([sys.executable, "-c", _IMPORT_CHECK], capture_output=True).returncode == 0


def install(wheel: Path) -> None:
    """Install ``wheel`` into the running environment without touching any other package."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--force-reinstall", str(wheel)]
    subprocess.run(command, check=True)


@contextmanager
def cache_lock() -> Iterator[None]:
    """Held by one process at a time on this machine; freed by the system when that process dies."""
    root = cache_root() / "wheels"
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure() -> str:
    """MinkowskiEngine installed and loading, from the cache or by a build; says in one line what was done.

    Raises BuildImpossible when it cannot be had.
    """
    try:
        return _ensure()
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildImpossible(str(error), "set SPARSE3D_CACHE to a folder that can be written") from error


def _ensure() -> str:
    failure: BuildImpossible | None = None
    for device in devices_to_try():
        key = WheelKey.here(device)
        with cache_lock():
            try:
                return _ensure_device(key)
            except BuildImpossible as error:
                failure = failure or error
    assert failure is not None
    raise failure


def installed_key_file() -> Path:
    """Where the environment remembers the key of the wheel that was installed into it."""
    return Path(sysconfig.get_path("purelib")) / "minkowski_wheel_key.txt"


def _ensure_device(key: WheelKey) -> str:
    marker = installed_key_file()
    if marker.is_file() and marker.read_text() == str(key) and works_here():
        return f"MinkowskiEngine {VERSION} ({key.device}) is installed"
    wheel, source = cached_wheel(key), "the cache"
    if wheel is None:
        check_buildable()
        print(f"building MinkowskiEngine {VERSION} ({key.device}) once, about 6 minutes on 2 cores ...", flush=True)
        wheel, source = build(key), "a new build"
    install(wheel)
    if not works_here():
        wheel.unlink()  # so that the next try builds anew
        raise BuildImpossible("its wheel does not load", "look into the log", wheel.parent / "build.log")
    marker.write_text(str(key))
    return f"MinkowskiEngine {VERSION} ({key.device}) installed from {source}: {wheel}"
