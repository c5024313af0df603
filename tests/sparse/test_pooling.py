"""Global pooling: row b of the result belongs to batch index b, whatever the row order and whoever is missing."""

from __future__ import annotations

import pytest
import torch

from sparse3d.sparse import Convolution, SparseTensor, global_pool

COORDS = torch.tensor([[2, 0, 0, 0], [0, 5, 1, 1], [2, 1, 0, 0], [0, -3, 0, 0], [2, 0, 1, 0]], dtype=torch.int32)
FEATS = torch.tensor([[1.0, -1.0], [2.0, -8.0], [3.0, -2.0], [4.0, -4.0], [8.0, -6.0]])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("average", [[3.0, -6.0], [0.0, 0.0], [4.0, -3.0], [0.0, 0.0]]),
        ("sum", [[6.0, -12.0], [0.0, 0.0], [12.0, -9.0], [0.0, 0.0]]),
        ("max", [[4.0, -4.0], [0.0, 0.0], [8.0, -1.0], [0.0, 0.0]]),
    ],
)
def test_rows_are_those_of_the_batch_index_and_zero_without_voxels(
    mode: str, expected: list[list[float]], backend: str
) -> None:
    x = SparseTensor.from_coords(COORDS, FEATS, batch_size=4, backend=backend)
    assert torch.equal(global_pool(x, mode), torch.tensor(expected))


@pytest.mark.parametrize("mode", ["average", "sum", "max"])
def test_pooling_passes_gradcheck(mode: str) -> None:
    def pool(feats: torch.Tensor) -> torch.Tensor:
        return global_pool(SparseTensor.from_coords(COORDS, feats, batch_size=4, backend="torch"), mode)

    assert torch.autograd.gradcheck(pool, (FEATS.double().requires_grad_(),))


def test_a_coarse_tensor_pools_by_its_own_voxels(backend: str) -> None:
    x = SparseTensor.from_coords(COORDS, torch.ones(5, 1), batch_size=3, backend=backend)
    coarse = Convolution(1, 1, 2, stride=2)(x)
    pooled = global_pool(coarse.with_feats(torch.ones_like(coarse.feats)), "sum")
    assert pooled.tolist() == [[2.0], [0.0], [1.0]]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="average, sum or max"):
        global_pool(SparseTensor.from_coords(COORDS, FEATS, backend="torch"), "median")
