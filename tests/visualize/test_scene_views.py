"""Pictures of points and meshes: what is nearer hides what is farther, views put things where the maths says."""

from __future__ import annotations

import numpy as np
import pytest

from sparse3d.geometry import points_in_boxes
from sparse3d.types import Boxes
from sparse3d.visualize.box_lines import box_corners, draw_boxes, draw_path, draw_scale
from sparse3d.visualize.class_colors import NONE, distinct_colors, legend, palette_colors
from sparse3d.visualize.scene_views import BACKGROUND, Viewpoint, around, from_above, look_at, see_mesh, see_points
from sparse3d.visualize.surfaces import faces_towards, point_normals, point_spacing, vertex_normals

SIZE = (60, 90)
RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def square(z: float, half: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """A level square at the height ``z`` that faces up: (4, 3) vertices and (2, 3) triangles."""
    xyz = np.array([(-half, -half, z), (half, -half, z), (half, half, z), (-half, half, z)], dtype=np.float32)
    return xyz, np.array([(0, 1, 2), (0, 2, 3)])


def down(height: float = 5.0) -> Viewpoint:
    return look_at((0, 0, height), (0, 0, 0), 50.0, size=SIZE)


def test_pixels_of_a_view_lie_where_the_target_and_its_sides_are() -> None:
    view = look_at((0, -4, 0), (0, 0, 0), 40.0, size=SIZE)
    pixels, depth = view.project(np.array([(0, 0, 0), (1, 0, 0), (0, 0, 1), (0, -5, 0)], dtype=np.float64))
    np.testing.assert_allclose(pixels[:3], [(29.5, 44.5), (29.5, 54.5), (19.5, 44.5)])  # x is right, z is up
    np.testing.assert_allclose(depth, (4, 4, 4, -1))


def test_from_above_x_is_right_and_y_is_up_in_one_scale() -> None:
    view = from_above(np.zeros(3), np.array((4.0, 2.0, 3.0)), SIZE)
    pixels, _ = view.project(np.array([(0, 0, 0), (1, 0, 2.9), (0, 1, 0)], dtype=np.float64))
    step = pixels[1:] - pixels[0]
    np.testing.assert_allclose(step, [(0, view.zoom), (-view.zoom, 0)], atol=1e-9)


@pytest.mark.parametrize("turn", [0.0, 40.0, 215.0])
def test_views_from_around_show_the_whole_box_and_fill_the_picture(turn: float) -> None:
    low, high = np.array((-3.0, 1.0, 0.0)), np.array((5.0, 4.0, 2.6))
    (view,) = around(low, high, (turn,), SIZE)
    corners = box_corners(Boxes((low + high)[None] / 2, (high - low)[None], np.zeros(1), np.zeros(1)))[0]
    pixels, depth = view.project(corners)
    assert (depth > 0).all() and (pixels > -1).all() and (pixels < np.array(SIZE)).all()
    assert ((pixels.max(axis=0) - pixels.min(axis=0)) / SIZE).max() > 0.85


def test_the_nearest_point_wins_whatever_the_order_of_the_rows() -> None:
    xyz = np.array([(0, 0, 0), (0, 0, 2), (0, 0, 1), (9, 9, 9)], dtype=np.float32)
    for order in (np.arange(4), np.arange(4)[::-1]):
        seen = see_points(xyz[order], down(), 0.5)
        assert order[seen.point[30, 44]] == 1 and seen.depth[30, 44] == 3


def test_points_behind_the_viewer_or_beside_the_picture_are_not_drawn() -> None:
    xyz = np.array([(0, 0, 6), (50, 0, 0), (0, -50, 0)], dtype=np.float32)
    seen = see_points(xyz, down(), 0.5)
    assert (seen.point == -1).all() and np.isinf(seen.depth).all()
    assert (seen.painted(np.zeros((3, 3), np.uint8)) == BACKGROUND).all()
    assert (see_points(np.zeros((0, 3), np.float32), down(), 0.5).point == -1).all()


def test_a_points_square_has_its_size_in_the_world() -> None:
    seen = see_points(np.zeros((1, 3), np.float32), down(), 0.5)  # 50 pixels a metre at 1 m, 10 at 5 m
    assert (seen.point == 0).sum() == 25


def test_only_what_may_be_seen_through_is_left_out_and_only_from_behind() -> None:
    xyz = np.array([(-1, 0, 0), (1, 0, 0)], dtype=np.float32)
    away = np.array([(0, 0, -1), (0, 0, -1)], dtype=np.float32)
    through = np.array([True, False])
    assert set(np.unique(see_points(xyz, down(), 0.3, away, through).point)) == {-1, 1}
    assert set(np.unique(see_points(xyz, down(), 0.3, -away, through).point)) == {-1, 0, 1}


@pytest.mark.parametrize("half", [0.02, 0.5, 30.0])
def test_a_triangle_covers_its_pixels_without_gaps_or_more(half: float) -> None:
    xyz, faces = square(0.0, half)
    view = down()
    seen = see_mesh(xyz, faces, view)
    rows, cols = np.mgrid[: SIZE[0], : SIZE[1]]
    reach = 10 * half
    expected = (np.abs(rows - 29.5) <= reach) & (np.abs(cols - 44.5) <= reach)
    np.testing.assert_array_equal(seen.point >= 0, expected)
    np.testing.assert_allclose(seen.depth[expected], 5.0, rtol=1e-5)


def test_the_nearer_triangle_wins_and_backs_are_looked_through_unless_both_sides_are_asked() -> None:
    floor, faces = square(0.0)
    table, _ = square(1.0, 0.5)
    xyz = np.concatenate([floor, table])
    up, turned = np.concatenate([faces, faces + 4]), np.concatenate([faces, faces[:, ::-1] + 4])
    assert see_mesh(xyz, up, down()).point[30, 44] >= 4
    assert see_mesh(xyz, turned, down()).point[30, 44] < 4
    assert see_mesh(xyz, turned, down(), both_sides=True).point[30, 44] >= 4
    normals = vertex_normals(xyz, turned)
    assert see_mesh(xyz, turned, down(), normals).point[30, 44] < 4


def test_labels_keep_their_colours_and_only_colours_are_mixed() -> None:
    xyz, faces = square(0.0)
    seen = see_mesh(xyz, faces, down())
    rgb = np.array([RED, RED, GREEN, GREEN], dtype=np.uint8)
    plain, smooth = seen.painted(rgb)[seen.point >= 0], seen.painted(rgb, smooth=True)[seen.point >= 0]
    assert {tuple(c) for c in plain.tolist()} == {RED, GREEN}
    assert len(np.unique(smooth, axis=0)) > 4 and np.abs(smooth.astype(int).sum(axis=1) - 200).max() <= 1


def test_surfaces_seen_edge_on_are_darker() -> None:
    xyz, faces = square(0.0)
    white = np.full((4, 3), 250, dtype=np.uint8)
    normals = vertex_normals(xyz, faces)
    low_view = look_at((0, -5, 0.8), (0, 0, 0), 50.0, size=SIZE)
    above = see_mesh(xyz, faces, down(), normals).painted(white)[30, 44, 0]
    slanted = see_mesh(xyz, faces, low_view, normals).painted(white)[30, 44, 0]
    assert above > slanted + 50


def test_normals_are_those_of_the_plane_and_smoothing_calms_noise() -> None:
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(np.arange(20), np.arange(20), indexing="ij"), -1).reshape(-1, 2) * 0.02
    xyz = np.concatenate([grid, 0.004 * rng.standard_normal((400, 1))], axis=1).astype(np.float32)
    first = (np.arange(19)[:, None] * 20 + np.arange(19)).reshape(-1, 1)
    faces = np.concatenate([first + (0, 20, 21), first + (0, 21, 1)])
    rough, calm = vertex_normals(xyz, faces)[:, 2], vertex_normals(xyz, faces, smoothing=4)[:, 2]
    assert calm.min() > rough.min() and calm.mean() > max(0.99, rough.mean())
    assert (point_normals(xyz, np.array((0, 0, 5.0)))[:, 2] > 0.3).all()
    assert (point_normals(xyz, np.array((0, 0, -5.0)))[:, 2] < -0.3).all()
    assert 0.01 < point_spacing(xyz) < 0.03 and point_spacing(xyz[:1]) == 0
    assert not point_normals(xyz[:3], np.zeros(3)).any()


def test_a_triangle_is_towards_the_nearest_eye_or_not() -> None:
    xyz, faces = square(0.0)
    both = np.concatenate([faces, faces[:, ::-1]])
    eyes = np.array([(0, 0, 1.0), (0, 0, -40.0)])
    assert faces_towards(xyz, both, eyes).tolist() == [True, True, False, False]


def test_corners_of_a_turned_box_lie_on_its_boundary() -> None:
    boxes = Boxes(np.array([(1, 2, 3)]), np.array([(2, 1, 0.5)]), np.array([0.7]), np.array([0]))
    corners = box_corners(boxes)[0]
    inner = boxes.center[0] + 0.999 * (corners - boxes.center[0])
    outer = boxes.center[0] + 1.001 * (corners - boxes.center[0])
    assert points_in_boxes(inner, boxes).all() and not points_in_boxes(outer, boxes).any()
    along = (corners[5] + corners[6]) / 2 - corners[4:].mean(axis=0)
    np.testing.assert_allclose(along, (np.cos(0.7), np.sin(0.7), 0), atol=1e-6)


def test_hidden_edges_of_a_box_are_faint_and_open_ones_full() -> None:
    xyz, faces = square(2.0, 1.0)
    roof = see_mesh(xyz, faces, down())
    nothing = see_points(np.zeros((0, 3), np.float32), down(), 0.1)
    box = Boxes(np.zeros((1, 3)), np.full((1, 3), 0.8), np.zeros(1), np.zeros(1))
    grey = np.full((*SIZE, 3), 100, dtype=np.uint8)
    colors = np.array([RED], dtype=np.uint8)
    free, hidden = draw_boxes(grey, nothing, box, colors), draw_boxes(grey, roof, box, colors)
    changed = (free != grey).any(axis=2)
    np.testing.assert_array_equal(changed, (hidden != grey).any(axis=2))
    assert changed.any() and (free[changed] == RED).all()
    faint = hidden[changed][:, 0].astype(int)  # edges that lie over one another add up a little
    assert faint.min() > 100 and faint.max() < 195
    assert (grey == 100).all()  # pictures given are left alone
    assert (draw_boxes(grey, nothing, Boxes.empty(), np.zeros((0, 3)), []) == grey).all()


def test_a_path_begins_green_and_ends_red_and_one_frame_or_none_is_no_fault() -> None:
    view = from_above(np.array((-2.0, -1.0, 0)), np.array((2.0, 1.0, 2)), SIZE)
    seen = see_points(np.zeros((0, 3), np.float32), view, 0.1)
    poses = np.repeat(np.eye(4)[None], 9, axis=0)
    poses[:, 0, 3] = np.linspace(-1.5, 1.5, 9)
    blank = np.full((*SIZE, 3), 255, dtype=np.uint8)
    picture = draw_path(blank, seen, poses)
    start, end = np.round(view.project(poses[[0, -1], :3, 3])[0]).astype(int)
    assert picture[tuple(start)][1] > picture[tuple(start)][0] and picture[tuple(end)][0] > picture[tuple(end)][1]
    assert (draw_path(blank, seen, poses[:1]) != blank).any()
    assert (draw_path(blank, seen, poses[:0]) == blank).all()
    assert draw_scale(picture, view).shape == picture.shape


def test_colours_of_classes() -> None:
    got = palette_colors(np.array([[1, -100], [7, 0]]), [RED, BLUE])
    assert got.tolist() == [[list(BLUE), list(NONE)], [list(NONE), list(RED)]]
    colors = distinct_colors(40).astype(int)
    assert len(np.unique(colors, axis=0)) == 40 and np.abs(np.diff(colors, axis=0)).sum(axis=1).min() > 60
    assert distinct_colors(0).shape == (0, 3)
    strip = legend(["a", "b" * 30, "c" * 30], [RED, GREEN, BLUE], width=300)
    assert strip.shape[1] == 300 and {RED, GREEN, BLUE} <= {tuple(c) for c in strip.reshape(-1, 3).tolist()}
