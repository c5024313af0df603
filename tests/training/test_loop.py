"""Whole runs of the loop, in this process, on the toy task."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import DEFAULTS, records, run
from states import differences, state_of
from toy import ToyTask

from sparse3d.errors import InputError
from sparse3d.training.checkpoint import load_checkpoint
from sparse3d.training.loop import train
from sparse3d.training.sampler import epoch_order
from sparse3d.training.settings import TrainSettings


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    run(tmp_path, steps=150, lr=0.03, toy={"dropout": 0.0})
    losses = [record["loss"] for record in records(tmp_path, "train")]
    assert losses[-1] < 0.7 * losses[0]


class WithoutValidation(ToyTask):
    def evaluate(self, model: torch.nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        yield from ()


def test_a_best_metric_is_no_fault_where_nothing_is_measured(tmp_path: Path) -> None:
    """A task's file names the metric, and a user takes the validation data away."""
    options = TrainSettings(**{**DEFAULTS, "eval_every": 7, "best_metric": "error"})
    train(WithoutValidation(), tmp_path, False, options, "")
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["last.pt"]
    assert records(tmp_path, "val") == []


def test_the_comparison_sees_a_difference(tmp_path: Path) -> None:
    for seed in (0, 1):
        run(tmp_path / str(seed), steps=2, seed=seed)
    assert "/model/0.weight" in differences(state_of(tmp_path / "0"), state_of(tmp_path / "1"))


def test_how_often_one_evaluates_does_not_change_the_training(tmp_path: Path) -> None:
    run(tmp_path / "often", eval_every=2, eval_at_start=True)
    run(tmp_path / "never")
    often, never = (state_of(tmp_path / name) for name in ("often", "never"))
    assert differences(often["model"], never["model"]) == []
    assert [record["step"] for record in records(tmp_path / "often", "val")] == list(range(0, 21, 2))


def test_accumulating_equals_one_larger_batch(tmp_path: Path) -> None:
    class Plain(ToyTask):
        def build_model(self) -> torch.nn.Module:
            return torch.nn.Linear(6, 2)  # batch statistics would rightly tell the two apart

    for name, options in {"one": {"batch_size": 8}, "two": {"batch_size": 4, "accumulate": 2}}.items():
        settings = TrainSettings(**{**DEFAULTS, "steps": 4, "optimizer": "sgd", **options})
        train(Plain(), tmp_path / name, settings=settings)
    one, two = (state_of(tmp_path / name)["model"] for name in ("one", "two"))
    assert all(torch.allclose(one[key], two[key], atol=1e-6) for key in one)


def test_the_logged_rate_at_step_0_is_the_configured_one(tmp_path: Path) -> None:
    run(tmp_path, steps=5, lr=0.0123, log_every=1)
    logged = records(tmp_path, "train")
    assert logged[0]["step"] == 0 and logged[0]["lr"] == 0.0123
    rates = load_checkpoint(tmp_path / "checkpoints" / "last.pt")["optimizer"]["param_groups"]
    assert {group["lr"] for group in rates} == {logged[-1]["lr"]}  # what is logged is what the optimiser used


def test_the_log_holds_means_parts_and_times(tmp_path: Path) -> None:
    run(tmp_path / "one", steps=7, log_every=1)
    run(tmp_path / "three", steps=7, log_every=3)
    one, three = records(tmp_path / "one", "train"), records(tmp_path / "three", "train")
    assert [record["step"] for record in three] == [0, 3, 6]
    assert three[1]["loss"] == pytest.approx(sum(record["loss"] for record in one[1:4]) / 3)
    names = {"loss", "loss/square", "mean_x", "grad_norm", "lr", "skipped"}
    assert names | {"time/data_s", "time/step_s", "time/items_per_s"} <= set(three[0])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_with_a_loss_that_is_not_finite_changes_nothing_and_names_its_batch(
    accumulate: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, steps=6, toy={"nan_steps": [5]}, accumulate=accumulate, checkpoint_every=5, keep=9)
    before, after = (load_checkpoint(tmp_path / "checkpoints" / f"step-{n:07d}.pt") for n in (5, 6))
    assert differences(before["model"], after["model"]) == []  # batch statistics too
    assert after["skipped"] == 1
    said = capfd.readouterr().err
    assert "step 5: loss not finite in batch ['item" in said


def test_too_many_skipped_steps_in_a_row_end_the_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"3 steps in a row \(train.max_skipped\), last at step 6 in batch"):
        run(tmp_path, toy={"nan_steps": [2, 4, 5, 6]}, max_skipped=3)


def test_a_new_run_does_not_mix_with_an_old_one(tmp_path: Path) -> None:
    run(tmp_path, steps=1)
    with pytest.raises(InputError, match="is not empty; go on with --resume"):
        run(tmp_path, steps=1)
    with pytest.raises(InputError, match="holds no run"):
        run(tmp_path / "elsewhere", resume=True)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        run(tmp_path / "file")


def test_a_run_that_ended_before_its_first_checkpoint_starts_again(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run(tmp_path, toy={"nan_steps": range(20)})
    run(tmp_path, resume=True)
    assert load_checkpoint(tmp_path / "checkpoints" / "last.pt")["step"] == 20


def test_resuming_under_another_config_prints_the_difference(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, steps=2, config="a = 1\nb = 2\n")
    capfd.readouterr()
    run(tmp_path, resume=True, steps=3, config="a = 1\nb = 3\n")
    lines = capfd.readouterr().err.splitlines()
    assert "-b = 2" in lines and "+b = 3" in lines and "-a = 1" not in lines
    assert load_checkpoint(tmp_path / "checkpoints" / "last.pt")["config"] == "a = 1\nb = 3\n"


@pytest.mark.parametrize("sizes", [{"batch_size": 3}, {"accumulate": 3}, {"batch_size": 8}])
def test_other_sizes_of_batches_go_on_where_the_checkpoint_was(sizes: dict[str, int], tmp_path: Path) -> None:
    length = 100  # more than are trained on: within an epoch no item comes twice
    first = run(tmp_path, toy={"length": length}, steps=5)
    second = run(tmp_path, resume=True, toy={"length": length}, steps=8, **sizes)
    taken = first.seen_names + second.seen_names
    assert len(taken) == 5 * 4 + 3 * sizes.get("batch_size", 4) * sizes.get("accumulate", 1)
    assert len(set(taken)) == len(taken)
    # Whole batches: 20 items are followed by the one at 21 with batches of 3, at 24 with batches of 8.
    start = {3: 21, 8: 24}.get(sizes.get("batch_size", 4), 20)
    order = [f"item{index}" for index in epoch_order(length, 0, 0)]
    assert second.seen_names == order[start : start + len(second.seen_names)]
    assert load_checkpoint(tmp_path / "checkpoints" / "last.pt")["position"] == start + len(second.seen_names)


def test_resuming_another_network_or_optimiser_is_refused(tmp_path: Path) -> None:
    run(tmp_path, steps=2)
    before = (tmp_path / "checkpoints" / "last.pt").read_bytes()
    with pytest.raises(InputError, match=r"another network: 0.weight is \(8, 6\) in the checkpoint, \(9, 6\)"):
        run(tmp_path, resume=True, toy={"width": 9})
    with pytest.raises(InputError, match="trained with train.optimizer = 'adamw'"):
        run(tmp_path, resume=True, optimizer="sgd")
    assert (tmp_path / "checkpoints" / "last.pt").read_bytes() == before


def test_best_and_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    options: dict[str, Any] = {"steps": 12, "eval_every": 2, "checkpoint_every": 3, "best_metric": "error"}
    run(tmp_path, best_is="lowest", keep=2, **options)
    figures = {record["step"]: record["error"] for record in records(tmp_path, "val")}
    best = load_checkpoint(tmp_path / "checkpoints" / "best.pt")
    assert best["best"] == min(figures.values()) == figures[best["step"]]
    assert best["measured"] == {"step": best["step"], "error": best["best"]}, "how good it is goes with it"
    kept = sorted((tmp_path / "checkpoints").glob("step-*.pt"))
    assert len(kept) == 2 and kept[-1].name == "step-0000012.pt"


@pytest.mark.parametrize("change", [{"best_metric": "worth"}, {"best_is": "lowest"}])
def test_another_best_metric_starts_anew(
    change: dict[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Errors lie near 1 and worths near -1: held against the other's best, none would ever be better."""

    class Judged(ToyTask):
        def evaluate(self, model: torch.nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
            for name, value in super().evaluate(model, device):
                yield from ((name, 9 + value), ("worth", -value))

    options: dict[str, Any] = {**DEFAULTS, "eval_every": 2, "best_metric": "error"}
    best = tmp_path / "checkpoints" / "best.pt"
    train(Judged(), tmp_path, settings=TrainSettings(**{**options, "steps": 4}))
    capfd.readouterr()
    train(Judged(), tmp_path, True, TrainSettings(**{**options, "steps": 6}))
    assert "train.best_metric is now" not in capfd.readouterr().err
    train(Judged(), tmp_path, True, TrainSettings(**{**options, "steps": 8, **change}))
    assert "train.best_metric is now" in capfd.readouterr().err
    assert load_checkpoint(best)["step"] == 8


def test_a_mistyped_best_metric_names_the_near_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train.best_metric = 'eror' .* the nearest is error"):
        run(tmp_path, steps=2, eval_every=2, best_metric="eror")


def test_no_data_and_broken_data_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="training set is empty"):
        run(tmp_path / "empty", toy={"length": 0})
    for workers in (0, 2):
        with pytest.raises(InputError, match="^item3 is broken; mend it$"):
            run(tmp_path / f"broken{workers}", toy={"bad_item": 3}, workers=workers)
    assert multiprocessing.active_children() == []


def test_autocast_leaves_the_weights_in_float32(tmp_path: Path) -> None:
    run(tmp_path, steps=3, amp=True)
    assert all(value.dtype != torch.bfloat16 for value in state_of(tmp_path)["model"].values())


def test_the_check_of_the_config_runs_before_the_first_step_and_before_any_file(tmp_path: Path) -> None:
    def refuse() -> None:
        raise InputError("unused binding")

    task = ToyTask()
    with pytest.raises(InputError, match="unused binding"):
        train(task, tmp_path / "run", settings=TrainSettings(**DEFAULTS), on_ready=refuse)
    assert task.seen == 0 and not (tmp_path / "run").exists()


def test_signal_handlers_and_deterministic_mode_are_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), torch.are_deterministic_algorithms_enabled()
    run(tmp_path, steps=1)
    assert (signal.getsignal(signal.SIGINT), torch.are_deterministic_algorithms_enabled()) == before


def test_tensorboard_gets_curves_config_and_pictures(tmp_path: Path) -> None:
    run(tmp_path, steps=4, config="a = 1\n", tensorboard=True, eval_every=4, picture_every=4, log_every=1)
    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(os.fspath(tmp_path / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"train/loss", "train/loss/square", "train/lr", "train/grad_norm", "val/error"} <= set(tags["scalars"])
    assert {"time/data_s", "time/step_s"} <= set(tags["scalars"])
    assert tags["images"] == ["grey"]
    assert {"config/text_summary", "data/text_summary"} <= set(tags["tensors"])
    assert [event.step for event in events.Scalars("train/loss")] == [0, 1, 2, 3]


def test_a_run_writes_what_is_needed_to_repeat_it(tmp_path: Path) -> None:
    run(tmp_path, steps=1, config="train.steps = 1\n")
    assert (tmp_path / "config.gin").read_text() == "train.steps = 1\n"
    found = json.loads((tmp_path / "versions.json").read_text())
    assert found["torch"] == torch.__version__ and {"sparse3d", "commit", "python", "numpy"} <= set(found)
    assert (tmp_path / "command.txt").read_text().count("\n") == 1
    assert (tmp_path / "operative_config.gin").is_file()
