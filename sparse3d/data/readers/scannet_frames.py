"""ScanNet's exported frames: ``color/N.jpg``, ``depth/N.png``, ``pose/N.txt`` and the intrinsics of both cameras.

Depth in millimetres; the pose is camera to world with z up, and all -inf where tracking was lost: such frames are
left out, which is normal here and no error. Intrinsics are in ``intrinsic/intrinsic_color.txt`` and
``intrinsic/intrinsic_depth.txt``, or beside the folders. Exports often hold smaller images beside the intrinsics of
the original ones: where the principal point shows that, the intrinsics are scaled.
"""

from __future__ import annotations

from pathlib import Path

from sparse3d.data.readers.base import Entry, Size
from sparse3d.data.readers.image_files import (
    FolderSource,
    checked_camera,
    entries_by_number,
    numbered_files,
    read_K,
)
from sparse3d.errors import InputError
from sparse3d.types import Camera

ORIGINAL = {"color": (1296, 968), "depth": (640, 480)}


class ScanNetFramesSource(FolderSource):
    """Frames of a scene exported from its ``.sens``."""

    format = "scannet_frames"
    looks_for = "color/0.jpg (or .png), depth/0.png, pose/0.txt, intrinsic/intrinsic_depth.txt"
    z_up = True
    expected_faults = frozenset({"invalid_pose"})

    @classmethod
    def recognise(cls, path: Path) -> bool:
        return (path / "pose").is_dir() and ((path / "color").is_dir() or (path / "depth").is_dir())

    def _list(self) -> list[Entry]:
        color = numbered_files(self.path / "color", (".jpg", ".jpeg", ".png"))
        depth = numbered_files(self.path / "depth", (".png",))
        return entries_by_number(color, depth, numbered_files(self.path / "pose", (".txt",)))

    def _cameras(self, color_size: Size, depth_size: Size) -> tuple[Camera, Camera]:
        depth = self._intrinsics("depth", depth_size)
        if depth is None:
            raise InputError(f"{self.path}: no intrinsic/intrinsic_depth.txt")
        color = self._intrinsics("color", color_size)
        return color or depth.scaled(*color_size), depth

    def _intrinsics(self, kind: str, size: Size) -> Camera | None:
        """The camera of the ``kind`` images at ``size``, or None without a file for it."""
        names = (f"intrinsic/intrinsic_{kind}.txt", f"intrinsic_{kind}.txt", f"intrinsics_{kind}.txt")
        path = next((p for name in names if (p := self.path / name).is_file()), None)
        if path is None:
            return None
        K = read_K(path)
        belongs_to = min((size, ORIGINAL[kind]), key=lambda of: _off_middle(K, of))
        return checked_camera(path, K, belongs_to).scaled(*size)


def _off_middle(K: tuple[float, float, float, float], size: Size) -> float:
    """How far the principal point of ``fx fy cx cy`` lies from the middle of images of ``size``, as a share of it."""
    return max(abs(K[2] / size[0] - 0.5), abs(K[3] / size[1] - 0.5))
