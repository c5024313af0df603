"""TUM RGB-D: ``rgb.txt`` and ``depth.txt`` list images with their time, ``groundtruth.txt`` the camera's path.

Lines are ``time path`` and ``time tx ty tz qx qy qz qw`` (camera to world), ``#`` begins a comment; depth is 5000
units a metre. The three lists have clocks of their own: each colour image takes the depth image and then the pose
nearest in time, at most 20 ms away, and none is used twice. What finds no partner is counted as "unpaired", which is
normal here and no error. A frame's number is the row of its image in ``rgb.txt``, from 0.

The camera comes from ``camera-intrinsics.txt`` or ``calibration.txt``, else from the name of the folder (freiburg1,
2, 3: the published calibrations, without distortion), else it is 525 525 319.5 239.5 at 640 x 480.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from sparse3d.data.readers.base import Entry, Size
from sparse3d.data.readers.image_files import FolderSource, one_line
from sparse3d.data.readers.manifest import Dropped
from sparse3d.errors import InputError
from sparse3d.geometry import rotation_from_quaternion
from sparse3d.types import Camera

LISTS = ("rgb.txt", "depth.txt", "groundtruth.txt")
NEAREST_S = 0.02
PUBLISHED_K = {  # https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats, colour cameras
    "1": (517.3, 516.5, 318.6, 255.3),
    "2": (520.9, 521.0, 325.1, 249.7),
    "3": (535.4, 539.2, 320.1, 247.6),
}


class TumSource(FolderSource):
    """Frames of a TUM RGB-D sequence."""

    format = "tum"
    looks_for = "rgb.txt, depth.txt, groundtruth.txt and the images they list"
    depth_units = 5000.0
    pose_file = "groundtruth.txt"
    expected_faults = frozenset({"unpaired"})

    @classmethod
    def recognise(cls, path: Path) -> bool:
        return (path / "rgb.txt").is_file() and (path / "depth.txt").is_file()

    def _list(self) -> list[Entry]:
        rgb, depth, poses = (self._read_list(name) for name in LISTS)
        rgb_to_depth = pair_by_time([t for t, _ in rgb], [t for t, _ in depth])
        rows = sorted(rgb_to_depth)
        row_to_pose = pair_by_time([depth[rgb_to_depth[row]][0] for row in rows], [t for t, _ in poses])
        pose_of = {rows[k]: pose for k, pose in row_to_pose.items()}
        entries = []
        for row, (time, words) in enumerate(rgb):
            entry = self._entry(row, words[0], None, None)
            if row not in rgb_to_depth:
                entry.fault = _unpaired(entry, self.path / "rgb.txt", time, "depth image")
            elif row not in pose_of:
                entry.fault = _unpaired(entry, self.path / "rgb.txt", time, "pose")
            else:
                entry.depth = self._existing(depth[rgb_to_depth[row]][1][0])
                entry.pose = self._motion(poses[pose_of[row]][1])
            entries.append(entry)
        return sorted(entries + self._left_over(rgb, depth, set(rgb_to_depth.values())), key=lambda e: e.number)

    def _left_over(self, rgb: list, depth: list, used: set[int]) -> list[Entry]:
        """Entries for the depth images that no colour image took, numbered like the colour image before them."""
        times = [t for t, _ in rgb]
        entries = []
        for k in sorted(set(range(len(depth))) - used):
            time, words = depth[k]
            row = max(0, int(np.searchsorted(times, time)) - 1)
            entry = Entry(row, f"depth-{Path(words[0]).stem}", None, words[0], None)
            entry.fault = _unpaired(entry, self.path / "depth.txt", time, "colour image")
            entries.append(entry)
        return entries

    def _entry(self, row: int, color: str, depth: str | None, pose: np.ndarray | None) -> Entry:
        return Entry(row, Path(color).stem, self._existing(color), depth, pose)

    def _existing(self, listed: str) -> str | None:
        path = self.path / listed
        return str(path) if path.is_file() else None

    def _motion(self, words: list[str]) -> np.ndarray:
        """The pose (4, 4) of ``tx ty tz qx qy qz qw``, all NaN where these are no rotation."""
        tx, ty, tz, *quaternion = (float(word) for word in words)
        T = np.eye(4)
        T[:3, 3] = tx, ty, tz
        try:
            T[:3, :3] = rotation_from_quaternion(*quaternion)
        except ValueError:  # a lost pose: counted as invalid_pose by the caller's check
            T[:] = np.nan
        return T

    def _read_list(self, name: str) -> list[tuple[float, list[str]]]:
        """(time in s, the line's other words) in the order of time. InputError names the line that is malformed."""
        path = self.path / name
        words_wanted = 7 if name == "groundtruth.txt" else 1
        rows = []
        try:
            lines = path.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read ({one_line(error)}); a TUM recording needs it") from error
        for number, line in enumerate(lines, 1):
            words = line.replace(",", " ").split()
            if not words or words[0].startswith("#"):
                continue
            try:
                time = float(words[0])
                if len(words) != 1 + words_wanted or not np.isfinite(time):
                    raise ValueError(f"expected a time and {words_wanted} more")
                if name == "groundtruth.txt":
                    [float(word) for word in words]
            except ValueError as error:
                raise InputError(f"{path}: malformed line {number} ({one_line(error)}): {line.strip()[:80]}") from error
            rows.append((time, words[1:]))
        return sorted(rows, key=lambda row: row[0])

    def _default_camera(self, size: Size) -> Camera:
        series = re.search(r"(?:freiburg|fr)([123])", self.path.resolve().name)
        if series:
            return Camera(*PUBLISHED_K[series[1]], 640, 480).scaled(*size)
        return super()._default_camera(size)


def pair_by_time(first: list[float], second: list[float], within: float = NEAREST_S) -> dict[int, int]:
    """Index pairs of two sorted lists of times (s), nearest pairs first, none used twice, at most ``within`` apart."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    low, high = np.searchsorted(b, a - within, "left"), np.searchsorted(b, a + within, "right")
    near = [(abs(a[i] - b[j]), i, j) for i in range(len(a)) for j in range(low[i], high[i])]
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in sorted(near):
        if i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return pairs


def _unpaired(entry: Entry, path: Path, time: float, partner: str) -> Dropped:
    detail = f"{path}: the image of time {time:.6f} has no {partner} within {1000 * NEAREST_S:.0f} ms"
    return Dropped(entry.name, "unpaired", detail)
