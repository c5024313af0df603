"""Single shapes as files: meshes, whose surface is sampled, and points."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sparse3d.data.shapes.off import read_off
from sparse3d.data.shapes.source import upright
from sparse3d.data.shapes.surface import SAMPLED, sample_surface
from sparse3d.errors import InputError
from sparse3d.prediction.cloud_input import checked_shape
from sparse3d.prediction.scan_input import NAMES, Scan, read_npz, read_scan

MESHES = (".off", ".obj", ".stl", ".ply")
TEXTS = (".txt", ".xyz", ".pts")


def read_shape(path: str | Path, colored: bool, up: str = "z") -> Scan:
    """A single shape from a file, z up and with its mean at the origin.

    Args:
        path: without colours: a mesh (``.off``, ``.obj``, ``.stl``, ``.ply``), from whose surface as many points are
            sampled as from ModelNet's, always the same of one file; a ``.ply`` without faces, an ``.npz`` with ``xyz``
            or ``points``, or a ``.txt``, ``.xyz`` or ``.pts`` whose lines begin with x y z, whose points are taken as
            they are. With colours: the files that :func:`~sparse3d.prediction.scan_input.read_scan` reads, in metres.
        colored: whether colours are needed; else they are not looked at, and the shape is black.
        up: the file's axis that points up.

    Raises:
        InputError: nothing of this kind, or a shape that cannot be used.
    """
    path = Path(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"{path}: {what}; name the file of a single shape, such as an .off, .ply, .npz or .txt")
    if colored:
        scan = read_scan(path)
        return Scan(scan.name, upright(scan.xyz, up), scan.rgb)
    xyz, _ = checked_shape(_points(path), None, str(path), up)
    return Scan(path.stem, xyz, np.zeros_like(xyz))


def _points(path: Path) -> np.ndarray:
    ending = path.suffix.lower()
    if ending == ".off":
        return sample_surface(*read_off(path), SAMPLED, path)
    if ending in MESHES:
        return _loaded(path)
    if ending == ".npz":
        return read_npz(path, {"points": NAMES["points"]})["points"]
    if ending in TEXTS:
        return _text(path)
    known = ", ".join((*MESHES, ".npz", *TEXTS))
    raise InputError(f"{path}: shapes {ending or 'without an ending'} are not read: give one of {known}")


def _loaded(path: Path) -> np.ndarray:
    """Points of a file that trimesh reads: its faces sampled, or its vertices where it has none."""
    import trimesh

    try:
        parts = trimesh.load_scene(str(path), process=False, skip_materials=True).dump()
    except Exception as error:  # its readers let anything through
        raise InputError(f"{path}: cannot be read as a mesh ({error or type(error).__name__})") from error
    meshes = [part for part in parts if isinstance(part, trimesh.Trimesh) and len(part.faces)]
    if meshes:
        starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
        vertices = np.concatenate([mesh.vertices for mesh in meshes])
        faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)])
        return sample_surface(vertices, faces, SAMPLED, path)
    points = [np.asarray(part.vertices) for part in parts if isinstance(part, trimesh.PointCloud)]
    if not points:
        raise InputError(f"{path}: holds neither faces nor points")
    return np.concatenate(points)


def _text(path: Path) -> np.ndarray:
    """The first three numbers of every line, parted by commas (as ModelNet's resampled points) or blanks."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = np.loadtxt(text.replace(",", " ").splitlines(), dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as lines of numbers x y z ... ({error})") from error
    if rows.shape[1] < 3:
        raise InputError(f"{path}: has {rows.shape[1]} numbers a line: give at least three, x y z")
    return rows[:, :3]
