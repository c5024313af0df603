"""Means, paired differences and their intervals."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from sparse3d.study import statistics
from sparse3d.study.statistics import LISTED, Estimate, bootstrap, paired, samples


def test_the_interval_is_that_of_all_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """For five values all 3,125 resamples can be listed; drawn ones approach their percentiles."""
    values = [0.1, 0.2, 0.6, 0.45, 0.3]
    means = sorted(float(np.mean(draw)) for draw in product(values, repeat=5))
    low, high = means[78], means[-79]  # beyond them lie fewer than 2.5 in 100 of 3,125
    found = bootstrap(values, resamples=1)
    assert found.n == 5 and found.mean == pytest.approx(0.33)
    assert found.low == pytest.approx(low) and found.high == pytest.approx(high)
    monkeypatch.setattr(statistics, "LISTED", 4)
    found = bootstrap(values, resamples=40_000)
    assert found.low == pytest.approx(low, abs=0.005) and found.high == pytest.approx(high, abs=0.005)


@pytest.mark.parametrize("count", [3, 4, 5, 6])
def test_of_few_values_the_other_way_round_the_interval_is_the_negated_one(count: int) -> None:
    """Resampled means of few values are few: drawn at random, ties decided which one an end was."""
    values = np.random.default_rng(count).normal(size=count)
    found, negated = bootstrap(values), bootstrap(-values)
    assert (negated.low, negated.high) == (pytest.approx(-found.high), pytest.approx(-found.low))  # type: ignore[operator]


def test_of_three_values_the_interval_is_their_range() -> None:
    """Each end is one resample of 27, which is more than 2.5 in a hundred: nothing within it may be cut off."""
    found = bootstrap([7.6, -1.1, 6.5])
    assert (found.low, found.high) == (pytest.approx(-1.1), pytest.approx(7.6))


def test_cells_of_one_label_set_are_one_value() -> None:
    """They have their rooms in common: two seeds of three label sets are no six independent values."""
    base = {(k, seed): 0.0 for k in range(3) for seed in range(2)}
    gains = {(k, seed): 0.01 * k + 0.002 * seed for k, seed in base}
    found = paired(gains, base)
    assert found is not None and found == bootstrap([0.001, 0.011, 0.021])
    assert samples({(None, 0): 1.0, (None, 1): 3.0}) == [1.0, 3.0]


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(1.0, 2.0, (300, 40))
    covered = [e.low <= 1.0 <= e.high for e in (bootstrap(row, 400) for row in draws)]  # type: ignore[operator]
    assert 0.89 < np.mean(covered) < 0.98


@pytest.mark.parametrize("count", [3, 5])
def test_of_few_values_too_hardly_more_than_five_in_a_hundred_are_called_different(count: int) -> None:
    """Trap: the percentile bootstrap alone finds 24 of 100 samples of three different from their true mean."""
    draws = np.random.default_rng(0).normal(0.0, 2.0, (2000, count))
    found = [bootstrap(row, 200) for row in draws]
    assert np.mean([estimate.excludes_zero for estimate in found]) < 0.06
    assert np.mean([abs(e.mean) > e.student for e in found]) == pytest.approx(0.05, abs=0.012)  # type: ignore[operator]


def test_it_is_the_same_each_time_and_in_any_order() -> None:
    values = np.random.default_rng(1).random(LISTED + 1)
    assert bootstrap(values) == bootstrap(values[::-1])
    assert bootstrap(values) != bootstrap(values, seed=1)


def test_both_intervals_must_leave_zero_out_on_one_side() -> None:
    def estimate(mean: float, low: float, high: float, student: float) -> bool:
        return Estimate(mean, 5, low, high, student).excludes_zero

    assert estimate(1.0, 0.5, 1.5, 0.9) and estimate(-1.0, -1.5, -0.5, 0.9)
    assert not estimate(1.0, -0.1, 1.5, 0.9) and not estimate(-1.0, -1.5, 0.1, 0.9)  # the bootstrap's holds zero
    assert not estimate(1.0, 0.5, 1.5, 1.1) and not estimate(-1.0, -1.5, -0.5, 1.1)  # Student's does


@pytest.mark.parametrize("count", [1, 2])
def test_few_values_get_no_interval(count: int) -> None:
    found = bootstrap([1.0, 3.0][:count])
    assert (found.low, found.high, found.n) == (None, None, count) and not found.excludes_zero


def test_equal_values_have_an_interval_of_no_width() -> None:
    found = bootstrap([0.25] * 4)
    assert found.low == found.high == found.mean == 0.25 and found.excludes_zero


def test_no_values_are_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        bootstrap([])


def test_only_pairs_count() -> None:
    """Label sets differ by far more than rows do: paired, the difference is exact."""
    base = {(k, 0): 0.1 * k for k in range(6)}
    found = paired({**{key: value + 0.02 for key, value in base.items()}, (9, 9): 5.0}, base)
    assert found is not None and found.n == 6
    assert found.mean == pytest.approx(0.02) and found.low == pytest.approx(0.02) and found.excludes_zero
    assert paired({(0, 1): 1.0}, base) is None
