"""What a camera in a room sees: colour, exact depth, and which instance, part and triangle each pixel shows.

Rays are cast by Embree (through embreex), which counts in float32. Distances are taken again in float64 from the plane
of the triangle that was hit, so that depth is exact and frames agree with one another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from sparse3d.rooms.piece import Room
from sparse3d.rooms.scene import SceneMesh
from sparse3d.rooms.shading import (
    TextureAtlas,
    develop,
    from_lamp,
    lamp_visibility,
    openness,
    slots,
    smooth_blocks,
    to_srgb,
)
from sparse3d.types import Camera

_WHITE_FLOOR = 0.8  # linear brightness that the exposure aims at, of white paper on a table
_BOUNCE = np.array([0.26, 0.24, 0.21], dtype=np.float32)  # what a floor throws back, of the light that falls on it


@dataclass(frozen=True, eq=False)
class Rendered:
    """One image of a room, before any sensor."""

    color: np.ndarray  # (H, W, 3) float32, sRGB in [0, 1]; black where nothing is
    depth: np.ndarray  # (H, W) float64, metres along the optical axis at the pixels' centres, 0 where nothing is
    instance: np.ndarray  # (H, W) int32, rows of the room's ``instances``, -1 where nothing is
    part: np.ndarray  # (H, W) int32, rows of the mesh's ``parts``, -1 where nothing is
    face: np.ndarray  # (H, W) int64, rows of the mesh's ``faces``, -1 where nothing is
    cos_incidence: np.ndarray  # (H, W) float32, between ray and normal: 1 seen face-on, 0 along the surface


@dataclass(frozen=True, eq=False)
class _Hits:
    """Where N rays met triangles; rays that met none are not among them."""

    ray: np.ndarray  # (N,) int64, of the rays that were cast
    face: np.ndarray  # (N,) int64
    distance: np.ndarray  # (N,) float64, in lengths of the ray's direction
    points: np.ndarray  # (N, 3) float32
    normals: np.ndarray  # (N, 3) float32, towards the eye
    uv: np.ndarray  # (N, 2) float32, metres on the material's texture
    cosine: np.ndarray  # (N,) float32, between ray and normal


class RayCaster:
    """A room's triangles, ready for rays. Triangles are seen from both sides."""

    def __init__(self, mesh: SceneMesh) -> None:
        self.mesh = mesh
        self.atlas = TextureAtlas(mesh.materials)
        self.gloss = np.array([m.gloss for m in mesh.materials], dtype=np.float32)
        self.emission = np.array([m.emission for m in mesh.materials], dtype=np.float32)
        self._normals = mesh.normals
        self._offsets = np.einsum("ij,ij->i", self._normals, mesh.vertices[mesh.faces[:, 0]])
        self._scene = _embree(mesh.vertices, mesh.faces)
        # Light passes what shines itself: a lamp stands in or behind its glass.
        solid = self.emission[mesh.face_material] == 0
        self._blockers = self._scene if solid.all() else _embree(mesh.vertices, mesh.faces[solid])

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The nearest triangle along each ray.

        Args:
            origins: (N, 3) metres, the room's frame.
            directions: (N, 3); need not be of unit length.

        Returns:
            The triangle (N,) int64, -1 for none, and its distance (N,) float64 in lengths of ``directions``, inf for
            none.
        """
        return self._cast(np.asarray(origins, np.float64), np.asarray(directions, np.float64))[:2]

    def occluded(self, origins: np.ndarray, directions: np.ndarray, reach: np.ndarray) -> np.ndarray:
        """Whether anything that blocks light lies within ``reach`` (N,) lengths of each ray; (N,) bool."""
        rays = [np.ascontiguousarray(a, dtype=np.float32) for a in (origins, directions, reach)]
        return self._blockers.run(*rays, query="OCCLUDED") >= 0 if len(rays[0]) else np.zeros(0, dtype=bool)

    def _cast(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Triangle, distance and the barycentric weights (N, 2) of the triangle's second and third corner."""
        if not len(origins):
            return np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros((0, 2), dtype=np.float32)
        rays = [np.ascontiguousarray(a, dtype=np.float32) for a in (origins, directions)]
        hit = self._scene.run(*rays, query="INTERSECT", output=1)
        face = hit["primID"].astype(np.int64)
        near = np.where(face >= 0, hit["tfar"], np.inf).astype(np.float64)
        normals = self._normals[face]
        slope = np.einsum("ij,ij->i", normals, directions)
        with np.errstate(divide="ignore", invalid="ignore"):
            exact = (self._offsets[face] - np.einsum("ij,ij->i", normals, origins)) / slope
        # A plane seen along itself says nothing of the distance; there Embree's own is the better one.
        distance = np.where(np.abs(exact - near) < 1e-3 * np.maximum(near, 0.1), exact, near)
        return face, distance, np.stack([hit["u"], hit["v"]], axis=1)

    def hits(self, origin: np.ndarray, directions: np.ndarray) -> _Hits:
        """All that shading needs to know of rays (N, 3) float64 from one ``origin`` (3,)."""
        face, distance, weights = self._cast(np.broadcast_to(origin, directions.shape), directions)
        ray = np.flatnonzero(face >= 0)
        face, distance, weights, way = face[ray], distance[ray], weights[ray], directions[ray]
        normals = self._normals[face].astype(np.float32)
        cosine = np.einsum("ij,ij->i", normals, way) / _length(way)[:, 0]
        normals *= -np.where(cosine > 0, 1.0, -1.0)[:, None].astype(np.float32)
        corners = self.mesh.uv[face]
        u, v = weights.T[..., None]
        return _Hits(
            ray=ray,
            face=face,
            distance=distance,
            points=(origin + way * distance[:, None]).astype(np.float32),
            normals=normals,
            uv=corners[:, 0] * (1 - u - v) + corners[:, 1] * u + corners[:, 2] * v,
            cosine=np.abs(cosine).astype(np.float32),
        )


def _embree(vertices: np.ndarray, faces: np.ndarray) -> EmbreeScene:
    scene = EmbreeScene(robust=True)  # no ray slips through between two triangles
    TriangleMesh(scene, vertices.astype(np.float32), faces.astype(np.int32))
    return scene


def render(caster: RayCaster, room: Room, camera: Camera, T_world_cam: np.ndarray, samples: int = 2,
           shadows: bool = True, exposure: float | None = None) -> Rendered:  # fmt: skip
    """What a camera sees. The same arguments give the same image.

    Args:
        caster: of the room's merged mesh.
        room: for its lights and ambient light.
        camera: its image's size is the result's.
        T_world_cam: (4, 4) camera to room.
        samples: along each side of a pixel at edges, for colour; 1 leaves edges ragged.
        shadows: soft shadows and darker corners.
        exposure: factor on all light that is not emitted; None for :func:`auto_exposure`.
    """
    size = (camera.height, camera.width)
    origin = np.asarray(T_world_cam[:3, 3], dtype=np.float64)
    rows, cols = (grid.reshape(-1) for grid in np.mgrid[: camera.height, : camera.width])
    hits = caster.hits(origin, _directions(camera, T_world_cam, rows, cols))
    light = _Lighting(caster, room, hits, size, shadows, auto_exposure(room) if exposure is None else exposure, origin)
    linear = np.zeros((camera.height * camera.width, 3), dtype=np.float32)
    linear[hits.ray] = light.shade(hits, hits.ray, _footprint(camera, hits))
    maps = _Maps(caster, hits, size)
    if samples > 1:
        edge = np.flatnonzero(_edges(maps.surface, light.normals, light.points))
        linear[edge] = _finer(caster, camera, T_world_cam, light, edge, samples)
    return Rendered(
        color=to_srgb(linear).astype(np.float32).reshape(*size, 3),
        depth=maps.fill(hits.distance, 0.0, np.float64),
        instance=maps.fill(caster.mesh.face_instance[hits.face], -1, np.int32),
        part=maps.fill(caster.mesh.face_part[hits.face], -1, np.int32),
        face=maps.fill(hits.face, -1, np.int64),
        cos_incidence=maps.fill(hits.cosine, 0.0, np.float32),
    )


def auto_exposure(room: Room) -> float:
    """The factor that brings white paper at table height to a fixed brightness, as a camera would for the whole room.

    Rooms stay a little brighter or darker than one another: only two thirds of the difference (in stops) are evened.
    """
    low, high = room.outline.min(axis=0), room.outline.max(axis=0)
    x, y = np.meshgrid(*(np.linspace(a, b, 9)[1:-1] for a, b in zip(low, high, strict=True)))
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, 0.75)], axis=1).astype(np.float32)
    up = np.broadcast_to(np.array([0, 0, 1], dtype=np.float32), points.shape)
    lamps = sum((from_lamp(light, points, up)[0] * float(np.mean(light.color)) for light in room.lights), np.zeros(1))
    bright = float(np.median(lamps)) + float(np.mean(room.ambient))
    return float((_WHITE_FLOOR / max(bright, 1e-3)) ** (2 / 3))


def _directions(camera: Camera, T_world_cam: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """(N, 3) float64, of length 1 along the optical axis, so that distances along them are depths."""
    x, y = (cols - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    return np.stack([x, y, np.ones_like(x)], axis=1) @ np.asarray(T_world_cam[:3, :3], dtype=np.float64).T


def _footprint(camera: Camera, hits: _Hits) -> np.ndarray:
    """Metres of surface under a pixel (N,): between its short and its long side where it is seen aslant."""
    return (hits.distance / abs(camera.fx)).astype(np.float32) / np.sqrt(np.maximum(hits.cosine, 0.02))


class _Maps:
    """Values of hits laid out as images, and the number of the surface that each pixel shows."""

    def __init__(self, caster: RayCaster, hits: _Hits, size: tuple[int, int]) -> None:
        self._ray, self._size = hits.ray, size
        mesh = caster.mesh
        own = mesh.face_instance[hits.face] * len(mesh.materials) + mesh.face_material[hits.face]
        self.surface = self.fill(own, -1, np.int64)

    def fill(self, values: np.ndarray, empty: float, kind: type) -> np.ndarray:
        image: np.ndarray = np.full(self._size[0] * self._size[1], empty, dtype=kind)
        image[self._ray] = values
        return image.reshape(self._size)


class _Lighting:
    """The light that falls on every pixel of one view."""

    def __init__(self, caster: RayCaster, room: Room, hits: _Hits, size: tuple[int, int], shadows: bool,
                 exposure: float, origin: np.ndarray) -> None:  # fmt: skip
        self._caster, self._room, self._exposure, self._origin = caster, room, exposure, origin.astype(np.float32)
        self.points = np.zeros((*size, 3), dtype=np.float32)
        self.normals = np.zeros((*size, 3), dtype=np.float32)
        self.points.reshape(-1, 3)[hits.ray], self.normals.reshape(-1, 3)[hits.ray] = hits.points, hits.normals
        # One column a lamp and one for the sky: the share of each that reaches a pixel.
        reaches: np.ndarray = np.ones((size[0] * size[1], len(room.lights) + 1), dtype=np.float32)
        plain = [from_lamp(light, hits.points, hits.normals)[0] for light in room.lights]
        if shadows:
            slot = slots(*size)[hits.ray]
            for k, light in enumerate(room.lights):
                lit = np.flatnonzero(plain[k] > 1e-3)
                seen = lamp_visibility(light, hits.points[lit], hits.normals[lit], slot[lit], caster.occluded)
                reaches[hits.ray[lit], k] = seen
            reaches[hits.ray, -1] = openness(hits.points, hits.normals, slot, caster.occluded)
            image = reaches.reshape(*size, -1)
            reaches = smooth_blocks(image, self.points, self.normals).reshape(reaches.shape)
        self._reaches = reaches

    def shade(self, hits: _Hits, pixel: np.ndarray, footprint: np.ndarray) -> np.ndarray:
        """Linear colour (N, 3) of hits whose shadows are those of ``pixel`` (N,)."""
        material = self._caster.mesh.face_material[hits.face]
        albedo = self._caster.atlas.look_up(material, hits.uv, footprint)
        gloss = self._caster.gloss[material]
        shiny = np.flatnonzero(gloss > 0)
        eye = self._origin - hits.points[shiny]
        eye /= _length(eye)
        falls = self._ambient(hits.normals) * self._reaches[pixel, -1:]
        shine = np.zeros_like(albedo)
        for k, light in enumerate(self._room.lights):
            share, to = from_lamp(light, hits.points, hits.normals)
            share *= self._reaches[pixel, k]
            color = np.asarray(light.color, dtype=np.float32)
            falls += share[:, None] * color
            shine[shiny] += _highlight(share[shiny], to[shiny], eye, hits.normals[shiny], gloss[shiny]) * color
        lit = develop((albedo * falls + shine) * np.float32(self._exposure))
        glow = self._caster.emission[material][:, None]
        return lit * (1 - glow) + albedo * glow

    def _ambient(self, normals: np.ndarray) -> np.ndarray:
        """Light from all around (N, 3): brighter from above, and thrown back by the floor from below."""
        up = normals[:, 2:]
        direct = np.sum([light.color for light in self._room.lights] or [(0.0, 0.0, 0.0)], axis=0, dtype=np.float32)
        below = _BOUNCE * np.minimum(direct, 1.5)
        return np.asarray(self._room.ambient, dtype=np.float32) * (0.85 + 0.15 * up) + below * (0.5 - 0.5 * up)


def _highlight(share: np.ndarray, to_lamp: np.ndarray, to_eye: np.ndarray, normals: np.ndarray,
               gloss: np.ndarray) -> np.ndarray:  # fmt: skip
    """Blinn's highlight (N, 1) (Blinn, "Models of Light Reflection", 1977): sharper and stronger with ``gloss``."""
    half = to_lamp + to_eye
    half /= _length(half)
    cosine = np.clip(np.einsum("ij,ij->i", half, normals), 0, 1)
    return (share * 0.8 * gloss * cosine ** (12 + 150 * gloss))[:, None]


def _length(vectors: np.ndarray) -> np.ndarray:
    """(N, 1), never 0."""
    return np.sqrt(np.maximum(np.einsum("ij,ij->i", vectors, vectors), 1e-12))[:, None]


def _edges(surface: np.ndarray, normals: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Pixels (H, W) bool beside another surface, a crease or a step."""
    edge = np.zeros(surface.shape, dtype=bool)
    for axis in (0, 1):
        a = (slice(None, -1), slice(None)) if axis == 0 else (slice(None), slice(None, -1))
        b = (slice(1, None), slice(None)) if axis == 0 else (slice(None), slice(1, None))
        turn = np.einsum("...i,...i->...", normals[a], normals[b]) < 0.9
        step = np.abs(np.einsum("...i,...i->...", normals[a], points[b] - points[a])) > 0.02
        change = (surface[a] != surface[b]) | turn | step
        edge[a] |= change
        edge[b] |= change
    return edge


def _finer(caster: RayCaster, camera: Camera, T_world_cam: np.ndarray, light: _Lighting, edge: np.ndarray,
           samples: int) -> np.ndarray:  # fmt: skip
    """Linear colour (E, 3) of the pixels ``edge`` (E,), each the mean of ``samples`` x ``samples`` rays."""
    row, col = np.divmod(edge, camera.width)
    total = np.zeros((len(edge), 3), dtype=np.float32)
    steps = (np.arange(samples) + 0.5) / samples - 0.5
    for dy in steps:
        for dx in steps:
            hits = caster.hits(light._origin.astype(np.float64), _directions(camera, T_world_cam, row + dy, col + dx))
            near = _pixel_of_same_surface(light, hits, row[hits.ray], col[hits.ray], dy, dx)
            total[hits.ray] += light.shade(hits, near, _footprint(camera, hits) / samples)
    return total / samples**2


def _pixel_of_same_surface(light: _Lighting, hits: _Hits, row: np.ndarray, col: np.ndarray, dy: float,
                           dx: float) -> np.ndarray:  # fmt: skip
    """Of the pixel (``row``, ``col``) and its neighbours towards (``dy``, ``dx``), the one most like the hit (N,)."""
    height, width = light.points.shape[:2]
    best, pixel = np.full(len(row), np.inf, dtype=np.float32), row * width + col
    for down in (0, 1 if dy > 0 else -1):
        for right in (0, 1 if dx > 0 else -1):
            other = np.clip(row + down, 0, height - 1) * width + np.clip(col + right, 0, width - 1)
            apart = light.points.reshape(-1, 3)[other] - hits.points
            bent = 1 - np.einsum("ij,ij->i", light.normals.reshape(-1, 3)[other], hits.normals)
            unlike = np.abs(np.einsum("ij,ij->i", apart, hits.normals)) * 20 + bent
            pixel = np.where(unlike < best, other, pixel)
            best = np.minimum(best, unlike)
    return pixel
