"""Books and papers, lying or standing."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.shapes import drawn, one_of, whole_texture
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style


def _cover(rng: np.random.Generator, style: Style) -> Material:
    return style.material(one_of(rng, "painted", "cardboard", "leather", "plastic"), rng)


def _lying_book(build: PieceBuilder, x: float, y: float, z: float, size: tuple[float, float, float], yaw: float,
                cover: Material, paper: Material) -> None:  # fmt: skip
    """A block of pages between two covers and a spine."""
    width, depth, thick = size
    lid = 0.003
    build.box((x, y, z + lid / 2), (width, depth, lid), cover, "cover", yaw=yaw)
    build.box((x, y, z + thick - lid / 2), (width, depth, lid), cover, "cover", yaw=yaw)
    build.box((x, y, z + thick / 2), (0.94 * width, 0.96 * depth, thick - 2 * lid), paper, "pages", yaw=yaw)
    side = np.array([np.cos(yaw), np.sin(yaw)]) * (width / 2 - lid / 2)
    build.box((x - side[0], y - side[1], z + thick / 2), (lid, depth, thick), cover, "cover", yaw=yaw)


@construction("books")
def stack_of_books(rng: np.random.Generator, style: Style) -> Piece:
    """One to six books lying on each other, each turned a little."""
    build, z, paper = PieceBuilder("books"), 0.0, style.material("paper", rng)
    width, depth = rng.uniform(0.15, 0.24), rng.uniform(0.2, 0.3)
    for _ in range(int(rng.integers(1, 7))):
        thick = float(rng.uniform(0.012, 0.045))
        _lying_book(build, rng.uniform(-0.01, 0.01), rng.uniform(-0.01, 0.01), z, (width, depth, thick),
                    rng.uniform(-0.25, 0.25), _cover(rng, style), paper)  # fmt: skip
        z += thick
        width, depth = width * rng.uniform(0.85, 1.0), depth * rng.uniform(0.85, 1.0)
    return build.build()


@construction("books")
def row_of_books(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Books standing side by side, their backs to the front."""
    build, paper = PieceBuilder("books"), style.material("paper", rng)
    wide = drawn(rng, width, 0.12, 0.45)
    tall, x = float(rng.uniform(0.19, 0.28)), -wide / 2
    while x < wide / 2 - 0.012:
        thick = min(float(rng.uniform(0.014, 0.05)), wide / 2 - x)
        height, depth = tall * rng.uniform(0.78, 1.0), rng.uniform(0.13, 0.19)
        cover = _cover(rng, style)
        build.board((x, -0.09, 0), (x + thick, -0.087, height), cover, "cover")
        for a in (x, x + thick - 0.002):
            build.board((a, -0.087, 0), (a + 0.002, -0.09 + depth, height), cover, "cover")
        build.board((x + 0.002, -0.087, 0.004), (x + thick - 0.002, -0.094 + depth, height - 0.004), paper, "pages")
        x += thick
    return build.build()


@construction("books")
def leaning_books(rng: np.random.Generator, style: Style) -> Piece:
    """A few standing books against which others lean."""
    build, paper = PieceBuilder("books"), style.material("paper", rng)
    x = 0.0
    for _ in range(int(rng.integers(3, 8))):
        thick, height, depth = rng.uniform(0.015, 0.045), rng.uniform(0.18, 0.27), rng.uniform(0.13, 0.19)
        cover = _cover(rng, style)
        build.board((x, -0.09, 0), (x + thick, -0.09 + depth, height), cover, "cover")
        build.board((x + 0.003, -0.086, height), (x + thick - 0.003, -0.092 + depth, height + 0.001), paper, "pages")
        x += thick
    for _ in range(int(rng.integers(1, 3))):
        thick, height, lean = rng.uniform(0.015, 0.03), rng.uniform(0.18, 0.24), rng.uniform(0.12, 0.3)
        low = x + height * np.sin(lean)
        corners = np.array([[low, 0], [low + thick * np.cos(lean), thick * np.sin(lean)], [0, 0], [0, 0]])
        corners[2] = corners[1] + height * np.array([-np.sin(lean), np.cos(lean)])
        corners[3] = corners[0] + height * np.array([-np.sin(lean), np.cos(lean)])
        near, far = (np.column_stack([corners[:, 0], np.full(4, y), corners[:, 1]]) for y in (-0.09, 0.06))
        cover = _cover(rng, style)
        build.strip(np.vstack([near, near[:1]]), np.vstack([far, far[:1]]), np.arange(5) * 0.1, 0, 0.15, cover, "cover")
        build.quads(np.stack([near, far]), np.stack([near, far])[:, :, [0, 2]], cover, "cover")
        x = low + thick * np.cos(lean) - height * np.sin(lean) + 0.001
    return build.build()


@construction("paper")
def loose_papers(rng: np.random.Generator, style: Style) -> Piece:
    """A few sheets fanned out, or a pad with a pen on it."""
    build, paper = PieceBuilder("paper"), style.material("paper", rng)
    for k in range(sheets := int(rng.integers(1, 6))):
        shift = rng.uniform(-0.03, 0.03, 2) * (k > 0)
        build.box((shift[0], shift[1], 0.0006 + 0.0012 * k), (0.21, 0.297, 0.0012), paper, "sheet",
                  yaw=float(rng.uniform(-0.4, 0.4)))  # fmt: skip
    if rng.random() < 0.5:
        z = 0.0012 * sheets + 0.004
        build.cylinder((-0.05, 0.02, z), (0.07, 0.07, z), 0.004, style.material("plastic", rng), "pen", sides=6)
    return build.build()


@construction("paper")
def stack_of_paper(rng: np.random.Generator, style: Style) -> Piece:
    """A stack of sheets, loose or in trays, or a magazine."""
    build, paper = PieceBuilder("paper"), style.material("paper", rng)
    kind = one_of(rng, "stack", "tray", "magazine")
    if kind == "magazine":
        build.box((0, 0, 0.003), (0.21, 0.28, 0.006), paper, "sheet")
        cover = style.material("picture", rng)
        flat = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [0.105, 0.14]
        build.quads(np.column_stack([flat, np.full(4, 0.0062)])[None], whole_texture(cover)[None], cover, "cover")
        return build.build()
    levels = int(rng.integers(1, 4)) if kind == "tray" else 1
    tray = style.material("plastic", rng)
    for k in range(levels):
        z = 0.07 * k
        if kind == "tray":
            build.board((-0.125, -0.165, z), (0.125, 0.165, z + 0.004), tray, "tray")
            for side in (-1, 1):
                build.board((side * 0.123 - 0.002, -0.165, z), (side * 0.123 + 0.002, 0.165, z + 0.07), tray, "tray")
        low = z + 0.004 if kind == "tray" else 0.0
        thick, yaw = float(rng.uniform(0.01, 0.05)), float(rng.uniform(-0.03, 0.03))
        build.box((0, 0, low + thick / 2), (0.21, 0.297, thick), paper, "sheet", yaw=yaw)
    return build.build()


@construction("paper")
def open_notebook(rng: np.random.Generator, style: Style) -> Piece:
    """An open book or notebook lying flat, its pages swelling to the middle."""
    build, paper = PieceBuilder("paper"), style.material("paper", rng)
    width, depth = float(rng.uniform(0.14, 0.21)), float(rng.uniform(0.2, 0.29))
    build.board((-width - 0.004, -depth / 2 - 0.004, 0), (width + 0.004, depth / 2 + 0.004, 0.004), _cover(rng, style),
                "cover")  # fmt: skip
    for side in (-1, 1):
        t = np.linspace(0, 1, 6)
        z = 0.005 + 0.014 * np.sqrt(np.clip(t * (2 - t), 0, 1)) * (1 - t) ** 0.3
        grid = np.stack([np.column_stack([side * width * t, np.full(6, y), z]) for y in (-depth / 2, depth / 2)])
        build.sheet(grid, paper, "pages")
    return build.build()
