"""Where the time of a train step goes: kernel maps, convolutions, their gradients, norms and sums, the rest."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.profiler import ProfilerActivity, profile

from sparse3d.benchmark.networks import layer_width, our_network
from sparse3d.benchmark.runners import NetworkRunner
from sparse3d.models.resunet import SPECS, ResUNetSpec

MAPS, CONVOLUTIONS, GRADIENTS, NORMS, REST = "kernel maps", "convolutions", "gradients", "norm, relu, add", "rest"
PARTS = (MAPS, CONVOLUTIONS, GRADIENTS, NORMS, REST)
# By the name of the outermost operation that one of these finds, the first that does.
_RULES = (
    (GRADIENTS, re.compile(r"(Convolution|Mm|Addmm)\w*Backward")),
    (NORMS, re.compile(r"norm|relu|threshold|aten::add|aten::cat|AddBackward|CatBackward", re.IGNORECASE)),
    (CONVOLUTIONS, re.compile(r"Convolution|aten::(mm|matmul|addmm)\b")),
)
_THIN = ResUNetSpec((16,) * 8, (1,) * 8, stem=16)


def step_parts(runner: NetworkRunner) -> dict[str, float]:
    """Seconds of each of :data:`PARTS` in one train step of what the runner has prepared.

    Every engine makes its kernel maps at another place, some inside the convolution. So the maps are timed as what a
    step over new coordinates takes longer than one over known ones (on a thin network, whose maps are the same and
    whose products are too small to hide the difference), and the other parts are profiled over known coordinates.
    """
    name, feats, network = runner.name, runner.feats, runner.network
    x = runner.tensor(runner.coords, feats)
    _step(runner, x)
    runner.forget_gradients()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        started = time.perf_counter()
        _step(runner, runner.again(x))
        seconds = time.perf_counter() - started
    runner.forget_gradients()
    del x
    parts = dict.fromkeys(PARTS, 0.0)
    for event in profiler.events():
        parts[part_of(event)] += event.self_cpu_time_total / 1e6
    parts[REST] = max(0.0, seconds - sum(parts.values()) + parts[REST])
    parts[MAPS] = _map_seconds(runner)
    runner.name, runner.network, runner.feats = name, network, feats
    return parts


def part_of(event: Any) -> str:
    """The part that a profiled operation belongs to, by the outermost of the operations around it that has one."""
    found = REST
    while event is not None:
        found = next((part for part, pattern in _RULES if pattern.search(event.name)), found)
        event = event.cpu_parent
    return found


def _step(runner: NetworkRunner, x: Any) -> None:
    runner.network.train()
    runner.features(runner.network(x)).square().mean().backward()


def _map_seconds(runner: NetworkRunner) -> float:
    fresh, known = [], []
    cloud = runner.coords[:, 1:].numpy()
    with _thin_network(layer_width(runner.name)) as thin:
        runner.prepare(thin, cloud, our_network(thin).state_dict())
        for _ in range(5):
            started = time.perf_counter()
            x = runner.tensor(runner.coords, runner.feats)
            _step(runner, x)
            middle = time.perf_counter()
            _step(runner, runner.again(x))
            fresh.append(middle - started)
            known.append(time.perf_counter() - middle)
    return max(0.0, min(fresh) - min(known))  # the least is what disturbances leave alone


@contextmanager
def _thin_network(width: int | None) -> Iterator[str]:
    """The name of a network with the kernel maps of the one that is measured, 16 channels wide."""
    if width is not None:
        yield "layer:16"
        return
    SPECS["thin"] = _THIN
    try:
        yield "thin"
    finally:
        del SPECS["thin"]
