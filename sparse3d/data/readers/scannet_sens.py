"""ScanNet's ``.sens``, version 4: one binary file a scene.

Little endian throughout: u32 version; u64 length and the bytes of the sensor's name; four 4 x 4 float32 matrices
(intrinsics and extrinsics of colour, then of depth); i32 colour and depth compression; u32 width and height of
colour, then of depth; f32 depth units a metre; u64 number of frames. Then the frames, each a :data:`FRAME` and its
two payloads, then IMU records, which are not read. Such a file reaches 3.7 GB, so opening hops from frame to frame
and reads nothing but their 96 bytes.

The images are registered and the extrinsics are *not* to be applied. Frames without tracking have a pose of -inf:
they are left out, which is normal here and no error. The world's z axis points up.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from sparse3d.data.readers.base import Entry, FrameSource, Size
from sparse3d.data.readers.image_files import DECODING_ERRORS, checked_camera, one_line
from sparse3d.data.readers.manifest import Dropped
from sparse3d.errors import InputError
from sparse3d.types import Camera

VERSION = 4
COLOR_COMPRESSIONS = {"raw": 0, "png": 1, "jpeg": 2}
DEPTH_COMPRESSIONS = {"raw": 0, "zlib": 1, "occi": 2}
START = struct.Struct("<IQ")  # version, length of the sensor's name
CALIBRATION = struct.Struct("<64f2i4IfQ")  # all of the header after the name
FRAME = struct.Struct("<16f4Q")  # camera to world; colour and depth time stamp; colour and depth bytes
LONGEST_NAME = 4096
LARGEST_SIDE = 1 << 16


@dataclass(frozen=True)
class SensHeader:
    """What a ``.sens`` file says before its first frame."""

    sensor_name: str
    color_K: np.ndarray  # (4, 4) float64
    depth_K: np.ndarray  # (4, 4) float64
    color_compression: str
    depth_compression: str
    color_size: Size
    depth_size: Size
    depth_shift: float  # depth units a metre
    frames: int
    end: int  # the byte at which the first frame begins


class ScanNetSensSource(FrameSource):
    """Frames of a ``.sens`` file; their number is their place in it."""

    format = "scannet_sens"
    looks_for = "a .sens file"
    z_up = True
    expected_faults = frozenset({"invalid_pose"})

    @classmethod
    def recognise(cls, path: Path) -> bool:
        return bool(cls.scenes_in(path))

    @classmethod
    def scenes_in(cls, path: Path) -> list[Path]:
        if path.is_dir():
            return sorted(child for child in path.glob("[!.]*.sens") if child.is_file())
        return [path] if path.suffix == ".sens" else []

    def _list(self) -> list[Entry]:
        if not self.path.is_file():
            raise InputError(f"{self.path}: not a file; looked for {self.looks_for}")
        try:
            with self.path.open("rb") as file:
                self.header = read_header(file, self.path)
                return index_frames(file, self.path, self.header)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({one_line(error)})") from error

    def _sizes(self, entry: Entry) -> tuple[Size, Size] | Dropped:
        return self.header.color_size, self.header.depth_size

    def _cameras(self, color_size: Size, depth_size: Size) -> tuple[Camera, Camera]:
        cameras = []
        for what, K, size in (("colour", self.header.color_K, color_size), ("depth", self.header.depth_K, depth_size)):
            values = (K[0, 0], K[1, 1], K[0, 2], K[1, 2])
            cameras.append(checked_camera(f"{self.path}: {what} intrinsics", values, size))
        return cameras[0], cameras[1]

    def _read_pose(self, entry: Entry) -> np.ndarray:
        return entry.pose

    def _read_color(self, entry: Entry) -> np.ndarray:
        payload = self._payload(entry.color, entry)
        width, height = self.header.color_size
        if self.header.color_compression == "raw":
            return np.frombuffer(payload, np.uint8).reshape(height, width, 3)
        try:
            with Image.open(io.BytesIO(payload)) as image:
                color = np.asarray(image.convert("RGB"))
        except DECODING_ERRORS as error:
            raise InputError(
                f"{self._where(entry, 'color')}: the colour image cannot be decoded ({one_line(error)})"
            ) from error
        if color.shape[:2] != (height, width):
            size = f"{color.shape[1]} x {color.shape[0]}"
            raise InputError(f"{self._where(entry, 'color')}: colour is {size}, the header says {width} x {height}")
        return color

    def _read_depth(self, entry: Entry) -> np.ndarray:
        payload = self._payload(entry.depth, entry)
        width, height = self.header.depth_size
        if self.header.depth_compression == "zlib":
            try:
                payload = zlib.decompressobj().decompress(payload, 2 * width * height + 1)
            except zlib.error as error:
                where = self._where(entry, "depth")
                raise InputError(f"{where}: the depth image cannot be decoded ({one_line(error)})") from error
        if len(payload) != 2 * width * height:
            size = f"the {2 * width * height} bytes of a {width} x {height} image"
            raise InputError(f"{self._where(entry, 'depth')}: depth does not unpack to {size}")
        depth = np.frombuffer(payload, "<u2").reshape(height, width).astype(np.float32)
        depth /= np.float32(self.options.depth_scale or self.header.depth_shift)
        return depth

    def _payload(self, span: tuple[int, int], entry: Entry) -> bytes:
        # Opened anew for each read: nothing to pickle, and no file position shared with a forked worker.
        try:
            with self.path.open("rb") as file:
                file.seek(span[0])
                payload = file.read(span[1])
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({one_line(error)})") from error
        if len(payload) != span[1]:
            raise InputError(f"{self.path}: frame {entry.name} is cut off: the file was changed since it was opened")
        return payload

    def _where(self, entry: Entry, part: str) -> str:
        return f"{self.path}: frame {entry.name}"


def read_header(file: BinaryIO, path: Path) -> SensHeader:
    """Read the header; ``file`` is left at the first frame. InputError when cut off or absurd."""
    version, name_length = START.unpack(_take(file, START.size, path))
    if version != VERSION:
        raise InputError(f"{path}: is not a .sens file of version {VERSION} (its first number is {version})")
    if name_length > LONGEST_NAME:
        raise InputError(f"{path}: damaged header: a sensor name of {name_length} bytes at byte {START.size}")
    name = _take(file, name_length, path).decode("utf-8", "replace")
    values = CALIBRATION.unpack(_take(file, CALIBRATION.size, path))
    color_K, _, depth_K, _ = np.array(values[:64], dtype=np.float64).reshape(4, 4, 4)
    color_code, depth_code, *sizes = values[64:70]
    shift, frames = values[70], values[71]
    color = _named(COLOR_COMPRESSIONS, color_code, "colour", path)
    depth = _named(DEPTH_COMPRESSIONS, depth_code, "depth", path)
    if depth == "occi":
        raise InputError(f"{path}: depth compression occi is not supported: write it anew with zlib")
    if min(sizes) < 1 or max(sizes) > LARGEST_SIDE:
        raise InputError(f"{path}: damaged header: image sizes {sizes[0]} x {sizes[1]} and {sizes[2]} x {sizes[3]}")
    if not (np.isfinite(shift) and shift > 0):
        raise InputError(f"{path}: damaged header: {shift} depth units a metre")
    header = (name, color_K, depth_K, color, depth, (sizes[0], sizes[1]), (sizes[2], sizes[3]), shift, frames)
    return SensHeader(*header, end=file.tell())


def index_frames(file: BinaryIO, path: Path, header: SensHeader) -> list[Entry]:
    """Hop over all frames. InputError when the file ends before its last frame; that one alone is only marked.

    The header's number of frames is believed as far as the file's bytes bear it out, so nothing is allocated by it.
    """
    total = file.seek(0, io.SEEK_END)
    if header.frames > (total - header.end) // FRAME.size + 1:
        raise InputError(_cut_off(path, total, f"it should hold {header.frames} frames, and has no room for them"))
    entries: list[Entry] = []
    offset = header.end
    for k in range(header.frames):
        file.seek(offset)
        head = file.read(FRAME.size)
        color_bytes = depth_bytes = 0
        if len(head) == FRAME.size:
            *pose, _, _, color_bytes, depth_bytes = FRAME.unpack(head)
        color = (offset + FRAME.size, color_bytes)
        depth = (color[0] + color_bytes, depth_bytes)
        offset = depth[0] + depth_bytes
        entry = Entry(k, f"{k:06d}", color, depth, None)
        if offset > total:
            if k < header.frames - 1:
                raise InputError(_cut_off(path, total, f"within frame {k} of {header.frames}"))
            detail = _cut_off(path, total, f"within its last frame, {k} of {header.frames} are whole")
            entry.fault = Dropped(entry.name, "truncated", detail)
        else:
            entry.pose = np.array(pose, dtype=np.float64).reshape(4, 4)
            entry.fault = _payload_fault(entry, path, header)
        entries.append(entry)
    return entries


def _payload_fault(entry: Entry, path: Path, header: SensHeader) -> Dropped | None:
    """What the number of bytes alone says about the payloads."""
    where = f"{path}: frame {entry.name}"
    if entry.color[1] == 0:
        return Dropped(entry.name, "missing_color", f"{where} has no colour image")
    if entry.depth[1] == 0:
        return Dropped(entry.name, "missing_depth", f"{where} has no depth image")
    for part, (width, height), compression, channels in (
        (entry.color, header.color_size, header.color_compression, 3),
        (entry.depth, header.depth_size, header.depth_compression, 2),
    ):
        if compression == "raw" and part[1] != width * height * channels:
            detail = f"{where}: {part[1]} bytes are not a raw {width} x {height} image of {channels} bytes a pixel"
            return Dropped(entry.name, "size_mismatch", detail)
    return None


def _take(file: BinaryIO, count: int, path: Path) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise InputError(_cut_off(path, file.tell(), "within the header, before the number of frames is told"))
    return data


def _cut_off(path: Path, byte: int, where: str) -> str:
    return f"{path}: the file ends at byte {byte}, {where}: copy or download it again"


def _named(compressions: dict[str, int], code: Any, what: str, path: Path) -> str:
    for name, known in compressions.items():
        if known == code:
            return name
    raise InputError(f"{path}: damaged header: {what} compression {code}; known: {compressions}")
