"""The clouds to measure on: the number of voxels asked for, on surfaces, the same every time; scans as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData, PlyElement

from sparse3d.benchmark.clouds import room_cloud, scanned_cloud
from sparse3d.benchmark.memory import PeakMemory
from sparse3d.errors import InputError


@pytest.mark.parametrize("voxels", [300, 5000])
def test_a_room_has_about_the_voxels_asked_for_and_is_the_same_each_time(voxels: int) -> None:
    coords, size = room_cloud(voxels)
    assert abs(len(coords) - voxels) <= 0.01 * voxels
    assert coords.dtype == np.int32 and len(np.unique(coords, axis=0)) == len(coords)
    again, same = room_cloud(voxels)
    assert np.array_equal(coords, again) and size == same


def test_a_room_is_surfaces_not_a_solid() -> None:
    """Four times as many voxels are of about half the size, where a solid's would be of .63."""
    few, many = room_cloud(2000)[1], room_cloud(8000)[1]
    assert 0.45 < many / few < 0.56


def write_ply(path: Path, xyz: np.ndarray) -> Path:
    rows = np.array([tuple(p) for p in xyz], dtype=[("x", "f4"), ("y", "f4"), ("z", "f4")])
    PlyData([PlyElement.describe(rows, "vertex")]).write(str(path))
    return path


def test_a_scan_is_floored_to_voxels(tmp_path: Path) -> None:
    path = write_ply(tmp_path / "scan.ply", np.array([[-0.01, 0.0, 0.11], [-0.02, 0.01, 0.12], [0.2, 0.2, 0.2]]))
    assert scanned_cloud(path, 0.05).tolist() == [[-1, 0, 2], [4, 4, 4]]


def test_files_that_are_no_scans_are_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.ply"
    text.write_text("no scan")
    for path, words in [(text, "no .ply file"), (tmp_path / "absent.ply", "no such file"), (tmp_path, "no .ply file")]:
        with pytest.raises(InputError, match=words):
            scanned_cloud(path, 0.05)
    with pytest.raises(InputError, match="no vertices"):
        scanned_cloud(write_ply(tmp_path / "empty.ply", np.zeros((0, 3))), 0.05)
    with pytest.raises(InputError, match="not finite"):
        scanned_cloud(write_ply(tmp_path / "nan.ply", np.full((1, 3), np.nan)), 0.05)


def test_peak_memory_counts_what_is_freed_again() -> None:
    peak = PeakMemory()
    if peak.megabytes() is None:
        pytest.skip("this system does not tell a process its peak memory")
    block = np.ones(8_000_000)  # 64 MB
    del block
    assert 60 < (peak.megabytes() or 0) < 90
