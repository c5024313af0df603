"""The mesh that a scan of a room would give: its seen surfaces, evenly dense, with the frames' own noise.

The surfaces are sampled anew at about 2 cm rather than fused in a volume: so every vertex keeps its exact instance and
part, and without noise lies exactly on the surface. What no frame has read is absent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix, identity

from sparse3d.geometry.rigid import invert_rigid
from sparse3d.rooms.dense_surface import DenseSurface, densify, group_rows
from sparse3d.rooms.render import RayCaster
from sparse3d.rooms.scene import SceneMesh
from sparse3d.types import Camera

NEAREST = 0.1  # metres in front of the camera: nothing nearer is seen
OFF_PLANE = 0.003  # metres that a vertex may lie off the plane that its pixel's ray has hit
OFF_PLANE_PIXELS = 0.15  # the same, in widths of a pixel: round things are made of flat faces
WITHIN = 0.006  # metres along the optical axis between a vertex and what its pixel shows, beside the slope's share
STEEPEST = 8.0  # slope, metres of depth a metre across, above which the tolerance grows no more
BEFORE = 0.004  # metres before a vertex at which nothing may lie
LARGEST_RESIDUAL = 0.08  # metres: readings further off are outliers, which fusion cuts off
SMOOTHINGS = 2  # times that each vertex's error is averaged with its neighbours'
MOST_OFF = 0.005  # metres that a vertex ends off its surface: a scanner fuses hundreds of frames, of which few are kept
MERGED = 0.5  # of the spacing: seen vertices in cells of this size are one, so small parts are no denser than walls


@dataclass(frozen=True, eq=False)
class View:
    """One frame with its truth, as the scan is made of it."""

    camera: Camera
    T_room_cam: np.ndarray  # (4, 4) float64
    color: np.ndarray  # (H, W, 3) uint8, with the sensor's noise
    sensed: np.ndarray  # (H, W) float32 metres, with the sensor's noise, 0 = no reading
    depth: np.ndarray  # (H, W) float32 metres, exact, 0 = nothing hit
    face: np.ndarray  # (H, W) int32, rows of the SceneMesh's faces, -1 = nothing hit


@dataclass(frozen=True, eq=False)
class ScanMesh:
    """A scan in the room's frame; row ``i`` of every vertex array is vertex ``i``."""

    vertices: np.ndarray  # (V, 3) float64, metres, moved by the frames' mean error
    exact: np.ndarray  # (V, 3) float64, the same points on the true surface
    rgb: np.ndarray  # (V, 3) uint8
    normals: np.ndarray  # (V, 3) float64, unit length, true, towards the cameras
    faces: np.ndarray  # (F, 3) int32
    instance: np.ndarray  # (V,) int64, rows of the room's instances
    part: np.ndarray  # (V,) int64, rows of the SceneMesh's parts
    seen_area: np.ndarray  # (I,) float64, square metres of each instance that were seen


def scan(caster: RayCaster, views: Sequence[View], spacing: float = 0.02) -> ScanMesh:
    """The surfaces of the caster's mesh that ``views`` saw, with edges of ``spacing`` metres.

    Diagonals reach 1.5 ``spacing``, edges beside small parts, whose vertices are made fewer, 2.4 ``spacing``.

    A vertex is seen where a frame has a reading and its pixel shows the vertex itself. Its colour and its error are the
    means over those frames, weighted towards near and frontal ones. Raises ValueError when nothing was seen.
    """
    mesh = caster.mesh
    surface = densify(mesh, candidate_faces(mesh, views, spacing), spacing)
    gathered = _Gathered.empty(len(surface.vertices))
    normals = mesh.normals
    for view in views:
        _gather(gathered, mesh, normals, surface, view)
    seen = gathered.weight > 0
    seen[seen] = _reached(caster, surface.vertices[seen], gathered.eye[seen])
    faces = surface.faces[seen[surface.faces].all(axis=1)]
    if len(faces) == 0:
        raise ValueError("no surface was seen: the frames have no depth")
    corners = surface.vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    seen_area = np.bincount(surface.instance[faces[:, 0]], area, minlength=len(mesh.categories))
    kept, faces = _merged(surface, faces, MERGED * spacing)
    weight = gathered.weight[kept, None]
    facing = np.where(gathered.facing[kept] < 0, -1.0, 1.0)
    towards = surface.normals[kept] * facing[:, None]
    faces = _wound_towards(surface.vertices[kept], faces, towards)
    return ScanMesh(
        vertices=surface.vertices[kept] + _smoothed(gathered.shift[kept] / weight, faces),
        exact=surface.vertices[kept],
        rgb=np.clip(np.round(gathered.color[kept] / weight), 0, 255).astype(np.uint8),
        normals=towards,
        faces=faces.astype(np.int32),
        instance=surface.instance[kept],
        part=surface.part[kept],
        seen_area=seen_area,
    )


def candidate_faces(mesh: SceneMesh, views: Sequence[View], spacing: float) -> np.ndarray:
    """Rows of the faces that can have been seen: those that a ray has hit, and those that fit between two rays."""
    hit = np.zeros(len(mesh.faces), dtype=bool)
    for view in views:
        hit[view.face[view.face >= 0]] = True
    corners = mesh.vertices[mesh.faces]
    lengths = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2).max(axis=1)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    height = area / np.maximum(lengths, 1e-12)
    # Of an instance without one hit, nothing is seen.
    known = np.zeros(len(mesh.categories), dtype=bool)
    known[mesh.face_instance[hit]] = True
    return np.flatnonzero(hit | ((height < spacing) & known[mesh.face_instance]))


@dataclass(eq=False)
class _Gathered:
    """Sums over the frames, a row a vertex."""

    weight: np.ndarray  # (V,)
    color: np.ndarray  # (V, 3) weighted
    shift: np.ndarray  # (V, 3) weighted, metres
    facing: np.ndarray  # (V,) below 0: the normal points away from the cameras
    best: np.ndarray  # (V,) largest weight of a frame
    eye: np.ndarray  # (V, 3) metres, where the camera of that frame was

    @classmethod
    def empty(cls, count: int) -> _Gathered:
        def triple() -> np.ndarray:
            return np.zeros((count, 3))

        return cls(np.zeros(count), triple(), triple(), np.zeros(count), np.zeros(count), triple())


def _gather(gathered: _Gathered, mesh: SceneMesh, normals: np.ndarray, surface: DenseSurface, view: View) -> None:
    """Add what one frame says about the vertices that it sees; ``normals`` are those of the mesh's faces."""
    camera, T_cam_room = view.camera, invert_rigid(view.T_room_cam)
    in_camera = surface.vertices.astype(np.float32) @ T_cam_room[:3, :3].T.astype(np.float32)
    in_camera += T_cam_room[:3, 3].astype(np.float32)
    z = in_camera[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        col = in_camera[:, 0] / z * np.float32(camera.fx) + np.float32(camera.cx)
        row = in_camera[:, 1] / z * np.float32(camera.fy) + np.float32(camera.cy)
    inside = (z > NEAREST) & (col > -0.5) & (col < camera.width - 0.5) & (row > -0.5) & (row < camera.height - 0.5)
    rows = np.flatnonzero(inside)
    pixel = np.rint(row[rows]).astype(np.int64) * camera.width + np.rint(col[rows]).astype(np.int64)
    rows, pixel, cosine = _shown(mesh, normals, surface, view, rows, pixel)
    depth = view.depth.ravel()[pixel].astype(np.float64)
    sensed = view.sensed.ravel()[pixel].astype(np.float64)
    # Moved along the vertex's own ray, by the error at its pixel's depth.
    ray = surface.vertices[rows] - view.T_room_cam[:3, 3]
    ray /= z[rows, None].astype(np.float64)
    weight = np.abs(cosine) / depth**2
    gathered.weight[rows] += weight
    gathered.color[rows] += weight[:, None] * view.color.reshape(-1, 3)[pixel]
    gathered.shift[rows] += (weight * (sensed - depth))[:, None] * ray
    gathered.facing[rows] -= weight * np.sign(cosine)
    better = rows[weight > gathered.best[rows]]
    gathered.eye[better] = view.T_room_cam[:3, 3]
    gathered.best[rows] = np.maximum(gathered.best[rows], weight)


def _shown(
    mesh: SceneMesh, normals: np.ndarray, surface: DenseSurface, view: View, rows: np.ndarray, pixel: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the vertices ``rows`` and their pixels, those that the pixel shows and has read; and the cosines of sight.

    A pixel shows a vertex when the vertex lies on the plane of the face that the pixel's ray has hit, in the same
    instance, near the point that was hit: a depth comparison alone would take in the back of a board seen at a slant.
    """
    face, depth = view.face.ravel()[pixel], view.depth.ravel()[pixel]
    sensed = view.sensed.ravel()[pixel]
    read = (face >= 0) & (sensed > 0) & (np.abs(sensed - depth) < LARGEST_RESIDUAL)
    read &= mesh.face_instance[face] == surface.instance[rows]
    rows, pixel, face, depth = rows[read], pixel[read], face[read], depth[read]
    vertex = surface.vertices[rows]
    normal = normals[face]
    sight = vertex - view.T_room_cam[:3, 3]
    distance = np.sqrt(np.einsum("ij,ij->i", sight, sight))
    cosine = np.einsum("ij,ij->i", normal, sight) / distance
    off_plane = np.abs(np.einsum("ij,ij->i", normal, vertex - mesh.vertices[mesh.faces[face, 0]]))
    pixel_width = depth / abs(view.camera.fx)
    slope = np.minimum(np.sqrt(1 - np.minimum(cosine**2, 1)) / np.maximum(np.abs(cosine), 1e-6), STEEPEST)
    z = sight @ view.T_room_cam[:3, 2]
    shown = off_plane < OFF_PLANE + OFF_PLANE_PIXELS * pixel_width
    shown &= np.abs(z - depth) < WITHIN + pixel_width * slope
    # The surface's own normal may point to the other side than that of the face that was hit.
    own = np.einsum("ij,ij->i", surface.normals[rows], sight) / distance
    return rows[shown], pixel[shown], own[shown]


def _reached(caster: RayCaster, xyz: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """Whether nothing lies between ``eye`` and ``xyz`` (N, 3); pixels alone leave that open within their own width."""
    way = xyz - eye
    _, distance = caster.cast(eye, way)
    return distance > 1 - BEFORE / np.linalg.norm(way, axis=1)


def _wound_towards(vertices: np.ndarray, faces: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """``faces`` wound so that they face the side that ``towards`` (V, 3) points to: the scanner's, as in any scan."""
    a, b, c = np.moveaxis(vertices[faces], 1, 0)
    away = (np.cross(b - a, c - a) * towards[faces].sum(axis=1)).sum(axis=1) < 0
    return np.where(away[:, None], faces[:, [0, 2, 1]], faces)


def _smoothed(values: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Rows (V, 3) averaged with their neighbours' and bounded, as in a volume that readings are fused in."""
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    graph = coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(values), len(values))).tocsr()
    graph = graph + graph.T + 2 * identity(len(values), format="csr")
    share = 1 / np.asarray(graph.sum(axis=1))
    for _ in range(SMOOTHINGS):
        values = (graph @ values) * share
    off = np.linalg.norm(values, axis=1, keepdims=True)
    return values * np.minimum(1, MOST_OFF / np.maximum(off, MOST_OFF))


def _merged(surface: DenseSurface, faces: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of ``faces`` that share a cell, an instance and a part made one: rows that stay, and the new faces."""
    used = np.unique(faces)
    group = surface.instance[used] * (surface.part.max(initial=0) + 1) + surface.part[used]
    first, place = group_rows(group, np.floor(surface.vertices[used] / cell + 0.37))
    renumbered = np.full(len(surface.vertices), -1)
    renumbered[used] = place
    faces = renumbered[faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[whole]
    _, once = np.unique(np.sort(faces, axis=1) @ _strides(len(first)), return_index=True)
    faces = faces[np.sort(once)]
    still = np.zeros(len(first), dtype=bool)
    still[faces] = True
    return used[first[still]], (np.cumsum(still) - 1)[faces]


def _strides(count: int) -> np.ndarray:
    """Weights that make one number of three rows of ``count`` (below 2 million, so that 63 bits hold it)."""
    return np.array([count * count, count, 1], dtype=np.int64)
