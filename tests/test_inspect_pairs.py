"""The inspection of recordings: the report's figures agree with each other, and what is wrong is said in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparse3d.cli import parse_size
from sparse3d.data.readers import open_frames
from sparse3d.errors import InputError
from sparse3d.inspection import scene_page
from sparse3d.inspection.pairs import SUSPICIOUS, PairOptions, depth_residuals, inspect_scene, measure_pair
from sparse3d.inspection.pairs_page import PAGE, REPORT, inspect_folder, terminal_table
from sparse3d.types import Camera

TOOL = Path(__file__).parents[1] / "tools" / "inspect_pairs.py"
CAMERA = Camera(fx=70.0, fy=62.0, cx=39.5, cy=29.5, width=80, height=60)
ROOM = (4.0, 3.0, 2.5)  # metres, a box that stands on z = 0


def look(yaw: float, x: float) -> np.ndarray:
    """Camera to world, 1.4 m above the floor, looking down a little."""
    forward = np.array((np.cos(yaw) * 0.9, np.sin(yaw) * 0.9, -np.sqrt(1 - 0.81)))
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    T[:3, 3] = (x, 1.5, 1.4)
    return T


def room_depth(T: np.ndarray) -> np.ndarray:
    """Depth (H, W) metres of the box around the camera."""
    rows, cols = np.mgrid[: CAMERA.height, : CAMERA.width]
    rays = np.stack(((cols - CAMERA.cx) / CAMERA.fx, (rows - CAMERA.cy) / CAMERA.fy, np.ones(rows.shape)), axis=-1)
    rays = rays @ T[:3, :3].T
    walls = np.where(rays > 0, np.array(ROOM), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nanmin(np.where(rays != 0, (walls - T[:3, 3]) / rays, np.inf), axis=-1).astype(np.float32)


def write_room(folder: Path, count: int = 6, poses: list[np.ndarray] | None = None, unit: float = 1000) -> Path:
    """A 7-Scenes folder; ``poses`` are written instead of the true ones, ``unit`` instead of millimetres."""
    folder.mkdir(parents=True)
    np.savetxt(folder / "camera-intrinsics.txt", CAMERA.K)
    rng = np.random.default_rng(0)
    for k in range(count):
        T = look(0.15 * k, 1.0 + 0.1 * k)
        stem = folder / f"frame-{k:06d}"
        Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(f"{stem}.color.png")
        Image.fromarray(np.round(room_depth(T) * unit).astype(np.uint16)).save(f"{stem}.depth.png")
        np.savetxt(f"{stem}.pose.txt", T if poses is None else poses[k])
    return folder


def run_tool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, TOOL, *map(str, arguments)], capture_output=True, text=True, check=False)


READING = dict(up="z", on_fault="drop")
OPTIONS = PairOptions(pairs=5, overlap=(0.2, 0.99))


def test_a_recording_with_right_poses_has_no_warning_and_consistent_figures(tmp_path: Path) -> None:
    report = inspect_folder(write_room(tmp_path / "room"), tmp_path / "out", OPTIONS, **READING)
    (scene,) = report["scenes"]
    assert scene["warnings"] == []
    assert scene["residual_median"] < SUSPICIOUS / 4
    assert scene["frames_kept"] == report["frames_kept"] == 6 and scene["frames_dropped"] == 0
    assert scene["frame_pairs"] == 15 == sum(scene["overlap_counts"])
    assert 0 < len(scene["pairs"]) <= min(5, scene["overlapping_pairs"])
    assert all(0.2 <= pair["overlap"] <= 0.99 and pair["matches"] > 0 for pair in scene["pairs"])
    assert scene["tilt_degrees"] < 3
    assert scene["depth_share"] == 1 and scene["camera_heights"] == pytest.approx((1.4, 1.4), abs=1e-3)
    np.testing.assert_allclose(scene["path_length"], 0.5, atol=1e-3)


def test_the_files_are_the_report_and_one_page_that_needs_no_other(tmp_path: Path) -> None:
    report = inspect_folder(write_room(tmp_path / "room"), tmp_path / "out", OPTIONS, **READING)
    written = json.loads((tmp_path / "out" / REPORT).read_text())
    assert written == json.loads(json.dumps(report))
    page = (tmp_path / "out" / PAGE).read_text()
    assert page.count("<img") == page.count("data:image/") >= 5
    assert "http" not in page and "<script" not in page
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [PAGE, REPORT]


def test_dropped_frames_are_counted_by_reason_in_report_page_and_table(tmp_path: Path) -> None:
    room = write_room(tmp_path / "room")
    np.savetxt(room / "frame-000002.pose.txt", np.full((4, 4), -np.inf))
    (room / "frame-000004.depth.png").write_bytes(b"no image")
    report = inspect_folder(room, tmp_path / "out", OPTIONS, **READING)
    (scene,) = report["scenes"]
    assert scene["frames_kept"] == 4 and scene["frames_dropped"] == 2 == sum(scene["dropped_by_reason"].values())
    assert scene["dropped_by_reason"]["invalid_pose"] == 1
    assert {d["reason"] for d in scene["dropped"]} == set(scene["dropped_by_reason"])
    assert any("dropped" in w for w in scene["warnings"])
    table, page = terminal_table(report), (tmp_path / "out" / PAGE).read_text()
    for text in (table, page):
        assert "invalid_pose" in text
    assert "frame-000002" in page


@pytest.mark.parametrize(
    "mistake, words",
    [
        ("inverted", "world to camera"),
        ("opengl", "y up and z backward"),
        ("units", "readings times 5"),
        ("shuffled", "check that poses"),
    ],
)
def test_wrong_poses_and_units_are_noticed_and_named(tmp_path: Path, mistake: str, words: str) -> None:
    true = [look(0.15 * k, 1.0 + 0.1 * k) for k in range(6)]
    poses = {
        "inverted": [np.linalg.inv(T) for T in true],
        "opengl": [T @ np.diag((1, -1, -1, 1)) for T in true],
        "units": true,
        "shuffled": [look(1.3 * k * k, 2.0 - 0.4 * k) for k in range(6)],
    }[mistake]
    room = write_room(tmp_path / "room", poses=poses, unit=200 if mistake == "units" else 1000)
    scene = inspect_scene(open_frames(room, up="z"), PairOptions(pairs=5, overlap=(0.0, 1.0))).figures
    assert scene.residual_median is None or scene.residual_median > SUSPICIOUS
    assert any(words in warning for warning in scene.warnings), scene.warnings


def test_intrinsics_that_no_file_says_are_a_warning(tmp_path: Path) -> None:
    room = write_room(tmp_path / "room")
    (room / "camera-intrinsics.txt").unlink()
    scene = inspect_scene(open_frames(room, up="z"), OPTIONS).figures
    assert scene.assumed_camera is not None and scene.camera["fx"] == pytest.approx(585 * 80 / 640)
    assert any("camera-intrinsics.txt" in warning and "assumed" in warning for warning in scene.warnings)


def test_what_lies_too_far_to_be_trained_on_is_a_warning(tmp_path: Path) -> None:
    poses = [look(0.15 * k, 1.0 + 0.1 * k) for k in range(6)]
    for pose in poses:
        pose[:2, 3] += (450_000, 5_400_000)
    report = inspect_folder(write_room(tmp_path / "room", poses=poses), tmp_path / "out", OPTIONS, **READING)
    (scene,) = report["scenes"]
    assert scene["farthest"] == pytest.approx(5.4e6, rel=1e-3)
    assert any("training takes 1000 m at most" in warning for warning in scene["warnings"])


def test_a_frame_far_from_all_others_is_named_with_its_recording(tmp_path: Path) -> None:
    poses = [look(0.15 * k, 1.0 + 0.1 * k) for k in range(6)]
    poses[4][0, 3] += 1e6
    room = write_room(tmp_path / "room", poses=poses)
    with pytest.raises(InputError, match=rf"{room}: frame frame-000004 lies over 52.4 km from the others"):
        inspect_folder(room, tmp_path / "out", OPTIONS, **READING)


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_a_name_that_is_no_text_is_written_with_escapes(tmp_path: Path) -> None:
    room = write_room(tmp_path / os.fsdecode(b"caf\xe9"))
    inspect_folder(room, tmp_path / "out", OPTIONS, **READING)
    page = (tmp_path / "out" / PAGE).read_text(encoding="utf-8")
    assert "caf\\udce9" in page
    assert json.loads((tmp_path / "out" / REPORT).read_text())["scenes"][0]["path"] == str(room)
    scene_page.inspect_scene(room, tmp_path / "scene", frames=1, size=(60, 80))
    assert "caf\\udce9" in (tmp_path / "scene" / "scene.html").read_text(encoding="utf-8")


def test_a_world_whose_z_lies_flat_is_noticed(tmp_path: Path) -> None:
    scene = inspect_scene(open_frames(write_room(tmp_path / "room"), up="x"), OPTIONS).figures
    assert any("--up" in warning for warning in scene.warnings)


def test_residuals_are_zero_where_poses_are_true_and_the_offset_where_they_are_not() -> None:
    depth = np.full((60, 80), 2.0, np.float32)
    moved = np.eye(4)
    moved[2, 3] = -0.1  # ten centimetres nearer
    np.testing.assert_allclose(depth_residuals(depth, CAMERA, depth - np.float32(0.1), CAMERA, moved), 0, atol=1e-6)
    np.testing.assert_allclose(depth_residuals(depth, CAMERA, depth, CAMERA, moved), 0.1 / 1.9, atol=1e-6)
    assert len(depth_residuals(depth, CAMERA, np.zeros_like(depth), CAMERA, moved)) == 0


def test_frames_without_overlap_are_a_warning_not_a_failure(tmp_path: Path) -> None:
    report = inspect_folder(write_room(tmp_path / "room", count=2), tmp_path / "out", PairOptions(overlap=(0.0, 0.001)))
    (scene,) = report["scenes"]
    assert scene["overlapping_pairs"] == 0 and len(scene["frames_without_partner"]) == 2
    assert any("no two frames" in warning for warning in scene["warnings"])


def test_a_recording_of_one_frame_has_a_report(tmp_path: Path) -> None:
    report = inspect_folder(write_room(tmp_path / "room", count=1), tmp_path / "out", OPTIONS, **READING)
    assert report["scenes"][0]["frame_pairs"] == 0 and report["scenes"][0]["residual_median"] is None


def test_the_tool_prints_the_report_as_json_and_tables_its_scenes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_room(tmp_path / "rooms" / name, count=3)
    done = run_tool(tmp_path / "rooms", "--out", tmp_path / "out", "--size", "80x60", "--up", "z", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [scene["scene"] for scene in report["scenes"]] == ["one", "two"] and report["frames_kept"] == 6
    lines = terminal_table(report).splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["one", "3"], ["two", "3"]]


def test_a_folder_without_recordings_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = run_tool(tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1 and str(tmp_path) in done.stderr


@pytest.mark.parametrize("size", ["320", "0x240", "axb", "-1x2"])
def test_a_size_that_is_none_is_named(size: str) -> None:
    with pytest.raises(InputError, match="is no size; write for example 320x240"):
        parse_size(size)


def test_bad_options_and_an_out_that_is_a_file_are_input_errors(tmp_path: Path) -> None:
    for bad in (dict(pairs=0), dict(overlap=(0.9, 0.3)), dict(overlap=(float("nan"), 1.0))):
        with pytest.raises(InputError, match="--"):
            PairOptions(**bad)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--out"):
        inspect_folder(write_room(tmp_path / "room", count=2), tmp_path / "file", OPTIONS)


@pytest.mark.needs_shared_data
@pytest.mark.parametrize("folder, gap, measured", [("redkitchen", 10, 0.0047), ("livingroom", 30, 0.0021)])
def test_residuals_of_real_recordings_are_of_the_size_measured_before(
    shared_data: Path, folder: str, gap: int, measured: float
) -> None:
    source = open_frames(shared_data / folder, size=(320, 240))
    starts = range(0, len(source) - gap, max(1, len(source) // 12))
    medians = [measure_pair(source, i, i + gap, 1.0, 5.0).residual_median for i in starts]
    # Which pairs are taken and how pixels are rounded moves the figure within these bounds; wrong poses make it .06.
    assert measured / 2 < float(np.median(np.array(medians, float))) < measured * 1.5
