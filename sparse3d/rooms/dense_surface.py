"""Large triangles made small: a room's surfaces as the even, dense meshes that scans are.

Rectangles become regular grids, other triangles are halved across their longest edge until all edges are short; what
touches within an instance shares its vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse3d.rooms.scene import SceneMesh

WELD = 1e-4  # metres: vertices of an instance that are closer are one
FLAT = 1e-4  # metres that a quadrilateral's corner may leave the plane of the others
ASKEW = 0.12  # cosine of a quadrilateral's corner up to which it is a rectangle: grids of others have long diagonals
SLACK = 1.2  # triangles are halved while their longest edge is above this times the spacing


@dataclass(frozen=True, eq=False)
class DenseSurface:
    """A mesh of short edges, exactly on the surface of the :class:`SceneMesh` that it was made of."""

    vertices: np.ndarray  # (V, 3) float64, metres
    faces: np.ndarray  # (F, 3) int64
    normals: np.ndarray  # (V, 3) float64, unit length, of one of the faces around; either side
    instance: np.ndarray  # (V,) int64
    part: np.ndarray  # (V,) int64


def densify(mesh: SceneMesh, rows: np.ndarray, spacing: float) -> DenseSurface:
    """The faces ``rows`` (R,) of ``mesh`` with edges along a grid of at most ``spacing`` metres.

    No edge is longer than 1.5 ``spacing`` (a diagonal of the grid).
    """
    quads, quad_rows, lone = _rectangles(mesh, rows)
    grid_vertices, grid_faces, grid_source, inner = _grids(quads, quad_rows, spacing)
    triangles, source = _halved(mesh.vertices[mesh.faces[lone]], lone, SLACK * spacing)
    vertices = np.concatenate([grid_vertices, triangles.reshape(-1, 3)])
    own = np.arange(len(triangles) * 3).reshape(-1, 3) + len(grid_vertices)
    face_of_vertex = np.concatenate([grid_source, np.repeat(source, 3)])
    touching = np.concatenate([~inner, np.ones(len(own) * 3, dtype=bool)])
    return _welded(mesh, vertices, np.concatenate([grid_faces, own]), face_of_vertex, touching)


def _rectangles(mesh: SceneMesh, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of flat triangles that share the longest edge of both: corners (Q, 4, 3), a face of each, the other faces.

    Two triangles glued along the longest edge of both are convex, so a grid can be laid on their corners.
    """
    corners = mesh.vertices[mesh.faces[rows]]
    lengths = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
    first = np.argmax(lengths, axis=1)  # the longest edge runs from this corner to the next
    turned = np.take_along_axis(mesh.faces[rows], (first[:, None] + np.arange(3)) % 3, axis=1)
    ends = np.sort(turned[:, :2], axis=1)
    _, edge, count = np.unique(ends @ np.array([len(mesh.vertices), 1]), return_inverse=True, return_counts=True)
    order = np.argsort(edge, kind="stable")
    order = order[count[edge[order]] == 2]
    a, b = order[::2], order[1::2]
    quad = np.stack([turned[a, 0], turned[b, 2], turned[a, 1], turned[a, 2]], axis=1)
    xyz = mesh.vertices[quad]
    normal = np.cross(xyz[:, 2] - xyz[:, 0], xyz[:, 3] - xyz[:, 0])
    area = np.linalg.norm(normal, axis=1)
    height = np.abs(((xyz[:, 1] - xyz[:, 0]) * normal).sum(1)) / np.maximum(area, 1e-30)
    alike = (mesh.face_part[rows[a]] == mesh.face_part[rows[b]]) & (
        mesh.face_instance[rows[a]] == mesh.face_instance[rows[b]]
    )
    sides = np.roll(xyz, -1, axis=1) - xyz
    sides /= np.maximum(np.linalg.norm(sides, axis=2, keepdims=True), 1e-30)
    square = (np.abs((sides * np.roll(sides, 1, axis=1)).sum(2)) < ASKEW).all(axis=1)
    # The fourth corner must lie on the far side of the shared edge, or the two are a folded sheet.
    across = np.cross(xyz[:, 2] - xyz[:, 0], xyz[:, 1] - xyz[:, 0])
    good = alike & square & (height < FLAT) & (area > 0) & ((across * normal).sum(1) < 0)
    lone = np.ones(len(rows), dtype=bool)
    lone[a[good]] = lone[b[good]] = False
    return xyz[good], rows[a[good]], rows[lone]


def _grids(
    quads: np.ndarray, rows: np.ndarray, spacing: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Regular grids over ``quads`` (Q, 4, 3), corners in order around.

    Vertices, faces, and for each vertex the row of its face and whether it lies inside its quad.
    """
    sides = np.linalg.norm(quads - np.roll(quads, -1, axis=1), axis=2)
    nu = _steps(np.maximum(sides[:, 0], sides[:, 2]), spacing)
    nv = _steps(np.maximum(sides[:, 1], sides[:, 3]), spacing)
    counts = (nu + 1) * (nv + 1)
    start = np.cumsum(counts) - counts
    quad, place = _runs(counts)
    i, j = np.divmod(place, nv[quad] + 1)
    s, t = (i / nu[quad])[:, None], (j / nv[quad])[:, None]
    p = quads[quad]
    vertices = (p[:, 0] * (1 - s) + p[:, 1] * s) * (1 - t) + (p[:, 3] * (1 - s) + p[:, 2] * s) * t
    cell_quad, cell = _runs(nu * nv)
    ci, cj = np.divmod(cell, nv[cell_quad])
    across = nv[cell_quad] + 1
    a = start[cell_quad] + ci * across + cj
    b, c, d = a + across, a + across + 1, a + 1
    faces = np.stack([np.stack([a, b, c], 1), np.stack([a, c, d], 1)], axis=1).reshape(-1, 3)
    inner = (i > 0) & (j > 0) & (i < nu[quad]) & (j < nv[quad])
    return vertices, faces, rows[quad], inner


def _steps(length: np.ndarray, spacing: float) -> np.ndarray:
    return np.maximum(1, np.ceil(length / spacing - 1e-6)).astype(np.int64)


def _runs(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For runs of ``counts``: each element's run and its place in the run."""
    run = np.repeat(np.arange(len(counts)), counts)
    return run, np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)


def _halved(triangles: np.ndarray, rows: np.ndarray, longest: float) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (T, 3, 3) cut across their longest edges until none is above ``longest``; and the row of each.

    Neighbours cut a shared edge at the same points, whichever is cut first, so no cracks open.
    """
    done, done_rows = [np.empty((0, 3, 3))], [np.empty(0, dtype=np.int64)]
    while len(triangles):
        lengths = np.linalg.norm(triangles - np.roll(triangles, -1, axis=1), axis=2)
        short = lengths.max(axis=1) <= longest
        done.append(triangles[short])
        done_rows.append(rows[short])
        triangles, rows, lengths = triangles[~short], rows[~short], lengths[~short]
        order = (np.argmax(lengths, axis=1)[:, None] + np.arange(3)) % 3
        a, b, c = np.moveaxis(np.take_along_axis(triangles, order[:, :, None], axis=1), 1, 0)
        middle = (a + b) / 2
        triangles = np.concatenate([np.stack([a, middle, c], 1), np.stack([middle, b, c], 1)])
        rows = np.concatenate([rows, rows])
    return np.concatenate(done), np.concatenate(done_rows)


def _welded(
    mesh: SceneMesh, vertices: np.ndarray, faces: np.ndarray, row: np.ndarray, touching: np.ndarray
) -> DenseSurface:
    """The mesh with equal vertices of an instance made one; only ``touching`` ones (V,) bool can have an equal."""
    edge = np.flatnonzero(touching)
    # A shift off the round numbers, on which walls and boards lie, so that rounding does not part equal vertices.
    cells = np.round((vertices[edge] - vertices.min(axis=0, initial=0.0)) / WELD + 0.137)
    first, group = group_rows(mesh.face_instance[row[edge]], cells)
    source = np.arange(len(vertices))
    source[edge] = edge[first][group]
    kept = source == np.arange(len(vertices))
    faces = (np.cumsum(kept) - 1)[source][faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    row = row[kept]
    return DenseSurface(
        vertices=vertices[kept],
        faces=faces[whole],
        normals=mesh.normals[row],
        instance=mesh.face_instance[row],
        part=mesh.face_part[row],
    )


def group_rows(group: np.ndarray, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of equal ``group`` (N,) and equal ``cells`` (N, 3), whole numbers: first row of each, and each row's group.

    Groups come in the order of their first rows, so what lies together stays together.
    """
    cells = cells.astype(np.int64)
    if len(cells):
        cells = cells - cells.min(axis=0)
    size = cells.max(axis=0, initial=0) + 1
    if float(group.max(initial=0) + 1) * float(size[0]) * float(size[1]) * float(size[2]) > 2.0**62:
        raise ValueError(f"cells {size.tolist()} of {int(group.max()) + 1} groups cannot be numbered in 64 bits")
    key = ((group * size[0] + cells[:, 0]) * size[1] + cells[:, 1]) * size[2] + cells[:, 2]
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return first[order], place[inverse.reshape(-1)]
