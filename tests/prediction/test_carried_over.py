"""Every task starts from another task's weights by the same options, and shows what it learns in TensorBoard."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sparse3d import run
from sparse3d.training.checkpoint import load_checkpoint

ENCODER = (
    "backbone.conv0",
    "backbone.bn0",
    *(f"backbone.{name}{k}" for name in ("conv", "bn", "block") for k in (1, 2, 3, 4)),
)
CONFIGS = ["segmentation/rooms.gin", "detection/rooms.gin", "detection/rooms_sparse.gin"]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_frozen_encoder_stays_what_the_pretraining_left(
    config: str, small: tuple[str, ...], pretrained: Path, rooms: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    more = [
        f"init.checkpoint = {os.fspath(pretrained)!r}",
        "init.freeze = 'encoder'",
        "train.tensorboard = True",
        "train.picture_every = 2",
        "train.eval_every = 2",
    ]
    if "detection" in config:
        more += ["POINTS = 3000"]
    run.start([config], [f"DATA_ROOT = {os.fspath(rooms)!r}", *small, *more], out)
    given, found = load_checkpoint(pretrained)["model"], load_checkpoint(out / "checkpoints" / "last.pt")["model"]
    encoder = [name for name in found if name.startswith(ENCODER) and "num_batches" not in name]
    assert len(encoder) > 20
    assert all(torch.equal(found[name], given[name]) for name in encoder)
    report = (out / "init.txt").read_text()
    assert str(pretrained) in report and "frozen" in report

    events = EventAccumulator(os.fspath(out / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert len(tags["images"]) >= 2
    if config.startswith("segmentation"):
        assert any("mesh" in tag.lower() or "VERTEX" in tag for tag in tags["tensors"])
