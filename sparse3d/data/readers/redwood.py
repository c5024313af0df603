"""Redwood / Open3D: ``color/`` (or ``rgb/``, ``image/``), ``depth/`` and ``trajectory.log``.

Depth in millimetres. The trajectory has five lines a frame: three integers, then a 4 x 4 camera to world. Its entries
belong to the images in the order of their numbers. Colour and depth are paired by number; where the trajectory has
another count, or gaps in its own first integers, these say which image is missing, and where they do not say it beyond
doubt, nothing is guessed. The camera comes from ``camera-intrinsics.txt`` or ``intrinsic.json``, else it is 525 525
319.5 239.5 at 640 x 480.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from sparse3d.data.readers.base import Entry
from sparse3d.data.readers.image_files import (
    IMAGE_SUFFIXES,
    FolderSource,
    entries_by_number,
    numbered_files,
    read_numbers,
)
from sparse3d.errors import InputError

COLOR_FOLDERS = ("color", "rgb", "image")
ENTRY = 3 + 16  # numbers of one entry of the trajectory


class RedwoodSource(FolderSource):
    """Frames of a Redwood or Open3D recording."""

    format = "redwood"
    pose_file = "trajectory.log"
    looks_for = "trajectory.log, depth/00000.png, and color/00000.jpg or .png (or rgb/, image/)"

    @classmethod
    def recognise(cls, path: Path) -> bool:
        return (path / "trajectory.log").is_file()

    def _list(self) -> list[Entry]:
        folder = next((f for f in COLOR_FOLDERS if (self.path / f).is_dir()), COLOR_FOLDERS[0])
        color = numbered_files(self.path / folder, IMAGE_SUFFIXES)
        depth = numbered_files(self.path / "depth", (".png",))
        numbers = sorted(color.keys() | depth.keys())
        log = self.path / "trajectory.log"
        ids, poses = read_trajectory(log)
        if not numbers:
            return []
        return entries_by_number(color, depth, dict(zip(self._frames_of(log, ids, numbers), poses, strict=True)))

    def _frames_of(self, log: Path, ids: list[int], numbers: list[int]) -> list[int]:
        """The image number of each trajectory entry. InputError where counts or ids differ and leave it open.

        Ids that merely count, or say nothing, are of the images in order; ids with gaps are images' numbers.
        """
        counting = len(set(ids)) < len(ids) or ids == list(range(ids[0], ids[0] + len(ids)))
        if len(ids) == len(numbers) and counting:
            return numbers
        fits = []
        for offset in (0, 1):  # images are numbered like the entries, or one higher
            shifted = {i + offset for i in ids}
            if len(shifted) == len(ids) and (shifted <= set(numbers) or shifted >= set(numbers)):
                fits.append(offset)
        if len(fits) != 1:
            poses = f"{len(ids)} poses, but there are" if len(ids) != len(numbers) else f"poses {_span(ids)} for"
            raise InputError(
                f"{log}: has {poses} {len(numbers)} frames, numbered {_span(numbers)}: which one has no partner cannot "
                "be told"
            )
        return [i + fits[0] for i in ids]


def _span(numbers: list[int]) -> str:
    gap = next((b - 1 for a, b in itertools.pairwise(numbers) if b > a + 1), None)
    return f"{numbers[0]} to {numbers[-1]}" + ("" if gap is None else f" without {gap}")


def read_trajectory(path: Path) -> tuple[list[int], list[np.ndarray]]:
    """The first header integer and the pose (4, 4) of each entry. InputError if the file is cut or malformed."""
    numbers = read_numbers(path)
    if not numbers or len(numbers) % ENTRY:
        raise InputError(f"{path}: holds {len(numbers)} numbers, not {ENTRY} for each frame (3 integers, 4 x 4 pose)")
    rows = np.array(numbers, dtype=np.float64).reshape(-1, ENTRY)
    for k, row in enumerate(rows):
        if not np.all(np.isfinite(row[:3]) & (row[:3] == np.round(row[:3]))):
            raise InputError(f"{path}: entry {k} does not begin with three integers but with {row[:3].tolist()}")
    return [int(i) for i in rows[:, 0]], list(rows[:, 3:].reshape(-1, 4, 4))
