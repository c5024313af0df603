"""Writes what MinkowskiEngine computes for the cases of ``parity_cases.py``, for machines that do not have it.

    python tests/sparse/make_parity_fixtures.py

One file, ``fixtures/minkowski_0_5_4.npz``: the inputs, and for each case its parameters, output and gradients.
"""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from parity_cases import CASES, Arrays, Inputs, Theirs, layers_of, parameters_of, results_of
from torch import nn

from sparse3d.sparse import minkowski_import

FILE = Path(__file__).parent / "fixtures" / "minkowski_0_5_4.npz"


def compute(engine: ModuleType) -> Arrays:
    """All arrays of the file, ``case/name`` and ``inputs/name``; float64."""
    inputs, side = Inputs.make(), Theirs(engine)
    arrays = {f"inputs/{field.name}": getattr(inputs, field.name).numpy() for field in fields(Inputs)}
    for name, case in CASES.items():
        parameters = parameters_of(name, nn.ModuleList(case.build(side)))
        layers = layers_of(name, side, parameters, torch.float64)
        found = results_of(name, side, layers, inputs, torch.float64)
        arrays |= {f"{name}/parameter.{key}": value for key, value in parameters.items()}
        arrays |= {f"{name}/{key}": value for key, value in found.items()}
    return {key: _small(value) for key, value in arrays.items()}


def _small(values: np.ndarray) -> np.ndarray:
    """In the smallest type that holds them exactly."""
    for dtype in (np.int8, np.int32) if values.dtype.kind == "i" else (np.float16, np.float32):
        narrow = values.astype(dtype)
        if np.array_equal(narrow.astype(values.dtype), values):
            return narrow
    return values


def main() -> None:
    torch.set_num_threads(1)
    temporary = FILE.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, **compute(minkowski_import.load()))
    os.replace(temporary, FILE)
    print(f"{FILE.name}: {len(CASES)} cases, {FILE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
