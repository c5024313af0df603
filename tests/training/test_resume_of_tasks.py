"""The tasks themselves, not only a toy: stopped by a signal and resumed, each is what it would have been."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import gin
import pytest
from prepared_rooms import write_prepared
from states import differences, state_of

from sparse3d import run
from sparse3d.training.checkpoint import load_checkpoint
from sparse3d.training.loop import Trainer

SMALL = (
    "train.steps = 6", "train.batch_size = 2", "train.warmup = 2", "train.workers = 1", "train.device = 'cpu'",
    "train.tensorboard = False", "train.eval_every = 0", "train.best_metric = None", "train.picture_every = 0",
    "VOXEL_SIZE = 0.1", "SRUNet.spec = 'SRUNet14-CPU'",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_config_stays() -> Iterator[None]:
    yield
    gin.clear_config()


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("rooms") / "prepared", train=3)


def stopped_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal arrives while step number ``step`` is logged."""
    log = Trainer._log_step

    def log_and_kill(self: Trainer, rate: float) -> None:
        log(self, rate)
        if self.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Trainer, "_log_step", log_and_kill)


@pytest.mark.parametrize(
    "config", ["pretrain/frames", "segmentation/rooms", "detection/rooms_sparse", "classification/rooms"]
)
def test_a_resumed_task_equals_an_uninterrupted_one_bit_for_bit(
    config: str, rooms: Path, room_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The teacher's means, boxes' mean sizes, class weights and the draws of data go on where they were."""
    root = room_folder if config.startswith("pretrain") else rooms
    bindings = [f"DATA_ROOT = {str(root)!r}", *SMALL]
    if config.startswith("pretrain"):
        bindings += ["FrameFolder.size = (64, 48)", "MatchingPairs.max_pairs = 2", "MatchingPairs.matches = 50"]
        bindings += [f"{scope}/FrameFolder.part = (0.0, 1.0)" for scope in ("train", "val")]
    run.start([f"{config}.gin"], bindings, tmp_path / "whole")
    with monkeypatch.context() as patched:
        stopped_at(2, patched)
        with pytest.raises(SystemExit) as stopped:
            run.start([f"{config}.gin"], bindings, tmp_path / "parts")
    assert stopped.value.code == 128 + signal.SIGTERM
    assert 2 <= load_checkpoint(tmp_path / "parts" / "checkpoints" / "last.pt")["step"] < 6
    run.start([f"{config}.gin"], bindings, tmp_path / "parts", resume=True)
    whole, parts = state_of(tmp_path / "whole"), state_of(tmp_path / "parts")
    assert whole["step"] == 6 and differences(whole, parts) == []
