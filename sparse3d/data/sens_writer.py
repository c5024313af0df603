"""Writing ScanNet's ``.sens``, version 4, so that any recording can be kept as one file.

The layout is described in :mod:`sparse3d.data.readers.scannet_sens`.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from sparse3d.data.readers.base import FrameSource
from sparse3d.data.readers.scannet_sens import (
    CALIBRATION,
    COLOR_COMPRESSIONS,
    DEPTH_COMPRESSIONS,
    FRAME,
    START,
    VERSION,
)
from sparse3d.errors import InputError
from sparse3d.progress import track
from sparse3d.types import Camera

LARGEST_DEPTH = 65535  # in depth units: 16 bit
POSE_ERROR = 1e-3  # metres that a camera may be moved by rounding
NO_IMU_RECORDS = struct.pack("<Q", 0)


class SensWriter:
    """Write frames one after the other; a context manager.

    The file appears under its name only when the block ends well: until then it grows under a temporary name beside
    it, and after an exception nothing is left. The world's z axis is expected to point up.
    """

    def __init__(
        self,
        path: str | Path,
        color_camera: Camera,
        depth_camera: Camera,
        sensor_name: str = "sparse3d",
        color_compression: str = "jpeg",
        depth_compression: str = "zlib",
        depth_shift: float = 1000.0,
        jpeg_quality: int = 95,
    ) -> None:
        """Prepare a file at ``path``; ``depth_shift`` is the number of depth units a metre. Raises InputError for
        a compression that is not one of raw, png, jpeg (colour) and raw, zlib (depth)."""
        _check_choice("color_compression", color_compression, COLOR_COMPRESSIONS)
        _check_choice("depth_compression", depth_compression, {"raw", "zlib"})
        if not (np.isfinite(depth_shift) and depth_shift > 0):
            raise InputError(f"depth_shift={depth_shift}: must be positive (depth units a metre)")
        self.path = Path(path)
        self.color_camera, self.depth_camera = color_camera, depth_camera
        self.sensor_name = sensor_name
        self.color_compression, self.depth_compression = color_compression, depth_compression
        self.depth_shift, self.jpeg_quality = float(np.float32(depth_shift)), jpeg_quality
        self.frames = 0
        self._file: Any = None

    def __enter__(self) -> SensWriter:
        self.frames = 0
        header = self._header()
        self._temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._temporary.open("wb")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}); name another file") from error
        self._file.write(header)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
            self._file.close()
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            with suppress(OSError):  # what it holds back does not fit either
                self._file.close()
            self._file = None
            self._temporary.unlink(missing_ok=True)

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(f"{self.path}: cannot be written ({error.strerror}); free space, or name another file")

    def write(
        self, color: np.ndarray, depth: np.ndarray, T_world_cam: np.ndarray, timestamp: int | None = None
    ) -> None:
        """Append a frame: ``color`` (H, W, 3) uint8, ``depth`` (H, W) metres with 0 = none, ``T_world_cam`` (4, 4).

        ``timestamp`` is in microseconds, the frame's place in the file by default. A pose may be -inf for "lost".
        Raises ValueError for images that do not fit the cameras, InputError for depth that 16 bit cannot hold, and for
        a pose so far from the origin that 32 bit lose its motion.
        """
        if self._file is None:
            raise ValueError("SensWriter.write is for use inside the with block")
        payloads = self._encode_color(np.asarray(color)), self._encode_depth(np.asarray(depth))
        pose = self._single(np.asarray(T_world_cam, dtype=np.float64))
        time = self.frames if timestamp is None else timestamp
        try:
            self._file.write(FRAME.pack(*pose.ravel(), time, time, len(payloads[0]), len(payloads[1])))
            self._file.write(payloads[0])
            self._file.write(payloads[1])
        except OSError as error:
            raise self._unwritable(error) from error
        self.frames += 1

    def _single(self, pose: np.ndarray) -> np.ndarray:
        """``pose`` (4, 4) as the file holds it, float32."""
        if pose.shape != (4, 4):
            raise ValueError(f"T_world_cam must be (4, 4), got {pose.shape}")
        with np.errstate(over="ignore"):
            single = pose.astype(np.float32)
        place = pose[:3, 3]
        if np.isfinite(place).all() and np.abs(single[:3, 3] - place).max() > POSE_ERROR:
            raise InputError(
                f"{self.path}: frame {self.frames} lies {np.abs(place).max():.6g} m from the origin, where 32 bit lose "
                "its motion: take the map's offset off the poses"
            )
        return single

    def _header(self) -> bytes:
        """The whole header, as of ``frames`` frames."""
        name = self.sensor_name.encode("utf-8")
        identity = np.eye(4).ravel()
        color, depth = self.color_camera, self.depth_camera
        matrices = (*_K4(color), *identity, *_K4(depth), *identity)
        codes = COLOR_COMPRESSIONS[self.color_compression], DEPTH_COMPRESSIONS[self.depth_compression]
        sizes = color.width, color.height, depth.width, depth.height
        calibration = CALIBRATION.pack(*matrices, *codes, *sizes, self.depth_shift, self.frames)
        return START.pack(VERSION, len(name)) + name + calibration

    def _finish(self) -> None:
        if self.frames == 0:
            raise InputError(f"{self.path}: no frame was written")
        self._file.write(NO_IMU_RECORDS)
        self._file.seek(0)
        self._file.write(self._header())  # now with the number of frames
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._temporary, self.path)

    def _encode_color(self, color: np.ndarray) -> bytes:
        expected = (self.color_camera.height, self.color_camera.width, 3)
        if color.shape != expected or color.dtype != np.uint8:
            raise ValueError(f"colour must be {expected} uint8, got {color.shape} {color.dtype}")
        if self.color_compression == "raw":
            return color.tobytes()
        out = io.BytesIO()
        if self.color_compression == "png":
            Image.fromarray(color).save(out, "PNG")
        else:
            Image.fromarray(color).save(out, "JPEG", quality=self.jpeg_quality, subsampling=0)
        return out.getvalue()

    def _encode_depth(self, depth: np.ndarray) -> bytes:
        expected = (self.depth_camera.height, self.depth_camera.width)
        if depth.shape != expected:
            raise ValueError(f"depth must be {expected}, got {depth.shape}")
        units = np.round(depth.astype(np.float64) * self.depth_shift)
        if not (np.isfinite(units).all() and units.min() >= 0 and units.max() <= LARGEST_DEPTH):
            raise InputError(
                f"{self.path}: frame {self.frames} has depth from {depth.min()} to {depth.max()} m, and 16 bit hold 0 "
                f"to {LARGEST_DEPTH / self.depth_shift:g} m at depth_shift={self.depth_shift:g}: clean or lower it"
            )
        raw = units.astype("<u2").tobytes()
        return zlib.compress(raw) if self.depth_compression == "zlib" else raw


def write_sens(source: FrameSource, path: str | Path, **options: Any) -> int:
    """Write all frames of ``source``, as it gives them out (one size, z up), to a ``.sens`` file; returns their number.

    ``options`` are those of :class:`SensWriter` from ``sensor_name`` on. The frames are numbered anew from 0. Raises
    InputError when a frame cannot be read, or is of another camera; then no file is left.
    """
    camera = source.camera(0)
    with SensWriter(path, camera, camera, **options) as writer:
        for i in track(range(len(source)), f"writing {Path(path).name}", "frame"):
            frame = source[i]
            if frame.camera != camera:
                raise InputError(f"{source.path}: frame {frame.name} has another camera, and a .sens file holds one")
            writer.write(frame.color, frame.depth, frame.T_world_cam)
    return writer.frames


def _K4(camera: Camera) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = camera.K
    return matrix.ravel()


def _check_choice(name: str, value: str, known: Any) -> None:
    if value not in known:
        raise InputError(f"{name}={value!r}: must be one of {', '.join(sorted(known))}")
