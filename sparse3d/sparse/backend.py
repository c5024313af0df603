"""Which backend computes: chosen once by gin (``sparse.backend``) or the environment (``SPARSE3D_BACKEND``)."""

from __future__ import annotations

import logging
import os

import gin
import torch
from torch import Tensor

from sparse3d.errors import InputError
from sparse3d.sparse import minkowski_import
from sparse3d.sparse.manager import CoordinateManager, TorchCoordinateManager

BACKENDS = ("auto", "torch", "minkowski")

_log = logging.getLogger("sparse3d")
_configured = os.environ.get("SPARSE3D_BACKEND", "auto")
_announced: set[str] = set()


@gin.configurable("sparse")
def configure(backend: str = "auto") -> str:
    """Set the backend of every sparse tensor made from now on.

    Args:
        backend: ``auto``, ``torch`` or ``minkowski``; ``auto`` also asks the environment variable ``SPARSE3D_BACKEND``.

    Returns:
        The name that was set.

    Raises:
        InputError: for an unknown name, or a backend that is not installed.
    """
    global _configured
    if backend == "auto":
        backend = os.environ.get("SPARSE3D_BACKEND", "auto")
    if backend not in BACKENDS:
        raise InputError(f"sparse.backend = {backend!r} is unknown: choose one of {', '.join(BACKENDS)}")
    if backend == "minkowski" and not minkowski_import.available():
        raise InputError(f"sparse.backend = 'minkowski': {minkowski_import.why_not()}")
    _configured = backend
    return backend


def resolve(device: torch.device, backend: str | None = None) -> tuple[str, str]:
    """The backend that will compute on ``device``, and why: (name, reason)."""
    name = backend or _configured
    if name not in BACKENDS:
        raise InputError(f"sparse backend {name!r} is unknown: choose one of {', '.join(BACKENDS)}")
    if name != "auto":
        return name, "as configured"
    if device.type == "cuda" and minkowski_import.available() and minkowski_import.has_cuda():
        return "minkowski", "MinkowskiEngine is built for CUDA"
    if device.type == "cuda":
        return "torch", "MinkowskiEngine is not built for CUDA here"
    return "torch", "on a CPU it is faster than MinkowskiEngine"


def make_manager(coords: Tensor, backend: str | None = None) -> CoordinateManager:
    """The coordinate manager of new coordinates (N, 4), of the backend in force."""
    name, reason = resolve(coords.device, backend)
    if name not in _announced:
        _announced.add(name)
        _log.info("sparse backend: %s (%s)", name, reason)
    if name == "minkowski":
        from sparse3d.sparse.minkowski import MinkowskiCoordinateManager

        return MinkowskiCoordinateManager(coords)
    return TorchCoordinateManager(coords)
