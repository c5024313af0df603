"""Loading some weights of another network, with a report of what fitted and what did not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor, nn

from sparse3d.errors import InputError

COUNTER = "num_batches_tracked"  # of torch's batch norms, without effect while their momentum is a number


@dataclass
class WeightReport:
    """What :func:`load_weights` did, by tensor name."""

    source: str
    matched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # wanted by the model, not given
    unexpected: list[str] = field(default_factory=list)  # given, not wanted
    mismatched: list[str] = field(default_factory=list)  # given in another shape; "name: given -> wanted"
    of_values: float = 0.0  # how much of the wanted parameters' values was loaded
    of_tensors: float = 0.0  # how many of the wanted tensors: norms weigh nothing by their values

    @property
    def fraction(self) -> float:
        """What counts for ``min_fraction``: the smaller of the two."""
        return min(self.of_values, self.of_tensors)

    def __str__(self) -> str:
        shares = f"{self.of_tensors:.0%} of the tensors, {self.of_values:.0%} of the parameters"
        counts = f"{len(self.matched)} tensors ({shares}) loaded from {self.source}"
        parts = [f"{len(names)} {kind} ({_some(names)})" for kind, names in self._left_out() if names]
        return counts + ("; " + "; ".join(parts) if parts else "")

    def _left_out(self) -> list[tuple[str, list[str]]]:
        return [("missing", self.missing), ("unexpected", self.unexpected), ("of another shape", self.mismatched)]


def _some(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def load_weights(
    model: nn.Module,
    state_dict: dict[str, Tensor],
    source: str,
    min_fraction: float = 1.0,
    wanted: Iterable[str] | None = None,
) -> WeightReport:
    """Copies the tensors of equal name and shape into the model.

    Args:
        model: takes the weights; untouched when the loading is refused.
        state_dict: tensors by name; a leading ``module.`` (a network saved in its wrapper) is removed.
        source: where they come from, for messages.
        min_fraction: the least part of the model's tensors, and of its parameters' values, in [0, 1], that must be
            found; counters of batches (``num_batches_tracked``) are not asked for.
        wanted: names of the model's tensors that count for ``min_fraction`` and are missed where they are not given;
            None for all. Others are loaded too where they fit.

    Raises:
        InputError: less than ``min_fraction`` matches.
    """
    given = {name.removeprefix("module."): value for name, value in state_dict.items()}
    own = model.state_dict()
    asked = set(own) if wanted is None else set(wanted)
    report = WeightReport(str(source), unexpected=[name for name in given if name not in own])
    for name, value in own.items():
        if name not in given:
            report.missing += [name] if name in asked else []
        elif given[name].shape != value.shape:
            report.mismatched.append(f"{name}: {tuple(given[name].shape)} -> {tuple(value.shape)}")
        else:
            report.matched.append(name)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters() if name in asked}
    counted = {name for name in asked if not name.endswith(COUNTER)}
    report.of_values = sum(sizes.get(name, 0) for name in report.matched) / max(1, sum(sizes.values()))
    report.of_tensors = len(counted & set(report.matched)) / max(1, len(counted))
    if report.fraction < min_fraction or not report.matched:
        raise InputError(f"too little fits: {report}; at least {min_fraction:.0%} of both must be found")
    model.load_state_dict({name: given[name] for name in report.matched}, strict=False)
    return report
