"""Means, paired differences and their intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

LEAST = 3  # fewer values tell nothing of their spread, so no interval is given
LEVEL = 0.95
LISTED = 6  # of so many values all resamples (46,656) are taken, not some


Pair = tuple[int | None, int]  # label set, seed


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
        resamples: draws of n values with replacement; up to six values all that there are are taken instead, so that
            the interval of the negated values is the negated interval.
        seed: of the draws; the order of ``values`` does not matter.

    Raises:
        ValueError: no values.
    """
    known = np.sort(np.asarray(values, dtype=np.float64))
    if not len(known):
        raise ValueError("no values to take the mean of")
    if len(known) < LEAST:
        return Estimate(float(known.mean()), len(known))
    tail = 50 * (1 - LEVEL)
    means = known[_resampled(len(known), resamples, seed)].mean(axis=1)
    # Means that occur: of three values each end is a resample in 27, more than the tail, and no place between two is.
    low, high = (sign * float(np.percentile(sign * means, tail, method="inverted_cdf")) for sign in (1, -1))
    error = float(known.std(ddof=1)) / len(known) ** 0.5
    student = error * float(stdtrit(len(known) - 1, 1 - tail / 100))
    return Estimate(float(known.mean()), len(known), low, high, student)


def _resampled(count: int, resamples: int, seed: int) -> np.ndarray:
    """Rows (R, count) of resamples: all of them for few values."""
    if count <= LISTED:
        return np.indices((count,) * count).reshape(count, -1).T
    return np.random.default_rng(seed).integers(count, size=(resamples, count))


def samples(scores: Mapping[Pair, float]) -> list[float]:
    """What may count as independent: one value a label set, its mean over seeds; without label sets one a seed.

    Cells of one label set have their rooms in common, whatever the seed: as values of their own they would make the
    interval too narrow.
    """
    groups: dict[tuple[str, int], list[float]] = defaultdict(list)
    for (label_set, seed), score in scores.items():
        groups[("seed", seed) if label_set is None else ("set", label_set)].append(score)
    return [sum(group) / len(group) for group in groups.values()]


def paired(
    scores: Mapping[Pair, float], reference: Mapping[Pair, float], resamples: int = 10_000, seed: int = 0
) -> Estimate | None:
    """The mean of ``scores - reference`` over the pairs of both (:func:`samples`); None without any."""
    differences = {pair: score - reference[pair] for pair, score in scores.items() if pair in reference}
    return bootstrap(samples(differences), resamples, seed) if differences else None
