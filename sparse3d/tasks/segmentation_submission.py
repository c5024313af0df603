"""Predictions in the form that the ScanNet benchmark takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparse3d.whole_files import write_whole_text


def write_labels(folder: Path, scene: str, ids: np.ndarray) -> None:
    """Writes ``folder/<scene>.txt``: one id a line, in the order of the vertices; whole or not at all."""
    write_whole_text(folder / f"{scene}.txt", "".join(f"{number}\n" for number in ids.tolist()))
