"""Small furnished rooms of boxes, and a camera that walks through them: exact RGB-D frames out of nothing.

Depth is the analytic intersection of each pixel's ray with the nearest box (slab method: Kay and Kajiya, "Ray Tracing
Complex Scenes", 1986), so that poses, depth and colour agree but for rounding. The world is in metres, z up, its
origin in a corner of the floor.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sparse3d.data.demo_furniture import Box, furnish, turn
from sparse3d.data.demo_textures import SIDE, TEXEL, make_textures
from sparse3d.data.sens_writer import SensWriter
from sparse3d.geometry.rigid import invert_rigid, transform_points
from sparse3d.types import Camera

CAMERA = Camera(577.87, 577.87, 319.5, 239.5, 640, 480)  # ScanNet's depth camera
EYE_LOW, EYE_HIGH = 1.3, 1.7  # metres above the floor
CLEARANCE = 0.15  # metres between the eye and anything solid
_NEAR = 0.05  # metres: boxes that reach nearer to the image plane are tried at every pixel
_SUBPIXELS = ((-0.25, -0.25), (-0.25, 0.25), (0.25, -0.25), (0.25, 0.25))  # where colour is sampled, (x, y)
# Faces -x, +x, -y, +y, -z, +z: the axis of the normal, those across and up the texture, and the normal's sign.
_FACES = ((0, 1, 2, -1), (0, 1, 2, 1), (1, 0, 2, -1), (1, 0, 2, 1), (2, 0, 1, -1), (2, 0, 1, 1))
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
        free = np.all((xyz > clearance) & (xyz < self.size - clearance), axis=1)
        for center, half, yaw in zip(self.centers[1:], self.halves[1:], self.yaws[1:], strict=True):
            free &= np.any(np.abs(turn(xyz - center, -yaw)) > half + clearance, axis=1)
        return free

    @cached_property
    def face_frames(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of each face, box * 6 + face: normal, across and up, all (B * 6, 3) unit length; the corner where its texture
        begins (B * 6, 3) and its extents across and up (B * 6, 2), metres. On upright faces "up" is the world's.
        """
        rows = [(np.eye(3)[axis] * side, np.eye(3)[u], np.eye(3)[v]) for axis, u, v, side in _FACES]
        normals, across, up = (np.stack(part) for part in zip(*rows, strict=True))  # (6, 3) each, in the box's frame
        corners = (normals - across - up) * self.halves[:, None]
        extents = 2 * self.halves[:, [(u, v) for _, u, v, _ in _FACES]]
        turned = [np.stack([turn(part, yaw) for yaw in self.yaws]).reshape(-1, 3) for part in (normals, across, up)]
        placed = np.stack([turn(c, yaw) for c, yaw in zip(corners, self.yaws, strict=True)]) + self.centers[:, None]
        return (*turned, placed.reshape(-1, 3), extents.reshape(-1, 2))

    @cached_property
    def brightness(self) -> np.ndarray:
        """Of each face (B * 6,), by its normal alone: a base and two soft lamps."""
        normals = self.face_frames[0].copy()
        normals[:6] *= -1  # the room is seen from within
        return (0.55 + np.clip(normals @ _LAMPS.T, 0, None) @ np.array([0.45, 0.25])).astype(np.float32)


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
    saturation, value = rng.uniform(0.15, 0.55, (6, 1)), rng.uniform(0.3, 0.85, (6, 1))
    ramp = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return value * (1 - saturation + saturation * ramp)


# The walk


def walk(room: DemoRoom, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Poses (F, 4, 4), camera to world, of a hand-held walk once around the room that looks across it.

    Raises:
        ValueError: the furniture leaves no way.
    """
    angle = np.linspace(0, 2 * np.pi, frames, endpoint=False) + rng.uniform(0, 2 * np.pi)
    angle = angle * rng.choice([-1, 1])
    reach = room.size[:2] / 2 - 0.9
    for _ in range(30):
        xyz = _path(room, reach, angle, rng)
        if room.is_free(xyz, CLEARANCE).all():
            return np.stack([_pose(*view) for view in zip(xyz, *_gaze(room, xyz, angle, rng), strict=True)])
        reach = reach * 0.93
    raise ValueError("the room's furniture leaves no way for the camera")


def _path(room: DemoRoom, reach: np.ndarray, angle: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Eye positions (F, 3): an ellipse that breathes, at the height of a hand-held camera."""
    radius = 0.85 + 0.15 * np.sin(2 * angle + rng.uniform(0, 6.28))
    flat = room.size[:2] / 2 + reach * np.stack([np.cos(angle), np.sin(angle)], axis=1) * radius[:, None]
    middle, swing = (EYE_LOW + EYE_HIGH) / 2, (EYE_HIGH - EYE_LOW) / 2
    height = middle + swing * (0.7 * np.sin(angle + rng.uniform(0, 6.28)) + 0.3 * np.sin(5 * angle))
    return np.concatenate([flat, height[:, None]], axis=1)


def _gaze(
    room: DemoRoom, xyz: np.ndarray, angle: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heading, pitch and roll of each view, radians: across the room, to and fro, a little downwards."""
    across = np.arctan2(*(room.size[:2] / 2 - xyz[:, :2]).T[::-1])
    heading = across + 0.6 * np.sin(3 * angle + rng.uniform(0, 6.28)) + 0.03 * np.sin(11 * angle)
    pitch = np.deg2rad(-18 + 8 * np.sin(2 * angle + rng.uniform(0, 6.28)))
    roll = np.deg2rad(2.0) * np.sin(4 * angle + rng.uniform(0, 6.28))
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


# Ray casting


def render(room: DemoRoom, camera: Camera, T_world_cam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a camera inside the room sees.

    Args:
        camera: its image's size is the result's.
        T_world_cam: (4, 4) camera to world; the eye must not be inside a box.

    Returns:
        Colour (H, W, 3) float32 in [0, 1], the mean of four samples a pixel, and depth (H, W) float64, metres along the
        optical axis, exact at the pixels' centres.
    """
    directions = _directions(camera, T_world_cam)
    depth, face = _cast(room, camera, T_world_cam, directions)
    shifts = [T_world_cam[:3, 0] * dx / camera.fx + T_world_cam[:3, 1] * dy / camera.fy for dx, dy in _SUBPIXELS]
    return _face_color(room, T_world_cam[:3, 3], directions, shifts, face), depth


def _directions(camera: Camera, T_world_cam: np.ndarray) -> np.ndarray:
    """World directions (3, H, W) of the rays through the pixels' centres, of unit length along the optical axis."""
    x = (np.arange(camera.width) - camera.cx) / camera.fx
    y = (np.arange(camera.height) - camera.cy) / camera.fy
    R = T_world_cam[:3, :3, None, None]
    return R[:, 0] * x[None, None, :] + R[:, 1] * y[None, :, None] + R[:, 2]


def _cast(
    room: DemoRoom, camera: Camera, T_world_cam: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest hit of each ray: depth (H, W), and box * 6 + face (H, W)."""
    eye = T_world_cam[:3, 3]
    depth = np.full(directions.shape[1:], np.inf)
    face = np.zeros(depth.shape, dtype=np.int64)
    for b in range(len(room.centers)):
        window = _window(room, b, camera, T_world_cam) if b > 0 else (slice(None), slice(None))
        if window is None:
            continue
        origin = turn(eye - room.centers[b], -room.yaws[b])
        local = _turned_back(directions[:, window[0], window[1]], room.yaws[b])
        z, hit = _enter(origin, local, room.halves[b]) if b > 0 else _leave(origin, local, room.halves[b])
        nearer = hit & (z < depth[window])
        depth[window][nearer] = z[nearer]
        face[window][nearer] = b * 6 + _face_at(origin, local[:, nearer], room.halves[b], z[nearer])
    return depth, face


def _enter(origin: np.ndarray, local: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays (3, h, w), in a box's frame, enter it: parameter and whether they do."""
    entering, leaving = np.full(local.shape[1:], -np.inf), np.full(local.shape[1:], np.inf)
    for o, d, h in zip(origin, local, half, strict=True):
        one, other = (-h - o) / d, (h - o) / d
        entering, leaving = np.maximum(entering, np.minimum(one, other)), np.minimum(leaving, np.maximum(one, other))
    return entering, (entering < leaving) & (entering > 0)


def _leave(origin: np.ndarray, local: np.ndarray, half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where rays that start in the room leave it."""
    leaving = np.full(local.shape[1:], np.inf)
    for o, d, h in zip(origin, local, half, strict=True):
        leaving = np.minimum(leaving, (np.copysign(h, d) - o) / d)
    return leaving, leaving > 0


def _face_at(origin: np.ndarray, local: np.ndarray, half: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The face of a box, 0 to 5, that the points at parameter ``z`` of rays (3, N) lie on."""
    place = (origin[:, None] + local * z) / half[:, None]
    axis = np.abs(place).argmax(axis=0)
    return 2 * axis + (place[axis, np.arange(len(axis))] > 0)


def _turned_back(directions: np.ndarray, yaw: float) -> np.ndarray:
    """Directions (3, h, w) in the frame of a box; none of their components is 0, which has no reciprocal."""
    c, s = np.cos(yaw), np.sin(yaw)
    x, y, z = directions
    local = np.stack([c * x + s * y, c * y - s * x, z])
    local[local == 0] = 1e-300
    return local


def _window(room: DemoRoom, b: int, camera: Camera, T_world_cam: np.ndarray) -> tuple[slice, slice] | None:
    """The part of the image that can show a box, None for none of it."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    corners = turn(signs * room.halves[b], room.yaws[b]) + room.centers[b]
    x, y, z = transform_points(invert_rigid(T_world_cam), corners).T
    if (z < _NEAR).all():
        return None
    if (z < _NEAR).any():
        return slice(0, camera.height), slice(0, camera.width)
    cols, rows = x / z * camera.fx + camera.cx, y / z * camera.fy + camera.cy
    top, bottom = max(0, int(np.floor(rows.min()))), min(camera.height, int(np.ceil(rows.max())) + 1)
    left, right = max(0, int(np.floor(cols.min()))), min(camera.width, int(np.ceil(cols.max())) + 1)
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None


def _face_color(
    room: DemoRoom, eye: np.ndarray, directions: np.ndarray, shifts: list[np.ndarray], face: np.ndarray
) -> np.ndarray:
    """Shaded texture (H, W, 3) where each ray, and those ``shifts`` beside it, meet the plane of its ``face`` (H, W).

    Each sample is that of the face at the pixel's centre, so that colour and depth change at the same pixel.
    """
    normals, across, up, corners, extents = room.face_frames
    start = eye - corners  # of a face's own frame
    distance = -(start * normals).sum(axis=1)[face]
    axes = (normals, across, up)
    slopes = [(np.moveaxis(axis[face], -1, 0) * directions).sum(axis=0) for axis in axes]
    first = room.materials.reshape(-1)[face] * SIDE
    offset = room.offsets.reshape(-1, 2)[face]
    begins = [(start * axis).sum(axis=1)[face] for axis in (across, up)]
    color = np.zeros((*face.shape, 3), dtype=np.float32)
    texels = room.atlas.reshape(-1, 3)
    for shift in shifts:
        along, u_slope, v_slope = (s + (axis @ shift)[face] for s, axis in zip(slopes, axes, strict=True))
        t = distance / np.where(np.abs(along) < 1e-9, 1e-9, along)
        u = np.clip(begins[0] + t * u_slope, 0, extents[:, 0][face])
        v = np.clip(begins[1] + t * v_slope, 0, extents[:, 1][face])
        row = ((v / TEXEL).astype(np.int64) + offset[..., 0]) % SIDE
        col = ((u / TEXEL).astype(np.int64) + offset[..., 1]) % SIDE
        color += texels[(first + row) * SIDE + col]
    return np.clip(color * (room.brightness[face] / len(shifts))[..., None], 0, 1).astype(np.float32)


# Recordings


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
