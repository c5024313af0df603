"""A recorded room's files, held field by field against ScanNet's layout, and read back."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from room_of_boxes import room_of_boxes
from test_scan_mesh import POSES

from sparse3d.data.readers import open_frames
from sparse3d.geometry.rigid import invert_rigid
from sparse3d.rooms import label_table as tables
from sparse3d.rooms.categories import CATEGORIES
from sparse3d.rooms.recording import RecordingOptions, record
from sparse3d.rooms.scannet_files import write_image_zip, write_truth
from sparse3d.rooms.scene import merge

SCENE = "room0007_00"
WIDTH, HEIGHT = 112, 80  # not ScanNet's ratio
MESH_SUFFIX = "_vh_clean_2"


def recorded(folder: Path, noise: bool) -> Path:
    options = RecordingOptions(size=(WIDTH, HEIGHT), spacing=0.04, noise=noise, shadows=False)
    record(room_of_boxes(0), np.stack(POSES), folder, SCENE, options, np.random.default_rng(3))
    return folder


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("exact"), noise=False)


def content(folder: Path, suffix: str) -> bytes:
    return (folder / f"{SCENE}{suffix}").read_bytes()


def read_ply(data: bytes, label: bool) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Vertices and faces of a PLY file by its bytes alone, without a library, and its header's lines."""
    head, body = data.split(b"end_header\n", 1)
    lines = head.decode("ascii").splitlines()
    count = {line.split()[1]: int(line.split()[2]) for line in lines if line.startswith("element")}
    vertex = struct.Struct("<fffBBBBH" if label else "<fffBBBB")
    vertices = np.array(list(vertex.iter_unpack(body[: vertex.size * count["vertex"]])))
    faces = np.array(list(struct.iter_unpack("<Biii", body[vertex.size * count["vertex"] :])))
    assert len(faces) == count["face"]
    return vertices, faces, lines


def alignment(folder: Path) -> np.ndarray:
    line = next(x for x in content(folder, ".txt").decode().splitlines() if x.startswith("axisAlignment = "))
    return np.array([float(x) for x in line.partition("=")[2].split()]).reshape(4, 4)


def test_the_sens_header_byte_by_byte(exact: Path) -> None:
    data = content(exact, ".sens")
    assert struct.unpack_from("<I", data, 0) == (4,)  # version
    (length,) = struct.unpack_from("<Q", data, 4)
    assert data[12 : 12 + length].decode() == "sparse3d rooms"
    at = 12 + length
    color_K, color_T, depth_K, depth_T = (np.array(struct.unpack_from("<16f", data, at + 64 * k)) for k in range(4))
    np.testing.assert_array_equal(color_K, depth_K)
    np.testing.assert_array_equal(color_T, np.eye(4).ravel())
    np.testing.assert_array_equal(depth_T, np.eye(4).ravel())
    at += 4 * 64
    assert struct.unpack_from("<ii", data, at) == (2, 1)  # jpeg colour, zlib depth
    assert struct.unpack_from("<4I", data, at + 8) == (WIDTH, HEIGHT, WIDTH, HEIGHT)
    assert struct.unpack_from("<f", data, at + 24) == (1000.0,)  # depth units a metre
    assert struct.unpack_from("<Q", data, at + 28) == (len(POSES),)
    at += 36
    for _ in POSES:
        pose = np.array(struct.unpack_from("<16f", data, at)).reshape(4, 4)
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-5)
        color_bytes, depth_bytes = struct.unpack_from("<QQ", data, at + 80)
        image = data[at + 96 : at + 96 + color_bytes]
        assert Image.open(io.BytesIO(image)).format == "JPEG"
        depth = zlib.decompress(data[at + 96 + color_bytes : at + 96 + color_bytes + depth_bytes])
        assert len(depth) == 2 * WIDTH * HEIGHT
        at += 96 + color_bytes + depth_bytes
    assert data[at:] == struct.pack("<Q", 0)  # no IMU record


def test_the_mesh_byte_by_byte(exact: Path) -> None:
    vertices, faces, lines = read_ply(content(exact, f"{MESH_SUFFIX}.ply"), label=False)
    names = ["float x", "float y", "float z", "uchar red", "uchar green", "uchar blue", "uchar alpha"]
    expected = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    expected += [f"property {name}" for name in names]
    assert lines == [*expected, f"element face {len(faces)}", "property list uchar int vertex_indices"]
    assert (faces[:, 0] == 3).all() and faces[:, 1:].min() >= 0 and faces[:, 1:].max() == len(vertices) - 1
    assert (vertices[:, 6] == 255).all()
    labelled, same_faces, lines = read_ply(content(exact, f"{MESH_SUFFIX}.labels.ply"), label=True)
    assert "property ushort label" in lines
    np.testing.assert_array_equal(labelled[:, :3], vertices[:, :3])
    np.testing.assert_array_equal(same_faces, faces)


def test_segments_and_aggregation_have_scannets_fields(exact: Path) -> None:
    segments = json.loads(content(exact, f"{MESH_SUFFIX}.0.010000.segs.json"))
    assert set(segments) == {"params", "sceneId", "segIndices"} and segments["sceneId"] == SCENE
    found = json.loads(content(exact, ".aggregation.json"))
    assert set(found) == {"sceneId", "appId", "segGroups", "segmentsFile"}
    assert found["sceneId"] == f"scannet.{SCENE}" and found["appId"] == "Aggregator.v2"
    assert found["segmentsFile"] == f"scannet.{SCENE}{MESH_SUFFIX}.0.010000.segs.json"
    for row, group in enumerate(found["segGroups"]):
        assert set(group) == {"id", "objectId", "segments", "label"}
        assert group["id"] == group["objectId"] == row  # readers index arrays by it
        assert group["segments"] and group["label"] in CATEGORIES
    every = [s for group in found["segGroups"] for s in group["segments"]]
    assert len(every) == len(set(every)) and set(every) == set(segments["segIndices"])


def test_labels_by_segments_aggregation_and_table_are_the_generators_own(exact: Path) -> None:
    lines = tables.label_table({}).splitlines()
    rows = {line.split("\t")[1]: line.split("\t") for line in lines[1:]}
    segments = np.array(json.loads(content(exact, f"{MESH_SUFFIX}.0.010000.segs.json"))["segIndices"])
    groups = json.loads(content(exact, ".aggregation.json"))["segGroups"]
    raw, nyu40, objects = (np.full(len(segments), -1) for _ in range(3))
    for group in groups:
        own = np.isin(segments, group["segments"])
        raw[own], nyu40[own] = int(rows[group["label"]][0]), int(rows[group["label"]][4])
        objects[own] = group["objectId"]
    with np.load(exact / f"{SCENE}_truth.npz") as truth:
        np.testing.assert_array_equal(raw, truth["raw_id"])
        np.testing.assert_array_equal(nyu40, truth["nyu40"])
        np.testing.assert_array_equal(objects, truth["object_id"])
        assert set(truth["part_names"][np.unique(truth["part"])]) >= {"seat", "leg", "top", "body"}
    labelled, _, _ = read_ply(content(exact, f"{MESH_SUFFIX}.labels.ply"), label=True)
    np.testing.assert_array_equal(labelled[:, 7], nyu40)


def test_the_text_names_the_cameras_and_a_turn_to_the_rooms_axes(exact: Path) -> None:
    lines = content(exact, ".txt").decode().splitlines()
    values = dict(line.split(" = ") for line in lines)
    assert list(values) == [
        "axisAlignment", "colorHeight", "colorToDepthExtrinsics", "colorWidth", "depthHeight", "depthWidth",
        "fx_color", "fx_depth", "fy_color", "fy_depth", "mx_color", "mx_depth", "my_color", "my_depth",
        "numColorFrames", "numDepthFrames", "numIMUmeasurements", "sceneType",
    ]  # fmt: skip
    assert values["sceneType"] == "Living room / Lounge"
    assert (values["colorWidth"], values["depthHeight"]) == (str(WIDTH), str(HEIGHT))
    header = struct.unpack_from("<16f", content(exact, ".sens"), 12 + len("sparse3d rooms"))
    assert float(values["fx_depth"]) == pytest.approx(header[0], rel=1e-6)
    assert float(values["my_depth"]) == pytest.approx(header[6], rel=1e-6)
    A = alignment(exact)
    assert abs(np.degrees(np.arctan2(A[1, 0], A[0, 0])) % 90 - 45) < 44.9  # not along the axes already
    np.testing.assert_allclose(A[2, :3], [0, 0, 1])


def test_the_packages_own_reader_reads_the_frames_on_the_rooms_surfaces(exact: Path) -> None:
    source = open_frames(exact, format="scannet_sens")
    assert len(source) == len(POSES)
    A = alignment(exact)
    for pose, frame in zip(POSES, source, strict=True):
        np.testing.assert_allclose(A @ frame.T_world_cam, pose, atol=2e-5)
        rows, cols = np.nonzero(frame.depth)
        z, camera = frame.depth[rows, cols].astype(np.float64), frame.camera
        xyz = np.stack([(cols - camera.cx) / camera.fx * z, (rows - camera.cy) / camera.fy * z, z, np.ones_like(z)])
        x, y, height = (A @ frame.T_world_cam @ xyz)[:3]
        slack = 0.002  # depth goes in millimetres
        assert min(x.min(), y.min(), height.min()) > -slack
        assert x.max() < 5 + slack and y.max() < 4 + slack and height.max() < 2.6 + slack


def test_the_mesh_lies_where_the_frames_are(exact: Path) -> None:
    """Aligned by the .txt, the mesh has the room's corners; the exact points of the truth are those of the mesh."""
    vertices, _, _ = read_ply(content(exact, f"{MESH_SUFFIX}.ply"), label=False)
    A = alignment(exact)
    aligned = vertices[:, :3] @ A[:3, :3].T + A[:3, 3]
    assert aligned.min() > -2e-5 and (aligned.max(axis=0) < np.array([5, 4, 2.6]) + 2e-5).all()
    assert np.abs(aligned[:, 2]).min() < 1e-6
    with np.load(exact / f"{SCENE}_truth.npz") as truth:
        np.testing.assert_allclose(truth["xyz"], vertices[:, :3], atol=2e-6)


def test_pixels_and_vertices_name_the_same_objects(exact: Path) -> None:
    source = open_frames(exact, format="scannet_sens")
    with np.load(exact / f"{SCENE}_truth.npz") as truth:
        xyz, objects, raw, part = (truth[name] for name in ("xyz", "object_id", "raw_id", "part"))
    archives = {name: zipfile.ZipFile(exact / f"{SCENE}_2d-{name}.zip") for name in ("instance", "label", "part")}
    for k, frame in enumerate(source):
        images = {name: Image.open(io.BytesIO(z.read(f"{name}/{k}.png"))) for name, z in archives.items()}
        assert images["instance"].mode == "L" and images["label"].mode.startswith("I;16")
        maps = {name: np.asarray(image).astype(int) for name, image in images.items()}
        inverse = invert_rigid(frame.T_world_cam)
        x, y, z = inverse[:3, :3] @ xyz.T + inverse[:3, 3:]
        camera = frame.camera
        with np.errstate(divide="ignore", invalid="ignore"):
            col, row = x / z * camera.fx + camera.cx, y / z * camera.fy + camera.cy
        inside = (z > 0.1) & (col > 0) & (col < WIDTH - 1) & (row > 0) & (row < HEIGHT - 1)
        rows, cols = np.rint(row[inside]).astype(int), np.rint(col[inside]).astype(int)
        shown = np.abs(frame.depth[rows, cols] - z[inside]) < 0.005
        assert shown.sum() > 200
        for name, values in (("instance", objects + 1), ("label", raw), ("part", part + 1)):
            same = maps[name][rows, cols][shown] == values[inside][shown]
            assert same.mean() > 0.98  # pixels on the border of two things
    for name, archive in archives.items():
        assert archive.namelist() == [f"{name}/{k}.png" for k in range(len(POSES))]


def test_boxes_hold_every_instance_of_the_room(exact: Path) -> None:
    room = room_of_boxes(0)
    boxes = json.loads(content(exact, "_boxes.json"))
    assert [b["label"] for b in boxes["instances"]] == list(merge(room).categories)
    with np.load(exact / f"{SCENE}_truth.npz") as truth:
        xyz, objects = truth["xyz"].astype(np.float64), truth["object_id"]
    A = alignment(exact)
    aligned = xyz @ A[:3, :3].T + A[:3, 3]
    for placed, box in zip(room.instances, boxes["instances"], strict=True):
        low, high = (
            np.array(box["center"]) - np.array(box["size"]) / 2,
            np.array(box["center"]) + np.array(box["size"]) / 2,
        )
        np.testing.assert_allclose(low, placed.vertices.min(axis=0), atol=2e-6)
        np.testing.assert_allclose(high, placed.vertices.max(axis=0), atol=2e-6)
        own = aligned[objects == box["objectId"]]
        assert len(own) == box["vertices"]
        if len(own):
            np.testing.assert_allclose(box["seen_size"], np.ptp(own, axis=0), atol=2e-5)
            assert 0 < box["seen_share"] <= 1 and (own >= low - 1e-5).all() and (own <= high + 1e-5).all()
        else:
            assert box["seen_center"] is None
    picture = boxes["instances"][-1]
    np.testing.assert_allclose(picture["seen_size"], [0.8, 0.03, 0.6], atol=0.02)


def test_noise_moves_the_mesh_and_nothing_else(exact: Path, tmp_path: Path) -> None:
    noisy = recorded(tmp_path, noise=True)
    assert alignment(noisy).tolist() == alignment(exact).tolist()
    for name in ("instance", "label", "part"):
        assert content(noisy, f"_2d-{name}.zip") == content(exact, f"_2d-{name}.zip")
    vertices, _, _ = read_ply(content(noisy, f"{MESH_SUFFIX}.ply"), label=False)
    with np.load(noisy / f"{SCENE}_truth.npz") as truth:
        moved = np.linalg.norm(vertices[:, :3] - truth["xyz"], axis=1)
    assert 0.0005 < np.median(moved) < 0.02


def test_the_table_has_scannets_columns(tmp_path: Path) -> None:
    lines = tables.label_table({"chair": 7}).splitlines()
    rows = [line.split("\t") for line in lines]
    assert tuple(rows[0]) == tables.COLUMNS and len(tables.COLUMNS) == 17
    assert {len(row) for row in rows} == {17}
    assert next(row for row in rows if row[1] == "chair")[:8] == [
        "2",
        "chair",
        "chair",
        "7",
        "5",
        "4",
        "chair",
        "chair",
    ]


@pytest.mark.needs_shared_data
def test_the_table_agrees_with_scannets(shared_data: Path) -> None:
    from sparse3d.rooms.categories import MOVED

    text = (shared_data / "scannet_meta" / "scannetv2-labels.combined.tsv").read_text()
    theirs = {row[1]: row for row in (line.split("\t") for line in text.splitlines() if line.strip())}
    ours = [line.split("\t") for line in tables.label_table({}).splitlines()]
    assert ours[0] == [name.strip() for name in theirs["raw_category"]]
    for row in ours[1:]:
        if row[1] in theirs:
            same = [0, 1] if row[1] in MOVED else [0, 1, 4, 5, 7, 8]
            if row[1] not in MOVED and row[4] == "39" and theirs[row[1]][5] == "7":
                same = [0, 1, 4, 7]  # ScanNet itself counts other furniture as objects or as furniture
            assert [row[k] for k in same] == [theirs[row[1]][k] for k in same]


def test_label_colors_differ() -> None:
    colors = {tables.label_color(k) for k in range(41)}
    assert len(colors) == 41 and all(0 <= c <= 255 for color in colors for c in color)


def test_images_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="instance/0.png"):
        write_image_zip(tmp_path / "x.zip", "instance", [np.full((4, 4), 256)], sixteen_bit=False)
    write_image_zip(tmp_path / "x.zip", "instance", [np.full((4, 4), 256)], sixteen_bit=True)
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert (np.asarray(Image.open(io.BytesIO(archive.read("instance/0.png")))) == 256).all()


def test_zip_files_hold_no_date(tmp_path: Path) -> None:
    write_truth(tmp_path / "a.npz", {"x": np.arange(5)})
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(tmp_path / "a.npz") as back:
        np.testing.assert_array_equal(back["x"], np.arange(5))
