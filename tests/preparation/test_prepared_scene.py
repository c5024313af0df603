"""A prepared scene holds what its source says: frames, labels, boxes, and an account of what was left out."""

from __future__ import annotations

import json
import os
import pickle
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_scannet import (
    GROUPS,
    SEGMENTS,
    TURN,
    colors,
    triangles,
    vertices,
    write_ply,
    write_scan,
    write_sens_of_room,
    write_table,
)
from PIL import Image
from plyfile import PlyData, PlyElement
from synthetic_room import CAMERA, room_frame
from torch import nn

from sparse3d.data.detection_scenes import DetectionScenes
from sparse3d.data.overlaps import computed_overlaps
from sparse3d.data.prepared import PreparedScene, prepared_scenes
from sparse3d.data.readers import open_frames, open_scenes
from sparse3d.data.scannet.classes import SCANNET20, SCANNET200
from sparse3d.data.scene_sources import PreparedSplit
from sparse3d.data.sens_writer import SensWriter
from sparse3d.errors import InputError
from sparse3d.losses.detection_sparse import SparseDetectionLoss
from sparse3d.models.detection.sparse_head import SparseHead
from sparse3d.preparation.options import PrepareOptions
from sparse3d.preparation.runner import Job, prepare
from sparse3d.tasks.detection import DetectionTask
from sparse3d.types import IGNORE

NAME = "scene0000_00"
OPTIONS = PrepareOptions(size=(64, 48), frame_skip=1)


def source_of(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    write_table(source)
    return source


def prepared(tmp_path: Path, options: PrepareOptions = OPTIONS) -> PreparedScene:
    """The scene of ``tmp_path/source``, prepared."""
    outcomes = prepare(Job(tmp_path / "source", tmp_path / "out", options))
    assert [(o.name, o.state, o.reason) for o in outcomes] == [(NAME, "prepared", "")]
    return PreparedScene(tmp_path / "out" / "scenes" / NAME)


def scene_with(tmp_path: Path, **texts: Any) -> PreparedScene:
    write_scan(source_of(tmp_path) / NAME, **texts)
    return prepared(tmp_path)


def test_the_mesh_comes_back_with_its_labels(tmp_path: Path) -> None:
    scene = scene_with(tmp_path)
    mesh = scene.mesh()
    np.testing.assert_array_equal(mesh.xyz, vertices())
    np.testing.assert_array_equal(np.round(mesh.rgb * 255).astype(np.uint8), colors())
    np.testing.assert_array_equal(mesh.faces, triangles())
    names = ["floor", "floor", "chair", "chair", "refrigerator", None, None]  # a class a segment; books have none
    expected = [IGNORE if name is None else SCANNET20.index_of_name(name) for name in names]
    np.testing.assert_array_equal(mesh.semantic, np.repeat(expected, 4))
    np.testing.assert_array_equal(mesh.instance, np.repeat([0, 0, 1, 1, 2, 3, -1], 4))
    names[5] = "book"
    expected = [IGNORE if name is None else SCANNET200.index_of_name(name) for name in names]
    np.testing.assert_array_equal(scene.mesh("scannet200").semantic, np.repeat(expected, 4))
    np.testing.assert_array_equal(
        scene.mesh("scannet18").semantic, np.where(mesh.semantic < 2, IGNORE, mesh.semantic - 2)
    )
    assert mesh.semantic.dtype == np.int64 and len(mesh) == len(SEGMENTS)
    with pytest.raises(InputError, match="classes = 'nyu40' is unknown"):
        scene.mesh("nyu40")


def test_boxes_are_those_of_the_aligned_vertices(tmp_path: Path) -> None:
    scene = scene_with(tmp_path)
    mesh, objects = scene.mesh(aligned=True), scene.objects()
    np.testing.assert_allclose(mesh.xyz, vertices() @ TURN[:3, :3].T + TURN[:3, 3], atol=1e-5)
    assert [o.object_id for o in objects] == [0, 4, 5, 9] and [o.vertices for o in objects] == [8, 8, 4, 4]
    for k, found in enumerate(objects):
        own = mesh.xyz[mesh.instance == k]
        np.testing.assert_allclose(found.box, [own.min(axis=0), own.max(axis=0)], atol=1e-5)
    assert [(o.class20, o.class18) for o in objects] == [(1, None), (4, 2), (14, 12), (None, None)]
    assert [o.raw_category for o in objects] == [3, 2, 27, 22] and objects[2].label == "refridgerator"


def test_a_test_scene_without_alignment_is_unaligned_and_says_so(tmp_path: Path) -> None:
    scene = scene_with(tmp_path, parts=("mesh",))
    assert scene.axis_alignment is None and not scene.has_labels and not scene.has_frames and scene.objects() == []
    assert any("unaligned" in note for note in scene.record["notes"])
    mesh = scene.mesh(aligned=True)
    np.testing.assert_array_equal(mesh.xyz, vertices())
    assert set(mesh.semantic) == {IGNORE} and set(mesh.instance) == {-1}
    with pytest.raises(InputError, match="without frames"):
        scene.frames()


def test_frames_are_the_chosen_ones_made_small(tmp_path: Path) -> None:
    write_scan(source_of(tmp_path) / NAME)
    scene = prepared(tmp_path, PrepareOptions(size=(32, 24), frame_skip=2))
    frames = scene.frames()
    assert scene.frame_numbers() == [0, 2, 4] and len(frames) == 3 and frames.size == (32, 24)
    before = open_frames(tmp_path / "source" / NAME / f"{NAME}.sens", size=(32, 24), step=2)
    for old, new in zip(before, frames, strict=True):
        np.testing.assert_allclose(new.depth, old.depth, atol=0.00051)
        np.testing.assert_allclose(new.T_world_cam, old.T_world_cam, atol=1e-7)
        np.testing.assert_allclose(new.camera.K, old.camera.K, rtol=1e-6)
        assert np.abs(new.color.astype(int) - old.color).mean() < 20
    np.testing.assert_array_equal(scene.overlap(), computed_overlaps(frames, 0.05))
    assert scene.record["frames"]["recorded"] == 6 and scene.record["frames"]["selected"] == 3


def test_frames_without_a_pose_are_dropped_counted_and_named(tmp_path: Path) -> None:
    scene = scene_with(tmp_path, lost=(1, 4))
    frames = scene.record["frames"]
    assert scene.frame_numbers() == [0, 2, 3, 5] and len(scene.frames()) == 4
    assert frames["dropped"] == {"invalid_pose": 2} and [d["name"] for d in frames["drops"]] == ["000001", "000004"]
    assert frames["selected"] == 6
    for k, frame in zip(scene.frame_numbers(), scene.frames(), strict=True):
        np.testing.assert_allclose(frame.T_world_cam, room_frame(k).T_world_cam, atol=1e-6)


def test_a_frame_far_from_all_others_is_named_by_its_source_and_number(tmp_path: Path) -> None:
    path = source_of(tmp_path) / NAME / f"{NAME}.sens"
    with SensWriter(path, CAMERA, CAMERA) as writer:
        for k in range(6):
            frame = room_frame(k, 6)
            pose = frame.T_world_cam.copy()
            pose[0, 3] = 2.0**18 if k == 4 else pose[0, 3]
            writer.write(frame.color, frame.depth, np.full((4, 4), -np.inf) if k == 1 else pose)
    (outcome,) = prepare(Job(tmp_path / "source", tmp_path / "out", OPTIONS))
    assert outcome.state == "broken" and outcome.reason.startswith(f"{path}: frame 4 lies over 52.4 km")


def test_a_frame_that_cannot_be_decoded_is_dropped_and_the_others_stay(tmp_path: Path) -> None:
    folder = write_scan(source_of(tmp_path) / NAME, parts=("frames",))
    path = folder / f"{NAME}.sens"
    source = open_frames(path)
    (color, _), (depth, _) = source._entries[1].color, source._entries[3].depth
    content = bytearray(path.read_bytes())
    content[color : color + 20] = bytes(20)
    content[depth : depth + 20] = bytes(20)
    path.write_bytes(content)
    scene = prepared(tmp_path)
    assert scene.frame_numbers() == [0, 2, 4, 5]
    assert scene.record["frames"]["dropped"] == {"unreadable_color": 1, "unreadable_depth": 1}


def test_intrinsics_of_the_text_that_differ_are_told_and_not_used(tmp_path: Path) -> None:
    scene = scene_with(tmp_path, mx=99.0)
    assert any("99.0" in note and ".sens are used" in note for note in scene.record["notes"])
    np.testing.assert_allclose(scene.frames().camera(0).cx, CAMERA.cx, rtol=1e-6)


def test_exported_frames_are_taken_where_there_is_no_sens(tmp_path: Path) -> None:
    folder = source_of(tmp_path) / NAME
    for part in ("color", "depth", "pose", "intrinsic"):
        (folder / part).mkdir(parents=True)
    np.savetxt(folder / "intrinsic" / "intrinsic_depth.txt", CAMERA.K)
    for k in range(4):
        frame = room_frame(k)
        Image.fromarray(frame.color).save(folder / "color" / f"{k * 20}.jpg")
        Image.fromarray(np.round(frame.depth * 1000).astype(np.uint16)).save(folder / "depth" / f"{k * 20}.png")
        np.savetxt(folder / "pose" / f"{k * 20}.txt", np.full((4, 4), -np.inf) if k == 1 else frame.T_world_cam)
    scene = prepared(tmp_path)
    assert scene.frame_numbers() == [0, 40, 60] and scene.record["frames"]["recorded"] == 4
    assert scene.record["sources"]["frames"]["files"] == 13
    assert prepare(Job(tmp_path / "source", tmp_path / "out", OPTIONS))[0].state == "skipped"
    (folder / "color" / "20.jpg").write_bytes(b"changed")
    assert prepare(Job(tmp_path / "source", tmp_path / "out", OPTIONS))[0].state == "prepared"
    pose = folder / "pose" / "40.txt"  # changed to as many bytes, and not the newest of all
    pose.write_text(pose.read_text().replace("1", "2", 1))
    os.utime(pose, ns=(pose.stat().st_atime_ns, (folder / "color" / "0.jpg").stat().st_mtime_ns + 1))
    assert prepare(Job(tmp_path / "source", tmp_path / "out", OPTIONS))[0].state == "prepared"


def test_duplicate_groups_unknown_labels_and_differing_labels_are_remarks(tmp_path: Path) -> None:
    groups = (*GROUPS, *((k + 9, label, own) for k, label, own in GROUPS), (40, "gizmo", (8,)), (41, "wall", (77,)))
    folder = write_scan(source_of(tmp_path) / NAME, groups=groups)
    write_ply(folder / f"{NAME}_vh_clean_2.labels.ply", vertices(), triangles(), labels=np.full(28, 2))
    scene = prepared(tmp_path)
    notes = "\n".join(scene.record["notes"])
    assert "'gizmo' is not in the label table: its 4 vertices" in notes
    assert "4 groups are listed twice" in notes and "1 groups have no vertex and are left out: 41 wall" in notes
    assert "labels.ply differs from the annotation at 20 of 28 vertices" in notes
    assert scene.record["mesh"]["duplicate_groups"] == 4 and len(scene.objects()) == 5
    assert scene.objects()[4].class20 is None and scene.objects()[4].raw_category is None


def test_labels_alone_give_classes_without_instances(tmp_path: Path) -> None:
    folder = write_scan(source_of(tmp_path) / NAME, parts=("mesh",))
    write_ply(folder / f"{NAME}_vh_clean_2.labels.ply", vertices(), triangles(), labels=np.repeat([1, 2, 5, 24], 7))
    scene = prepared(tmp_path)
    assert scene.has_labels and scene.objects() == []
    np.testing.assert_array_equal(scene.mesh().semantic, np.repeat([0, 1, 4, 14], 7))
    assert set(scene.mesh("scannet200").semantic) == {IGNORE}
    assert not scene.has_instances


def test_scenes_whose_objects_nobody_annotated_are_refused_where_objects_are_asked_for(tmp_path: Path) -> None:
    """What is there and unknown would be taught, and counted, as not there."""
    folder = write_scan(source_of(tmp_path) / NAME, parts=("mesh",))
    write_ply(folder / f"{NAME}_vh_clean_2.labels.ply", vertices(), triangles(), labels=np.repeat([1, 2, 5, 24], 7))
    root = str(prepared(tmp_path).path.parents[1])
    source = PreparedSplit(root, split=None)  # the 20 classes are known
    with pytest.raises(InputError, match=r"no class of ScanNet200, as its labels are of .labels.ply alone \(1 of 1"):
        PreparedSplit(root, split=None, classes="scannet200")
    task = DetectionTask(DetectionScenes, SparseHead, SparseDetectionLoss, val=lambda: source)
    with pytest.raises(InputError, match="no box, .*fetch .aggregation.json"):
        list(task.evaluate(nn.Identity(), torch.device("cpu")))
    whole = write_scan(tmp_path / "other" / "scans" / NAME)
    write_table(whole.parents[1])
    prepare(Job(tmp_path / "other", tmp_path / "whole", OPTIONS))
    PreparedSplit(str(tmp_path / "whole"), split=None, classes="scannet200").check_instances()


def test_a_mesh_with_normals_keeps_them_and_turns_them(tmp_path: Path) -> None:
    folder = write_scan(source_of(tmp_path) / NAME, parts=("mesh", "alignment"))
    path = folder / f"{NAME}_vh_clean_2.ply"
    old = PlyData.read(str(path))["vertex"].data
    new = np.zeros(len(old), dtype=old.dtype.descr + [(name, "f4") for name in ("nx", "ny", "nz")])
    for name in old.dtype.names:
        new[name] = old[name]
    new["nx"] = 1
    PlyData([PlyElement.describe(new, "vertex")]).write(str(path))
    scene = prepared(tmp_path)
    assert len(scene.mesh().faces) == 0
    np.testing.assert_allclose(scene.mesh().normals, np.tile([1.0, 0, 0], (28, 1)))
    np.testing.assert_allclose(scene.mesh(aligned=True).normals, np.tile(TURN[:3, 0], (28, 1)), atol=1e-6)


def test_the_record_accounts_for_sources_and_bytes(tmp_path: Path) -> None:
    scene = scene_with(tmp_path)
    record = scene.record
    assert set(record["sources"]) == {
        ".sens",
        "_vh_clean_2.ply",
        "_vh_clean_2.0.010000.segs.json",
        ".aggregation.json",
        ".txt",
        "labels.combined.tsv",
    }
    own = (tmp_path / "source" / NAME / f"{NAME}.sens").read_bytes()
    assert record["sources"][".sens"]["bytes"] == len(own)
    assert record["sources"][".sens"]["sha256"] == sha256(own).hexdigest()
    assert record["bytes"] == {
        path.name: path.stat().st_size for path in scene.path.iterdir() if path.name != "scene.json"
    }
    assert set(record["seconds"]) == {"checksums", "frames", "overlap", "mesh", "all"}
    assert record["mesh"]["vertices_of_class"] == {"floor": 8, "chair": 8, "refrigerator": 4}


def test_the_same_source_gives_the_same_bytes(tmp_path: Path) -> None:
    first = scene_with(tmp_path)
    prepare(Job(tmp_path / "source", tmp_path / "again", OPTIONS))
    for name in first.record["bytes"]:
        assert (first.path / name).read_bytes() == (tmp_path / "again" / "scenes" / NAME / name).read_bytes()


def test_a_prepared_scene_is_a_recording_like_any_other(tmp_path: Path) -> None:
    scene = scene_with(tmp_path)
    assert [source.scene for source in open_scenes(tmp_path / "out")] == [NAME]
    assert pickle.loads(pickle.dumps(scene)).mesh().xyz.shape == (28, 3)


def test_a_stale_overlap_and_an_older_format_are_refused(tmp_path: Path) -> None:
    scene = scene_with(tmp_path)
    write_sens_of_room(scene.path / f"{NAME}.sens", count=3)
    with pytest.raises(InputError, match="prepare it again"):
        scene.overlap()
    record = json.loads((scene.path / "scene.json").read_text()) | {"format": 0}
    (scene.path / "scene.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="format 0, this version reads 1"):
        PreparedScene(scene.path)


def test_scenes_come_in_the_order_of_the_list_and_missing_ones_are_named(tmp_path: Path) -> None:
    source = source_of(tmp_path)
    for name in ("scene0000_00", "scene0001_00", "scene0002_00"):
        write_scan(source / name, parts=("mesh",))
    (source / "splits").mkdir()
    (source / "splits" / "train.txt").write_text("scene0002_00\nscene0000_00\n")
    (source / "splits" / "val.txt").write_text("scene0001_00\nscene0008_00\nscene0009_00\n")
    prepare(Job(source, tmp_path / "out", OPTIONS))
    out = tmp_path / "out"
    assert [s.name for s in prepared_scenes(out)] == ["scene0000_00", "scene0001_00", "scene0002_00"]
    assert [s.name for s in prepared_scenes(out, "train")] == ["scene0002_00", "scene0000_00"]
    assert [s.name for s in prepared_scenes(out, source / "splits" / "train.txt")] == ["scene0002_00", "scene0000_00"]
    assert [s.name for s in prepared_scenes(out, ["scene0001_00"])] == ["scene0001_00"]
    with pytest.raises(InputError, match="2 of 3 scenes of the split are not prepared; first: scene0008_00"):
        prepared_scenes(out, "val")
    with pytest.raises(InputError, match=r"\(train, val\)"):
        prepared_scenes(out, "trian")
    with pytest.raises(InputError, match="holds no prepared scenes"):
        prepared_scenes(tmp_path)


@pytest.mark.parametrize("recorded, step", [(1, 1), (250, 1), (251, 25), (5000, 25)])
def test_a_video_is_thinned_and_a_short_recording_is_not(recorded: int, step: int) -> None:
    assert PrepareOptions().step(recorded) == step
    assert PrepareOptions(frame_skip=7).step(recorded) == 7
