"""Rate by step, parameter groups, weights taken from elsewhere."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sparse3d.errors import InputError
from sparse3d.training.optimizer import build_optimizer, parameter_groups
from sparse3d.training.schedule import schedule_factor
from sparse3d.training.settings import TrainSettings
from sparse3d.training.weights import load_weights


def test_without_warm_up_step_0_has_the_configured_rate() -> None:
    assert schedule_factor(0, 100, 0) == 1.0


def test_the_schedule_has_its_known_values() -> None:
    factors = [schedule_factor(step, 110, 10) for step in (0, 4, 9, 10, 35, 60, 85)]
    expected = [1 / 11, 5 / 11, 10 / 11, 1.0, 0.8535534, 0.5, 0.1464466]
    assert factors == pytest.approx(expected)
    assert 0 < schedule_factor(109, 110, 10) < 1e-3  # even the last step learns


def test_the_schedule_rises_to_its_top_and_falls_to_its_end() -> None:
    factors = [schedule_factor(step, 50, 7, final=0.1) for step in range(50)]
    assert factors[7] == max(factors) == 1.0
    assert factors[:8] == sorted(factors[:8]) and factors[7:] == sorted(factors[7:], reverse=True)
    assert min(factors[7:]) >= 0.1
    assert schedule_factor(40, 50, 7, "constant") == 1.0
    assert [schedule_factor(step, 50, 3, "constant") for step in range(4)] == [0.25, 0.5, 0.75, 1.0]  # warmed up, too
    assert schedule_factor(25, 50, 0, final=0.2) == pytest.approx(0.6)  # half way from 1 to the end


def test_norms_biases_and_tokens_are_free_of_decay_and_frozen_parts_left_out() -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(3, 4, 2)
            self.norm = nn.BatchNorm1d(4)
            self.token = nn.Parameter(torch.zeros(4))
            self.bias = nn.Parameter(torch.zeros(1, 4))  # MinkowskiEngine's shape of a bias
            self.frozen = nn.Linear(4, 4).requires_grad_(False)

    network = Network()
    decayed, free = parameter_groups(network, 0.1)
    assert decayed["weight_decay"] == 0.1 and [p is network.conv.weight for p in decayed["params"]] == [True]
    assert free["weight_decay"] == 0.0 and len(free["params"]) == 5


@pytest.mark.parametrize(("name", "kind"), [("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)])
def test_optimisers_by_name(name: str, kind: type) -> None:
    built = build_optimizer(nn.Linear(2, 2), name, 0.1, 0.0, (0.8, 0.97), 0.7)
    assert isinstance(built, kind)
    for group in built.param_groups:
        assert group["lr"] == 0.1
        assert group["betas"] == (0.8, 0.97) if name == "adamw" else group["momentum"] == 0.7


def test_a_network_without_trainable_parameters_is_refused() -> None:
    with pytest.raises(InputError, match="no trainable parameters"):
        parameter_groups(nn.Linear(2, 2).requires_grad_(False), 0.0)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0}, {"lr": 0.0}, {"lr": float("nan")}, {"optimizer": "adam"}, {"schedule": "linear"},
        {"workers": -1}, {"steps": "ten"}, {"steps": True}, {"amp": 1}, {"clip_norm": 0.0}, {"best_is": "max"},
        {"lr": float("inf")}, {"betas": (0.9,)}, {"betas": (1.5, 0.9)}, {"momentum": -1.0},
    ],
)  # fmt: skip
def test_an_option_out_of_range_names_itself(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=f"train.{next(iter(options))} = "):
        TrainSettings(**options)  # type: ignore[arg-type]


def two_layers(width: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, width), nn.BatchNorm1d(width), nn.Linear(width, 1))


def test_loading_weights_reports_what_matched_and_what_did_not() -> None:
    source, target = two_layers(), two_layers()
    state = {f"module.{name}": value for name, value in source.state_dict().items()}
    state["module.2.weight"] = torch.zeros(5, 3)
    del state["module.2.bias"]
    state["module.head"] = torch.zeros(1)
    report = load_weights(target, state, "elsewhere.pt", min_fraction=0.5)
    assert torch.equal(target[0].weight, source[0].weight)
    assert report.missing == ["2.bias"] and report.unexpected == ["head"]
    assert report.mismatched == ["2.weight: (5, 3) -> (1, 3)"]
    assert report.of_values == pytest.approx(15 / 19)
    assert report.fraction == report.of_tensors == 6 / 8, "batch norm counts, its counter of batches does not"
    assert "elsewhere.pt" in str(report) and "2.bias" in str(report)


def test_loading_that_matches_too_little_is_refused_and_changes_nothing() -> None:
    target = two_layers(3)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(InputError, match="too little fits"):
        load_weights(target, two_layers(4).state_dict(), "other.pt", min_fraction=0.5)
    with pytest.raises(InputError, match="too little fits"):
        load_weights(target, {}, "empty.pt", min_fraction=0.0)
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
