"""What MinkowskiEngine computed, held against on a machine without it; and that it still computes that.

The results are stored by ``make_parity_fixtures.py``, which says how to write them anew.
"""

from __future__ import annotations

from dataclasses import fields
from types import ModuleType

import numpy as np
import pytest
import torch
from make_parity_fixtures import FILE, compute
from parity_cases import CASES, Arrays, Inputs, Ours, layers_of, results_of

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*SparseTensor.* is deprecated:UserWarning"),
]


@pytest.fixture(scope="module")
def stored() -> Arrays:
    with np.load(FILE) as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def inputs(stored: Arrays) -> Inputs:
    types = {"coords": torch.int32}
    arrays = {field.name: torch.from_numpy(stored[f"inputs/{field.name}"]) for field in fields(Inputs)}
    return Inputs(**{name: value.to(types.get(name, torch.float64)) for name, value in arrays.items()})


def of_case(stored: Arrays, name: str) -> tuple[Arrays, Arrays]:
    """Parameters and results."""
    own = {key.split("/", 1)[1]: value for key, value in stored.items() if key.split("/", 1)[0] == name}
    parameters = {key.removeprefix("parameter."): value for key, value in own.items() if key.startswith("parameter.")}
    return parameters, {key: value for key, value in own.items() if not key.startswith("parameter.")}


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """Largest difference, relative to the largest value of ``b``."""
    assert a.shape == b.shape
    largest = np.abs(b).max(initial=0.0)
    return float(np.abs(a.astype(np.float64) - b).max(initial=0.0) / (largest if largest > 0 else 1.0))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", CASES)
def test_results_and_gradients_are_the_stored_ones(
    stored: Arrays, inputs: Inputs, name: str, dtype: torch.dtype, backend: str
) -> None:
    parameters, expected = of_case(stored, name)
    side = Ours(backend)
    found = results_of(name, side, layers_of(name, side, parameters, dtype), inputs, dtype)
    assert found.keys() == expected.keys()
    tolerance = CASES[name].tolerance if dtype == torch.float64 else 1e-5
    wrong = {key: difference(found[key], expected[key]) for key in expected}
    assert all(value <= tolerance for value in wrong.values()), wrong


def test_the_stored_results_are_what_minkowski_engine_computes(minkowski: ModuleType, stored: Arrays) -> None:
    computed = compute(minkowski)
    assert computed.keys() == stored.keys()
    wrong = {key: difference(computed[key], stored[key]) for key in stored}
    assert all(value <= 1e-12 for value in wrong.values()), wrong


def test_the_stored_file_stays_small() -> None:
    assert FILE.stat().st_size < 300_000
