"""Scans as files: PLY, arrays, text, a prepared scene, a scene of ScanNet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparse3d.data.npz import DAMAGED, read_arrays
from sparse3d.data.prepared import SCENE, PreparedScene
from sparse3d.data.scannet.axis_alignment import read_scene_text
from sparse3d.data.scannet.mesh_ply import read_mesh
from sparse3d.data.scannet.scene_files import SUFFIXES
from sparse3d.errors import InputError
from sparse3d.geometry import transform_points
from sparse3d.prediction.cloud_input import checked_cloud

NAMES = {"points": ("xyz", "points"), "colours": ("rgb", "colors")}  # of the arrays in an .npz
TEXTS = (".txt", ".xyz")


@dataclass(frozen=True, eq=False)
class Scan:
    """N points of one scan; with ``faces`` they are the vertices of a mesh."""

    name: str
    xyz: np.ndarray  # (N, 3) float32, metres
    rgb: np.ndarray  # (N, 3) float32 in [0, 1]
    faces: np.ndarray | None = None  # (F, 3) int32
    aligned: bool = False  # turned to the room's axes, which the files' own coordinates are not

    def __len__(self) -> int:
        return len(self.xyz)


def read_scan(path: str | Path) -> Scan:
    """A scan from a file or folder.

    Args:
        path: ``.ply`` (points or a mesh, with colours as bytes); ``.npz`` with ``xyz`` or ``points``, ``rgb`` or
            ``colors``, and maybe ``faces``; ``.txt`` or ``.xyz`` with lines ``x y z r g b``; the folder of a scene that
            ``tools/prepare.py`` wrote, or of one in ScanNet's layout. Both are turned to the room's axes.

    Raises:
        InputError: nothing of this kind, or a scan that cannot be used.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: does not exist; name a .ply, .npz or .txt file, or a scene's folder")
    if path.is_dir():
        scan = _read_folder(path)
    elif path.suffix.lower() == ".ply":
        scan = _read_ply(path)
    elif path.suffix.lower() == ".npz":
        scan = _read_arrays(path)
    elif path.suffix.lower() in TEXTS:
        scan = _read_text(path)
    else:
        raise InputError(f"{path}: files {path.suffix or 'without an ending'} are not read: give .ply, .npz or .txt")
    xyz, rgb = checked_cloud(scan.xyz, scan.rgb, str(path))
    return Scan(scan.name, xyz, rgb, scan.faces, scan.aligned)


def _read_folder(path: Path) -> Scan:
    name = path.resolve().name
    if (path / SCENE).is_file():
        mesh = PreparedScene(path.resolve()).mesh(aligned=True)
        return Scan(name, mesh.xyz, mesh.rgb, mesh.faces, aligned=True)
    ply = path / f"{name}{SUFFIXES['mesh']}"
    if not ply.is_file():
        raise InputError(f"{path}: is neither a prepared scene ({SCENE}) nor one of ScanNet ({ply.name})")
    scan, text = _read_ply(ply), path / f"{name}{SUFFIXES['text']}"
    matrix = read_scene_text(text).axis_alignment if text.is_file() else None
    if matrix is None:
        return Scan(name, scan.xyz, scan.rgb, scan.faces)
    return Scan(name, transform_points(matrix, scan.xyz).astype(np.float32), scan.rgb, scan.faces, aligned=True)


def _read_ply(path: Path) -> Scan:
    mesh = read_mesh(path)
    return Scan(path.stem, mesh.xyz, mesh.rgb, mesh.faces if len(mesh.faces) else None)


def _read_arrays(path: Path) -> Scan:
    found = read_npz(path, NAMES)
    faces = found.get("faces")
    if faces is not None:
        faces = _checked_faces(path, faces, len(found["points"]))
    return Scan(path.stem, found["points"], found["colours"], faces)


def read_npz(path: Path, needed: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """All arrays of an ``.npz``, and under each key of ``needed`` the first of those names that is there.

    Raises:
        InputError: the file cannot be read, or has none of the names of something needed.
    """
    try:
        arrays = read_arrays(path)
    except DAMAGED as error:
        raise InputError(f"{path}: cannot be read as arrays ({error})") from error
    found = dict(arrays)
    for what, names in needed.items():
        there = [name for name in names if name in arrays]
        if not there:
            known = ", ".join(sorted(arrays)) or "nothing"
            raise InputError(f"{path}: has no array {' or '.join(names)} for the {what}; it holds {known}")
        found[what] = np.atleast_1d(arrays[there[0]])
    return found


def _checked_faces(path: Path, faces: np.ndarray, points: int) -> np.ndarray:
    if faces.ndim != 2 or faces.shape[1] != 3 or not np.issubdtype(faces.dtype, np.integer):
        raise InputError(f"{path}: its faces have shape {faces.shape} and type {faces.dtype}: give rows (F, 3), whole")
    if faces.size and not 0 <= faces.min() <= faces.max() < points:
        wrong = faces.min() if faces.min() < 0 else faces.max()
        raise InputError(f"{path}: a face names point {wrong} and there are {points}")
    return faces.astype(np.int32)


def _read_text(path: Path) -> Scan:
    try:
        rows = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as lines of numbers x y z r g b ({error})") from error
    if rows.shape[1] < 6:
        raise InputError(f"{path}: has {rows.shape[1]} numbers a line: give six, x y z r g b")
    rgb = rows[:, 3:6]
    # Whole numbers are bytes, as S3DIS has them; anything else should lie in [0, 1].
    whole = np.isfinite(rgb).all() and (rgb == np.round(rgb)).all() and np.abs(rgb).max(initial=0) < 1e6
    return Scan(path.stem, rows[:, :3], rgb.astype(np.int64) if whole else rgb)
