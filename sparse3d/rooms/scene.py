"""A room as one soup of triangles, which rays are cast at and scans are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse3d.rooms.piece import Material, Room


@dataclass(frozen=True, eq=False)
class SceneMesh:
    """All triangles of a room, in its frame. Instance ``i`` is row ``i`` of the room's ``instances``."""

    vertices: np.ndarray  # (V, 3) float64, metres
    faces: np.ndarray  # (F, 3) int64
    uv: np.ndarray  # (F, 3, 2) float32, metres on the material's texture
    face_material: np.ndarray  # (F,) int64, rows of ``materials``
    face_instance: np.ndarray  # (F,) int64, rows of ``categories``
    face_part: np.ndarray  # (F,) int64, rows of ``parts``
    materials: tuple[Material, ...]
    categories: tuple[str, ...]  # the raw category of each instance
    parts: tuple[str, ...]  # the names of all semantic parts that occur

    @property
    def normals(self) -> np.ndarray:
        """(F, 3) float64, unit length (0 for a triangle without area)."""
        a, b, c = np.moveaxis(self.vertices[self.faces], 1, 0)
        normal = np.cross(b - a, c - a)
        return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)


def merge(room: Room) -> SceneMesh:
    """The triangles of every instance of ``room`` in one mesh; materials that are one object are kept once."""
    materials: dict[int, tuple[int, Material]] = {}
    parts: dict[str, int] = {}
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("vertices", "faces", "uv", "material", "who", "part")}
    count = 0
    for row, placed in enumerate(room.instances):
        piece = placed.piece
        for material in piece.materials:
            materials.setdefault(id(material), (len(materials), material))
        own_material = np.array([materials[id(m)][0] for m in piece.materials])
        own_part = np.array([parts.setdefault(name, len(parts)) for name in piece.parts])
        columns["vertices"].append(placed.vertices)
        columns["faces"].append(piece.faces + count)
        columns["uv"].append(piece.uv)
        columns["material"].append(own_material[piece.face_material])
        columns["who"].append(np.full(len(piece.faces), row))
        columns["part"].append(own_part[piece.face_part])
        count += len(piece.vertices)
    joined = {name: np.concatenate(values) for name, values in columns.items()}
    return SceneMesh(
        vertices=joined["vertices"],
        faces=joined["faces"],
        uv=joined["uv"].astype(np.float32),
        face_material=joined["material"],
        face_instance=joined["who"],
        face_part=joined["part"],
        materials=tuple(material for _, material in materials.values()),
        categories=tuple(placed.piece.category for placed in room.instances),
        parts=tuple(parts),
    )
