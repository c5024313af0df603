"""The heads of the consistency loss."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparse3d.errors import InputError
from sparse3d.losses.consistency import coordinate_regression_loss
from sparse3d.models.correspondence import MatchingHead, RegressionHead


def test_embeddings_are_of_unit_length_also_under_autocast() -> None:
    head, feats = MatchingHead(6, 16), torch.randn(5, 4, 6)
    with torch.autocast("cpu", torch.bfloat16):
        inside = head.unit_rows(feats)
    for out in (head.unit_rows(feats), inside):
        assert out.dtype == torch.float32
        assert torch.allclose(out.norm(dim=-1), torch.ones(5, 4), atol=1e-5)


def test_zero_features_give_finite_gradients() -> None:
    """Pitfall: the norm of a zero vector gives NaN gradients."""
    head = MatchingHead(6, 16)
    torch.nn.init.zeros_(head.embed.bias)
    feats = torch.zeros(3, 6, requires_grad=True)
    head.unit_rows(feats).sum().backward()
    assert feats.grad is not None and bool(feats.grad.isfinite().all())


@pytest.mark.parametrize("learned", [True, False])
def test_the_scale_is_one_over_the_temperature_and_bounded(learned: bool) -> None:
    head = MatchingHead(4, temperature=0.1, learn_temperature=learned)
    assert float(head.scale.detach()) == pytest.approx(10, rel=1e-5) and head.log_scale.requires_grad == learned
    with torch.no_grad():
        head.log_scale.fill_(50)
    assert float(head.scale.detach()) == pytest.approx(100, rel=1e-3)


def test_a_learned_temperature_comes_back_from_its_bound() -> None:
    head = MatchingHead(4, temperature=0.011, learn_temperature=True)
    optimizer = torch.optim.SGD([head.log_scale], 0.01)
    scales = []
    for wish in [1] * 5 + [-1] * 5:
        scales.append(float(head.scale.detach()))
        optimizer.zero_grad()
        (-wish * head.scale).backward()
        optimizer.step()
    assert max(scales) == pytest.approx(100) and scales[-1] < 60


@pytest.mark.parametrize("temperature", [0.0, -0.07, 0.005, float("nan")])
def test_a_temperature_that_the_bound_would_hide_is_refused(temperature: float) -> None:
    with pytest.raises(InputError, match="MatchingHead.temperature = .*at least 0.01"):
        MatchingHead(4, temperature=temperature)
    assert float(MatchingHead(4, temperature=0.01).scale) == pytest.approx(100)


def test_regression_starts_near_the_cells_own_place_and_ignores_what_is_masked() -> None:
    head = RegressionHead(4, hidden=8)
    a, b = torch.randn(2, 4, 10, 13), torch.randn(2, 4, 10, 13)
    mask = torch.rand(2, 10, 13) > 0.3
    places = head.located(a, mask, b, mask)
    dirty = torch.where(mask[:, None], a, torch.full_like(a, 1e5))
    assert places.shape == (2, 2, 10, 13) and torch.allclose(places, head.located(dirty, mask, b, mask), atol=1e-5)
    with torch.no_grad():
        head.out.weight.zero_()
        head.out.bias.zero_()
    start = head.located(a, mask, b, mask)
    assert torch.allclose(start[0, 0, :, 0], (torch.arange(10) + 0.5) / 10)
    assert torch.allclose(start[0, 1, 0], (torch.arange(13) + 0.5) / 13)


@pytest.mark.parametrize("coarse", [3, 4])
def test_context_comes_back_to_where_it_was_pooled(coarse: int) -> None:
    """10 x 13 cells do not fill whole blocks."""
    head, seen = RegressionHead(4, hidden=8, coarse=coarse), []
    head.context = nn.ModuleList([nn.Identity()])
    head.out = nn.Conv2d(8 + 10 + 2, 2, 1)
    head.out.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    maps, mask = torch.randn(1, 4, 10, 13), torch.ones(1, 10, 13, dtype=torch.bool)
    head.located(maps, mask, maps, mask)
    pooled, own = seen[0][0, -4:-2], seen[0][0, -2:]  # (row, col) of each cell: of the context, and true
    first, last = coarse // 2, [size // coarse * coarse - coarse // 2 - 1 for size in (10, 13)]
    inside = (slice(None), slice(first, last[0] + 1), slice(first, last[1] + 1))  # between centres of whole blocks
    assert own[inside].numel() > 50 and torch.allclose(pooled[inside], own[inside], atol=1e-5)


def test_regression_learns_a_translation() -> None:
    torch.manual_seed(0)
    head = RegressionHead(4, hidden=16)
    maps, mask = torch.randn(1, 4, 12, 16), torch.ones(1, 12, 16, dtype=torch.bool)
    moved = maps.roll(3, dims=3)
    rows, cols = torch.meshgrid(torch.arange(12), torch.arange(13), indexing="ij")
    truth = torch.stack([(rows + 0.5) / 12, (cols + 3.5) / 16], dim=-1).reshape(-1, 2)
    optimizer, losses = torch.optim.Adam(head.parameters(), 3e-3), []
    for _ in range(40):
        predicted = head.located(maps, mask, moved, mask)[0, :, :, :13].reshape(2, -1).t()
        loss = coordinate_regression_loss(predicted, truth)
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in head.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.2 * losses[0]
