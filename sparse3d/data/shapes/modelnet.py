"""ModelNet10 and ModelNet40: the original meshes (OFF) or the points that PointNet++ sampled of them, with normals."""

from __future__ import annotations

import io
from pathlib import Path
from zlib import crc32

import gin
import numpy as np

from sparse3d.checks import at_least, require
from sparse3d.data.shapes.source import UPS, Shape, WholeShapes, with_z_up
from sparse3d.data.shapes.text_points import read_rows
from sparse3d.errors import InputError

SPLITS = ("train", "test")


@gin.configurable
class ModelNetShapes(WholeShapes):
    """Shapes of ModelNet, of one class each, without colours.

    Two layouts are known: ``<class>/train/<class>_0001.off`` of the original (``ModelNet10``, ``ModelNet40``), whose
    surfaces points are sampled from, by area; and ``<class>/<class>_0001.txt`` with the lists
    ``modelnet40_train.txt`` and ``modelnet40_shape_names.txt`` (``modelnet40_normal_resampled``), whose rows are taken.

    Args:
        root: the folder that holds the classes' folders.
        split: ``train`` or ``test``.
        variant: which lists of the resampled form: ``modelnet40`` or ``modelnet10``.
        sampled: points sampled from a mesh; always the same of one mesh.
        up: the axis that points up; None takes z for meshes and y for the resampled points, as they are published.

    Raises:
        InputError: neither layout, or a listed shape that is not there.
    """

    def __init__(
        self,
        root: str = gin.REQUIRED,
        split: str = "train",
        variant: str = "modelnet40",
        sampled: int = 4096,
        up: str | None = None,
    ) -> None:
        require(split in SPLITS, "ModelNetShapes.split", split, f"one of {', '.join(SPLITS)}")
        require(up in (None, *UPS), "ModelNetShapes.up", up, f"one of {', '.join(UPS)}, or None")
        at_least("ModelNetShapes.sampled", sampled, 1)
        folder = Path(root)
        self.sampled = sampled
        lists = folder / f"{variant}_{split}.txt"
        if lists.is_file():
            self._classes = tuple(_lines(folder / f"{variant}_shape_names.txt"))
            names = _lines(lists)
            self.paths = [folder / name.rpartition("_")[0] / f"{name}.txt" for name in names]
            self.up = up or "y"
        else:
            self._classes = tuple(sorted(path.parent.name for path in folder.glob(f"[!.]*/{split}") if path.is_dir()))
            self.paths = [path for kind in self._classes for path in sorted((folder / kind / split).glob("[!.]*.off"))]
            self.up = up or "z"
        if not self.paths:
            raise InputError(
                f"{folder}: holds neither {lists.name} nor <class>/{split}/*.off: name the folder that ModelNet's "
                "classes lie in"
            )
        for path in self.paths:
            if self._class_name(path) not in self._classes:
                raise InputError(f"{lists}: {path.stem} is of none of the {len(self._classes)} classes")

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    @property
    def names(self) -> list[str]:
        return [path.stem for path in self.paths]

    def load(self, index: int) -> Shape:
        path = self.paths[index]
        if path.suffix == ".off":
            xyz = sample_mesh(path, self.sampled, crc32(path.stem.encode()))
        else:
            xyz = read_rows(path, columns=(6,), delimiter=",")[:, :3]
        label = self._classes.index(self._class_name(path))
        return Shape(path.stem, with_z_up(xyz.astype(np.float32), self.up), None, label)

    def _class_name(self, path: Path) -> str:
        return path.parent.parent.name if path.suffix == ".off" else path.parent.name


def sample_mesh(path: Path, count: int, seed: int) -> np.ndarray:
    """Points (count, 3) float64 drawn evenly from the surface of an OFF file.

    Raises:
        InputError: the file cannot be read, or has no surface.
    """
    from trimesh import Trimesh
    from trimesh.exchange.off import load_off
    from trimesh.sample import sample_surface

    try:
        # Some of the original's headers run into the counts ("OFF490 518 0"), which the format does not allow.
        head, body = (text := path.read_text())[:3], text[3:].lstrip()
        if head != "OFF":
            raise ValueError(f"it begins with {head!r} in place of OFF")
        mesh = Trimesh(**load_off(io.StringIO(f"OFF\n{body}")), process=False)
        if not 0 < mesh.area < np.inf:
            raise ValueError("it has no surface")
        return np.asarray(sample_surface(mesh, count, seed=seed)[0])
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise InputError(f"{path}: cannot be read as a mesh ({error}): fetch it again, or remove it") from error


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
