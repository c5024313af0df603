"""The axes of a sweep's picture."""

from __future__ import annotations

import pytest

from sparse3d.benchmark.picture import LogScale


@pytest.mark.parametrize("values", [[3.2, 9.9], [1.2, 2.04], [0.02, 0.031], [0.5, 180.0], [7.0, 7.0], [9.0, 1100.0]])
def test_an_axis_has_marks_enough_to_read_values_by(values: list[float]) -> None:
    scale = LogScale(values, 70, 610)
    assert all(70 <= scale(tick) <= 610 for tick in scale.ticks)
    assert 4 <= len(scale.ticks) <= 13 or (min(values) == max(values) and scale.ticks)


def test_equal_ratios_are_equally_far_apart_and_the_values_lie_within() -> None:
    scale = LogScale([1.0, 100.0], 0, 500)
    assert scale(10) - scale(1) == pytest.approx(scale(100) - scale(10))
    assert 0 < scale(1) < scale(100) < 500
