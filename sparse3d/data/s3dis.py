"""S3DIS rooms: coloured points with one of 13 classes and an instance each.

A room is a folder ``Area_N/<room>`` whose ``Annotations/<class>_<k>.txt`` hold one object each, a point a line:
``x y z r g b``, metres with z up, and colours from 0 to 255. The whole room's own ``<room>.txt`` is not needed: it has
the same points once more. The protocol trains on five areas and tests on Area 5, or tests on each in turn (six folds).
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sparse3d.checks import one_of
from sparse3d.errors import InputError
from sparse3d.whole_files import write_whole

_log = logging.getLogger("sparse3d")

CLASSES = (
    "ceiling", "floor", "wall", "beam", "column", "window", "door", "table", "chair", "sofa", "bookcase", "board",
    "clutter",
)  # fmt: skip
COLORS = (
    (170, 215, 170), (152, 120, 95), (174, 199, 232), (240, 110, 60), (120, 60, 150), (100, 190, 230), (214, 39, 40),
    (255, 152, 150), (188, 189, 34), (140, 86, 75), (31, 119, 180), (40, 160, 110), (110, 110, 125),
)  # fmt: skip
CLUTTER = CLASSES.index("clutter")
AREAS = (1, 2, 3, 4, 5, 6)
TEST_AREA = 5
CACHE = "points.npz"
_FORMAT = 1  # of the cache
_BLANKS = b" \t\r\n"
_FILES = "[!.]*.txt"  # of Annotations; hidden ones are no objects (macOS puts a ._NAME beside each)
_OBJECT = re.compile(r"(?P<kind>.+)_(?P<number>\d+)")


@dataclass(frozen=True, eq=False)
class S3disRoom:
    """The N points of one room. Instance k is ``objects[k]``; every point belongs to one."""

    name: str  # "Area_3/hallway_3"
    xyz: np.ndarray  # (N, 3) float32, metres, z up
    rgb: np.ndarray  # (N, 3) float32 in [0, 1]
    semantic: np.ndarray  # (N,) int64, index of CLASSES
    instance: np.ndarray  # (N,) int64
    objects: tuple[str, ...]  # "chair_3": the annotation files' stems
    unknown_classes: dict[str, int] = field(default_factory=dict)  # named so by their files, kept as clutter -> points
    mended: tuple[str, ...] = ()  # "file: line n": a stray byte between two numbers was read as a blank

    def __len__(self) -> int:
        return len(self.xyz)


def is_s3dis_room(folder: Path) -> bool:
    """Whether ``folder`` has ``Annotations`` with text files in it."""
    return any((folder / "Annotations").glob(_FILES))


def s3dis_split(split: str, test_area: int = TEST_AREA) -> tuple[int, ...]:
    """The areas of "train" (all but ``test_area``), "test" or "val" (``test_area`` alone) or "all"."""
    if test_area not in AREAS:
        raise InputError(f"test_area = {test_area}: S3DIS has the areas {AREAS[0]} to {AREAS[-1]}")
    areas = {
        "train": tuple(a for a in AREAS if a != test_area),
        "test": (test_area,),
        "val": (test_area,),
        "all": AREAS,
    }
    one_of("split", split, areas)
    return areas[split]


def s3dis_rooms(root: str | Path, areas: Sequence[int] = AREAS) -> list[Path]:
    """The rooms' folders of the ``areas`` below ``root``, by area and name.

    Raises InputError for an area whose folder is missing or holds no room, and for a room without annotations.
    """
    rooms: list[Path] = []
    for area in areas:
        folder = Path(root) / f"Area_{area}"
        found = sorted(path for path in folder.iterdir() if is_s3dis_room(path)) if folder.is_dir() else []
        for path in sorted(folder.glob("*/Annotations")):
            if path.parent not in found:
                raise InputError(
                    f"{path}: holds no *.txt, so that the room has no points: unpack it anew, or remove it"
                )
        for path in sorted(folder.glob("*/*.txt")):
            if path.stem == path.parent.name and path.parent not in found:
                raise InputError(f"{path.parent}: holds a room without Annotations: unpack it anew, or remove it")
        if not found:
            raise InputError(f"{folder}: holds no room with Annotations/*.txt: name the folder that Area_1 to 6 lie in")
        rooms += found
    return rooms


def unknown_kinds(folders: Sequence[Path]) -> dict[str, int]:
    """What objects of the rooms' annotations are called that no class is -> how many; their points are clutter."""
    counts = Counter(_kind(path) for folder in folders for path in (folder / "Annotations").glob(_FILES))
    return {kind: counts[kind] for kind in sorted(counts) if kind not in CLASSES}


def _kind(path: Path) -> str:
    match = _OBJECT.fullmatch(path.stem)
    return match["kind"] if match else path.stem


def read_s3dis_room(folder: str | Path, cache: bool = False) -> S3disRoom:
    """Read one room, objects by class name and number.

    Args:
        folder: ``Area_N/<room>``.
        cache: keep the points in ``<room>/points.npz`` and take them from there next time. The file is used only while
            names, sizes and times of the annotations are those it was made from.

    Raises:
        InputError: no annotation, a line that is not six numbers, coordinates that are not finite, or colours outside
            0 to 255; it names file and line.
    """
    folder = Path(folder)
    files = sorted((folder / "Annotations").glob(_FILES), key=_natural)
    if not files:
        raise InputError(f"{folder}: holds no Annotations/*.txt: name a room's folder, as in Area_1/office_1")
    if not cache:
        return _read_room(folder, files)
    fingerprint = _fingerprint(files)
    room = _from_cache(folder, fingerprint)
    if room is None:
        room = _read_room(folder, files)
        try:
            _to_cache(folder, fingerprint, room)
        except InputError as error:  # a cache saves time, no more
            _say_once(f"{error}; S3disAreas.cache = False asks for none")
    return room


def read_points(path: str | Path) -> tuple[np.ndarray, list[int]]:
    """The points of one annotation, (N, 6) float64: x, y, z, r, g, b; and the lines in which a stray byte was mended.

    The original data has one such line (Area_5/hallway_6, ceiling_1): a control byte stands where a blank belongs. A
    byte that no number is written with counts as a blank where that gives its line six numbers, else it is an error.
    """
    path = Path(path)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    codes = np.frombuffer(text, dtype=np.uint8)
    stray = ((codes < 32) & ~np.isin(codes, np.frombuffer(_BLANKS, np.uint8))) | (codes > 126)
    blank = (codes <= 32) | stray
    starts = np.flatnonzero(~blank & np.append(True, blank[:-1])) if len(codes) else np.zeros(0, np.int64)
    ends = np.flatnonzero(codes == ord("\n"))
    numbers = np.bincount(np.searchsorted(ends, starts), minlength=1)  # in each line
    if len(wrong := np.flatnonzero((numbers != 6) & (numbers != 0))):
        raise _broken_line(path, text, int(wrong[0]))
    if not len(starts):
        raise InputError(f"{path}: holds no point")
    mended = sorted(set((np.searchsorted(ends, np.flatnonzero(stray)) + 1).tolist()))
    if mended:
        text = np.where(stray, np.uint8(32), codes).tobytes()
    values = _numbers(path, text)
    _check(path, values, np.flatnonzero(numbers))
    return values, mended


def _numbers(path: Path, text: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # older numpy only warns of what is no number
        try:
            return np.fromstring(text, dtype=np.float64, sep=" ").reshape(-1, 6)
        except (DeprecationWarning, ValueError):
            pass
    for row, line in enumerate(text.splitlines()):
        try:
            [float(word) for word in line.split()]
        except ValueError:
            raise _broken_line(path, text, row) from None
    raise InputError(f"{path}: cannot be read as lines of six numbers")


def _check(path: Path, values: np.ndarray, lines: np.ndarray) -> None:
    """``lines`` (N,): the number of each point's line, from 0."""
    wild = ~np.isfinite(values).all(axis=1)
    if wild.any():
        raise InputError(f"{path}: line {lines[wild.argmax()] + 1}: a number is not finite: mend or remove the line")
    colors = values[:, 3:]
    outside = ((colors < 0) | (colors > 255)).any(axis=1)
    if outside.any():
        row = int(outside.argmax())
        raise InputError(f"{path}: line {lines[row] + 1}: colour {colors[row].tolist()} lies outside 0 to 255")


def _broken_line(path: Path, text: bytes, row: int) -> InputError:
    line = text.split(b"\n")[row]
    shown = line[:60].decode("ascii", "backslashreplace")
    return InputError(
        f"{path}: line {row + 1} is {shown!r}: six numbers x y z r g b are needed; mend or remove the line"
    )


def _read_room(folder: Path, files: list[Path]) -> S3disRoom:
    parts, semantic, mended = [], [], []
    unknown: dict[str, int] = {}
    for path in files:
        values, lines = read_points(path)
        kind = _kind(path)
        if kind not in CLASSES:  # as "stairs" is in the original
            unknown[kind] = unknown.get(kind, 0) + len(values)
        parts.append(values)
        semantic.append(CLASSES.index(kind) if kind in CLASSES else CLUTTER)
        mended += [f"{path.name}: line {line}" for line in lines]
    counts = [len(part) for part in parts]
    points = np.concatenate(parts)
    return S3disRoom(
        name=_name(folder),
        xyz=points[:, :3].astype(np.float32),
        rgb=(points[:, 3:] / 255).astype(np.float32),
        semantic=np.repeat(np.array(semantic, dtype=np.int64), counts),
        instance=np.repeat(np.arange(len(files), dtype=np.int64), counts),
        objects=tuple(path.stem for path in files),
        unknown_classes=unknown,
        mended=tuple(mended),
    )


def _name(folder: Path) -> str:
    absolute = folder.absolute()
    return f"{absolute.parent.name}/{absolute.name}"


def _natural(path: Path) -> tuple[str, int, str]:
    match = _OBJECT.fullmatch(path.stem)
    return (match["kind"], int(match["number"]), path.stem) if match else (path.stem, -1, path.stem)


# Cache --------------------------------------------------------------------------------------------------------


def _fingerprint(files: list[Path]) -> str:
    try:
        known = [(path.name, (status := path.stat()).st_size, status.st_mtime_ns) for path in files]
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
    return hashlib.sha256(json.dumps([_FORMAT, known]).encode()).hexdigest()


def _from_cache(folder: Path, fingerprint: str) -> S3disRoom | None:
    try:
        with np.load(folder / CACHE, allow_pickle=False) as stored:
            record = json.loads(str(stored["record"]))
            if record.pop("fingerprint") != fingerprint:
                return None
            arrays = {name: stored[name] for name in ("xyz", "rgb", "semantic", "instance")}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # none, or damaged: made again
        return None
    objects, mended = tuple(record["objects"]), tuple(record["mended"])
    return S3disRoom(_name(folder), **arrays, objects=objects, unknown_classes=record["unknown"], mended=mended)


def _to_cache(folder: Path, fingerprint: str, room: S3disRoom) -> None:
    record = {
        "fingerprint": fingerprint,
        "objects": room.objects,
        "unknown": room.unknown_classes,
        "mended": room.mended,
    }
    arrays = {"xyz": room.xyz, "rgb": room.rgb, "semantic": room.semantic, "instance": room.instance}
    write_whole(
        folder / CACHE,
        lambda file: np.savez(file, record=json.dumps(record), **arrays),  # type: ignore[arg-type]
        remedy="rooms are read without a cache",
    )


_troubles: list[str] = []  # of writing caches, in this process


def _say_once(trouble: str) -> None:
    if not _troubles:
        _log.warning("%s", trouble)
    _troubles.append(trouble)
