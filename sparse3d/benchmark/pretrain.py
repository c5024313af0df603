"""``bench.py pretrain``: where the time of real pre-training steps goes, on the real config and data."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from sparse3d import config, run
from sparse3d.benchmark.ranges import PREFIX, STEP, marked_kernel_maps, marked_modules, seconds_by_range
from sparse3d.errors import InputError
from sparse3d.models.pretrain_net import PretrainNet
from sparse3d.sparse import configure, resolve
from sparse3d.training.distribution import processes, unwrapped
from sparse3d.training.interrupt import StopRequest
from sparse3d.training.loop import Trainer
from sparse3d.training.random_state import deterministic_algorithms, seed_everything
from sparse3d.training.settings import TrainSettings
from sparse3d.training.transfer import InitSettings

# Part -> the range and direction that it is made of; what is in none of them is "rest".
_BACKBONE, _STUDENT, _HEADS, _MODEL = "backbone", "student", "heads", "model"
_READOUTS = ("knowledge transfer's readout", "consistency's readout")
PARTS: dict[str, tuple[tuple[str, bool], ...]] = {
    "waiting for data": (("data", False),),
    "transfer": (("transfer", False),),
    "kernel maps": (("kernel maps", False),),
    "backbone forward": ((_BACKBONE, False),),
    "backbone backward": ((_BACKBONE, True),),
    "teacher": (("teacher", False),),
    "2D student": ((_STUDENT, False), (_STUDENT, True)),
    "readouts": tuple((name, backward) for name in _READOUTS for backward in (False, True)),
    "projection": ((_MODEL, False), (_MODEL, True)),
    "matching head": ((_HEADS, False), (_HEADS, True)),
    "losses": (("losses", False), ("losses", True), ("teacher", True)),
    "optimiser": (("update", False),),
}
REST = "rest"


@dataclasses.dataclass(frozen=True)
class PretrainOptions:
    """What is measured."""

    config: str = "pretrain/redkitchen.gin"
    bindings: Sequence[str] = ()
    steps: int = 16
    skip: int = 4  # steps before, to warm up; the first ones also meet the most images that the teacher has not seen


def measure_pretrain(options: PretrainOptions, say: Callable[[str], None]) -> dict[str, Any]:
    """Runs ``skip`` steps, ``steps`` timed ones, then ``steps`` under the profiler.

    Returns:
        ``shares`` of :data:`PARTS` and :data:`REST` in the profiled steps, which sum to 1, and how many images a step
        the teacher computed there (it remembers those that it has seen); ``seconds_a_step``, the median without the
        profiler, and the share of ``waiting`` for data in it; the config, the backend, and the data workers.

    Raises:
        InputError: numbers out of range, a bad config, or data that cannot be read.
    """
    if options.steps < 1 or options.skip < 0:
        raise InputError(f"--steps {options.steps} --skip {options.skip}: at least 1 and 0")
    config.load_config([options.config], options.bindings)
    with ExitStack() as closing:
        closing.enter_context(config.configured_calls())
        configure()
        stop = closing.enter_context(StopRequest())
        trainer = closing.enter_context(_trainer(2 * options.steps + options.skip, stop))
        taught = closing.enter_context(_counted_teacher(trainer.task))
        count = options.skip + options.steps
        times = []
        for step in range(count):
            say(f"step {step + 1} of {count + options.steps}")
            started = time.perf_counter()
            waited = float(trainer.optimize(step, stop).scalars["time/data_s"])
            times.append((time.perf_counter() - started, waited))
            if stop:
                raise KeyboardInterrupt
        taught.clear()
        say(f"{options.steps} steps under the profiler")
        shares = _profiled_shares(trainer, stop, range(count, count + options.steps))
        name, _ = resolve(trainer.group.device)
    plain = times[options.skip :]
    return {
        "config": options.config,
        "backend": name,
        "workers": trainer.settings.workers,
        "steps": options.steps,
        "skipped": options.skip,
        "seconds_a_step": median(seconds for seconds, _ in plain),
        "waiting": sum(waited for _, waited in plain) / sum(seconds for seconds, _ in plain),
        "images_a_step_taught_anew": sum(taught) / options.steps,
        "shares": shares,
    }


@contextmanager
def _trainer(steps: int, stop: StopRequest) -> Iterator[Trainer]:
    """A trainer at its first step, as :func:`sparse3d.run.start` has it, in a folder that goes away."""
    settings = dataclasses.replace(TrainSettings(), steps=max(steps, TrainSettings().steps), tensorboard=False)
    seed_everything(settings.seed)
    with ExitStack() as closing:
        group = closing.enter_context(processes(settings.device))
        if settings.deterministic:
            closing.enter_context(deterministic_algorithms())
        folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="sparse3d-bench-"))
        out, text = Path(folder) / "run", config.config_text()
        task = run.build_task()
        trainer = Trainer(task, out, settings, group, stop, text, InitSettings())
        closing.callback(trainer.close)
        trainer.set_up(False, lambda: run.check_config(task))
        yield trainer


def _profiled_shares(trainer: Trainer, stop: StopRequest, steps: Sequence[int]) -> dict[str, float]:
    # One profile over all steps: reading it out between them would give the data workers a head start.
    profiler = profile(activities=[ProfilerActivity.CPU])
    with marked_modules(_parts_of(trainer.model)), marked_kernel_maps(), profiler:
        for step in steps:
            with record_function(PREFIX + STEP):
                trainer.optimize(step, stop)
    return shares_of_parts(seconds_by_range(profiler.events()))


def shares_of_parts(seconds: dict[tuple[str, bool], float]) -> dict[str, float]:
    """Shares of :data:`PARTS` and :data:`REST` in all that was measured; they sum to 1."""
    total = sum(seconds.values())
    shares = {part: sum(seconds.get(key, 0.0) for key in keys) / total for part, keys in PARTS.items()}
    claimed = {key for keys in PARTS.values() for key in keys}
    shares[REST] = sum(value for key, value in seconds.items() if key not in claimed) / total
    return shares


def _parts_of(model: nn.Module) -> dict[str, nn.Module]:
    """The networks inside a pre-training network by the range's name."""
    net = unwrapped(model)
    assert isinstance(net, PretrainNet)
    found: dict[str, nn.Module | None]
    found = {_MODEL: net, _STUDENT: net.student, _HEADS: net.head}
    # The losses may share one readout, which is then marked once.
    found |= dict(zip(_READOUTS, dict.fromkeys((net.kt_readout, net.mv_readout)), strict=False))
    return {name: module for name, module in found.items() if module is not None}


@contextmanager
def _counted_teacher(task: Any) -> Iterator[list[int]]:
    """While it lasts, a list that grows by the number of images whenever the teacher computes."""
    counts: list[int] = []
    if getattr(task, "kt_weight", 0) <= 0:
        yield counts
        return
    teacher = task.teacher
    extract = teacher.extract

    def counting(images: Any) -> Any:
        counts.append(len(images))
        return extract(images)

    teacher.extract = counting
    try:
        yield counts
    finally:
        del teacher.extract
