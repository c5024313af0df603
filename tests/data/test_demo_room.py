"""The demo's rooms: depth is where the ray meets the nearest face, and everything follows from the seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sparse3d.data.demo_room import (
    CAMERA,
    CLEARANCE,
    EYE_HIGH,
    EYE_LOW,
    DemoRoom,
    add_sensor_noise,
    make_room,
    render,
    walk,
    write_room,
)
from sparse3d.data.demo_textures import MATERIALS, SIDE, make_textures
from sparse3d.data.readers import open_frames
from sparse3d.geometry import match_pixels, transform_points, unproject_depth
from sparse3d.geometry.rigid import invert_rigid
from sparse3d.types import Camera

SMALL = CAMERA.scaled(80, 60)
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def rooms() -> list[DemoRoom]:
    return [make_room(np.random.default_rng((7, seed))) for seed in SEEDS]


def empty_room(*boxes: tuple[tuple[float, ...], tuple[float, ...], float]) -> DemoRoom:
    """A room of 4 x 3 x 2.5 m with boxes (centre, half edges, yaw); face f of box b is grey (b * 6 + f) / 100."""
    size = np.array([4.0, 3.0, 2.5])
    count = 1 + len(boxes)
    greys = np.arange(count * 6, dtype=np.float32) / 100
    return DemoRoom(
        size=size,
        centers=np.array([size / 2, *(center for center, _, _ in boxes)]),
        halves=np.array([size / 2, *(half for _, half, _ in boxes)]),
        yaws=np.array([0.0, *(yaw for _, _, yaw in boxes)]),
        materials=np.arange(count * 6).reshape(count, 6),
        offsets=np.zeros((count, 6, 2), dtype=np.int64),
        atlas=np.broadcast_to(greys[:, None, None, None], (count * 6, SIDE, SIDE, 3)),
    )


def looking_along_x(x: float, y: float, z: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # right = -y, down = -z, forward = +x
    pose[:3, 3] = x, y, z
    return pose


def face_of(room: DemoRoom, color: np.ndarray) -> np.ndarray:
    """Box * 6 + face by the grey that :func:`empty_room` gave it."""
    shown = color[..., :1] / np.maximum(room.brightness, 1e-6) * 100
    return np.abs(shown - np.arange(len(room.brightness))).argmin(axis=-1)


def test_a_wall_straight_ahead_is_a_plane_of_constant_depth() -> None:
    narrow = Camera(900.0, 700.0, 19.5, 14.5, 40, 30)  # sees nothing but the wall x = 4
    _, depth = render(empty_room(), narrow, looking_along_x(1.0, 1.5, 1.25))
    np.testing.assert_allclose(depth, 3.0, atol=1e-12)


def test_every_point_of_an_empty_room_lies_on_its_shell() -> None:
    camera = Camera(30.0, 35.0, 21.0, 13.0, 40, 30)
    pose = walk(empty_room(), 5, np.random.default_rng(0))[3]
    _, depth = render(empty_room(), camera, pose)
    xyz, _ = unproject_depth(depth, camera)
    size = empty_room().size
    xyz = xyz.astype(np.float64) @ pose[:3, :3].T + pose[:3, 3]
    assert np.abs(np.stack([xyz, xyz - size])).min(axis=(0, 2)).max() < 1e-6


def test_a_box_is_hit_at_its_front_face_and_hides_the_wall() -> None:
    room = empty_room(((2.5, 1.5, 1.25), (0.5, 0.21, 0.25), 0.0))
    camera = Camera(50.0, 50.0, 20.0, 15.0, 41, 31)
    color, depth = render(room, camera, looking_along_x(1.0, 1.5, 1.25))
    assert depth[15, 20] == pytest.approx(1.0, abs=1e-12)  # the box's face x = 2
    # Half edges of 0.21 m and 0.25 m at 1 m: 10 columns and 12 rows to each side; beyond is the wall at 3 m.
    seen = depth < 1.5
    cols, rows = seen.any(axis=0).nonzero()[0], seen.any(axis=1).nonzero()[0]
    assert (cols.min(), cols.max()) == (10, 30)
    assert (rows.min(), rows.max()) == (3, 27)
    assert (face_of(room, color)[seen] == 6).all()  # box 1, face -x


def test_a_turned_box_is_hit_at_its_edge() -> None:
    room = empty_room(((2.5, 1.5, 1.25), (0.5, 0.5, 0.3), np.pi / 4))
    _, depth = render(room, Camera(50.0, 50.0, 20.0, 15.0, 41, 31), looking_along_x(1.0, 1.5, 1.25))
    assert depth[15, 20] == pytest.approx(1.5 - np.sqrt(0.5), abs=1e-9)


def test_a_box_behind_the_camera_is_not_seen() -> None:
    room = empty_room(((0.5, 1.5, 1.25), (0.2, 0.2, 0.2), 0.3))
    plain, _ = render(empty_room(), SMALL, looking_along_x(1.0, 1.5, 1.25))
    color, depth = render(room, SMALL, looking_along_x(1.0, 1.5, 1.25))
    np.testing.assert_array_equal(color, plain)
    np.testing.assert_array_equal(depth, render(empty_room(), SMALL, looking_along_x(1.0, 1.5, 1.25))[1])


def test_a_box_beside_the_camera_that_crosses_the_image_plane_is_seen() -> None:
    room = empty_room(((1.2, 1.2, 1.25), (0.6, 0.1, 0.3), 0.0))  # a board along the view, to the right
    _, depth = render(room, SMALL, looking_along_x(1.0, 1.5, 1.25))
    camera = SMALL
    x = (np.arange(camera.width) - camera.cx) / camera.fx  # to the right; the board's near side lies 0.2 m away
    row, reach = round(camera.cy), 0.2 / np.maximum(x, 1e-9)
    on_board = reach < 0.8
    assert on_board.any()
    np.testing.assert_allclose(depth[row, on_board], reach[on_board], atol=1e-9)


def test_the_pixels_brute_force_over_all_boxes_agrees(rooms: list[DemoRoom]) -> None:
    """The windows that boxes are tried in leave nothing out, and the nearest box wins."""
    room, camera = rooms[0], CAMERA.scaled(40, 30)
    for pose in walk(room, 4, np.random.default_rng(1)):
        _, depth = render(room, camera, pose)
        for row, col in ((3, 5), (12, 20), (15, 38), (22, 11), (29, 30)):
            ray = pose[:3, :3] @ np.array([(col - camera.cx) / camera.fx, (row - camera.cy) / camera.fy, 1.0])
            assert depth[row, col] == pytest.approx(nearest_hit(room, pose[:3, 3], ray), abs=1e-9)


def nearest_hit(room: DemoRoom, eye: np.ndarray, ray: np.ndarray) -> float:
    """Depth of the nearest face crossing, by trying each plane of each box."""
    nearest = np.inf
    for b, (center, half, yaw) in enumerate(zip(room.centers, room.halves, room.yaws, strict=True)):
        R = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        origin, local = R @ (eye - center), R @ ray
        for axis in range(3):
            for side in (-1, 1):
                t = (side * half[axis] - origin[axis]) / local[axis]
                hit = origin + t * local
                others = [k for k in range(3) if k != axis]
                facing = b == 0 or side * local[axis] < 0
                if t > 0 and facing and (np.abs(hit[others]) <= half[others] + 1e-12).all():
                    nearest = min(nearest, t)
    return nearest


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_poses_are_rigid_upright_smooth_and_never_inside_anything(rooms: list[DemoRoom], seed: int) -> None:
    room = rooms[seed]
    poses = walk(room, 60, np.random.default_rng(seed))
    R = poses[:, :3, :3]
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.broadcast_to(np.eye(3), R.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(R), 1)
    assert (R[:, 2, 1] < -0.8).all()  # the image's down points to the floor
    eyes = poses[:, :3, 3]
    assert room.is_free(eyes, CLEARANCE).all()
    assert eyes[:, 2].min() >= EYE_LOW and eyes[:, 2].max() <= EYE_HIGH
    assert np.linalg.norm(np.diff(eyes, axis=0, append=eyes[:1]), axis=1).max() < 0.5  # around, back to the start


def test_a_point_inside_furniture_is_not_free(rooms: list[DemoRoom]) -> None:
    assert not rooms[0].is_free(rooms[0].centers[1:]).any()
    assert not rooms[0].is_free(np.array([[-0.1, 1.0, 1.0], [1.0, 1.0, 9.0]])).any()


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_furniture_stands_in_the_room_and_rooms_differ(rooms: list[DemoRoom], seed: int) -> None:
    room = rooms[seed]
    inside = room.centers[1:]
    assert len(inside) > 40
    assert (inside > -0.1).all() and (inside < room.size + 0.1).all()
    assert room.atlas.min() >= 0 and room.atlas.max() <= 1
    assert not np.array_equal(room.size, rooms[seed - 1].size)


def test_neighbouring_frames_reproject_onto_each_other_within_a_millimetre(rooms: list[DemoRoom]) -> None:
    """A pixel's point lies on the ray of the other view's pixel: where that ray is cast anew, depth agrees."""
    room = rooms[1]
    first, second = walk(room, 36, np.random.default_rng(3))[[4, 5]]
    depth_first = render(room, SMALL, first)[1]
    xyz, pixels = unproject_depth(depth_first.astype(np.float32), SMALL)
    world = xyz.astype(np.float64) @ first[:3, :3].T + first[:3, 3]
    local = transform_points(invert_rigid(second), world)
    matches = match_pixels(depth_first.astype(np.float32), SMALL, first, render(room, SMALL, second)[1], SMALL, second)[
        0
    ]
    assert len(matches) > 0.3 * depth_first.size
    rows = {tuple(pixel): row for row, pixel in enumerate(pixels)}
    errors = []
    for pixel in matches[:: len(matches) // 60]:
        x, y, z = local[rows[tuple(pixel)]]
        errors.append(abs(nearest_hit(room, second[:3, 3], second[:3, :3] @ np.array([x / z, y / z, 1])) - z))
    assert np.quantile(errors, 0.9) < 1e-3  # the rest: occluded at the very point, though its pixel is not


def test_colour_is_of_the_place_and_not_of_the_view(rooms: list[DemoRoom]) -> None:
    room = rooms[2]
    first, second = walk(room, 36, np.random.default_rng(0))[[7, 8]]
    camera = CAMERA.scaled(160, 120)
    (color_first, depth_first), (color_second, depth_second) = (render(room, camera, pose) for pose in (first, second))
    assert color_first.dtype == np.float32 and color_first.min() >= 0 and color_first.max() <= 1
    assert color_first.std() > 0.1
    source, target = match_pixels(depth_first, camera, first, depth_second, camera, second)
    difference = np.abs(color_first[tuple(source.T)] - color_second[tuple(target.T)]).mean(axis=1)
    shuffled = np.abs(color_first[tuple(source.T)] - color_second[tuple(target[::-1].T)]).mean(axis=1)
    assert np.median(difference) < 0.3 * np.median(shuffled)


def test_an_eye_inside_a_box_is_refused_by_the_walk() -> None:
    with pytest.raises(ValueError, match="no way"):
        walk(empty_room(((2.0, 1.5, 1.25), (1.9, 1.4, 1.2), 0.0)), 8, np.random.default_rng(0))


def test_textures_repeat_without_a_seam_and_stay_in_range() -> None:
    rows, atlas = make_textures(np.random.default_rng(0).random((6, 3)), np.random.default_rng(1))
    assert list(rows) == list(MATERIALS) and atlas.shape == (len(MATERIALS), SIDE, SIDE, 3)
    assert atlas.min() >= 0 and atlas.max() <= 1
    assert (atlas.std(axis=(1, 2)).max(axis=1) > 0.005).all()


def test_sensor_noise_grows_with_depth_and_leaves_some_pixels_without_reading() -> None:
    rng = np.random.default_rng(0)
    near, far = (add_sensor_noise(np.full((200, 200), z), rng) for z in (1.0, 4.0))
    assert 0.002 < (near == 0).mean() < 0.03
    assert near[near > 0].std() < 0.003 < 0.015 < far[far > 0].std() < 0.04
    assert abs(far[far > 0].mean() - 4.0) < 0.001


def test_one_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_room(tmp_path / f"{name}.sens", np.random.default_rng(seed), frames=2, size=(64, 48))
    a, b, c = ((tmp_path / f"{name}.sens").read_bytes() for name in "abc")
    assert a == b and a != c


def test_what_is_read_back_from_the_sens_file_is_what_was_rendered(tmp_path: Path) -> None:
    write_room(tmp_path / "room.sens", np.random.default_rng(5), frames=3, size=(64, 48), noise=False)
    rng = np.random.default_rng(5)
    room = make_room(rng)
    poses = walk(room, 3, rng)
    source = open_frames(tmp_path / "room.sens")
    assert len(source) == 3
    for index, pose in enumerate(poses):
        frame = source[index]
        color, depth = render(room, CAMERA.scaled(64, 48), pose)
        assert np.abs(frame.depth - depth).max() <= 0.0005 + 1e-6
        np.testing.assert_allclose(frame.T_world_cam, pose, atol=1e-6)
        assert np.abs(frame.color / 255 - color).mean() < 0.02  # JPEG
        assert replace(frame.camera) == source.camera(0)
