"""Losses of segmentation against what their formulas say, counted out by hand; rows without a label count nowhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sparse3d.losses.segmentation import cross_entropy, inverse_log_weights, lovasz_softmax
from sparse3d.types import IGNORE


def rows(count: int = 12, classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (count,), generator=generator)
    return torch.randn(count, classes, generator=generator, requires_grad=True), labels


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_is_its_formula(smoothing: float, weighted: bool) -> None:
    scores, labels = rows()
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0]) if weighted else torch.ones(4)
    log_p = scores.detach().log_softmax(1)
    own = [
        -(1 - smoothing) * weights[y] * p[y] - smoothing / 4 * (weights * p).sum()
        for p, y in zip(log_p, labels, strict=True)
    ]
    expected = torch.stack(own).sum() / weights[labels].sum()
    found = cross_entropy(scores, labels, weights if weighted else None, smoothing)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("loss", [cross_entropy, lovasz_softmax])
def test_rows_without_a_label_change_nothing_and_none_at_all_gives_0(loss: object) -> None:
    scores, labels = rows()
    extra = torch.cat([scores, torch.randn(5, 4)])
    with_ignored = torch.cat([labels, torch.full((5,), IGNORE)])
    assert loss(extra, with_ignored).item() == pytest.approx(loss(scores, labels).item())  # type: ignore[operator]
    nothing = loss(scores, torch.full_like(labels, IGNORE))  # type: ignore[operator]
    assert nothing.item() == 0 and nothing.dtype == torch.float32
    nothing.backward()
    assert scores.grad is not None and bool((scores.grad == 0).all())


def test_lovasz_of_a_decided_prediction_is_one_minus_the_mean_iou() -> None:
    """The extension agrees with the Jaccard loss where every row is decided."""
    for seed in range(20):
        _, truth = rows(30, 4, seed)
        _, guessed = rows(30, 4, seed + 100)
        scores = torch.nn.functional.one_hot(guessed, 4) * 1e4
        ious = []
        for c in truth.unique().tolist():
            hits, union = ((truth == c) & (guessed == c)).sum(), ((truth == c) | (guessed == c)).sum()
            ious.append(float(hits / union))
        assert lovasz_softmax(scores.float(), truth).item() == pytest.approx(1 - np.mean(ious), abs=1e-5)


def test_classes_that_are_not_there_do_not_count_in_lovasz() -> None:
    scores, truth = rows(30, 3, 3)
    with_a_fourth = torch.cat([scores.detach(), torch.full((30, 1), -1e4)], dim=1)
    assert lovasz_softmax(with_a_fourth, truth).item() == pytest.approx(lovasz_softmax(scores, truth).item(), abs=1e-6)


def test_lovasz_is_the_mean_of_jaccard_losses_over_thresholds() -> None:
    """The extension is the integral over t in [0, 1] of the Jaccard loss of the rows whose error exceeds t."""
    scores, truth = rows(15, 3, 2)
    p = scores.detach().softmax(1).double()
    expected = []
    for c in truth.unique().tolist():
        is_class = truth == c
        error = (is_class.double() - p[:, c]).abs()
        cuts = torch.cat([torch.zeros(1).double(), error.sort().values, torch.ones(1).double()])
        total = 0.0
        for low, high in zip(cuts, cuts[1:], strict=False):
            wrong = error > (low + high) / 2
            guessed = is_class ^ wrong
            union = (is_class | guessed).sum()
            total += float(high - low) * (1 - float((is_class & guessed).sum() / union))
        expected.append(total)
    assert lovasz_softmax(scores, truth).item() == pytest.approx(np.mean(expected), abs=1e-5)


def test_lovasz_has_finite_gradients_that_lower_it() -> None:
    scores, labels = rows(40)
    before = lovasz_softmax(scores, labels)
    before.backward()
    assert scores.grad is not None and bool(scores.grad.isfinite().all())
    assert lovasz_softmax(scores.detach() - 0.5 * scores.grad, labels) < before


def test_rare_classes_weigh_more_and_absent_ones_nothing() -> None:
    weights = inverse_log_weights(torch.tensor([900, 90, 10, 0]))
    assert weights[0] < weights[1] < weights[2] and weights[3] == 0
    assert weights[:3].mean().item() == pytest.approx(1)
    assert (weights[2] / weights[0]).item() == pytest.approx(math.log(1.92) / math.log(1.03), rel=1e-4)
    assert inverse_log_weights(torch.zeros(3)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_labels_of_classes_that_weigh_nothing_give_0(smoothing: float) -> None:
    """The weighted mean over them is 0 / 0, which ended runs as a loss that is not finite."""
    scores, _ = rows(6)
    labels, weights = torch.tensor([1, 1, IGNORE, 1, IGNORE, 1]), torch.tensor([1.0, 0.0, 1.0, 1.0])
    loss = cross_entropy(scores, labels, weights, smoothing)
    loss.backward()
    assert loss.item() == 0 and scores.grad is not None and bool((scores.grad == 0).all())


@pytest.mark.parametrize("loss", [cross_entropy, lovasz_softmax])
def test_losses_stay_float32_under_autocast(loss: object) -> None:
    scores, labels = rows(200)
    plain = loss(scores, labels)  # type: ignore[operator]
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(scores, labels)  # type: ignore[operator]
    assert found.dtype == torch.float32 and found.item() == plain.item()
