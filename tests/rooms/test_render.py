"""Rendering: depth is exact at pixel centres and agrees between views; light behaves as light."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from room_of_boxes import HEIGHT, LENGTH, OUTLINE, WIDTH, checked, lights_of, placed, room_of_boxes, shell

from sparse3d.geometry.rigid import invert_rigid, transform_points
from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.piece import Light, Material, Room
from sparse3d.rooms.render import RayCaster, Rendered, auto_exposure, render
from sparse3d.rooms.scene import merge
from sparse3d.rooms.shading import TextureAtlas, mip_levels, to_linear, to_srgb
from sparse3d.rooms.walk import poses
from sparse3d.types import Camera

CAMERA = Camera(70.0, 84.0, 44.3, 30.6, 97, 65)  # not square, fx != fy, centre off


def pose(x: float, y: float, z: float, heading: float, pitch: float = 0.4, roll: float = 0.05) -> np.ndarray:
    return poses(np.array([[x, y, z]]), np.array([heading]), np.array([pitch]), np.array([roll]))[0]


HERE, THERE = pose(0.5, 0.5, 1.6, 0.6), pose(0.9, 0.4, 1.4, 0.75)


@pytest.fixture(scope="module")
def room() -> Room:
    return room_of_boxes()


@pytest.fixture(scope="module")
def caster(room: Room) -> RayCaster:
    return RayCaster(merge(room))


@pytest.fixture(scope="module")
def here(caster: RayCaster, room: Room) -> Rendered:
    return render(caster, room, CAMERA, HERE)


def rays(T: np.ndarray) -> np.ndarray:
    """(H, W, 3) directions of length 1 along the optical axis."""
    row, col = np.mgrid[: CAMERA.height, : CAMERA.width]
    local = np.stack([(col - CAMERA.cx) / CAMERA.fx, (row - CAMERA.cy) / CAMERA.fy, np.ones(row.shape)], axis=-1)
    return local @ T[:3, :3].T


def points(view: Rendered, T: np.ndarray) -> np.ndarray:
    return T[:3, 3] + rays(T) * view.depth[..., None]


def test_depth_in_an_empty_room_is_where_the_ray_leaves_the_box() -> None:
    room = Room("office", OUTLINE, HEIGHT, shell(OUTLINE, HEIGHT), ())
    view = render(RayCaster(merge(room)), room, CAMERA, HERE, shadows=False)
    with np.errstate(divide="ignore"):
        planes = np.stack([(side - HERE[:3, 3]) / rays(HERE) for side in (np.zeros(3), [WIDTH, LENGTH, HEIGHT])])
    expected = planes.max(axis=0).min(axis=-1)
    np.testing.assert_allclose(view.depth, expected, rtol=1e-9)


def test_a_ray_counts_its_distance_in_lengths_of_its_direction(caster: RayCaster) -> None:
    face, distance = caster.cast(np.array([[1.0, 3.0, 1.0]] * 2), np.array([[0.0, 0.0, -1.0], [0.0, 0.0, -4.0]]))
    np.testing.assert_allclose(distance, [1.0, 0.25], rtol=1e-12)
    assert [caster.mesh.categories[caster.mesh.face_instance[f]] for f in face] == ["floor", "floor"]


def test_nothing_is_seen_beyond_the_room(caster: RayCaster, room: Room) -> None:
    view = render(caster, room, CAMERA, pose(-3, -3, 1, np.pi))
    assert (view.depth == 0).all() and (view.color == 0).all()
    assert (view.instance == -1).all() and (view.part == -1).all() and (view.face == -1).all()
    assert caster.cast(np.zeros((0, 3)), np.zeros((0, 3)))[0].shape == (0,)


def test_depth_of_one_view_is_depth_of_another_to_a_twentieth_of_a_percent(
    caster: RayCaster, room: Room, here: Rendered
) -> None:
    there = render(caster, room, CAMERA, THERE, shadows=False)
    rounded = replace(here, depth=np.round(here.depth, 3))
    x, y, z = transform_points(invert_rigid(THERE), points(rounded, HERE).reshape(-1, 3)).T
    col, row = x / z * CAMERA.fx + CAMERA.cx, y / z * CAMERA.fy + CAMERA.cy
    seen = (z > 0) & (col >= 0) & (row >= 0) & (col < CAMERA.width - 1) & (row < CAMERA.height - 1)
    col, row, z, face = col[seen], row[seen], z[seen], here.face.reshape(-1)[seen]
    c, r = col.astype(int), row.astype(int)
    share_c, share_r = col - c, row - r
    corners = [(r, c, (1 - share_r) * (1 - share_c)), (r, c + 1, (1 - share_r) * share_c),
               (r + 1, c, share_r * (1 - share_c)), (r + 1, c + 1, share_r * share_c)]  # fmt: skip
    same = np.all([there.face[a, b] == face for a, b, _ in corners], axis=0)
    assert same.sum() > 2000
    between = 1 / sum(w / np.round(there.depth, 3)[a, b] for a, b, w in corners)  # 1 / z is linear on a plane
    residual = np.abs(between - z)[same] / z[same]
    assert np.median(residual) < 5e-4
    assert residual.max() < 5e-3


def test_every_pixel_lies_on_the_triangle_and_in_the_instance_it_names(caster: RayCaster, here: Rendered) -> None:
    mesh, xyz = caster.mesh, points(here, HERE)
    corner = mesh.vertices[mesh.faces[here.face][..., 0]]
    assert np.abs(np.einsum("hwi,hwi->hw", xyz - corner, mesh.normals[here.face])).max() < 1e-9
    np.testing.assert_array_equal(here.instance, mesh.face_instance[here.face])
    np.testing.assert_array_equal(here.part, mesh.face_part[here.face])
    for row in np.unique(here.instance):
        own = mesh.vertices[mesh.faces[mesh.face_instance == row]].reshape(-1, 3)
        inside = xyz[here.instance == row]
        assert (inside > own.min(axis=0) - 1e-5).all() and (inside < own.max(axis=0) + 1e-5).all()
    assert {"table", "cabinet", "floor"} <= {mesh.categories[row] for row in np.unique(here.instance)}
    cosine = np.abs(np.einsum("hwi,hwi->hw", rays(HERE), mesh.normals[here.face])) / np.linalg.norm(rays(HERE), axis=-1)
    np.testing.assert_allclose(here.cos_incidence, cosine, atol=1e-5)


def test_shadows_darken_what_is_under_the_table_and_brighten_nothing(
    caster: RayCaster, room: Room, here: Rendered
) -> None:
    plain = render(caster, room, CAMERA, HERE, shadows=False)
    xyz = points(here, HERE)
    floor = here.instance == 0
    under = floor & (np.abs(xyz[..., 0] - 2.0) < 0.4) & (np.abs(xyz[..., 1] - 1.4) < 0.25)
    open_floor = floor & (xyz[..., 0] > 2.8) & (xyz[..., 1] > 1.5) & (xyz[..., 1] < 3.2)
    assert under.sum() > 20 and open_floor.sum() > 10
    loss = 1 - here.color / np.maximum(plain.color, 1e-3)
    assert loss[under].mean() > 0.1 + loss[open_floor].mean()
    assert (here.color <= plain.color + 1e-5).mean() > 0.999


def test_the_same_view_is_the_same_image_to_the_byte(caster: RayCaster, room: Room, here: Rendered) -> None:
    again = render(RayCaster(merge(room_of_boxes())), room, CAMERA, HERE)
    for name in ("color", "depth", "instance", "part", "face"):
        assert getattr(again, name).tobytes() == getattr(here, name).tobytes()


def test_edges_alone_are_sampled_finer(caster: RayCaster, room: Room, here: Rendered) -> None:
    ragged = render(caster, room, CAMERA, HERE, samples=1)
    changed = (ragged.color != here.color).any(axis=2)
    assert 0 < changed.mean() < 0.4
    np.testing.assert_array_equal(ragged.depth, here.depth)
    step = np.zeros(changed.shape, dtype=bool)
    for axis in (0, 1):
        differs = np.diff(here.face, axis=axis) != 0
        pad = [(0, 1) if a == axis else (0, 0) for a in (0, 1)], [(1, 0) if a == axis else (0, 0) for a in (0, 1)]
        step |= np.pad(differs, pad[0]) | np.pad(differs, pad[1])
    assert not (changed & ~step).any()


def wall_of(material: Material, lights: tuple[Light, ...]) -> tuple[Room, RayCaster]:
    build = PieceBuilder("picture")
    build.board((-2, 0, 0), (2, 0.1, 3), material, "picture")
    room = Room("office", np.array([[-2.0, -3], [2, -3], [2, 0], [-2, 0]]), 3.0, (placed(build.build_at()),), lights)
    return room, RayCaster(merge(room))


def test_what_emits_shows_its_texture_whatever_the_light() -> None:
    color = np.full((4, 4, 3), (0.2, 0.5, 0.8), dtype=np.float32)
    room, caster = wall_of(Material("screen", color, 1.0, gloss=0.5, emission=1.0), ())
    view = render(caster, room, CAMERA, pose(0, -0.8, 1.5, np.pi / 2, 0, 0), exposure=3.0)
    assert np.abs(view.color - color[0, 0]).max() < 1e-4


def test_highlights_need_gloss() -> None:
    lamp = (Light((0.0, -1.5, 1.5), (0.0, 1.0, 0.0), (0.3, 0.3), (0.6, 0.6, 0.6)),)
    gray = np.full((4, 4, 3), 0.4, dtype=np.float32)
    shots = []
    for gloss in (0.0, 0.8):
        room, caster = wall_of(Material("x", gray, 1.0, gloss=gloss), lamp)
        shots.append(render(caster, room, CAMERA, pose(0, -1.5, 1.5, np.pi / 2, 0, 0), shadows=False, exposure=1.0))
    matt, shiny = (shot.color[..., 0] for shot in shots)
    assert shiny.max() > matt.max() + 0.1
    assert abs(float(shiny[0, 0] - matt[0, 0])) < 0.02


def test_light_passes_what_shines_itself() -> None:
    lamp = (Light((0.0, -2.0, 1.5), (0.0, 1.0, 0.0), (0.3, 0.3), (0.6, 0.6, 0.6)),)
    gray = Material("x", np.full((4, 4, 3), 0.5, dtype=np.float32), 1.0)
    seen = []
    for emission in (0.0, 0.5):
        room, _ = wall_of(gray, lamp)
        shade = PieceBuilder("lamp")
        shade.board((-0.5, -1.6, 1.0), (0.5, -1.58, 2.0), replace(gray, emission=emission), "shade")
        room = replace(room, instances=(*room.instances, placed(shade.build_at())))
        view = render(RayCaster(merge(room)), room, CAMERA, pose(0, -1.0, 1.5, np.pi / 2, 0, 0), exposure=1.0)
        seen.append(float(view.color.mean()))
    assert seen[1] > seen[0] + 0.1


def test_brightness_follows_exposure_and_exposure_evens_rooms(caster: RayCaster, room: Room) -> None:
    dim, bright = (render(caster, room, CAMERA, HERE, shadows=False, exposure=e).color for e in (0.3, 0.6))
    assert (bright >= dim).all() and bright.mean() > 1.2 * dim.mean()
    strong = replace(room, lights=tuple(replace(light, color=(3.0, 3.0, 3.0)) for light in room.lights))
    assert auto_exposure(strong) < auto_exposure(room)
    assert np.isfinite(auto_exposure(replace(room, lights=(), ambient=(0.0, 0.0, 0.0))))


def test_no_texture_aliases_far_away() -> None:
    fine = checked((1.0, 1.0, 1.0), side=0.002)
    atlas = TextureAtlas((fine,))
    uv = np.random.default_rng(0).uniform(-5, 5, (500, 2)).astype(np.float32)
    one = np.zeros(500, dtype=np.int64)
    near, far = (atlas.look_up(one, uv, np.full(500, f, dtype=np.float32)) for f in (1e-5, 0.05))
    assert near.std() > 0.2 and far.std() < 0.01
    assert abs(near.mean() - far.mean()) < 0.05


@pytest.mark.parametrize("shape", [(6, 10), (7, 5), (1, 9)])
def test_a_texture_repeats_and_its_first_row_lies_at_v_0(shape: tuple[int, int]) -> None:
    texture = np.random.default_rng(1).random((*shape, 3)).astype(np.float32)
    extent = 0.7
    atlas = TextureAtlas((checked((1, 1, 1)), Material("x", texture, extent)))
    texel = extent / shape[1]
    row, col = (g.ravel() for g in np.mgrid[: shape[0], : shape[1]])
    one, sharp = np.ones(len(row), dtype=np.int64), np.zeros(len(row), dtype=np.float32)
    for turns in (0, -2):  # before zero as after it
        uv = np.column_stack([(col + 0.5 + turns * shape[1]) * texel, (row + 0.5 + turns * shape[0]) * texel])
        found = atlas.look_up(one, uv.astype(np.float32), sharp)
        np.testing.assert_allclose(to_srgb(found), texture[row, col], atol=2e-4)
    assert min(mip_levels(texture)[-1].shape[:2]) == 1


def test_srgb_goes_back_and_forth() -> None:
    value = np.linspace(0, 1, 257)
    np.testing.assert_allclose(to_srgb(to_linear(value)), value, atol=1e-9)


def test_a_lamp_lights_a_white_wall_two_metres_away_fully() -> None:
    from sparse3d.rooms.shading import from_lamp

    (lamp,) = lights_of(2.05, (0.0, 0.0))
    up = np.array([[0.0, 0.0, 1.0]], dtype=np.float32)
    at_two, to = from_lamp(lamp, np.zeros((1, 3), dtype=np.float32), up)
    np.testing.assert_allclose(at_two, 1.0, rtol=1e-6)
    np.testing.assert_allclose(to, up, atol=1e-6)
    assert from_lamp(lamp, np.array([[0, 0, 3.0]], dtype=np.float32), -up)[0] == 0  # behind the lamp
