"""Furniture of boxes for the demo's rooms, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

GAP = 0.12  # metres kept free between pieces


@dataclass(frozen=True)
class Box:
    """A box, turned about the up axis. Lengths in metres."""

    center: tuple[float, ...]
    half: tuple[float, ...]
    yaw: float  # radians
    faces: tuple[str, ...]  # materials of -x, +x, -y, +y, -z, +z


@dataclass(frozen=True)
class Piece:
    """A piece of furniture around the origin: its back is at y = -depth / 2, its feet at z = 0."""

    width: float
    depth: float
    boxes: list[Box]


def furnish(size: np.ndarray, rng: np.random.Generator) -> list[Box]:
    """Furniture along the walls and in the middle of a room of ``size`` (3,), pictures, a window and a door.

    Pieces that find no place are left out.
    """
    taken: list[np.ndarray] = []  # floor rectangles (x0, y0, x1, y1)
    boxes: list[Box] = []
    for make in (_door, _bookcase, _sofa, _cabinet, _desk, _bookcase, _wardrobe, _bed, _chest):
        boxes += _against_a_wall(make(rng), size, taken, rng)
    for make in (_table, _chair, _chair, _stool):
        boxes += _in_the_middle(make(rng), size, taken, rng)
    return boxes + _on_the_walls(size, rng)


def turn(xyz: np.ndarray, yaw: float) -> np.ndarray:
    """Points (..., 3) turned about the up axis through the origin, radians."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.stack([c * xyz[..., 0] - s * xyz[..., 1], s * xyz[..., 0] + c * xyz[..., 1], xyz[..., 2]], axis=-1)


# Placing


def _against_a_wall(piece: Piece, size: np.ndarray, taken: list[np.ndarray], rng: np.random.Generator) -> list[Box]:
    for _ in range(60):
        wall = int(rng.integers(4))
        x = rng.uniform(piece.width / 2, (size[1] if wall % 2 else size[0]) - piece.width / 2)
        y = piece.depth / 2 + 0.005
        # wall 0 lies at y = 0, 1 at x = X, 2 at y = Y, 3 at x = 0
        places = ((x, y), (size[0] - y, x), (x, size[1] - y), (y, x))
        half = np.array([piece.width, piece.depth] if wall % 2 == 0 else [piece.depth, piece.width]) / 2
        if _take(np.array(places[wall]), half, taken):
            return _placed(piece, places[wall], wall * np.pi / 2)
    return []


def _in_the_middle(piece: Piece, size: np.ndarray, taken: list[np.ndarray], rng: np.random.Generator) -> list[Box]:
    half = np.full(2, np.hypot(piece.width, piece.depth) / 2)
    for _ in range(60):
        place = rng.uniform(half + 0.7, size[:2] - half - 0.7)
        if _take(place, half, taken):
            return _placed(piece, tuple(place), rng.uniform(0, 2 * np.pi))
    return []


def _take(place: np.ndarray, half: np.ndarray, taken: list[np.ndarray]) -> bool:
    low, high = place - half - GAP / 2, place + half + GAP / 2
    if any((low < other[2:]).all() and (high > other[:2]).all() for other in taken):
        return False
    taken.append(np.concatenate([low, high]))
    return True


def _placed(piece: Piece, place: tuple[float, ...], yaw: float) -> list[Box]:
    shift = np.array([*place, 0.0])
    return [replace(box, center=tuple(turn(np.array(box.center), yaw) + shift), yaw=yaw) for box in piece.boxes]


def _on_the_walls(size: np.ndarray, rng: np.random.Generator) -> list[Box]:
    """A window and pictures, thin boxes at breast height, one to three on each wall."""
    boxes = []
    window_wall = int(rng.integers(4))
    for wall in range(4):
        length = size[1] if wall % 2 else size[0]
        count = int(rng.integers(1, 4))
        for slot in range(count):
            is_window = wall == window_wall and slot == 0
            width, height = (1.2, 1.1) if is_window else (rng.uniform(0.35, 0.8), rng.uniform(0.3, 0.7))
            x = length * (slot + 0.5) / count + rng.uniform(-0.2, 0.2)
            z = rng.uniform(1.55, 1.7)
            material = "window" if is_window else str(rng.choice(["picture", "carpet", "checks"]))
            box = _box(0, 0.015, z - height / 2, width, 0.03, height, "wood", front=material)
            places = ((x, 0.0), (size[0], x), (x, size[1]), (0.0, x))
            boxes += _placed(Piece(width, 0.03, [box]), places[wall], wall * np.pi / 2)
    return boxes


# Pieces


def _box(
    x: float, y: float, z: float, width: float, depth: float, height: float, material: str,
    front: str | None = None, top: str | None = None,
) -> Box:  # fmt: skip
    """A box that stands at height ``z`` over (x, y); ``front`` is its +y face."""
    faces = (material, material, material, front or material, material, top or material)
    return Box((x, y, z + height / 2), (width / 2, depth / 2, height / 2), 0.0, faces)


def _legs(width: float, depth: float, height: float, thick: float, material: str) -> list[Box]:
    x, y = (width - thick) / 2, (depth - thick) / 2
    return [_box(i * x, j * y, 0, thick, thick, height, material) for i in (-1, 1) for j in (-1, 1)]


def _table(rng: np.random.Generator) -> Piece:
    width, depth, height = rng.uniform(1.1, 1.5), rng.uniform(0.7, 0.9), 0.74
    top = str(rng.choice(["wood", "checks", "cloth"]))
    things = []
    for material in rng.choice(["books", "carpet", "stripes", "picture"], 3):
        x, y = rng.uniform(-0.4, 0.4), rng.uniform(-0.2, 0.2)
        long, deep, high = rng.uniform(0.1, 0.28, 3)
        things.append(_box(x, y, height, long, deep, high, str(material)))
    board = _box(0, 0, height - 0.05, width, depth, 0.05, top)
    return Piece(width, depth, [board, *_legs(width, depth, 0.69, 0.07, "wood"), *things])


def _desk(rng: np.random.Generator) -> Piece:
    width, depth, height = rng.uniform(1.2, 1.6), 0.65, 0.74
    boxes = [_box(0, 0, height - 0.04, width, depth, 0.04, "wood"), *_legs(width, depth, 0.70, 0.05, "paint")]
    boxes += [
        _box(-0.1, -0.15, height, 0.25, 0.18, 0.04, "panels"),
        _box(-0.1, -0.15, height + 0.04, 0.55, 0.05, 0.36, "panels", front="picture"),
        _box(width / 2 - 0.25, 0, 0.02, 0.38, 0.5, 0.55, "panels"),
        _box(width / 2 - 0.2, 0.05, height, 0.22, 0.3, 0.09, "books"),
    ]
    return Piece(width, depth, boxes)


def _bookcase(rng: np.random.Generator) -> Piece:
    """Boards between sides; the books stand back, of uneven heights."""
    width, depth, height, shelves = rng.uniform(0.8, 1.2), 0.32, 1.95, 5
    boxes = [_box(i * (width / 2 - 0.015), 0, 0, 0.03, depth, height, "wood") for i in (-1, 1)]
    boxes.append(_box(0, -depth / 2 + 0.01, 0, width - 0.06, 0.02, height, "wood"))
    for shelf in range(shelves + 1):
        z = shelf * (height - 0.03) / shelves
        boxes.append(_box(0, 0.01, z, width - 0.06, depth - 0.02, 0.03, "wood"))
        if shelf < shelves:
            filled = rng.uniform(0.35, 0.95) * (width - 0.08)
            x = rng.choice([-1, 1]) * (width - 0.08 - filled) / 2
            boxes.append(_box(x, -0.04, z + 0.03, filled, 0.2, rng.uniform(0.2, 0.29), "books"))
    return Piece(width, depth, boxes)


def _sofa(rng: np.random.Generator) -> Piece:
    width, depth = rng.uniform(1.6, 2.0), 0.85
    cloth = str(rng.choice(["cloth", "stripes", "carpet"]))
    boxes = [
        _box(0, 0.05, 0.08, width, depth - 0.1, 0.34, cloth),
        _box(0, -depth / 2 + 0.12, 0.42, width, 0.24, 0.42, cloth),
        *(_box(i * (width / 2 - 0.1), 0.02, 0.42, 0.2, depth - 0.1, 0.2, cloth) for i in (-1, 1)),
        _box(-0.35, -0.05, 0.42, 0.4, 0.14, 0.36, str(rng.choice(["checks", "picture"]))),
        _box(0.3, 0.15, 0.42, 0.3, 0.4, 0.1, "cloth"),
    ]
    return Piece(width, depth, boxes)


def _bed(rng: np.random.Generator) -> Piece:
    width, depth = 1.0, 2.0
    cover = str(rng.choice(["checks", "carpet", "stripes"]))
    boxes = [
        _box(0, 0, 0.05, width, depth, 0.25, "wood"),
        _box(0, 0.02, 0.3, width - 0.04, depth - 0.06, 0.2, "cloth", top=cover),
        _box(0, -depth / 2 + 0.03, 0.3, width, 0.06, 0.6, "wood"),
        _box(0.05, -depth / 2 + 0.3, 0.5, 0.7, 0.4, 0.12, "cloth"),
    ]
    return Piece(width, depth, boxes)


def _cabinet(rng: np.random.Generator) -> Piece:
    width, depth, height = rng.uniform(1.0, 1.6), 0.45, rng.uniform(0.75, 1.0)
    boxes = [
        _box(0, 0, 0.06, width, depth, height - 0.06, "wood", front="panels"),
        _box(-width / 4, 0, height, 0.3, 0.22, rng.uniform(0.15, 0.4), "carpet"),
        _box(width / 5, -0.05, height, 0.45, 0.18, 0.25, "books"),
    ]
    return Piece(width, depth, boxes)


def _wardrobe(rng: np.random.Generator) -> Piece:
    width, depth, height = rng.uniform(0.8, 1.1), 0.55, 2.0
    return Piece(width, depth, [_box(0, 0, 0.05, width, depth, height, "wood", front="panels")])


def _chest(rng: np.random.Generator) -> Piece:
    width, depth, height = rng.uniform(0.5, 0.7), 0.5, rng.uniform(0.4, 0.55)
    lid = _box(0, 0, height, width + 0.04, depth, 0.04, "stripes")
    thing = _box(0.08, 0.05, height + 0.04, 0.2, 0.2, rng.uniform(0.2, 0.45), "tiles")
    return Piece(width + 0.04, depth, [_box(0, 0, 0, width, depth - 0.02, height, "planks"), lid, thing])


def _door(rng: np.random.Generator) -> Piece:
    frame = [_box(i * 0.46, 0, 0, 0.08, 0.08, 2.05, "wood") for i in (-1, 1)]
    frame.append(_box(0, 0, 2.05, 1.0, 0.08, 0.08, "wood"))
    return Piece(1.0, 0.08, [*frame, _box(0, -0.01, 0, 0.84, 0.05, 2.05, "panels")])


def _chair(rng: np.random.Generator) -> Piece:
    seat = str(rng.choice(["cloth", "checks", "wood"]))
    boxes = [_box(0, 0, 0.42, 0.44, 0.44, 0.05, seat), *_legs(0.42, 0.42, 0.42, 0.05, "wood")]
    return Piece(0.44, 0.44, [*boxes, _box(0, -0.2, 0.47, 0.42, 0.04, 0.45, "wood")])


def _stool(rng: np.random.Generator) -> Piece:
    side = rng.uniform(0.35, 0.5)
    return Piece(side, side, [_box(0, 0, 0, side, side, rng.uniform(0.35, 0.5), "cloth", top="checks")])
