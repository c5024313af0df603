"""A room of boxes for tests: 5 x 4 m, with a table, a chair, a cabinet, a picture and two lights."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder, rotation_z
from sparse3d.rooms.piece import Light, Material, Piece, Placed, Room
from sparse3d.rooms.style import Style

WIDTH, LENGTH, HEIGHT = 5.0, 4.0, 2.6
THICK = 0.1  # metres, of the shell's boxes, which lie outside the room
OUTLINE = np.array([[0.0, 0.0], [WIDTH, 0.0], [WIDTH, LENGTH], [0.0, LENGTH]])
L_OUTLINE = np.array([[0.0, 0.0], [6.0, 0.0], [6.0, 2.5], [2.5, 2.5], [2.5, 5.0], [0.0, 5.0]])


def checked(color: tuple[float, float, float], side: float = 0.25) -> Material:
    """A chessboard of ``side`` metres squares, in ``color`` and a darker one."""
    squares = np.kron(np.array([[1.0, 0.7], [0.7, 1.0]]), np.ones((16, 16)))
    return Material("checked", (squares[..., None] * np.array(color)).astype(np.float32), 2 * side)


def placed(piece: Piece, xyz: tuple[float, float, float] = (0, 0, 0), yaw: float = 0.0) -> Placed:
    """A piece turned about z and shifted."""
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = rotation_z(yaw), xyz
    return Placed(piece, T)


def shell(outline: np.ndarray, height: float) -> tuple[Placed, ...]:
    """Floor, ceiling and one wall for each side of a counter-clockwise ``outline``."""
    low, high = outline.min(axis=0) - THICK, outline.max(axis=0) + THICK
    floor, ceiling, wall = (checked(c) for c in ((0.6, 0.45, 0.3), (0.9, 0.9, 0.9), (0.75, 0.8, 0.7)))
    pieces = []
    for category, z, material in (("floor", -THICK, floor), ("ceiling", height, ceiling)):
        build = PieceBuilder(category)
        build.board((*low, z), (*high, z + THICK), material, category)
        pieces.append(build.build_at())
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        along = (b - a) / np.linalg.norm(b - a)
        out = np.array([along[1], -along[0]])
        middle = (a + b) / 2 + out * THICK / 2
        build = PieceBuilder("wall")
        size = (np.linalg.norm(b - a), THICK, height)
        build.box((*middle, height / 2), size, wall, "wall", yaw=float(np.arctan2(along[1], along[0])))
        pieces.append(build.build_at())
    return tuple(placed(piece) for piece in pieces)


def lights_of(height: float, *places: tuple[float, float]) -> tuple[Light, ...]:
    """Square lamps under the ceiling, shining down."""
    return tuple(Light((x, y, height - 0.05), (0.0, 0.0, -1.0), (0.6, 0.6), (0.7, 0.68, 0.6)) for x, y in places)


def room_of_boxes(seed: int = 0) -> Room:
    """The rectangular room, 5 x 4 x 2.6 m with a corner at the origin; materials are drawn by ``seed``."""
    rng = np.random.default_rng(seed)
    style = Style(rng)
    furniture = (
        placed(_table(style, rng), (2.0, 1.4, 0.0), yaw=0.2),
        placed(_chair(style, rng), (2.1, 0.75, 0.0), yaw=np.pi + 0.1),
        placed(_cabinet(style, rng), (4.0, LENGTH - 0.21, 0.0)),
        placed(_picture(style, rng), (1.5, LENGTH - 0.015, 1.3)),
    )
    lights = lights_of(HEIGHT, (1.6, 2.0), (3.6, 2.0))
    return Room("living room", OUTLINE.copy(), HEIGHT, (*shell(OUTLINE, HEIGHT), *furniture), lights)


def l_shaped_room() -> Room:
    """An L-shaped room, 6 x 5 x 2.5 m, with a cabinet in one arm and a table in the other."""
    rng = np.random.default_rng(1)
    style = Style(rng)
    furniture = (
        placed(_cabinet(style, rng), (5.79, 1.25, 0.0), yaw=-np.pi / 2),
        placed(_table(style, rng), (1.25, 4.3, 0.0)),
    )
    return Room("office", L_OUTLINE.copy(), 2.5, (*shell(L_OUTLINE, 2.5), *furniture), lights_of(2.5, (1.2, 3), (4, 1)))


def _table(style: Style, rng: np.random.Generator) -> Piece:
    wood = style.material("wood", rng)
    build = PieceBuilder("table")
    build.board((-0.6, -0.4, 0.71), (0.6, 0.4, 0.75), wood, "top")
    for x in (-0.55, 0.55):
        for y in (-0.35, 0.35):
            build.box((x, y, 0.355), (0.05, 0.05, 0.71), wood, "leg")
    build.support((0, 0, 0.75), (1.2, 0.8))
    return build.build()


def _chair(style: Style, rng: np.random.Generator) -> Piece:
    wood, fabric = style.material("wood", rng), style.material("fabric", rng)
    build = PieceBuilder("chair")
    build.board((-0.22, -0.22, 0.42), (0.22, 0.22, 0.46), fabric, "seat")
    build.board((-0.22, 0.19, 0.46), (0.22, 0.22, 0.9), fabric, "back")
    for x in (-0.2, 0.2):
        for y in (-0.2, 0.2):
            build.box((x, y, 0.21), (0.04, 0.04, 0.42), wood, "leg")
    return build.build()


def _cabinet(style: Style, rng: np.random.Generator) -> Piece:
    body, metal = style.material("painted", rng), style.material("metal", rng)
    build = PieceBuilder("cabinet")
    build.board((-0.5, -0.2, 0.0), (0.5, 0.2, 1.2), body, "body")
    build.box((0.05, -0.205, 0.8), (0.02, 0.01, 0.12), metal, "handle")
    return build.build_at()


def _picture(style: Style, rng: np.random.Generator) -> Piece:
    build = PieceBuilder("picture")
    build.box((0, 0, 0.3), (0.8, 0.03, 0.6), style.material("picture", rng), "picture")
    return build.build_at()
