"""Points and true correspondences of single frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from synthetic_room import room_frame

from sparse3d.data import view_sets
from sparse3d.data.clouds import frame_points, voxelize_frames
from sparse3d.data.view_sets import match_frames
from sparse3d.types import Frame


def test_what_is_known_of_a_frame_goes_with_its_depth_and_its_life(room_frames: list[Frame]) -> None:
    a, b = (replace(frame) for frame in room_frames[:2])
    far, near = (match_frames(a, b, depth)[0] for depth in (5.0, 1.5))
    fresh = match_frames(replace(a), replace(b), 1.5)[0]
    assert 0 < len(near) < len(far)
    np.testing.assert_array_equal(near, fresh)
    alive = len(view_sets._usable)
    del a, b
    assert len(view_sets._usable) == alive - 2


def test_holes_give_no_point_and_no_match() -> None:
    """Pitfall: "no depth" is 0, compared with -1; empty pixels unproject to the camera centre and match each other."""
    a, b = room_frame(0, holes=0.2), room_frame(2, holes=0.2)
    points = frame_points(a)
    assert len(points.cloud) == (a.depth > 0).sum()
    assert np.linalg.norm(points.cloud.xyz - a.T_world_cam[:3, 3], axis=1).min() > 0.3
    _, pixel2voxel = voxelize_frames([points], 0.1)
    np.testing.assert_array_equal(pixel2voxel[0] >= 0, a.depth > 0)
    for source, target in ((a, b), (b, a)):
        pixels, found = match_frames(source, target, 5.0)
        assert len(pixels) > 100
        assert (source.depth[pixels[:, 0], pixels[:, 1]] > 0).all()
        assert (target.depth[found[:, 0], found[:, 1]] > 0).all()


def test_readings_beyond_the_range_give_no_point_and_no_match() -> None:
    a, b = room_frame(0), room_frame(1)
    limit = float(np.median(a.depth))
    assert frame_points(a, limit).cloud.xyz.shape[0] == (a.depth <= limit).sum()
    pixels, found = match_frames(a, b, limit)
    assert len(pixels) and a.depth[pixels[:, 0], pixels[:, 1]].max() <= limit
    assert b.depth[found[:, 0], found[:, 1]].max() <= limit


def test_depths_that_are_not_finite_are_no_readings() -> None:
    frame = room_frame(0)
    depth = frame.depth.copy()
    depth[0, :3] = np.nan, np.inf, -1
    points = frame_points(replace(frame, depth=depth))
    assert len(points.cloud) == frame.depth.size - 3 and np.isfinite(points.cloud.xyz).all()
