"""Broadcasting: every voxel gets the row of its own cloud, for any number of clouds.

MinkowskiEngine mixes up the rows of three and more clouds: see test_minkowski_pooling.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparse3d.sparse import (
    Broadcast,
    BroadcastAddition,
    BroadcastConcatenation,
    BroadcastMultiplication,
    Convolution,
    GlobalAvgPooling,
    SparseTensor,
)

Coords = Callable[..., Tensor]
KINDS: dict[type[nn.Module], Callable[[Tensor, Tensor], Tensor]] = {
    Broadcast: lambda feats, row: row,
    BroadcastAddition: lambda feats, row: feats + row,
    BroadcastMultiplication: lambda feats, row: feats * row,
    BroadcastConcatenation: lambda feats, row: torch.cat([feats, row]),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
def test_every_voxel_gets_the_row_of_its_cloud(random_coords: Coords, kind: type[nn.Module], backend: str) -> None:
    coords = random_coords(60, batch_size=5)
    coords = coords[coords[:, 0] != 2]
    feats, pooled = torch.randn(len(coords), 3), torch.randn(6, 3)
    x = SparseTensor.from_coords(coords, feats, batch_size=6, backend=backend)
    out = kind()(x, pooled)
    expected = [KINDS[kind](f, pooled[b]) for f, b in zip(feats, coords[:, 0].tolist(), strict=True)]
    assert out.key == x.key and torch.equal(out.feats, torch.stack(expected))


@every_kind
def test_gradients_pass_gradcheck(random_coords: Coords, kind: type[nn.Module], backend: str) -> None:
    coords = random_coords(12, batch_size=4)

    def broadcast(feats: Tensor, pooled: Tensor) -> Tensor:
        out: Tensor = kind()(SparseTensor.from_coords(coords, feats, batch_size=4, backend=backend), pooled).feats
        return out

    feats, pooled = torch.randn(12, 2).double().requires_grad_(), torch.randn(4, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(broadcast, (feats, pooled))


def test_channels_put_beside_may_differ_in_number(random_coords: Coords) -> None:
    x = SparseTensor.from_coords(random_coords(12), torch.randn(12, 2), batch_size=2)
    pooled = torch.randn(2, 5)
    assert BroadcastConcatenation()(x, pooled).feats.shape == (12, 7)
    assert Broadcast()(x, pooled).feats.shape == (12, 5)


def test_squeeze_and_excitation_of_a_coarse_tensor_treats_clouds_apart(random_coords: Coords, backend: str) -> None:
    coords, feats = random_coords(90, batch_size=4), torch.randn(90, 2).double()
    down, pool, scale = Convolution(2, 3, 2, stride=2).double(), GlobalAvgPooling(), BroadcastMultiplication()

    def run(rows: Tensor) -> Tensor:
        coarse = down(SparseTensor.from_coords(coords[rows], feats[rows], batch_size=4, backend=backend))
        return scale(coarse, torch.sigmoid(pool(coarse))).feats

    apart = [run(coords[:, 0] == cloud) for cloud in range(4)]
    assert torch.allclose(run(torch.arange(90)), torch.cat(apart), atol=1e-14)


def test_gradients_do_not_depend_on_the_number_of_threads(surface_coords: Tensor) -> None:
    feats, threads, found = torch.randn(len(surface_coords), 33), torch.get_num_threads(), []
    for count in (1, 4):
        torch.set_num_threads(count)
        pooled = torch.ones(2, 33, requires_grad=True)
        out = BroadcastMultiplication()(SparseTensor.from_coords(surface_coords, feats), pooled)
        found.append(torch.autograd.grad(out.feats, pooled, feats)[0])
    torch.set_num_threads(threads)
    assert torch.equal(*found)


@pytest.mark.parametrize("shape", [(1, 3), (3, 3), (3,)])
def test_another_number_of_rows_than_clouds_is_refused(random_coords: Coords, shape: tuple[int, ...]) -> None:
    x = SparseTensor.from_coords(random_coords(12), torch.randn(12, 3), batch_size=2)
    with pytest.raises(ValueError, match="a row for each of 2 clouds"):
        BroadcastAddition()(x, torch.ones(shape))
