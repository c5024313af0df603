"""Projection: project(unproject(p, z)) = (p, z) for every pixel, and only what a depth image shows is visible."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from depth_scenes import CAMERA, CAMERAS, plane_depth, pose, random_pose, room_depth
from hypothesis import given
from hypothesis import strategies as st

from sparse3d.geometry import (
    depth_edges,
    inside_image,
    project_points,
    surface_normals,
    transform_points,
    unproject_depth,
    visible_points,
)
from sparse3d.types import Camera

SHAPE = (CAMERA.height, CAMERA.width)


def random_depth(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(0.4, 6, SHAPE).astype(np.float32)
    depth[rng.random(SHAPE) < 0.2] = 0
    return depth


@pytest.mark.parametrize("camera", CAMERAS)
def test_every_pixel_comes_back_to_itself(camera: Camera) -> None:
    depth = random_depth()
    xyz, pixels = unproject_depth(depth, camera)
    assert xyz.dtype == np.float32 and pixels.dtype == np.int64
    again, z = project_points(xyz, camera)
    np.testing.assert_allclose(again, pixels, atol=1e-4)
    np.testing.assert_array_equal(z.astype(np.float32), depth[pixels[:, 0], pixels[:, 1]])
    assert inside_image(again, z, camera).all()


@pytest.mark.parametrize("size", [(36, 24), (144, 96), (50, 37)])
def test_the_scaled_camera_sees_points_where_the_resized_image_has_them(size: tuple[int, int]) -> None:
    xyz, pixels = unproject_depth(random_depth(), CAMERA)
    scaled, _ = project_points(xyz, CAMERA.scaled(*size))
    expected = (pixels + 0.5) * (size[1] / CAMERA.height, size[0] / CAMERA.width) - 0.5
    np.testing.assert_allclose(scaled, expected, atol=1e-4)


def test_the_cropped_camera_sees_points_shifted_by_the_window() -> None:
    depth = random_depth()
    xyz, pixels = unproject_depth(depth[10:40, 5:65], CAMERA.cropped(10, 5, 30, 60))
    full, _ = project_points(xyz, CAMERA)
    np.testing.assert_allclose(full, pixels + (10, 5), atol=1e-4)


def test_rows_go_with_y_and_columns_with_x() -> None:
    pixels, _ = project_points(np.array([[0.1, 0, 1], [0, 0.1, 1]]), CAMERA)
    np.testing.assert_allclose(pixels - (CAMERA.cy, CAMERA.cx), [[0, 7.0], [6.2, 0]], atol=1e-12)


@pytest.mark.parametrize("missing", [0, -1, np.nan, np.inf, -np.inf])
def test_holes_give_no_points(missing: float) -> None:
    depth = np.full(SHAPE, 2, np.float32)
    depth[7:9, 30:50] = missing
    xyz, pixels = unproject_depth(depth, CAMERA)
    assert len(xyz) == depth.size - 40 and np.isfinite(xyz).all() and (xyz[:, 2] == 2).all()
    assert not (((pixels[:, 0] == 7) | (pixels[:, 0] == 8)) & (pixels[:, 1] >= 30) & (pixels[:, 1] < 50)).any()


def test_an_image_of_holes_only_gives_empty_arrays() -> None:
    xyz, pixels = unproject_depth(np.zeros(SHAPE, np.float32), CAMERA)
    assert xyz.shape == (0, 3) and pixels.shape == (0, 2)


def test_transposed_depth_is_refused() -> None:
    for function in (unproject_depth, surface_normals):
        with pytest.raises(ValueError, match="does not fit"):
            function(np.ones(SHAPE[::-1], np.float32), CAMERA)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-5, 0))
def test_points_behind_or_at_the_camera_are_never_inside_and_raise_no_warning(x: float, y: float, z: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels, depth = project_points(np.array([[x, y, z]]), CAMERA)
        assert not inside_image(pixels, depth, CAMERA).any()
        visible, at = visible_points(np.array([[x, y, z]]), CAMERA, np.eye(4), np.full(SHAPE, 2, np.float32))
    assert not visible.any() and (at == -1).all()


def test_z_alone_rules_out_a_pixel_that_looks_fine() -> None:
    assert not inside_image(np.array([[5.0, 5.0]]), np.array([-1.0]), CAMERA)[0]


@given(st.floats(-2, 80), st.floats(-2, 80))
def test_inside_means_within_half_a_pixel_of_a_pixel_centre(row: float, col: float) -> None:
    inside = inside_image(np.array([[row, col]]), np.ones(1), CAMERA)[0]
    nearest = np.floor(np.array([row, col]) + 0.5)
    assert inside == ((nearest >= 0).all() and nearest[0] < CAMERA.height and nearest[1] < CAMERA.width)


def test_points_left_of_the_image_do_not_land_in_column_zero() -> None:
    # truncation takes (-1, 1) to 0; only [-0.5, 0.5) belongs to pixel 0
    cols = np.array([-0.9, -0.51, -0.49, 0.49, 0.51, 71.49, 71.51])
    xyz = np.stack(((cols - CAMERA.cx) / CAMERA.fx * 2, np.zeros(7), np.full(7, 2.0)), axis=1)
    visible, pixels = visible_points(xyz, CAMERA, np.eye(4), np.full(SHAPE, 2, np.float32))
    assert visible.tolist() == [False, False, True, True, True, True, False]
    assert pixels[visible, 1].tolist() == [0, 0, 1, 71]


@pytest.mark.parametrize("camera", CAMERAS)
def test_a_views_own_points_are_all_visible_at_their_own_pixels(camera: Camera) -> None:
    T = random_pose(np.random.default_rng(3))
    depth = random_depth(1)
    xyz, pixels = unproject_depth(depth, camera)
    visible, at = visible_points(transform_points(T, xyz), camera, T, depth)
    assert visible.all()
    np.testing.assert_array_equal(at, pixels)


def test_a_plane_thirty_centimetres_behind_another_at_three_metres_is_hidden() -> None:
    front = np.full(SHAPE, 3, np.float32)
    xyz, _ = unproject_depth(front + np.float32(0.3), CAMERA)
    assert not visible_points(xyz, CAMERA, np.eye(4), front)[0].any()
    assert visible_points(xyz, CAMERA, np.eye(4), front + np.float32(0.3))[0].all()


@pytest.mark.parametrize(("z", "tolerance"), [(1.0, 0.05), (2.4, 0.05), (4.0, 0.08), (6.0, 0.12)])
def test_the_tolerance_is_five_centimetres_or_two_percent(z: float, tolerance: float) -> None:
    xyz = np.array([[0, 0, z]])
    for sign in (-1, 1):
        for factor, expected in ((0.98, True), (1.02, False)):
            depth = np.full(SHAPE, z + sign * factor * tolerance, np.float32)
            assert visible_points(xyz, CAMERA, np.eye(4), depth)[0][0] == expected


@pytest.mark.parametrize("missing", [0, np.nan, np.inf])
def test_nothing_is_visible_in_a_hole(missing: float) -> None:
    xyz = np.array([[0, 0, 0.01], [0, 0, 3]])
    assert not visible_points(xyz, CAMERA, np.eye(4), np.full(SHAPE, missing, np.float32))[0].any()


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("seed", range(8))
def test_slanted_planes_have_no_edges(camera: Camera, seed: int) -> None:
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=3)
    depth = plane_depth(camera, np.eye(4), normal / np.linalg.norm(normal), 1.5 * np.sign(normal[2]))
    depth[depth > 6] = 0
    hole = depth == 0
    beside = hole.copy()
    for axis in (0, 1):  # readings beside the horizon are edges by definition
        beside |= np.roll(beside, 1, axis) | np.roll(beside, -1, axis)
    assert not depth_edges(depth, abs_tol=0.02)[~beside].any()


def test_a_floor_with_a_large_step_per_pixel_has_no_edges() -> None:
    camera = Camera(fx=40, fy=35, cx=31.5, cy=2, width=64, height=32)
    floor = plane_depth(camera, np.eye(4), (0, 1, 0), 1.2)
    floor[:6] = 0
    assert np.abs(np.diff(floor[6:], axis=0)).max() > 0.5
    assert not depth_edges(floor)[8:].any()


def test_both_sides_of_a_jump_are_edges_and_nothing_else() -> None:
    depth = np.full(SHAPE, 2, np.float32)
    depth[20:30, 10:40] = 1.5
    edges = depth_edges(depth)
    expected = np.zeros(SHAPE, bool)
    expected[19:31, 9:41] = True
    expected[21:29, 11:39] = False
    np.testing.assert_array_equal(edges, expected)


def test_pixels_at_the_images_border_can_be_edges_but_the_border_is_none() -> None:
    depth = np.full(SHAPE, 2, np.float32)
    assert not depth_edges(depth).any()
    depth[:, 0] = 3
    np.testing.assert_array_equal(np.flatnonzero(depth_edges(depth).all(axis=0)), [0, 1])


@pytest.mark.parametrize("between", [(2.5,), (2.33, 2.66), (2.1,), (2.9,)])
def test_flying_pixels_between_two_surfaces_are_edges(between: tuple[float, ...]) -> None:
    # halfway between the surfaces a flying pixel fits a line through its two neighbours; it must be caught all the same
    depth = np.full(SHAPE, 2, np.float32)
    depth[:, 30:] = 3
    depth[:, 30 : 30 + len(between)] = between
    assert depth_edges(depth)[:, 30 : 30 + len(between)].all()
    assert depth_edges(depth.T)[30 : 30 + len(between)].all()


def test_quantized_depth_at_four_metres_has_no_edges() -> None:
    rng = np.random.default_rng(0)
    wall = plane_depth(CAMERA, np.eye(4), (0.3, 0.1, 1), 4)
    depth = (0.03 * np.round((wall + rng.uniform(-0.015, 0.015, SHAPE)) / 0.03)).astype(np.float32)
    assert not depth_edges(depth).any()


def test_readings_beside_a_hole_are_edges_and_holes_are_not() -> None:
    depth = np.full(SHAPE, 2, np.float32)
    depth[10:12, 20:25] = 0
    edges = depth_edges(depth)
    expected = np.zeros(SHAPE, bool)
    expected[9:13, 19:26] = True
    expected[10:12, 20:25] = False
    np.testing.assert_array_equal(edges, expected)


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("seed", range(6))
def test_normals_of_a_plane_are_its_normal_turned_to_the_camera(camera: Camera, seed: int) -> None:
    normal = np.random.default_rng(seed).normal(size=3)
    normal *= np.sign(normal[2]) / np.linalg.norm(normal)
    depth = plane_depth(camera, np.eye(4), normal, 1.5)
    depth[depth > 10] = 0
    normals = surface_normals(depth, camera)
    known = normals.any(axis=-1)
    assert normals.dtype == np.float32 and known.sum() > 0.9 * (depth > 0).sum()
    np.testing.assert_allclose(normals[known], np.broadcast_to(-normal, normals[known].shape), atol=2e-3)


def test_normals_are_unit_towards_the_camera_and_zero_in_holes() -> None:
    depth = random_depth(5)
    depth[5:10, 5:10] = np.nan
    normals = surface_normals(depth, CAMERA)
    length = np.linalg.norm(normals, axis=-1)
    assert np.isfinite(normals).all() and not normals[~(depth > 0)].any()
    np.testing.assert_allclose(length[length > 0], 1, atol=1e-5)
    xyz, pixels = unproject_depth(depth, CAMERA)
    assert ((normals[pixels[:, 0], pixels[:, 1]] * xyz).sum(axis=1) <= 1e-6).all()


def test_normals_do_not_bend_at_a_jump() -> None:
    depth = room_depth(CAMERA, pose(), [((0, 0, 1), 3)])
    depth[10:30, 20:50] = 1.5
    normals = surface_normals(depth, CAMERA)
    np.testing.assert_allclose(normals, np.broadcast_to((0, 0, -1), normals.shape), atol=1e-5)


def test_a_lone_reading_has_no_normal() -> None:
    depth = np.zeros(SHAPE, np.float32)
    depth[20, 20] = 2
    depth[30, 20:24] = 2
    assert not surface_normals(depth, CAMERA).any()
