"""Runs that a signal stops or a kill ends, and what they are after resuming: nothing is lost, nothing is done twice."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import DEFAULTS, records, run, timeless
from states import differences, state_of
from toy import ToyTask

from sparse3d.training.checkpoint import load_checkpoint
from sparse3d.training.loop import train
from sparse3d.training.settings import TrainSettings


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_stopped_and_resumed_run_equals_an_uninterrupted_one_bit_for_bit(optimizer: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"optimizer": optimizer, "accumulate": 2, "warmup": 3, "eval_every": 7}
    run(tmp_path / "whole", **options)
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path / "parts", toy={"signal_at": 9}, **options)
    assert stopped.value.code == 143
    assert load_checkpoint(tmp_path / "parts" / "checkpoints" / "last.pt")["step"] == 10
    run(tmp_path / "parts", resume=True, **options)
    assert differences(state_of(tmp_path / "whole"), state_of(tmp_path / "parts")) == []
    assert timeless(tmp_path / "whole") == timeless(tmp_path / "parts")


class SignalledWhileEvaluated(ToyTask):
    """A signal arrives during evaluation number ``at``."""

    at, done = 0, 0

    def evaluate(self, model: torch.nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        self.done += 1
        if self.done == self.at:
            os.kill(os.getpid(), signal.SIGTERM)
        yield from super().evaluate(model, device)


@pytest.mark.parametrize("step", [7, 20])
@pytest.mark.parametrize("during", ["step", "evaluation"])
def test_no_evaluation_is_lost_to_a_signal(during: str, step: int, tmp_path: Path) -> None:
    options: dict[str, Any] = {"eval_every": 7, "best_metric": "error", "best_is": "lowest"}
    run(tmp_path / "whole", **options)
    task = SignalledWhileEvaluated(signal_at=step - 1) if during == "step" else SignalledWhileEvaluated()
    task.at = {7: 1, 20: 3}[step] if during == "evaluation" else 0
    with pytest.raises(SystemExit):
        train(task, tmp_path / "parts", False, TrainSettings(**{**DEFAULTS, **options}), "")
    assert load_checkpoint(tmp_path / "parts" / "checkpoints" / "last.pt")["step"] == step
    assert step not in [record["step"] for record in records(tmp_path / "parts", "val")]
    run(tmp_path / "parts", resume=True, **options)
    unequal = differences(state_of(tmp_path / "whole"), state_of(tmp_path / "parts"))
    assert [name for name in unequal if not name.endswith("/lr")] == []  # every step sets the rate, and none came
    assert timeless(tmp_path / "whole") == timeless(tmp_path / "parts")
    best = [load_checkpoint(tmp_path / name / "checkpoints" / "best.pt")["step"] for name in ("whole", "parts")]
    assert best[0] == best[1]


def test_an_evaluation_before_the_first_step_is_not_lost_to_a_signal(tmp_path: Path) -> None:
    options: dict[str, Any] = {"steps": 4, "eval_at_start": True, "eval_every": 2}
    run(tmp_path / "whole", **options)

    task = SignalledWhileEvaluated()
    task.at = 1
    with pytest.raises(SystemExit):
        train(task, tmp_path / "parts", False, TrainSettings(**{**DEFAULTS, **options}), "")
    assert load_checkpoint(tmp_path / "parts" / "checkpoints" / "last.pt")["step"] == 0
    run(tmp_path / "parts", resume=True, **options)
    assert [r["step"] for r in records(tmp_path / "parts", "val")] == [0, 2, 4]
    assert timeless(tmp_path / "parts") == timeless(tmp_path / "whole")


class SignalledWhilePictured(ToyTask):
    """A signal arrives while the first pictures are made."""

    def pictures(self, model: torch.nn.Module, device: torch.device) -> Iterator[tuple[str, np.ndarray]]:
        os.kill(os.getpid(), signal.SIGTERM)
        yield from super().pictures(model, device)
        yield from super().pictures(model, device)


@pytest.mark.parametrize("during", ["step", "evaluation", "pictures"])
def test_no_pictures_are_lost_to_a_signal(during: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    monkeypatch.setattr("sparse3d.training.run_log.RunLog.picture", lambda self, step, name, image: made.append(step))
    options: dict[str, Any] = {**DEFAULTS, "steps": 9, "tensorboard": True, "eval_every": 4, "picture_every": 4}
    task: ToyTask = SignalledWhilePictured() if during == "pictures" else SignalledWhileEvaluated()
    if isinstance(task, SignalledWhileEvaluated):
        task.signal_at, task.at = (3, 0) if during == "step" else (-1, 1)
    with pytest.raises(SystemExit):
        train(task, tmp_path, False, TrainSettings(**options))
    assert load_checkpoint(tmp_path / "checkpoints" / "last.pt")["step"] == 4
    assert made == [4] * (during == "pictures")  # the first of two
    run(tmp_path, resume=True, **options)
    assert made[-3:] == [4, 8, 9] and [r["step"] for r in records(tmp_path, "val")] == [4, 8, 9]


class SignalledInOneOfManyScenes(ToyTask):
    """Works through scenes before it has a figure, as those do that count over all of them."""

    passes = 0

    def evaluate(self, model: torch.nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        for _ in range(5):
            model(torch.zeros(4, 6))
            self.passes += 1
            os.kill(os.getpid(), signal.SIGTERM)
        yield from super().evaluate(model, device)


def test_a_signal_is_heeded_between_the_scenes_of_an_evaluation(tmp_path: Path) -> None:
    task = SignalledInOneOfManyScenes()
    with pytest.raises(SystemExit):
        train(task, tmp_path, False, TrainSettings(**{**DEFAULTS, "eval_every": 7}), "")
    assert task.passes == 1 and load_checkpoint(tmp_path / "checkpoints" / "last.pt")["step"] == 7


def kill_at_12(out: Path) -> None:
    run(out, toy={"signal_at": 12, "signal_number": int(signal.SIGKILL)}, checkpoint_every=5)


def test_after_kill_9_a_run_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=kill_at_12, args=(tmp_path / "killed",))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 12, "kind": "tr')  # as a kill in the middle of a line leaves it
    (tmp_path / "killed" / "checkpoints" / ".last.pt.1.partial").write_bytes(b"half")
    run(tmp_path / "killed", resume=True, checkpoint_every=5)
    run(tmp_path / "whole", checkpoint_every=5)
    assert differences(state_of(tmp_path / "whole"), state_of(tmp_path / "killed")) == []
    assert timeless(tmp_path / "whole") == timeless(tmp_path / "killed")
    assert [p.name for p in (tmp_path / "killed" / "checkpoints").iterdir()] == ["last.pt"]


class KilledWhileEvaluated(ToyTask):
    """The process dies in evaluation number ``at``."""

    at, done = 0, 0

    def evaluate(self, model: torch.nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        self.done += 1
        yield from super().evaluate(model, device)
        if self.done == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_in_evaluation(out: Path, at: int, options: dict[str, Any]) -> None:
    task = KilledWhileEvaluated()
    task.at = at
    train(task, out, settings=TrainSettings(**{**DEFAULTS, **options}))


@pytest.mark.parametrize(("at", "step"), [(3, 10), (5, 20)])
def test_a_kill_in_an_evaluation_costs_no_steps_where_a_checkpoint_is_due(at: int, step: int, tmp_path: Path) -> None:
    options: dict[str, Any] = {"checkpoint_every": 10, "eval_every": 5, "eval_at_start": True, "keep": 2}
    context = multiprocessing.get_context("fork")
    child = context.Process(target=kill_in_evaluation, args=(tmp_path / "killed", at, options))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert load_checkpoint(tmp_path / "killed" / "checkpoints" / "last.pt")["step"] == step
    run(tmp_path / "killed", resume=True, **options)
    run(tmp_path / "whole", **options)
    unequal = differences(state_of(tmp_path / "whole"), state_of(tmp_path / "killed"))
    assert [name for name in unequal if not name.endswith("/lr")] == []
    assert timeless(tmp_path / "whole") == timeless(tmp_path / "killed")
    kept = [sorted(p.name for p in (tmp_path / name / "checkpoints").iterdir()) for name in ("whole", "killed")]
    assert kept[0] == kept[1]


def kill_before_the_first_checkpoint(out: Path, options: dict[str, Any]) -> None:
    run(out, toy={"signal_at": 3, "signal_number": int(signal.SIGKILL)}, **options)


def test_a_run_without_a_checkpoint_starts_with_an_empty_log(tmp_path: Path) -> None:
    options: dict[str, Any] = {"eval_at_start": True, "eval_every": 10}
    context = multiprocessing.get_context("fork")
    child = context.Process(target=kill_before_the_first_checkpoint, args=(tmp_path, options))
    child.start()
    child.join()
    assert [r["step"] for r in records(tmp_path, "val")] == [0]
    run(tmp_path, resume=True, **options)
    assert [r["step"] for r in records(tmp_path, "val")] == [0, 10, 20]


def test_a_kill_between_best_and_newest_loses_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"steps": 12, "eval_every": 2, "best_metric": "error", "best_is": "lowest"}
    run(tmp_path / "whole", **options)

    class Killed(Exception): ...

    def kill(source: Path, target: Path) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("sparse3d.training.loop.duplicate", kill)
        run(tmp_path / "killed", **options)
    run(tmp_path / "killed", resume=True, **options)
    best, whole = (load_checkpoint(tmp_path / name / "checkpoints" / "best.pt") for name in ("killed", "whole"))
    assert (best["step"], best["best"]) == (whole["step"], whole["best"])
    assert differences(state_of(tmp_path / "whole"), state_of(tmp_path / "killed")) == []
