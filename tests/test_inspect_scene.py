"""Looking at a scene: whatever is there is shown, whatever is not is said, and the page holds its pictures."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from fake_scannet import TURN, vertices, write_scan, write_table
from PIL import Image

from sparse3d.data.prepared import prepared_scenes
from sparse3d.errors import InputError
from sparse3d.geometry import transform_points
from sparse3d.inspection.scene import load_scene
from sparse3d.inspection.scene_page import PAGE, class_table, facts, inspect_scene, object_table
from sparse3d.preparation.options import PrepareOptions
from sparse3d.preparation.runner import Job, prepare

TOOL = Path(__file__).parents[1] / "tools" / "inspect_scene.py"
SMALL = (60, 80)


def write_label_zips(folder: Path, frames: int = 6) -> None:
    """Frames of one floor with a chair in the middle."""
    for kind, values in (("label", (3, 2)), ("instance", (1, 2))):
        with zipfile.ZipFile(folder / f"{folder.name}_2d-{kind}.zip", "w") as archive:
            for k in range(frames):
                image = np.full((48, 64), values[0], dtype=np.uint16)
                image[10:30, 20:40] = values[1]
                buffer = BytesIO()
                Image.fromarray(image).save(buffer, "PNG")
                archive.writestr(f"{kind}/{k}.png", buffer.getvalue())


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scans")
    write_table(root)
    write_scan(root / "scans" / "scene0000_00")
    write_label_zips(root / "scans" / "scene0000_00")
    write_scan(root / "scans" / "scene0001_00", ("frames",))
    write_scan(root / "scans" / "scene0002_00", ("mesh",))
    return root / "scans"


def pictures_of(page: Path) -> list[Image.Image]:
    found = re.findall(r'src="data:image/\w+;base64,([^"]+)"', page.read_text())
    return [Image.open(BytesIO(base64.b64decode(text))) for text in found]


def write_s3dis(folder: Path) -> Path:
    (folder / "Annotations").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, low, high in (("floor_1", (0, 0, 0), (4, 3, 0)), ("table_1", (1, 1, 0), (2, 2, 0.8))):
        points = np.concatenate([rng.uniform(low, high, (300, 3)), rng.integers(0, 255, (300, 3))], axis=1)
        np.savetxt(folder / "Annotations" / f"{name}.txt", points, fmt="%.3f %.3f %.3f %d %d %d")
    return folder


def test_a_whole_scan_is_shown_in_every_way(scans: Path, tmp_path: Path) -> None:
    scene = inspect_scene(scans / "scene0000_00", tmp_path, frames=2, size=SMALL)
    files = {p.name for p in tmp_path.iterdir()}
    for kind in ("colour", "class", "instance", "box"):
        assert {f"{kind}_corner_{k}.png" for k in (1, 2, 3, 4)} | {f"{kind}_from_above.png"} <= files
    shown = [Image.open(tmp_path / name) for name in sorted(files) if name.startswith("frame_")]
    assert len(shown) == 2 and shown[0].width > 4 * 400  # colour, depth, classes, instances
    assert len(pictures_of(tmp_path / PAGE)) == len(files) - 1
    assert Image.open(tmp_path / "colour_corner_1.png").size == (80, 60)
    assert not any("no " in note for note in scene.notes)
    assert [p for p in tmp_path.iterdir() if "partial" in p.name] == []


def test_everything_is_brought_to_the_axes_of_the_room(scans: Path) -> None:
    scene = load_scene(scans / "scene0000_00")
    assert scene.surface is not None and scene.source is not None and scene.surface.instance is not None
    np.testing.assert_allclose(scene.surface.xyz, transform_points(TURN, vertices()), atol=1e-5)
    np.testing.assert_allclose(scene.poses[3], TURN @ scene.source.pose(3), atol=1e-5)
    for k, box in enumerate(zip(scene.boxes.center, scene.boxes.size, strict=True)):
        own = scene.surface.xyz[scene.surface.instance == k]
        np.testing.assert_allclose(own.min(axis=0), box[0] - box[1] / 2, atol=1e-5)
        np.testing.assert_allclose(own.max(axis=0), box[0] + box[1] / 2, atol=1e-5)


def test_the_tables_count_what_is_there(scans: Path) -> None:
    scene = load_scene(scans / "scene0000_00")
    rows = {row[0]: row[1:] for row in class_table(scene).rows}
    assert rows == {
        "floor": ("8", "28.6%", "1"),
        "chair": ("8", "28.6%", "1"),
        "refrigerator": ("4", "14.3%", "1"),
        "other label": ("4", "14.3%", "1"),  # books are none of the 20
        "none": ("4", "14.3%", "0"),
    }
    assert [row[1] for row in object_table(scene).rows] == ["floor", "chair", "refridgerator", "books"]
    lines = dict(facts(scene))
    assert lines["frames"].startswith("6, ") and lines["axis alignment"].startswith("turned by 36.9 degrees")


@pytest.mark.parametrize(
    ("name", "there", "said"),
    [
        ("scene0001_00", {"colour_from_above.png"}, ("no mesh", "points of 6 of 6 frames", "no axis alignment")),
        ("scene0002_00", {"colour_from_above.png"}, ("no frames", "no labels", "no axis alignment")),
    ],
)
def test_a_part_of_a_scan_is_shown_and_the_rest_is_said(
    scans: Path, tmp_path: Path, name: str, there: set[str], said: tuple[str, ...]
) -> None:
    scene = inspect_scene(scans / name, tmp_path, size=SMALL)
    files = {p.name for p in tmp_path.iterdir()}
    assert there <= files and not any(f.startswith(("class", "instance", "box")) for f in files)
    text = (tmp_path / PAGE).read_text()
    for part in said:
        assert any(part in note for note in scene.notes) and part in text


def test_a_mesh_with_labels_but_without_a_table_is_shown_without_them(tmp_path: Path) -> None:
    write_scan(tmp_path / "scene0005_00", ("mesh", "labels"))
    scene = load_scene(tmp_path / "scene0005_00")
    assert scene.surface is not None and scene.surface.semantic is None
    assert any("labels.combined.tsv" in note for note in scene.notes)


def test_a_prepared_scene_shows_the_same_as_its_scan(scans: Path, tmp_path: Path) -> None:
    prepare(Job(scans.parent, tmp_path, PrepareOptions(size=(80, 60), frame_skip=1)))
    names = [scene.name for scene in prepared_scenes(tmp_path)]
    assert "scene0000_00" in names
    scan, stored = load_scene(scans / "scene0000_00"), load_scene(tmp_path / "scenes" / "scene0000_00")
    assert stored.kind == "prepared" and scan.surface is not None and stored.surface is not None
    np.testing.assert_allclose(stored.surface.xyz, scan.surface.xyz, atol=1e-5)
    np.testing.assert_array_equal(stored.surface.semantic, scan.surface.semantic)
    assert class_table(stored).rows == class_table(scan).rows
    np.testing.assert_allclose(stored.boxes.center, scan.boxes.center, atol=1e-5)
    np.testing.assert_allclose(stored.poses, scan.poses, atol=1e-5)


def test_triangles_wound_at_random_are_turned_to_the_cameras_and_told(scans: Path) -> None:
    scene = load_scene(scans / "scene0000_00")
    assert any("face the camera nearest" in note for note in scene.notes)  # the fake's triangles are random


def test_an_s3dis_room_is_recognised(tmp_path: Path) -> None:
    scene = inspect_scene(write_s3dis(tmp_path / "Area_1" / "office_1"), tmp_path / "out", size=SMALL)
    assert scene.kind == "S3DIS room" and [o.label for o in scene.objects] == ["floor_1", "table_1"]
    assert {"colour_corner_1.png", "class_legend.png", "box_from_above.png"} <= {
        p.name for p in (tmp_path / "out").iterdir()
    }
    np.testing.assert_allclose(scene.boxes.size[1], (1, 1, 0.8), atol=0.05)


def test_any_recording_is_shown_by_its_frames(room_folder: Path, tmp_path: Path) -> None:
    scene = inspect_scene(room_folder, tmp_path, frames=1, size=SMALL)
    assert scene.kind.startswith("recording") and scene.surface is not None and len(scene.poses) == 6
    assert len(list(tmp_path.glob("frame_*.png"))) == 1
    assert not any("assumed" in note for note in scene.notes)


def test_intrinsics_that_no_file_gives_are_said_to_be_assumed(room_folder: Path, tmp_path: Path) -> None:
    room = Path(shutil.copytree(room_folder, tmp_path / "room"))
    next(room.rglob("camera-intrinsics.txt")).unlink()
    scene = inspect_scene(room, tmp_path / "out", frames=1, size=SMALL)
    assert scene.source is not None and scene.source.manifest.assumed_camera is not None
    assert f"{scene.source.manifest.assumed_camera} are assumed" in (tmp_path / "out" / PAGE).read_text()


def test_frames_that_cannot_be_decoded_are_left_out_and_told(room_folder: Path, tmp_path: Path) -> None:
    data = shutil.copytree(room_folder, tmp_path / "room")
    images = sorted(data.glob("*.color.png"))
    for path in images[:-1]:
        path.write_bytes(path.read_bytes()[:-200])
    scene = inspect_scene(data, tmp_path / "out", frames=2, size=SMALL)
    assert len(list((tmp_path / "out").glob("frame_*.png"))) == 1 and scene.surface is not None
    assert any(images[0].name in note and "left out" in note for note in scene.notes)
    assert f"the points of 1 of {len(images)} frames" in " ".join(scene.notes)
    images[-1].write_bytes(images[-1].read_bytes()[:-200])
    scene = inspect_scene(data, tmp_path / "none", frames=2, size=SMALL)
    assert scene.surface is None and (tmp_path / "none" / PAGE).is_file()


def test_the_axis_that_points_up_can_be_named(room_folder: Path) -> None:
    for up in ("z", "-y"):
        source = load_scene(room_folder, up=up).source
        assert source is not None and source.options.up == up


def test_what_is_no_scene_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "nothing"):
        with pytest.raises(InputError, match=path.name):
            load_scene(path)
    write_s3dis(tmp_path / "room")
    with pytest.raises(InputError, match="--frame=000001"):
        load_scene(tmp_path / "room", frame="000001")
    with pytest.raises(InputError, match=r"--labels=v2: is for SUN RGB-D"):
        load_scene(tmp_path / "room", labels="v2")
    with pytest.raises(InputError, match=r"--up=-y: is for recordings"):
        load_scene(tmp_path / "room", up="-y")
    (tmp_path / "room" / "Annotations" / "floor_1.txt").write_text("1 2 3\n")
    done = subprocess.run(
        [sys.executable, str(TOOL), str(tmp_path / "room"), "--out", str(tmp_path / "out")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert "floor_1.txt: line 1" in done.stderr


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_damaged_labels_of_frames_are_named(tmp_path: Path, content: bytes | None) -> None:
    write_table(tmp_path)
    folder = write_scan(tmp_path / "scene0003_00", ("frames",))
    path = folder / "scene0003_00_2d-label.zip"
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("label/0.png", b"no image")
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"2d-label\.zip"):
        inspect_scene(folder, tmp_path / "out", frames=1, size=SMALL)


@pytest.mark.needs_shared_data
def test_real_rooms_and_frames_are_shown(shared_data: Path, tmp_path: Path) -> None:
    room = inspect_scene(shared_data / "s3dis" / "Area_3" / "hallway_3", tmp_path / "room", size=SMALL)
    assert len(room.objects) == 12 and (tmp_path / "room" / PAGE).is_file()
    frame = inspect_scene(shared_data / "sunrgbd", tmp_path / "frame", size=SMALL, frame="000002", labels="v1")
    assert frame.name == "000002" and (tmp_path / "frame" / "image_boxes.png").is_file()
    bed = next(o for o in frame.objects if o.label == "bed")
    assert (bed.points or 0) > 10_000


def test_fewer_than_no_frames_or_a_page_below_a_file_is_an_error_in_one_line(scans: Path, tmp_path: Path) -> None:
    scene = next(path for path in sorted(scans.rglob("*.sens"))).parent
    with pytest.raises(InputError, match="--frames -2"):
        inspect_scene(scene, tmp_path / "page", -2, SMALL)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="file.*name another folder"):
        inspect_scene(scene, tmp_path / "file", 1, SMALL)
    assert not (tmp_path / "page").exists()
