"""SUN RGB-D frames in VoteNet's layout: points, boxes and cameras agree with each other, and faults are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from sparse3d.data.detection_scenes import class_mean_sizes, scene_boxes
from sparse3d.data.sunrgbd import (
    CLASSES,
    read_labels,
    read_sunrgbd_frame,
    read_sunrgbd_view,
    sunrgbd_frames,
    sunrgbd_root,
)
from sparse3d.data.sunrgbd_scenes import SunRgbdFrames
from sparse3d.errors import InputError
from sparse3d.geometry import invert_rigid, points_in_boxes, project_points, rotation_about_z, transform_points

YAW = 0.6  # radians, of the sofa
SOFA = ((0.4, 3.0, -0.5), (2.0, 0.9, 0.8))  # centre, full size: 2 m along its length
LINES = (
    f"sofa 10 20 30 40 0.4 3.0 -0.5 0.45 1.0 0.4 {np.cos(YAW):.9f} {np.sin(YAW):.9f}",
    "fridge 1 2 3 4 0 4 0 0.3 0.3 0.9 1 0",
    "chair 1.5 2 3 4 -1 2 -0.6 -0.25 0.3 0.45 0 -1",
)
TILT = 0.2  # radians that the camera looks down
WIDTH, HEIGHT, FOCAL = 64, 48, 60.0


def calibration() -> tuple[np.ndarray, np.ndarray]:
    """Rt: from a camera with y forward and z up to the upright world; K, its pixels counted from 1."""
    c, s = np.cos(TILT), np.sin(TILT)
    Rt = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    return Rt, np.array([[FOCAL, 0, 33.0], [0, FOCAL + 5, 25.0], [0, 0, 1]])


def write_frame(root: Path, name: str = "000007") -> np.ndarray:
    """A frame whose points fill the sofa's box and lie nowhere else; returns them (N, 6)."""
    for folder in ("depth", "image", "calib", "label", "label_v1"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    own = rng.uniform(-0.5, 0.5, (500, 3)) * SOFA[1]
    xyz = own @ rotation_about_z(YAW)[:3, :3].T + SOFA[0]
    points = np.concatenate([xyz, rng.random((500, 3))], axis=1).astype(np.float32)
    savemat(root / "depth" / f"{name}.mat", {"instance": points}, do_compression=True)
    Image.new("RGB", (WIDTH, HEIGHT), (90, 80, 70)).save(root / "image" / f"{name}.jpg")
    Rt, K = calibration()
    lines = [" ".join(f"{v:.9f}" for v in m.reshape(-1, order="F")) for m in (Rt, K)]
    (root / "calib" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (root / "label" / f"{name}.txt").write_text("\n".join(LINES) + "\n")
    (root / "label_v1" / f"{name}.txt").write_text("")
    return points


def test_a_frame_is_read_as_it_was_written(tmp_path: Path) -> None:
    points = write_frame(tmp_path)
    frame = read_sunrgbd_frame(tmp_path, "000007")
    np.testing.assert_array_equal(frame.xyz, points[:, :3])
    np.testing.assert_array_equal(frame.rgb, points[:, 3:])
    assert [CLASSES[k] for k in frame.boxes.label] == ["sofa", "chair"]
    np.testing.assert_allclose(frame.boxes.center[0], SOFA[0], rtol=1e-6)
    np.testing.assert_allclose(frame.boxes.size[0], SOFA[1], rtol=1e-6)
    np.testing.assert_allclose(frame.boxes.yaw, (YAW, -np.pi / 2), rtol=1e-6)
    assert frame.other_labels == {"fridge": 1} and len(frame.objects) == 3


def test_half_sizes_are_doubled_length_lies_along_the_direction_and_negative_ones_are_lengths(tmp_path: Path) -> None:
    write_frame(tmp_path)
    frame = read_sunrgbd_frame(tmp_path, "000007")
    assert points_in_boxes(frame.xyz, frame.boxes)[:, 0].mean() > 0.99
    np.testing.assert_allclose(frame.boxes.size[1], (0.6, 0.5, 0.9), rtol=1e-6)


def test_both_versions_of_the_annotation_are_read_and_none_is_no_fault(tmp_path: Path) -> None:
    write_frame(tmp_path)
    assert len(read_sunrgbd_frame(tmp_path, "000007", labels="v1").boxes) == 0
    with pytest.raises(InputError, match="v3"):
        read_sunrgbd_frame(tmp_path, "000007", labels="v3")


def test_the_camera_looks_forward_and_down_and_pixels_start_at_zero(tmp_path: Path) -> None:
    write_frame(tmp_path)
    view = read_sunrgbd_view(tmp_path, "000007")
    assert (view.camera.cx, view.camera.cy) == (32.0, 24.0) and view.image.shape == (HEIGHT, WIDTH, 3)
    Rt, _ = calibration()
    ahead = np.array([[0.0, 2.0, 0.0]]) @ Rt.T  # on the camera's axis, in the upright world
    pixels, z = project_points(transform_points(invert_rigid(view.T_world_cam), ahead), view.camera)
    np.testing.assert_allclose(pixels, [[24.0, 32.0]], atol=1e-6)
    np.testing.assert_allclose(z, 2.0, rtol=1e-6)
    above = ahead + (0, 0, 0.1)
    assert project_points(transform_points(invert_rigid(view.T_world_cam), above), view.camera)[0][0, 0] < 24


@pytest.mark.parametrize("focal", [0, np.inf])
def test_a_camera_that_is_none_is_named(tmp_path: Path, focal: float) -> None:
    write_frame(tmp_path)
    path = tmp_path / "calib" / "000007.txt"
    path.write_text(path.read_text().splitlines()[0] + "\n" + f"{focal} " * 9 + "\n")
    with pytest.raises(InputError, match=r"calib/000007\.txt"):
        read_sunrgbd_view(tmp_path, "000007")


def test_boxes_are_had_without_the_points(tmp_path: Path) -> None:
    """A head's mean sizes ask for the boxes of every frame, and its points are megabytes."""
    write_frame(tmp_path)
    source = SunRgbdFrames(str(tmp_path), split=None, labels="v2")
    loaded = source.load(0).boxes
    (tmp_path / "depth" / "000007.mat").write_bytes(b"")
    boxes = scene_boxes(source, 0)
    for name in ("center", "size", "yaw", "label"):
        np.testing.assert_array_equal(getattr(boxes, name), getattr(loaded, name))
    assert class_mean_sizes(source)[CLASSES.index("sofa")] == pytest.approx(SOFA[1])


def test_frames_are_listed_whole_and_by_split(tmp_path: Path) -> None:
    for name in ("000007", "000002", "000010"):
        write_frame(tmp_path / "sunrgbd_trainval", name)
    (tmp_path / "sunrgbd_trainval" / "depth" / "._000002.mat").write_bytes(b"\x00\x05")  # as macOS has it
    root = sunrgbd_root(tmp_path)
    assert root == tmp_path / "sunrgbd_trainval" and sunrgbd_root(root) == root and sunrgbd_root(root / "depth") is None
    assert sunrgbd_frames(root) == ["000002", "000007", "000010"]
    (root / "val_data_idx.txt").write_text("10\n2\n")
    assert sunrgbd_frames(root, "val") == ["000010", "000002"]
    with pytest.raises(InputError, match=r"train_data_idx\.txt"):
        sunrgbd_frames(root, "train")
    (root / "val_data_idx.txt").write_text("10\n2\n10\n")
    with pytest.raises(InputError, match=r"val_data_idx\.txt: names frame 000010 more than once"):
        sunrgbd_frames(root, "val")
    (root / "val_data_idx.txt").write_text("10\n3\n")
    with pytest.raises(InputError, match=r"000003\.mat"):
        sunrgbd_frames(root, "val")


@pytest.mark.parametrize(
    ("line", "why"),
    [("bed 1 2 3", "3 numbers"), ("bed " + "1 " * 13, "13 numbers"), ("bed x" + " 1" * 11, "'x'"),
     ("bed nan" + " 1" * 11, "finite")],
)  # fmt: skip
def test_a_broken_label_is_named_with_its_line(tmp_path: Path, line: str, why: str) -> None:
    path = tmp_path / "000001.txt"
    path.write_text(LINES[0] + "\n" + line + "\n")
    with pytest.raises(InputError, match=r"000001\.txt: line 2.*" + why):
        read_labels(path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write_frame(tmp_path)
    cloud = tmp_path / "depth" / "000007.mat"
    whole = cloud.read_bytes()
    for content in (b"", b"not matlab", whole[: len(whole) // 2]):
        cloud.write_bytes(content)
        with pytest.raises(InputError, match=r"000007\.mat"):
            read_sunrgbd_frame(tmp_path, "000007")
    for array in (np.zeros((5, 3)), np.full((5, 6), np.nan), np.full((5, 6), 200.0)):
        savemat(cloud, {"instance": array})
        with pytest.raises(InputError, match=r"000007\.mat"):
            read_sunrgbd_frame(tmp_path, "000007")
    (tmp_path / "calib" / "000007.txt").write_text("1 2 3\n4 5 6\n")
    with pytest.raises(InputError, match=r"calib.000007\.txt"):
        read_sunrgbd_view(tmp_path, "000007")
    (tmp_path / "image" / "000007.jpg").write_bytes(b"\xff\xd8 no")
    with pytest.raises(InputError, match=r"000007\.jpg"):
        read_sunrgbd_view(tmp_path, "000007")


@pytest.mark.needs_shared_data
@pytest.mark.parametrize("name", ["000001", "000002"])
def test_points_of_a_real_frame_have_the_colours_of_the_pixels_they_project_to(shared_data: Path, name: str) -> None:
    root = shared_data / "sunrgbd"
    frame, view = read_sunrgbd_frame(root, name), read_sunrgbd_view(root, name)
    some = np.arange(0, len(frame.xyz), 50)
    seen = transform_points(invert_rigid(view.T_world_cam), frame.xyz[some])
    pixels, z = project_points(seen, view.camera)
    assert z.min() > 0 and np.abs(pixels - np.round(pixels)).mean() < 0.02  # they come from whole pixels
    nearest = np.round(pixels).astype(np.int64)

    def difference(down: int, right: int) -> float:
        at = np.clip(nearest + (down, right), 0, np.array(view.image.shape[:2]) - 1)
        return float(np.abs(view.image[at[:, 0], at[:, 1]] / 255 - frame.rgb[some]).mean())

    here = difference(0, 0)
    around = [difference(d, r) for d in (-1, 0, 1) for r in (-1, 0, 1) if (d, r) != (0, 0)]
    assert here < 0.01 and here < 0.5 * min(around)


@pytest.mark.needs_shared_data
def test_boxes_of_a_real_frame_hold_furniture(shared_data: Path) -> None:
    root = shared_data / "sunrgbd"
    for labels in ("v1", "v2"):
        frame = read_sunrgbd_frame(root, "000001", labels)
        assert sorted(CLASSES[k] for k in frame.boxes.label) == ["bed", "dresser", "night_stand"]
        inside = points_in_boxes(frame.xyz, frame.boxes)
        bed = frame.boxes.label == CLASSES.index("bed")
        assert inside[:, bed].sum() > 10_000
        assert frame.boxes.size[bed][0, 0] > frame.boxes.size[bed][0, 1] > 1.5  # a bed: longer than wide, and wide
