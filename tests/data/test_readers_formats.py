"""Whatever the format, a frame that is written is the frame that is read, and its pose stays with it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recordings import (
    CAMERA,
    WRITERS,
    assert_same,
    make_frames,
    save_depth,
    write_redwood,
    write_scannet_frames,
    write_scannet_sens,
    write_seven_scenes,
    write_tum,
)

from sparse3d.data import readers
from sparse3d.data.readers import known_formats, open_frames, open_scenes
from sparse3d.data.readers.tum import pair_by_time
from sparse3d.errors import InputError
from sparse3d.geometry import rotation_between
from sparse3d.types import Camera, Frame

FORMATS = sorted(WRITERS)


@pytest.fixture(params=FORMATS)
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str, list[Frame]]:
    frames = make_frames()
    return WRITERS[request.param](tmp_path / "scene", frames), request.param, frames


def test_hidden_files_beside_the_frames_are_none_of_them(recorded: tuple[Path, str, list[Frame]]) -> None:
    """macOS puts a ._NAME beside every NAME on disks of other systems."""
    path, _, frames = recorded
    folder = path if path.is_dir() else path.parent
    for file in [file for file in folder.rglob("*") if file.is_file()]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\x16\7")
    source = open_frames(folder, up="z")
    assert len(source) == len(frames) and source.manifest.dropped == []
    assert len(open_scenes(folder, up="z")) == 1


def test_every_format_gives_the_same_frames(recorded: tuple[Path, str, list[Frame]]) -> None:
    path, format, frames = recorded
    source = open_frames(path, up="z")
    assert source.format == format
    assert len(source) == len(frames) and source.manifest.kept == len(frames) and not source.manifest.dropped
    assert [source.frame_number(i) for i in range(len(source))] == list(range(len(frames)))
    for read, written in zip(source, frames, strict=True):
        assert_same(read, written)
    assert source.camera(0) == source[0].camera
    np.testing.assert_array_equal(source.pose(2), source[2].T_world_cam)
    np.testing.assert_array_equal(source.depth(2), source[2].depth)
    assert source.name(2) == source[2].name and len({source.name(i) for i in range(len(source))}) == len(source)


def test_all_formats_have_a_writer_here() -> None:
    assert sorted(known_formats()) == FORMATS


def test_a_source_is_picklable_and_holds_no_open_file(recorded: tuple[Path, str, list[Frame]]) -> None:
    path, _, frames = recorded
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    source = open_frames(path, up="z")
    copy = pickle.loads(pickle.dumps(source))
    assert_same(copy[3], frames[3])
    assert not before or len(os.listdir("/proc/self/fd")) <= before


def test_an_index_out_of_range_is_an_index_error(recorded: tuple[Path, str, list[Frame]]) -> None:
    source = open_frames(recorded[0], up="z")
    for ask in (source.__getitem__, source.pose, source.camera, source.name, source.frame_number):
        with pytest.raises(IndexError):
            ask(len(source))


def test_splits_select_by_the_number_in_the_name(tmp_path: Path) -> None:
    frames = make_frames(6)
    path = write_seven_scenes(tmp_path / "s", frames, numbers=[0, 2, 4, 6, 8, 10])
    train, val = open_frames(path, up="z", last=5), open_frames(path, up="z", first=6, last=8)
    assert [train.frame_number(i) for i in range(len(train))] == [0, 2, 4]
    assert [val.frame_number(i) for i in range(len(val))] == [6, 8]
    assert_same(val[0], frames[3])
    stepped = open_frames(path, up="z", step=2)
    assert [stepped.frame_number(i) for i in range(3)] == [0, 4, 8]
    with pytest.raises(InputError, match=r"no frame within first=11, last=None.*0 to 10"):
        open_frames(path, first=11)


def test_resizing_keeps_camera_and_images_in_step(recorded: tuple[Path, str, list[Frame]]) -> None:
    path, _, frames = recorded
    frame = open_frames(path, up="z", size=(20, 16))[1]
    assert frame.color.shape == (16, 20, 3) and frame.depth.shape == (16, 20)
    np.testing.assert_allclose(frame.camera.K, CAMERA.scaled(20, 16).K, rtol=1e-6)
    blocks = frames[1].color.reshape(16, 2, 20, 2, 3).mean(axis=(1, 3))
    assert np.abs(frame.color - blocks).max() <= 1


def test_up_axis_is_turned_to_z(tmp_path: Path) -> None:
    frames = make_frames(2)
    source = open_frames(write_seven_scenes(tmp_path / "s", frames), up="-y")
    np.testing.assert_allclose(source.T_zup_native @ (0, -1, 0, 1), (0, 0, 1, 1), atol=1e-12)
    np.testing.assert_allclose(source.pose(1), source.T_zup_native @ frames[1].T_world_cam, atol=1e-9)


@pytest.mark.parametrize("format", ["scannet_frames", "scannet_sens"])
def test_scannet_worlds_are_z_up_already(tmp_path: Path, format: str) -> None:
    source = open_frames(WRITERS[format](tmp_path / "s", make_frames(3)))
    np.testing.assert_array_equal(source.T_zup_native, np.eye(4))


def floor_frames(count: int, T_native_zup: np.ndarray) -> list[Frame]:
    """A camera 1.5 m above a floor, turning, tilted down by 30 degrees; poses in a world turned by ``T_native_zup``."""
    camera = Camera(70.0, 70.0, 39.5, 29.5, 80, 60)
    rows, cols = np.mgrid[:60, :80]
    rays = np.stack([(cols - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones_like(rows)], axis=-1)
    frames = []
    for k in range(count):
        yaw, tilt = 0.5 * k, np.radians(30)
        forward = np.array([np.cos(yaw) * np.cos(tilt), np.sin(yaw) * np.cos(tilt), -np.sin(tilt)])
        right = np.array([np.sin(yaw), -np.cos(yaw), 0])
        pose = np.eye(4)
        pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
        pose[:3, 3] = (0.1 * k, 0, 1.5)
        down = (rays @ pose[:3, :3].T)[..., 2]
        depth = np.where(down < -0.05, -1.5 / np.minimum(down, -0.05), 0).astype(np.float32)
        depth[depth > 6] = 0
        color = np.full((60, 80, 3), k, dtype=np.uint8)
        frames.append(Frame(str(k), camera, color, depth, T_native_zup @ pose))
    return frames


def test_gravity_is_found_and_splits_share_one_world(tmp_path: Path) -> None:
    tilted = np.eye(4)
    tilted[:3, :3] = rotation_between(np.array([0, 0, 1.0]), np.array([0.3, -0.9, 0.2]))
    path = write_seven_scenes(tmp_path / "s", floor_frames(12, tilted))
    whole, train, val = open_frames(path), open_frames(path, last=7), open_frames(path, first=8, step=2, size=(40, 30))
    up = (whole.T_zup_native @ tilted)[:3, 2]
    assert up[2] > np.cos(np.radians(2))
    np.testing.assert_array_equal(train.T_zup_native, whole.T_zup_native)
    np.testing.assert_array_equal(val.T_zup_native, whole.T_zup_native)
    named = open_frames(write_scannet_sens(tmp_path, floor_frames(12, tilted)), up="estimate")
    assert (named.T_zup_native @ tilted)[2, 2] > np.cos(np.radians(2))
    # a frame that cannot vote is replaced by another one and does not stop the others
    (path / "frame-000003.depth.png").write_bytes(b"\x89PNG nothing")
    assert open_frames(path, on_fault="drop").T_zup_native[2] @ tilted[:, 2] > np.cos(np.radians(2))


def test_seven_scenes_marks_missing_depth_with_65535_too(tmp_path: Path) -> None:
    path = write_seven_scenes(tmp_path / "s", make_frames(2))
    raw = np.full((32, 40), 1234, dtype=np.uint16)
    raw[0, 0], raw[0, 1] = 65535, 0
    Image.fromarray(raw).save(path / "frame-000001.depth.png")
    depth = open_frames(path, up="z")[1].depth
    assert depth[0, 0] == 0 and depth[0, 1] == 0 and depth[1, 1] == np.float32(1.234)


@pytest.mark.parametrize("folder", ["color", "rgb", "image"])
@pytest.mark.parametrize("first", [0, 1])
def test_redwood_images_belong_to_poses_in_order(tmp_path: Path, folder: str, first: int) -> None:
    frames = make_frames(4)
    source = open_frames(write_redwood(tmp_path / "s", frames, folder, first), up="z")
    assert source.frame_number(0) == first
    for read, written in zip(source, frames, strict=True):
        assert_same(read, written)


def test_image_names_may_begin_with_a_word(tmp_path: Path) -> None:
    frames = make_frames(3)
    path = write_redwood(tmp_path / "s", frames)
    for folder, word in (("color", "frame_"), ("depth", "depth-image_")):
        for image in list((path / folder).iterdir()):
            image.rename(image.with_name(word + image.name))
    source = open_frames(path, up="z")
    assert source.name(1) == "frame_00001" and source.frame_number(1) == 1
    assert_same(source[2], frames[2])


def test_tum_depth_scale_is_5000_and_can_be_told(tmp_path: Path) -> None:
    path = write_tum(tmp_path / "s", make_frames(2))
    depth = open_frames(path, up="z")[0].depth
    np.testing.assert_allclose(open_frames(path, up="z", depth_scale=1000)[0].depth, depth * 5, rtol=1e-6)


def test_pairing_by_time_is_one_to_one_nearest_and_within_20_ms() -> None:
    assert pair_by_time([0.0, 0.033, 0.066], [0.001, 0.034, 0.067]) == {0: 0, 1: 1, 2: 2}
    assert pair_by_time([0.0, 0.015], [0.012]) == {1: 0}  # nearest wins, and nothing is used twice
    assert pair_by_time([0.0], [0.021]) == {}
    assert pair_by_time([0.0, 0.1], [0.005, 0.05, 0.099]) == {0: 0, 1: 2}
    assert pair_by_time([], [1.0]) == {} and pair_by_time([1.0], []) == {}


def test_tum_images_without_a_partner_in_time_are_named_and_no_error(tmp_path: Path) -> None:
    frames = make_frames(5)
    path = write_tum(tmp_path / "s", frames)
    lines = (path / "depth.txt").read_text().splitlines()
    del lines[3]  # depth of frame 2
    (path / "depth.txt").write_text("\n".join(lines))
    lines = (path / "groundtruth.txt").read_text().splitlines()
    del lines[-1]  # pose of frame 4
    (path / "groundtruth.txt").write_text("\n".join(lines))
    source = open_frames(path, up="z")
    assert [source.frame_number(i) for i in range(len(source))] == [0, 1, 3]
    assert_same(source[2], frames[3])
    assert source.manifest.counts() == {"unpaired": 2}
    assert "depth image" in source.manifest.dropped[0].detail and "pose" in source.manifest.dropped[1].detail


def test_tum_depth_left_over_is_accounted_for(tmp_path: Path) -> None:
    path = write_tum(tmp_path / "s", make_frames(5))
    lines = (path / "rgb.txt").read_text().splitlines()
    del lines[3]
    (path / "rgb.txt").write_text("\n".join(lines))
    source = open_frames(path, up="z")
    assert len(source) == 4 and source.manifest.counts() == {"unpaired": 1}
    assert "colour image" in source.manifest.dropped[0].detail


def test_tum_lists_name_their_malformed_line(tmp_path: Path) -> None:
    path = write_tum(tmp_path / "s", make_frames(2))
    (path / "groundtruth.txt").write_text("# time\n1.0 2.0 3.0\n")
    with pytest.raises(InputError, match="groundtruth.txt: malformed line 2"):
        open_frames(path)


def test_folders_of_scenes_open_as_scenes(tmp_path: Path) -> None:
    frames = make_frames(2)
    for name in ("chess/seq-01", "chess/seq-02", "fire/seq-01"):
        write_seven_scenes(tmp_path / "7" / name, frames)
    assert [s.scene for s in open_scenes(tmp_path / "7" / "chess", up="z")] == ["seq-01", "seq-02"]
    names = [s.scene for s in open_scenes(tmp_path / "7", up="z", last=0)]
    assert names == ["chess/seq-01", "seq-02", "fire/seq-01"]
    with pytest.raises(InputError, match=r"holds 2 recordings \(seq-01, seq-02\)"):
        open_frames(tmp_path / "7" / "chess")
    assert open_frames(tmp_path / "7" / "fire", up="z").scene == "seq-01"
    write_scannet_sens(tmp_path / "scans" / "scene0000_00", frames)
    write_scannet_sens(tmp_path / "scans" / "scene0001_00", frames).rename(tmp_path / "scans/scene0001_00/b.sens")
    assert [s.scene for s in open_scenes(tmp_path / "scans")] == ["scene0000_00", "b"]


def test_an_ambiguous_folder_asks_for_the_format(tmp_path: Path) -> None:
    frames = make_frames(2)
    path = write_scannet_frames(tmp_path / "s", frames)
    write_scannet_sens(path, frames)
    with pytest.raises(InputError, match="could be scannet_frames or scannet_sens.*known: .*redwood"):
        open_frames(path)
    assert open_frames(path, format="scannet_sens").format == "scannet_sens"


def test_unknown_names_are_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean redwood.*seven_scenes"):
        open_frames(tmp_path, format="redwod")
    for wrong in ({"up": "w"}, {"on_fault": "ignore"}, {"step": 0}, {"size": (0, 4)}, {"depth_scale": -1.0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            open_frames(tmp_path, **wrong)  # type: ignore[arg-type]


def test_nothing_to_read_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        open_frames(tmp_path / "absent")
    with pytest.raises(InputError, match=r"seven_scenes: frame-000000.*tum: rgb.txt") as caught:
        open_frames(tmp_path)
    assert "\n" not in str(caught.value)
    for format in FORMATS:
        with pytest.raises(InputError, match="looked for"):
            open_frames(tmp_path, format=format)


def test_a_new_module_is_a_new_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "diary.py").write_text(
        "from sparse3d.data.readers.seven_scenes import SevenScenesSource\n"
        "class DiarySource(SevenScenesSource):\n"
        "    format = 'diary'\n"
        "    @classmethod\n"
        "    def recognise(cls, path): return (path / 'diary.txt').exists()\n"
    )
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(tmp_path)])
    known_formats.cache_clear()
    try:
        path = write_seven_scenes(tmp_path / "s", make_frames(2))
        (path / "diary.txt").touch()
        assert open_frames(path, format="diary", up="z").format == "diary"
    finally:
        known_formats.cache_clear()


def test_manifest_tells_its_story_in_one_line(tmp_path: Path) -> None:
    path = write_seven_scenes(tmp_path / "kitchen", make_frames(3))
    np.savetxt(path / "frame-000001.pose.txt", np.full((4, 4), -np.inf))
    manifest = open_frames(path, up="z", on_fault="drop").manifest
    assert manifest.kept == 2 and manifest.counts() == {"invalid_pose": 1}
    assert manifest.dropped[0].name == "frame-000001" and manifest.dropped[0].reason == "invalid_pose"
    assert manifest.summary() == "kitchen: 2 frames kept, 1 dropped (invalid_pose 1)"


def test_depth_is_saved_as_16_bit_here(tmp_path: Path) -> None:
    save_depth(tmp_path / "d.png", np.full((4, 4), 60, np.float32), 1000)
    with Image.open(tmp_path / "d.png") as image:
        assert image.mode.startswith("I")


def test_recordings_beside_a_sens_file_are_found_too(tmp_path: Path) -> None:
    frames = make_frames(3)
    write_seven_scenes(tmp_path / "kitchen", frames)
    write_seven_scenes(tmp_path / "deep" / "office", frames)
    write_scannet_sens(tmp_path / "lab", frames)
    (sens,) = (tmp_path / "lab").glob("*.sens")
    sens.rename(tmp_path / "lab.sens")
    (tmp_path / "lab").rmdir()
    found = {source.path.name for source in open_scenes(tmp_path)}
    assert found == {"kitchen", "office", "lab.sens"}
