"""What a measurement was made on, and whether the machine was quiet."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import Any

import torch

from sparse3d.benchmark.variants import cores
from sparse3d.cpu_model import cpu_model

BUSY = 0.1  # of all cores, by others: from here on timings are worth little


def machine() -> dict[str, Any]:
    """Cores, CPU, versions, the load average and the share of the cores that others keep busy (None: unknown)."""
    return {
        "cores": cores(),
        "cpu": cpu_model(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "minkowskiengine": _version("MinkowskiEngine"),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "busy": busy_share(),
    }


def machine_lines(found: dict[str, Any]) -> list[str]:
    """The same for people, with a warning when the machine is not quiet."""
    engine = found["minkowskiengine"] or "not installed"
    lines = [
        f"{found['cpu']} ({found['capability']}), {found['cores']} cores, {found['system']}, Python {found['python']}, "
        f"torch {found['torch']}, MinkowskiEngine {engine}"
    ]
    busy, load = found["busy"], found["load_average"]
    if load is not None:
        lines.append(f"load average {load:.2f}" + ("" if busy is None else f", {busy:.0%} of the cores busy"))
    if busy is not None and busy > BUSY:
        lines.append("WARNING: the machine is not quiet, other work distorts what follows")
    return lines


def busy_share(seconds: float = 0.5) -> float | None:
    """Share of all cores' time that was not idle while this process slept for ``seconds``."""
    before = _ticks()
    time.sleep(seconds)
    after = _ticks()
    if before is None or after is None or after[1] == before[1]:
        return None
    return (after[0] - before[0]) / (after[1] - before[1])


def _ticks() -> tuple[int, int] | None:
    """Busy and all ticks of all cores since the start of the system."""
    path = Path("/proc/stat")
    if not path.exists():
        return None
    ticks = [int(text) for text in path.read_text().splitlines()[0].split()[1:9]]
    idle = ticks[3] + ticks[4]  # idle, and idle while a disk works
    return sum(ticks) - idle, sum(ticks)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
