"""Which frames an evaluation takes when nobody says."""

from __future__ import annotations

from pathlib import Path

import gin
import pytest

from sparse3d import config
from sparse3d.evaluation import default_split
from sparse3d.training.checkpoint import save_checkpoint
from sparse3d.training.config_text import written_text


def test_the_held_out_frames_of_what_was_trained_on_and_all_of_any_other_folder(tmp_path: Path) -> None:
    """A split by frame numbers means nothing in another recording."""
    checkpoint, trained_on = tmp_path / "last.pt", tmp_path / "kitchen"
    text = f"DATA_ROOT = '{trained_on}'\nFrameFolder.root = %DATA_ROOT\n"
    empty = {"model": {}, "optimizer": {}, "step": 1, "processes": []}
    save_checkpoint(checkpoint, {**empty, "config": text})
    assert default_split(checkpoint, None) == "val"
    assert default_split(checkpoint, str(tmp_path / "other" / ".." / "kitchen")) == "val"
    assert default_split(checkpoint, str(tmp_path / "other")) == "all"


def test_a_relative_root_is_the_one_of_the_training_whatever_folder_one_measures_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint, elsewhere = tmp_path / "last.pt", tmp_path / "elsewhere"
    elsewhere.mkdir()
    state = {"model": {}, "optimizer": {}, "step": 1, "processes": [], "config": "DATA_ROOT = 'my/frames'\n"}
    save_checkpoint(checkpoint, {**state, "working_folder": str(tmp_path)})
    for folder in (tmp_path, elsewhere):
        monkeypatch.chdir(folder)
        assert default_split(checkpoint, str(tmp_path / "my" / "frames")) == "val"
        assert default_split(checkpoint, "my/frames") == "val"  # the run may have come from another machine
    assert not caplog.records
    save_checkpoint(checkpoint, state)  # as of earlier versions
    assert default_split(checkpoint, str(tmp_path / "my" / "frames")) == "all" and "--split val" in caplog.text


@pytest.mark.parametrize("length", [20, 110, 300])
def test_a_long_path_is_found_as_gin_writes_it(length: int, tmp_path: Path) -> None:
    """Beyond 120 characters gin puts it on a line of its own."""
    checkpoint, root = tmp_path / "last.pt", "/data/" + "room's scans " * (length // 13)
    gin.clear_config()
    gin.parse_config(f"DATA_ROOT = {root!r}\nFrameFolder.root = %DATA_ROOT")
    text = config.config_text()
    gin.clear_config()
    assert written_text(text, "DATA_ROOT") == root and written_text(text, "VAL_SPLIT") is None
    save_checkpoint(checkpoint, {"model": {}, "optimizer": {}, "step": 1, "processes": [], "config": text})
    assert default_split(checkpoint, root) == "val" and default_split(checkpoint, "/other") == "all"
