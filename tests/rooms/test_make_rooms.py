"""Making many rooms: the same bytes by any number of workers, going on after a break, refusing to mix options."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from room_of_boxes import room_of_boxes
from test_scan_mesh import POSES

from sparse3d.data.scannet.scene_files import find_scenes
from sparse3d.data.scannet.split_lists import packaged_splits, read_split
from sparse3d.errors import InputError
from sparse3d.rooms import make_rooms as making
from sparse3d.rooms.make_rooms import RoomsOptions, make_rooms, scene_name, split_of
from sparse3d.rooms.piece import ROOM_KINDS
from sparse3d.rooms.recording import RecordingOptions
from sparse3d.rooms.rooms_summary import summary_table

ROOT = Path(__file__).resolve().parents[2]
SMALL = RecordingOptions(frames=2, size=(64, 48), spacing=0.08, shadows=False)
OPTIONS = RoomsOptions(seed=5, recording=SMALL)
SUFFIXES = (
    ".sens", "_vh_clean_2.ply", "_vh_clean_2.labels.ply", "_vh_clean_2.0.010000.segs.json", ".aggregation.json",
    ".txt", "_2d-instance.zip", "_2d-label.zip", "_2d-part.zip", "_truth.npz", "_boxes.json", "_room.json",
)  # fmt: skip


@pytest.fixture
def boxes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rooms of boxes instead of drawn ones, which are slower; the list names the scenes that were made."""
    made: list[int] = []

    def draw(index: int, options: RoomsOptions) -> tuple[object, np.ndarray, int]:
        made.append(index)
        return room_of_boxes(index), np.stack(POSES[: options.recording.frames]), 0

    monkeypatch.setattr(making, "draw", draw)
    return made


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_one_worker_and_two_give_the_same_bytes_of_all_files(tmp_path: Path) -> None:
    """Of furnished rooms; two processes that hash strings differently."""
    for workers in (1, 2):
        make_rooms(tmp_path / str(workers), 2, OPTIONS, workers=workers)
    one, two = bytes_of(tmp_path / "1"), bytes_of(tmp_path / "2")
    assert list(one) == list(two)
    assert [name for name in one if one[name] != two[name]] == []
    for k in range(2):
        assert {f"scans/{scene_name(k)}/{scene_name(k)}{suffix}" for suffix in SUFFIXES} <= set(one)


def test_a_set_is_extended_and_finished_rooms_are_kept(tmp_path: Path, boxes: list[int]) -> None:
    first = make_rooms(tmp_path / "a", 3, OPTIONS)
    assert (first.made, first.skipped, boxes) == (3, 0, [0, 1, 2])
    kept = (tmp_path / "a/scans/room0001_00/room0001_00.sens").stat().st_mtime_ns
    more = make_rooms(tmp_path / "a", 5, OPTIONS)
    assert (more.made, more.skipped, boxes) == (2, 3, [0, 1, 2, 3, 4])
    assert (tmp_path / "a/scans/room0001_00/room0001_00.sens").stat().st_mtime_ns == kept
    make_rooms(tmp_path / "b", 5, OPTIONS)
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")
    assert read_split(tmp_path / "a/splits/val.txt") == ["room0003_00"]
    assert [scene.name for scene in find_scenes(tmp_path / "a")] == [scene_name(k) for k in range(5)]


def test_a_room_that_fails_half_way_leaves_nothing(
    tmp_path: Path, boxes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = making.record

    def failing(*arguments: object) -> dict[str, object]:
        summary = whole(*arguments)  # type: ignore[arg-type]
        if arguments[3] == "room0001_00":
            raise KeyboardInterrupt
        return summary

    monkeypatch.setattr(making, "record", failing)
    with pytest.raises(KeyboardInterrupt):
        make_rooms(tmp_path, 3, OPTIONS)
    assert [p.name for p in (tmp_path / "scans").iterdir()] == ["room0000_00"]
    monkeypatch.setattr(making, "record", whole)
    assert make_rooms(tmp_path, 3, OPTIONS).made == 2


def test_what_a_killed_run_has_left_is_swept(tmp_path: Path, boxes: list[int]) -> None:
    make_rooms(tmp_path, 1, OPTIONS)
    left = tmp_path / "scans" / ".room0001_00.partial"
    left.mkdir()
    (left / "room0001_00.sens").write_bytes(b"half")
    make_rooms(tmp_path, 2, OPTIONS)
    assert sorted(p.name for p in (tmp_path / "scans").iterdir()) == ["room0000_00", "room0001_00"]


def test_a_second_run_in_the_same_folder_is_refused(
    tmp_path: Path, boxes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, refused = making.record, []

    def beside(*arguments: Any) -> Any:
        with pytest.raises(InputError, match="another run makes rooms there") as caught:
            make_rooms(tmp_path, 1, OPTIONS)
        refused.append(caught)
        return whole(*arguments)

    monkeypatch.setattr(making, "record", beside)
    assert make_rooms(tmp_path, 1, OPTIONS).made == 1 and len(refused) == 1
    assert not list(tmp_path.rglob(".*"))


def test_a_room_that_was_swept_away_meanwhile_is_not_published(
    tmp_path: Path, boxes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker may outlive its killed run by seconds; what it then writes makes its folder anew."""
    whole = making.record

    def swept(room: Any, poses: Any, partial: Path, *more: Any) -> Any:
        summary = whole(room, poses, partial, *more)
        partial.rename(partial.with_name("moved"))
        partial.mkdir()
        return summary

    monkeypatch.setattr(making, "record", swept)
    with pytest.raises(InputError, match="taken away by another run"):
        make_rooms(tmp_path, 1, OPTIONS)
    assert not (tmp_path / "scans" / "room0000_00").exists()


def test_a_full_disk_is_one_line(tmp_path: Path, boxes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise OSError(28, "No space left on device", "mesh.ply")

    monkeypatch.setattr(making, "record", full)
    with pytest.raises(InputError, match=r"mesh.ply: cannot be written \(No space left on device\): free space"):
        make_rooms(tmp_path, 1, OPTIONS)
    assert list((tmp_path / "scans").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_killing_the_tool_leaves_no_half_scene_and_no_worker(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tools" / "make_rooms.py"), str(tmp_path / "x"), "--scenes", "9", "--frames",
               "400", "--size", "320x240", "--workers", "2"]  # fmt: skip
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)
    scans, deadline = tmp_path / "x" / "scans", time.monotonic() + 60
    while not list(scans.glob(".room*.partial/.*.sens*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    try:
        _, errors = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # else it would make rooms beside the tests that follow
        raise
    assert process.returncode == 130 and errors.splitlines()[-1] == "interrupted"
    assert list(scans.iterdir()) == []
    with pytest.raises(ProcessLookupError):  # the whole group has ended, the last of it within moments
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("other", "word"),
    [
        (RoomsOptions(seed=6, recording=SMALL), "seed 5, not 6"),
        (RoomsOptions(seed=5, kind="office", recording=SMALL), "kind None, not office"),
        (RoomsOptions(seed=5, recording=RecordingOptions(3, (64, 48), 0.08, shadows=False)), "frames 2, not 3"),
        (RoomsOptions(seed=5, recording=RecordingOptions(2, (64, 48), 0.08, False, False)), "noise True, not False"),
    ],
)
def test_other_options_are_not_mixed_in(tmp_path: Path, boxes: list[int], other: RoomsOptions, word: str) -> None:
    make_rooms(tmp_path, 1, OPTIONS)
    with pytest.raises(InputError, match=word):
        make_rooms(tmp_path, 2, other)
    assert boxes == [0]


def test_scans_of_others_are_not_touched(tmp_path: Path, boxes: list[int]) -> None:
    (tmp_path / "scans" / "scene0000_00").mkdir(parents=True)
    with pytest.raises(InputError, match="holds scans"):
        make_rooms(tmp_path, 1, OPTIONS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1},
        {"kind": "cellar"},
        {"recording": RecordingOptions(frames=0)},
        {"recording": RecordingOptions(size=(4, 4))},
        {"recording": RecordingOptions(spacing=0.0)},
    ],
)
def test_wrong_options_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="--"):
        RoomsOptions(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("arguments", [{"scenes": 0}, {"scenes": 10001}, {"scenes": 1, "workers": 0}])
def test_wrong_numbers_are_named(tmp_path: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(InputError, match="--"):
        make_rooms(tmp_path, options=OPTIONS, **arguments)


@pytest.mark.parametrize("seed", range(5))
def test_the_standard_set_has_every_kind_in_both_splits(seed: int) -> None:
    kinds = {"train": set(), "val": set()}
    for k in range(80):
        kinds[split_of(k)].add(making._kind(k, RoomsOptions(seed=seed)))
    assert kinds["train"] == kinds["val"] == set(ROOM_KINDS)
    assert making._kind(3, RoomsOptions(kind="office")) == "office"


def test_other_shares_of_rooms_for_validation(tmp_path: Path, boxes: list[int]) -> None:
    options = replace(OPTIONS, val_every=3)
    made = make_rooms(tmp_path, 7, options)
    assert read_split(tmp_path / "splits" / "val.txt") == [scene_name(2), scene_name(5)]
    assert len(read_split(tmp_path / "splits" / "train.txt")) == 5
    chairs = next(line.split() for line in summary_table(made).splitlines() if line.startswith("chair"))
    assert chairs[4:] == ["5", "2"]  # rooms of train, rooms of val
    with pytest.raises(InputError, match="val_every 3, not 4"):
        make_rooms(tmp_path, 7, OPTIONS)
    with pytest.raises(InputError, match="--val-every 1: at least 2"):
        replace(OPTIONS, val_every=1)


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_damaged_summary_of_a_room_is_named(tmp_path: Path, boxes: list[int], content: str) -> None:
    make_rooms(tmp_path, 1, OPTIONS)
    path = tmp_path / "scans" / scene_name(0) / f"{scene_name(0)}_room.json"
    path.write_text(content)
    with pytest.raises(InputError, match=rf"_room\.json: .* remove {path.parent}"):
        make_rooms(tmp_path, 1, OPTIONS)


def test_sets_from_before_the_share_could_be_chosen_have_every_fourth_room(tmp_path: Path, boxes: list[int]) -> None:
    make_rooms(tmp_path, 1, OPTIONS)
    noted = json.loads((tmp_path / "rooms.json").read_text())
    assert noted.pop("val_every") == 4
    (tmp_path / "rooms.json").write_text(json.dumps(noted))
    make_rooms(tmp_path, 1, OPTIONS)
    with pytest.raises(InputError, match="val_every 4, not 5"):
        make_rooms(tmp_path, 1, replace(OPTIONS, val_every=5))


def test_the_packaged_splits_are_those_of_the_standard_set() -> None:
    folder = packaged_splits("rooms")
    assert folder is not None
    for split, count in (("train", 60), ("val", 20)):
        assert (folder / f"{split}.txt").read_text().startswith("# ")
        names = read_split(folder / f"{split}.txt")
        assert names == [scene_name(k) for k in range(80) if split_of(k) == split] and len(names) == count


@pytest.mark.parametrize(
    ("scenes", "every", "said"),
    [
        (420, 21, "no validation room is a bathroom, classroom, living room: .*; in a new folder, --val-every 20 has"),
        (80, 4, None),
        (2, 2, "no validation room is a [a-z ]+: what occurs only there is not measured$"),
    ],
)
def test_kinds_without_a_validation_room_are_told(scenes: int, every: int, said: str | None, tmp_path: Path) -> None:
    """Trap: kinds follow a sequence of golden ratios, in which every 21st room is of three kinds of six."""
    rooms = [
        {"kind": making._kind(k, RoomsOptions()), "index": k, "vertices": 9, "frames": 1, "objects": {},
         "vertices_by_nyu40": {}} for k in range(scenes)
    ]  # fmt: skip
    table = summary_table(making.Made(tmp_path, every, rooms, scenes, 0, 1.0, 0, {}))
    assert re.search(said, table) if said else "no validation room" not in table


def test_a_room_does_not_depend_on_how_it_is_recorded() -> None:
    few, many = (
        making.draw(1, RoomsOptions(seed=2, recording=RecordingOptions(frames=frames)))[0] for frames in (2, 5)
    )
    assert [p.piece.category for p in few.instances] == [p.piece.category for p in many.instances]
    for a, b in zip(few.instances, many.instances, strict=True):
        np.testing.assert_array_equal(a.vertices, b.vertices)


def test_the_summary_counts_what_is_there(tmp_path: Path, boxes: list[int]) -> None:
    made = make_rooms(tmp_path, 4, OPTIONS)
    table = summary_table(made)
    chairs = next(line.split() for line in table.splitlines() if line.startswith("chair"))
    assert chairs[3:] == ["4", "3", "1"]  # objects, rooms of train, rooms of val
    plain = json.loads(json.dumps(made.as_json()))
    assert plain["made"] == 4 and len(plain["rooms"]) == 4 and plain["bytes"] > 0
