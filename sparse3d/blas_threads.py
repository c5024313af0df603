"""Numpy's products on one thread: what this package asks of them is too small for more."""

from __future__ import annotations

from pathlib import Path

from threadpoolctl import LibController, ThreadpoolController

# Where the wheels of numpy and scipy keep the OpenBLAS that nobody else computes with.
_OWN = {"numpy.libs", "scipy.libs", ".dylibs"}


def keep_numpy_to_one_thread() -> None:
    """From here on, products by the OpenBLAS of numpy's wheel, and of scipy's if it is loaded, stay on their thread.

    Theirs are points times 3 x 3 matrices. OpenBLAS wakes a thread a core for them, which afterwards spins some 25 ms
    for more to do: beside a data worker, training lost a third of its processor time to that. An OpenBLAS that torch or
    MinkowskiEngine may compute with, or that shares OpenMP's threads with them, is left alone.
    """
    for library in _openblas():
        library.set_num_threads(1)


def _openblas() -> list[LibController]:
    loaded = ThreadpoolController().select(internal_api="openblas").lib_controllers
    return [
        library
        for library in loaded
        if library.threading_layer == "pthreads" and _OWN & set(Path(library.filepath).parts)
    ]
