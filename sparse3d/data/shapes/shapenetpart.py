"""ShapeNetPart: 16 categories, 50 parts (shapenetcore_partanno_segmentation_benchmark_v0_normal)."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import gin

from sparse3d.checks import one_of, require
from sparse3d.data.shapes.source import UPS, Shape, upright, whole_numbers
from sparse3d.data.shapes.text_points import read_rows
from sparse3d.errors import InputError

_log = logging.getLogger("sparse3d")

# Category -> its folder, the first of its parts, and how many it has; all is a fact of the benchmark.
CATEGORIES = {
    "Airplane": ("02691156", 0, 4), "Bag": ("02773838", 4, 2), "Cap": ("02954340", 6, 2), "Car": ("02958343", 8, 4),
    "Chair": ("03001627", 12, 4), "Earphone": ("03261776", 16, 3), "Guitar": ("03467517", 19, 3),
    "Knife": ("03624134", 22, 2), "Lamp": ("03636649", 24, 4), "Laptop": ("03642806", 28, 2),
    "Motorbike": ("03790512", 30, 6), "Mug": ("03797390", 36, 2), "Pistol": ("03948459", 38, 3),
    "Rocket": ("04099429", 41, 3), "Skateboard": ("04225987", 44, 3), "Table": ("04379243", 47, 3),
}  # fmt: skip
SPLITS = ("train", "val", "trainval", "test")


@gin.configurable
class ShapeNetPartShapes:
    """Shapes of ShapeNetPart with a part for every point, without colours.

    Args:
        root: the folder that holds the categories' folders and ``train_test_split``.
        split: ``train``, ``val``, ``trainval`` or ``test``, by the benchmark's lists.
        categories: names to keep, such as ``("Chair", "Table")``; None keeps all 16. Parts keep their numbers.
        missing: whether listed shapes may be missing, as in an extract of the data; they are counted in ``left_out``.
        up: the axis that points up.

    Raises:
        InputError: no lists, an unknown category, or a listed shape that is not there.
    """

    colored = False
    in_memory = False

    def __init__(
        self,
        root: str = gin.REQUIRED,
        split: str = "trainval",
        categories: Sequence[str] | None = None,
        missing: bool = False,
        up: str = "y",
    ) -> None:
        one_of("ShapeNetPartShapes.split", split, SPLITS)
        one_of("ShapeNetPartShapes.up", up, UPS)
        chosen = list(CATEGORIES) if categories is None else list(categories)
        among = bool(chosen) and set(chosen) <= set(CATEGORIES)
        require(among, "ShapeNetPartShapes.categories", categories, f"names among {', '.join(CATEGORIES)}")
        self.root, self.up = Path(root), up
        folders = {CATEGORIES[name][0]: name for name in chosen}
        listed = [entry for entry in _entries(self.root, split) if entry[0] in folders]
        there = [entry for entry in listed if self._path(entry).is_file()]
        self.left_out = len(listed) - len(there)
        if self.left_out and not missing:
            first = next(entry for entry in listed if entry not in set(there))
            raise InputError(
                f"{self.root}: {self.left_out} of {len(listed)} shapes of the split are not there; first: "
                f"{self._path(first)}. Fetch them, or bind ShapeNetPartShapes.missing = True"
            )
        if not there:
            raise InputError(f"{self.root}: no shape of split {split!r} is there")
        self._entries = there
        self._names = ["/".join(entry) for entry in there]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(CATEGORIES)

    @property
    def parts(self) -> tuple[str, ...]:
        """The benchmark names none: category and place among its parts."""
        return tuple(f"{name} {k}" for name, (_, _, count) in CATEGORIES.items() for k in range(count))

    @property
    def parts_of(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(range(first, first + count)) for _, first, count in CATEGORIES.values())

    @property
    def names(self) -> list[str]:
        return self._names

    def load(self, index: int) -> Shape:
        folder, _ = entry = self._entries[index]
        path = self._path(entry)
        rows = read_rows(path, columns=7)  # x y z nx ny nz part
        label = [folder for folder, _, _ in CATEGORIES.values()].index(folder)
        part = whole_numbers(rows[:, 6], len(self.parts), str(path))
        return Shape(self._names[index], upright(rows[:, :3], self.up), None, label, part, str(path))

    def _path(self, entry: tuple[str, str]) -> Path:
        return self.root / entry[0] / f"{entry[1]}.txt"


def _entries(root: Path, split: str) -> list[tuple[str, str]]:
    """(folder, name) of the split's shapes, each once.

    Raises InputError where a list cannot be read, or names a shape of no category.
    """
    listed = [e for part in (("train", "val") if split == "trainval" else (split,)) for e in _listed(root, part)]
    known = {folder for folder, _, _ in CATEGORIES.values()}
    if unknown := [entry for entry in listed if entry[0] not in known]:
        raise InputError(
            f"{root}: the lists of split {split!r} name {'/'.join(unknown[0])}, which is in none of the 16 categories' "
            f"folders ({len(unknown)} such entries): remove them"
        )
    if repeated := len(listed) - len(set(listed)):
        _log.warning("%s: %d entries of split %r name a shape again, which is taken once", root, repeated, split)
    return list(dict.fromkeys(listed))


def _listed(root: Path, split: str) -> list[tuple[str, str]]:
    """(folder, name) of the shapes of one of the benchmark's lists: ``"shape_data/02691156/1021a0..."``."""
    path = root / "train_test_split" / f"shuffled_{split}_file_list.json"
    try:
        entries = json.loads(path.read_text())
        return [(parts[-2], parts[-1]) for parts in (str(entry).split("/") for entry in entries)]
    except (OSError, ValueError, IndexError, TypeError) as error:
        raise InputError(f"{path}: the list of shapes cannot be read ({error})") from error
