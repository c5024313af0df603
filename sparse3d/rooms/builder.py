"""Putting a piece together from solids: boxes, cylinders, turned profiles, cushions, prisms and sheets.

Texture coordinates are laid on in metres: flat faces are mapped along their own axes, with the texture's u along the
longer side of a box's face (the grain of wood runs along a board), round ones unrolled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sparse3d.rooms.piece import Material, Piece, Support

Vector = Sequence[float] | np.ndarray
# A box's faces: axis of the normal, its sign, the axes across and up.
_FACES = ((0, -1, 1, 2), (0, 1, 1, 2), (1, -1, 0, 2), (1, 1, 0, 2), (2, -1, 0, 1), (2, 1, 0, 1))


class PieceBuilder:
    """Collects solids, then gives out the :class:`Piece`. Every solid names its material and its part."""

    def __init__(self, category: str) -> None:
        self.category = category
        self._vertices: list[np.ndarray] = []
        self._faces: list[np.ndarray] = []
        self._uv: list[np.ndarray] = []
        self._materials: list[Material] = []
        self._parts: list[str] = []
        self._face_material: list[np.ndarray] = []
        self._face_part: list[np.ndarray] = []
        self._supports: list[Support] = []
        self._count = 0

    def triangles(self, vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, material: Material, part: str) -> None:
        """Any triangles: ``vertices`` (V, 3), ``faces`` (F, 3), ``uv`` (F, 3, 2) metres."""
        self._vertices.append(np.asarray(vertices, dtype=np.float64))
        self._faces.append(np.asarray(faces, dtype=np.int64) + self._count)
        self._uv.append(np.asarray(uv, dtype=np.float32))
        self._face_material.append(np.full(len(faces), self._row(self._materials, material)))
        self._face_part.append(np.full(len(faces), self._row(self._parts, part)))
        self._count += len(vertices)

    def quads(self, corners: np.ndarray, uv: np.ndarray, material: Material, part: str) -> None:
        """Flat or bent quadrilaterals: ``corners`` (Q, 4, 3) in order around, ``uv`` (Q, 4, 2) metres."""
        corners, uv = np.asarray(corners, dtype=np.float64), np.asarray(uv, dtype=np.float32)
        first = np.arange(len(corners))[:, None] * 4
        faces = np.concatenate([first + np.array([0, 1, 2]), first + np.array([0, 2, 3])])
        laid = np.concatenate([uv[:, [0, 1, 2]], uv[:, [0, 2, 3]]])
        self.triangles(corners.reshape(-1, 3), faces, laid, material, part)

    def box(self, center: Vector, size: Vector, material: Material, part: str,
            yaw: float = 0.0, tilt: float = 0.0) -> None:  # fmt: skip
        """A box of ``size`` (x, y, z) around ``center``, tilted about its x axis, then turned about z (radians)."""
        half = np.asarray(size, dtype=np.float64) / 2
        corners, uv = [], []
        for axis, sign, u, v in _FACES:
            if half[v] > half[u]:
                u, v = v, u
            square = np.zeros((4, 3))
            square[:, axis] = sign * half[axis]
            square[:, u], square[:, v] = half[u] * np.array([-1, 1, 1, -1]), half[v] * np.array([-1, -1, 1, 1])
            corners.append(square)
            uv.append(square[:, [u, v]] + half[[u, v]])
        R = rotation_z(yaw) @ rotation_x(tilt)
        self.quads(np.stack(corners) @ R.T + np.asarray(center), np.stack(uv), material, part)

    def board(self, low: Vector, high: Vector, material: Material, part: str) -> None:
        """A box by its lower and its upper corner."""
        low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
        self.box((low + high) / 2, high - low, material, part)

    def cylinder(self, start: Vector, end: Vector, radius: float | tuple[float, float], material: Material, part: str,
                 sides: int = 16, caps: bool = True) -> None:  # fmt: skip
        """A cylinder, or a cone's frustum with ``radius`` at the start and at the end, between two points."""
        r0, r1 = radius if isinstance(radius, tuple) else (radius, radius)
        profile = [(r0, 0.0), (r1, 1.0)]
        if caps:
            profile = [(0.0, 0.0), *profile, (0.0, 1.0)]
        self.turned(profile, material, part, start, end, sides)

    def turned(self, profile: Sequence[tuple[float, float]], material: Material, part: str,
               start: Vector = (0, 0, 0), end: Vector = (0, 0, 1), sides: int = 20) -> None:  # fmt: skip
        """A profile of (radius, share of the way from ``start`` to ``end``) turned about that way."""
        start, end = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
        length = float(np.linalg.norm(end - start))
        frame = _frame_along(end - start)
        angle = np.linspace(0, 2 * np.pi, sides + 1)
        ring = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=1)
        rows = [start + (ring * r + np.array([0, 0, t * length])) @ frame.T for r, t in profile]
        widest = max(r for r, _ in profile)
        steps = [np.hypot(b[0] - a[0], (b[1] - a[1]) * length) for a, b in zip(profile, profile[1:], strict=False)]
        along = np.concatenate([[0.0], np.cumsum(steps)])
        for k in range(len(profile) - 1):
            self.strip(rows[k], rows[k + 1], angle * widest, along[k], along[k + 1], material, part)

    def strip(self, lower: np.ndarray, upper: np.ndarray, u: np.ndarray, v_lower: float, v_upper: float,
              material: Material, part: str) -> None:  # fmt: skip
        """Quadrilaterals between two polylines (N, 3) of equally many points, ``u`` (N,) metres along them."""
        corners = np.stack([lower[:-1], lower[1:], upper[1:], upper[:-1]], axis=1)
        low, high = np.full(len(u), v_lower), np.full(len(u), v_upper)
        uv = np.stack([np.stack([u, low], 1)[:-1], np.stack([u, low], 1)[1:], np.stack([u, high], 1)[1:],
                       np.stack([u, high], 1)[:-1]], axis=1)  # fmt: skip
        self.quads(corners, uv, material, part)

    def sheet(self, grid: np.ndarray, material: Material, part: str) -> None:
        """A bent sheet through a ``grid`` (R, C, 3) of points: curtains, shells, cushions' covers."""
        grid = np.asarray(grid, dtype=np.float64)
        u = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(grid[0], axis=0), axis=1))])
        v = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(grid[:, 0], axis=0), axis=1))])
        for r in range(len(grid) - 1):
            self.strip(grid[r], grid[r + 1], u, v[r], v[r + 1], material, part)

    def cushion(self, center: Vector, size: Vector, material: Material, part: str, roundness: float = 0.35,
                steps: int = 10, tilt: float = 0.0, yaw: float = 0.0) -> None:  # fmt: skip
        """A soft box: a superellipsoid within ``size``; ``roundness`` 0 is nearly a box, 1 an ellipsoid."""
        power = 0.12 + 0.88 * roundness
        lat, lon = np.linspace(-np.pi / 2, np.pi / 2, steps + 1), np.linspace(-np.pi, np.pi, 2 * steps + 1)

        def bent(value: np.ndarray) -> np.ndarray:
            return np.sign(value) * np.abs(value) ** power

        z = np.repeat(bent(np.sin(lat))[:, None], len(lon), axis=1)
        flat = bent(np.cos(lat))[:, None]
        grid = np.stack([flat * bent(np.cos(lon)), flat * bent(np.sin(lon)), z], axis=-1) * np.asarray(size) / 2
        R = rotation_z(yaw) @ rotation_x(tilt)
        self.sheet(grid @ R.T + np.asarray(center), material, part)

    def prism(self, outline: np.ndarray, low: float, high: float, material: Material, part: str) -> None:
        """A convex ``outline`` (P, 2), counter-clockwise from above, between two heights."""
        outline = np.asarray(outline, dtype=np.float64)
        closed = np.concatenate([outline, outline[:1]])
        lower = np.column_stack([closed, np.full(len(closed), low)])
        upper = np.column_stack([closed, np.full(len(closed), high)])
        u = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
        self.strip(lower, upper, u, low, high, material, part)
        fan = np.stack([np.zeros(len(outline) - 2, int), np.arange(1, len(outline) - 1), np.arange(2, len(outline))], 1)
        for flat in (lower[:-1], upper[:-1]):
            self.triangles(flat, fan, flat[fan][:, :, :2] - outline.min(axis=0), material, part)

    def support(self, center: Vector, size: tuple[float, float], clearance: float = 0.6) -> None:
        """A level rectangle on which things can stand."""
        x, y, z = (float(value) for value in center)
        self._supports.append(Support((x, y, z), (float(size[0]), float(size[1])), clearance))

    def build(self) -> Piece:
        """The piece, moved so that its origin is in the middle of its footprint at its lowest point."""
        vertices = np.concatenate(self._vertices)
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        shift = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
        return self.build_at(shift)

    def build_at(self, origin: Vector = (0, 0, 0)) -> Piece:
        """The piece with ``origin`` as its frame's: for pieces of a group, which share one frame."""
        o = np.asarray(origin, dtype=np.float64)
        supports = tuple(Support(_xyz(np.asarray(s.center) - o), s.size, s.clearance) for s in self._supports)
        return Piece(
            category=self.category,
            vertices=np.concatenate(self._vertices) - o,
            faces=np.concatenate(self._faces),
            uv=np.concatenate(self._uv),
            face_material=np.concatenate(self._face_material),
            face_part=np.concatenate(self._face_part),
            materials=tuple(self._materials),
            parts=tuple(self._parts),
            supports=supports,
        )

    @staticmethod
    def _row(known: list, value: object) -> int:
        for row, other in enumerate(known):
            if other is value or (isinstance(value, str) and other == value):
                return row
        known.append(value)
        return len(known) - 1


def _xyz(values: np.ndarray) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def rotation_z(angle: float) -> np.ndarray:
    """(3, 3) turn about z, radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def rotation_x(angle: float) -> np.ndarray:
    """(3, 3) turn about x, radians."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _frame_along(direction: np.ndarray) -> np.ndarray:
    """(3, 3) whose columns are two axes across ``direction`` and its own unit vector."""
    z = direction / np.linalg.norm(direction)
    x = np.cross([0.0, 1.0, 0.0] if abs(z[1]) < 0.9 else [1.0, 0.0, 0.0], z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)
