"""Instance normalisation as a layer; the function behind it and BatchNorm have files of their own."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor

from sparse3d.sparse import Convolution, InstanceNorm, SparseTensor

pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")

Coords = Callable[..., Tensor]


@pytest.mark.parametrize("clouds", [1, 2, 5])
def test_the_layer_and_its_gradients_equal_minkowski_engines(
    minkowski: ModuleType, random_coords: Coords, clouds: int, backend: str
) -> None:
    coords, feats = random_coords(120, batch_size=clouds), 3 + torch.randn(120, 5, dtype=torch.float64)
    ours, theirs = InstanceNorm(5).double(), minkowski.MinkowskiInstanceNorm(5).double()
    torch.nn.init.normal_(ours.weight), torch.nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x, y = feats.clone().requires_grad_(), feats.clone().requires_grad_()
    out = ours(SparseTensor.from_coords(coords, x, backend=backend)).feats
    expected = theirs(minkowski.SparseTensor(y, coordinates=coords)).F
    assert torch.allclose(out, expected, atol=1e-10)
    for a, b in zip(
        torch.autograd.grad(out.sin().sum(), [x, *ours.parameters()]),
        torch.autograd.grad(expected.sin().sum(), [y, *theirs.parameters()]),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-9)


def test_a_coarse_tensor_is_normalised_by_its_own_voxels(random_coords: Coords, backend: str) -> None:
    x = SparseTensor.from_coords(random_coords(200), torch.randn(200, 3), batch_size=3, backend=backend)
    out = InstanceNorm(4, eps=1e-6)(Convolution(3, 4, 2, stride=2)(x))
    for cloud in range(2):
        rows = out.feats[out.batch_index == cloud]
        assert torch.allclose(rows.mean(0), torch.zeros(4), atol=1e-6)
        assert torch.allclose(rows.var(0, unbiased=False), torch.ones(4), atol=1e-3)
