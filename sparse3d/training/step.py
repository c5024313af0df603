"""One optimiser step: forward and backward passes, the guard against non-finite values, the update."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.profiler import record_function

from sparse3d.errors import InputError
from sparse3d.training.distribution import Processes
from sparse3d.training.interrupt import StopRequest
from sparse3d.training.loader import BatchLoader
from sparse3d.training.schedule import schedule_factor, set_rate
from sparse3d.training.settings import TrainSettings
from sparse3d.training.task import StepOutput, Task


@dataclass
class StepResult:
    """What one step reports."""

    rate: float  # the learning rate it used
    scalars: dict[str, float | Tensor]  # to be averaged
    stopping: bool  # some process was asked to stop


@dataclass
class _Passes:
    """What the forward passes of one step gave."""

    outputs: list[StepOutput] = field(default_factory=list)
    bad_batches: list[str] = field(default_factory=list)  # names in batches whose loss was not finite
    waited: float = 0.0  # seconds until data was there


class OptimizerStep:
    """Runs steps and counts those it had to skip; a skipped step leaves parameters and buffers as they were."""

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        optimizer: Optimizer,
        loader: BatchLoader,
        settings: TrainSettings,
        group: Processes,
        say: Callable[[str], None],
        after_train_mode: Callable[[], None] = lambda: None,
    ) -> None:
        self.task, self.model, self.optimizer, self.loader = task, model, optimizer, loader
        self.settings, self.group, self.say = settings, group, say
        self._after_train_mode = after_train_mode  # puts frozen parts back into eval mode
        self.skipped = 0
        self.skipped_in_a_row = 0
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._buffers = list(model.buffers())

    def __call__(self, step: int, stop: StopRequest) -> StepResult:
        """Runs step number ``step``; ``stop`` is asked at its end.

        Raises:
            InputError: unreadable data, or ``max_skipped`` steps in a row without a finite loss and gradient.
        """
        settings = self.settings
        started = time.perf_counter()
        self.model.train()
        self._after_train_mode()
        self.optimizer.zero_grad(set_to_none=True)
        factor = schedule_factor(step, settings.steps, settings.warmup, settings.schedule, settings.final_lr_fraction)
        set_rate(self.optimizer, settings.lr * factor)
        # Batch statistics are updated by the forward pass: a step that is skipped must take them back.
        kept_buffers = [buffer.clone() for buffer in self._buffers]
        passes = _Passes()
        for part in range(settings.accumulate):
            self._forward_backward(step, passes, is_last=part == settings.accumulate - 1)
        limit = settings.clip_norm if settings.clip_norm is not None else float("inf")
        with record_function("sparse3d.update"):
            norm = torch.nn.utils.clip_grad_norm_(self._parameters, limit)
        bad_loss, bad_gradient, stopping = self.group.any(
            bool(passes.bad_batches), not bool(norm.isfinite()), bool(stop)
        )
        scalars: dict[str, float | Tensor] = {}
        if bad_loss or bad_gradient:
            self._skip(step, kept_buffers, passes.bad_batches, "loss" if bad_loss else "gradient")
        else:
            with record_function("sparse3d.update"):
                self.optimizer.step()
            self.skipped_in_a_row = 0
            scalars = _mean_scalars(passes.outputs) | {"grad_norm": norm}
        seconds = time.perf_counter() - started
        scalars["time/data_s"], scalars["time/step_s"] = passes.waited, seconds - passes.waited
        scalars["time/items"] = float(sum(output.items for output in passes.outputs))
        return StepResult(settings.lr * factor, scalars, stopping)

    def _forward_backward(self, step: int, passes: _Passes, is_last: bool) -> None:
        started = time.perf_counter()
        with record_function("sparse3d.data"):
            batch = next(self.loader)
        passes.waited += time.perf_counter() - started
        device = self.group.device
        with record_function("sparse3d.transfer"):
            batch = batch.to(device, non_blocking=True)
        with self.group.gradient_sync(self.model, enabled=is_last):
            with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.amp):
                output = self.task.training_step(self.model, batch, step)
            if output.loss.dtype != torch.float32 or output.loss.ndim != 0:
                raise TypeError(f"task {self.task.name}: its loss must be a float32 scalar, not {output.loss.dtype}")
            # Backward even for a bad loss: the other processes wait for this one's gradients.
            (output.loss / self.settings.accumulate).backward()
        if not bool(output.loss.isfinite()):
            passes.bad_batches.append(str(getattr(batch, "names", "without names")))
        passes.outputs.append(output)

    def _skip(self, step: int, kept_buffers: list[Tensor], bad_batches: list[str], what: str) -> None:
        self.skipped += 1
        self.skipped_in_a_row += 1
        with torch.no_grad():
            for buffer, kept in zip(self._buffers, kept_buffers, strict=True):
                buffer.copy_(kept)
        self.optimizer.zero_grad(set_to_none=True)
        # The gradient is everyone's; a bad loss may be another process's, which names its batch itself.
        where = f" in batch {'; '.join(bad_batches)}" if bad_batches else ""
        self.say(f"step {step}: {what} not finite{where}: step skipped ({self.skipped} in all)")
        if self.skipped_in_a_row >= self.settings.max_skipped:
            raise InputError(
                f"{what} not finite for {self.skipped_in_a_row} steps in a row (train.max_skipped), last at step {step}"
                f"{where}; lower train.lr, set train.clip_norm, or look at these items"
            )


def _mean_scalars(outputs: list[StepOutput]) -> dict[str, float | Tensor]:
    """Means over a step's forward passes, each name over those that report it."""
    values: dict[str, list[float | Tensor]] = {}
    for output in outputs:
        for name, value in {"loss": output.loss.detach(), **output.scalars}.items():
            values.setdefault(name, []).append(value.detach() if isinstance(value, Tensor) else value)
    return {name: sum(found[1:], start=found[0]) / len(found) for name, found in values.items()}
