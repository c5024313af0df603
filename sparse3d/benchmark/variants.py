"""Who is measured: our backends, MinkowskiEngine itself in two environments, and the bare matrix products."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from sparse3d.config_names import nearest
from sparse3d.errors import InputError

# What a user may have set for other work; a worker starts without all of it.
_CLEARED = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "MALLOC_", "GLIBC_TUNABLES", "SPARSE3D_BACKEND")


@dataclass(frozen=True)
class Variant:
    """One row of the table, measured in a process of its own."""

    key: str
    title: str
    engine: str  # who computes, see sparse3d/benchmark/runners.py
    is_ours: bool
    waiting: str = "sparse3d"  # how OpenMP's threads wait: as `import sparse3d` has it, "passive" or "default"
    agreement: float = 1e-3  # of its output with the others', relative to the largest value


OURS = (
    Variant("native", "native", "native", True),
    Variant("torch", "torch", "torch", True),
    Variant("minkowski", "minkowski backend", "minkowski", True),
)
# Other numbers than the rest, so only where it is asked for by name.
ROUNDED = Variant("native-bfloat16", "native, bfloat16 products", "native-bfloat16", True, agreement=0.1)
AS_INSTALLED = Variant("minkowskiengine", "MinkowskiEngine, as installed", "minkowskiengine", False, "default")
TUNED = Variant("minkowskiengine-passive", "MinkowskiEngine, tuned", "minkowskiengine", False, "passive")
PRODUCTS = Variant("mm", "only the products, torch.mm", "mm", False)
BESIDE = (AS_INSTALLED, TUNED, PRODUCTS)


def chosen(names: Sequence[str], among: Sequence[Variant], option: str) -> list[Variant]:
    """The variants that ``option`` names, in that order.

    Raises:
        InputError: for an unknown name, or one given twice.
    """
    by_key = {variant.key: variant for variant in among}
    for name in names:
        if name not in by_key:
            near = nearest(name, list(by_key))
            raise InputError(f"{option}: {name!r} is unknown{near}; there are {', '.join(by_key)}")
        if list(names).count(name) > 1:
            raise InputError(f"{option}: {name} is given twice")
    return [by_key[name] for name in names]


def worker_environment(variant: Variant, threads: int) -> dict[str, str]:
    """The environment that a variant's process starts with.

    Nothing that tunes threads or memory is inherited, so that "as installed" is. Numbers of threads are set only where
    they are not what the libraries take by themselves, one a core.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_CLEARED)}
    if variant.waiting == "passive":
        kept["OMP_WAIT_POLICY"] = "PASSIVE"
    if threads != cores():
        kept |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return kept


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
