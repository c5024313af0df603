"""The tool that writes any recording as .sens: what comes out is what went in, whole or not at all."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from synthetic_room import room_frame, write_room

from sparse3d.data.readers import open_frames
from sparse3d.tools import export_sens, inspect_pairs, inspect_scene

COUNT = 3


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A recording whose world has z up already, as rooms do."""
    return write_room(tmp_path / "room", [room_frame(k, COUNT, holes=0.05) for k in range(COUNT)])


def export(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The tool's exit code."""
    monkeypatch.setattr(sys, "argv", ["export_sens", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        export_sens.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("depth", ["zlib", "raw"])
@pytest.mark.parametrize("color", ["png", "raw"])
def test_lossless_export_gives_the_frames_back_bit_for_bit(
    room: Path,
    tmp_path: Path,
    color: str,
    depth: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "new" / "scene.sens"
    assert export(monkeypatch, room, path, "--color", color, "--depth", depth) == 0
    said = capsys.readouterr().out
    assert f"{path}: {COUNT} frames, " in said and "0 dropped" in said and said.count("\n") == 1
    written, read = open_frames(room), open_frames(path)
    assert len(read) == COUNT and [read.frame_number(i) for i in range(COUNT)] == list(range(COUNT))
    for before, after in zip(written, read, strict=True):
        np.testing.assert_array_equal(after.color, before.color)
        np.testing.assert_array_equal(after.depth, before.depth)
        np.testing.assert_allclose(after.T_world_cam, before.T_world_cam, atol=1e-6)
        np.testing.assert_allclose(after.camera.K, before.camera.K, rtol=1e-6)


def test_jpeg_is_the_default_and_leaves_depth_exact(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert export(monkeypatch, room, tmp_path / "a.sens") == 0
    before, after = open_frames(room)[1], open_frames(tmp_path / "a.sens")[1]
    assert open_frames(tmp_path / "a.sens").header.color_compression == "jpeg"  # type: ignore[attr-defined]
    np.testing.assert_array_equal(after.depth, before.depth)
    assert np.abs(after.color.astype(int) - before.color).mean() < 10


def test_size_is_that_of_the_written_frames_and_their_camera(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert export(monkeypatch, room, tmp_path / "a.sens", "--size", "32x24", "--color", "png") == 0
    before, after = open_frames(room, size=(32, 24)), open_frames(tmp_path / "a.sens")
    assert (after.camera(0).width, after.camera(0).height) == after.size == (32, 24)
    np.testing.assert_allclose(after.camera(0).K, before.camera(0).K, rtol=1e-6)
    np.testing.assert_array_equal(after[0].color, before[0].color)
    np.testing.assert_allclose(after[0].depth, before[0].depth, atol=0.00051)  # means of millimetres, to the millimetre


def test_exporting_an_export_changes_nothing(room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "scene.sens", tmp_path / "again" / "scene.sens"
    assert export(monkeypatch, room, first, "--color", "raw") == 0
    assert export(monkeypatch, first, second, "--color", "raw") == 0
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("size", ["320", "320x", "x240", "0x240", "32.5x24", "-32x24", "axb"])
def test_a_size_that_is_none_is_named_with_an_example(
    room: Path, tmp_path: Path, size: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(monkeypatch, room, tmp_path / "a.sens", f"--size={size}") == 2
    assert capsys.readouterr().err == f"error: --size {size} is no size; write for example 320x240\n"
    assert not (tmp_path / "a.sens").exists()


def test_a_missing_folder_is_one_line_and_no_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(monkeypatch, tmp_path / "nowhere", tmp_path / "new" / "a.sens") == 2
    out, error = capsys.readouterr()
    assert out == "" and error == f"error: {tmp_path / 'nowhere'}: there is no such file or folder\n"
    assert list(tmp_path.iterdir()) == []


def test_a_frame_that_breaks_in_mid_export_leaves_the_old_file_as_it_was(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.sens"
    assert export(monkeypatch, room, path) == 0
    before = path.read_bytes()
    broken = room / f"frame-{COUNT - 1:06d}.color.png"
    broken.write_bytes(broken.read_bytes()[:-200])
    capsys.readouterr()
    for target in (path, tmp_path / "b.sens"):
        assert export(monkeypatch, room, target) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and broken.name in error
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.sens", "room"]


@pytest.mark.parametrize(
    ("name", "kept", "reason"),
    [("frame-000001.pose.txt", 0, "missing_pose"), ("frame-000001.color.png", -200, "unreadable_color")],
)
def test_broken_frames_can_be_left_out_and_are_counted(
    name: str, kept: int, reason: str, room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    broken = room / name
    if kept:  # the bytes of an image that was cut short
        broken.write_bytes(broken.read_bytes()[:kept])
    else:
        broken.unlink()
    assert export(monkeypatch, room, tmp_path / "a.sens", "--on-fault", "drop") == 0
    assert f"{COUNT - 1} frames kept, 1 dropped ({reason} 1)" in capsys.readouterr().out
    assert len(open_frames(tmp_path / "a.sens")) == COUNT - 1


def test_the_axis_that_points_up_is_named_as_the_error_and_the_help_say(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for depth in room.glob("*.depth.png"):  # nothing is seen that gravity could be told by
        Image.fromarray(np.zeros((48, 64), np.uint16)).save(depth)
    assert export(monkeypatch, room, tmp_path / "a.sens") == 2
    assert "--up=-y" in capsys.readouterr().err
    assert export(monkeypatch, room, tmp_path / "a.sens", "--up=-y") == 0
    assert export(monkeypatch, "--help") == 0
    assert "--up=-y" in capsys.readouterr().out


@pytest.mark.parametrize("tool", [export_sens, inspect_pairs, inspect_scene], ids=lambda tool: tool.__name__)
def test_a_size_that_would_take_all_memory_is_refused(
    tool: Any, room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [tmp_path / "a.sens"] if tool is export_sens else ["--out", tmp_path / "out"]
    monkeypatch.setattr(sys, "argv", ["tool", str(room), *map(str, arguments), "--size", "40960x30720"])
    with pytest.raises(SystemExit) as ended:
        tool.main()
    assert ended.value.code == 2 and capsys.readouterr().err.startswith("error: --size 40960x30720: sides of more than")


def test_a_file_can_be_exported_onto_itself(
    room: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reading from the file until it is replaced whole is sound: the frames are those of before."""
    path = tmp_path / "a.sens"
    assert export(monkeypatch, room, path, "--color", "raw") == 0
    before = path.read_bytes()
    assert export(monkeypatch, path, path, "--color", "raw") == 0
    assert path.read_bytes() == before
