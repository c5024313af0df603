"""Arrays from ``.npz`` files that may be damaged."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError

import numpy as np

# What numpy and zipfile raise for files of which a byte is wrong.
DAMAGED = (
    OSError, ValueError, TypeError, AttributeError, EOFError, SyntaxError, NotImplementedError, RuntimeError,
    zipfile.BadZipFile, zlib.error, TokenError,
)  # fmt: skip


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """All arrays of a file by name; nothing is unpickled. Raises one of :data:`DAMAGED` where it cannot be read."""
    stored = np.load(path, allow_pickle=False)
    if isinstance(stored, np.ndarray):
        raise ValueError("it holds a single array")
    with stored:
        return {name: stored[name] for name in stored.files}
