"""The one door to MinkowskiEngine 0.5.4: nothing else in the package imports it.

Three things stand between a fresh Python and ``import MinkowskiEngine``:

* it takes ``Sequence`` from ``collections``, which Python 3.10 emptied: the names are lent for the import alone;
* its extension is linked to the OpenBLAS of the ``scipy-openblas32`` wheel, which no loader path holds: loaded first;
* it appends its own folder to the module search path, where its ``utils`` and ``modules`` then stand in for those of
  other people: the path is put back.

Importing this module imports none of that; :func:`load` does.
"""

from __future__ import annotations

import collections
import collections.abc
import ctypes
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType

VERSION = "0.5.4"
_LENT_NAMES = ("Sequence", "Mapping", "Iterable", "Callable")


def openblas_library() -> Path | None:
    """The shared library inside the ``scipy-openblas32`` wheel, or None when that is not installed."""
    spec = importlib.util.find_spec("scipy_openblas32")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted((Path(spec.origin).parent / "lib").glob("libscipy_openblas.*"))), None)


@lru_cache(maxsize=1)
def _attempt() -> tuple[ModuleType | None, str]:
    """Import once, keep the module or the reason why there is none."""
    if importlib.util.find_spec("MinkowskiEngine") is None:
        return None, "MinkowskiEngine is not installed"
    library = openblas_library()
    try:
        if library is not None:
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        with _collections_names_lent(), _search_path_kept(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*CPU_ONLY")  # `has_cuda` says so to whom it concerns
            return importlib.import_module("MinkowskiEngine"), ""
    except (ImportError, OSError, AttributeError) as error:
        hint = "" if library is not None else " (scipy-openblas32, the BLAS that it was linked to, is not installed)"
        return None, f"MinkowskiEngine is installed but does not load: {str(error).splitlines()[0]}{hint}"


@contextmanager
def _collections_names_lent() -> Iterator[None]:
    lent = [name for name in _LENT_NAMES if not hasattr(collections, name)]
    for name in lent:
        setattr(collections, name, getattr(collections.abc, name))
    try:
        yield
    finally:
        for name in lent:
            delattr(collections, name)


@contextmanager
def _search_path_kept() -> Iterator[None]:
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = before


def available() -> bool:
    """Whether MinkowskiEngine can be loaded here; the first call imports it."""
    return _attempt()[0] is not None


def why_not() -> str:
    """One line saying why MinkowskiEngine is not available; empty when it is."""
    return _attempt()[1]


def load() -> ModuleType:
    """MinkowskiEngine itself.

    Raises ImportError with the reason and the command that mends it when it is not available.
    """
    module, reason = _attempt()
    if module is None:
        raise ImportError(f"{reason}; `make minkowski` builds it, `python tools/doctor.py` says what is missing")
    return module


def has_cuda() -> bool:
    """Whether the installed MinkowskiEngine has CUDA kernels; False when it is not available."""
    module = _attempt()[0]
    return module is not None and bool(module.is_cuda_available())
