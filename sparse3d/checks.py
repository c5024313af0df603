"""Checks of option values: each breach is one line that names the option as gin names it, its value and its range."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from sparse3d.errors import InputError


def require(holds: bool, option: str, value: object, wanted: str) -> None:
    """Raises InputError unless ``holds``: ``ViewSets.views = 1: must be at least 2``."""
    if not holds:
        raise InputError(f"{option} = {value!r}: must be {wanted}")


def one_of(option: str, value: object, known: Iterable[object]) -> None:
    """Raises InputError unless the value is among the ``known`` ones, which it names."""
    known = list(known)
    if value not in known:
        raise InputError(f"{option} = {value!r} is unknown: choose one of {', '.join(map(str, known))}")


def fraction(option: str, value: float, of: str) -> None:
    """Raises InputError unless the value is above 0 and at most 1: a share of the scenes, say."""
    require(0 < value <= 1, option, value, f"in (0, 1], as a share of the {of}")


def in_range(option: str, value: float, low: float, high: float) -> None:
    """Raises InputError unless ``low <= value <= high``."""
    require(low <= value <= high, option, value, f"in [{low:g}, {high:g}]")


def positive(option: str, value: float, unit: str = "") -> None:
    """Raises InputError unless the value is finite and above 0."""
    require(0 < value < math.inf, option, value, "positive and finite" + f", in {unit}" * bool(unit))


def not_negative(option: str, value: float, unit: str = "") -> None:
    """Raises InputError unless the value is finite and at least 0."""
    require(0 <= value < math.inf, option, value, "finite and at least 0" + f", in {unit}" * bool(unit))


def at_least(option: str, value: int | None, least: int) -> None:
    """Raises InputError where the value is below ``least``; None, where an option takes it, is no limit."""
    require(value is None or value >= least, option, value, f"at least {least}")


def weights(option: str, values: Sequence[float]) -> None:
    """Raises InputError unless all are finite and at least 0, and one is above."""
    sane = all(0 <= value < math.inf for value in values) and sum(values) > 0
    require(sane, option, tuple(values), "finite, at least 0, and not all 0")
