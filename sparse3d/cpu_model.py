"""What figures were made on."""

from __future__ import annotations

import platform
from pathlib import Path


def cpu_model() -> str:
    """What the system calls its processor, "" where it does not say."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
