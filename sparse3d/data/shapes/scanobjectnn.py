"""ScanObjectNN: objects cut out of real scans, 15 classes (HDF5 files of the benchmark)."""

from __future__ import annotations

from pathlib import Path

import gin
import numpy as np

from sparse3d.checks import one_of
from sparse3d.data.shapes.source import UPS, Shape, WholeShapes, check_names, upright, whole_numbers
from sparse3d.errors import InputError

CLASSES = (
    "bag", "bin", "box", "cabinet", "chair", "desk", "display", "door", "shelf", "table", "bed", "pillow", "sink",
    "sofa", "toilet",
)  # fmt: skip
# The benchmark's variants and what their files are called: objects alone; with background; and boxes that are perturbed
# (translated by a quarter or half of their size, rotated, scaled), so that they cut objects and hold more background.
FILES = {
    "OBJ_ONLY": ("main_split_nobg", "objectdataset"),
    "OBJ_BG": ("main_split", "objectdataset"),
    "PB_T25": ("main_split", "objectdataset_augmented25_norot"),
    "PB_T25_R": ("main_split", "objectdataset_augmented25rot"),
    "PB_T50_R": ("main_split", "objectdataset_augmentedrot"),
    "PB_T50_RS": ("main_split", "objectdataset_augmentedrot_scale75"),
}
SPLITS = {"train": "training", "test": "test"}


@gin.configurable
class ScanObjectNNShapes(WholeShapes):
    """Objects of ScanObjectNN, 2,048 points each, without colours; a whole file is held in memory.

    Args:
        root: the folder that holds ``main_split`` and ``main_split_nobg`` (``h5_files`` of the download).
        split: ``train`` or ``test``.
        variant: ``PB_T50_RS`` (the hardest), ``PB_T50_R``, ``PB_T25_R``, ``PB_T25``, ``OBJ_BG`` or ``OBJ_ONLY``.
        up: the axis that points up.

    Raises:
        InputError: the file is not there or not of the benchmark, or h5py is not installed.
    """

    in_memory = True
    _classes = CLASSES

    def __init__(
        self, root: str = gin.REQUIRED, split: str = "train", variant: str = "PB_T50_RS", up: str = "y"
    ) -> None:
        one_of("ScanObjectNNShapes.split", split, SPLITS)
        one_of("ScanObjectNNShapes.variant", variant, FILES)
        one_of("ScanObjectNNShapes.up", up, UPS)
        folder, stem = FILES[variant]
        self.path, self.up = Path(root) / folder / f"{SPLITS[split]}_{stem}.h5", up
        self._points, self._labels = read_h5(self.path)
        self._names = [f"{split}_{k:05d}" for k in range(len(self._labels))]
        check_names(self._names, str(self.path))

    def load(self, index: int) -> Shape:
        xyz = upright(self._points[index], self.up)
        return Shape(self._names[index], xyz, None, int(self._labels[index]), file=str(self.path))


def read_h5(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """``data`` (M, N, 3) float32 and ``label`` (M,) int64 of one file.

    Raises:
        InputError: h5py is missing, the file cannot be read, or its arrays are of other shapes.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise InputError(f"{path}: reading it needs h5py: pip install 'sparse3d[scanobjectnn]', or h5py") from error
    try:
        with h5py.File(path, "r") as stored:
            points, labels = np.asarray(stored["data"], np.float32), np.asarray(stored["label"])
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as a file of ScanObjectNN ({error})") from error
    if points.ndim != 3 or points.shape[2] != 3 or labels.shape != points.shape[:1]:
        raise InputError(f"{path}: data {points.shape} and label {labels.shape} are not (M, N, 3) and (M,)")
    return points, whole_numbers(labels, len(CLASSES), str(path))
