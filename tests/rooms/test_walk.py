"""The walk: rigid poses at eye height, clear of everything, smooth, and looking at the furniture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from room_of_boxes import HEIGHT, L_OUTLINE, OUTLINE, checked, l_shaped_room, placed, room_of_boxes, shell
from scipy.spatial import cKDTree

from sparse3d.geometry.rigid import is_rigid
from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.free_space import free_space, inside_outline, solid_points
from sparse3d.rooms.piece import Room
from sparse3d.rooms.render import RayCaster, render
from sparse3d.rooms.scene import merge
from sparse3d.rooms.walk import CLEARANCE, EYE_HIGH, EYE_LOW, walk
from sparse3d.types import Camera

CAMERA = Camera(289.0, 289.0, 159.5, 119.5, 320, 240).scaled(80, 60)
ROOMS = {"rectangle": room_of_boxes, "L": l_shaped_room}


def filled(low: float, high: float) -> Room:
    """A room stuffed with solids between two heights."""
    build = PieceBuilder("cabinet")
    gray = checked((0.5, 0.5, 0.5))
    for x in np.arange(0.1, 4.8, 0.53):
        build.board((x, 0.1, low), (x + 0.53, 3.9, high), gray, "body")
    return Room("bedroom", OUTLINE, HEIGHT, (*shell(OUTLINE, HEIGHT), placed(build.build_at())), ())


@pytest.mark.parametrize("name", ROOMS)
@pytest.mark.parametrize("frames", [30, 200])
def test_the_eye_keeps_clear_inside_and_at_its_height(name: str, frames: int) -> None:
    room = ROOMS[name]()
    mesh = merge(room)
    T = walk(room, mesh, frames, np.random.default_rng(frames))
    assert T.shape == (frames, 4, 4) and T.dtype == np.float64
    assert all(is_rigid(pose, 1e-9) and np.linalg.det(pose[:3, :3]) > 0 for pose in T)
    eye = T[:, :3, 3]
    assert inside_outline(room.outline, eye[:, :2]).all()
    assert (eye[:, 2] >= EYE_LOW).all() and (eye[:, 2] <= EYE_HIGH).all()
    solid = cKDTree(solid_points(mesh, 0.2, 1.9)[:, :2])
    assert solid.query(eye[:, :2])[0].min() >= CLEARANCE


@pytest.mark.parametrize("name", ROOMS)
def test_it_looks_level_and_a_little_down(name: str) -> None:
    room = ROOMS[name]()
    T = walk(room, merge(room), 60, np.random.default_rng(5))
    down = np.degrees(np.arcsin(-T[:, 2, 2]))
    assert (down > 9.9).all() and (down < 30.1).all() and down.mean() > 13
    assert (np.abs(np.degrees(np.arcsin(T[:, 2, 0]))) < 5).all()  # the image's x axis is nearly level
    assert (T[:, 2, 1] < 0).all()  # its y axis points down


@pytest.mark.parametrize("name", ROOMS)
@pytest.mark.parametrize("frames", [30, 240])
def test_steps_and_turns_are_bounded(name: str, frames: int) -> None:
    room = ROOMS[name]()
    T = walk(room, merge(room), frames, np.random.default_rng(2))
    steps = np.linalg.norm(np.diff(T[:, :3, 3], axis=0), axis=1)
    turns = np.einsum("nji,nji->n", T[:-1, :3, :3], T[1:, :3, :3])
    angle = np.degrees(np.arccos(np.clip((turns - 1) / 2, -1, 1)))
    assert steps.max() < 25 / frames + 0.05
    assert angle.max() < 30 * max(30 / frames, 1 / 6)


@pytest.mark.parametrize("name", ROOMS)
def test_thirty_frames_see_the_whole_room_and_neighbours_overlap(name: str) -> None:
    room = ROOMS[name]()
    mesh = merge(room)
    caster = RayCaster(mesh)
    T = walk(room, mesh, 30, np.random.default_rng(1))
    views = [render(caster, room, CAMERA, pose, samples=1, shadows=False) for pose in T]
    seen = np.bincount(np.concatenate([v.instance.ravel() for v in views]), minlength=len(room.instances))
    assert (np.delete(seen, 1) > 40).all(), "something was hardly seen"  # instance 1 is the ceiling
    row, col = np.mgrid[:60, :80]
    local = np.stack([(col - CAMERA.cx) / CAMERA.fx, (row - CAMERA.cy) / CAMERA.fy, np.ones((60, 80))], axis=-1)
    shared = []
    for pose, after, view in zip(T, T[1:], views, strict=False):
        world = pose[:3, 3] + local @ pose[:3, :3].T * view.depth[..., None]
        x, y, z = np.moveaxis((world - after[:3, 3]) @ after[:3, :3], -1, 0)
        inside = (z > 0) & (np.abs(x / z) < 40 / CAMERA.fx) & (np.abs(y / z) < 30 / CAMERA.fy)
        shared.append(inside.mean())
    assert min(shared) > 0.05 and np.quantile(shared, 0.1) > 0.2 and np.median(shared) > 0.4


def test_more_frames_are_the_same_walk_in_smaller_steps() -> None:
    room = room_of_boxes()
    few, many = (walk(room, merge(room), n, np.random.default_rng(4))[:, :3, 3] for n in (30, 300))
    np.testing.assert_allclose(few, (many[4::10] + many[5::10]) / 2, atol=0.01)


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_same_seed_is_the_same_walk(seed: int) -> None:
    room = room_of_boxes()
    one, two = (walk(room, merge(room), 12, np.random.default_rng(seed)) for _ in range(2))
    assert one.tobytes() == two.tobytes() and np.isfinite(one).all()


def test_a_room_without_a_place_to_stand_is_an_error_that_names_it() -> None:
    room = filled(0.0, 2.5)
    with pytest.raises(ValueError, match="bedroom"):
        walk(room, merge(room), 5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least one frame"):
        walk(room_of_boxes(), merge(room), 0, np.random.default_rng(0))


def test_low_furniture_is_passed_above_where_it_fills_the_room() -> None:
    room = filled(0.0, 0.8)
    T = walk(room, merge(room), 20, np.random.default_rng(0))
    assert inside_outline(room.outline, T[:, :2, 3]).all() and (T[:, 2, 3] > 0.8 + CLEARANCE).all()


def test_the_inside_of_a_closed_wardrobe_is_no_place_to_stand() -> None:
    build = PieceBuilder("wardrobe")
    build.board((0.0, 2.6, 0.0), (2.0, 4.0, 2.2), checked((0.5, 0.5, 0.5)), "body")
    room = replace(filled(3.0, 3.1), instances=(*shell(OUTLINE, HEIGHT), placed(build.build_at())))
    space = free_space(room, merge(room), CLEARANCE)
    inside = space.place(space.cells)
    assert not ((inside[:, 0] < 2.0) & (inside[:, 1] > 2.6)).any()
    assert space.area == pytest.approx((5 - 0.5) * (2.6 - 0.5) + (3 - 0.5) * 1.4, rel=0.08)


def test_inside_an_l_shaped_outline_is_not_inside_its_rectangle() -> None:
    xy = np.array([[1.0, 4.0], [4.0, 1.0], [4.0, 4.0], [-0.1, 1.0], [2.4, 2.6], [2.6, 2.6]])
    np.testing.assert_array_equal(inside_outline(L_OUTLINE, xy), [True, True, False, False, True, False])
    np.testing.assert_array_equal(inside_outline(L_OUTLINE[::-1], xy), [True, True, False, False, True, False])
