"""Global pooling: row b of the result belongs to batch index b, whatever the row order and whoever is missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparse3d.sparse import (
    Convolution,
    GlobalAvgPooling,
    GlobalMaxPooling,
    GlobalSumPooling,
    SparseTensor,
    global_pool,
)

Coords = Callable[..., Tensor]
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


@pytest.mark.parametrize(
    ("kind", "mode"), [(GlobalAvgPooling, "average"), (GlobalSumPooling, "sum"), (GlobalMaxPooling, "max")]
)
def test_global_modules_and_their_gradients_equal_those_of_each_cloud(
    random_coords: Coords, kind: type[nn.Module], mode: str, backend: str
) -> None:
    """Of three and more clouds MinkowskiEngine mixes up the rows: see test_minkowski_pooling.py."""
    coords = random_coords(90, batch_size=5)
    coords = coords[coords[:, 0] != 3]
    feats = torch.randn(len(coords), 3, dtype=torch.float64, requires_grad=True)
    pooled = kind()(SparseTensor.from_coords(coords, feats, batch_size=6, backend=backend))
    clouds = [feats[coords[:, 0] == cloud] for cloud in range(6)]
    pool = {"average": lambda f: f.mean(0), "sum": lambda f: f.sum(0), "max": lambda f: f.amax(0)}[mode]
    expected = torch.stack([pool(cloud) if len(cloud) else feats.new_zeros(3) for cloud in clouds])
    assert torch.allclose(pooled, expected, atol=1e-14)
    assert torch.allclose(*(torch.autograd.grad(v.sin().sum(), feats)[0] for v in (pooled, expected)), atol=1e-14)


def test_sums_of_many_voxels_lose_no_digit() -> None:
    """One after the other in float32, 200,000 additions lose three."""
    side = torch.arange(60, dtype=torch.int32)
    coords = torch.nn.functional.pad(torch.cartesian_prod(side, side, side), (1, 0))
    feats = 1 + torch.rand(len(coords), 2)
    pooled = GlobalAvgPooling()(SparseTensor.from_coords(coords, feats))
    assert torch.allclose(pooled.double(), feats.double().mean(0), rtol=1e-7) and pooled.dtype == torch.float32


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="average, sum or max"):
        global_pool(SparseTensor.from_coords(COORDS, FEATS, backend="torch"), "median")
