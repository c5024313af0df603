"""Reading a Wavefront OBJ model: triangles, materials with colours and pictures, parts by the names of its groups."""

from __future__ import annotations

import io
import posixpath
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from sparse3d.rooms.piece import Material

Read = Callable[[str], bytes]  # a file of the pack by its path; KeyError if there is none
MOST_TEXELS = 256  # along a texture's longer side

# Words in the names of groups and materials that tell a part; the first that occurs counts.
_PART_WORDS = {
    "seat": "seat", "cushion": "cushion", "pillow": "pillow", "backrest": "back", "leg": "leg", "foot": "leg",
    "feet": "leg", "armrest": "arm", "handle": "handle", "knob": "handle", "drawer": "drawer", "door": "door",
    "shelf": "shelf", "shelves": "shelf", "glass": "pane", "screen": "screen", "leaf": "leaf", "leaves": "leaf",
    "feuille": "leaf", "pot": "pot", "vase": "pot", "shade": "shade", "bulb": "bulb", "mattress": "mattress",
    "matelas": "mattress", "wheel": "wheel", "frame": "frame", "base": "base",
}  # fmt: skip


class ModelError(ValueError):
    """A model that cannot be used; the message says why."""


@dataclass
class Model:
    """Triangles as the file has them, in its own frame and unit."""

    vertices: np.ndarray  # (V, 3) float64
    faces: np.ndarray  # (F, 3) int64
    uv: np.ndarray  # (F, 3, 2) float32, metres on the materials' textures
    face_material: np.ndarray  # (F,) int64
    face_part: np.ndarray  # (F,) int64
    materials: tuple[Material, ...]
    parts: tuple[str, ...]


@dataclass
class _Lines:
    """What an OBJ file's lines say."""

    vertices: list[list[float]] = field(default_factory=list)
    uv: list[list[float]] = field(default_factory=list)
    corners: list[list[tuple[int, int]]] = field(default_factory=list)  # per triangle (vertex, uv or -1)
    material: list[str] = field(default_factory=list)  # per triangle
    group: list[str] = field(default_factory=list)  # per triangle
    libraries: list[str] = field(default_factory=list)


def read_model(path: str, read: Read, most_triangles: int) -> Model:
    """The model at ``path`` of a pack. Raises ModelError for one that is broken, empty or too large."""
    lines = _parse(read(path).decode("utf-8", errors="replace"), most_triangles)
    if not lines.corners:
        raise ModelError("it has no faces")
    vertices = np.array(lines.vertices, dtype=np.float64)
    corners = np.array(lines.corners, dtype=np.int64)
    faces = corners[..., 0]
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ModelError("a face names a vertex that is not there")
    if not np.isfinite(vertices[np.unique(faces)]).all():
        raise ModelError("a vertex is not finite")
    names = sorted(set(lines.material))
    looks = _materials(path, lines.libraries, read)
    materials = tuple(looks.get(name) or _plain(name, (0.75, 0.75, 0.75)) for name in names)
    face_material = np.array([names.index(name) for name in lines.material])
    told = [_part(group, name) for group, name in zip(lines.group, lines.material, strict=True)]
    parts = sorted(set(told))
    uv = _texture_coordinates(lines.uv, corners[..., 1], materials, face_material)
    return Model(vertices, faces, uv, face_material, np.array([parts.index(p) for p in told]), materials, tuple(parts))


def _parse(text: str, most: int) -> _Lines:
    lines, material, group = _Lines(), "", ""
    for line in text.replace("\\\n", " ").splitlines():
        key, *values = line.split() or [""]
        try:
            if key == "v":
                lines.vertices.append([float(value) for value in values[:3]])
            elif key == "vt":
                lines.uv.append([float(value) for value in values[:2]])
            elif key == "f":
                ring = [_corner(value, lines) for value in values]
                for k in range(1, len(ring) - 1):
                    lines.corners.append([ring[0], ring[k], ring[k + 1]])
                    lines.material.append(material)
                    lines.group.append(group)
            elif key == "usemtl":
                material = " ".join(values)
            elif key in ("g", "o"):
                group = " ".join(values)
            elif key == "mtllib":
                lines.libraries.append(" ".join(values))
        except ValueError as error:
            raise ModelError(f"line {line[:40]!r} cannot be read") from error
        if len(lines.corners) > most:
            raise ModelError(f"it has more than {most} triangles")
    return lines


def _corner(text: str, lines: _Lines) -> tuple[int, int]:
    """Rows of a face's corner "v", "v/vt", "v//vn" or "v/vt/vn"; negative numbers count from the latest backwards."""
    vertex, uv, *_ = [*text.split("/"), "", ""]

    def row(number: str, count: int) -> int:
        value = int(number)
        return value - 1 if value > 0 else count + value

    return row(vertex, len(lines.vertices)), row(uv, len(lines.uv)) if uv else -1


def _part(group: str, material: str) -> str:
    for name in (group.lower(), material.lower()):
        for word, part in _PART_WORDS.items():
            if word in name:
                return part
    return "body"


def _texture_coordinates(
    known: list[list[float]], rows: np.ndarray, materials: tuple[Material, ...], face_material: np.ndarray
) -> np.ndarray:
    """(F, 3, 2) metres: the file's coordinates count textures, v upwards, and a texture is ``extent`` wide."""
    table = np.array([*known, [0.0, 0.0]], dtype=np.float64)
    rows = np.where((rows < 0) | (rows >= len(known)), len(known), rows)
    size = np.array([[m.extent, m.extent * m.texture.shape[0] / m.texture.shape[1]] for m in materials])
    return (np.nan_to_num(table[rows]) * size[face_material][:, None]).astype(np.float32)


def _plain(name: str, color: tuple[float, ...], gloss: float = 0.0) -> Material:
    return Material(name or "plain", np.full((8, 8, 3), color, dtype=np.float32), 1.0, gloss)


def _materials(model: str, libraries: list[str], read: Read) -> dict[str, Material]:
    """The materials of the MTL files beside a model. A missing file leaves its materials grey."""
    known: dict[str, Material] = {}
    for library in libraries:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(model), library.replace("\\", "/")))
        try:
            text = read(path).decode("utf-8", errors="replace")
        except KeyError:
            continue
        entry: dict[str, str] = {}
        name = None
        for line in [*text.splitlines(), "newmtl "]:
            key, _, rest = line.strip().partition(" ")
            if key == "newmtl":
                if name is not None:
                    known[name] = _look(name, entry, posixpath.dirname(path), read)
                name, entry = rest.strip(), {}
            elif key:
                entry[key] = rest.strip()
    return known


def _look(name: str, entry: dict[str, str], folder: str, read: Read) -> Material:
    """A material from its lines: the picture of map_Kd, else the colour Kd; gloss from Ks."""
    try:
        gloss = float(np.clip(np.mean([float(v) for v in entry.get("Ks", "0").split()[:3]]), 0, 0.6))
        color = tuple(float(np.clip(float(v), 0, 1)) for v in entry.get("Kd", "0.75 0.75 0.75").split()[:3])
    except ValueError as error:
        raise ModelError(f"material {name!r} has a colour that is no number") from error
    if len(color) != 3:
        color = (color[0],) * 3 if color else (0.75,) * 3
    if "map_Kd" not in entry:
        return _plain(name, color, gloss)
    # Options such as "-s 1 1 1" stand before the file's name.
    file = entry["map_Kd"].split()[-1] if entry["map_Kd"].startswith("-") else entry["map_Kd"]
    try:
        data = read(posixpath.normpath(posixpath.join(folder, file.replace("\\", "/"))))
        with Image.open(io.BytesIO(data)) as picture:
            picture.thumbnail((MOST_TEXELS, MOST_TEXELS))
            texels = np.asarray(picture.convert("RGB"), dtype=np.float32) / 255
    except KeyError as error:
        raise ModelError(f"its picture {file} is not in the pack") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"its picture {file} cannot be read") from error
    # Row 0 of our textures lies at v = 0, a picture's row 0 is its top.
    return Material(name, np.ascontiguousarray(texels[::-1]), 1.0, gloss)
