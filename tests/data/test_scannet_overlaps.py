"""Stored overlaps are used instead of computed ones, and give the same pairs; a stale file is never used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_scannet import write_sens_of_room

from sparse3d.data import overlaps
from sparse3d.data.matching_pairs import MatchingPairs
from sparse3d.data.overlaps import FILE, computed_overlaps, store_overlaps, stored_overlaps
from sparse3d.data.readers import open_frames
from sparse3d.data.view_sets import FrameFolder, ViewSets, scene_pairs
from sparse3d.geometry import select_pairs

VOXEL = 0.05


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A scene with its overlaps stored."""
    path = tmp_path / "scene0000_00" / "scene0000_00.sens"
    path.parent.mkdir()
    write_sens_of_room(path)
    source = open_frames(path)
    store_overlaps(path.parent / FILE, source, computed_overlaps(source, VOXEL), VOXEL)
    return path


def refuse(*args: object, **options: object) -> np.ndarray:
    raise AssertionError("the overlaps were computed again")


def test_stored_and_computed_pairs_are_equal(scene: Path) -> None:
    source = open_frames(scene)
    expected = computed_overlaps(source, VOXEL)
    found, matrix = scene_pairs(source, 0.1, 0.9, VOXEL)
    np.testing.assert_array_equal(matrix, expected)
    np.testing.assert_array_equal(found, select_pairs(expected, 0.1, 0.9))
    assert len(found) > 0 and matrix.dtype == np.float32


def test_a_selection_of_the_frames_takes_its_part_of_the_matrix(scene: Path) -> None:
    for options in ({"step": 2}, {"first": 1, "last": 4}, {"first": 2, "step": 3}):
        source = open_frames(scene, **options)  # type: ignore[arg-type]
        stored = stored_overlaps(source, VOXEL)
        assert stored is not None
        np.testing.assert_array_equal(stored, computed_overlaps(source, VOXEL))


def test_training_and_matching_do_not_compute_what_is_stored(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = FrameFolder(root=str(scene.parent), size=(64, 48), part=(0.0, 1.0))
    monkeypatch.setattr(overlaps, "computed_overlaps", refuse)
    assert len(ViewSets(frames=folder, overlap=(0.1, 0.9))) > 0
    assert len(MatchingPairs(frames=folder, overlap=(0.1, 0.9))) > 0


@pytest.mark.parametrize("options", [{"size": (32, 24)}, {"up": "y"}, {"depth_scale": 900.0}], ids=str)
def test_frames_given_out_otherwise_are_computed(scene: Path, options: dict) -> None:
    source = open_frames(scene, **options)
    assert stored_overlaps(source, VOXEL) is None
    np.testing.assert_array_equal(scene_pairs(source, 0, 1, VOXEL)[1], computed_overlaps(source, VOXEL))


def test_another_voxel_size_or_pixel_step_is_computed(scene: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_frames(scene)
    assert stored_overlaps(source, 0.04) is None
    monkeypatch.setattr(overlaps, "PIXEL_STEP", 4)
    assert stored_overlaps(source, VOXEL) is None


def test_a_recording_that_was_replaced_is_computed(scene: Path) -> None:
    write_sens_of_room(scene, lost=(2,), count=8)
    assert stored_overlaps(open_frames(scene), VOXEL) is None


def test_a_lost_frame_does_not_move_the_others(scene: Path) -> None:
    """The number of frames is the same, the file's size nearly so, and one of them is gone."""
    write_sens_of_room(scene, lost=(2,))
    source = open_frames(scene)
    assert len(source) == 5
    np.testing.assert_array_equal(scene_pairs(source, 0, 1, VOXEL)[1], computed_overlaps(source, VOXEL))


@pytest.mark.parametrize("content", [b"", b"not a zip", None])
def test_a_damaged_file_is_as_none(scene: Path, content: bytes | None) -> None:
    path = scene.parent / FILE
    path.write_bytes(path.read_bytes()[:-50] if content is None else content)
    source = open_frames(scene)
    assert stored_overlaps(source, VOXEL) is None
    assert scene_pairs(source, 0, 1, VOXEL)[1].shape == (6, 6)
