"""Comparing checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparse3d.training.checkpoint import load_checkpoint


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """Paths at which two nested states are not equal, bit for bit."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return [] if a.dtype == b.dtype and torch.equal(a, b) else [path]
    if isinstance(a, dict) and isinstance(b, dict):
        keys = sorted(set(a) | set(b), key=str)
        return [d for key in keys for d in differences(a.get(key), b.get(key), f"{path}/{key}")]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{path}/{i}")]
    return [] if a == b else [path]


def state_of(out: Path) -> dict[str, Any]:
    """The last checkpoint of a run, without what may rightly differ: times and the config's text."""
    state = load_checkpoint(out / "checkpoints" / "last.pt")
    del state["config"]
    for process in state["processes"]:
        process["means"] = {name: sums for name, sums in process["means"].items() if not name.startswith("time/")}
    return state
