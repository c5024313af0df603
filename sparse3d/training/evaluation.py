"""Validation figures and pictures: made by the first process, while the others wait."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from sparse3d.config_names import nearest
from sparse3d.errors import InputError
from sparse3d.training.distribution import Processes, unwrapped
from sparse3d.training.interrupt import StopRequest
from sparse3d.training.random_state import preserved_random_state
from sparse3d.training.run_log import RunLog
from sparse3d.training.settings import TrainSettings
from sparse3d.training.task import Task


class _BrokenOff(Exception):
    """A signal came: what is under way is left."""


class Evaluator:
    """Evaluates the whole validation set in one process, so the figures are those of a run with one process.

    Whatever it draws from the global generators is given back: how often one looks does not change the training.
    """

    def __init__(self, task: Task, settings: TrainSettings, group: Processes, log: RunLog, stop: StopRequest) -> None:
        self.task, self.settings, self.group, self.log, self.stop = task, settings, group, log, stop
        self.best: float | None = None
        self.measured: dict[str, float] = {}  # the newest figures, and the "step" they were made after
        self.owed = False  # an evaluation is due at this step; where a signal comes first, it is made on resuming
        self.owed_pictures = False  # likewise

    @property
    def owes(self) -> bool:
        """Whether something that is due was not made."""
        return self.owed or self.owed_pictures

    def figures(self, model: nn.Module, step: int) -> bool:
        """Logs the task's figures after ``step`` steps; returns, in every process, whether the best metric improved."""
        is_best = is_broken_off = False
        if self.group.is_first:
            found: dict[str, float] = {}
            is_broken_off = True
            with self._stoppable(unwrapped(model).eval()) as network:
                for name, value in self.task.evaluate(network, self.group.device):
                    found[name] = float(value)
                    self._heed()
                is_broken_off = False
            if is_broken_off:
                self.log.say("evaluation broken off by the signal: it is made anew on resuming")
            elif found:  # there are none without validation data
                self.log.scalars(step, "val", found)
                self.measured = {"step": step, **found}
                # Figures of single classes ("iou_point/wall") would bury the others: they are in the files.
                shown = {name: value for name, value in found.items() if "/" not in name}
                self.log.say(f"step {step}  " + "  ".join(f"{name} {value:.4g}" for name, value in shown.items()))
                is_best = self._is_best(found)
            elif self.settings.best_metric is not None and self.best is None:
                self.log.say(
                    f"warning: nothing is measured, so train.best_metric = {self.settings.best_metric!r} chooses no "
                    "checkpoint: there is last.pt, and no best.pt"
                )
        is_best, self.owed = self.group.any(is_best, is_broken_off)
        return is_best

    def pictures(self, model: nn.Module, step: int) -> None:
        """Logs the task's pictures, and meshes where it has such, after ``step`` steps."""
        is_broken_off = False
        if self.group.is_first and self.settings.tensorboard:
            is_broken_off = True
            with self._stoppable(unwrapped(model).eval()) as network:
                for name, image in self.task.pictures(network, self.group.device):
                    self.log.picture(step, name, image)
                    self._heed()
                for name, mesh in self.task.meshes(network, self.group.device):
                    self.log.mesh(step, name, **mesh)
                is_broken_off = False
            if is_broken_off:
                self.log.say("pictures broken off by the signal: they are made anew on resuming")
        (self.owed_pictures,) = self.group.any(is_broken_off)

    @contextmanager
    def _stoppable(self, network: nn.Module) -> Iterator[nn.Module]:
        """A block that keeps the random state, makes no gradients, and is left before the pass that follows a signal.

        A task yields its figures when all scenes are done: asked between the yields alone, a signal would wait for all.
        """
        # Networks may be used by their parts. Single layers are not watched: hooks there undo fused passes.
        parts = [network, *(child for child in network.children() if next(child.children(), None) is not None)]
        hooks = [part.register_forward_pre_hook(lambda *_: self._heed()) for part in parts]
        try:
            with preserved_random_state(), torch.no_grad():
                yield network
        except _BrokenOff:
            pass
        finally:
            for hook in hooks:
                hook.remove()

    def _heed(self) -> None:
        if self.stop:
            raise _BrokenOff

    def _is_best(self, found: dict[str, float]) -> bool:
        metric = self.settings.best_metric
        if metric is None or not found:
            return False
        if metric not in found:
            raise InputError(f"train.best_metric = {metric!r} is no validation figure{nearest(metric, sorted(found))}")
        value, sign = found[metric], 1 if self.settings.best_is == "highest" else -1
        if math.isnan(value) or (self.best is not None and sign * value <= sign * self.best):
            return False
        self.best = value
        return True
