"""ScanNet's class lists: the 20 of the benchmark, the 18 of detection, the 200 of ScanNet200.

All are facts of the benchmark (kaldir.vc.in.tum.de/scannet_benchmark): the 20 classes are nyu40 ids, the 200 are ids of
raw categories. A class *index* is the place in the list, and what networks give out; an id is ScanNet's number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse3d.errors import InputError
from sparse3d.types import IGNORE


@dataclass(frozen=True)
class ClassList:
    """C classes in the benchmark's order, with ScanNet's id of each.

    ``ids`` are nyu40 ids or ids of raw categories, as ``id_kind`` ("nyu40" or "raw") says.
    """

    name: str
    id_kind: str
    names: tuple[str, ...]
    ids: tuple[int, ...]
    colors: tuple[tuple[int, int, int], ...] = ()  # of the benchmark, 0 to 255; empty where we keep none

    def __post_init__(self) -> None:
        if len(self.names) != len(self.ids) or len(self.colors) not in (0, len(self.ids)):
            raise ValueError(f"{self.name}: {len(self.names)} names, {len(self.ids)} ids, {len(self.colors)} colours")

    def __len__(self) -> int:
        return len(self.names)

    def index_of_id(self, ids: np.ndarray) -> np.ndarray:
        """Class indices, int16 of the shape of ``ids`` (any integers); :data:`IGNORE` for an id outside the list."""
        ids = np.asarray(ids)
        table = np.full(max(self.ids) + 2, IGNORE, dtype=np.int16)
        table[list(self.ids)] = np.arange(len(self.ids))
        inside = (ids >= 0) & (ids <= max(self.ids))
        return table[np.where(inside, ids, len(table) - 1)]

    def index_of_name(self, name: str) -> int:
        """The class index of ``name``, in either spelling of the refrigerator. Raises InputError if it is unknown."""
        name = SPELLINGS.get(name, name)
        if name not in self.names:
            raise InputError(f"class {name!r} is none of {self.name}'s {len(self)}: {', '.join(self.names)}")
        return self.names.index(name)


# The label table and the benchmark's own scripts write it so; our names are the dictionary's.
SPELLINGS = {"refridgerator": "refrigerator"}

# name, nyu40 id, colour
_BENCHMARK = (
    ("wall", 1, (174, 199, 232)),
    ("floor", 2, (152, 223, 138)),
    ("cabinet", 3, (31, 119, 180)),
    ("bed", 4, (255, 187, 120)),
    ("chair", 5, (188, 189, 34)),
    ("sofa", 6, (140, 86, 75)),
    ("table", 7, (255, 152, 150)),
    ("door", 8, (214, 39, 40)),
    ("window", 9, (197, 176, 213)),
    ("bookshelf", 10, (148, 103, 189)),
    ("picture", 11, (196, 156, 148)),
    ("counter", 12, (23, 190, 207)),
    ("desk", 14, (247, 182, 210)),
    ("curtain", 16, (219, 219, 141)),
    ("refrigerator", 24, (255, 127, 14)),
    ("shower curtain", 28, (158, 218, 229)),
    ("toilet", 33, (44, 160, 44)),
    ("sink", 34, (112, 128, 144)),
    ("bathtub", 36, (227, 119, 194)),
    ("otherfurniture", 39, (82, 84, 163)),
)


def _benchmark(name: str, without: frozenset[str] = frozenset()) -> ClassList:
    names, ids, colors = zip(*(row for row in _BENCHMARK if row[0] not in without), strict=True)
    return ClassList(name, "nyu40", names, ids, colors)


SCANNET20 = _benchmark("scannet20")
SCANNET18 = _benchmark("scannet18", frozenset({"wall", "floor"}))
"""Detection: the 20 without wall and floor, which have no box."""

_IDS_200 = """
1 2 3 4 5 6 7 8 9 10 11 13 14 15 16 17 18 19 21 22 23 24 26 27 28 29 31 32 33 34 35 36 38 39 40 41 42 44 45 46 47 48 49
50 51 52 54 55 56 57 58 59 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 82 84 86 87 88 89 90 93 95 96 97 98
99 100 101 102 103 104 105 106 107 110 112 115 116 118 120 121 122 125 128 130 131 132 134 136 138 139 140 141 145 148
154 155 156 157 159 161 163 165 166 168 169 170 177 180 185 188 191 193 195 202 208 213 214 221 229 230 232 233 242 250
261 264 276 283 286 300 304 312 323 325 331 342 356 370 392 395 399 408 417 488 540 562 570 572 581 609 748 776 1156
1163 1164 1165 1166 1167 1168 1169 1170 1171 1172 1173 1174 1175 1176 1178 1179 1180 1181 1182 1183 1184 1185 1186 1187
1188 1189 1190 1191
"""

_NAMES_200 = """
wall, chair, floor, table, door, couch, cabinet, shelf, desk, office chair, bed, pillow, sink, picture, window, toilet,
bookshelf, monitor, curtain, book, armchair, coffee table, box, refrigerator, lamp, kitchen cabinet, towel, clothes, tv,
nightstand, counter, dresser, stool, cushion, plant, ceiling, bathtub, end table, dining table, keyboard, bag, backpack,
toilet paper, printer, tv stand, whiteboard, blanket, shower curtain, trash can, closet, stairs, microwave, stove, shoe,
computer tower, bottle, bin, ottoman, bench, board, washing machine, mirror, copier, basket, sofa chair, file cabinet,
fan, laptop, shower, paper, person, paper towel dispenser, oven, blinds, rack, plate, blackboard, piano, suitcase, rail,
radiator, recycling bin, container, wardrobe, soap dispenser, telephone, bucket, clock, stand, light, laundry basket,
pipe, clothes dryer, guitar, toilet paper holder, seat, speaker, column, bicycle, ladder, bathroom stall, shower wall,
cup, jacket, storage bin, coffee maker, dishwasher, paper towel roll, machine, mat, windowsill, bar, toaster,
bulletin board, ironing board, fireplace, soap dish, kitchen counter, doorframe, toilet paper dispenser, mini fridge,
fire extinguisher, ball, hat, shower curtain rod, water cooler, paper cutter, tray, shower door, pillar, ledge,
toaster oven, mouse, toilet seat cover dispenser, furniture, cart, storage container, scale, tissue box, light switch,
crate, power outlet, decoration, sign, projector, closet door, vacuum cleaner, candle, plunger, stuffed animal,
headphones, dish rack, broom, guitar case, range hood, dustpan, hair dryer, water bottle, handicap bar, purse, vent,
shower floor, water pitcher, mailbox, bowl, paper bag, alarm clock, music stand, projector screen, divider,
laundry detergent, bathroom counter, object, bathroom vanity, closet wall, laundry hamper, bathroom stall door,
ceiling light, trash bin, dumbbell, stair rail, tube, bathroom cabinet, cd case, closet rod, coffee kettle, structure,
shower head, keyboard piano, case of water bottles, coat rack, storage organizer, folded chair, fire alarm, power strip,
calendar, poster, potted plant, luggage, mattress
"""

SCANNET200 = ClassList(
    "scannet200",
    "raw",
    tuple(name.strip() for name in _NAMES_200.replace("\n", " ").split(",")),
    tuple(int(number) for number in _IDS_200.split()),
)

CLASS_LISTS = {classes.name: classes for classes in (SCANNET20, SCANNET18, SCANNET200)}
