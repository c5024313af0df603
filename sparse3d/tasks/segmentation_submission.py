"""Predictions in the form that the ScanNet benchmark takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparse3d.errors import InputError
from sparse3d.whole_files import write_whole_text


def demand_empty(folder: Path) -> None:
    """Raises InputError where predictions of another network may lie: they would go in as this one's."""
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"--submission {folder}: is not empty; name a new folder, so that predictions do not mix")


def write_labels(folder: Path, scene: str, ids: np.ndarray) -> None:
    """Writes ``folder/<scene>.txt``: one id a line, in the order of the vertices; whole or not at all."""
    write_whole_text(folder / f"{scene}.txt", "".join(f"{number}\n" for number in ids.tolist()))
