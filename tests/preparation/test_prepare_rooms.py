"""A furnished room, written in ScanNet's files and prepared: what comes out is what the generator knows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from sparse3d.data.prepared import PreparedScene, prepared_scenes
from sparse3d.geometry import transform_points, unproject_depth
from sparse3d.preparation.options import PrepareOptions
from sparse3d.preparation.runner import Job, prepare
from sparse3d.rooms.make_rooms import RoomsOptions, make_rooms
from sparse3d.rooms.recording import RecordingOptions

FRAMES = 4


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PreparedScene]:
    """The folder of a room scanned without noise, and what was prepared of it."""
    folder = tmp_path_factory.mktemp("rooms")
    recording = RecordingOptions(frames=FRAMES, size=(160, 120), noise=False, shadows=False)
    make_rooms(folder / "source", 1, RoomsOptions(seed=5, kind="bedroom", recording=recording))
    outcomes = prepare(Job(folder / "source", folder / "out", PrepareOptions(size=(80, 60), frame_skip=1)))
    assert [(o.state, o.reason, o.notes) for o in outcomes] == [("prepared", "", ())]
    (scene,) = prepared_scenes(folder / "out", "train")
    return folder / "source" / "scans" / scene.name, scene


def test_labels_are_the_generators_own_at_every_vertex(room: tuple[Path, PreparedScene]) -> None:
    folder, scene = room
    truth, mesh = np.load(folder / f"{scene.name}_truth.npz"), scene.mesh()
    number = np.array([found.object_id for found in scene.objects()] + [-1])
    np.testing.assert_array_equal(mesh.nyu40, truth["nyu40"])
    np.testing.assert_array_equal(mesh.raw_category, truth["raw_id"])
    np.testing.assert_array_equal(number[mesh.instance], truth["object_id"])
    assert len(np.unique(mesh.semantic)) > 5


def test_boxes_are_those_of_the_surfaces_that_were_seen(room: tuple[Path, PreparedScene]) -> None:
    """In the room's own axes, which the scan's world is turned and shifted against."""
    folder, scene = room
    listed = json.loads((folder / f"{scene.name}_boxes.json").read_text())["instances"]
    truth = {entry["objectId"]: entry for entry in listed if entry["objectId"] is not None}
    assert len(scene.objects()) == sum(entry["vertices"] > 0 for entry in truth.values()) > 5
    assert not np.allclose(scene.axis_alignment, np.eye(4), atol=0.1)
    for found in scene.objects():
        entry = truth[found.object_id]
        assert found.label == entry["label"] and found.vertices == entry["vertices"]
        np.testing.assert_allclose(found.center, entry["seen_center"], atol=2e-3)
        np.testing.assert_allclose(found.size, entry["seen_size"], atol=2e-3)


def test_frames_see_the_mesh(room: tuple[Path, PreparedScene]) -> None:
    """Nine in ten readings lie within three spacings of a vertex: frames and mesh share one world."""
    _, scene = room
    tree = cKDTree(scene.mesh().xyz)
    frames = scene.frames()
    assert len(frames) == FRAMES
    for frame in frames:
        points = transform_points(frame.T_world_cam, unproject_depth(frame.depth, frame.camera)[0])
        distance, _ = tree.query(points[::7])
        assert np.quantile(distance, 0.9) < 0.06
