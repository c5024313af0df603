"""A hand-held walk through a room that looks at its furniture.

The walk is drawn once, on a fixed number of moments; a recording of F frames takes F of them, evenly. So few frames
cover the room as many do, only in longer steps.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from sparse3d.rooms.free_space import FreeSpace, free_space
from sparse3d.rooms.piece import Room
from sparse3d.rooms.scene import SceneMesh

CLEARANCE = 0.25  # metres between the eye and anything solid
EYE_LOW, EYE_HIGH = 1.3, 1.7  # metres above the floor
LOOK_DOWN = np.deg2rad([10.0, 30.0])  # the least and the most
MOMENTS = 240
MAX_TURN = np.deg2rad(2.9)  # between two moments: a walk can turn twice around, and a thirtieth of it 23 degrees
SHELL = frozenset({"floor", "ceiling", "wall"})
_SLACK = 0.05  # metres kept beyond CLEARANCE, for the hand's shaking
_OVER = 0.95  # metres: in a room without a way between its furniture, what is lower may be passed above
_HEADINGS = np.linspace(-np.pi, np.pi, 48, endpoint=False)
_SIGHT = np.deg2rad(24.0)  # off the optical axis, well within the image


def walk(room: Room, mesh: SceneMesh, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Poses (F, 4, 4) float64, camera to room (x right, y down, z forward), of a walk around the furniture.

    The eye is 1.3 to 1.7 m high and at least :data:`CLEARANCE` metres off everything; it turns slowly, towards what it
    has seen least of, 10 to 30 degrees downwards.

    Raises:
        ValueError: the room has no place to stand in; the message names the room's kind.
    """
    if frames < 1:
        raise ValueError(f"a walk needs at least one frame, got {frames}")
    space = _space(room, mesh)
    along = np.arange(MOMENTS)
    xy = _path(space, rng)
    eye = np.column_stack([xy, _heights(rng)])
    targets, weights = _targets(room)
    heading, distance, drop = _gaze(room, space, eye, targets, weights, rng)
    pitch = np.clip(np.arctan2(drop, distance), *LOOK_DOWN)
    pitch = gaussian_filter1d(pitch, MOMENTS / 40, mode="nearest")
    shake, sway = _hand(rng)
    eye[:, 2] = np.clip(eye[:, 2], EYE_LOW, min(EYE_HIGH, room.height - CLEARANCE))
    roll = np.deg2rad(1.5) * np.sin(along * 9 / MOMENTS + rng.uniform(0, 2 * np.pi)) + sway[:, 2]
    pitch = np.clip(pitch + sway[:, 1], *LOOK_DOWN)
    at = (np.arange(frames) + 0.5) * (MOMENTS / frames) - 0.5
    return poses(*(_sample(at, along, value) for value in (eye + shake, heading + sway[:, 0], pitch, roll)))


def _hand(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How a hand shakes, (MOMENTS, 3) metres, level, and sways, (MOMENTS, 3) radians in heading, pitch and roll."""
    noise = np.clip(gaussian_filter1d(rng.standard_normal((MOMENTS, 6)), 1.0, axis=0) / 0.53, -2.5, 2.5)
    return noise[:, :3] * (0.005, 0.005, 0.0), noise[:, 3:] * np.deg2rad([0.4, 0.3, 0.6])


def poses(eye: np.ndarray, heading: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Camera to room (F, 4, 4) of eyes (F, 3); radians: heading from +x, pitch downwards, roll clockwise (F,)."""
    zero = np.zeros_like(heading)
    ahead = np.stack([np.cos(pitch) * np.cos(heading), np.cos(pitch) * np.sin(heading), -np.sin(pitch)], axis=1)
    level = np.stack([np.sin(heading), -np.cos(heading), zero], axis=1)
    below = np.cross(ahead, level)
    c, s = np.cos(roll)[:, None], np.sin(roll)[:, None]
    T = np.tile(np.eye(4), (len(eye), 1, 1))
    T[:, :3, :3] = np.stack([c * level + s * below, c * below - s * level, ahead], axis=2)
    T[:, :3, 3] = eye
    return T


def _space(room: Room, mesh: SceneMesh) -> FreeSpace:
    """Where the eye may be: between the furniture, or above what is low where that leaves hardly any room."""
    x, y = room.outline.T
    floor = abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))) / 2
    try:
        space = free_space(room, mesh, CLEARANCE + _SLACK)
    except ValueError:
        return free_space(room, mesh, CLEARANCE + _SLACK, low=_OVER)
    if space.area < 0.1 * floor:
        space = free_space(room, mesh, CLEARANCE + _SLACK, low=_OVER)
    return space


# The way


def _path(space: FreeSpace, rng: np.random.Generator) -> np.ndarray:
    """Eye positions (MOMENTS, 2) of a round through the free space, at an even pace."""
    stops = _stops(space, int(np.clip(3 + space.area / 2, 4, 8)), rng)
    cells = [_way(space, a, b) for a, b in zip(stops, np.roll(stops, -1), strict=True)]
    track = space.place(space.cells[np.concatenate(cells)])
    for width in (0.45, 0.3, 0.2, 0.1, 0.05):  # metres of smoothing: as much as keeps clear
        smooth = _smoothed(track, width)
        if (space.clearance(smooth) >= CLEARANCE + _SLACK / 2).all():
            return smooth
    return _evenly(track, MOMENTS)


def _stops(space: FreeSpace, count: int, rng: np.random.Generator) -> np.ndarray:
    """Rows (S,) of the space's cells, far from one another (farthest first), in an order that makes a short round."""
    xy = space.place(space.cells)
    chosen = [int(rng.integers(len(xy)))]
    apart = np.linalg.norm(xy - xy[chosen[0]], axis=1)
    for _ in range(count - 1):
        # Places with more air around them are better to look from.
        best = int(np.argmax(apart * (0.5 + np.minimum(space.distance[space.free], 0.6))))
        chosen.append(best)
        apart = np.minimum(apart, np.linalg.norm(xy - xy[best], axis=1))
    angle = np.arctan2(*(xy[chosen] - xy.mean(axis=0)).T[::-1])
    order = np.argsort(angle, kind="stable")
    return np.array(chosen)[order if rng.random() < 0.5 else order[::-1]]


def _way(space: FreeSpace, start: int, end: int) -> np.ndarray:
    """Rows of the space's cells from ``start`` to before ``end``, the cheapest way."""
    _, before = space.ways_from(end)
    way = [start]
    while way[-1] != end:
        way.append(int(before[way[-1]]))
    return np.array(way[:-1] or way)


def _smoothed(track: np.ndarray, width: float) -> np.ndarray:
    """A closed track (N, 2) smoothed along its length over ``width`` metres, in MOMENTS even steps."""
    fine = _evenly(track, 1000)
    length = np.linalg.norm(np.diff(fine, axis=0), axis=1).sum()
    fine = gaussian_filter1d(fine, width / max(length, width) * 1000, axis=0, mode="wrap")
    return _evenly(fine, MOMENTS)


def _evenly(track: np.ndarray, count: int) -> np.ndarray:
    """``count`` points (count, 2) at even steps once around a closed track."""
    closed = np.concatenate([track, track[:1]])
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, length[-1], count, endpoint=False)
    return np.column_stack([np.interp(at, length, column) for column in closed.T])


def _heights(rng: np.random.Generator) -> np.ndarray:
    """(MOMENTS,) metres, slowly up and down."""
    t = np.linspace(0, 2 * np.pi, MOMENTS, endpoint=False)
    swing = 0.7 * np.sin(t * rng.integers(1, 3) + rng.uniform(0, 6.28)) + 0.3 * np.sin(5 * t + rng.uniform(0, 6.28))
    return (EYE_LOW + EYE_HIGH) / 2 + 0.45 * (EYE_HIGH - EYE_LOW) * swing


# The gaze


def _targets(room: Room) -> tuple[np.ndarray, np.ndarray]:
    """What to look at: centres (T, 3) of the furniture with weights (T,), and a little of the walls in between."""
    centers, weights = [], []
    for placed in room.instances:
        if placed.piece.category in SHELL:
            continue
        low, high = placed.vertices.min(axis=0), placed.vertices.max(axis=0)
        size = np.sort(high - low)
        centers.append((low + high) / 2)
        weights.append(np.clip(np.sqrt(size[1] * size[2]), 0.15, 1.2))
    for a, b in zip(room.outline, np.roll(room.outline, -1, axis=0), strict=True):
        for share in np.arange(0.5, count := max(1, round(float(np.linalg.norm(b - a))))) / count:
            centers.append(np.array([*(a + (b - a) * share), 0.6]))
            weights.append(0.12)
    return np.array(centers), np.array(weights)


def _gaze(room: Room, space: FreeSpace, eye: np.ndarray, targets: np.ndarray, weights: np.ndarray,
          rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Heading (MOMENTS,) radians, and distance and drop (metres, downwards) of what is looked at, (MOMENTS,) each.

    At every moment the eye turns towards the heading that shows most of what has been seen least, a turn being a cost.
    """
    to = targets[None] - eye[:, None]
    bearing, distance = np.arctan2(to[..., 1], to[..., 0]), np.linalg.norm(to[..., :2], axis=2)
    shown = _in_sight(room.outline, eye[:, :2], targets[:, :2]) * weights * _closeness(distance)
    wide = _openness(space, eye[:, :2])
    heading, aimed = np.zeros(MOMENTS), np.zeros((2, MOMENTS))
    seen = np.zeros(len(targets))
    now, turning = float(rng.uniform(-np.pi, np.pi)), 0.0
    for k in range(MOMENTS):
        want = shown[k] / (0.03 + seen)
        off = _wrapped(bearing[k] - _HEADINGS[:, None])
        worth = (np.exp(-((off / _SIGHT) ** 2)) @ want) * wide[k]
        turn = _wrapped(_HEADINGS - now)
        goal = turn[np.argmax(worth / worth.max() - 0.25 * np.abs(turn) / np.pi)]
        # The turn's own speed changes slowly: a hand neither starts nor stops at once.
        # What is near passes quickly as one walks: there the eye turns slower, so that frames overlap.
        most = MAX_TURN * wide[k, np.argmin(np.abs(turn))]
        turning += np.clip(np.clip(0.15 * goal, -most, most) - turning, -MAX_TURN / 5, MAX_TURN / 5)
        now += turning
        view = np.exp(-((_wrapped(bearing[k] - now) / _SIGHT) ** 2))
        seen += view * (shown[k] > 0) / MOMENTS
        heading[k] = now
        mix = view * shown[k] + 1e-9
        aimed[:, k] = (mix @ distance[k]) / mix.sum(), (mix @ -to[k, :, 2]) / mix.sum()
    return heading, aimed[0], aimed[1]


def _closeness(distance: np.ndarray) -> np.ndarray:
    """How good a distance (metres) is to look from: best from 1.3 to 3, too near below half a metre."""
    return np.clip(distance - 0.4, 0.02, 0.9) / 0.9 / (1 + (np.maximum(distance - 2.5, 0) / 1.5) ** 2)


def _openness(space: FreeSpace, eyes: np.ndarray) -> np.ndarray:
    """From 0.3, a wall or a tall thing right ahead, to 1, nothing within 1.5 metres; (N, headings)."""
    ways = np.column_stack([np.cos(_HEADINGS), np.sin(_HEADINGS)])
    steps = np.arange(0.3, 1.6, 0.15)
    spots = eyes[:, None, None] + ways[None, :, None] * steps[:, None]
    clear = space.clearance(spots.reshape(-1, 2)).reshape(spots.shape[:3]) > 0
    return 0.3 + 0.7 * np.logical_and.accumulate(clear, axis=2).mean(axis=2)


def _in_sight(outline: np.ndarray, eyes: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Whether the walls leave targets (T, 2) in sight of eyes (N, 2); (N, T) float. Things on a wall are in sight."""
    free = np.ones((len(eyes), len(targets)), dtype=bool)
    aims = eyes[:, None] + (targets[None] - eyes[:, None]) * 0.9
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        sides = _side(a, b, eyes)[:, None] * _side(a, b, aims) < 0
        ends = _side(eyes[:, None], aims, a) * _side(eyes[:, None], aims, b) < 0
        free &= ~(sides & ends)
    return free.astype(np.float64)


def _side(a: np.ndarray, b: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Positive where ``p`` lies left of the line from ``a`` to ``b``."""
    ab, ap = b - a, p - a
    return ab[..., 0] * ap[..., 1] - ab[..., 1] * ap[..., 0]


def _wrapped(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _sample(at: np.ndarray, along: np.ndarray, values: np.ndarray) -> np.ndarray:
    columns = values.reshape(len(values), -1).T
    return np.column_stack([np.interp(at, along, column) for column in columns]).reshape(len(at), *values.shape[1:])
