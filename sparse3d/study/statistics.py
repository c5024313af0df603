"""Means, paired differences and their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

LEAST = 3  # fewer values tell nothing of their spread, so no interval is given
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean of ``n`` values with its 95 % intervals, None where there are fewer than :data:`LEAST`."""

    mean: float
    n: int
    low: float | None = None  # of the bootstrap
    high: float | None = None
    student: float | None = None  # half the width of Student's t interval

    @property
    def excludes_zero(self) -> bool:
        """Whether both intervals are there and lie wholly on one side of zero.

        The percentile bootstrap alone never leaves the range of the values: of three it calls a quarter of all samples
        around zero different from it.
        """
        if self.low is None or self.high is None or self.student is None:
            return False
        return (self.low > 0 or self.high < 0) and abs(self.mean) > self.student


def bootstrap(values: Sequence[float] | np.ndarray, resamples: int = 10_000, seed: int = 0) -> Estimate:
    """The mean, its percentile bootstrap interval, and Student's t interval.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13. With few values the bootstrap's is
    too narrow; Student's holds for few, where they are about normal.

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
    error = float(known.std(ddof=1)) / len(known) ** 0.5
    student = error * float(stdtrit(len(known) - 1, 1 - tail / 100))
    return Estimate(float(known.mean()), len(known), float(low), float(high), student)


def paired(
    scores: Mapping[Any, float], reference: Mapping[Any, float], resamples: int = 10_000, seed: int = 0
) -> Estimate | None:
    """The mean of ``scores - reference`` over the keys that both have, None where they share none."""
    keys = [key for key in scores if key in reference]
    if not keys:
        return None
    return bootstrap([scores[key] - reference[key] for key in keys], resamples, seed)
