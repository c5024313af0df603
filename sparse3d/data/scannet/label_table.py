"""The table of raw categories (``*-labels.combined.tsv``): a raw category's id and its nyu40 id."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from sparse3d.data.scannet.classes import SPELLINGS
from sparse3d.errors import InputError

PATTERN = "[!.]*-labels.combined.tsv"
COLUMNS = ("id", "raw_category", "nyu40id")


@dataclass(frozen=True)
class RawCategory:
    """One row: the id that ScanNet200 goes by, and the nyu40 id that the 20 classes go by (0 for none)."""

    id: int
    nyu40: int


@dataclass(frozen=True)
class LabelTable:
    """Raw categories by name."""

    path: Path
    categories: dict[str, RawCategory]

    def get(self, label: str) -> RawCategory | None:
        """The category of an annotator's ``label``, or None for one that the table has not.

        Blanks around it and the benchmark's spelling of the refrigerator do not matter.
        """
        name = label.strip()
        return self.categories.get(name) or self.categories.get(SPELLINGS.get(name, name))


def read_label_table(path: str | Path) -> LabelTable:
    """Read the tab-separated table. Raises InputError for a missing column, a number that is none, or two rows of
    one category that disagree (a row given twice, as ScanNet's "object" is, is no fault)."""
    path = Path(path)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            if missing := [column for column in COLUMNS if column not in (reader.fieldnames or ())]:
                raise InputError(f"{path}: no column {missing[0]}; needed are {', '.join(COLUMNS)}, tab-separated")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: the label table cannot be read ({error})") from error
    categories: dict[str, RawCategory] = {}
    for line, row in enumerate(rows, start=2):
        name = (row["raw_category"] or "").strip()
        if not name or row["nyu40id"] is None:
            raise InputError(f"{path}: line {line} is cut off: {', '.join(COLUMNS)} are needed in each")
        try:
            category = RawCategory(int(row["id"]), int(row["nyu40id"] or 0))
        except (TypeError, ValueError) as error:
            raise InputError(f"{path}: line {line}, {name!r}: id and nyu40id must be whole numbers") from error
        if categories.setdefault(name, category) != category:
            raise InputError(f"{path}: line {line}: {name!r} is given twice, with other numbers: keep one row")
    if not categories:
        raise InputError(f"{path}: the label table has no row")
    return LabelTable(path, categories)


def find_label_table(folder: Path, above: int = 2) -> Path | None:
    """The one label table in ``folder``, or in the nearest of the ``above`` folders over it; None without any.

    Where the folder is a symbolic link, first over the link, then over what it leads to. Raises InputError where two
    lie side by side.
    """
    starts = (Path(os.path.abspath(folder)), folder.resolve())
    for place in dict.fromkeys(place for start in starts for place in [start, *start.parents][: above + 1]):
        found = sorted(place.glob(PATTERN))
        if len(found) > 1:
            names = ", ".join(p.name for p in found)
            raise InputError(f"{place}: holds {len(found)} label tables ({names}): keep the one that the scans go by")
        if found:
            return found[0]
    return None
