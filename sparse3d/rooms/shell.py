"""The room's shell: floor, ceiling, and walls with their openings cut out, each an instance of its own."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.piece import Material, Piece, Placed, RoomKind
from sparse3d.rooms.plan import Opening, Plan, Wall
from sparse3d.rooms.style import Style

WALL_THICKNESS = 0.12  # metres, outside the outline
BASEBOARD_THICKNESS = 0.01  # metres, inside the outline
FLOORS: dict[RoomKind, tuple[str, ...]] = {
    "living room": ("parquet", "parquet", "carpet", "tiles"),
    "bedroom": ("parquet", "carpet"),
    "office": ("carpet", "carpet", "parquet", "stone"),
    "kitchen": ("tiles", "tiles", "parquet", "stone"),
    "bathroom": ("tiles", "tiles", "stone"),
    "classroom": ("parquet", "stone", "carpet"),
}
WALLS: dict[RoomKind, tuple[str, ...]] = {
    "living room": ("plaster", "plaster", "wallpaper"),
    "bedroom": ("plaster", "wallpaper"),
    "office": ("plaster", "plaster", "painted"),
    "kitchen": ("plaster", "tiles", "painted"),
    "bathroom": ("tiles", "tiles", "plaster"),
    "classroom": ("plaster", "painted"),
}


def build_shell(rng: np.random.Generator, plan: Plan, style: Style) -> tuple[Placed, ...]:
    """The floor, the ceiling, then wall by wall, in the room's frame."""
    floor = style.material(str(rng.choice(FLOORS[plan.kind])), rng)
    ceiling = style.material("plaster", rng)
    common = style.material(str(rng.choice(WALLS[plan.kind])), rng)
    accent = style.material(str(rng.choice(WALLS[plan.kind])), rng)
    chosen = int(rng.integers(len(plan.walls))) if rng.random() < 0.3 else -1
    board = style.material(str(rng.choice(["painted", "wood"])), rng) if rng.random() < _baseboards(plan.kind) else None
    board_height = float(rng.uniform(0.06, 0.12))
    pieces = [_level("floor", plan, 0.0, floor), _level("ceiling", plan, plan.height, ceiling)]
    for row, wall in enumerate(plan.walls):
        openings = [opening for opening in plan.openings if opening.wall == row]
        material = accent if row == chosen else common
        pieces.append(_build_wall(wall, plan.height, openings, material, board, board_height))
    return tuple(Placed(piece, np.eye(4)) for piece in pieces)


def _baseboards(kind: RoomKind) -> float:
    return 0.15 if kind == "bathroom" else 0.9


def _level(category: str, plan: Plan, z: float, material: Material) -> Piece:
    build = PieceBuilder(category)
    for low, high in plan.rectangles():
        square = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
        build.quads(np.column_stack([square, np.full(4, z)])[None], square[None], material, category)
    return build.build_at()


def _build_wall(
    wall: Wall, height: float, openings: list[Opening], material: Material, board: Material | None, board_height: float
) -> Piece:
    """The inner side around the openings, their reveals, and a baseboard that stops at doors."""
    build = PieceBuilder("wall")
    openings = sorted(openings, key=lambda opening: opening.start)

    def side(a: tuple[float, float], b: tuple[float, float]) -> None:
        """A rectangle of the inner side between two corners (along, up)."""
        if b[0] - a[0] > 1e-6 and b[1] - a[1] > 1e-6:
            flat = np.array([a, (b[0], a[1]), b, (a[0], b[1])])
            build.quads(_in_room(wall, flat, 0.0)[None], flat[None], material, "wall")

    start = 0.0
    for opening in openings:
        end = opening.start + opening.width
        side((start, 0.0), (opening.start, height))
        side((opening.start, 0.0), (end, opening.low))
        side((opening.start, opening.high), (end, height))
        _reveal(build, wall, opening, material)
        start = end
    side((start, 0.0), (wall.length, height))
    if board is not None:
        _baseboard(build, wall, openings, board, board_height)
    return build.build_at()


def _in_room(wall: Wall, flat: np.ndarray, inward: float) -> np.ndarray:
    """(N, 3) points of the room for (along, up) rows (N, 2) of the wall."""
    ground = wall.start + flat[:, :1] * wall.direction + inward * wall.normal
    return np.column_stack([ground, flat[:, 1]])


def _reveal(build: PieceBuilder, wall: Wall, opening: Opening, material: Material) -> None:
    """The four sides of a hole, through the wall's thickness."""
    a, b, low, high = opening.start, opening.start + opening.width, opening.low, opening.high
    ring = np.array([[a, low], [b, low], [b, high], [a, high], [a, low]])
    inner, outer = _in_room(wall, ring, 0.0), _in_room(wall, ring, -WALL_THICKNESS)
    for k in range(4):
        length = float(np.linalg.norm(ring[k + 1] - ring[k]))
        corners = np.array([inner[k], inner[k + 1], outer[k + 1], outer[k]])
        flat = np.array([[0, 0], [length, 0], [length, WALL_THICKNESS], [0, WALL_THICKNESS]])
        build.quads(corners[None], flat[None], material, "wall")


def _baseboard(build: PieceBuilder, wall: Wall, openings: list[Opening], material: Material, height: float) -> None:
    doors = [opening for opening in openings if opening.low <= 0]
    starts = [0.0, *(door.start + door.width for door in doors)]
    ends = [*(door.start for door in doors), wall.length]
    yaw = float(np.arctan2(wall.direction[1], wall.direction[0]))
    for start, end in zip(starts, ends, strict=True):
        middle = wall.point((start + end) / 2, BASEBOARD_THICKNESS / 2)
        size = (end - start, BASEBOARD_THICKNESS, height)
        build.box((*middle, height / 2), size, material, "baseboard", yaw=yaw)
