"""Names the parts of a training step for torch's profiler, and sums its time by them, forward and backward.

The loop, the task and the network mark what is theirs (``sparse3d.data``, ``sparse3d.teacher``, ...). Whole modules are
marked here, by hooks, and kernel maps by wrapping the coordinate manager's methods, so that neither knows of being
measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

from torch import nn
from torch.profiler import record_function

from sparse3d.sparse.manager import CoordinateManager

PREFIX = "sparse3d."
STEP, MAPS = "step", "kernel maps"
_MAP_METHODS = ("__init__", "strided", "upsampled", "parents", "kernel_map")


@contextmanager
def marked_modules(modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """While it lasts, the forward pass of each module is a range of the name given with it."""
    with ExitStack() as closing:
        for name, module in modules.items():
            opened: list[Any] = []

            def enter(*_: Any, name: str = name, opened: list[Any] = opened) -> None:
                opened.append(record_function(PREFIX + name))
                opened[-1].__enter__()

            def leave(*_: Any, opened: list[Any] = opened) -> None:
                opened.pop().__exit__(None, None, None)

            closing.callback(module.register_forward_pre_hook(enter).remove)
            closing.callback(module.register_forward_hook(leave, always_call=True).remove)
        yield


@contextmanager
def marked_kernel_maps() -> Iterator[None]:
    """While it lasts, making coordinate sets and kernel maps is a range (MinkowskiEngine makes its own unseen)."""
    kept = {name: getattr(CoordinateManager, name) for name in _MAP_METHODS}
    try:
        for name, method in kept.items():
            setattr(CoordinateManager, name, _marked(method))
        yield
    finally:
        for name, method in kept.items():
            setattr(CoordinateManager, name, method)


def _marked(method: Any) -> Any:
    @wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        with record_function(PREFIX + MAPS):
            return method(*arguments, **options)

    return call


def seconds_by_range(events: Iterable[Any]) -> dict[tuple[str, bool], float]:
    """Seconds of profiled operations by (name of the innermost range around, whether in the backward pass).

    An operation of the backward pass belongs to the range of the forward operation whose gradient it computes: autograd
    gives both one number. What no range claims is of the range :data:`STEP`, which must be around everything.

    Args:
        events: of one or more ranges :data:`STEP`, all of the thread that trains.
    """
    inside = [event for event in events if _root(event).name == PREFIX + STEP]
    forward: dict[int, str] = {}
    for event in sorted((e for e in inside if e.sequence_nr >= 0), key=lambda e: e.time_range.start):
        if _number_of_backward(event) is None:
            forward[event.sequence_nr] = _range_of(event)  # the last one with a number is what made the node
    seconds: dict[tuple[str, bool], float] = {}
    for event in inside:
        number = _number_of_backward(event)
        key = (_range_of(event), False) if number is None else (forward.get(number, STEP), True)
        seconds[key] = seconds.get(key, 0.0) + event.self_cpu_time_total / 1e6
    return seconds


def _root(event: Any) -> Any:
    while event.cpu_parent is not None:
        event = event.cpu_parent
    return event


def _range_of(event: Any) -> str:
    while event is not None:
        if event.name.startswith(PREFIX):
            return event.name.removeprefix(PREFIX)
        event = event.cpu_parent
    return STEP


def _number_of_backward(event: Any) -> int | None:
    """Autograd's number of the node that is evaluated around this event; None outside of the backward pass."""
    while event is not None:
        if event.name.startswith("autograd::engine::evaluate_function"):
            return event.sequence_nr
        event = event.cpu_parent
    return None
