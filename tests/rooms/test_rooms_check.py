"""The measurements of made rooms: right on exact rooms, and they notice what is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sparse3d.errors import InputError
from sparse3d.preparation.options import PrepareOptions
from sparse3d.preparation.runner import Job, prepare
from sparse3d.rooms.make_rooms import RoomsOptions, make_rooms
from sparse3d.rooms.recording import RecordingOptions
from sparse3d.rooms_check.report import check_rooms, describe

ROOT = Path(__file__).resolve().parents[2]
SIZE = (96, 72)


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("check")
    recording = RecordingOptions(frames=10, size=SIZE, spacing=0.04, noise=False, shadows=False)
    make_rooms(folder / "rooms", 4, RoomsOptions(seed=1, kind="bathroom", recording=recording))
    prepare(Job(folder / "rooms", folder / "prepared", PrepareOptions(size=SIZE, frame_skip=1)))
    return folder / "rooms", folder / "prepared"


def test_exact_rooms_are_found_exact(exact: tuple[Path, Path]) -> None:
    report = check_rooms(*exact)
    assert report.rooms == 4 and report.vertices > 5000
    assert report.wrong_labels == 0 and report.wrong_objects == 0
    assert report.boxes_seen_whole > 0 and report.good_boxes == 1.0
    assert report.residual_median < 0.0005
    assert report.color_miou is not None and 0 < report.color_miou < 0.6
    toilet = next(one for one in report.coverage if one.name == "toilet")
    assert toilet.train_rooms == 3 and toilet.val_rooms == 1 and toilet.instances >= 4
    assert "sofa" in report.missing() and "toilet" not in report.missing()
    assert "0 of" in describe(report)


def test_wrong_labels_wrong_boxes_and_wrong_poses_are_noticed(exact: tuple[Path, Path], tmp_path: Path) -> None:
    rooms = shutil.copytree(exact[0], tmp_path / "rooms")
    name = "room0000_00"
    truth = dict(np.load(rooms / f"scans/{name}/{name}_truth.npz"))
    truth["nyu40"][:7] = 38
    np.savez(rooms / f"scans/{name}/{name}_truth.npz", **truth)
    path = rooms / f"scans/{name}/{name}_boxes.json"
    boxes = json.loads(path.read_text())
    for one in boxes["instances"]:
        for side in ("center", "seen_center"):
            one[side] = [value + 0.3 for value in one[side]] if one[side] else None
    path.write_text(json.dumps(boxes))
    report = check_rooms(rooms, exact[1], color=False)
    assert report.wrong_labels == 7 and report.wrong_objects == 0
    assert report.good_boxes < 1
    assert report.color_miou is None


def test_scans_without_truth_are_refused(exact: tuple[Path, Path], tmp_path: Path) -> None:
    rooms = shutil.copytree(exact[0], tmp_path / "rooms")
    (rooms / "scans/room0001_00/room0001_00_truth.npz").unlink()
    with pytest.raises(InputError, match="room0001_00_truth.npz"):
        check_rooms(rooms, exact[1])


@pytest.mark.parametrize("ending", ["truth.npz", "boxes.json"])
def test_a_damaged_truth_is_named(exact: tuple[Path, Path], tmp_path: Path, ending: str) -> None:
    rooms = shutil.copytree(exact[0], tmp_path / "rooms")
    path = rooms / f"scans/room0001_00/room0001_00_{ending}"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"[]", b'{"instances": [{}]}'):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"room0001_00_{ending}: cannot be read"):
            check_rooms(rooms, exact[1], color=False)


def test_the_tool_explains_itself() -> None:
    done = subprocess.run(
        [sys.executable, "tools/check_rooms.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "example" in done.stdout


def test_what_could_not_be_measured_is_null_and_none(exact: tuple[Path, Path], tmp_path: Path) -> None:
    rooms = shutil.copytree(exact[0], tmp_path / "rooms")
    for path in rooms.glob("scans/*/*_boxes.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"instances": []}))
    report = check_rooms(rooms, exact[1], color=False)
    assert report.boxes_seen_whole == 0 and "none of 0" in describe(report)
    plain = json.loads(json.dumps(report.as_json(), allow_nan=False))  # NaN is no JSON
    assert plain["good_boxes"] is None and plain["residual_median"] == report.residual_median
