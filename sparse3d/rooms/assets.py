"""Furniture from packs of OBJ models with a catalogue, as Sweet Home 3D's .sh3f files are (``--assets DIR``).

A pack is a zip archive or a folder with a ``PluginFurnitureCatalog.properties``, which gives every model a name, a
category, a size in centimetres and a path within the pack. Which names are what is told by
:mod:`sparse3d.rooms.asset_categories`. A model's own axes are x right, y up, z to the front.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from sparse3d.errors import InputError
from sparse3d.rooms.asset_categories import MEANINGS, MEANINGS_WITHIN, OUTDOORS, Meaning
from sparse3d.rooms.asset_model import Model, ModelError, read_model
from sparse3d.rooms.piece import Piece, Support

CATALOGUES = ("PluginFurnitureCatalog.properties", "FurnitureCatalog.properties", "Furniture.properties")
# What a damaged pack raises; RuntimeError for members that are encrypted, or compressed in an unknown way.
_DAMAGED = (OSError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError)
MOST_TRIANGLES = 20_000
MOST_BYTES = 30_000_000  # of a model's file, before it is read
_KEPT = 64  # pieces kept in memory


@dataclass(frozen=True)
class Entry:
    """One model of a catalogue that rooms can use."""

    pack: Path
    number: str
    name: str
    meaning: Meaning
    model: str  # path within the pack
    size: tuple[float, float, float]  # metres: width, depth, height
    rotation: tuple[float, ...] | None  # 9 numbers, rows of the turn to apply first

    @property
    def label(self) -> str:
        """How the model is named to people."""
        return f"{self.pack.name}: {self.name} (#{self.number})"


class AssetLibrary:
    """The usable furniture of all packs in a folder (or of one pack).

    Raises InputError if there is no pack, or none with a model that rooms know. Models that turn out broken or too
    large when they are asked for are left out and listed in ``skipped``, as label -> reason; names that no room knows
    are counted in ``unmapped``.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.skipped: dict[str, str] = {}
        self.unmapped: Counter[str] = Counter()
        packs = _find_packs(self.path)
        if not packs:
            raise InputError(f"--assets {path}: no furniture pack there (a .sh3f or .zip file, or a folder, with a "
                             f"{CATALOGUES[0]}); give a folder of packs")  # fmt: skip
        self.packs = packs
        self.by_role: dict[str, list[Entry]] = {}
        for pack in packs:
            for entry in self._entries(pack):
                self.by_role.setdefault(entry.meaning.role, []).append(entry)
        if not self.by_role:
            raise InputError(f"--assets {path}: of {sum(self.unmapped.values())} models none has a name that "
                             "sparse3d/rooms/asset_categories.py knows; add them there")  # fmt: skip
        self._load = lru_cache(maxsize=_KEPT)(self._read_piece)

    def roles(self) -> tuple[str, ...]:
        """The roles that there are models for, sorted."""
        return tuple(sorted(self.by_role))

    def construct(self, role: str, rng: np.random.Generator) -> Piece | None:
        """A piece for ``role``, drawn from ``rng``; None if no model of the role can be used.

        What is drawn does not depend on what was asked for before: models found bad keep their place in the draw.
        """
        entries = self.by_role.get(role, [])
        for row in rng.permutation(len(entries)):
            piece = self._load(entries[row])
            if piece is not None:
                return piece
        return None

    def _entries(self, pack: Path) -> Iterator[Entry]:
        try:
            with _Pack(pack) as files:
                table = read_catalogue(files.read(files.catalogue).decode("latin-1"))
        except (KeyError, *_DAMAGED) as error:
            self.skipped[pack.name] = f"its catalogue cannot be read ({error})"
            return
        for number, fields in table.items():
            name, context = fields.get("name", ""), fields.get("category", "")
            meaning = meaning_of(name, context)
            if meaning is None:
                self.unmapped[name] += 1
                continue
            label = f"{pack.name}: {name} (#{number})"
            try:
                yield _entry(pack, number, name, meaning, fields)
            except (KeyError, ValueError) as error:
                self.skipped[label] = f"its line in the catalogue is broken or lacks a value: {error}"

    def _read_piece(self, entry: Entry) -> Piece | None:
        try:
            with _Pack(entry.pack) as files:
                if files.size(entry.model) > MOST_BYTES:
                    raise ModelError(f"its file is larger than {MOST_BYTES // 1_000_000} MB")
                return to_piece(read_model(entry.model, files.read, MOST_TRIANGLES), entry)
        except KeyError:
            self.skipped[entry.label] = f"{entry.model} is not in the pack"
        except (ModelError, *_DAMAGED) as error:
            self.skipped[entry.label] = str(error)
        return None


def meaning_of(name: str, context: str = "") -> Meaning | None:
    """The role and category of a catalogue's name in its category ``context``, None for what rooms do not know."""
    name, context = name.strip().lower(), context.strip().lower()
    if context in OUTDOORS:
        return None
    return MEANINGS_WITHIN.get((context, name)) or MEANINGS.get(name)


def read_catalogue(text: str) -> dict[str, dict[str, str]]:
    """The models of a catalogue by their number: "width#3=21.3" is ["3"]["width"].

    ``text`` is a Java properties file: comments, lines continued by a backslash, and \\uXXXX for other letters.
    """
    table: dict[str, dict[str, str]] = {}
    for line in re.sub(r"\\\r?\n\s*", "", text).splitlines():
        match = re.match(r"\s*([A-Za-z]+)#(\d+)\s*[=:]\s*(.*)", line)
        if match:
            value = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m[1], 16)), match[3])
            table.setdefault(match[2], {})[match[1]] = re.sub(r"\\(.)", r"\1", value).strip()
    return table


def _entry(pack: Path, number: str, name: str, meaning: Meaning, fields: dict[str, str]) -> Entry:
    width, depth, height = (float(fields[key]) / 100 for key in ("width", "depth", "height"))
    if not all(0 < value < 20 for value in (width, depth, height)):
        raise ValueError(f"a size of {width} x {depth} x {height} m")
    turn = tuple(float(value) for value in fields["modelRotation"].split()) if "modelRotation" in fields else None
    if turn is not None and len(turn) != 9:
        raise ValueError(f"modelRotation has {len(turn)} numbers instead of 9")
    return Entry(pack, number, name, meaning, fields["model"].lstrip("/"), (width, depth, height), turn)


def to_piece(model: Model, entry: Entry) -> Piece:
    """The model in a piece's frame (z up, front along -y, origin below its middle), at its catalogue's size."""
    vertices = model.vertices
    if entry.rotation is not None:
        vertices = vertices @ np.array(entry.rotation).reshape(3, 3).T
    vertices = np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], axis=1)
    used, faces = np.unique(model.faces, return_inverse=True)
    vertices, faces = vertices[used], faces.reshape(-1, 3)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    extent = high - low
    if (extent <= 0).sum() > 1:
        raise ModelError("it has no extent")
    scale = np.array(entry.size) / np.where(extent > 0, extent, 1.0)
    vertices = (vertices - [(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]]) * scale
    return Piece(entry.meaning.category, vertices, faces, model.uv, model.face_material, model.face_part,
                 model.materials, model.parts, _top(vertices, faces))  # fmt: skip


def _top(vertices: np.ndarray, faces: np.ndarray) -> tuple[Support, ...]:
    """The piece's top as a place for things, if it is level and as good as covers the footprint (two thirds)."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    at_top = (corners[:, :, 2] > high[2] - 0.004).all(axis=1)
    area = float(np.abs(cross[at_top, 2]).sum() / 2)
    size = (high - low)[:2]
    if high[2] < 0.3 or size.min() < 0.3 or area < 0.66 * size.prod():
        return ()
    return (Support((0.0, 0.0, float(high[2])), (float(0.68 * size[0]), float(0.68 * size[1])), 0.6),)


class _Pack:
    """The files of a pack, by their paths from the place of its root."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: zipfile.ZipFile | None = None if path.is_dir() else zipfile.ZipFile(path)
        names = self._archive.namelist() if self._archive is not None else [f.name for f in path.iterdir()]
        self.catalogue = next((name for name in CATALOGUES if name in names), CATALOGUES[0])

    def __enter__(self) -> _Pack:
        return self

    def __exit__(self, *_: object) -> None:
        if self._archive is not None:
            self._archive.close()

    def read(self, name: str) -> bytes:
        """A file's bytes; KeyError if there is none of this name."""
        if self._archive is not None:
            return self._archive.read(name)
        return self._file(name).read_bytes()

    def size(self, name: str) -> int:
        """A file's length in bytes; KeyError if there is none of this name."""
        return self._archive.getinfo(name).file_size if self._archive is not None else self._file(name).stat().st_size

    def _file(self, name: str) -> Path:
        file = (self.path / name).resolve()
        if not file.is_relative_to(self.path.resolve()) or not file.is_file():
            raise KeyError(name)
        return file


def _find_packs(path: Path) -> list[Path]:
    """``path`` itself, if it is a pack, and the packs in it, at any depth, by name."""
    if not path.exists():
        raise InputError(f"--assets {path}: there is no such file or folder")
    candidates = [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]
    return [candidate for candidate in candidates if _is_pack(candidate)]


def _is_pack(path: Path) -> bool:
    if path.is_dir():
        return any((path / name).is_file() for name in CATALOGUES)
    if path.suffix.lower() not in (".sh3f", ".zip") or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name in CATALOGUES for name in archive.namelist())
    except _DAMAGED as error:
        raise InputError(f"--assets {path}: cannot be read ({error}); mend it or take it away") from error
