"""Where built things are kept: wheels and compiled kernels, outside every clone."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """The folder that outlives clones: ``SPARSE3D_CACHE``, or ``sparse3d`` in the user's cache folder.

    Raises:
        OSError: the user has none, nor a home.
    """
    if named := os.environ.get("SPARSE3D_CACHE"):
        return Path(named).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(home) if home else Path.home() / ".cache") / "sparse3d"
    except RuntimeError as error:
        raise FileNotFoundError("this user has no home folder: set SPARSE3D_CACHE to a folder") from error
