"""Recordings kept as folders of image and text files: what those formats have in common."""

from __future__ import annotations

import re
import struct
import zlib
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from sparse3d.data.readers.base import Entry, FrameSource, Size
from sparse3d.data.readers.manifest import Dropped
from sparse3d.errors import InputError
from sparse3d.types import Camera

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, zlib.error, struct.error, Image.DecompressionBombError)
DEPTH_MODES = ("I;16", "I;16B", "I;16L", "I")  # what PIL calls a 16-bit greyscale image, by version and byte order


class FolderSource(FrameSource):
    """Frames in image files. Entries hold paths; depth is a 16-bit image in ``depth_units`` a metre."""

    depth_units: ClassVar[float] = 1000.0
    no_depth: ClassVar[tuple[int, ...]] = ()  # raw values besides 0 that mean "no reading"
    default_K: ClassVar[tuple[float, float, float, float]] = (525.0, 525.0, 319.5, 239.5)  # of 640 x 480 images

    @abstractmethod
    def _list(self) -> list[Entry]: ...

    def _sizes(self, entry: Entry) -> tuple[Size, Size] | Dropped:
        sizes = []
        for part, path in (("color", entry.color), ("depth", entry.depth)):
            try:
                size, mode = image_header(path)
            except InputError as error:
                return Dropped(entry.name, f"unreadable_{part}", str(error))
            if part == "depth" and mode not in DEPTH_MODES:
                return Dropped(entry.name, "unreadable_depth", not_16_bit(path, mode))
            sizes.append(size)
        return sizes[0], sizes[1]

    def _read_pose(self, entry: Entry) -> np.ndarray:
        return entry.pose if isinstance(entry.pose, np.ndarray) else read_matrix(entry.pose, (4, 4))

    def _read_color(self, entry: Entry) -> np.ndarray:
        return read_color(entry.color)

    def _read_depth(self, entry: Entry) -> np.ndarray:
        return read_depth(entry.depth, self.options.depth_scale or self.depth_units, self.no_depth)

    def _cameras(self, color_size: Size, depth_size: Size) -> tuple[Camera, Camera]:
        """One camera for both images, of the depth's size: from the folder's file, else the format's, and said so."""
        (cw, ch), (dw, dh) = color_size, depth_size
        if abs(cw * dh - ch * dw) > 0.02 * ch * dw:
            raise InputError(
                f"{self.path}: colour is {cw} x {ch} and depth {dw} x {dh}: other shapes cannot share a camera"
            )
        depth = self._camera_file(depth_size)
        if depth is None:
            depth = self._default_camera(depth_size)
            values = f"{depth.fx:g} {depth.fy:g} {depth.cx:g} {depth.cy:g}"
            self.manifest.assumed_camera = f"{values} at {dw} x {dh} ({self.format})"
        return depth.scaled(cw, ch), depth

    def _camera_file(self, size: Size) -> Camera | None:
        for folder in self._camera_folders():
            for name in ("camera-intrinsics.txt", "calibration.txt", "intrinsic.json", "camera_intrinsic.json"):
                if (folder / name).is_file():
                    return read_camera(folder / name, size)
        return None

    def _camera_folders(self) -> list[Path]:
        """Where the file with the intrinsics may lie."""
        return [self.path]

    def _default_camera(self, size: Size) -> Camera:
        if size[0] * 480 != size[1] * 640:
            raise InputError(
                f"{self.path}: images are {size[0]} x {size[1]}, and the default intrinsics hold for 640 x 480 only: "
                "put a camera-intrinsics.txt (3 x 3, pixels) there"
            )
        return Camera(*self.default_K, 640, 480).scaled(*size)


def numbered_files(folder: Path, suffixes: Iterable[str], pattern: str = r"\D*?(\d+)[^.]*") -> dict[int, str]:
    """Number -> path of the files in ``folder`` whose name up to the suffix matches ``pattern``, its group the number.

    Hidden files are left out. Of two suffixes for one number the one named first in ``suffixes`` counts; two spellings
    of one number (``1.png``, ``01.png``) raise InputError.
    """
    order = list(suffixes)
    whole = re.compile(f"(?:{pattern})({'|'.join(re.escape(s) for s in order)})", re.IGNORECASE)
    found: dict[int, tuple[int, str]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = whole.fullmatch(path.name)
        if match is None or path.name.startswith("."):  # macOS puts a ._NAME beside each file
            continue
        number, rank = int(match[1]), order.index(match[2].lower())
        if number in found and found[number][0] == rank:
            raise InputError(f"{path}: its number {number} is also that of {Path(found[number][1]).name}")
        if number not in found or rank < found[number][0]:
            found[number] = (rank, str(path))
    return {number: path for number, (_, path) in sorted(found.items())}


def entries_by_number(color: dict[int, str], depth: dict[int, str], pose: dict[int, Any]) -> list[Entry]:
    """Entries for every number that any of the parts has; the parts of the others are None. Never by position."""
    entries = []
    for number in sorted(color.keys() | depth.keys() | pose.keys()):
        parts = (color.get(number), depth.get(number), pose.get(number))
        named = next((p for p in parts if isinstance(p, str)), str(number))
        entries.append(Entry(number, Path(named).name.split(".")[0], *parts))
    return entries


def image_header(path: str) -> tuple[Size, str]:
    """Size (width, height) and PIL mode of an image, without decoding it. InputError if it is not one."""
    try:
        with Image.open(path) as image:
            return image.size, image.mode
    except DECODING_ERRORS as error:
        raise InputError(f"{path}: cannot be read as an image ({one_line(error)})") from error


def read_color(path: str) -> np.ndarray:
    """A colour image (H, W, 3) uint8. InputError if it cannot be decoded."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except DECODING_ERRORS as error:
        raise InputError(f"{path}: the colour image cannot be decoded ({one_line(error)})") from error


def read_depth(path: str, units: float, no_depth: Iterable[int] = ()) -> np.ndarray:
    """A 16-bit depth image as (H, W) float32 metres; ``no_depth`` values become 0. InputError if it is not one."""
    try:
        with Image.open(path) as image:
            mode, raw = image.mode, np.asarray(image)
    except DECODING_ERRORS as error:
        raise InputError(f"{path}: the depth image cannot be decoded ({one_line(error)})") from error
    if mode not in DEPTH_MODES:
        raise InputError(not_16_bit(path, mode))
    depth = raw.astype(np.float32)
    for value in no_depth:
        depth[raw == value] = 0
    depth /= np.float32(units)
    return depth


def not_16_bit(path: str, mode: str) -> str:
    return f"{path}: a depth image must be 16-bit greyscale, this one has PIL's mode {mode}"


def read_numbers(path: Path | str) -> list[float]:
    """All numbers of a text file. InputError if it holds anything else or cannot be read."""
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)})") from error
    try:
        return [_number(token) for token in text.replace(",", " ").split()]
    except ValueError as error:
        raise InputError(f"{path}: {one_line(error)}") from error


def _number(token: str) -> float:
    if "#" in token:  # infinity and NaN as Microsoft's C library prints them: -1.#INF, 1.#QNAN
        return float("nan") if "INF" not in token else float("-inf" if token.startswith("-") else "inf")
    return float(token)


def read_matrix(path: Path | str, shape: tuple[int, int]) -> np.ndarray:
    """A text file that holds exactly one matrix of ``shape``, float64. InputError otherwise."""
    numbers = read_numbers(path)
    if len(numbers) != shape[0] * shape[1]:
        raise InputError(f"{path}: holds {len(numbers)} numbers, expected a {shape[0]} x {shape[1]} matrix")
    return np.array(numbers, dtype=np.float64).reshape(shape)


def read_camera(path: Path, size: Size) -> Camera:
    """The camera of images of ``size`` from a text file (3 x 3, 4 x 4, or ``fx fy cx cy``) or Open3D's JSON."""
    return _read_camera_json(path, size) if path.suffix == ".json" else checked_camera(path, read_K(path), size)


def read_K(path: Path) -> tuple[float, float, float, float]:
    """``fx fy cx cy`` of a text file: these, or a 3 x 3 or 4 x 4 matrix. InputError for other counts of numbers."""
    numbers = read_numbers(path)
    if len(numbers) == 4:
        return numbers[0], numbers[1], numbers[2], numbers[3]
    if len(numbers) not in (9, 16):
        raise InputError(f"{path}: holds {len(numbers)} numbers, expected a 3 x 3 or 4 x 4 matrix, or fx fy cx cy")
    width = 3 if len(numbers) == 9 else 4
    return numbers[0], numbers[width + 1], numbers[2], numbers[width + 2]


def _read_camera_json(path: Path, size: Size) -> Camera:
    import json

    try:
        data = json.loads(path.read_text())
        K = np.array(data["intrinsic_matrix"], dtype=np.float64).reshape(3, 3).T  # stored column by column
        width, height = int(data["width"]), int(data["height"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: not Open3D's intrinsics ({type(error).__name__}: {one_line(error)})") from error
    camera = checked_camera(path, (K[0, 0], K[1, 1], K[0, 2], K[1, 2]), (width, height))
    if abs(width * size[1] - height * size[0]) > 0.02 * height * size[0]:
        raise InputError(f"{path}: is for {width} x {height}, the depth images are {size[0]} x {size[1]}")
    return camera.scaled(*size)


def checked_camera(path: Path | str, values: tuple[float, float, float, float], size: Size) -> Camera:
    """A camera of ``size``; InputError when its values are no intrinsics, or those of images of another size."""
    try:
        camera = Camera(float(values[0]), float(values[1]), float(values[2]), float(values[3]), *size)
    except ValueError as error:
        raise InputError(f"{path}: {one_line(error)}") from error
    # Intrinsics of twice or half the size are the usual mistake; they put this point at an edge or a quarter.
    if abs(camera.cx / camera.width - 0.5) > 0.23 or abs(camera.cy / camera.height - 0.5) > 0.23:
        raise InputError(
            f"{path}: the principal point ({camera.cx:g}, {camera.cy:g}) is far from the middle of the "
            f"{size[0]} x {size[1]} images: are these the intrinsics of another size?"
        )
    return camera


def one_line(error: BaseException) -> str:
    """An exception's text on one line, without the file's name; its type where it has none."""
    if isinstance(error, UnidentifiedImageError):
        return "no known image format"
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return " ".join(text.split()) or type(error).__name__
