"""Real recordings open quickly, whole, upright, and geometrically right."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from sparse3d.data.readers import FrameSource, open_frames
from sparse3d.geometry import invert_rigid, transform_points

pytestmark = pytest.mark.needs_shared_data


def reprojection_error(source: FrameSource, i: int, j: int) -> float:
    """Median relative difference between depth ``i`` carried into view ``j`` and what ``j`` measured there."""
    a, b = source[i], source[j]
    rows, cols = np.nonzero(a.depth)
    rays = np.stack([(cols - a.camera.cx) / a.camera.fx, (rows - a.camera.cy) / a.camera.fy, np.ones(len(rows))], 1)
    points = rays * a.depth[rows, cols, None]
    points = transform_points(invert_rigid(b.T_world_cam) @ a.T_world_cam, points)
    col = np.round(points[:, 0] / points[:, 2] * b.camera.fx + b.camera.cx)
    row = np.round(points[:, 1] / points[:, 2] * b.camera.fy + b.camera.cy)
    inside = (points[:, 2] > 0) & (col >= 0) & (col < b.camera.width) & (row >= 0) & (row < b.camera.height)
    measured = b.depth[row[inside].astype(int), col[inside].astype(int)]
    error = np.abs(measured - points[inside, 2])[measured > 0] / points[inside, 2][measured > 0]
    return float(np.median(error))


@pytest.mark.parametrize(
    ("name", "format", "count", "gap", "error"),
    [("redkitchen", "seven_scenes", 300, 10, 0.01), ("livingroom", "redwood", 140, 30, 0.005)],
)
def test_real_recordings(shared_data: Path, name: str, format: str, count: int, gap: int, error: float) -> None:
    begin = time.perf_counter()
    source = open_frames(shared_data / name, size=(320, 240))
    assert time.perf_counter() - begin < 10
    assert source.format == format and len(source) == count and not source.manifest.dropped
    assert np.median([reprojection_error(source, i, i + gap) for i in (0, 50, 100)]) < error
    down = [source.pose(i)[2, 1] for i in range(count)]  # the image's y axis points down
    assert np.mean(down) < -0.5
