"""Points from text files: a row of numbers a line."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from sparse3d.errors import InputError


def read_rows(path: Path, columns: Collection[int], delimiter: str | None = None) -> np.ndarray:
    """All rows (N, C) float64.

    Args:
        path: the file.
        columns: how many numbers a line may have; all lines have as many.
        delimiter: between numbers; None is white space.

    Raises:
        InputError: the file cannot be read, holds no row, or rows of another number of columns.
    """
    try:
        rows = np.loadtxt(path, delimiter=delimiter, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as rows of numbers ({error})") from error
    if not len(rows) or rows.shape[1] not in columns:
        wanted = " or ".join(str(count) for count in columns)
        raise InputError(f"{path}: {len(rows)} rows of {rows.shape[1]} numbers; rows of {wanted} are needed")
    return rows
