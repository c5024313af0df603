"""Multi-view consistency: features of two views must tell where a pixel of one lies in the other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def matching_loss(
    queries: Tensor,
    keys: Tensor,
    true_key: Tensor,
    true_place: Tensor,
    key_place: Tensor,
    scale: Tensor | float,
    near: Tensor | None = None,
    coordinate_weight: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy at the true cell plus the Huber loss of the expected coordinate.

    Args:
        queries: (M, d) unit embeddings of the source cells.
        keys: (K, d) unit embeddings of all valid target cells.
        true_key: (M,) int64, the true cell's row in ``keys``.
        true_place: (M, 2) float, the true (row, col) divided by the image size.
        key_place: (K, 2) float, each target cell's centre (row, col) divided by the image size.
        scale: one over the softmax's temperature.
        near: (M, K) bool, cells that are no wrong answer (too close to the truth); the true cell may be among them.
        coordinate_weight: of the Huber term.

    Returns:
        The loss, and the share of queries whose most similar cell is the true one or a near one; scalars, zero
        without queries.
    """
    if len(queries) == 0:
        zero = _zero_of(queries, keys, scale)
        return zero, zero.detach()
    logits = _product(queries, keys.t()) * scale
    hits = logits.detach().argmax(dim=1)
    correct = hits == true_key
    if near is not None:
        correct |= near.gather(1, hits[:, None])[:, 0]
        others = near.clone()
        others.scatter_(1, true_key[:, None], False)
        contrast = logits.masked_fill(others, float("-inf"))
    else:
        contrast = logits
    loss = F.cross_entropy(contrast, true_key)
    if coordinate_weight > 0:
        expected = _product(logits.softmax(dim=1), key_place)
        loss = loss + coordinate_weight * F.smooth_l1_loss(expected, true_place, beta=0.1)
    return loss, correct.float().mean()


def coordinate_regression_loss(predicted: Tensor, true_place: Tensor, beta: float = 0.05) -> Tensor:
    """Huber loss of predicted against true coordinates (M, 2), divided by the image size; zero without rows."""
    if len(predicted) == 0:
        return _zero_of(predicted)
    return F.smooth_l1_loss(predicted.float(), true_place, beta=beta)


def info_nce_loss(
    queries: Tensor, keys: Tensor, xyz: Tensor, exclude_within: float = 0.1, temperature: Tensor | float = 0.07
) -> Tensor:
    """Point InfoNCE over M true pairs; the other pairs' keys are the negatives.

    Source: Xie et al., "PointContrast" (ECCV 2020), equation 3, with the negatives closer than
    ``exclude_within`` left out.

    Args:
        queries: (M, d) unit embeddings.
        keys: (M, d) unit embeddings, row m the match of query m.
        xyz: (M, 3) where the keys lie, metres.
    """
    if len(queries) == 0:
        return _zero_of(queries, keys, temperature)
    logits = _product(queries, keys.t()) / temperature
    near = closer_than(xyz, xyz, exclude_within)
    near.fill_diagonal_(False)
    return F.cross_entropy(logits.masked_fill(near, float("-inf")), torch.arange(len(queries), device=queries.device))


def closer_than(a: Tensor, b: Tensor, distance: float) -> Tensor:
    """(N, M) bool: points ``a`` (N, 3) and ``b`` (M, 3) closer than ``distance``; exact far from the origin too."""
    # Through matrix products, |a|^2 + |b|^2 - 2ab would lose centimetres some hundred metres from the origin.
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist") < distance


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product in float32 also under autocast, which would round it to bfloat16."""
    with torch.autocast(a.device.type, enabled=False):
        return a.float() @ b.float()


def _zero_of(*parts: Tensor | float) -> Tensor:
    """Zero that depends on every tensor: with several processes each parameter must take part in every step."""
    return torch.stack([part.float().sum() * 0 for part in parts if isinstance(part, Tensor)]).sum()
