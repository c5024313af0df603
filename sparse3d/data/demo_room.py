"""Small furnished rooms of boxes, and a camera that walks through them: exact RGB-D frames out of nothing.

Depth is the analytic intersection of each pixel's ray with the nearest box (slab method: Kay and Kajiya, "Ray Tracing
Complex Scenes", 1986), so that poses, depth and colour agree but for rounding. The world is in metres, z up, its
origin in a corner of the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse3d.data.demo_furniture import Box, furnish
from sparse3d.data.demo_textures import SIDE, TEXEL, make_textures
from sparse3d.data.sens_writer import SensWriter
from sparse3d.geometry.rigid import transform_points
from sparse3d.types import Camera

CAMERA = Camera(577.87, 577.87, 319.5, 239.5, 640, 480)  # ScanNet's depth camera
EYE_LOW, EYE_HIGH = 1.3, 1.7  # metres above the floor
CLEARANCE = 0.15  # metres between the eye and anything solid
_NEAR = 0.05  # metres: boxes that reach nearer to the image plane are tried at every pixel
_SUBPIXELS = ((-0.25, -0.25), (-0.25, 0.25), (0.25, -0.25), (0.25, 0.25))
_LAMPS = np.array([[0.35, -0.5, 0.79], [-0.8, 0.35, 0.49]])  # directions the light comes from, unit length


@dataclass(frozen=True)
class DemoRoom:
    """A room: its inside is box 0, seen from within; the furniture follows."""

    size: np.ndarray  # (3,) metres
    centers: np.ndarray  # (B, 3) metres
    halves: np.ndarray  # (B, 3) half edges, metres
    yaws: np.ndarray  # (B,) radians
    materials: np.ndarray  # (B, 6) int64, rows of the atlas, faces in the order -x, +x, -y, +y, -z, +z
    offsets: np.ndarray  # (B, 6, 2) int64, texels: where in its texture a face begins
    atlas: np.ndarray  # (M, SIDE, SIDE, 3) float32 in [0, 1]

    def is_free(self, xyz: np.ndarray, clearance: float = 0.0) -> np.ndarray:
        """Which points (N, 3) are inside the room and ``clearance`` metres off everything in it; (N,) bool."""
        free = ((xyz > clearance) & (xyz < self.size - clearance)).all(axis=1)
        for box in range(1, len(self.centers)):
            local = np.abs(_turn(xyz - self.centers[box], -self.yaws[box]))
            free &= (local > self.halves[box] + clearance).any(axis=1)
        return free


def make_room(rng: np.random.Generator) -> DemoRoom:
    """A furnished room; its size, furniture, patterns and colours are drawn from ``rng``."""
    size = np.array([rng.uniform(4.8, 6.0), rng.uniform(4.0, 5.0), rng.uniform(2.5, 2.8)])
    colors = _palette(rng)
    rows, atlas = make_textures(colors, rng)
    wall, other_wall = rng.permutation(["paint", "wallpaper", "stripes", "paint"])[:2]
    floor = str(rng.choice(["planks", "tiles", "carpet"]))
    shell = Box(tuple(size / 2), tuple(size / 2), 0.0, (wall, wall, wall, other_wall, floor, "paint"))
    boxes = [shell, *furnish(size, rng)]
    return DemoRoom(
        size=size,
        centers=np.array([b.center for b in boxes]),
        halves=np.array([b.half for b in boxes]),
        yaws=np.array([b.yaw for b in boxes]),
        materials=np.array([[rows[str(name)] for name in b.faces] for b in boxes]),
        offsets=rng.integers(0, SIDE, (len(boxes), 6, 2)),
        atlas=atlas,
    )


def _palette(rng: np.random.Generator) -> np.ndarray:
    """Six colours (6, 3), hues apart."""
    hue = (rng.random() + np.arange(6) / 6 + rng.uniform(-0.05, 0.05, 6))[:, None]
    saturation, value = rng.uniform(0.25, 0.65, (6, 1)), rng.uniform(0.35, 0.9, (6, 1))
    ramp = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return value * (1 - saturation + saturation * ramp)


# The walk -----------------------------------------------------------------------------------------------------------


def walk(room: DemoRoom, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Poses (F, 4, 4), camera to world, of a hand-held walk once around the room that looks across it.

    Raises:
        ValueError: the furniture leaves no way.
    """
    turn = np.linspace(0, 2 * np.pi, frames, endpoint=False) + rng.uniform(0, 2 * np.pi)
    turn = turn * rng.choice([-1, 1])
    reach = room.size[:2] / 2 - 0.9
    for _ in range(30):
        xyz = _path(room, reach, turn, rng)
        if room.is_free(xyz, CLEARANCE).all():
            return np.stack([_pose(*view) for view in zip(xyz, *_gaze(room, xyz, turn, rng), strict=True)])
        reach = reach * 0.93
    raise ValueError("the room's furniture leaves no way for the camera")


def _path(room: DemoRoom, reach: np.ndarray, turn: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Eye positions (F, 3): an ellipse that breathes, at the height of a hand-held camera."""
    radius = 0.85 + 0.15 * np.sin(2 * turn + rng.uniform(0, 6.28))
    flat = room.size[:2] / 2 + reach * np.stack([np.cos(turn), np.sin(turn)], axis=1) * radius[:, None]
    middle, swing = (EYE_LOW + EYE_HIGH) / 2, (EYE_HIGH - EYE_LOW) / 2
    height = middle + swing * (0.7 * np.sin(turn + rng.uniform(0, 6.28)) + 0.3 * np.sin(5 * turn))
    return np.concatenate([flat, height[:, None]], axis=1)


def _gaze(
    room: DemoRoom, xyz: np.ndarray, turn: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heading, pitch and roll of each view, radians: across the room, to and fro, a little downwards."""
    across = np.arctan2(*(room.size[:2] / 2 - xyz[:, :2]).T[::-1])
    heading = across + 0.6 * np.sin(3 * turn + rng.uniform(0, 6.28)) + 0.03 * np.sin(11 * turn)
    pitch = np.deg2rad(-18 + 8 * np.sin(2 * turn + rng.uniform(0, 6.28)))
    roll = np.deg2rad(2.0) * np.sin(4 * turn + rng.uniform(0, 6.28))
    return heading, pitch, roll


def _pose(eye: np.ndarray, heading: float, pitch: float, roll: float) -> np.ndarray:
    """Camera to world (4, 4), of a camera with x right, y down, z forward."""
    forward = np.array([np.cos(pitch) * np.cos(heading), np.cos(pitch) * np.sin(heading), np.sin(pitch)])
    right = np.array([np.sin(heading), -np.cos(heading), 0.0])
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([c * right + s * down, c * down - s * right, forward], axis=1)
    pose[:3, 3] = eye
    return pose


# Ray casting ----------------------------------------------------------------------------------------------------------


def render(room: DemoRoom, camera: Camera, T_world_cam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a camera inside the room sees.

    Args:
        camera: its image's size is the result's.
        T_world_cam: (4, 4) camera to world; the eye must not be inside a box.

    Returns:
        Colour (H, W, 3) float32 in [0, 1], the mean of four samples a pixel, and depth (H, W) float64, metres along the
        optical axis, exact at the pixels' centres.
    """
    directions = _directions(camera, T_world_cam, (0.0, 0.0))
    depth, box, face = _cast(room, camera, T_world_cam, directions)
    color = np.zeros((*depth.shape, 3), dtype=np.float32)
    for shift in _SUBPIXELS:
        color += _face_color(room, T_world_cam[:3, 3], _directions(camera, T_world_cam, shift), box, face)
    shade = _shading(room)[box, face]
    return np.clip(color / len(_SUBPIXELS) * shade[..., None], 0, 1).astype(np.float32), depth


def _directions(camera: Camera, T_world_cam: np.ndarray, shift: tuple[float, float]) -> np.ndarray:
    """World directions (H, W, 3) of the pixels' rays, with unit length along the optical axis."""
    x = (np.arange(camera.width) + shift[1] - camera.cx) / camera.fx
    y = (np.arange(camera.height) + shift[0] - camera.cy) / camera.fy
    R = T_world_cam[:3, :3]
    return x[None, :, None] * R[:, 0] + y[:, None, None] * R[:, 1] + R[:, 2]


def _cast(
    room: DemoRoom, camera: Camera, T_world_cam: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nearest hit of each ray: depth (H, W), box (H, W) and face (H, W)."""
    eye = T_world_cam[:3, 3]
    depth, face = _leave(eye, directions, room.size)
    box = np.zeros(depth.shape, dtype=np.int64)
    for b in range(1, len(room.centers)):
        window = _window(room, b, camera, T_world_cam)
        if window is None:
            continue
        z, side = _enter(room, b, eye, directions[window])
        nearer = z < depth[window]
        depth[window][nearer], face[window][nearer], box[window][nearer] = z[nearer], side[nearer], b
    return depth, box, face


def _leave(eye: np.ndarray, directions: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays leave the room: parameter and face."""
    with np.errstate(divide="ignore"):
        exits = (np.where(directions > 0, size, 0.0) - eye) / directions
    exits[directions == 0] = np.inf
    axis = exits.argmin(axis=-1)
    positive = np.take_along_axis(directions, axis[..., None], -1)[..., 0] > 0
    return exits.min(axis=-1), 2 * axis + positive


def _enter(room: DemoRoom, b: int, eye: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays enter a box: parameter (inf where they miss) and face."""
    origin = _turn(eye - room.centers[b], -room.yaws[b])
    local = _turn(directions, -room.yaws[b])
    # A ray within a slab's plane divides 0 by 0 on that plane only; a direction of 1e-300 gives the limit instead.
    local = np.where(local == 0, 1e-300, local)
    sign = np.sign(local)
    entries = (-sign * room.halves[b] - origin) / local
    leaving = ((sign * room.halves[b] - origin) / local).min(axis=-1)
    axis = entries.argmax(axis=-1)
    entering = entries.max(axis=-1)
    hit = (entering < leaving) & (entering > 0)
    negative = np.take_along_axis(local, axis[..., None], -1)[..., 0] < 0
    return np.where(hit, entering, np.inf), 2 * axis + negative


def _window(room: DemoRoom, b: int, camera: Camera, T_world_cam: np.ndarray) -> tuple[slice, slice] | None:
    """The part of the image that can show a box, None for none of it."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    corners = _turn(signs * room.halves[b], room.yaws[b]) + room.centers[b]
    x, y, z = transform_points(np.linalg.inv(T_world_cam), corners).T
    if (z < _NEAR).all():
        return None
    if (z < _NEAR).any():
        return slice(0, camera.height), slice(0, camera.width)
    cols, rows = x / z * camera.fx + camera.cx, y / z * camera.fy + camera.cy
    top, bottom = max(0, int(np.floor(rows.min()))), min(camera.height, int(np.ceil(rows.max())) + 1)
    left, right = max(0, int(np.floor(cols.min()))), min(camera.width, int(np.ceil(cols.max())) + 1)
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None


def _turn(xyz: np.ndarray, yaw: float) -> np.ndarray:
    """Rotation about the up axis."""
    if yaw == 0:
        return xyz
    c, s = np.cos(yaw), np.sin(yaw)
    return np.stack([c * xyz[..., 0] - s * xyz[..., 1], s * xyz[..., 0] + c * xyz[..., 1], xyz[..., 2]], axis=-1)


# Colour -----------------------------------------------------------------------------------------------------------------


def _face_color(
    room: DemoRoom, eye: np.ndarray, directions: np.ndarray, box: np.ndarray, face: np.ndarray
) -> np.ndarray:
    """The texture (H, W, 3) where rays meet the plane of the face that their pixel's centre shows."""
    yaw, half = room.yaws[box], room.halves[box]
    c, s = np.cos(room.yaws)[box], np.sin(room.yaws)[box]
    moved = (eye - room.centers)
    origins = np.stack([_turn(m, -y) for m, y in zip(moved, room.yaws, strict=True)])[box]
    x, y = directions[..., 0], directions[..., 1]
    local = np.stack([c * x + s * y, c * y - s * x, directions[..., 2]], axis=-1)
    del yaw
    axis, side = face // 2, 2 * (face % 2) - 1

    def along(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, axis[..., None], -1)[..., 0]

    slope = along(local)
    slope = np.where(np.abs(slope) < 1e-9, 1e-9, slope)
    hit = origins + local * ((side * along(half) - along(origins)) / slope)[..., None]
    hit = np.clip(hit, -half, half) + half
    # Upright faces have their texture's rows along z, so that boards, books and panes stand upright.
    u = np.where(axis == 0, hit[..., 1], hit[..., 0])
    v = np.where(axis == 2, hit[..., 1], hit[..., 2])
    row, col = (np.floor(w / TEXEL).astype(np.int64) for w in (v, u))
    start = room.offsets[box, face]
    return room.atlas[room.materials[box, face], (row + start[..., 0]) % SIDE, (col + start[..., 1]) % SIDE]


def _shading(room: DemoRoom) -> np.ndarray:
    """Brightness (B, 6) of every face: a base and two soft lamps, by the normal alone."""
    normals = np.repeat(np.eye(3), 2, axis=0) * np.tile([-1.0, 1.0], 3)[:, None]
    turned = np.stack([_turn(normals, yaw) for yaw in room.yaws])
    turned[0] *= -1  # the room is seen from within
    light = np.clip(turned @ _LAMPS.T, 0, None) @ np.array([0.45, 0.25])
    return 0.6 + light


# Recordings -------------------------------------------------------------------------------------------------------------


def add_sensor_noise(depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Depth as a structured-light camera reads it: noise that grows with the distance, some readings missing (0).

    Axial noise after Nguyen, Izadi, Lovell, "Modeling Kinect Sensor Noise" (3DIMPVT 2012): 1.2 mm + 1.9 mm (z - 0.4)^2.
    """
    sigma = 0.0012 + 0.0019 * (depth - 0.4) ** 2
    noisy = depth + sigma * rng.standard_normal(depth.shape)
    return np.where(rng.random(depth.shape) < 0.01, 0.0, np.clip(noisy, 0, None))


def write_room(
    path: str | Path,
    rng: np.random.Generator,
    frames: int = 40,
    size: tuple[int, int] = (320, 240),
    noise: bool = True,
) -> None:
    """Draws a room and a walk from ``rng`` and records it as a ScanNet ``.sens`` file.

    Args:
        path: the file.
        rng: the same state gives the same bytes.
        frames: of the walk, which goes once around the room however many there are.
        size: (width, height) of the images, pixels.
        noise: of a depth sensor; without, depth is exact to the file's millimetre.
    """
    room = make_room(rng)
    camera = CAMERA.scaled(*size)
    with SensWriter(path, camera, camera, sensor_name="sparse3d demo room") as writer:
        for index, pose in enumerate(walk(room, frames, rng)):
            color, depth = render(room, camera, pose)
            if noise:
                depth = add_sensor_noise(depth, rng)
                color = np.clip(color + rng.normal(0, 0.008, color.shape), 0, 1)
            image = np.round(color * 255).astype(np.uint8)
            writer.write(image, depth, pose, timestamp=index * 100_000)
