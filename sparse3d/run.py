"""One run from its config: the entry that a gin file fills with ``run.task = @SomeTask()``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gin

from sparse3d import config
from sparse3d.errors import InputError
from sparse3d.sparse.backend import configure, resolve
from sparse3d.training.distribution import choose_device
from sparse3d.training.loop import train
from sparse3d.training.random_state import seed_everything
from sparse3d.training.settings import TrainSettings
from sparse3d.training.task import Task
from sparse3d.training.transfer import InitSettings


@gin.configurable("run", module="sparse3d")
def configured_task(task: Any = gin.REQUIRED) -> Any:
    """The task that the loaded config describes."""
    return task


def build_task() -> Any:
    """The configured task; what its constructor draws from global generators is fixed by nothing but the config.

    Raises:
        InputError: the config binds no ``run.task``, or leaves out a parameter that must be given.
    """
    with config.configured_calls():
        task = configured_task()
    if isinstance(task, type):
        raise InputError(f"run.task = @{task.__name__}: write @{task.__name__}(), with brackets")
    return task


def check_config(task: Any) -> None:
    """:func:`sparse3d.config.check_all_used` of a training, with what its parts say of their own options."""
    idle = {"train": TrainSettings().idle_options(), "init": InitSettings().idle_options()}
    config.check_all_used(idle={**idle, **task.idle_options_of_parts(), type(task).__name__: task.idle_options()})


def start(files: Sequence[str | Path], bindings: Sequence[str], out: str | Path, resume: bool = False) -> None:
    """Loads the config, builds the task and trains it; see :func:`sparse3d.training.loop.train`."""
    config.load_config(files, bindings)
    with config.configured_calls():
        configure()
        settings = TrainSettings()
        name, reason = resolve(choose_device(settings.device))
        notes = [f"sparse backend: {name} ({reason})"]
        seed_everything(settings.seed)
        task = build_task()
        if not isinstance(task, Task):
            raise InputError(f"run.task is a {type(task).__name__}, which is no task: give one of sparse3d/tasks")
        train(task, out, resume, settings, config.config_text(), lambda: check_config(task), notes)
