"""The training loop. It knows a job only by the :class:`~sparse3d.training.task.Task` protocol.

Order of a run: seed, build the network, read the checkpoint if resuming, start the data workers, check the config, then
steps. Everything that a step depends on is either in the checkpoint or a function of the step's number.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import nn

from sparse3d.errors import InputError
from sparse3d.training.checkpoint import (
    duplicate,
    load_checkpoint,
    load_same_network,
    remove_old_steps,
    save_checkpoint,
)
from sparse3d.training.distribution import Processes, processes, unwrapped
from sparse3d.training.evaluation import Evaluator
from sparse3d.training.interrupt import StopRequest
from sparse3d.training.loader import BatchLoader
from sparse3d.training.meters import Means, merged_means
from sparse3d.training.optimizer import build_optimizer
from sparse3d.training.random_state import deterministic_algorithms, random_state, seed_everything, set_random_state
from sparse3d.training.run_folder import (
    BEST,
    CHECKPOINTS,
    LAST,
    checkpoint_to_resume,
    prepare_folder,
    write_data_account,
    write_init_report,
    write_operative_config,
    write_run_files,
    write_versions,
)
from sparse3d.training.run_log import RunLog, step_summary
from sparse3d.training.sampler import StreamSampler
from sparse3d.training.settings import TrainSettings
from sparse3d.training.step import OptimizerStep
from sparse3d.training.task import Task
from sparse3d.training.transfer import InitSettings, prepare_transfer


def train(
    task: Task,
    out: str | Path,
    resume: bool = False,
    settings: TrainSettings | None = None,
    config_text: str = "",
    on_ready: Callable[[], None] | None = None,
    notes: Sequence[str] = (),
    init: InitSettings | None = None,
) -> None:
    """Trains ``task`` and writes checkpoints, figures and the config below ``out``.

    Args:
        task: the job.
        out: the run's folder; must be empty or absent unless ``resume``.
        resume: go on from ``checkpoints/last.pt``, bit for bit.
        settings: options; None takes them from gin (``train.steps = ...``).
        config_text: kept in the checkpoint, and compared when resuming.
        on_ready: called once everything is built, before the first step (to check the config, for example).
        notes: said once the run has begun, and kept beside the versions.
        init: what the network starts from; None takes it from gin (``init.checkpoint = ...``).

    Raises:
        InputError: bad options, data, folder or checkpoint; or a loss that stays non-finite.
        SystemExit: 128 + signal number, after SIGINT or SIGTERM and the checkpoint they cause.
    """
    settings = settings if settings is not None else TrainSettings()
    with StopRequest() as stop:
        with ExitStack() as closing:
            group = closing.enter_context(processes(settings.device))
            if settings.deterministic:
                closing.enter_context(deterministic_algorithms())
            trainer = Trainer(task, Path(out), settings, group, stop, config_text, init or InitSettings())
            closing.callback(trainer.close)
            trainer.set_up(resume, on_ready)
            if group.is_first:
                write_versions(trainer.out, notes)
            for note in notes:
                trainer.say(note)
            trainer.run()
        if stop:
            raise SystemExit(128 + stop.signal_number)


class Trainer:
    """One run's parts; made by :func:`train`."""

    loader: BatchLoader | None = None
    log: RunLog | None = None

    def __init__(
        self,
        task: Task,
        out: Path,
        settings: TrainSettings,
        group: Processes,
        stop: StopRequest,
        config_text: str,
        init: InitSettings,
    ) -> None:
        self.task, self.out, self.settings, self.group = task, out, settings, group
        self.stop, self.config_text, self.init = stop, config_text, init
        self.step = 0  # steps done
        self._begun = (0, 0)  # steps done and items trained on, when this process took over
        self.means = Means()

    def set_up(self, resume: bool, on_ready: Callable[[], None] | None) -> None:
        """Builds everything; after it, the next thing that happens is a step."""
        settings, group = self.settings, self.group
        if settings.batch_size % group.world:
            raise InputError(f"train.batch_size = {settings.batch_size} does not divide by {group.world} processes")
        source = checkpoint_to_resume(self.out, resume)
        group.barrier()  # every process has looked at the folder before the first one writes into it
        seed_everything(settings.seed)
        model = self.task.build_model()
        state = None if source is None else load_checkpoint(source)
        unfilled = () if state is None else state.get("unfilled", ())  # earlier checkpoints: all was held for loaded
        self.transfer = prepare_transfer(model, self.init, state is None, self.config_text, unfilled)
        model = model.to(group.device)
        self.task.to(group.device)
        self.optimizer = build_optimizer(
            model,
            settings.optimizer,
            settings.lr,
            settings.weight_decay,
            settings.betas,
            settings.momentum,
            self.transfer.lr_scales,
        )
        seed_everything(settings.seed + 1_000_003 * (group.rank + 1))  # from here on, processes draw their own numbers
        self.is_resumed = state is not None
        if state is not None and source is not None:
            self._load_network(state, model, source)
        self.model = group.wrap(model)
        self.loader = self._start_loader()
        if on_ready is not None:
            on_ready()
        self._open_log(state, source, resume)
        assert self.log is not None
        self.evaluator = Evaluator(self.task, settings, group, self.log, self.stop)
        self.optimize = OptimizerStep(
            self.task,
            self.model,
            self.optimizer,
            self.loader,
            settings,
            group,
            self.log.say,
            self.transfer.hold_frozen,
        )
        if state is not None:
            self._load_progress(state)

    def say(self, text: str) -> None:
        """One line for the user, from the first process."""
        assert self.log is not None
        if self.group.is_first:
            self.log.say(text)

    def _start_loader(self) -> BatchLoader:
        settings, group = self.settings, self.group
        dataset = self.task.train_dataset()
        if len(dataset) == 0:
            raise InputError(f"task {self.task.name}: its training set is empty; check the data root and the split")
        sampler = StreamSampler(
            len(dataset), settings.batch_size, settings.seed, self._position, group.rank, group.world
        )
        # Workers start before TensorBoard's threads do, so that they fork from as plain a process as can be.
        return BatchLoader(
            dataset,
            self.task.collate,
            sampler,
            settings.workers,
            settings.prefetch,
            settings.worker_start,
            pin_memory=group.device.type == "cuda",
        )

    @property
    def _position(self) -> int:
        """How many items were trained on, over all processes; the sampler's whole state."""
        step, items = self._begun
        return items + (self.step - step) * self.settings.batch_size * self.settings.accumulate

    def _open_log(self, state: dict[str, Any] | None, source: Path | None, resume: bool) -> None:
        if not self.group.is_first:
            self.log = RunLog(None, self.settings.steps)
            return
        texts = list(self.task.text())  # builds the validation data: its faults come before anything is written
        prepare_folder(self.out)
        write_run_files(self.out, self.config_text)
        write_operative_config(self.out)
        write_init_report(self.out, self.transfer.lines)
        write_data_account(self.out, texts)
        is_measured = state is not None and not state.get("owed", False)
        self.log = RunLog(self.out, self.settings.steps, self.step, self.settings.tensorboard, is_measured)
        self.log.text(self.step, "config", self.config_text)
        for name, text in texts:
            self.log.text(self.step, name, text)
        for line in self.transfer.lines:
            self.log.say(line)
        if state is not None:
            self.log.say(f"resumed {source} at step {self.step} of {self.settings.steps}")
            for line in config_difference(state["config"], self.config_text):
                self.log.say(line)
        elif resume:
            self.log.say(f"{self.out} has no checkpoint yet: starting at step 0")

    # Checkpoints

    def _load_network(self, state: dict[str, Any], model: nn.Module, source: Path) -> None:
        load_same_network(model, state["model"], source)
        if state["optimizer_name"] != self.settings.optimizer:
            raise InputError(
                f"checkpoint {source} was trained with train.optimizer = {state['optimizer_name']!r}, the config says "
                f"{self.settings.optimizer!r}; its state does not carry over"
            )
        configured_options = [{k: v for k, v in g.items() if k != "params"} for g in self.optimizer.param_groups]
        for group, configured in zip(state["optimizer"]["param_groups"], configured_options, strict=False):
            if "fused" in configured:  # it decides on which device the steps are counted, while the state is read
                group["fused"] = configured["fused"]
        try:
            self.optimizer.load_state_dict(state["optimizer"])
        except ValueError as error:
            raise InputError(
                f"checkpoint {source}: its optimiser had its parameters in other groups ({error}); resume with the "
                "run's own init.freeze, init.lr_scale and init.lr_decay, or take another --out"
            ) from error
        for group, configured in zip(self.optimizer.param_groups, configured_options, strict=True):
            group.update(configured)  # the config counts, and its difference is printed; the rate is set every step
        self.task.load_state_dict(state["task"])
        self.step = int(state["step"])
        # In whole batches, so that another train.batch_size or accumulate neither repeats items nor skips a batch.
        self._begun = (self.step, -(-int(state["position"]) // self.settings.batch_size) * self.settings.batch_size)

    def _load_progress(self, state: dict[str, Any]) -> None:
        assert self.log is not None
        self.optimize.skipped, self.optimize.skipped_in_a_row = state["skipped"], state["skipped_in_a_row"]
        self.evaluator.best, self.evaluator.owed = self._best_before(state), state.get("owed", False)
        self.evaluator.owed_pictures = state.get("owed_pictures", False)
        self.evaluator.measured = state.get("measured", {})
        written_by = len(state["processes"])
        if written_by == self.group.world:
            mine = state["processes"][self.group.rank]
            self.means.load(mine["means"])
            set_random_state(mine["random"])  # last of all: nothing may draw between here and the first step
        else:
            self.log.say(
                f"the checkpoint was written by {written_by} processes, this run has {self.group.world}: random states "
                "start anew, so dropout and the like will not repeat"
            )

    def _best_before(self, state: dict[str, Any]) -> float | None:
        """The best value until now, or None where another one is looked for: values of two figures do not compare."""
        settings, best = self.settings, state["best"]
        now = (settings.best_metric, settings.best_is)
        before = tuple(state.get(name, value) for name, value in zip(("best_metric", "best_is"), now, strict=True))
        if best is None or settings.best_metric is None or before == now:
            return best
        self.say(
            f"train.best_metric is now {now[0]!r} ({now[1]}), it was {before[0]!r} ({before[1]}): "
            f"the next evaluation takes the place of {CHECKPOINTS}/{BEST}"
        )
        return None

    def _state(self, gathered: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "model": unwrapped(self.model).state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "optimizer_name": self.settings.optimizer,
            "task": self.task.state_dict(),
            "task_name": self.task.name,
            "step": self.step,  # the schedule is a function of it
            "position": self._position,
            "skipped": self.optimize.skipped,
            "skipped_in_a_row": self.optimize.skipped_in_a_row,
            "measured": self.evaluator.measured,
            "best": self.evaluator.best,
            "best_metric": self.settings.best_metric,
            "best_is": self.settings.best_is,
            "owed": self.evaluator.owed,
            "owed_pictures": self.evaluator.owed_pictures,
            "unfilled": self.transfer.unfilled,
            "config": self.config_text,
            "working_folder": os.getcwd(),  # what relative paths of the config are relative to
            "processes": gathered,
        }

    def _save(self, is_best: bool, keep: bool = True) -> None:
        gathered = self.group.gather({"random": random_state(), "means": self.means.sums()})
        if not self.group.is_first:
            return
        folder = self.out / CHECKPOINTS
        # The best one first: a kill in between leaves an older last one, which comes by this step again.
        save_checkpoint(folder / (BEST if is_best else LAST), self._state(gathered))
        if is_best:
            duplicate(folder / BEST, folder / LAST)
        if self.settings.keep and keep:
            duplicate(folder / LAST, folder / f"step-{self.step:07d}.pt")
            remove_old_steps(folder, self.settings.keep)

    # Steps

    def run(self) -> None:
        """Steps until the last one, or until a signal."""
        settings, evaluator = self.settings, self.evaluator
        assert self.log is not None
        if evaluator.owes:
            self._save(self._measure())
            if evaluator.owes:
                return
        if self.step >= settings.steps:
            self.log.say(f"nothing to do: {self.step} of {settings.steps} steps are done; raise train.steps to go on")
        if self.step == 0 and settings.eval_at_start and not self.is_resumed:
            evaluator.owed = evaluator.owed_pictures = True
            self._measure()
            if evaluator.owes:
                self._save(False)
                self.log.say("stopped before the first step, checkpoint written; go on with --resume")
                return
        while self.step < settings.steps:
            result = self.optimize(self.step, self.stop)
            self.means.add(result.scalars)
            self._log_step(result.rate)
            self.step += 1
            evaluator.owed = self._is_due(settings.eval_every)
            evaluator.owed_pictures = settings.tensorboard and self._is_due(settings.picture_every)
            saves, is_best = self._is_due(settings.checkpoint_every) or self.step == settings.steps, False
            if not result.stopping:
                if evaluator.owed and saves:
                    self._save(False, keep=False)  # a kill during a long evaluation costs no more than that one
                is_best = self._measure()
            stopping = result.stopping or evaluator.owes
            if stopping or is_best or saves:
                self._save(is_best)
            if stopping:
                self.log.say(f"stopped after {self.step} steps, checkpoint written; go on with --resume")
                return

    def _measure(self) -> bool:
        """Makes the figures and pictures that are owed; returns whether the best metric improved."""
        is_best = self.evaluator.owed and self.evaluator.figures(self.model, self.step)
        if self.evaluator.owed_pictures and not self.evaluator.owed:
            self.evaluator.pictures(self.model, self.step)
        return is_best

    def _is_due(self, every: int) -> bool:
        return every > 0 and (self.step % every == 0 or self.step == self.settings.steps)

    def _log_step(self, rate: float) -> None:
        assert self.log is not None
        steps = self.settings.steps
        if self.step % self.settings.log_every and self.step != steps - 1:
            self.log.advance()
            return
        means = merged_means(self.group.gather(self.means.sums()))
        self.means.clear()
        seconds = means["time/data_s"] + means["time/step_s"]
        means["time/items_per_s"] = means.pop("time/items") * self.group.world / seconds
        means |= {"lr": rate, "skipped": float(self.optimize.skipped)}
        self.log.scalars(self.step, "train", means)
        self.log.advance(step_summary(means), seconds)

    def close(self) -> None:
        """Ends workers and logs, also after an error."""
        if self.loader is not None:
            self.loader.close()
        if self.log is not None:
            if self.group.is_first:
                write_operative_config(self.out)  # with what only evaluation used
            self.log.close()


def config_difference(before: str, now: str) -> list[str]:
    """A unified diff of two config texts, without context; empty when they agree."""
    titles = ("config of the checkpoint", "config now")
    return list(difflib.unified_diff(before.splitlines(), now.splitlines(), *titles, lineterm="", n=0))
