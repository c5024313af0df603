"""Pruning: which rows stay, where their gradients go, and what later layers see."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sparse3d.sparse import Convolution, ConvolutionTranspose, Pruning, SparseTensor, SumPooling, concatenate

Coords = Callable[..., Tensor]


def test_kept_rows_keep_their_order_and_their_gradient(random_coords: Coords, backend: str) -> None:
    coords, keep = random_coords(50), torch.rand(50) < 0.5
    feats = torch.randn(50, 3, requires_grad=True)
    out = Pruning()(SparseTensor.from_coords(coords, feats, backend=backend), keep)
    assert torch.equal(out.coords, coords[keep]) and torch.equal(out.feats, feats[keep])
    out.feats.backward(torch.ones_like(out.feats))
    assert feats.grad is not None
    assert torch.equal(feats.grad, keep[:, None].float().expand(-1, 3))


def test_the_gradient_passes_gradcheck(random_coords: Coords, backend: str) -> None:
    coords, keep, conv = random_coords(12, extent=2), torch.arange(12) % 3 > 0, Convolution(2, 2, 3).double()

    def pruned(feats: Tensor, _: Tensor) -> Tensor:
        return conv(Pruning()(SparseTensor.from_coords(coords, feats, backend=backend), keep)).feats

    assert torch.autograd.gradcheck(pruned, (torch.randn(12, 2).double().requires_grad_(), conv.kernel))


def test_convolving_what_is_kept_equals_convolving_a_cloud_of_it(random_coords: Coords, backend: str) -> None:
    coords, keep, feats = random_coords(80, extent=3), torch.rand(80) < 0.5, torch.randn(80, 3).double()
    pruned = Pruning()(SparseTensor.from_coords(coords, feats, backend=backend), keep)
    alone = SparseTensor.from_coords(coords[keep], feats[keep], backend=backend)
    for layer in (Convolution(3, 2, 3).double(), Convolution(3, 2, 2, stride=2).double(), SumPooling(2, 2)):
        a, b = layer(pruned), layer(alone)
        assert torch.equal(a.coords, b.coords) and torch.allclose(a.feats, b.feats, atol=1e-14)


@pytest.mark.parametrize("first", ["coarse", "fine"])
def test_prunings_of_different_strides_do_not_meet(random_coords: Coords, first: str) -> None:
    """MinkowskiEngine calls both `pruned` and strides the fine one onto the voxels of the coarse one."""
    x = SparseTensor.from_coords(random_coords(60), torch.ones(60, 1))
    coarse = SumPooling(2, 2)(x)

    def prune_coarse() -> SparseTensor:
        return Pruning()(coarse, torch.arange(len(coarse)) < 2)

    few = prune_coarse() if first == "coarse" else None
    fine = Pruning()(x, torch.arange(60) % 2 == 0)
    strided = SumPooling(2, 2)(fine)
    few = few or prune_coarse()
    assert len(few) == 2 and float(strided.feats.sum()) == 30
    with pytest.raises(ValueError, match="same voxels"):
        concatenate(few, strided)


def test_transposing_goes_back_to_the_original_voxels_or_to_those_asked_for(
    random_coords: Coords, backend: str
) -> None:
    x = SparseTensor.from_coords(random_coords(60), torch.randn(60, 2), backend=backend)
    pruned = Pruning()(x, torch.arange(60) % 2 == 0)
    coarse, up = SumPooling(2, 2)(pruned), ConvolutionTranspose(2, 3, 2, stride=2)
    everywhere, asked = up(coarse), up(coarse, pruned)
    assert everywhere.key == x.key and asked.key == pruned.key
    assert torch.allclose(everywhere.feats[::2], asked.feats, atol=1e-6)


def test_keeping_none_is_allowed_and_goes_through_layers(random_coords: Coords, backend: str) -> None:
    """MinkowskiEngine warns, and any layer after it ends the process."""
    feats = torch.randn(20, 3, requires_grad=True)
    x = SparseTensor.from_coords(random_coords(20), feats, backend=backend)
    none = Pruning()(x, torch.zeros(20, dtype=torch.bool))
    assert none.feats.shape == (0, 3) and none.coords.shape == (0, 4)
    again = Pruning()(none, torch.zeros(0, dtype=torch.bool))
    down, up = Convolution(3, 4, 3, stride=2), ConvolutionTranspose(4, 3, 2, stride=2)
    out = up(down(again))
    assert out.key == x.key and not out.feats.any()
    (out + none).feats.sum().backward()
    assert feats.grad is not None and not feats.grad.any()


def test_keeping_all_keeps_every_value(random_coords: Coords) -> None:
    x = SparseTensor.from_coords(random_coords(20), torch.randn(20, 3))
    out = Pruning()(x, torch.ones(20, dtype=torch.bool))
    assert torch.equal(out.feats, x.feats) and torch.equal(out.coords, x.coords) and out.key != x.key


@pytest.mark.parametrize(
    "keep",
    [torch.ones(19, dtype=torch.bool), torch.ones(20), torch.arange(20), torch.ones(20, 1, dtype=torch.bool)],
    ids=["too short", "float", "rows", "column"],
)
def test_what_is_no_mask_is_refused(random_coords: Coords, keep: Tensor) -> None:
    with pytest.raises(ValueError, match=r"`keep` must be \(20,\) bool"):
        Pruning()(SparseTensor.from_coords(random_coords(20), torch.randn(20, 3)), keep)
