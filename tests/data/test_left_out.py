"""Nothing is dropped in silence: frames, recordings and scenes that take no part are counted, named and said."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import gin
import numpy as np
import pytest
from prepared_rooms import write_areas
from recordings import make_frames, write_redwood, write_seven_scenes, write_tum
from synthetic_room import room_frame, write_room

from sparse3d.data.matching_pairs import MatchingPairs
from sparse3d.data.readers import open_frames, open_scenes
from sparse3d.data.readers.manifest import Dropped, Manifest, left_out
from sparse3d.data.s3dis import s3dis_rooms
from sparse3d.data.view_sets import FrameFolder, ViewSets
from sparse3d.errors import InputError
from sparse3d.evaluation import evaluate
from sparse3d.evaluation_report import figures_text
from sparse3d.run import start

SMALL = (
    "train.steps = 1", "train.batch_size = 2", "train.warmup = 0", "train.workers = 0", "train.tensorboard = False",
    "train.device = 'cpu'", "VOXEL_SIZE = 0.2", "FrameFolder.size = (64, 48)", "FrameFolder.on_fault = 'drop'",
    "FrameFolder.up = 'z'", "PretrainTask.kt_weight = 0.0", "PretrainTask.val = None",
)  # fmt: skip


def broken_room(folder: Path) -> Path:
    """Six frames, of which one has lost its pose and one an image that cannot be decoded."""
    write_room(folder, [room_frame(k) for k in range(6)])
    np.savetxt(folder / "frame-000002.pose.txt", np.full((4, 4), -np.inf))
    image = folder / "frame-000004.color.png"
    image.write_bytes(image.read_bytes()[:-200])
    return folder


def test_the_frames_a_training_leaves_out_are_said_and_listed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = broken_room(tmp_path / "room"), tmp_path / "run"
    with caplog.at_level(logging.WARNING, "sparse3d"):
        start(["base/pretrain.gin"], [f"DATA_ROOT = {str(data)!r}", *SMALL], out)
    assert f"{data}: 2 of 6 frames, in 1 of 1 scenes, are left out" in caplog.text
    account = (out / "data.txt").read_text()
    assert "room: 4 frames kept, 2 dropped" in account
    assert "frame-000002: invalid_pose: " in account and "frame-000004: unreadable_color: " in account
    figures = evaluate(
        out / "checkpoints" / "last.pt", data=str(data), split="all", bindings=("PretrainTask.val = None",)
    )
    assert (figures["frames"], figures["frames_dropped"]) == (4, 2)
    assert "2 more frames cannot be used" in figures_text(figures)
    gin.clear_config()


def test_many_recordings_are_summed_up_in_one_line() -> None:
    bad = [Dropped(f"{k}", reason, "") for k, reason in enumerate(["invalid_pose"] * 2 + ["missing_depth"])]
    manifests = [Manifest("a", 5), Manifest("b", 3, bad[:2]), Manifest("c", 1, bad[2:])]
    assert left_out(manifests) == "3 of 12 frames, in 2 of 3 scenes, are left out (invalid_pose 2, missing_depth 1)"
    assert left_out(manifests[:1]) is None
    assert manifests[1].counts() == {"invalid_pose": 2}


def test_recordings_that_are_not_recognised_beside_one_that_is_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frames = make_frames(3)
    write_seven_scenes(tmp_path / "all" / "good", frames)
    (write_redwood(tmp_path / "all" / "no_poses", frames) / "trajectory.log").unlink()
    (write_tum(tmp_path / "all" / "deep" / "no_list", frames) / "depth.txt").unlink()
    assert [scene.scene for scene in open_scenes(tmp_path / "all", up="z")] == ["good"]
    (said,) = caplog.messages
    assert "2 folders with images are no recording" in said and "no_poses" in said and "no_list" in said
    caplog.clear()
    shutil.rmtree(tmp_path / "all" / "no_poses")
    shutil.rmtree(tmp_path / "all" / "deep")
    open_scenes(tmp_path / "all", up="z")
    assert caplog.messages == []


@pytest.mark.parametrize("kind", [ViewSets, MatchingPairs])
def test_scenes_without_a_pair_are_named(kind: type, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_room(tmp_path / "rooms" / "many", [room_frame(k) for k in range(4)])
    write_room(tmp_path / "rooms" / "single", [room_frame(0)])
    kind(FrameFolder(str(tmp_path / "rooms"), size=(64, 48), up="z"), voxel_size=0.1)
    (said,) = caplog.messages
    assert "1 of 2 scenes have no two frames that overlap as asked, and take no part: single" in said


def test_an_s3dis_room_whose_annotations_are_gone_is_an_error(tmp_path: Path) -> None:
    root = write_areas(tmp_path / "s3dis")
    before = s3dis_rooms(root, (1,))
    (root / "Area_1" / "office_9" / "Annotations").mkdir(parents=True)
    with pytest.raises(InputError, match="office_9/Annotations: holds no"):
        s3dis_rooms(root, (1,))
    (root / "Area_1" / "office_9" / "Annotations").rmdir()
    assert s3dis_rooms(root, (1,)) == before


def test_tum_steps_count_frames_and_not_what_has_no_partner(tmp_path: Path) -> None:
    """Colour at twice the rate of depth: every other colour image is no frame."""
    frames = make_frames(8)
    path = write_tum(tmp_path / "s", frames)
    head, *rows = (path / "depth.txt").read_text().splitlines()
    (path / "depth.txt").write_text("\n".join([head, *rows[1::2]]))
    numbers = {
        step: [source.frame_number(i) for i in range(len(source))]
        for step in (1, 2, 3)
        for source in (open_frames(path, up="z", step=step),)
    }
    assert numbers[2] == numbers[1][::2] and numbers[3] == numbers[1][::3] and len(numbers[1]) >= 3
    assert open_frames(path, up="z", step=2).manifest.counts()["unpaired"] >= 4


def test_an_evaluation_refuses_bindings_that_it_would_ignore(tmp_path: Path) -> None:
    data, out = write_room(tmp_path / "room", [room_frame(k) for k in range(4)]), tmp_path / "run"
    start(["base/pretrain.gin"], [f"DATA_ROOT = {str(data)!r}", *SMALL], out)
    checkpoint = out / "checkpoints" / "last.pt"
    with pytest.raises(InputError, match="has no effect with --split all: bind FrameFolder, or take --split val"):
        evaluate(checkpoint, split="all", bindings=("val/FrameFolder.last = 1",))
    with pytest.raises(InputError, match="nothing in this run uses init.checkpoint"):
        evaluate(checkpoint, split="all", bindings=("init.checkpoint = 'none.pt'",))
    gin.clear_config()
