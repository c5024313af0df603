"""Which frames an evaluation takes when nobody says."""

from __future__ import annotations

from pathlib import Path

from sparse3d.evaluation import default_split
from sparse3d.training.checkpoint import save_checkpoint


def test_the_held_out_frames_of_what_was_trained_on_and_all_of_any_other_folder(tmp_path: Path) -> None:
    """A split by frame numbers means nothing in another recording."""
    checkpoint, trained_on = tmp_path / "last.pt", tmp_path / "kitchen"
    config = f"DATA_ROOT = '{trained_on}'\nFrameFolder.root = %DATA_ROOT\n"
    empty = {"model": {}, "optimizer": {}, "step": 1, "processes": []}
    save_checkpoint(checkpoint, {**empty, "config": config})
    assert default_split(checkpoint, None) == "val"
    assert default_split(checkpoint, str(tmp_path / "other" / ".." / "kitchen")) == "val"
    assert default_split(checkpoint, str(tmp_path / "other")) == "all"
