"""The scan's mesh: on the surface, as dense as asked, of what was seen and nothing else, exactly labelled."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from room_of_boxes import HEIGHT, LENGTH, WIDTH, room_of_boxes

from sparse3d.geometry.rigid import invert_rigid
from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.dense_surface import densify
from sparse3d.rooms.piece import Material, Placed, Room
from sparse3d.rooms.render import RayCaster, render
from sparse3d.rooms.scan_mesh import ScanMesh, View, scan
from sparse3d.rooms.scene import SceneMesh, merge
from sparse3d.rooms.segments import segment
from sparse3d.types import Camera

CAMERA = Camera(132.0, 126.0, 71.0, 52.0, 144, 108)  # not square, and off its centre


def looking(eye: tuple[float, float, float], at: tuple[float, float, float]) -> np.ndarray:
    ahead = np.subtract(at, eye) / np.linalg.norm(np.subtract(at, eye))
    right = np.cross(ahead, [0, 0, 1])
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.stack([right, np.cross(ahead, right), ahead], axis=1), eye
    return T


GREY = Material("grey", np.full((2, 2, 3), 0.5, dtype=np.float32), 1.0)
POSES = tuple(
    looking((x, y, 1.5), at)
    for x, y, at in (
        (0.6, 0.5, (2.2, 1.4, 0.5)),
        (3.4, 0.6, (2.0, 1.3, 0.4)),
        (2.0, 2.6, (4.0, 3.8, 0.6)),
        (2.5, 2.4, (1.9, 4.0, 1.4)),
        (1.0, 3.2, (2.1, 0.8, 0.5)),
    )
)


def views_of(room: Room, poses: tuple[np.ndarray, ...] = POSES, error: float = 0.0) -> tuple[RayCaster, list[View]]:
    """Exact frames, their depth too far by ``error`` metres."""
    caster = RayCaster(merge(room))
    views = []
    for pose in poses:
        shot = render(caster, room, CAMERA, pose, samples=1, shadows=False)
        depth = shot.depth.astype(np.float32)
        sensed = np.where(depth > 0, depth + np.float32(error), 0).astype(np.float32)
        views.append(View(CAMERA, pose, (shot.color * 255).astype(np.uint8), sensed, depth, shot.face.astype(np.int32)))
    return caster, views


@cache
def scanned() -> tuple[SceneMesh, list[View], ScanMesh]:
    caster, views = views_of(room_of_boxes(0))
    return caster.mesh, views, scan(caster, views, 0.03)


def mesh_of(build: PieceBuilder) -> SceneMesh:
    """A room's mesh that is one piece alone."""
    room = room_of_boxes(0)
    return merge(Room(room.kind, room.outline, room.height, (Placed(build.build(), np.eye(4)),), room.lights))


def areas(corners: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2


def edges(xyz: np.ndarray, faces: np.ndarray) -> np.ndarray:
    corners = xyz[faces]
    return np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)


def off_surface(xyz: np.ndarray, mesh: SceneMesh, rows: np.ndarray) -> np.ndarray:
    """Distance (N,) of points from the nearest of the box faces ``rows``, by brute force over planes and rectangles."""
    best = np.full(len(xyz), np.inf)
    for row in rows:
        a, b, c = mesh.vertices[mesh.faces[row]]
        basis = np.stack([b - a, c - a], axis=1)
        weights = np.linalg.lstsq(basis, (xyz - a).T, rcond=None)[0]
        foot = a + (basis @ weights).T
        inside = (weights >= -1e-6).all(axis=0) & (weights.sum(axis=0) <= 1 + 1e-6)
        best = np.where(inside, np.minimum(best, np.linalg.norm(xyz - foot, axis=1)), best)
    return best


@pytest.mark.parametrize("spacing", [0.03, 0.1])
def test_densifying_keeps_the_surface_and_obeys_the_spacing(spacing: float) -> None:
    mesh = merge(room_of_boxes(0))
    dense = densify(mesh, np.arange(len(mesh.faces)), spacing)
    assert edges(dense.vertices, dense.faces).max() < 1.5 * spacing
    whole = np.bincount(mesh.face_instance, areas(mesh.vertices[mesh.faces]))
    parted = np.bincount(dense.instance[dense.faces[:, 0]], areas(dense.vertices[dense.faces]))
    np.testing.assert_allclose(parted, whole, rtol=1e-6)
    assert (dense.instance[dense.faces] == dense.instance[dense.faces[:, :1]]).all()


def test_a_wall_is_a_regular_grid() -> None:
    mesh = merge(room_of_boxes(0))
    rows = np.flatnonzero((mesh.face_instance == 0) & (np.abs(mesh.normals[:, 2]) > 0.5))
    dense = densify(mesh, rows, 0.1)
    x, y = np.unique(np.round(dense.vertices[:, 0], 6)), np.unique(np.round(dense.vertices[:, 1], 6))
    assert len(dense.vertices) == 2 * len(x) * len(y)  # the board's upper and lower side
    assert np.ptp(np.diff(x)) < 1e-5 and np.ptp(np.diff(y)) < 1e-5


def test_touching_faces_of_an_instance_share_their_vertices() -> None:
    build = PieceBuilder("box")
    build.box((0, 0, 0.5), (1.0, 0.6, 1.0), GREY, "body")
    mesh = mesh_of(build)
    dense = densify(mesh, np.arange(12), 0.1)
    half_edges = np.sort(
        np.concatenate([dense.faces[:, [0, 1]], dense.faces[:, [1, 2]], dense.faces[:, [2, 0]]]), axis=1
    )
    _, count = np.unique(half_edges, axis=0, return_counts=True)
    assert (count == 2).all()  # closed: every edge has two faces


def test_triangles_that_are_no_rectangles_are_cut_without_cracks() -> None:
    build = PieceBuilder("box")
    outline = np.array([[0, 0], [1, 0.1], [1.3, 0.9], [0.4, 1.2], [-0.2, 0.7]])
    build.prism(outline, 0.0, 0.5, GREY, "body")
    mesh = mesh_of(build)
    dense = densify(mesh, np.arange(len(mesh.faces)), 0.07)
    assert edges(dense.vertices, dense.faces).max() < 1.5 * 0.07
    np.testing.assert_allclose(areas(dense.vertices[dense.faces]).sum(), areas(mesh.vertices[mesh.faces]).sum())


def test_without_noise_every_vertex_lies_on_its_instance() -> None:
    mesh, _, result = scanned()
    assert np.abs(result.vertices - result.exact).max() < 1e-6  # float32 depth
    for instance in np.unique(result.instance):
        own = result.exact[result.instance == instance]
        rows = np.flatnonzero(mesh.face_instance == instance)
        assert off_surface(own, mesh, rows).max() < 1e-6


def test_parts_are_those_of_the_faces_that_vertices_lie_on() -> None:
    mesh, _, result = scanned()
    for part in np.unique(result.part):
        for instance in np.unique(result.instance[result.part == part]):
            own = result.exact[(result.part == part) & (result.instance == instance)]
            rows = np.flatnonzero((mesh.face_part == part) & (mesh.face_instance == instance))
            assert len(rows) and off_surface(own, mesh, rows).max() < 1e-6


def test_no_vertex_is_hidden() -> None:
    """Every vertex has a frame that a ray reaches it from: nothing lies before it."""
    mesh, views, result = scanned()
    caster = RayCaster(mesh)
    reached = np.zeros(len(result.exact), dtype=bool)
    for view in views:
        eye = view.T_room_cam[:3, 3]
        way = result.exact - eye
        _, distance = caster.cast(np.broadcast_to(eye, way.shape), way)
        in_camera = result.exact @ invert_rigid(view.T_room_cam)[:3, :3].T + invert_rigid(view.T_room_cam)[:3, 3]
        reached |= (distance > 1 - 0.004) & (in_camera[:, 2] > 0)
    assert reached.all()


def test_nothing_behind_walls_below_the_floor_or_in_the_cabinet_is_there() -> None:
    _, _, result = scanned()
    low, high = np.zeros(3), np.array([WIDTH, LENGTH, HEIGHT])
    assert (result.exact > low - 1e-6).all() and (result.exact < high + 1e-6).all()
    # The picture's back lies on the wall: only its rim is seen there.
    x, y, z = result.exact[result.instance == 9].T
    assert not ((y > LENGTH - 1e-4) & (np.abs(x - 1.5) < 0.38) & (np.abs(z - 1.6) < 0.28)).any()


def test_what_no_frame_looks_at_is_absent() -> None:
    room = room_of_boxes(0)
    caster, views = views_of(room, poses=POSES[:1])
    result = scan(caster, views, 0.05)
    in_camera = result.exact @ invert_rigid(POSES[0])[:3, :3].T + invert_rigid(POSES[0])[:3, 3]
    z = in_camera[:, 2]
    assert (z > 0).all()
    col = in_camera[:, 0] / z * CAMERA.fx + CAMERA.cx
    assert col.min() > -0.51 and col.max() < CAMERA.width - 0.49


def test_vertices_move_with_the_depth_error_along_the_rays() -> None:
    caster, views = views_of(room_of_boxes(0), poses=POSES[:1], error=0.003)
    result = scan(caster, views, 0.05)
    shift = result.vertices - result.exact
    np.testing.assert_allclose(shift @ POSES[0][:3, 2], 0.003, atol=1e-5)
    rays = result.exact - POSES[0][:3, 3]
    across = np.linalg.norm(np.cross(shift, rays / np.linalg.norm(rays, axis=1, keepdims=True)), axis=1)
    assert across.max() < 0.001  # neighbours' errors are averaged


def test_no_vertex_ends_farther_off_than_fusion_leaves_it() -> None:
    caster, views = views_of(room_of_boxes(0), poses=POSES[:1], error=0.03)
    result = scan(caster, views, 0.05)
    assert np.linalg.norm(result.vertices - result.exact, axis=1).max() < 0.00501


def test_readings_that_are_missing_or_far_off_show_nothing() -> None:
    caster, views = views_of(room_of_boxes(0), poses=POSES[:1])
    blind = [View(v.camera, v.T_room_cam, v.color, np.zeros_like(v.sensed), v.depth, v.face) for v in views]
    with pytest.raises(ValueError, match="no surface was seen"):
        scan(caster, blind, 0.05)
    wild = [View(v.camera, v.T_room_cam, v.color, v.sensed + 1, v.depth, v.face) for v in views]
    assert len(scan(caster, views + wild, 0.05).vertices) == len(scan(caster, views, 0.05).vertices)


def test_colors_are_those_of_the_frames() -> None:
    caster, views = views_of(room_of_boxes(0), poses=POSES[:2])
    red = [View(v.camera, v.T_room_cam, np.full_like(v.color, (200, 10, 30)), v.sensed, v.depth, v.face) for v in views]
    assert (scan(caster, red, 0.1).rgb == (200, 10, 30)).all()


def test_normals_look_into_the_room() -> None:
    _, _, result = scanned()
    floor = result.instance == 0
    assert (result.normals[floor, 2] > 0.9).mean() > 0.98
    left = result.instance == 5  # the wall at x = 0
    assert left.any() and (result.normals[left, 0] > 0.9).mean() > 0.98


def test_triangles_are_wound_towards_the_scanner() -> None:
    _, views, found = scanned()
    a, b, c = np.moveaxis(found.vertices[found.faces], 1, 0)
    normal, middle = np.cross(b - a, c - a), (a + b + c) / 3
    eyes = np.stack([view.T_room_cam[:3, 3] for view in views])
    faced = ((eyes[:, None] - middle) * normal).sum(axis=2) > 0  # (views, F)
    assert faced.any(axis=0).mean() > 0.999


def test_the_share_that_was_seen_is_between_nothing_and_all() -> None:
    mesh, _, result = scanned()
    whole = np.bincount(mesh.face_instance, areas(mesh.vertices[mesh.faces]))
    assert (result.seen_area <= whole + 1e-9).all()
    picture = len(mesh.categories) - 1
    front = 0.8 * 0.6
    assert 0.9 * front < result.seen_area[picture] < front + 2 * (0.8 + 0.6) * 0.03  # the front and its rims


def test_segments_are_connected_and_within_one_instance() -> None:
    _, _, result = scanned()
    segments = segment(result.exact, result.normals, result.faces, result.instance)
    ids, first, inverse = np.unique(segments, return_index=True, return_inverse=True)
    assert (result.instance[first][inverse] == result.instance).all()
    np.testing.assert_array_equal(ids, first)  # a segment is named by its first vertex
    size = [np.ptp(result.exact[segments == k], axis=0).max() for k in ids[:60]]
    assert max(size) <= 0.4 + 1e-6
    order = np.random.default_rng(0).permutation(len(result.faces))
    again = segment(result.exact, result.normals, result.faces[order], result.instance)
    np.testing.assert_array_equal(again, segments)
