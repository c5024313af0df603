"""Points and meshes as pictures: where one looks from, and a z-buffer in numpy. No window, no GPU.

A point is drawn as a square of its size in the world, at least a pixel; a triangle as what it covers. The nearest one
wins a pixel. Where there are normals they are shaded as by a lamp at the viewer; steps of the depth are darkened for
all, so that shapes without normals are readable too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from sparse3d.geometry import invert_rigid, transform_points

BACKGROUND = (248, 248, 250)
NEAR = 0.05  # metres
LARGEST = 9  # pixels, side of the largest square
FOUR_CORNERS = (-125.0, -35.0, 55.0, 145.0)  # degrees: not along the walls, not quite on the diagonals
_EMPTY = np.iinfo(np.int64).max  # of a z-buffer
_DARKEST = 0.45  # of a surface seen edge-on
_STEP = 0.04  # share of the depth: a step between neighbours that counts as an edge


@dataclass(frozen=True, eq=False)
class Viewpoint:
    """Where a picture is taken from. The camera's axes are x right, y down, z forward.

    ``zoom`` is the focal length in pixels, or, for a parallel view (``parallel``), pixels a metre.
    """

    name: str
    T_world_view: np.ndarray  # (4, 4) float64
    zoom: float
    height: int = 600
    width: int = 800
    parallel: bool = False

    def project(self, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 2) float64 (row, col) and depth (N,) metres of ``xyz`` (N, 3); rows behind the viewer mean nothing."""
        seen = transform_points(invert_rigid(self.T_world_view), np.asarray(xyz, dtype=np.float64))
        depth = seen[:, 2]
        scale = self.pixels_a_metre(depth)
        middle = np.array([(self.height - 1) / 2, (self.width - 1) / 2])
        return seen[:, [1, 0]] * scale[:, None] + middle, depth

    def pixels_a_metre(self, depth: np.ndarray) -> np.ndarray:
        """How large a metre is at ``depth`` (N,)."""
        depth = np.asarray(depth, dtype=np.float64)
        return np.full(depth.shape, self.zoom) if self.parallel else self.zoom / np.maximum(depth, NEAR)

    def towards_viewer(self, xyz: np.ndarray) -> np.ndarray:
        """Unit vectors (N, 3) float32 from the points to the viewer."""
        if self.parallel:
            return np.broadcast_to(-self.T_world_view[:3, 2].astype(np.float32), xyz.shape)
        away = self.T_world_view[:3, 3].astype(np.float32) - xyz
        return away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)


@dataclass(frozen=True, eq=False)
class SeenPoints:
    """What a viewpoint sees: made once, coloured as often as one likes."""

    view: Viewpoint
    depth: np.ndarray  # (H, W) float32, metres, inf where nothing is
    point: np.ndarray  # (H, W) int64, row of the point seen there, -1 for none
    light: np.ndarray  # (H, W) float32 in [0, 1]
    corners: np.ndarray | None = None  # (H, W, 3) int64, a mesh's three points there, -1 for none
    weights: np.ndarray | None = None  # (H, W, 3) float32, how much of each

    def painted(self, rgb: np.ndarray, smooth: bool = False) -> np.ndarray:
        """The picture (H, W, 3) uint8 with the points in ``rgb`` (N, 3) uint8; ``smooth`` mixes within triangles."""
        color = np.empty((*self.point.shape, 3), dtype=np.float32)
        color[:] = BACKGROUND
        drawn = self.point >= 0
        if smooth and self.corners is not None and self.weights is not None:
            own = (rgb[self.corners[drawn]] * self.weights[drawn][..., None]).sum(axis=1)
        else:
            own = rgb[self.point[drawn]]
        color[drawn] = own * self.light[drawn][:, None]
        return np.clip(np.round(color), 0, 255).astype(np.uint8)


def look_at(
    eye: Sequence[float], target: Sequence[float], zoom: float, name: str = "", size: tuple[int, int] = (600, 800)
) -> Viewpoint:
    """The view from ``eye`` to ``target`` (metres, z up), ``size`` (H, W) pixels."""
    forward = np.asarray(target, dtype=np.float64) - np.asarray(eye, dtype=np.float64)
    forward /= np.linalg.norm(forward)
    up = (0.0, 1.0, 0.0) if abs(forward[2]) > 0.999 else (0.0, 0.0, 1.0)  # straight down: y is up in the picture
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    T[:3, 3] = eye
    return Viewpoint(name, T, zoom, *size)


def from_above(
    low: np.ndarray, high: np.ndarray, size: tuple[int, int] = (600, 800), margin: float = 0.06
) -> Viewpoint:
    """A parallel view straight down on the box ``low`` to ``high`` (3,) metres; x is right and y is up."""
    middle, extent = (low + high) / 2, np.maximum(high - low, 0.1)
    zoom = (1 - 2 * margin) * min(size[1] / extent[0], size[0] / extent[1])
    view = look_at((middle[0], middle[1], high[2] + 1.0), middle, zoom, "from above", size)
    return Viewpoint(view.name, view.T_world_view, zoom, *size, parallel=True)


def around(
    low: np.ndarray,
    high: np.ndarray,
    turns: Sequence[float] = FOUR_CORNERS,
    size: tuple[int, int] = (600, 800),
    elevation: float = 38.0,
) -> list[Viewpoint]:
    """Views on the box ``low`` to ``high`` (3,) from outside; the box fills each picture.

    ``turns`` are the viewers' directions from the box in degrees, counter-clockwise from x, and ``elevation`` is theirs
    over the horizon.
    """
    middle = (low + high) / 2
    corners = np.array([(x, y, z) for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    radius = max(float(np.linalg.norm(high - low)) / 2, 0.3)
    zoom = 1.1 * size[1]
    views = []
    for k, degrees in enumerate(turns):
        turn, tilt = np.radians(degrees), np.radians(elevation)
        direction = np.array([np.cos(turn) * np.cos(tilt), np.sin(turn) * np.cos(tilt), np.sin(tilt)])
        view = look_at(middle + direction * 3.2 * radius, middle, zoom, f"corner {k + 1}", size)
        # Move the middle and fill the frame: what is nearer looks larger.
        pixels, _ = view.project(corners)
        span = (pixels.max(axis=0) - pixels.min(axis=0)) / np.array(size)
        fill = 0.94 / float(span.max()) if span.max() > 0 else 1.0  # all points may lie in one place
        views.append(_recentred(view, corners, zoom * fill))
    return views


def _recentred(view: Viewpoint, corners: np.ndarray, zoom: float) -> Viewpoint:
    T = view.T_world_view.copy()
    for _ in range(2):
        moved = Viewpoint(view.name, T, zoom, view.height, view.width)
        pixels, depth = moved.project(corners)
        middle = (pixels.min(axis=0) + pixels.max(axis=0)) / 2
        off = (middle - np.array([view.height - 1, view.width - 1]) / 2) * float(depth.mean()) / zoom
        T[:3, 3] += T[:3, 0] * off[1] + T[:3, 1] * off[0]
    return Viewpoint(view.name, T, zoom, view.height, view.width)


def see_points(
    xyz: np.ndarray,
    view: Viewpoint,
    point_size: float | np.ndarray,
    normals: np.ndarray | None = None,
    see_through: np.ndarray | None = None,
    shown: np.ndarray | None = None,
) -> SeenPoints:
    """Which of N points each pixel sees.

    Args:
        xyz: (N, 3) metres.
        view: where from.
        point_size: side of a point's square in metres, one for all or (N,); about the distance of neighbours.
        normals: (N, 3) of unit length, or zero where it is not known; None shades by depth alone.
        see_through: (N,) bool, points left out where they turn their back to the viewer: walls before a room. Needs
            normals.
        shown: (N,) bool, the points to draw at all; None for all of them.
    """
    xyz = np.asarray(xyz, dtype=np.float32)
    pixels, depth = view.project(xyz)
    size = np.clip(np.broadcast_to(point_size, depth.shape) * view.pixels_a_metre(depth), 1, LARGEST)
    inside = (depth > NEAR) & (pixels > -LARGEST).all(axis=1)
    inside &= (pixels[:, 0] < view.height + LARGEST) & (pixels[:, 1] < view.width + LARGEST)
    if shown is not None:
        inside &= shown
    facing = np.ones(len(xyz), dtype=np.float32)
    if normals is not None:
        facing = (normals * view.towards_viewer(xyz)).sum(axis=1)
        if see_through is not None:
            inside &= ~(see_through & (facing < 0))
        facing = np.where(normals.any(axis=1), np.abs(facing), 1)
    rows = np.flatnonzero(inside)
    nearest, winner = _nearest(pixels[rows], depth[rows], np.ceil(size[rows]).astype(np.int64), view)
    point = np.append(rows, -1)[winner]  # the last answers for -1
    light = _DARKEST + (1 - _DARKEST) * np.append(facing, 1)[point]
    return SeenPoints(view, nearest, point, (light * _edges(nearest)).astype(np.float32))


def see_mesh(
    xyz: np.ndarray, faces: np.ndarray, view: Viewpoint, normals: np.ndarray | None = None, both_sides: bool = False
) -> SeenPoints:
    """Which vertices of a mesh each pixel sees; triangles that reach behind the viewer are left out.

    Args:
        xyz: (V, 3) metres.
        faces: (F, 3), counter-clockwise seen from outside.
        view: where from.
        normals: (V, 3) of unit length, for shading and for telling which triangles face away; None goes by the
            triangles themselves.
        both_sides: draw triangles that face away too; otherwise one looks through a room's nearer walls.
    """
    pixels, depth = view.project(xyz)
    faces = np.asarray(faces, dtype=np.int64)
    corners, z = pixels[faces], depth[faces]
    edges = corners[:, 1:] - corners[:, :1]
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]  # rows run down: positive is to the viewer
    first = np.ceil(corners.min(axis=1)).astype(np.int64).clip(0, None)
    last = np.floor(corners.max(axis=1)).astype(np.int64).clip(None, (view.height - 1, view.width - 1))
    good = (z > NEAR).all(axis=1) & (last >= first).all(axis=1) & (np.abs(area) > 1e-9)
    facing = None if normals is None else (normals * view.towards_viewer(xyz)).sum(axis=1)
    if not both_sides:
        good &= area > 0 if facing is None else facing[faces].sum(axis=1) > 0
    rows = np.flatnonzero(good)
    buffer = np.full(view.height * view.width, _EMPTY, dtype=np.int64)
    triangles = _Triangles(corners[rows], z[rows], area[rows], first[rows], last[rows], rows)
    _cover(triangles, buffer, view)
    face = np.where(buffer == _EMPTY, -1, buffer & 0xFFFFFFFF).reshape(view.height, view.width)
    return _mesh_pixels(faces, face, corners, z, area, view, facing)


@dataclass(frozen=True, eq=False)
class _Triangles:
    """T triangles in the picture that may cover a pixel."""

    corners: np.ndarray  # (T, 3, 2) row, col
    z: np.ndarray  # (T, 3)
    area: np.ndarray  # (T,) twice, signed
    first: np.ndarray  # (T, 2) lowest pixel within
    last: np.ndarray  # (T, 2) highest
    number: np.ndarray  # (T,) int64, row of the mesh's faces

    def rows(self, rows: np.ndarray) -> _Triangles:
        return _Triangles(*(getattr(self, f.name)[rows] for f in fields(self)))


def _cover(triangles: _Triangles, buffer: np.ndarray, view: Viewpoint) -> None:
    """Put each triangle into the pixels that it covers, if it is the nearest: all triangles of a size at once."""
    extent = triangles.last - triangles.first + 1
    for height, width in np.unique(extent, axis=0).tolist():
        mine = triangles.rows(np.flatnonzero((extent == (height, width)).all(axis=1)))
        if height * width > 256:  # large ones are few, and each is an array by itself
            for k in range(len(mine.number)):
                _cover_large(mine.rows(np.array([k])), buffer, view)
            continue
        for down in range(height):
            for right in range(width):
                _put(mine, mine.first + (down, right), buffer, view)


def _cover_large(triangle: _Triangles, buffer: np.ndarray, view: Viewpoint) -> None:
    (top, left), (bottom, right) = triangle.first[0], triangle.last[0]
    pixels = np.stack(np.meshgrid(np.arange(top, bottom + 1), np.arange(left, right + 1), indexing="ij"), -1)
    _put(triangle, pixels.reshape(-1, 2), buffer, view)


def _put(triangles: _Triangles, pixels: np.ndarray, buffer: np.ndarray, view: Viewpoint) -> None:
    """``pixels`` (T, 2), one a triangle, or (P, 2) of a single one."""
    weights = _weights(triangles.corners, triangles.area, pixels)
    hit = np.flatnonzero((weights >= 0).all(axis=1))
    # Depth along a straight line of the picture is linear in 1 / z, but the triangles are small.
    z = (weights * triangles.z).sum(axis=1)[hit]
    number = np.broadcast_to(triangles.number, len(pixels))[hit]
    key = (z.astype(np.float32).view(np.int32).astype(np.int64) << 32) | number
    np.minimum.at(buffer, pixels[hit, 0] * view.width + pixels[hit, 1], key)


def _weights(corners: np.ndarray, area: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Barycentric weights (P, 3) of ``pixels`` (P, 2) in triangles (P or 1, 3, 2)."""
    away = corners - pixels[:, None]
    a, b, c = away[:, 0], away[:, 1], away[:, 2]
    parts = [u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] for u, v in ((b, c), (c, a), (a, b))]
    return np.stack(parts, axis=1) / area[:, None]


def _mesh_pixels(
    faces: np.ndarray,
    face: np.ndarray,
    corners: np.ndarray,
    z: np.ndarray,
    area: np.ndarray,
    view: Viewpoint,
    facing: np.ndarray | None,
) -> SeenPoints:
    """Corners, weights and light of each pixel that sees triangle ``face`` (H, W)."""
    drawn = face >= 0
    own = face[drawn]
    shares = _weights(corners[own], area[own], np.argwhere(drawn)).clip(0, 1).astype(np.float32)
    corner = np.full((*face.shape, 3), -1, dtype=np.int64)
    weights = np.zeros((*face.shape, 3), dtype=np.float32)
    depth = np.full(face.shape, np.inf, dtype=np.float32)
    point = np.full(face.shape, -1, dtype=np.int64)
    corner[drawn], weights[drawn] = faces[own], shares
    depth[drawn] = (shares * z[own]).sum(axis=1)
    point[drawn] = np.take_along_axis(faces[own], shares.argmax(axis=1)[:, None], axis=1)[:, 0]
    light = np.ones(face.shape, dtype=np.float32)
    if facing is not None:
        light[drawn] = _DARKEST + (1 - _DARKEST) * (np.abs(facing)[faces[own]] * shares).sum(axis=1)
    return SeenPoints(view, depth, point, light * _edges(depth), corner, weights)


def _nearest(pixels: np.ndarray, depth: np.ndarray, side: np.ndarray, view: Viewpoint) -> tuple[np.ndarray, np.ndarray]:
    """The z-buffer (H, W) float32 and the row of the winner (H, W) int64, -1 for none.

    Positive float32 numbers are ordered as their bits are, so depth and row in one integer make the nearest point the
    smallest number.
    """
    buffer = np.full(view.height * view.width, _EMPTY, dtype=np.int64)
    key = (depth.astype(np.float32).view(np.int32).astype(np.int64) << 32) | np.arange(len(depth))
    for length in np.unique(side).tolist():
        mine = np.flatnonzero(side == length)
        first = np.floor(pixels[mine] - (length - 1) / 2 + 0.5).astype(np.int64)
        own = key[mine]
        for down in range(length):
            for right in range(length):
                row, col = first[:, 0] + down, first[:, 1] + right
                good = (row >= 0) & (row < view.height) & (col >= 0) & (col < view.width)
                np.minimum.at(buffer, row[good] * view.width + col[good], own[good])
    empty = buffer == _EMPTY
    point = np.where(empty, -1, buffer & 0xFFFFFFFF)
    nearest = np.where(empty, 0, buffer >> 32).astype(np.int32).view(np.float32)
    nearest = np.where(empty, np.float32(np.inf), nearest)
    return nearest.reshape(view.height, view.width), point.reshape(view.height, view.width)


def _edges(depth: np.ndarray) -> np.ndarray:
    """Factors (H, W): below 1 where a neighbour two pixels off is nearer by a share of the depth."""
    step = np.zeros(depth.shape, dtype=np.float32)
    safe = np.where(np.isfinite(depth), depth, np.float32(0))
    reach = 2
    padded = np.pad(safe, reach, mode="edge")
    for down, right in ((0, reach), (0, -reach), (reach, 0), (-reach, 0)):
        height, width = depth.shape
        other = padded[reach + down : reach + down + height, reach + right : reach + right + width]
        known = (other > 0) & (safe > 0)
        nearer = np.where(known, (safe - other) / np.maximum(safe, NEAR), 0)
        step += np.clip(nearer / _STEP, 0, 1)
    return 1 - 0.14 * step
