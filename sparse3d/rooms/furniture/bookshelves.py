"""Bookshelves, filled with books."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.casework import Joinery, carcass, doors, draw_joinery, feet, shelf_boards
from sparse3d.rooms.furniture.grouping import material_of, maybe
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style


def draw_covers(rng: np.random.Generator, style: Style) -> list[Material]:
    """What the books of one shelf are bound in."""
    return [material_of(rng, style, "cardboard", "leather", "paper", "fabric", "plastic") for _ in range(6)]


def stand_books(build: PieceBuilder, rng: np.random.Generator, covers: list[Material], low: np.ndarray,
                high: np.ndarray, filled: float) -> float:  # fmt: skip
    """Books on the floor of the room ``low`` .. ``high``, from the left; returns the x where they end.

    They fill about the share ``filled``, most of them standing, some in a pile, the last one leaning at times.
    """
    x, end = float(low[0]) + 0.002, float(low[0] + (high[0] - low[0]) * filled) - 0.004
    clear, deep = float(high[2] - low[2]), float(high[1] - low[1])
    usual = min(clear * 0.92, float(rng.uniform(0.19, 0.3)))
    front = float(low[1]) + rng.uniform(0.01, max(0.012, deep - 0.22))

    def book(x0: float, wide: float, z0: float, tall: float, depth: float) -> None:
        cover = covers[int(rng.integers(len(covers)))]
        build.board((x0, front, z0), (x0 + wide, min(front + depth, high[1] - 0.003), z0 + tall), cover, "books")

    while end - x > 0.016:
        if end - x > 0.3 and maybe(rng, 0.06):
            z = float(low[2])
            for _ in range(int(rng.integers(2, 5))):
                thick = rng.uniform(0.02, 0.04)
                if z + thick > high[2] - 0.01:
                    break
                book(x, rng.uniform(0.16, 0.22), z, thick, rng.uniform(0.13, 0.18))
                z += thick
            x += 0.225
            continue
        wide = min(float(rng.uniform(0.016, 0.055)), end - x)
        book(x, wide, float(low[2]), min(usual * rng.uniform(0.78, 1.12), clear * 0.95), rng.uniform(0.13, 0.2))
        x += wide
    lean, wide, tall = 0.2, 0.025, min(usual, clear * 0.9)
    if maybe(rng, 0.5) and high[0] - x > 0.12:
        cover = covers[int(rng.integers(len(covers)))]
        span = tall * np.sin(lean) + wide * np.cos(lean)
        middle = (x + span / 2 + 0.001, front + 0.08, low[2] + (tall * np.cos(lean) + wide * np.sin(lean)) / 2)
        build.box(middle, (0.15, wide, tall), cover, "books", yaw=np.pi / 2, tilt=lean)
        x += span
    return x


def fill_shelf(build: PieceBuilder, rng: np.random.Generator, covers: list[Material], low: np.ndarray,
               high: np.ndarray, empty: float = 0.12) -> None:  # fmt: skip
    """One board's books, and the rest of it as a support."""
    filled = 0.0 if maybe(rng, empty) else float(rng.choice([1.0, rng.uniform(0.4, 0.95)]))
    end = stand_books(build, rng, covers, low, high, filled) if filled else float(low[0])
    if high[0] - end > 0.12:
        center = ((end + high[0]) / 2, (low[1] + high[1]) / 2, low[2])
        build.support(center, (high[0] - end - 0.03, high[1] - low[1] - 0.03), float(high[2] - low[2]))


def fill_bay(build: PieceBuilder, rng: np.random.Generator, covers: list[Material], joinery: Joinery,
             low: np.ndarray, high: np.ndarray, boards: int) -> None:  # fmt: skip
    """``boards`` levels in one bay, all but its floor with a board of their own, all with books."""
    levels = np.linspace(low[2], high[2] + joinery.board, boards + 1)
    shelf_boards(build, low, high, levels[1:-1].tolist(), joinery, open_front=False)
    for z0, z1 in zip(levels, levels[1:], strict=False):
        fill_shelf(build, rng, covers, np.array([*low[:2], z0]), np.array([*high[:2], z1 - joinery.board]))


@construction("bookshelf")
def open_bookshelf(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """One or several bays between uprights, three to seven boards each."""
    width = width or float(rng.uniform(0.6, 1.6))
    height, depth = rng.uniform(1.0, 2.1), rng.uniform(0.25, 0.36)
    joinery, covers = draw_joinery(rng, style), draw_covers(rng, style)
    build = PieceBuilder("bookshelf")
    foot = 0.0 if maybe(rng) else 0.06
    if foot:
        feet(build, "plinth", (0, 0), (width, depth), foot, joinery.body)
    low, high = carcass(build, (0, 0, foot), (width, depth, height), joinery, back=maybe(rng, 0.8))
    bays, boards = max(1, round((high[0] - low[0]) / 0.75)), max(3, round((height - foot) / rng.uniform(0.3, 0.38)))
    edges = np.linspace(low[0], high[0] + joinery.board, bays + 1)
    for k in range(bays):
        x0, x1 = edges[k], edges[k + 1] - joinery.board
        if k:
            build.board((x0 - joinery.board, low[1], low[2]), (x0, high[1], high[2]), joinery.body, "side")
        fill_bay(build, rng, covers, joinery, np.array([x0, *low[1:]]), np.array([x1, *high[1:]]), boards)
    build.support((width / 2, depth / 2, height), (width - 0.04, depth - 0.04))
    return build.build()


@construction("bookshelf")
def ladder_shelf(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Boards between two slanting ladders that lean back, shallower towards the top."""
    width = width or float(rng.uniform(0.55, 0.9))
    height, depth, count = rng.uniform(1.5, 1.95), rng.uniform(0.38, 0.5), int(rng.integers(4, 6))
    rail, board = material_of(rng, style, "wood", "metal", "painted"), material_of(rng, style, "wood", "painted")
    covers, bar, thick = draw_covers(rng, style), rng.uniform(0.022, 0.035), 0.022
    build = PieceBuilder("bookshelf")
    lean = np.arctan2(depth - 0.14, height)
    for x in (bar / 2, width - bar / 2):
        long = height / np.cos(lean)
        build.box((x, (depth - 0.1) / 2, height / 2), (bar, 0.04, long), rail, "side", tilt=-lean)
        build.board((x - bar / 2, depth - 0.03, 0), (x + bar / 2, depth, height * 0.97), rail, "side")
    levels = np.linspace(0.12, height - 0.25, count)
    for k, z in enumerate(levels):
        front = float(np.interp(z, [0, height], [0.0, depth - 0.14]))
        low, high = np.array([bar, front, z + thick]), np.array([width - bar, depth - 0.001, z + 0.34])
        build.board((low[0], front, z), (high[0], depth, z + thick), board, "shelf")
        if k + 1 < count:
            high[2] = levels[k + 1]
        fill_shelf(build, rng, covers, low, high, empty=0.3)
    return build.build()


@construction("bookshelf")
def cube_shelf(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A lattice of equal square holes: some with books, some with boxes or doors, some empty."""
    cell, joinery, covers = rng.uniform(0.32, 0.37), draw_joinery(rng, style), draw_covers(rng, style)
    columns = max(1, round(width / cell)) if width else int(rng.integers(2, 5))
    width = width or columns * cell + joinery.board
    rows, depth = int(rng.integers(2, 6)), rng.uniform(0.3, 0.4)
    height = rows * (width - joinery.board) / columns + joinery.board
    height = min(height, 2.1)
    build = PieceBuilder("bookshelf")
    low, high = carcass(build, (0, 0, 0), (width, depth, height), joinery, back=maybe(rng, 0.4))
    t = joinery.board
    xs, zs = np.linspace(low[0], high[0] + t, columns + 1), np.linspace(low[2], high[2] + t, rows + 1)
    for x in xs[1:-1]:
        build.board((x - t, low[1], low[2]), (x, high[1], high[2]), joinery.body, "side")
    drawer = material_of(rng, style, "fabric", "cardboard", "wood")
    for x0, x1 in zip(xs, xs[1:] - t, strict=False):
        shelf_boards(build, np.array([x0, *low[1:]]), np.array([x1, *high[1:]]), zs[1:-1].tolist(), joinery,
                     open_front=False)  # fmt: skip
        for z0, z1 in zip(zs, zs[1:] - t, strict=False):
            if maybe(rng, 0.18):
                build.board((x0 + 0.004, 0.008, z0), (x1 - 0.004, depth - 0.03, z1 - 0.012), drawer, "drawer")
                continue
            fill_shelf(build, rng, covers, np.array([x0, low[1], z0]), np.array([x1, high[1], z1]), empty=0.3)
    build.support((width / 2, depth / 2, height), (width - 0.04, depth - 0.04))
    return build.build()


@construction("bookshelf")
def bookshelf_with_doors(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Open boards above a lower part with doors, which is at times deeper."""
    width = width or float(rng.uniform(0.7, 1.3))
    height, depth, deeper = rng.uniform(1.7, 2.2), rng.uniform(0.27, 0.36), float(rng.choice([0.0, 0.0, 0.12]))
    joinery, covers = draw_joinery(rng, style), draw_covers(rng, style)
    waist, foot = rng.uniform(0.6, 0.9), rng.uniform(0.05, 0.1)
    build = PieceBuilder("bookshelf")
    feet(build, "plinth", (0, -deeper), (width, depth), foot, joinery.body)
    low, high = carcass(build, (0, -deeper, foot), (width, depth, waist), joinery)
    doors(build, joinery, (0, foot), (width, waist), -deeper, 2 if width < 1.1 else 4, grip=0.75)
    low, high = carcass(build, (0, 0, waist), (width, depth, height), joinery, bottom=False)
    if width > 1:
        middle = width / 2
        build.board((middle - joinery.board / 2, low[1], low[2]), (middle + joinery.board / 2, high[1], high[2]),
                    joinery.body, "side")  # fmt: skip
        bays = [(low[0], middle - joinery.board / 2), (middle + joinery.board / 2, high[0])]
    else:
        bays = [(low[0], high[0])]
    for x0, x1 in bays:
        fill_bay(build, rng, covers, joinery, np.array([x0, *low[1:]]), np.array([x1, *high[1:]]),
                 int(np.clip((height - waist) / 0.32, 2, 5)))  # fmt: skip
    build.support((width / 2, depth / 2, height), (width - 0.04, depth - 0.04))
    return build.build()
