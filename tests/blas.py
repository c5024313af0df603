"""The OpenBLAS in numpy's wheel, found without the package's help."""

from __future__ import annotations

from pathlib import Path

from threadpoolctl import LibController, ThreadpoolController


def numpys_openblas() -> list[LibController]:
    controllers = ThreadpoolController().lib_controllers
    return [library for library in controllers if "numpy.libs" in Path(library.filepath).parts]
