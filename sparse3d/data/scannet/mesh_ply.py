"""ScanNet's meshes: ``_vh_clean_2.ply`` (vertices with colours, triangles) and ``.labels.ply`` (nyu40 a vertex)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyElement, PlyParseError

from sparse3d.errors import InputError


@dataclass(frozen=True, eq=False)
class ScanMesh:
    """V vertices in the scan's world, metres, and F triangles."""

    xyz: np.ndarray  # (V, 3) float32
    rgb: np.ndarray  # (V, 3) uint8
    faces: np.ndarray  # (F, 3) int32
    normals: np.ndarray | None = None  # (V, 3) float32, where the file has them


def read_mesh(path: str | Path) -> ScanMesh:
    """Read a coloured triangle mesh. Raises InputError when cut off, without colours in bytes, empty, with points that
    are not finite, or with faces that are no triangles of its vertices."""
    ply = _read(Path(path))
    vertex = _element(ply, "vertex", path)
    xyz = _columns(vertex, ("x", "y", "z"), np.float32, path)
    rgb = _colors(vertex, path)
    if len(xyz) == 0:
        raise InputError(f"{path}: the mesh has no vertex")
    if not np.isfinite(xyz).all():
        raise InputError(f"{path}: {int((~np.isfinite(xyz)).any(axis=1).sum())} vertices are not finite")
    names = {p.name for p in vertex.properties}
    normals = _columns(vertex, ("nx", "ny", "nz"), np.float32, path) if {"nx", "ny", "nz"} <= names else None
    faces = _triangles(ply, path)
    if faces.size and (faces.min() < 0 or faces.max() >= len(xyz)):
        raise InputError(f"{path}: a face names vertex {faces.max()} and there are {len(xyz)}")
    return ScanMesh(xyz, rgb, faces, normals)


def read_vertex_labels(path: str | Path, vertices: int) -> np.ndarray:
    """The nyu40 label of each vertex, (V,) uint8, 0 for none. InputError where they are not ``vertices`` many."""
    vertex = _element(_read(Path(path)), "vertex", path)
    labels = _columns(vertex, ("label",), np.int64, path)[:, 0]
    if len(labels) != vertices:
        raise InputError(f"{path}: has {len(labels)} vertices and the mesh {vertices}: they belong to different meshes")
    # ScanNet has a few numbers beyond the 40, which mean nothing.
    return np.where((labels >= 0) & (labels <= 40), labels, 0).astype(np.uint8)


def _read(path: Path) -> PlyData:
    try:
        try:
            # triangles of known length are mapped, a hundred times quicker than lists of any length
            return PlyData.read(str(path), known_list_len={"face": {"vertex_indices": 3}})
        except PlyParseError:
            return PlyData.read(str(path))
    except (OSError, PlyParseError, ValueError, OverflowError, MemoryError) as error:
        raise InputError(f"{path}: cannot be read as PLY ({str(error) or type(error).__name__})") from error


def _element(ply: PlyData, name: str, path: str | Path) -> PlyElement:
    if name not in ply:
        raise InputError(f"{path}: has no element {name!r}")
    return ply[name]


def _columns(element: PlyElement, names: tuple[str, ...], kind: type, path: str | Path) -> np.ndarray:
    """Properties as columns (N, len(names)) of ``kind``, copied out of the mapped file."""
    known = {p.name for p in element.properties}
    if missing := [name for name in names if name not in known]:
        raise InputError(f"{path}: its {element.name} has no property {missing[0]!r}")
    if lists := [name for name in names if element.data.dtype[name].hasobject]:
        raise InputError(f"{path}: the property {lists[0]!r} of its {element.name} is a list: a number is needed")
    return np.stack([np.asarray(element.data[name]).astype(kind) for name in names], axis=1)


def _colors(vertex: PlyElement, path: str | Path) -> np.ndarray:
    names = ("red", "green", "blue")
    for name in names:
        if name in vertex.data.dtype.names and (kind := vertex.data.dtype[name]) != np.uint8:
            raise InputError(f"{path}: its colours are of type {kind}: save them as uchar, 0 to 255")
    return _columns(vertex, names, np.uint8, path)


def _triangles(ply: PlyData, path: str | Path) -> np.ndarray:
    if "face" not in ply or len(ply["face"].data) == 0:
        return np.zeros((0, 3), dtype=np.int32)
    face = ply["face"]
    name = next((p.name for p in face.properties if p.name in ("vertex_indices", "vertex_index")), None)
    if name is None:
        raise InputError(f"{path}: its faces have no vertex_indices")
    column = face.data[name]
    if column.dtype == object:
        if any(len(row) != 3 for row in column):
            raise InputError(f"{path}: has faces that are no triangles")
        column = np.stack(list(column))
    return np.asarray(column).astype(np.int32)
