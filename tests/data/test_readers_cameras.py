"""The camera that a reader gives belongs to the images that it gives, whatever file or default it came from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recordings import (
    CAMERA,
    WRITERS,
    make_frames,
    write_redwood,
    write_scannet_frames,
    write_seven_scenes,
    write_tum,
)

from sparse3d.data.readers import open_frames
from sparse3d.data.readers.alignment import cameras_disagree, sample_color
from sparse3d.data.view_sets import FrameFolder
from sparse3d.errors import InputError
from sparse3d.types import Camera, Frame


def test_default_cameras_follow_the_format_and_the_image_size(tmp_path: Path) -> None:
    camera = Camera(60.0, 60.0, 31.5, 23.5, 64, 48)
    expected = {
        "seven_scenes": (585, 585, 320, 240),
        "redwood": (525, 525, 319.5, 239.5),
        "tum": (525, 525, 319.5, 239.5),
    }
    for format, values in expected.items():
        path = WRITERS[format](tmp_path / format, make_frames(2, camera))
        (path / "camera-intrinsics.txt").unlink()
        assert open_frames(path, up="z").camera(0) == Camera(*values, 640, 480).scaled(64, 48)
    path = write_tum(tmp_path / "rgbd_dataset_freiburg3_desk", make_frames(2, camera))
    (path / "camera-intrinsics.txt").unlink()
    assert open_frames(path, up="z").camera(0) == Camera(535.4, 539.2, 320.1, 247.6, 640, 480).scaled(64, 48)


def test_an_assumed_camera_is_said_by_the_manifest_and_by_who_opens_the_recordings(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A recording without a file of intrinsics gets the format's: right for the data set, wrong for another sensor."""
    frames = make_frames(2, Camera(60.0, 60.0, 31.5, 23.5, 64, 48))
    for name in ("known", "unknown"):
        write_seven_scenes(tmp_path / "all" / name, frames)
    (tmp_path / "all" / "unknown" / "camera-intrinsics.txt").unlink()
    known, unknown = FrameFolder(str(tmp_path / "all"), up="z").open()
    assert known.manifest.assumed_camera is None and "assumed" not in known.manifest.summary()
    assert unknown.manifest.assumed_camera == "58.5 58.5 31.55 23.55 at 64 x 48 (seven_scenes)"
    assert unknown.manifest.summary().endswith(f"intrinsics assumed: {unknown.manifest.assumed_camera}")
    (said,) = caplog.messages
    assert "1 of 2 scenes have no file with the camera's intrinsics; assumed: 58.5" in said
    assert "camera-intrinsics.txt" in said
    FrameFolder(str(tmp_path / "all" / "known"), up="z").open()
    assert len(caplog.messages) == 1


def test_a_camera_file_beside_the_sequences_holds_for_them(tmp_path: Path) -> None:
    path = write_seven_scenes(tmp_path / "redkitchen" / "seq-01", make_frames(2))
    (path / "camera-intrinsics.txt").rename(path.parent / "camera-intrinsics.txt")
    np.testing.assert_allclose(open_frames(path, up="z").camera(0).K, CAMERA.K)


def test_default_camera_is_refused_for_images_of_another_shape(tmp_path: Path) -> None:
    path = write_seven_scenes(tmp_path / "s", make_frames(2))
    (path / "camera-intrinsics.txt").unlink()
    with pytest.raises(InputError, match="40 x 32.*camera-intrinsics.txt"):
        open_frames(path)


@pytest.mark.parametrize("format", ["seven_scenes", "redwood", "tum"])
def test_a_negative_fy_survives(tmp_path: Path, format: str) -> None:
    camera = replace(CAMERA, fy=-CAMERA.fy)
    source = open_frames(WRITERS[format](tmp_path / "s", make_frames(2, camera)), up="z", size=(20, 16))
    np.testing.assert_allclose(source.camera(0).K, camera.scaled(20, 16).K)


def test_intrinsics_of_another_image_size_are_refused(tmp_path: Path) -> None:
    path = write_seven_scenes(tmp_path / "s", make_frames(2))
    np.savetxt(path / "camera-intrinsics.txt", CAMERA.scaled(80, 64).K)
    with pytest.raises(InputError, match=r"camera-intrinsics.txt.*\(38.5, 33.5\).*40 x 32"):
        open_frames(path)


def test_open3d_json_intrinsics_are_column_major_and_scale(tmp_path: Path) -> None:
    path = write_redwood(tmp_path / "s", make_frames(2))
    (path / "camera-intrinsics.txt").unlink()
    big = CAMERA.scaled(80, 64)
    data = {"width": 80, "height": 64, "intrinsic_matrix": big.K.T.ravel().tolist()}
    (path / "intrinsic.json").write_text(json.dumps(data))
    np.testing.assert_allclose(open_frames(path, up="z").camera(0).K, CAMERA.K)
    (path / "intrinsic.json").write_text(json.dumps(data | {"width": float("inf")}))
    with pytest.raises(InputError, match="intrinsic.json"):
        open_frames(path)
    (path / "intrinsic.json").write_text('{"width": 80}')
    with pytest.raises(InputError, match="intrinsic.json"):
        open_frames(path)


def ramp(camera: Camera) -> np.ndarray:
    """An image whose colour tells the direction of each pixel's ray."""
    rows, cols = np.mgrid[: camera.height, : camera.width]
    x, y = (cols - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    return np.stack([128 + 150 * x, 128 + 150 * y, np.full_like(x, 7)], axis=-1).round().astype(np.uint8)


def test_color_of_another_camera_lands_on_the_depth_pixel_of_its_ray(tmp_path: Path) -> None:
    color_camera = Camera(1170.2, 1165.0, 640.0, 500.0, 1296, 968)
    depth_camera = Camera(571.6, 572.0, 319.5, 239.5, 640, 480)
    depth = np.full((480, 640), 2, dtype=np.float32)
    frame = Frame("0", depth_camera, np.zeros((480, 640, 3), np.uint8), depth, np.eye(4))
    path = write_scannet_frames(tmp_path / "s", [frame])
    Image.fromarray(ramp(color_camera)).save(path / "color" / "0.png")
    np.savetxt(path / "intrinsic" / "intrinsic_color.txt", color_camera.K)
    for size in ((640, 480), (320, 240)):
        read = open_frames(path, size=size)[0]
        expected = ramp(depth_camera.scaled(*size)).astype(int)
        seen = read.depth > 0
        assert seen.mean() > 0.9 and not seen.all()  # the colour image ends before the depth image does
        inner = seen & np.roll(seen, 1, 0) & np.roll(seen, -1, 0) & np.roll(seen, 1, 1) & np.roll(seen, -1, 1)
        assert np.abs(read.color.astype(int) - expected)[inner].max() <= 2


def test_color_of_scannets_size_is_plainly_resized_when_the_cameras_agree(tmp_path: Path) -> None:
    color_camera = Camera(1170.0, 1170.0, 647.5, 483.5, 1296, 968)
    depth_camera = color_camera.scaled(640, 480)
    assert not cameras_disagree(color_camera, depth_camera)
    frame = Frame("0", depth_camera, np.zeros((480, 640, 3), np.uint8), np.ones((480, 640), np.float32), np.eye(4))
    path = write_scannet_frames(tmp_path / "s", [frame])
    Image.fromarray(ramp(color_camera)).save(path / "color" / "0.png")
    np.savetxt(path / "intrinsic" / "intrinsic_color.txt", color_camera.K)
    read = open_frames(path)[0]
    assert (read.depth > 0).all()
    assert np.abs(read.color.astype(int) - ramp(depth_camera)).max() <= 2


def test_sampling_through_the_same_camera_changes_nothing() -> None:
    image = make_frames(1)[0].color
    sampled, seen = sample_color(image, CAMERA, CAMERA)
    np.testing.assert_array_equal(sampled, image)
    assert seen.all() and not cameras_disagree(CAMERA, CAMERA)


def test_mirrored_cameras_are_refused() -> None:
    with pytest.raises(InputError, match="opposite sign"):
        sample_color(ramp(CAMERA), CAMERA, replace(CAMERA, fy=-CAMERA.fy))


@pytest.mark.parametrize("own", [False, True], ids=["original intrinsics", "intrinsics of the images"])
@pytest.mark.parametrize("size", [(160, 120), (320, 240), (512, 384), (576, 432), (640, 480)])
def test_scannet_export_of_smaller_images_scales_the_original_intrinsics(
    tmp_path: Path, size: tuple[int, int], own: bool
) -> None:
    """Also of images that are only a little smaller, whose middle the original principal point is not far from."""
    small = Camera(571.6, 572.0, 319.5, 239.5, 640, 480).scaled(*size)
    path = write_scannet_frames(tmp_path / "s", make_frames(2, small))
    np.savetxt(path / "intrinsic" / "intrinsic_depth.txt", (small if own else small.scaled(640, 480)).K)
    np.savetxt(path / "intrinsic" / "intrinsic_color.txt", (small if own else small.scaled(1296, 968)).K)
    source = open_frames(path)
    np.testing.assert_allclose(source.camera(0).K, small.K)
    assert not cameras_disagree(source._color_camera, source._depth_camera)
