"""Reading what ``tools/prepare.py`` wrote: scenes with frames, overlaps, a labelled mesh, objects and split lists.

::

    ROOT/scenes/<scene>/<scene>.sens   frames, small enough to train from; any reader of .sens opens it
                        overlap.npz    how much the frames see of each other
                        mesh.npz       vertices, faces, labels (uncompressed)
                        objects.json   one entry an instance, with its box along the room's axes
                        scene.json     alignment, counts, what was left out and why, sources, options
    ROOT/splits/*.txt, labels.json, manifest.json
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparse3d.checks import one_of
from sparse3d.data.npz import DAMAGED, read_arrays
from sparse3d.data.overlaps import stored_overlaps
from sparse3d.data.readers import FrameSource, open_frames
from sparse3d.data.scannet.classes import CLASS_LISTS
from sparse3d.data.scannet.scene_files import SUFFIXES
from sparse3d.data.scannet.split_lists import LISTS, limited_points, limited_scenes, read_split
from sparse3d.errors import InputError
from sparse3d.geometry import transform_points

__all__ = ["PreparedMesh", "PreparedObject", "PreparedScene", "limited_points", "limited_scenes", "prepared_scenes"]

SCENES, BROKEN = "scenes", "broken"  # folders of a prepared root
MESH, OBJECTS, SCENE = "mesh.npz", "objects.json", "scene.json"
FORMAT = 1  # of all of it; raised when older folders can no longer be read


@dataclass(frozen=True, eq=False)
class PreparedMesh:
    """V vertices, metres, with F triangles and labels."""

    xyz: np.ndarray  # (V, 3) float32
    rgb: np.ndarray  # (V, 3) float32 in [0, 1]
    faces: np.ndarray  # (F, 3) int32
    semantic: np.ndarray  # (V,) int64, index of the asked list of classes, IGNORE for none
    instance: np.ndarray  # (V,) int64, row of the scene's objects, -1 for none
    nyu40: np.ndarray  # (V,) uint8, 0 for none
    raw_category: np.ndarray  # (V,) int32, id of the label table, -1 for none
    normals: np.ndarray | None = None  # (V, 3) float32, where the scan has them

    def __len__(self) -> int:
        return len(self.xyz)


@dataclass(frozen=True)
class PreparedObject:
    """One annotated instance. The box is that of its vertices, along the axes of the aligned frame."""

    object_id: int  # as annotated; numbers may be missing
    label: str  # as annotated
    raw_category: int | None  # None: the label table has not the label
    nyu40: int | None
    class20: int | None  # index of SCANNET20, None outside
    class18: int | None  # index of SCANNET18, the classes of detection
    class200: int | None
    center: tuple[float, float, float]  # metres
    size: tuple[float, float, float]  # metres, full lengths
    vertices: int

    @property
    def box(self) -> np.ndarray:
        """(2, 3) float64: lowest and highest corner in the aligned frame."""
        center, half = np.array(self.center), np.array(self.size) / 2
        return np.stack([center - half, center + half])


class PreparedScene:
    """One prepared scene, read on demand; picklable."""

    def __init__(self, path: str | Path) -> None:
        """``path`` is the scene's folder. Raises InputError when it was not written by this version's preparation."""
        self.path = Path(path)
        self.name = self.path.name
        record = _json(self.path / SCENE)
        self.record: dict[str, Any] = record if isinstance(record, dict) else {}
        if (found := self.record.get("format")) != FORMAT:
            raise InputError(f"{self.path / SCENE}: format {found}, this version reads {FORMAT}: prepare it again")

    def __repr__(self) -> str:
        return f"<PreparedScene {self.path}>"

    @property
    def axis_alignment(self) -> np.ndarray | None:
        """(4, 4) float64 scan world to aligned world, or None where the scan has none (ScanNet's test scenes)."""
        matrix = self.record["axis_alignment"]
        return None if matrix is None else np.array(matrix, dtype=np.float64)

    @property
    def has_frames(self) -> bool:
        return (self.path / f"{self.name}.sens").is_file()

    @property
    def has_mesh(self) -> bool:
        return (self.path / MESH).is_file()

    @property
    def has_labels(self) -> bool:
        return bool(self.record["mesh"] and self.record["mesh"]["labels"])

    @property
    def has_instances(self) -> bool:
        """Whether objects are annotated, and classes of ScanNet200; ``.labels.ply`` alone knows neither."""
        mesh = self.record["mesh"]
        if not mesh or not mesh["labels"]:
            return False
        annotation = SUFFIXES["aggregation"]
        return bool(mesh.get("instances_known", annotation in self.record.get("sources", (annotation,))))

    def mesh(self, classes: str = "scannet20", aligned: bool = False) -> PreparedMesh:
        """The mesh with ``semantic`` as indices of ``classes`` (scannet20, scannet18 or scannet200).

        ``aligned`` turns it to the room's axes (the frame of the boxes); a scene without alignment stays as it is.
        Raises InputError for an unknown list of classes, and where the scene has no mesh.
        """
        one_of("classes", classes, CLASS_LISTS)
        stored = self._arrays()
        xyz, normals = stored["xyz"], stored.get("normals")
        matrix = self.axis_alignment
        if aligned and matrix is not None:
            xyz = transform_points(matrix, xyz).astype(np.float32)
            normals = None if normals is None else (normals @ matrix[:3, :3].T).astype(np.float32)
        if classes == "scannet18":
            semantic = CLASS_LISTS[classes].index_of_id(stored["nyu40"])
        else:
            semantic = stored["semantic200" if classes == "scannet200" else "semantic20"]
        return PreparedMesh(
            xyz=xyz,
            rgb=stored["rgb"].astype(np.float32) / np.float32(255),
            faces=stored["faces"],
            semantic=semantic.astype(np.int64),
            instance=stored["instance"].astype(np.int64),
            nyu40=stored["nyu40"],
            raw_category=stored["raw_category"],
            normals=normals,
        )

    def objects(self) -> list[PreparedObject]:
        """The annotated instances; entry k is instance k of the mesh. Empty where nothing is annotated."""
        path = self.path / OBJECTS
        if not path.is_file():
            return []
        return [
            PreparedObject(**{**entry, "center": tuple(entry["center"]), "size": tuple(entry["size"])})
            for entry in _json(path)["objects"]
        ]

    def frames(self, **options: Any) -> FrameSource:
        """The frames; ``options`` are those of :func:`~sparse3d.data.readers.open_frames`. InputError without any."""
        if not self.has_frames:
            raise InputError(f"{self.path}: the scene was prepared without frames, as its source has none")
        return open_frames(self.path / f"{self.name}.sens", **options)

    def overlap(self, voxel_size: float = 0.05) -> np.ndarray:
        """The frames' overlap matrix (F, F) float32. Raises InputError when it is not that of the frames (stale)."""
        overlap = stored_overlaps(self.frames(), voxel_size)
        if overlap is None:
            raise InputError(f"{self.path / 'overlap.npz'}: not of these frames at {voxel_size} m: prepare it again")
        return overlap

    def frame_numbers(self) -> list[int]:
        """The number in the source of each frame kept."""
        return [int(number) for number in (self.record["frames"] or {"numbers": []})["numbers"]]

    def _arrays(self) -> dict[str, np.ndarray]:
        path = self.path / MESH
        if not path.is_file():
            raise InputError(f"{self.path}: the scene was prepared without a mesh, as its source has none")
        try:
            return read_arrays(path)
        except DAMAGED as error:
            raise InputError(f"{path}: cannot be read ({error}): prepare the scene again") from error


def prepared_scenes(root: str | Path, split: str | Path | Sequence[str] | None = None) -> list[PreparedScene]:
    """The scenes of a prepared ``root``, in the order of ``split``.

    Args:
        root: the folder that ``tools/prepare.py`` wrote.
        split: the name of a list in ``root/splits``, the path of a list, or the scenes' names; None for all, by name.

    Raises:
        InputError: a scene of the split is not there (or was left out as broken), or nothing is.
    """
    root = Path(root)
    folder = root / SCENES
    if not folder.is_dir():
        raise InputError(f"{root}: holds no prepared scenes: run tools/prepare.py first")
    broken = {path.stem for path in (root / BROKEN).glob("[!.]*.json")}
    there = {path.parent.name for path in folder.glob(f"[!.]*/{SCENE}")} - broken
    names = sorted(there) if split is None else _names(root, split)
    if missing := [name for name in names if name not in there]:
        raise InputError(
            f"{root}: {len(missing)} of {len(names)} scenes of the split are not prepared; first: {missing[0]}"
            f"{' (left out as broken)' if missing[0] in broken else ''}: run tools/prepare.py again"
        )
    if not names:
        raise InputError(f"{folder}: holds no prepared scene: run tools/prepare.py first")
    return [PreparedScene(folder / name) for name in names]


def _names(root: Path, split: str | Path | Sequence[str]) -> list[str]:
    if not isinstance(split, (str, Path)):
        return list(split)
    own = root / "splits" / f"{split}.txt"
    if own.is_file():
        return read_split(own)
    if Path(split).is_file():
        return read_split(split)
    known = ", ".join(sorted(path.stem for path in (root / "splits").glob(LISTS))) or "none"
    raise InputError(f"split {str(split)!r}: neither a list of {root / 'splits'} ({known}) nor a file")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}): prepare the scene again") from error
