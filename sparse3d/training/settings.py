"""Every option of a training run, checked when it is made; gin binds it as ``train``."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import gin

from sparse3d.errors import InputError
from sparse3d.training.loader import start_method
from sparse3d.training.optimizer import OPTIMIZERS
from sparse3d.training.schedule import SCHEDULES


@gin.configurable("train", module="sparse3d")
@dataclass(frozen=True)
class TrainSettings:
    """Options of :func:`sparse3d.training.loop.train`; ``gin/base/training.gin`` explains each.

    Raises:
        InputError: a value out of its range, named as gin names it.
    """

    steps: int = 1000  # optimiser steps
    batch_size: int = 4  # items of one forward pass, over all processes
    accumulate: int = 1  # forward passes of one optimiser step
    optimizer: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-2
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    schedule: str = "cosine"
    warmup: int = 0
    final_lr_fraction: float = 0.0
    clip_norm: float | None = 10.0
    amp: bool = False
    workers: int = 0
    prefetch: int = 2
    worker_start: str = "auto"
    log_every: int = 10
    eval_every: int = 0
    eval_at_start: bool = False
    picture_every: int = 0
    checkpoint_every: int = 500
    keep: int = 0
    best_metric: str | None = None
    best_is: str = "highest"
    max_skipped: int = 10
    seed: int = 0
    device: str = "auto"
    deterministic: bool = True
    tensorboard: bool = True

    def __post_init__(self) -> None:
        for option in fields(self):
            self._check_type(option.name, str(option.type))
        for name in ("steps", "batch_size", "accumulate", "prefetch", "log_every", "max_skipped"):
            self._require(name, "at least 1", getattr(self, name) >= 1)
        for name in ("warmup", "workers", "eval_every", "picture_every", "checkpoint_every", "keep", "seed"):
            self._require(name, "at least 0 (0 = never, where it counts steps)", getattr(self, name) >= 0)
        self._require("lr", "a positive, finite number", 0 < self.lr < math.inf)
        self._require("betas", "two numbers in [0, 1)", len(self.betas) == 2 and all(0 <= b < 1 for b in self.betas))
        self._require("momentum", "in [0, 1)", 0 <= self.momentum < 1)
        self._require("weight_decay", "at least 0", self.weight_decay >= 0)
        self._require("final_lr_fraction", "in [0, 1]", 0 <= self.final_lr_fraction <= 1)
        self._require("clip_norm", "positive, or None for no clipping", self.clip_norm is None or self.clip_norm > 0)
        self._require("optimizer", f"one of {', '.join(OPTIMIZERS)}", self.optimizer in OPTIMIZERS)
        self._require("schedule", f"one of {', '.join(SCHEDULES)}", self.schedule in SCHEDULES)
        start_method(self.worker_start)
        never_best = self.best_metric is not None and self.eval_every == 0
        self._require("eval_every", "positive where train.best_metric is set", not never_best)
        self._require("best_is", "highest or lowest", self.best_is in ("highest", "lowest"))

    def idle_options(self) -> dict[str, str]:
        """Options without effect beside the others, and why."""
        unread = {"adamw": "momentum", "sgd": "betas"}[self.optimizer]
        found = {unread: f"train.optimizer is {self.optimizer!r}"}
        if self.schedule == "constant":
            found["final_lr_fraction"] = "train.schedule is 'constant'"
        if self.best_metric is None:
            found["best_is"] = "train.best_metric is None"
        return found

    def _check_type(self, name: str, kind: str) -> None:
        value = getattr(self, name)
        if kind.startswith("tuple"):
            fits = isinstance(value, (tuple, list)) and all(isinstance(entry, (int, float)) for entry in value)
        elif value is None:
            fits = "None" in kind
        else:
            accepted: Any = {"int": int, "float": (int, float), "bool": bool, "str": str}[kind.split(" | ")[0]]
            fits = isinstance(value, accepted) and isinstance(value, bool) == (kind == "bool")
        self._require(name, f"of type {kind}", fits)

    def _require(self, name: str, wanted: str, holds: bool) -> None:
        if not holds:
            raise InputError(f"train.{name} = {getattr(self, name)!r}: must be {wanted}")
