"""Matches: for every (p, q), the surface point of p in view i is the surface point of q in view j."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from depth_scenes import CAMERA, CAMERAS, FLIPPED, pose, room_depth
from PIL import Image

from sparse3d.geometry import (
    depth_edges,
    match_pixels,
    resize_depth,
    transform_points,
    unproject_depth,
    usable_pixels,
)
from sparse3d.types import Camera

SHAPE = (CAMERA.height, CAMERA.width)
# floor, back wall, side wall; y is down in the world of these tests
ROOM = [((0, 1, 0), 1.2), ((0, 0, 1), 4.0), ((1, 0, 0), 1.5)]
T_I, T_J = pose((0, 0, 0), (0.05, 0, 0, 1)), pose((0.3, -0.1, 0.2), (0.02, -0.08, 0.03, 1))


def world_points(depth: np.ndarray, camera: Camera, T: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    image = np.full((*depth.shape, 3), np.nan)
    xyz, at = unproject_depth(depth, camera)
    image[at[:, 0], at[:, 1]] = transform_points(T, xyz.astype(np.float64))
    return image[pixels[:, 0], pixels[:, 1]]


def views(camera_i: Camera, camera_j: Camera) -> tuple:
    return (
        room_depth(camera_i, T_I, ROOM), camera_i, T_I,
        room_depth(camera_j, T_J, ROOM), camera_j, T_J,
    )  # fmt: skip


@pytest.mark.parametrize("camera_i", CAMERAS)
@pytest.mark.parametrize("camera_j", CAMERAS)
def test_matched_pixels_show_one_point_of_the_room(camera_i: Camera, camera_j: Camera) -> None:
    arguments = views(camera_i, camera_j)
    p, q = match_pixels(*arguments)
    assert p.dtype == q.dtype == np.int64 and p.shape == q.shape and len(p) > 0.4 * arguments[0].size
    apart = np.linalg.norm(world_points(*arguments[:3], p) - world_points(*arguments[3:], q), axis=1)
    # rounding to a pixel is up to half its width (3 cm at 4 m), and more along the slanted floor
    assert np.median(apart) < 0.03 and apart.max() < 0.3
    assert len(np.unique(p, axis=0)) == len(p)


def test_views_of_different_size_and_focal_length_match() -> None:
    other = Camera(fx=90, fy=101, cx=52, cy=40, width=110, height=84)
    arguments = views(CAMERA, other)
    p, q = match_pixels(*arguments)
    assert len(p) > 0.4 * arguments[0].size and q[:, 1].max() > CAMERA.width
    apart = np.linalg.norm(world_points(*arguments[:3], p) - world_points(*arguments[3:], q), axis=1)
    assert np.median(apart) < 0.02


def test_pixels_that_are_known_to_be_usable_are_taken_at_their_word() -> None:
    arguments = views(CAMERA, CAMERA)
    usable = usable_pixels(arguments[0]), usable_pixels(arguments[3])
    for ours, theirs in zip(match_pixels(*arguments), match_pixels(*arguments, usable=usable), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for view in (0, 1):
        left = [mask.copy() for mask in usable]
        left[view][:, 20:] = False
        assert len(match_pixels(*arguments, usable=(left[0], left[1]))[0]) > 0
        assert match_pixels(*arguments, usable=(left[0], left[1]))[view][:, 1].max() < 20


def test_a_view_matches_itself_pixel_by_pixel() -> None:
    depth = room_depth(FLIPPED, T_I, ROOM)
    p, q = match_pixels(depth, FLIPPED, T_I, depth, FLIPPED, T_I)
    np.testing.assert_array_equal(p, q)
    assert len(p) == ((depth > 0) & ~depth_edges(depth)).sum()


def test_moving_the_world_changes_no_match() -> None:
    arguments = list(views(CAMERA, CAMERA))
    p, q = match_pixels(*arguments)
    shift = pose((20.3, -7.1, 3.3), (0.4, -0.2, 0.7, 0.6))
    arguments[2], arguments[5] = shift @ T_I, shift @ T_J
    p2, q2 = match_pixels(*arguments)
    both = {(*a, *b) for a, b in zip(p, q, strict=True)} ^ {(*a, *b) for a, b in zip(p2, q2, strict=True)}
    assert len(both) <= 0.002 * len(p)  # only exact ties of rounding


def test_going_back_lands_within_two_pixels_of_the_start() -> None:
    far_smaller = views(CAMERA, CAMERA.scaled(18, 12))
    p, q = match_pixels(*far_smaller, max_return_px=1.0)
    loose, _ = match_pixels(*far_smaller, max_return_px=4.0)
    # one pixel of the small image covers 4 x 4: few starts lie within one pixel of where its centre comes back
    assert 0 < len(p) < 0.4 * len(loose)


@pytest.mark.parametrize("missing", [0, np.nan])
@pytest.mark.parametrize("view", [0, 3])
def test_holes_match_nothing(missing: float, view: int) -> None:
    arguments = list(views(CAMERA, CAMERA))
    depth = arguments[view].copy()
    depth[5:40, 20:50] = missing
    arguments[view] = depth
    pixels = match_pixels(*arguments)[view // 3]
    assert len(pixels) and (depth[pixels[:, 0], pixels[:, 1]] > 0).all()


def test_two_frames_full_of_holes_do_not_match_at_their_camera_centres() -> None:
    none = np.zeros(SHAPE, np.float32)
    p, q = match_pixels(none, CAMERA, T_I, none, CAMERA, T_J)
    assert p.shape == q.shape == (0, 2)


def test_a_view_facing_away_matches_nothing() -> None:
    depth = np.full(SHAPE, 2, np.float32)
    behind = pose((0, 0, 0), (0, 1, 0, 0))  # half a turn about y: the same pixels, behind the camera
    assert len(match_pixels(depth, CAMERA, pose(), depth, CAMERA, behind)[0]) == 0


def test_a_plane_thirty_centimetres_behind_the_seen_one_matches_nothing() -> None:
    near, far = np.full(SHAPE, 3, np.float32), np.full(SHAPE, 3.3, np.float32)
    assert len(match_pixels(far, CAMERA, pose(), near, CAMERA, pose())[0]) == 0
    assert len(match_pixels(near, CAMERA, pose(), far, CAMERA, pose())[0]) == 0


def test_a_hidden_surface_is_not_matched_through_the_one_in_front() -> None:
    wall = room_depth(CAMERA, T_I, ROOM)
    blocked = room_depth(CAMERA, T_J, ROOM)
    blocked[10:40, 20:60] = 1.0
    _, q = match_pixels(wall, CAMERA, T_I, blocked, CAMERA, T_J)
    assert len(q) and not ((q[:, 0] >= 10) & (q[:, 0] < 40) & (q[:, 1] >= 20) & (q[:, 1] < 60)).any()


@pytest.mark.parametrize("view", [0, 1])
def test_pixels_on_edges_of_either_view_are_left_out(view: int) -> None:
    box = np.full(SHAPE, 2.04, np.float32)
    box[:, 30:] = 1.96
    box[20:30, 50:55] = 1.5
    box[:, 29] = 2.0
    flat = np.full(SHAPE, 2, np.float32)
    depths = (box, flat) if view == 0 else (flat, box)
    pixels = match_pixels(depths[0], CAMERA, pose(), depths[1], CAMERA, pose())[view]
    edges = depth_edges(box)
    assert edges.any() and len(pixels) and not edges[pixels[:, 0], pixels[:, 1]].any()


def test_flying_pixels_are_matched_only_when_edges_are_kept() -> None:
    step = np.full(SHAPE, 2, np.float32)
    step[:, 36:] = 3
    step[:, 36] = 2.5
    p, _ = match_pixels(step, CAMERA, pose(), step, CAMERA, pose())
    kept, _ = match_pixels(step, CAMERA, pose(), step, CAMERA, pose(), drop_edges=False)
    assert 36 not in p[:, 1] and 36 in kept[:, 1]


@pytest.mark.parametrize("lost", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.full((4, 4), -np.inf)])
@pytest.mark.parametrize("view", [2, 5])
def test_lost_poses_are_an_error_not_a_set_of_matches(lost: np.ndarray, view: int) -> None:
    arguments = list(views(CAMERA, CAMERA))
    arguments[view] = lost
    with pytest.raises(ValueError, match="not a rigid motion"):
        match_pixels(*arguments)


def test_depth_of_the_wrong_size_is_refused() -> None:
    arguments = list(views(CAMERA, CAMERA))
    arguments[3] = arguments[3].T
    with pytest.raises(ValueError, match="does not fit"):
        match_pixels(*arguments)


@pytest.mark.needs_shared_data
def test_matches_of_real_frames_meet_in_the_world(shared_data: Path) -> None:
    camera = Camera(585, 585, 320, 240, 640, 480)
    frames = []
    for number in (100, 140):
        stem = shared_data / "redkitchen" / f"frame-{number:06d}"
        depth = np.asarray(Image.open(f"{stem}.depth.png")).astype(np.float32)
        depth[depth == 65535] = 0
        frames += [resize_depth(depth / 1000, 240, 320), camera.scaled(320, 240), np.loadtxt(f"{stem}.pose.txt")]
    p, q = match_pixels(*frames)
    apart = np.linalg.norm(world_points(*frames[:3], p) - world_points(*frames[3:], q), axis=1)
    assert len(p) > 10_000 and np.median(apart) < 0.03 and np.quantile(apart, 0.99) < 0.1


WIDE = Camera(fx=100.0, fy=100.0, cx=150.0, cy=5.0, width=300, height=11)


def walls(there: float, back: float) -> tuple:
    """Two cameras 2 m apart before a wall that the first measures at ``there`` metres and the second at ``back``.

    A pixel goes 200 / there pixels one way, and 200 / back the other.
    """
    depths = (np.full((WIDE.height, WIDE.width), z, np.float32) for z in (there, back))
    (i, j), moved = depths, np.eye(4)
    moved[0, 3] = 2.0
    return i, WIDE, np.eye(4), j, WIDE, moved


def test_the_way_back_takes_the_other_views_own_reading_and_its_length_is_bounded() -> None:
    there, back = 2.0, 1 / (0.5 - 1.36 / 200)  # 100 pixels there, 98.64 back, 2.8 cm between the readings
    assert len(match_pixels(*walls(there, back), max_return_px=1.5)[0]) > 1000
    assert len(match_pixels(*walls(there, back), max_return_px=1.3)[0]) == 0


@pytest.mark.parametrize(("apart", "agree"), [(0.03, True), (0.07, False)])
def test_readings_that_differ_by_more_than_the_tolerance_do_not_match(apart: float, agree: bool) -> None:
    found, _ = match_pixels(*walls(2.0, 2.0 + apart), max_return_px=100.0)
    assert (len(found) > 1000) == agree


def test_a_step_is_an_edge_by_the_tolerance_of_its_nearer_side() -> None:
    depth = np.full((9, 20), 2.0, np.float32)
    depth[:, 10:] = 2.083  # 4 % of 2.0 are 8.0 cm, of 2.083 they are 8.33
    assert np.flatnonzero(depth_edges(depth).all(axis=0)).tolist() == [9, 10]
    depth[:, 10:] = 2.075
    assert not depth_edges(depth).any()
