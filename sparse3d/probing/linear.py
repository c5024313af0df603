"""Multinomial logistic regression on standardised features, by L-BFGS on the whole sample."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_SMALL = 1e-6  # of its largest value: a feature that varies less is constant


@dataclass(frozen=True)
class LinearClassifier:
    """Scores of ``features @ weight + bias``; the standardisation is folded in."""

    weight: Tensor  # (C, K) float32
    bias: Tensor  # (K,) float32


def standardisation(feats: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (C,) of features (N, C), and what their differences from it are multiplied by, 0 where all are alike."""
    mean, std = feats.mean(dim=0), feats.std(dim=0, correction=0)
    # Not less than a fixed number: deep features of an untrained network are millionths, and mean as much.
    varies = std > _SMALL * feats.abs().amax(dim=0)
    return mean, torch.where(varies, 1 / torch.where(varies, std, 1.0), torch.zeros_like(std))


def fit_linear(
    feats: Tensor, labels: Tensor, classes: int, l2: float = 1e-4, iterations: int = 200
) -> LinearClassifier:
    """The classifier that minimises mean cross-entropy + l2 / 2 * sum of squared weights (of standardised features).

    The start is zero and nothing is drawn, so the same sample gives the same classifier. A class that is not among
    the labels gets a score below all others.

    Args:
        feats: (N, C) float32.
        labels: (N,) int64 in [0, classes).
        classes: K.
        l2: weight of the penalty.
        iterations: of L-BFGS, at most.
    """
    mean, scale = standardisation(feats)
    x = (feats - mean) * scale
    weight = torch.zeros(x.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=iterations, history_size=10, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        solver.zero_grad()
        value = F.cross_entropy(x @ weight + bias, labels) + 0.5 * l2 * weight.square().sum()
        value.backward()
        return value

    with torch.enable_grad():
        solver.step(loss)
    absent = torch.bincount(labels, minlength=classes) == 0
    folded = weight.detach() * scale[:, None]
    shift = bias.detach() - mean @ folded
    folded[:, absent] = 0.0
    return LinearClassifier(folded, torch.where(absent, torch.full_like(shift, -1e9), shift))
