"""The real commands: exit codes, signals, resuming; and several processes through torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from states import differences, state_of

ROOT = Path(__file__).resolve().parents[2]
TRAIN = os.fspath(ROOT / "tools" / "train.py")
CONFIG = """
include "base/training.gin"
import toy
run.task = @ToyTask()
train.steps = 20
train.lr = 0.01
train.log_every = 4
train.device = "cpu"
train.tensorboard = False
"""


@pytest.fixture
def toy_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", os.fspath(Path(__file__).parent))
    (tmp_path / "toy.gin").write_text(CONFIG)
    return tmp_path / "toy.gin"


def command(config: Path, out: Path, *more: str) -> list[str]:
    return [TRAIN, os.fspath(config), "--out", os.fspath(out), *more]


def tool(config: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command(config, out, *more)], capture_output=True, text=True, timeout=120)


def test_sigterm_then_resume_with_workers_equals_an_uninterrupted_run_without(toy_config: Path, tmp_path: Path) -> None:
    whole = tool(toy_config, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    parts = ["--set", "train.workers=2"]
    stopped = tool(toy_config, tmp_path / "parts", *parts, "--set", "ToyTask.signal_at=9")
    assert stopped.returncode == 143, stopped.stderr
    assert "stopped after 10 steps, checkpoint written; go on with --resume" in stopped.stderr
    resumed = tool(toy_config, tmp_path / "parts", *parts, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "-ToyTask.signal_at = 9" in resumed.stderr.splitlines()
    assert differences(state_of(tmp_path / "whole"), state_of(tmp_path / "parts")) == []


def test_a_mistyped_name_is_one_line_with_the_near_one_and_code_2(toy_config: Path, tmp_path: Path) -> None:
    done = tool(toy_config, tmp_path / "run", "--set", "ToyTask.widht=9")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        "error: --set 'ToyTask.widht=9': ToyTask has no parameter 'widht'; the nearest is ToyTask.width\n"
    )
    assert not (tmp_path / "run").exists()


def test_two_processes_train_as_one_does(toy_config: Path, tmp_path: Path) -> None:
    """Plain gradient descent at rate 1: after one step, equal weights are equal gradients."""
    options = []
    for binding in (
        "train.steps=3", "train.lr=1.0", "train.optimizer='sgd'", "train.momentum=0.0", "train.schedule='constant'",
        "train.clip_norm=None", "train.batch_size=6", "train.eval_every=1", "ToyTask.dropout=0.0", "train.log_every=1",
    ):  # fmt: skip
        options += ["--set", binding]
    alone = tool(toy_config, tmp_path / "one", *options)
    assert alone.returncode == 0, alone.stderr
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    two = subprocess.run(
        [*launcher, *command(toy_config, tmp_path / "two", *options)], capture_output=True, text=True, timeout=120
    )
    assert two.returncode == 0, two.stderr
    states = [state_of(tmp_path / name) for name in ("one", "two")]
    assert [len(state["processes"]) for state in states] == [1, 2]
    for name, value in states[0]["model"].items():
        assert torch.allclose(value, states[1]["model"][name], atol=1e-5), name
    figures = [(tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("one", "two")]
    assert len(figures[0]) == len(figures[1]) == 6
    for ours, theirs in zip(*[map(json.loads, lines) for lines in figures], strict=True):
        for name in {"step", "kind", "loss", "error", "lr", "grad_norm", "mean_x"} & set(ours):
            assert theirs[name] == (ours[name] if name == "kind" else pytest.approx(ours[name], abs=1e-4)), name


def test_help_shows_an_example(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import runpy

    monkeypatch.setattr(sys, "argv", [TRAIN, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(TRAIN, run_name="__main__")
    assert ended.value.code == 0
    assert "example:\n  python tools/train.py gin/pretrain/" in capsys.readouterr().out
