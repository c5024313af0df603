"""Features that are computed again for the backward pass rather than kept until then.

The output of a normalisation (with its ReLU) is one pass over its input, which the normalisation keeps for its own
gradients. So the convolution that reads that output keeps the way to make it, not the output itself: of the two large
tensors a layer would keep, one remains. (The idea of in-place activated batch normalisation, Rota Bulo et al. 2018,
without its restriction to invertible activations.) Writing through ``.data`` is not seen by it, as by autograd.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary


@dataclass(frozen=True)
class Recipe:
    """``compute(*inputs)`` gives the tensor again, to the bit."""

    inputs: tuple[Tensor | None, ...]
    compute: Callable[..., Tensor]
    version: int  # of the tensor: whoever writes into it leaves the recipe behind
    versions: tuple[int | None, ...]  # of the inputs: written to, they make something else


_recipes = WeakTensorKeyDictionary()


def remember(out: Tensor, inputs: tuple[Tensor | None, ...], compute: Callable[..., Tensor]) -> None:
    """Note how ``out`` is made, for as long as it lives."""
    versions = tuple(None if t is None else t._version for t in inputs)
    _recipes[out] = Recipe(tuple(None if t is None else t.detach() for t in inputs), compute, out._version, versions)


def recipe_of(out: Tensor) -> Recipe | None:
    """How ``out`` is made, if anyone said so and neither it nor what it is made of was written to since."""
    recipe: Recipe | None = _recipes.get(out)
    if recipe is None or recipe.version != out._version:
        return None
    same = (t is None or t._version == v for t, v in zip(recipe.inputs, recipe.versions, strict=True))
    return recipe if all(same) else None
