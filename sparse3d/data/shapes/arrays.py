"""Shapes from one .npz file: the simplest form to bring data of one's own in."""

from __future__ import annotations

import zipfile
from pathlib import Path

import gin
import numpy as np

from sparse3d.checks import at_least, require
from sparse3d.data.shapes.source import UPS, Shape, WholeShapes, with_z_up
from sparse3d.errors import InputError

SPLITS = ("train", "val", "all")


@gin.configurable
class ShapeArrays(WholeShapes):
    """Shapes of a file with ``points`` (M, N, 3), ``label`` (M,) and ``classes`` (C,) text; ``name`` (M,) if there.

    Args:
        path: the file.
        split: ``val`` takes every ``val_every``-th shape, ``train`` the others, ``all`` every one.
        val_every: at least 2.
        up: the axis that points up.

    Raises:
        InputError: the file cannot be read, lacks an array, or has arrays that do not fit each other.
    """

    def __init__(self, path: str = gin.REQUIRED, split: str = "all", val_every: int = 5, up: str = "z") -> None:
        require(split in SPLITS, "ShapeArrays.split", split, f"one of {', '.join(SPLITS)}")
        at_least("ShapeArrays.val_every", val_every, 2)
        require(up in UPS, "ShapeArrays.up", up, f"one of {', '.join(UPS)}")
        arrays = _read(Path(path))
        points, labels = arrays["points"], arrays["label"]
        count = len(labels)
        if points.ndim != 3 or points.shape[2] != 3 or labels.shape != (len(points),):
            raise InputError(f"{path}: points {points.shape} and label {labels.shape} are not (M, N, 3) and (M,)")
        names = arrays.get("name", np.array([f"shape_{k:06d}" for k in range(count)]))
        if names.shape != (count,) or len(set(names.tolist())) < count:
            raise InputError(f"{path}: name must hold {count} different texts")
        is_val = np.arange(count) % val_every == 0
        rows = np.flatnonzero({"val": is_val, "train": ~is_val, "all": np.ones(count, bool)}[split])
        self._points, self._labels, self._names = points[rows], labels[rows], [str(n) for n in names[rows]]
        self._classes, self.up = tuple(str(name) for name in arrays["classes"]), up

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    @property
    def names(self) -> list[str]:
        return self._names

    def load(self, index: int) -> Shape:
        xyz = with_z_up(self._points[index].astype(np.float32), self.up)
        return Shape(self._names[index], xyz, None, int(self._labels[index]))


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as an .npz file ({error})") from error
    if missing := {"points", "label", "classes"} - arrays.keys():
        raise InputError(f"{path}: has no array {', '.join(sorted(missing))}; points, label and classes are needed")
    return arrays
