"""Solids with a hollow: basins, tubs and bowls lofted through rings, bent tubes, taps and hanging cloth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparse3d.rooms.builder import PieceBuilder, Vector, rotation_x
from sparse3d.rooms.piece import Material


@dataclass(frozen=True)
class Ring:
    """A level superellipse around (x, y): ``half`` its half sizes along x and y, in metres.

    ``power`` 1 is an ellipse, 0.3 a rectangle with round corners; ``back`` another half size towards +y (an egg).
    """

    z: float
    half: tuple[float, float]
    x: float = 0.0
    y: float = 0.0
    power: float = 1.0
    back: float | None = None

    def points(self, sides: int) -> np.ndarray:
        """(sides + 1, 3) float64, the first point again at the end; evenly spread in angle, finer at corners."""
        angle = np.linspace(0, 2 * np.pi, sides + 1)
        cos, sin = np.cos(angle), np.sin(angle)
        reach = np.where(sin > 0, self.half[1] if self.back is None else self.back, self.half[1])
        x = self.half[0] * np.sign(cos) * np.abs(cos) ** self.power
        y = reach * np.sign(sin) * np.abs(sin) ** self.power
        return np.stack([self.x + x, self.y + y, np.full_like(x, self.z)], axis=1)


def loft(
    build: PieceBuilder,
    rings: Sequence[Ring],
    material: Material,
    part: str,
    sides: int = 28,
    tilt: float = 0.0,
    pivot: Vector = (0, 0, 0),
) -> None:
    """A skin through ``rings`` in their order, turned by ``tilt`` radians about an axis along x through ``pivot``.

    A ring of half size 0 closes it.
    """
    turn, fixed = rotation_x(tilt), np.asarray(pivot, dtype=np.float64)
    rows = [(ring.points(sides) - fixed) @ turn.T + fixed for ring in rings]
    widest = max(rows, key=lambda row: float(np.ptp(row[:, 0])))
    u = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(widest, axis=0), axis=1))])
    v = 0.0
    for lower, upper in zip(rows, rows[1:], strict=False):
        step = float(np.linalg.norm(upper - lower, axis=1).mean())
        build.strip(lower, upper, u, v, v + step, material, part)
        v += step


def plate_with_hole(
    build: PieceBuilder,
    outline: Vector | Sequence[Vector],
    hole: Ring,
    low: float,
    high: float,
    material: Material,
    part: str,
    sides: int = 28,
) -> None:
    """A plate of a convex ``outline`` (P, 2), counter-clockwise, between two heights, with ``hole`` cut through it.

    Both outlines are sampled at the same angles around the hole's middle, the outer one at its corners, too.
    """
    corners = np.asarray(outline, dtype=np.float64) - [hole.x, hole.y]
    angle = np.concatenate([np.linspace(-np.pi, np.pi, sides + 1)[:-1], np.arctan2(corners[:, 1], corners[:, 0])])
    angle = np.unique(np.round(angle, 9))
    angle = np.append(angle, angle[0] + 2 * np.pi)
    way = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    edge = np.roll(corners, -1, axis=0) - corners
    outward = np.stack([edge[:, 1], -edge[:, 0]], axis=1)
    speed = way @ outward.T
    reach = np.where(speed > 1e-12, (corners * outward).sum(axis=1) / np.maximum(speed, 1e-12), np.inf).min(axis=1)
    exponent = 2 / hole.power
    radius = (np.abs(way / np.asarray(hole.half)) ** exponent).sum(axis=1) ** (-1 / exponent)
    outer, inner = way * reach[:, None] + [hole.x, hole.y], way * radius[:, None] + [hole.x, hole.y]

    def at(points: np.ndarray, z: float) -> np.ndarray:
        return np.column_stack([points, np.full(len(points), z)])

    for z in (low, high):
        flat = np.stack([at(outer, z)[:-1], at(outer, z)[1:], at(inner, z)[1:], at(inner, z)[:-1]], axis=1)
        build.quads(flat, flat[:, :, :2] - outer.min(axis=0), material, part)
    for points in (outer, inner):
        u = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
        build.strip(at(points, low), at(points, high), u, low, high, material, part)


def basin(
    build: PieceBuilder,
    center: Vector,
    size: tuple[float, float],
    depth: float,
    material: Material,
    power: float = 0.4,
    rim: float = 0.02,
    part: str = "basin",
    sides: int = 28,
    wall: float = 0.008,
) -> None:
    """A basin let in from above: a rim of ``size`` (x, y) around ``center`` (its top), the bowl hangs ``depth`` below.

    The bowl's outer wall stays within ``size`` less ``rim`` on each side, which is the hole that it hangs in.
    """  # fmt: skip
    x, y, z = (float(value) for value in center)
    a, b = size[0] / 2, size[1] / 2

    def ring(drop: float, inset: float) -> Ring:
        return Ring(z - drop, (max(a - inset, 0.0), max(b - inset, 0.0)), x, y, power)

    loft(build, [ring(0.006, 0), ring(0, 0.003), ring(0, rim + wall)], material, "rim", sides)
    deep = min(a, b)
    inner = [ring(0, rim + wall), ring(depth * 0.8, rim + wall + 0.015), ring(depth - wall, rim + wall + 0.2 * deep)]
    loft(build, [*inner, Ring(z - depth + wall, (0, 0), x, y)], material, part, sides)
    outer = [ring(0.006, 0), ring(0.006, rim), ring(depth * 0.8, rim + 0.012), ring(depth, rim + 0.2 * deep)]
    loft(build, [*outer, Ring(z - depth, (0, 0), x, y)], material, part, sides)


def tub(
    build: PieceBuilder,
    size: tuple[float, float, float],
    depth: float,
    material: Material,
    power: float = 0.6,
    rim: float = 0.04,
    taper: float = 0.12,
    low: float = 0.0,
    parts: tuple[str, str, str] = ("side", "rim", "basin"),
    center: tuple[float, float] = (0, 0),
) -> None:
    """A standing vessel of ``size`` (x, y, top's z) with walls of thickness ``rim``, ``depth`` deep, from ``low`` on.

    ``taper`` is how much narrower (metres a side) the foot is than the top.
    """  # fmt: skip
    a, b, top = size[0] / 2, size[1] / 2, size[2]

    def ring(z: float, inset: float) -> Ring:
        return Ring(z, (max(a - inset, 0.0), max(b - inset, 0.0)), *center, power)

    height = top - low
    loft(build, [Ring(low, (0, 0), *center), ring(low, taper), ring(low + 0.4 * height, taper * 0.45),
                 ring(top - 0.02, 0)], material, parts[0])  # fmt: skip
    loft(build, [ring(top - 0.02, 0), ring(top - 0.004, 0.002), ring(top, 0.01), ring(top, rim)], material, parts[1])
    loft(build, [ring(top, rim), ring(top - 0.55 * depth, rim + 0.35 * taper), ring(top - 0.9 * depth, rim + taper),
                 ring(top - depth, rim + taper + 0.25 * b), Ring(top - depth, (0, 0), *center)],
         material, parts[2])  # fmt: skip


def tube(build: PieceBuilder, points: Sequence[Vector], radius: float, material: Material, part: str,
         sides: int = 8) -> None:  # fmt: skip
    """A round bar bent along ``points``; each stretch runs a little into the next, so that bends do not gape."""
    path = [np.asarray(point, dtype=np.float64) for point in points]
    for start, end in zip(path, path[1:], strict=False):
        along = (end - start) / np.linalg.norm(end - start)
        build.cylinder(start, end + along * radius * 0.3, radius, material, part, sides)


def tap(build: PieceBuilder, foot: Vector, height: float, reach: float, material: Material, arched: bool = True,
        part: str = "faucet") -> None:  # fmt: skip
    """A tap on ``foot`` whose spout comes forward (-y) by ``reach``, with a lever."""
    x, y, z = (float(value) for value in foot)
    build.cylinder((x, y, z), (x, y, z + 0.05), 0.02, material, part, 12)
    if arched:
        bend = np.linspace(0, np.pi, 7)
        radius = reach / 2
        arch = [(x, y - radius * (1 - np.cos(t)), z + height - radius + radius * np.sin(t)) for t in bend]
        tube(build, [(x, y, z + 0.04), *arch, (x, y - reach, z + height - radius - 0.03)], 0.011, material, part)
        build.cylinder((x + 0.015, y, z + 0.035), (x + 0.07, y, z + 0.06), 0.007, material, part, 6)
    else:
        build.cylinder((x, y, z + 0.04), (x, y, z + height), 0.018, material, part, 12)
        spout = np.array([x, y, z + height * 0.8])
        build.cylinder(spout, spout + [0, -reach, -0.02], 0.012, material, part, 8)
        build.box((x, y - 0.025, z + height + 0.006), (0.022, 0.09, 0.012), material, part)


def hanging_cloth(
    build: PieceBuilder,
    path: np.ndarray,
    top: float,
    bottom: float,
    material: Material,
    part: str,
    rng: np.random.Generator,
    depth: float = 0.03,
    wave: float = 0.15,
) -> None:
    """Cloth that hangs in folds along ``path`` (N, 2), between two heights.

    ``depth`` is how far folds stand off the path, ``wave`` their length; folds are less deep at the top, where rings
    hold them.
    """  # fmt: skip
    path = np.asarray(path, dtype=np.float64)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    count = max(8, int(np.ceil(along[-1] / wave * 6)))
    at = np.linspace(0, along[-1], count + 1)
    line = np.stack([np.interp(at, along, path[:, 0]), np.interp(at, along, path[:, 1])], axis=1)
    tangent = np.gradient(line, axis=0)
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], 1) / np.linalg.norm(tangent, axis=1, keepdims=True)
    phase = 2 * np.pi * at / wave + np.interp(at, np.linspace(0, along[-1], 6), rng.uniform(-1.2, 1.2, 6))
    strength = np.interp(at, np.linspace(0, along[-1], 8), rng.uniform(0.5, 1.0, 8))
    rows = []
    for share in np.linspace(0, 1, 6):
        fold = depth * (0.35 + 0.65 * share) * strength * np.sin(phase + 0.4 * share)
        rows.append(np.column_stack([line + normal * fold[:, None], np.full(len(at), top + (bottom - top) * share)]))
    build.sheet(np.stack(rows), material, part)
