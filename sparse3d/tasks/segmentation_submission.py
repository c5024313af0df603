"""Predictions in the form that the ScanNet benchmark takes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np


def write_labels(folder: Path, scene: str, ids: np.ndarray) -> None:
    """Writes ``folder/<scene>.txt``: one id a line, in the order of the vertices; whole or not at all."""
    path = folder / f"{scene}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text("".join(f"{number}\n" for number in ids.tolist()), encoding="ascii")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
