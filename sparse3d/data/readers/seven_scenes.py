"""7-Scenes: ``frame-000000.color.png`` (or ``.jpg``), ``frame-000000.depth.png``, ``frame-000000.pose.txt``.

Depth in millimetres, with 0 and 65535 for "no reading"; the pose is camera to world. One folder is one scene; the
``seq-01``, ``seq-02``... folders of the original download are scenes of their own. The camera comes from
``camera-intrinsics.txt`` there or beside the ``seq-01`` folders (3DMatch's way), else it is the data set's 585 585
320 240.
"""

from __future__ import annotations

from pathlib import Path

from sparse3d.data.readers.base import Entry
from sparse3d.data.readers.image_files import FolderSource, entries_by_number, numbered_files


class SevenScenesSource(FolderSource):
    """Frames of a 7-Scenes sequence."""

    format = "seven_scenes"
    looks_for = "frame-000000.color.png (or .jpg), frame-000000.depth.png, frame-000000.pose.txt"
    no_depth = (65535,)
    default_K = (585.0, 585.0, 320.0, 240.0)

    @classmethod
    def recognise(cls, path: Path) -> bool:
        return path.is_dir() and any(True for _ in path.glob("frame-*.*.*"))

    def _camera_folders(self) -> list[Path]:
        sequence = self.path.resolve()
        return [self.path, sequence.parent] if sequence.name.startswith("seq-") else [self.path]

    def _list(self) -> list[Entry]:
        frame = r"frame-(\d+)"
        color = numbered_files(self.path, (".color.png", ".color.jpg", ".color.jpeg"), frame)
        depth = numbered_files(self.path, (".depth.png",), frame)
        return entries_by_number(color, depth, numbered_files(self.path, (".pose.txt",), frame))
