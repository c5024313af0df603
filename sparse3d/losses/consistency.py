"""Multi-view consistency: features of two views must tell where a pixel of one lies in the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparse3d.sparse import resolve
from sparse3d.sparse.native import matching as native_form

# Loss, share of right answers, and the gradients by queries, keys and scale (none where they are not wanted).
_Result = tuple[Tensor, Tensor, tuple[Tensor, ...]]
_Compute = Callable[..., _Result]
_HUBER = 0.1  # where the Huber loss of an expected coordinate becomes linear


def matching_loss(
    queries: Tensor,
    keys: Tensor,
    true_key: Tensor,
    true_place: Tensor,
    key_place: Tensor,
    scale: Tensor | float,
    near: Tensor | None = None,
    coordinate_weight: float = 1.0,
    key_xyz: Tensor | None = None,
    near_distance: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy at the true cell plus the Huber loss of the expected coordinate.

    Cells that are no wrong answer (too close to the truth) are given by ``near``, or by ``key_xyz`` and
    ``near_distance``; the latter is computed by the compiled kernel where there is one.

    Args:
        queries: (M, d) unit embeddings of the source cells.
        keys: (K, d) unit embeddings of the target cells that are compared with.
        true_key: (M,) int64, the true cell's row in ``keys``.
        true_place: (M, 2) float, the true (row, col) divided by the image size.
        key_place: (K, 2) float, each target cell's centre (row, col) divided by the image size.
        scale: one over the softmax's temperature.
        near: (M, K) bool, cells that are no wrong answer; the true cell may be among them.
        coordinate_weight: of the Huber term.
        key_xyz: (K, 3) where the target cells lie, metres.
        near_distance: cells closer than this to the true one are no wrong answer, metres; 0 for none.

    Returns:
        The loss, and the share of queries whose most similar cell is the true one or a near one; scalars, zero
        without queries.

    Raises:
        ValueError: both forms of nearness are given.
    """
    if near is not None and key_xyz is not None:
        raise ValueError("matching_loss takes either near or key_xyz")
    if len(queries) == 0:
        zero = _zero_of(queries, keys, scale)
        return zero, zero.detach()
    scale = torch.as_tensor(scale, dtype=queries.dtype, device=queries.device)
    truth: dict[str, Any] = {
        "true_key": true_key,
        "true_place": true_place,
        "key_place": key_place,
        "coordinate_weight": coordinate_weight,
    }
    if near is None and _compiled(queries, keys):
        compute: _Compute = partial(native_form.matching, **truth, key_xyz=key_xyz, near_distance=near_distance)
    else:
        if key_xyz is not None and near_distance > 0:
            near = closer_than(key_xyz[true_key], key_xyz, near_distance)
        if near is not None:
            near = near.scatter(1, true_key[:, None], False)
        compute = partial(_matching, **truth, near=near)
    if torch.is_grad_enabled():
        return _Matching.apply(queries, keys, scale, compute)
    return compute(*_wide(queries, keys, scale), gradients=False)[:2]


class _Matching(torch.autograd.Function):
    """The matching loss with its gradients computed on the way, in a few passes over the matrix of queries by keys.

    With logits L = scale q k^T, c the softmax over keys that count as answers, p the one over all keys,
    x = p @ key_place, and h the gradient of the Huber term by x::

        dL = (c - true) / M + p * (h key_place^T - h x)
    """

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor, scale: Tensor, compute: _Compute) -> tuple[Tensor, Tensor]:
        loss, share, grads = compute(*_wide(queries, keys, scale), gradients=True)
        inputs = (queries, keys, scale)
        ctx.save_for_backward(*(grad.to(given.dtype) for grad, given in zip(grads, inputs, strict=True)))
        ctx.mark_non_differentiable(share)
        return loss, share

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return *(grad_loss * grad for grad in ctx.saved_tensors), None


def _compiled(queries: Tensor, keys: Tensor) -> bool:
    """Whether the native backend's kernel computes this."""
    return native_form.does(queries, keys) and resolve(queries.device)[0] == "native"


def _wide(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Float32, or float64 where the first is."""
    wide = torch.float64 if tensors[0].dtype == torch.float64 else torch.float32
    return tuple(tensor.to(wide) for tensor in tensors)


def _matching(
    queries: Tensor,
    keys: Tensor,
    scale: Tensor,
    true_key: Tensor,
    true_place: Tensor,
    key_place: Tensor,
    coordinate_weight: float,
    near: Tensor | None,
    gradients: bool,
) -> _Result:
    """What :func:`sparse3d.sparse.native.matching.matching` gives; ``near`` (M, K) without the true keys."""
    loss, share, grad = _logit_gradient(queries, keys, scale, true_key, true_place, key_place, coordinate_weight, near)
    if not gradients:
        return loss, share, ()
    with torch.autocast(queries.device.type, enabled=False):
        grad_queries, grad_keys = grad @ keys, (grad.t() @ queries).mul_(scale)
    grad_scale = (queries * grad_queries).sum().reshape(scale.shape)
    return loss, share, (grad_queries.mul_(scale), grad_keys, grad_scale)


def _logit_gradient(
    queries: Tensor,
    keys: Tensor,
    scale: Tensor,
    true_key: Tensor,
    true_place: Tensor,
    key_place: Tensor,
    coordinate_weight: float,
    near: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss, share of right answers, and the gradient by the logits (M, K); ``near`` without the true keys."""
    count = len(queries)
    key_place, true_place = key_place.to(queries.dtype), true_place.to(queries.dtype)
    logits = _product(queries, keys.t()).mul_(scale)
    rows, columns = torch.nonzero(near, as_tuple=True) if near is not None else (true_key[:0], true_key[:0])
    true_logit = logits.gather(1, true_key[:, None])[:, 0]
    # The few near keys are taken out of the matrix, so that one exponential serves both softmaxes.
    near_logits = logits[rows, columns]
    logits[rows, columns] = -torch.inf
    top, best = logits.max(dim=1)
    near_top = torch.full_like(top, -torch.inf).scatter_reduce(0, rows, near_logits, "amax")
    share = ((best == true_key) | (near_top > top)).to(logits.dtype).mean()
    answers = logits.sub_(top[:, None]).exp_()
    total = answers.sum(dim=1)
    loss = (total.log() + top - true_logit).mean()
    weights = torch.stack([torch.zeros_like(total), torch.zeros_like(total), 1 / (total * count)], dim=1)
    near_grad = torch.zeros_like(near_logits)
    if coordinate_weight > 0:
        highest = torch.maximum(top, near_top)
        lowered, near_answers = (top - highest).exp(), (near_logits - highest[rows]).exp()
        everything = (total * lowered).index_add(0, rows, near_answers)
        near_places = near_answers[:, None] * key_place[columns]
        expected = _product(answers, key_place) * lowered[:, None]
        expected = expected.index_add(0, rows, near_places) / everything[:, None]
        loss = loss + coordinate_weight * F.smooth_l1_loss(expected, true_place, beta=_HUBER)
        slope = ((expected - true_place) / _HUBER).clamp(-1, 1) * (coordinate_weight / true_place.numel())
        offset = (slope * expected).sum(dim=1)
        weights[:, :2] = slope * (lowered / everything)[:, None]
        weights[:, 2] -= offset * lowered / everything
        near_grad = near_answers / everything[rows] * ((slope[rows] * key_place[columns]).sum(dim=1) - offset[rows])
    grad = answers.mul_(_product(weights, torch.cat([key_place, torch.ones_like(key_place[:, :1])], dim=1).t()))
    grad[rows, columns] = near_grad
    grad[torch.arange(count, device=grad.device), true_key] -= 1 / count
    return loss, share, grad


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
    """Matrix product in float32 (or float64) also under autocast, which would round it to bfloat16."""
    with torch.autocast(a.device.type, enabled=False):
        return a @ b if a.dtype == torch.float64 else a.float() @ b.float()


def _zero_of(*parts: Tensor | float) -> Tensor:
    """Zero that depends on every tensor: with several processes each parameter must take part in every step."""
    return torch.stack([part.float().sum() * 0 for part in parts if isinstance(part, Tensor)]).sum()
