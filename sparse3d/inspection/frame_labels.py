"""Labels of a scan's frames, as ScanNet packs them: a zip of PNG images a scene."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from sparse3d.data.scannet.label_table import LabelTable
from sparse3d.errors import InputError

# As rooms and as ScanNet itself name them; the filtered ones are better where both are there.
_LABELS = ("_2d-label-filt.zip", "_2d-label.zip")
_INSTANCES = ("_2d-instance-filt.zip", "_2d-instance.zip")


@dataclass(frozen=True)
class FrameLabels:
    """The archives of one scene; None for one that is not there."""

    labels: Path | None
    instances: Path | None
    nyu40_of_raw: dict[int, int]  # empty without a label table

    @classmethod
    def find(cls, folder: Path, name: str, table: LabelTable | None) -> FrameLabels | None:
        """The archives in ``folder``; None without any."""

        def first(suffixes: tuple[str, ...]) -> Path | None:
            return next((path for suffix in suffixes if (path := folder / f"{name}{suffix}").is_file()), None)

        labels, instances = first(_LABELS), first(_INSTANCES)
        if labels is None and instances is None:
            return None
        known = {} if table is None else {c.id: c.nyu40 for c in table.categories.values()}
        return cls(labels, instances, known)

    def nyu40(self, number: int) -> np.ndarray | None:
        """The nyu40 id of each pixel (H, W) uint8 of frame ``number``, 0 for none; None where there is no image."""
        raw = _image(self.labels, number)
        if raw is None or not self.nyu40_of_raw:
            return None
        table = np.zeros(max(int(raw.max()), max(self.nyu40_of_raw)) + 1, dtype=np.uint8)
        table[list(self.nyu40_of_raw)] = list(self.nyu40_of_raw.values())
        return table[raw]

    def instance(self, number: int) -> np.ndarray | None:
        """The object's number + 1 of each pixel (H, W) int64, 0 for none; None where there is no image."""
        return _image(self.instances, number)


def _image(path: Path | None, number: int) -> np.ndarray | None:
    if path is None:
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            member = next((m for m in archive.namelist() if m.rpartition("/")[2] == f"{number}.png"), None)
            if member is None:
                return None
            with Image.open(io.BytesIO(archive.read(member))) as image:
                return np.asarray(image).astype(np.int64)
    except (OSError, ValueError, SyntaxError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: the labels of frame {number} cannot be read ({error}): make them again") from error
