"""Shapes from one .npz file: the simplest form to bring data of one's own in."""

from __future__ import annotations

from pathlib import Path

import gin
import numpy as np

from sparse3d.checks import at_least, one_of
from sparse3d.data.npz import DAMAGED, read_arrays
from sparse3d.data.shapes.source import UPS, Shape, WholeShapes, check_names, upright, whole_numbers
from sparse3d.errors import InputError

SPLITS = ("train", "val", "all")


@gin.configurable
class ShapeArrays(WholeShapes):
    """Shapes of a file with ``points`` (M, N, 3), ``label`` (M,) and ``classes`` (C,) text; ``name`` (M,) if there.

    Args:
        path: the file.
        split: ``val`` takes every ``val_every``-th shape of each class, ``train`` the others, ``all`` every one.
        val_every: at least 2; of a class with fewer shapes none is measured.
        up: the axis that points up.

    Raises:
        InputError: the file cannot be read, lacks an array, or has arrays that do not fit each other.
    """

    in_memory = True

    def __init__(self, path: str = gin.REQUIRED, split: str = "all", val_every: int = 5, up: str = "z") -> None:
        one_of("ShapeArrays.split", split, SPLITS)
        at_least("ShapeArrays.val_every", val_every, 2)
        one_of("ShapeArrays.up", up, UPS)
        points, labels, classes, names = _read(Path(path))
        rank = np.zeros(len(labels), dtype=np.int64)  # of each shape within its class
        for label in range(len(classes)):
            rank[labels == label] = np.arange((labels == label).sum())
        is_val = rank % val_every == val_every - 1
        rows = np.flatnonzero({"val": is_val, "train": ~is_val, "all": np.ones(len(labels), bool)}[split])
        self._points, self._labels, self._names = points[rows], labels[rows], [names[row] for row in rows]
        self._classes, self.up, self.split, self.path = classes, up, split, str(path)
        check_names(self._names, f"{path}, split {split!r}")

    def idle_options(self) -> dict[str, str]:
        """Options without effect beside the others, and why."""
        return {"val_every": "ShapeArrays.split is 'all'"} if self.split == "all" else {}

    def load(self, index: int) -> Shape:
        xyz = upright(self._points[index], self.up)
        return Shape(self._names[index], xyz, None, int(self._labels[index]), file=self.path)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], list[str]]:
    """points (M, N, 3), label (M,) int64, classes and names."""
    try:
        arrays = read_arrays(path)
    except DAMAGED as error:
        raise InputError(f"{path}: cannot be read as an .npz file ({error})") from error
    if missing := {"points", "label", "classes"} - arrays.keys():
        raise InputError(f"{path}: has no array {', '.join(sorted(missing))}; points, label and classes are needed")
    points, label = arrays["points"], arrays["label"]
    if points.ndim != 3 or points.shape[2] != 3 or label.shape != points.shape[:1] or points.dtype.kind not in "iuf":
        shapes = f"points {points.dtype} {points.shape} and label {label.shape}"
        raise InputError(f"{path}: {shapes} are not numbers (M, N, 3) and (M,)")
    classes = _texts(arrays["classes"], f"{path}: classes")
    names = _texts(arrays.get("name", np.array([f"shape_{k:06d}" for k in range(len(label))])), f"{path}: name")
    if len(names) != len(label):
        raise InputError(f"{path}: name holds {len(names)} texts for {len(label)} shapes")
    return points, whole_numbers(label, len(classes), f"{path}: label"), tuple(classes), names


def _texts(values: np.ndarray, where: str) -> list[str]:
    if values.ndim != 1 or values.dtype.kind not in "US":
        raise InputError(f"{where} has shape {values.shape} and type {values.dtype}; a list of texts is needed")
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values.tolist()]
    if len(set(texts)) < len(texts):
        raise InputError(f"{where} holds a text twice; each must be another")
    return texts
