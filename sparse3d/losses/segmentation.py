"""Losses of semantic segmentation. Rows labelled :data:`~sparse3d.types.IGNORE` count nowhere."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sparse3d.types import IGNORE


def cross_entropy(
    scores: Tensor, labels: Tensor, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy over the labelled rows, each weighted by its class; 0 (with gradients of 0) where none counts.

    Args:
        scores: (V, C).
        labels: (V,) int64.
        class_weights: (C,) or None.
        label_smoothing: share of the target that is spread over all classes, in [0, 1).
    """
    labelled = labels != IGNORE
    truth = labels[labelled]
    counts = labelled.any() if class_weights is None else (class_weights[truth] > 0).any()
    if not bool(counts):
        return scores.float().sum() * 0
    return F.cross_entropy(scores.float()[labelled], truth, weight=class_weights, label_smoothing=label_smoothing)


def lovasz_softmax(scores: Tensor, labels: Tensor) -> Tensor:
    """The Lovasz extension of the Jaccard loss, mean over the classes that are there; 0 without labels.

    For one class let rows be in the order of falling error |1[y = c] - p_c|. With P rows of the class, the Jaccard loss
    of calling the first k rows wrong is J_k = 1 - (P - hits lost) / (P + false ones); the extension weighs the k-th
    error with J_k - J_(k-1).
    Source: Berman, Triki, Blaschko, "The Lovasz-Softmax loss" (CVPR 2018), equations 8 to 11.

    Args:
        scores: (V, C), before the softmax.
        labels: (V,) int64.
    """
    labelled = labels != IGNORE
    if not bool(labelled.any()):
        return scores.float().sum() * 0
    truth = labels[labelled]
    probabilities = scores.float()[labelled].softmax(dim=1)
    losses = []
    for label in torch.unique(truth).tolist():
        is_class = (truth == label).float()
        errors, order = (is_class - probabilities[:, label]).abs().sort(descending=True, stable=True)
        losses.append((errors * _jaccard_steps(is_class[order])).sum())  # autocast would take a product @ in half
    return torch.stack(losses).mean()


def _jaccard_steps(is_class: Tensor) -> Tensor:
    """J_k - J_(k-1) for the rows in order, (V,); see :func:`lovasz_softmax`."""
    total = is_class.sum()
    jaccard = 1 - (total - is_class.cumsum(0)) / (total + (1 - is_class).cumsum(0))
    return torch.diff(jaccard, prepend=jaccard.new_zeros(1))


def inverse_log_weights(counts: Tensor) -> Tensor:
    """Class weights (C,) 1 / ln(1.02 + share), brought to a mean of 1 over the classes that are there.

    Classes without a point weigh 0. Source: Paszke et al., "ENet" (2016), section 5.2.
    """
    counts = counts.double()
    there = counts > 0
    weights = torch.where(there, 1 / torch.log(1.02 + counts / counts.sum().clamp_min(1)), 0.0)
    return (weights / weights[there].mean()).float() if bool(there.any()) else torch.ones_like(weights).float()
