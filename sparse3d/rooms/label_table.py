"""The table from raw categories to label sets, with the columns of ScanNet's scannetv2-labels.combined.tsv."""

from __future__ import annotations

from collections.abc import Mapping

from sparse3d.rooms.categories import CATEGORIES

TABLE_NAME = "rooms-labels.combined.tsv"
COLUMNS = (
    "id", "raw_category", "category", "count", "nyu40id", "eigen13id", "nyuClass", "nyu40class", "eigen13class",
    "ModelNet40", "ModelNet10", "ShapeNetCore55", "synsetoffset", "wnsynsetid", "wnsynsetkey", "mpcat40",
    "mpcat40index",
)  # fmt: skip
# The 40 classes of NYU Depth v2, ids 1 to 40, in ScanNet's spelling.
NYU40 = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter",
    "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes", "ceiling", "books",
    "refridgerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard", "person", "night stand",
    "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop",
)  # fmt: skip
_EIGEN13 = (
    "Bed", "Books", "Ceiling", "Chair", "Floor", "Furniture", "Objects", "Picture", "Sofa", "Table", "TV", "Wall",
    "Window",
)  # fmt: skip
# nyu40 id -> eigen13 class; all others are "Objects".
_EIGEN13_OF = {
    1: "Wall", 2: "Floor", 3: "Furniture", 4: "Bed", 5: "Chair", 6: "Sofa", 7: "Table", 8: "Wall", 9: "Window",
    10: "Furniture", 11: "Picture", 12: "Furniture", 13: "Window", 14: "Table", 15: "Furniture", 16: "Window",
    17: "Furniture", 20: "Floor", 22: "Ceiling", 23: "Books", 24: "Furniture", 25: "TV", 32: "Furniture",
    39: "Furniture",
}  # fmt: skip


def label_table(counts: Mapping[str, int]) -> str:
    """The table's text: one row a category, ``counts`` the objects of each. Columns that rooms have no word for
    (ModelNet, ShapeNet, WordNet, Matterport) are empty."""
    lines = ["\t".join(COLUMNS)]
    for name, category in CATEGORIES.items():
        nyu40 = NYU40[category.nyu40 - 1]
        eigen13 = _EIGEN13_OF.get(category.nyu40, "Objects")
        row = [category.id, name, name, counts.get(name, 0), category.nyu40, _EIGEN13.index(eigen13) + 1, nyu40, nyu40]
        lines.append("\t".join([*map(str, row), eigen13, *[""] * (len(COLUMNS) - 9)]))
    return "\n".join(lines) + "\n"


def label_color(nyu40: int) -> tuple[int, int, int]:
    """A colour of its own for each nyu40 id, RGB in 0 to 255; 0 (none) is black. Not ScanNet's palette."""
    if nyu40 == 0:
        return 0, 0, 0
    # Hues by the golden ratio, so that neighbouring ids differ; two levels of brightness.
    hue = (nyu40 * 0.61803398875) % 1.0 * 6.0
    value, low = (235, 90) if nyu40 % 2 else (170, 40)
    ramp = int(low + (value - low) * (1 - abs(hue % 2 - 1)))
    sectors = ((value, ramp, low), (ramp, value, low), (low, value, ramp), (low, ramp, value), (ramp, low, value),
               (value, low, ramp))  # fmt: skip
    return sectors[int(hue)]
