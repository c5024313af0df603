"""Channels side by side in kept memory, as decoders put a skip beside what comes up."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sparse3d.sparse.native.memory import empty_rows
from sparse3d.sparse.native.recompute import Recipe, recipe_of, remember


def concatenate(parts: list[Tensor]) -> Tensor:
    """``torch.cat(parts, dim=1)`` of rows (N, C_i)."""
    if any(part.dtype != torch.float32 or part.device.type != "cpu" for part in parts):
        return torch.cat(parts, dim=1)
    out: Tensor = _Concatenation.apply(*parts)
    recipes = [recipe_of(part) for part in parts]
    if any(recipe is not None for recipe in recipes):
        # Of a norm's output, which can be made again, and of a skip that the encoder keeps anyway: no more is kept.
        inputs = [(part,) if recipe is None else recipe.inputs for part, recipe in zip(parts, recipes, strict=True)]
        compute = partial(_again, recipes=tuple(recipes), counts=tuple(map(len, inputs)))
        remember(out, tuple(tensor for own in inputs for tensor in own), compute)
    return out


class _Concatenation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *parts: Tensor) -> Tensor:
        ctx.widths = [part.shape[1] for part in parts]
        return _side_by_side(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        grads = grad_out.split(ctx.widths, dim=1)
        needed = zip(grads, ctx.needs_input_grad, strict=True)
        return tuple(empty_rows(*grad.shape).copy_(grad) if need else None for grad, need in needed)


def _side_by_side(parts: tuple[Tensor, ...]) -> Tensor:
    return torch.cat(parts, dim=1, out=empty_rows(len(parts[0]), sum(part.shape[1] for part in parts)))


def _again(*inputs: Tensor | None, recipes: tuple[Recipe | None, ...], counts: tuple[int, ...]) -> Tensor:
    rest, parts = list(inputs), []
    for recipe, count in zip(recipes, counts, strict=True):
        own, rest = rest[:count], rest[count:]
        made = own[0] if recipe is None else recipe.compute(*own)
        assert made is not None
        parts.append(made)
    return _side_by_side(tuple(parts))
