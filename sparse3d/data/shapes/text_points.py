"""Points from text files: a row of numbers a line."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from sparse3d.errors import InputError


def read_rows(path: Path, columns: int, delimiter: str | None = None) -> np.ndarray:
    """All rows (N, C) float64.

    Args:
        path: the file.
        columns: how many numbers every line has.
        delimiter: between numbers; None is white space.

    Raises:
        InputError: the file cannot be read, holds no row, or rows of another number of columns.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a file without rows, which is refused below
            rows = np.loadtxt(path, delimiter=delimiter, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as rows of numbers ({error})") from error
    if not len(rows) or rows.shape[1] != columns:
        raise InputError(f"{path}: {len(rows)} rows of {rows.shape[1]} numbers; rows of {columns} are needed")
    return rows
