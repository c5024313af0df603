"""Means, paired differences and their bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEAST = 3  # fewer values tell nothing of their spread, so no interval is given
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean of ``n`` values with its 95 % interval, None where there are fewer than :data:`LEAST`."""

    mean: float
    n: int
    low: float | None = None
    high: float | None = None

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval is there and lies wholly on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def bootstrap(values: Sequence[float] | np.ndarray, resamples: int = 10_000, seed: int = 0) -> Estimate:
    """The mean and its percentile bootstrap interval.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13. With few values it is too
    narrow; the table gives their number.

    Args:
        values: (n,) at least one.
        resamples: draws of n values with replacement.
        seed: of the draws; the order of ``values`` does not matter.

    Raises:
        ValueError: no values.
    """
    known = np.sort(np.asarray(values, dtype=np.float64))
    if not len(known):
        raise ValueError("no values to take the mean of")
    if len(known) < LEAST:
        return Estimate(float(known.mean()), len(known))
    rows = np.random.default_rng(seed).integers(len(known), size=(resamples, len(known)))
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(known[rows].mean(axis=1), [tail, 100 - tail])
    return Estimate(float(known.mean()), len(known), float(low), float(high))


def paired(
    scores: Mapping[Any, float], reference: Mapping[Any, float], resamples: int = 10_000, seed: int = 0
) -> Estimate | None:
    """The mean of ``scores - reference`` over the keys that both have, None where they share none."""
    keys = [key for key in scores if key in reference]
    if not keys:
        return None
    return bootstrap([scores[key] - reference[key] for key in keys], resamples, seed)
