"""Numpy's products on one thread: what this package asks of them is too small for more."""

from __future__ import annotations

from pathlib import Path

from threadpoolctl import LibController, ThreadpoolController

_MINKOWSKI = "scipy_openblas32"  # the package whose OpenBLAS MinkowskiEngine computes with: its products are large


def keep_numpy_to_one_thread() -> None:
    """From here on, products by the OpenBLAS of numpy and scipy stay on the thread that calls.

    Theirs are points times 3 x 3 matrices. OpenBLAS wakes a thread a core for them, which afterwards spins some 25 ms
    for more to do: beside a data worker, training lost a third of its processor time to that. Torch's products are not
    OpenBLAS's. Elsewhere (numpy with MKL or Accelerate) nothing is changed.
    """
    for library in _openblas():
        library.set_num_threads(1)


def _openblas() -> list[LibController]:
    """The OpenBLAS of this process that MinkowskiEngine has no part in."""
    loaded = ThreadpoolController().select(internal_api="openblas").lib_controllers
    return [library for library in loaded if _MINKOWSKI not in Path(library.filepath).parts]
