"""The knowledge transfer loss and the teacher's running mean."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparse3d.losses.knowledge_transfer import KINDS, RunningMean, knowledge_transfer_loss


def maps(seed: int, n: int = 3, channels: int = 5, h: int = 4, w: int = 6) -> Tensor:
    return torch.randn(n, channels, h, w, generator=torch.Generator().manual_seed(seed))


def mask_of(seed: int = 0) -> Tensor:
    return torch.rand(3, 4, 6, generator=torch.Generator().manual_seed(seed)) > 0.4


@pytest.mark.parametrize("kind", KINDS)
def test_equal_up_to_a_positive_factor_costs_nothing(kind: str) -> None:
    target = maps(0)
    factor = torch.rand(3, 1, 4, 6) + 0.1
    assert float(knowledge_transfer_loss(target * factor, target, mask_of(), kind)) == pytest.approx(0, abs=1e-6)
    assert float(knowledge_transfer_loss(-target, target, mask_of(), kind)) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_does_not_see_lengths_nor_cells_outside_the_mask(kind: str) -> None:
    predicted, target, mask = maps(1), maps(2), mask_of()
    loss = knowledge_transfer_loss(predicted, target, mask, kind)
    elsewhere = torch.where(mask[:, None], predicted * 7, maps(3))
    assert torch.isclose(loss, knowledge_transfer_loss(elsewhere, target * 0.2, mask, kind), atol=1e-5)


def test_cosine_equals_a_loop_and_every_view_weighs_the_same() -> None:
    predicted, target, mask = maps(1), maps(2), mask_of()
    mask[1] = False
    mask[1, 0, 0] = True  # one cell weighs as much as another view's many
    views = []
    for n in range(3):
        cosines = [
            torch.cosine_similarity(predicted[n, :, r, c], target[n, :, r, c], dim=0) for r, c in mask[n].nonzero()
        ]
        views.append(1 - torch.stack(cosines).mean())
    assert torch.isclose(knowledge_transfer_loss(predicted, target, mask), torch.stack(views).mean(), atol=1e-6)


def test_gradients_of_the_cosine_are_those_of_unit_vectors() -> None:
    """Also along the features' own direction, where a cosine has none."""
    random = torch.Generator().manual_seed(2)
    predicted, target = (torch.randn(2, 5, 3, 4, generator=random) for _ in range(2))
    mask = torch.rand(2, 3, 4, generator=random) < 0.7
    gradients = []
    for loss in (
        lambda p: knowledge_transfer_loss(p, target, mask),
        lambda p: torch.stack([(1 - F.cosine_similarity(p, target))[k][mask[k]].mean() for k in range(2)]).mean(),
    ):
        leaf = predicted.clone().requires_grad_()
        loss(leaf).backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


def test_a_view_without_valid_cells_counts_zero() -> None:
    predicted, target, mask = maps(1), maps(2), mask_of()
    mask[2] = False
    two = knowledge_transfer_loss(predicted[:2], target[:2], mask[:2])
    assert torch.isclose(knowledge_transfer_loss(predicted, target, mask), two * 2 / 3, atol=1e-6)
    assert float(knowledge_transfer_loss(predicted, target, torch.zeros_like(mask))) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_zero_rows_have_finite_gradients(kind: str) -> None:
    """Pitfall: the cosine of a zero vector gives NaN gradients."""
    predicted, target = maps(1), maps(2)
    predicted[0], target[1] = 0, 0
    predicted.requires_grad_()
    knowledge_transfer_loss(predicted, target, torch.ones(3, 4, 6, dtype=torch.bool), kind).backward()
    assert predicted.grad is not None and bool(predicted.grad.isfinite().all())


def test_the_loss_is_float32_under_autocast() -> None:
    predicted, target, mask = maps(1), maps(2), mask_of()
    plain = knowledge_transfer_loss(predicted, target, mask)
    with torch.autocast("cpu", torch.bfloat16):
        inside = knowledge_transfer_loss(predicted, target, mask)
    assert inside.dtype == torch.float32 and torch.equal(plain, inside)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="kind must be one of"):
        knowledge_transfer_loss(maps(0), maps(1), mask_of(), "l2")


def test_the_running_mean_is_exact_at_first_and_centres() -> None:
    batches, mean = [maps(k) + 3 for k in range(5)], RunningMean(5)
    for batch in batches:
        mean.update(batch)
    exact = torch.cat(batches).mean(dim=(0, 2, 3))
    assert torch.allclose(mean.mean, exact, atol=1e-5)
    assert mean.center(torch.cat(batches)).mean(dim=(0, 2, 3)).abs().max() < 1e-5


def test_the_running_mean_forgets_slowly_later() -> None:
    mean = RunningMean(1, momentum=0.5)
    for value in (0.0, 0.0, 0.0, 8.0):
        mean.update(torch.full((1, 1, 1, 1), value))
    assert float(mean.mean) == 4.0


def test_the_running_mean_comes_back_from_its_state() -> None:
    first, second = RunningMean(5), RunningMean(5)
    first.update(maps(0))
    second.load_state_dict(first.state_dict())
    kept = second.mean.clone()
    first.update(maps(1))
    assert torch.equal(second.mean, kept)
    second.update(maps(1))
    assert torch.equal(first.mean, second.mean) and first.updates == second.updates == 2
