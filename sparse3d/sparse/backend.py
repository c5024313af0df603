"""Which backend computes, and how: set once by gin (``sparse.backend``, ``sparse.products``) or the environment."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import gin
import torch
from torch import Tensor

from sparse3d.checks import one_of
from sparse3d.errors import InputError
from sparse3d.sparse import minkowski_import, native
from sparse3d.sparse.coordinates import Triple
from sparse3d.sparse.manager import CoordinateManager
from sparse3d.sparse.native import NativeCoordinateManager

BACKENDS = ("auto", "native", "torch", "minkowski")
PRODUCTS = ("float32", "bfloat16")

_log = logging.getLogger("sparse3d")
_configured = os.environ.get("SPARSE3D_BACKEND") or "auto"  # empty is unset
_products = "float32"
_announced: set[tuple[str, str]] = set()


@gin.configurable("sparse")
def configure(backend: str = "auto", products: str = "float32") -> str:
    """Set the backend of every sparse tensor made from now on.

    Args:
        backend: ``auto``, ``native``, ``torch`` or ``minkowski``; ``auto`` also asks the environment variable
            ``SPARSE3D_BACKEND``.
        products: ``float32``, or ``bfloat16``: the operands of every product of a convolution, forward and backward,
            are rounded to bfloat16 and summed in float32; the native backend is faster that way on CPUs with AMX, and
            some with AVX512_BF16; elsewhere only the rounding is the same.

    Returns:
        The name of the backend that was set.

    Raises:
        InputError: for an unknown name, or a backend that is not installed.
    """
    global _configured, _products
    if backend == "auto":
        backend = os.environ.get("SPARSE3D_BACKEND") or "auto"
    one_of("sparse.backend", backend, BACKENDS)
    _check_products(products)
    _check_installed(backend)
    _configured, _products = backend, products
    return backend


def _check_installed(backend: str) -> None:
    if backend == "minkowski" and not minkowski_import.available():
        raise InputError(f"sparse.backend = 'minkowski': {minkowski_import.why_not()}")
    if backend == "native" and not native.available():
        raise InputError(f"sparse.backend = 'native': {native.why_not()}; sparse.backend = \"torch\" needs no compiler")


@contextmanager
def multiplying(products: str) -> Iterator[None]:
    """Sparse tensors made inside multiply by ``products``, whatever is set for the rest.

    Raises:
        InputError: for an unknown name.
    """
    global _products
    _check_products(products)
    before, _products = _products, products
    try:
        yield
    finally:
        _products = before


def _check_products(products: str) -> None:
    one_of("sparse.products", products, PRODUCTS)


def resolve(device: torch.device, backend: str | None = None) -> tuple[str, str]:
    """The backend that will compute on ``device``, and why: (name, reason).

    Raises:
        InputError: for an unknown name, or a backend that is not installed, or not for this device.
    """
    name = backend or _configured
    if name not in BACKENDS:
        raise InputError(f"sparse backend {name!r} is unknown: choose one of {', '.join(BACKENDS)}")
    if name == "native" and device.type != "cpu":
        return "torch", f"the native kernel computes on CPUs, not on {device.type}"
    if name != "auto":
        _check_installed(name)
        if name == "minkowski" and device.type == "cuda" and not minkowski_import.has_cuda():
            raise InputError(
                "sparse.backend = 'minkowski': MinkowskiEngine is built without CUDA here, and the network is on "
                f'{device}: take sparse.backend = "auto", or the CPU'
            )
        return name, "as configured"
    if device.type == "cuda" and minkowski_import.available() and minkowski_import.has_cuda():
        return "minkowski", "MinkowskiEngine is built for CUDA"
    if device.type == "cuda":
        return "torch", "MinkowskiEngine is not built for CUDA here"
    if device.type == "cpu" and native.available():
        return "native", f"compiled for this CPU ({native.variant()}), the fastest there is on a CPU"
    if device.type == "cpu":
        return "torch", f"the compiled kernel, about twice as fast, is not available: {native.why_not()}"
    return "torch", "it runs on every device"


def make_manager(coords: Tensor, backend: str | None = None, stride: Triple = (1, 1, 1)) -> CoordinateManager:
    """The coordinate manager of new coordinates (N, 4) of tensor stride ``stride``, of the backend in force."""
    name, reason = resolve(coords.device, backend)
    if (name, _products) not in _announced:
        _announced.add((name, _products))
        _log.info("sparse backend: %s (%s)%s", name, reason, f", {_products} products" * (_products != "float32"))
    if name == "minkowski":
        from sparse3d.sparse.minkowski import MinkowskiCoordinateManager

        return MinkowskiCoordinateManager(coords, stride, _products)
    manager = NativeCoordinateManager if name == "native" else CoordinateManager
    return manager(coords, stride, _products)
