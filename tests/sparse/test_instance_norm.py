"""Instance normalisation: each item alone, whatever the order of the rows; MinkowskiEngine's values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from torch import Tensor

from sparse3d.sparse.instance_norm import instance_norm

SIZES = [30, 0, 1, 12]  # voxels of each item, in random order


@pytest.fixture()
def batch_index() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    items = torch.repeat_interleave(torch.arange(len(SIZES)), torch.tensor(SIZES))
    return items[torch.randperm(len(items), generator=generator)]


def make(rows: int, channels: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    feats = 4 + 2 * torch.randn(rows, channels, generator=generator, dtype=dtype)
    return (
        feats,
        torch.linspace(0.5, 2, channels, dtype=dtype)[None],
        torch.linspace(-1, 1, channels, dtype=dtype)[None],
    )


def test_every_item_is_normalised_alone(batch_index: Tensor) -> None:
    feats, weight, bias = make(len(batch_index), 5)
    out = instance_norm(feats, batch_index, len(SIZES), weight, bias)
    for item, size in enumerate(SIZES):
        own = feats[batch_index == item]
        expected = bias.expand(size, 5)
        if size > 1:
            expected = (own - own.mean(0)) / (own.var(0, unbiased=False) + 1e-8).sqrt() * weight + bias
        torch.testing.assert_close(out[batch_index == item], expected, rtol=1e-12, atol=1e-12)


def test_gradients_are_those_of_finite_differences(batch_index: Tensor) -> None:
    feats, weight, bias = (t.requires_grad_() for t in make(len(batch_index), 3))
    # Of a single voxel the derivative is zero, but its finite difference is rounding times 10,000.
    rows = batch_index != SIZES.index(1)
    assert torch.autograd.gradcheck(
        lambda f, w, b: instance_norm(f, batch_index[rows], len(SIZES), w, b),
        (feats.detach()[rows].requires_grad_(), weight, bias),
    )
    out = instance_norm(feats, batch_index, len(SIZES), weight, bias)
    (grad,) = torch.autograd.grad(out.sin().sum(), feats)
    assert grad[~rows].abs().max() < 1e-9 and grad.isfinite().all()


def test_half_a_million_rows_far_from_zero_lose_no_digit() -> None:
    feats = (1000 + torch.randn(500_000, 1, generator=torch.Generator().manual_seed(0))).float()
    out = instance_norm(feats, torch.zeros(len(feats), dtype=torch.int64), 1)
    assert out.mean().abs() < 1e-5 and (out.double().std() - 1).abs() < 1e-5


def test_no_voxel_at_all_and_a_wrong_index_count() -> None:
    feats = torch.zeros(0, 4, requires_grad=True)
    out = instance_norm(feats, torch.zeros(0, dtype=torch.int64), 2, torch.ones(1, 4), torch.zeros(1, 4))
    out.sum().backward()
    assert out.shape == (0, 4) and feats.grad is not None and feats.grad.shape == (0, 4)
    with pytest.raises(ValueError, match="as many batch indices"):
        instance_norm(torch.zeros(3, 2), torch.zeros(4, dtype=torch.int64), 1)


def test_values_and_gradients_are_minkowski_engines(
    minkowski: ModuleType, random_coords: Callable[..., Tensor]
) -> None:
    coords = random_coords(200, batch_size=3)
    feats, weight, bias = (t.requires_grad_() for t in make(len(coords), 5))
    module = minkowski.MinkowskiInstanceNorm(5).double()
    with torch.no_grad():
        module.weight.copy_(weight)
        module.bias.copy_(bias)
    theirs = module(minkowski.SparseTensor(feats, coords)).F
    ours = instance_norm(feats, coords[:, 0], 3, weight, bias)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    cotangent = torch.cos(torch.arange(theirs.numel(), dtype=torch.float64)).view_as(theirs)
    expected = torch.autograd.grad(theirs, (feats, module.weight, module.bias), cotangent)
    for a, b in zip(torch.autograd.grad(ours, (feats, weight, bias), cotangent), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_the_stable_form_of_minkowski_engine_does_not_run(
    minkowski: ModuleType, random_coords: Callable[..., Tensor]
) -> None:
    """MinkowskiStableInstanceNorm 0.5.4 asks for an attribute of an older release; eps=1e-6 here is what it means."""
    coords = random_coords(20)
    with pytest.raises(AttributeError, match="coords_key"):
        minkowski.MinkowskiStableInstanceNorm(3)(minkowski.SparseTensor(torch.zeros(20, 3), coords))
