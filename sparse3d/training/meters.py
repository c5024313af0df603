"""Means of what steps report, over steps and processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Means:
    """Running sums by name; a name that only some steps report is averaged over those."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}
        self._pending: list[tuple[str, Tensor]] = []

    def add(self, scalars: Mapping[str, float | Tensor]) -> None:
        """Takes one step's values; tensors stay on their device until the means are asked for."""
        for name, value in scalars.items():
            if isinstance(value, Tensor):
                self._pending.append((name, value.detach()))
            else:
                self._add(name, float(value))

    def _add(self, name: str, value: float) -> None:
        total = self._sums.setdefault(name, [0.0, 0.0])
        total[0] += value
        total[1] += 1.0

    def sums(self) -> dict[str, list[float]]:
        """``{name: [sum, count]}``, plain numbers, to be gathered or saved."""
        if self._pending:
            values = torch.stack([value.float().reshape(()) for _, value in self._pending]).tolist()
            for (name, _), value in zip(self._pending, values, strict=True):
                self._add(name, value)
            self._pending.clear()
        return {name: list(total) for name, total in self._sums.items()}

    def load(self, sums: Mapping[str, Any]) -> None:
        """Takes back what :meth:`sums` gave."""
        self._pending.clear()
        self._sums = {name: [float(total[0]), float(total[1])] for name, total in sums.items()}

    def clear(self) -> None:
        """Starts a new window."""
        self._pending.clear()
        self._sums.clear()


def merged_means(gathered: list[dict[str, list[float]]]) -> dict[str, float]:
    """Means over all processes' sums; names in order of first appearance."""
    totals: dict[str, list[float]] = {}
    for sums in gathered:
        for name, (total, count) in sums.items():
            entry = totals.setdefault(name, [0.0, 0.0])
            entry[0] += total
            entry[1] += count
    return {name: total / count for name, (total, count) in totals.items()}
