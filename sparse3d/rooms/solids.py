"""Solids beyond those of :mod:`sparse3d.rooms.builder`: bars, tubes, rounded boards, padding and bent shells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparse3d.rooms.builder import PieceBuilder, Vector, rotation_x, rotation_z
from sparse3d.rooms.piece import Material

_LEAST_AREA = 1e-9  # m2: a triangle of a tenth of a millimetre across is the seam of a pole, not a surface


class SolidBuilder(PieceBuilder):
    """A builder that leaves out triangles without area, which round solids have at their poles."""

    def triangles(self, vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, material: Material, part: str) -> None:
        """As the builder's, without the triangles that are only a point or a line."""
        vertices, faces = np.asarray(vertices, dtype=np.float64), np.asarray(faces, dtype=np.int64)
        a, b, c = np.moveaxis(vertices[faces], 1, 0)
        keep = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2 > _LEAST_AREA
        if not keep.all():
            used, rows = np.unique(faces[keep], return_inverse=True)
            vertices, faces, uv = vertices[used], rows.reshape(-1, 3), np.asarray(uv)[keep]
        super().triangles(vertices, faces, uv, material, part)

    def sheet(self, grid: np.ndarray, material: Material, part: str) -> None:
        """As the builder's, laid in one go: paddings and tubes have many rows."""
        grid = np.asarray(grid, dtype=np.float64)
        u = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(grid[len(grid) // 2], axis=0), axis=1))])
        v = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(grid[:, 0], axis=0), axis=1))])
        both = np.dstack([grid, *np.meshgrid(u, v)])
        cells = np.stack([both[:-1, :-1], both[:-1, 1:], both[1:, 1:], both[1:, :-1]], axis=2).reshape(-1, 4, 5)
        self.quads(cells[..., :3], cells[..., 3:], material, part)


def bar(build: PieceBuilder, start: Vector, end: Vector, size: tuple[float, float], material: Material, part: str,
        taper: float = 1.0, axis: int | None = None) -> None:  # fmt: skip
    """A straight bar with a rectangular section, cut level with the floor or plumb at both ends.

    ``size`` is the section's along the two axes, in the order x, y, z, that are not the bar's main one; ``taper`` is
    the share of it that is left at ``end``; ``axis`` names the main one of a bar that is nearly diagonal.
    """
    start, end = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    main = int(np.argmax(np.abs(end - start))) if axis is None else axis
    across = [other for other in range(3) if other != main]
    rings = []
    for point, share in ((start, 1.0), (end, taper)):
        ring = np.repeat(point[None], 4, axis=0)
        ring[:, across[0]] += np.array([-1, 1, 1, -1]) * size[0] * share / 2
        ring[:, across[1]] += np.array([-1, -1, 1, 1]) * size[1] * share / 2
        rings.append(ring)
    length = float(np.linalg.norm(end - start))
    sides, uv = [rings[0], rings[1]], [[[0, 0], [size[0], 0], [size[0], size[1]], [0, size[1]]]] * 2
    for k in range(4):
        sides.append(np.stack([rings[0][k], rings[1][k], rings[1][(k + 1) % 4], rings[0][(k + 1) % 4]]))
        uv.append([[0, 0], [length, 0], [length, size[k % 2]], [0, size[k % 2]]])
    build.quads(np.stack(sides), np.array(uv), material, part)


def tube(build: PieceBuilder, points: Sequence[Vector] | np.ndarray, radius: float, material: Material, part: str,
         sides: int = 8, closed: bool = False) -> None:  # fmt: skip
    """A round bar along a polyline, mitred at its corners; ``closed`` joins the last point to the first.

    The section is carried along by the least turn from one stretch to the next, so that it does not twist.
    """
    path = np.asarray(points, dtype=np.float64)
    if closed:
        path = np.concatenate([path, path[:1]])
    ways = np.diff(path, axis=0)
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    across = np.cross([0.0, 1.0, 0.0] if abs(ways[0][1]) < 0.9 else [1.0, 0.0, 0.0], ways[0])
    across /= np.linalg.norm(across)
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    rings = []
    for k in range(len(path)):
        before, after = ways[max(k - 1, 0)], ways[min(k, len(ways) - 1)]
        if closed and k in (0, len(path) - 1):
            before, after = ways[-1], ways[0]
        way = (before + after) / np.linalg.norm(before + after)
        across = across - way * (across @ way)
        across /= np.linalg.norm(across)
        wide = radius / max(float(way @ after), 0.5)  # a mitred corner's section is longer across the bend
        other = np.cross(way, across)
        bend = after - before
        offsets = radius * (np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * other)
        if np.linalg.norm(bend) > 1e-6:
            bend = bend / np.linalg.norm(bend)
            offsets += np.outer(offsets @ bend, bend) * (wide / radius - 1)
        rings.append(path[k] + offsets)
    if closed:  # the carried section may come back turned: the seam is closed with the first ring's own points
        turn = int(np.argmin([np.linalg.norm(np.roll(rings[0][:-1], s, 0) - rings[-1][:-1]) for s in range(sides)]))
        ring = np.roll(rings[0][:-1], turn, 0)
        rings[-1] = np.concatenate([ring, ring[:1]])
    build.sheet(np.stack(rings), material, part)
    if not closed:
        for point, ring in ((path[0], rings[0]), (path[-1], rings[-1])):
            _fan(build, point, ring[:-1], material, part)


def rounded_rectangle(width: float, depth: float, radius: float, steps: int = 3) -> np.ndarray:
    """(4 steps + 4, 2) corners of a rectangle around the origin with round corners, counter-clockwise."""
    radius = min(radius, width / 2 - 1e-4, depth / 2 - 1e-4)
    quarter = np.linspace(0, np.pi / 2, steps + 1)
    corners = []
    for k, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        middle = np.array([sx * (width / 2 - radius), sy * (depth / 2 - radius)])
        turned = quarter + k * np.pi / 2
        corners.append(middle + radius * np.stack([np.cos(turned), np.sin(turned)], axis=1))
    return np.concatenate(corners)


def ellipse(width: float, depth: float, sides: int = 24) -> np.ndarray:
    """(sides, 2) points of an ellipse around the origin, counter-clockwise."""
    angle = np.arange(sides) * 2 * np.pi / sides
    return np.stack([np.cos(angle) * width / 2, np.sin(angle) * depth / 2], axis=1)


def rounded_board(build: PieceBuilder, center: Vector, size: Vector, radius: float, material: Material,
                  part: str) -> None:  # fmt: skip
    """A level board of ``size`` (x, y, z) around ``center``, its upright edges rounded."""
    outline = rounded_rectangle(float(size[0]), float(size[1]), radius) + np.asarray(center)[:2]
    build.prism(outline, center[2] - size[2] / 2, center[2] + size[2] / 2, material, part)


def padding(build: PieceBuilder, center: Vector, size: Vector, material: Material, part: str, radius: float = 0.04,
            crown: float = 0.0, tilt: float = 0.0, yaw: float = 0.0, steps: int = 2) -> None:  # fmt: skip
    """An upholstered box: all edges rounded by ``radius``, its top and bottom swollen by ``crown`` in the middle."""
    width, depth, high = (float(value) for value in size)
    radius = min(radius, width / 2.02, depth / 2.02, high / 2.02)
    bend = np.linspace(0, np.pi / 2, steps + 1)
    inset = np.concatenate([radius * (1 - np.sin(bend)), radius * (1 - np.sin(bend[::-1]))])
    level = np.concatenate([-high / 2 + radius * (1 - np.cos(bend)), high / 2 - radius * (1 - np.cos(bend[::-1]))])
    R, shift = rotation_z(yaw) @ rotation_x(tilt), np.asarray(center, dtype=np.float64)
    rings = []
    for by, z in zip(inset, level, strict=True):
        ring = rounded_rectangle(width - 2 * by, depth - 2 * by, max(radius * 1.3 - by, 1e-3), steps)
        ring = np.concatenate([ring, ring[:1]])
        rings.append(np.column_stack([ring, np.full(len(ring), z)]))
    build.sheet(np.stack(rings) @ R.T + shift, material, part)
    for edge, sign in ((rings[0], -1.0), (rings[-1], 1.0)):
        _swollen(build, edge, sign * crown, R, shift, material, part)


def _swollen(build: PieceBuilder, edge: np.ndarray, crown: float, R: np.ndarray, shift: np.ndarray,
             material: Material, part: str) -> None:  # fmt: skip
    """The top or bottom of a padding: a ring half way in, and a fan to the middle."""
    half = edge[:-1] * [0.6, 0.6, 1.0] + [0.0, 0.0, crown * 0.8]
    middle = np.array([[0.0, 0.0, edge[0, 2] + crown]])
    points = np.concatenate([edge[:-1], half, middle])
    n = len(half)
    here, after = np.arange(n), (np.arange(n) + 1) % n
    faces = np.concatenate([np.stack([here, after, after + n], 1), np.stack([here, after + n, here + n], 1),
                            np.stack([here + n, after + n, np.full(n, 2 * n)], 1)])  # fmt: skip
    build.triangles(points @ R.T + shift, faces, points[faces][:, :, :2] - edge.min(axis=0)[:2], material, part)


def shell(build: PieceBuilder, grid: np.ndarray, thickness: float, material: Material, part: str) -> None:
    """A bent board: the surface through ``grid`` (R, C, 3) and its copy ``thickness`` behind it, with closed edges.

    Behind is against the normal (across the columns) x (across the rows).
    """
    grid = np.asarray(grid, dtype=np.float64)
    normal = np.cross(np.gradient(grid, axis=1), np.gradient(grid, axis=0))
    normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-12)
    back = grid - normal * thickness
    build.sheet(grid, material, part)
    build.sheet(back, material, part)
    for near, far in ((grid[0], back[0]), (grid[-1], back[-1]), (grid[:, 0], back[:, 0]), (grid[:, -1], back[:, -1])):
        build.sheet(np.stack([near, far]), material, part)


def _fan(build: PieceBuilder, middle: np.ndarray, ring: np.ndarray, material: Material, part: str) -> None:
    n = len(ring)
    points = np.concatenate([ring, middle[None]])
    faces = np.stack([np.arange(n), (np.arange(n) + 1) % n, np.full(n, n)], axis=1)
    flat = np.linalg.norm(points[faces] - middle, axis=2)
    uv = np.stack([flat, np.tile(flat[:, :1], (1, 3))], axis=2)
    build.triangles(points, faces, uv, material, part)


def arc(middle: Vector, across: Vector, up: Vector, start: float, end: float, steps: int) -> np.ndarray:
    """(steps + 1, 3) points on ``middle`` + cos * ``across`` + sin * ``up``, from angle ``start`` to ``end``."""
    angle = np.linspace(start, end, steps + 1)[:, None]
    return np.asarray(middle) + np.cos(angle) * np.asarray(across) + np.sin(angle) * np.asarray(up)
