"""The training loop. It knows a job only by the :class:`~sparse3d.training.task.Task` protocol.

Order of a run: seed, build the network, read the checkpoint if resuming, start the data workers, check the config, then
steps. Everything that a step depends on is either in the checkpoint or a function of the step's number.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparse3d.errors import InputError
from sparse3d.training.checkpoint import duplicate, load_checkpoint, load_same_network, remove_old_steps, save_checkpoint
from sparse3d.training.distribution import Processes, processes, unwrapped
from sparse3d.training.interrupt import StopRequest
from sparse3d.training.loader import BatchLoader
from sparse3d.training.meters import Means, merged_means
from sparse3d.training.optimizer import build_optimizer
from sparse3d.training.random_state import preserved_random_state, random_state, seed_everything, set_random_state
from sparse3d.training.run_folder import (
    BEST,
    CHECKPOINTS,
    LAST,
    checkpoint_to_resume,
    prepare_folder,
    write_operative_config,
    write_run_files,
)
from sparse3d.training.run_log import RunLog
from sparse3d.training.sampler import StreamSampler
from sparse3d.training.schedule import schedule_factor, set_rate
from sparse3d.training.settings import TrainSettings
from sparse3d.training.task import StepOutput, Task


def train(
    task: Task,
    out: str | Path,
    resume: bool = False,
    settings: TrainSettings | None = None,
    config_text: str = "",
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Trains ``task`` and writes checkpoints, figures and the config below ``out``.

    Args:
        task: the job.
        out: the run's folder; must be empty or absent unless ``resume``.
        resume: go on from ``checkpoints/last.pt``, bit for bit.
        settings: options; None takes them from gin.
        config_text: kept in the checkpoint and compared when resuming.
        on_ready: called once everything is built, before the first step (to check the config, for example).

    Raises:
        InputError: bad options, data, folder or checkpoint; or a loss that stays non-finite.
        SystemExit: 128 + signal number, after SIGINT or SIGTERM and the checkpoint they cause.
    """
    settings = settings if settings is not None else TrainSettings()
    out = Path(out)
    with StopRequest() as stop:
        with processes(settings.device) as group, _determinism(settings.deterministic):
            trainer = Trainer(task, out, settings, group, stop, config_text)
            try:
                trainer.set_up(resume, on_ready)
                trainer.run()
            finally:
                trainer.close()
        if stop:
            raise SystemExit(128 + stop.signal_number)


class _determinism:
    """Asks torch for algorithms that give the same bits each time; only warns where it has none."""

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted

    def __enter__(self) -> None:
        self._before = (torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled())
        self._fill = torch.utils.deterministic.fill_uninitialized_memory
        if self.wanted:
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, and changes no defined result

    def __exit__(self, *_: object) -> None:
        torch.use_deterministic_algorithms(self._before[0], warn_only=self._before[1])
        torch.utils.deterministic.fill_uninitialized_memory = self._fill


class Trainer:
    """One run's parts and counters; made by :func:`train`."""

    def __init__(
        self, task: Task, out: Path, settings: TrainSettings, group: Processes, stop: StopRequest, config_text: str
    ) -> None:
        self.task, self.out, self.settings, self.group = task, out, settings, group
        self.stop, self.config_text = stop, config_text
        self.step = 0  # steps done
        self.skipped = 0  # steps without an update, as a loss or gradient was not finite
        self.skipped_in_a_row = 0
        self.best: float | None = None
        self.means = Means()
        self.loader: BatchLoader | None = None
        self.log = RunLog(None, settings.steps)

    # -- set-up ------------------------------------------------------------------------------------------------------

    def set_up(self, resume: bool, on_ready: Callable[[], None] | None) -> None:
        """Builds everything; after it, the next thing that happens is a step."""
        settings, group = self.settings, self.group
        if settings.batch_size % group.world:
            raise InputError(f"train.batch_size = {settings.batch_size} does not divide by {group.world} processes")
        source = checkpoint_to_resume(self.out, resume)
        group.barrier()  # every process looks at the folder before the first one writes into it
        seed_everything(settings.seed)
        model = self.task.build_model().to(group.device)
        self.task.to(group.device)
        self.optimizer = build_optimizer(
            model, settings.optimizer, settings.lr, settings.weight_decay, settings.betas, settings.momentum
        )
        seed_everything(settings.seed + 1_000_003 * (group.rank + 1))  # from here on, processes draw their own numbers
        state = None if source is None else load_checkpoint(source)
        if state is not None and source is not None:
            self._load(state, model, source)
        self.model = group.wrap(model)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.buffers = [b for b in model.buffers()]
        self._start_loader()
        if on_ready is not None:
            on_ready()
        self._open_log(state, source, resume)
        if state is not None and len(state["processes"]) == group.world:
            set_random_state(state["processes"][group.rank]["random"])

    def _start_loader(self) -> None:
        settings, group = self.settings, self.group
        dataset = self.task.train_dataset()
        if len(dataset) == 0:
            raise InputError(f"task {self.task.name}: its training data set is empty; check the data root and the split")
        position = self.step * settings.batch_size * settings.accumulate
        sampler = StreamSampler(len(dataset), settings.batch_size, settings.seed, position, group.rank, group.world)
        # Workers start before TensorBoard's threads do, so that they fork from as plain a process as can be.
        self.loader = BatchLoader(
            dataset,
            self.task.collate,
            sampler,
            settings.workers,
            settings.prefetch,
            settings.worker_start,
            pin_memory=group.device.type == "cuda",
        )

    def _open_log(self, state: dict[str, Any] | None, source: Path | None, resume: bool) -> None:
        if not self.group.is_first:
            return
        prepare_folder(self.out)
        write_run_files(self.out, self.config_text)
        write_operative_config(self.out)
        self.log = RunLog(self.out, self.settings.steps, self.step, self.settings.tensorboard)
        self.log.text(self.step, "config", self.config_text)
        for name, text in self.task.text():
            self.log.text(self.step, name, text)
        if state is not None:
            self.log.say(f"resumed {source} at step {self.step} of {self.settings.steps}")
            for line in config_difference(state["config"], self.config_text):
                self.log.say(line)
            if len(state["processes"]) != self.group.world:
                self.log.say(
                    f"the checkpoint was written by {len(state['processes'])} processes, this run has {self.group.world}: "
                    "random states start anew, so the run is not repeated bit for bit"
                )
        elif resume:
            self.log.say(f"{self.out} has no checkpoint yet: starting at step 0")

    # -- checkpoints -------------------------------------------------------------------------------------------------

    def _load(self, state: dict[str, Any], model: nn.Module, source: Path) -> None:
        load_same_network(model, state["model"], source)
        if state["optimizer_name"] != self.settings.optimizer:
            raise InputError(
                f"checkpoint {source} was trained with train.optimizer = {state['optimizer_name']!r}, the config says "
                f"{self.settings.optimizer!r}; its state does not carry over"
            )
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise InputError(f"checkpoint {source}: its optimiser trained other parameters ({error})") from error
        self.task.load_state_dict(state["task"])
        self.step = int(state["step"])
        self.skipped, self.skipped_in_a_row = state["skipped"], state["skipped_in_a_row"]
        self.best = state["best"]
        if len(state["processes"]) == self.group.world:
            self.means.load(state["processes"][self.group.rank]["means"])

    def _save(self, is_best: bool = False) -> None:
        mine = {"random": random_state(), "means": self.means.sums()}
        gathered = self.group.gather(mine)
        if not self.group.is_first:
            return
        folder = self.out / CHECKPOINTS
        save_checkpoint(
            folder / LAST,
            {
                "model": unwrapped(self.model).state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "optimizer_name": self.settings.optimizer,
                "task": self.task.state_dict(),
                "task_name": self.task.name,
                "step": self.step,  # the schedule is a function of it
                "position": self.step * self.settings.batch_size * self.settings.accumulate,
                "skipped": self.skipped,
                "skipped_in_a_row": self.skipped_in_a_row,
                "best": self.best,
                "config": self.config_text,
                "processes": gathered,
            },
        )
        if is_best:
            duplicate(folder / LAST, folder / BEST)
        if self.settings.keep:
            duplicate(folder / LAST, folder / f"step-{self.step:07d}.pt")
            remove_old_steps(folder, self.settings.keep)

    # -- steps -------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Steps until the last one, or until a signal."""
        settings = self.settings
        if self.step == 0 and settings.eval_at_start:
            self._evaluate()
            self._pictures()
        while self.step < settings.steps:
            stopping = self._step()
            last = self.step == settings.steps
            due = [last or _is_due(self.step, every) for every in (settings.eval_every, settings.picture_every)]
            is_best = False
            if settings.eval_every and due[0] and not stopping:
                is_best = self._evaluate()
            if settings.picture_every and due[1] and not stopping:
                self._pictures()
            if last or stopping or is_best or _is_due(self.step, settings.checkpoint_every):
                self._save(is_best)
            if stopping:
                self.log.say(f"stopped after step {self.step}; go on with --resume")
                return

    def _step(self) -> bool:
        """One optimiser step; returns whether to stop after it."""
        settings = self.settings
        started = time.perf_counter()
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        rate = settings.lr * schedule_factor(
            self.step, settings.steps, settings.warmup, settings.schedule, settings.final_lr_fraction
        )
        set_rate(self.optimizer, rate)
        # Batch statistics are updated by the forward pass: a step that is skipped must take them back.
        kept_buffers = [b.clone() for b in self.buffers]
        outputs: list[StepOutput] = []
        bad_batches: list[str] = []
        waited = 0.0
        for part in range(settings.accumulate):
            waited += self._forward_backward(part == settings.accumulate - 1, outputs, bad_batches)
        limit = settings.clip_norm if settings.clip_norm is not None else float("inf")
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, limit)
        bad_loss, bad_gradient, stopping = self.group.any(bool(bad_batches), not bool(torch.isfinite(norm)), bool(self.stop))
        if bad_loss or bad_gradient:
            self._skip(kept_buffers, bad_batches, "loss" if bad_loss else "gradient")
        else:
            self.skipped_in_a_row = 0
            self.optimizer.step()
            for output in outputs:
                self.means.add({"loss": output.loss, **output.scalars})
            self.means.add({"grad_norm": norm})
        self.means.add({"time/data_s": waited, "time/step_s": time.perf_counter() - started - waited})
        self.means.add({"time/items": float(sum(output.items for output in outputs))})
        self._log_step(rate)
        self.step += 1
        return stopping

    def _forward_backward(self, is_last: bool, outputs: list[StepOutput], bad_batches: list[str]) -> float:
        """One micro-batch; returns the seconds spent waiting for its data."""
        assert self.loader is not None
        started = time.perf_counter()
        batch = next(self.loader)
        waited = time.perf_counter() - started
        batch = batch.to(self.group.device, non_blocking=True)
        with self.group.gradient_sync(self.model, enabled=is_last):
            with torch.autocast(self.group.device.type, torch.bfloat16, enabled=self.settings.amp):
                output = self.task.training_step(self.model, batch, self.step)
            if output.loss.dtype != torch.float32 or output.loss.ndim != 0:
                raise TypeError(f"task {self.task.name}: its loss must be a float32 scalar, not {output.loss.dtype}")
            # Backward even for a bad loss: the other processes wait for this one's gradients.
            (output.loss / self.settings.accumulate).backward()
        if not bool(torch.isfinite(output.loss)):
            bad_batches.append(str(getattr(batch, "names", "(the batch has no names)")))
        outputs.append(output)
        return waited

    def _skip(self, kept_buffers: list[Tensor], bad_batches: list[str], what: str) -> None:
        self.skipped += 1
        self.skipped_in_a_row += 1
        with torch.no_grad():
            for buffer, kept in zip(self.buffers, kept_buffers, strict=True):
                buffer.copy_(kept)
        self.optimizer.zero_grad(set_to_none=True)
        where = f" in batch {'; '.join(bad_batches)}" if bad_batches else ""
        self.log.say(f"step {self.step}: non-finite {what}{where}: step skipped ({self.skipped} in all)")
        if self.skipped_in_a_row >= self.settings.max_skipped:
            raise InputError(
                f"{what} not finite for {self.skipped_in_a_row} steps in a row (train.max_skipped), last{where or ' at'} step "
                f"{self.step}; lower train.lr, set train.clip_norm, or look at these items"
            )

    # -- figures -----------------------------------------------------------------------------------------------------

    def _log_step(self, rate: float) -> None:
        settings = self.settings
        if not (self.step % settings.log_every == 0 or self.step == settings.steps - 1):
            self.log.advance(None)
            return
        means = merged_means(self.group.gather(self.means.sums()))
        self.means.clear()
        seconds = means["time/data_s"] + means["time/step_s"]
        items = means.pop("time/items") * self.group.world
        means["time/items_per_s"] = items / seconds
        means.update({"lr": rate, "skipped": float(self.skipped)})
        self.log.scalars(self.step, "train", means)
        summary = step_summary(means, seconds, settings.steps - self.step - 1)
        self.log.advance(summary)
        if not self.log.has_bar:
            self.log.say(f"step {self.step + 1}/{settings.steps}  {summary}  left {_clock(seconds * (settings.steps - self.step - 1))}")

    def _evaluate(self) -> bool:
        """Evaluates in the first process while the others wait; returns whether the best metric improved."""
        is_best = False
        if self.group.is_first:
            model = unwrapped(self.model).eval()
            figures: dict[str, float] = {}
            with preserved_random_state(), torch.no_grad():
                for name, value in self.task.evaluate(model, self.group.device):
                    figures[name] = float(value)
                    if self.stop:
                        break
            if not self.stop:
                self.log.scalars(self.step, "val", figures)
                self.log.say(f"step {self.step}  " + "  ".join(f"{name} {value:.4g}" for name, value in figures.items()))
                is_best = self._is_best(figures)
        self.group.barrier()
        return self.group.any(is_best)[0]

    def _is_best(self, figures: dict[str, float]) -> bool:
        metric = self.settings.best_metric
        if metric is None:
            return False
        if metric not in figures:
            near = difflib.get_close_matches(metric, figures, n=1, cutoff=0.0)
            hint = f"; the nearest is {near[0]!r}" if near else ""
            raise InputError(f"train.best_metric = {metric!r} is not among the validation figures{hint}")
        value, sign = figures[metric], 1 if self.settings.best_is == "highest" else -1
        if value != value or (self.best is not None and sign * value <= sign * self.best):
            return False
        self.best = value
        return True

    def _pictures(self) -> None:
        if self.group.is_first:
            with preserved_random_state(), torch.no_grad():
                for name, image in self.task.pictures(unwrapped(self.model).eval(), self.group.device):
                    self.log.picture(self.step, name, image)
                    if self.stop:
                        break
        self.group.barrier()

    def close(self) -> None:
        """Ends workers and logs, also after an error."""
        if self.loader is not None:
            self.loader.close()
        if self.group.is_first and (self.out / CHECKPOINTS).is_dir() and self.step:
            write_operative_config(self.out)
        self.log.close()


def _is_due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def step_summary(means: dict[str, float], seconds: float, steps_left: int) -> str:
    """The losses, rate and speed on one line; names with ``loss`` in them first."""
    losses = [f"{name} {value:.4g}" for name, value in means.items() if "loss" in name]
    share = means["time/data_s"] / seconds
    return "  ".join([*losses, f"lr {means['lr']:.3g}", f"{means['time/items_per_s']:.2f} items/s", f"data {share:.0%}"])


def config_difference(before: str, now: str) -> list[str]:
    """A unified diff of two config texts; empty when they agree."""
    lines = difflib.unified_diff(before.splitlines(), now.splitlines(), "config of the checkpoint", "config now", lineterm="", n=0)
    return list(lines)
