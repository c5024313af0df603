"""Runs of the toy task in this process, and what their logs hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from toy import ToyTask

from sparse3d.training.loop import train
from sparse3d.training.settings import TrainSettings

DEFAULTS: dict[str, Any] = {"steps": 20, "lr": 0.01, "log_every": 3, "device": "cpu", "tensorboard": False}


def run(
    out: Path, resume: bool = False, toy: dict[str, Any] | None = None, config: str = "", **options: Any
) -> ToyTask:
    task = ToyTask(**(toy or {}))
    train(task, out, resume, TrainSettings(**{**DEFAULTS, **options}), config)
    return task


def records(out: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def timeless(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "seconds" and not k.startswith("time/")} for line in lines]
