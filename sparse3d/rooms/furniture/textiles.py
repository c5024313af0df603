"""Things of cloth: cushions, rugs, mats, towels, a teddy bear."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder, rotation_x
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.shapes import drawn, fitted, one_of, tinted, tube
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style


def _pillow(build: PieceBuilder, width: float, depth: float, thick: float, cloth: Material, lean: float,
            sag: float = 0.25) -> None:  # fmt: skip
    """A stuffed square: thick in the middle, thin at its edges, its sides drawn in a little between the corners."""
    t = np.linspace(-1, 1, 9)
    a, b = np.meshgrid(t, t)
    bulge = np.sqrt(np.clip((1 - a**2) * (1 - b**2), 0, 1)) ** 0.8
    pinch_x, pinch_y = 1 - 0.12 * sag * (1 - b**2), 1 - 0.12 * sag * (1 - a**2)
    R = rotation_x(lean)
    for side in (-1, 1):
        z = side * (thick / 2 * bulge + 0.004)
        grid = np.stack([a * width / 2 * pinch_x, b * depth / 2 * pinch_y, z], axis=-1)
        build.sheet(grid @ R.T, cloth, "cover")


@construction("pillow")
def square_cushion(rng: np.random.Generator, style: Style) -> Piece:
    """A sofa cushion, lying or leaning back."""
    build, size = PieceBuilder("pillow"), float(rng.uniform(0.36, 0.5))
    lean = float(rng.choice([0.0, rng.uniform(0.9, 1.2)]))
    _pillow(build, size, size, rng.uniform(0.1, 0.16), style.material(one_of(rng, "fabric", "leather"), rng), lean)
    return build.build()


@construction("pillow")
def bed_pillow(rng: np.random.Generator, style: Style) -> Piece:
    """A wide, flat pillow."""
    build = PieceBuilder("pillow")
    cloth = style.material("fabric", rng)
    cloth = tinted(cloth, 1.0, white=0.7) if rng.random() < 0.5 else cloth
    _pillow(build, rng.uniform(0.55, 0.75), rng.uniform(0.38, 0.5), rng.uniform(0.1, 0.17), cloth, 0.0, sag=0.15)
    return build.build()


@construction("pillow")
def roll_or_round_cushion(rng: np.random.Generator, style: Style) -> Piece:
    """A bolster, or a round cushion with a button."""
    build, cloth = PieceBuilder("pillow"), style.material("fabric", rng)
    if rng.random() < 0.5:
        half, radius = rng.uniform(0.2, 0.35), rng.uniform(0.07, 0.1)
        shape = [(0, 0), (0.6 * radius, 0), (radius, 0.06), (radius, 0.94), (0.6 * radius, 1), (0, 1)]
        build.turned(shape, cloth, "cover", (-half, 0, radius), (half, 0, radius), sides=14)
        return build.build()
    size = float(rng.uniform(0.34, 0.44))
    build.cushion((0, 0, 0.06), (size, size, 0.12), cloth, "cover", 0.5, steps=8)
    build.cushion((0, 0, 0.119), (0.03, 0.03, 0.01), style.material("fabric", rng), "button", 1.0, steps=4)
    return build.build()


def _oval(width: float, depth: float) -> np.ndarray:
    angle = np.arange(32) * 2 * np.pi / 32
    return np.stack([width / 2 * np.cos(angle), depth / 2 * np.sin(angle)], 1)


@construction("rug")
def bordered_rug(rng: np.random.Generator, style: Style, width: float | None = None,
                 depth: float | None = None) -> Piece:  # fmt: skip
    """A rectangular rug with up to three bands around its field."""
    width, depth = drawn(rng, width, 1.4, 2.4), drawn(rng, depth, 1.0, 1.7)
    build, thick, edge = PieceBuilder("rug"), float(rng.uniform(0.008, 0.016)), 0.0
    for k in range(int(rng.integers(1, 5))):
        x, y = width / 2 - edge, depth / 2 - edge
        if min(x, y) < 0.1:
            break
        cloth = style.material(one_of(rng, "carpet", "fabric"), rng)
        build.board((-x, -y, 0), (x, y, thick + 0.0012 * k), cloth, "border" if k else "pile")
        edge += float(rng.uniform(0.04, 0.16)) * min(width, depth) * 0.6
    return build.build()


@construction("rug")
def fringed_rug(rng: np.random.Generator, style: Style, width: float | None = None,
                depth: float | None = None) -> Piece:  # fmt: skip
    """A striped or plain rug with fringes at its short sides."""
    width, depth = drawn(rng, width, 1.4, 2.4), drawn(rng, depth, 1.0, 1.7)
    build, x, thick = PieceBuilder("rug"), width / 2 - 0.06, 0.009
    cloth = style.material(one_of(rng, "carpet", "fabric"), rng)
    stripes = int(rng.choice([1, 5, 7, 9]))
    other = style.material("fabric", rng)
    for k in range(stripes):
        a, b = -x + 2 * x * k / stripes, -x + 2 * x * (k + 1) / stripes
        build.board((a, -depth / 2, 0), (b, depth / 2, thick), other if k % 2 else cloth, "pile")
    for side in (-1, 1):
        for y in np.linspace(-depth / 2 + 0.02, depth / 2 - 0.02, max(8, int(depth / 0.09))):
            build.board((min(side * x, side * width / 2), y - 0.014, 0), (max(side * x, side * width / 2), y + 0.014,
                        0.004), other, "fringe")  # fmt: skip
    return build.build()


@construction("rug")
def round_rug(rng: np.random.Generator, style: Style, width: float | None = None,
              depth: float | None = None) -> Piece:  # fmt: skip
    """A round or oval rug, with rings of another colour or without."""
    width = drawn(rng, width, 1.0, 2.0)
    depth = width if depth is None else depth
    build, thick = PieceBuilder("rug"), float(rng.uniform(0.008, 0.016))
    for k in range(int(rng.integers(1, 4))):
        share = 1 - 0.28 * k
        build.prism(_oval(width * share, depth * share), 0.0, thick + 0.0012 * k,
                    style.material(one_of(rng, "carpet", "fabric"), rng), "border" if k else "pile")  # fmt: skip
    return build.build()


@construction("mat")
def mat(rng: np.random.Generator, style: Style, width: float | None = None, depth: float | None = None) -> Piece:
    """A door mat or a bath mat: ribbed, plain with an edge, or with round ends."""
    width, depth = drawn(rng, width, 0.5, 0.9), drawn(rng, depth, 0.38, 0.55)
    build = PieceBuilder("mat")
    kind, pile = one_of(rng, "edged", "ribbed", "round"), style.material(one_of(rng, "carpet", "rubber", "fabric"), rng)
    if kind == "round":
        build.prism(_oval(width, depth), 0.0, 0.014, pile, "pile")
        return build.build()
    edge = style.material(one_of(rng, "rubber", "fabric"), rng)
    build.board((-width / 2, -depth / 2, 0), (width / 2, depth / 2, 0.008), edge, "edge")
    if kind == "edged":
        build.board((-0.45 * width, -0.43 * depth, 0), (0.45 * width, 0.43 * depth, 0.014), pile, "pile")
    else:
        for y in np.linspace(-0.42, 0.42, 9) * depth:
            build.board((-0.46 * width, y - 0.03 * depth, 0.008), (0.46 * width, y + 0.03 * depth, 0.014), pile, "pile")
    return build.build()


def _hung(build: PieceBuilder, rng: np.random.Generator, x0: float, x1: float, rail: tuple[float, float], front: float,
          back: float, cloth: Material) -> None:  # fmt: skip
    """Cloth over a rail at (y, z), ``front`` and ``back`` metres long, a little wavy."""
    y, z = rail
    x = np.linspace(x0, x1, 9)
    wave = 0.006 * np.sin(np.linspace(0, rng.uniform(6, 14), 9))
    rows = []
    for length, offset in ((front, -0.014), (0.6 * front, -0.014), (0.0, -0.012), (0.0, 0.012), (back, 0.014)):
        lift = 0.01 if length == 0.0 else 0.0
        loose = wave * (length / max(front, 1e-6))
        rows.append(np.column_stack([x, y + offset + np.minimum(loose, 0.008), np.full(9, z - length + lift)]))
    build.sheet(np.stack(rows), cloth, "cloth")


@construction("towel")
def towel_on_rail(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """One or two towels over a rail at the wall."""
    wide = drawn(rng, width, 0.45, 0.75)
    build, metal = PieceBuilder("towel"), style.material(one_of(rng, "metal", "wood"), rng)
    drop = float(rng.uniform(0.35, 0.6))
    z = drop
    build.cylinder((-wide / 2, -0.07, z), (wide / 2, -0.07, z), 0.009, metal, "rail", sides=8)
    for side in (-1, 1):
        x = side * (wide / 2 - 0.015)
        build.cylinder((x, 0, z), (x, -0.07, z), 0.009, metal, "bracket", sides=8)
        build.cylinder((x, 0, z), (x, -0.008, z), 0.022, metal, "bracket", sides=10)
    count = int(rng.integers(1, 3))
    step = (wide - 0.08) / count
    for k in range(count):
        a = -wide / 2 + 0.04 + k * step
        _hung(build, rng, a + 0.01, a + step - 0.01, (-0.07, z), drop * rng.uniform(0.75, 1.0),
              drop * rng.uniform(0.5, 0.9), style.material("fabric", rng))  # fmt: skip
    return build.build()


@construction("towel")
def towel_on_hook(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A towel hanging in folds from hooks on a board, or from a ring."""
    wide = drawn(rng, width, 0.22, 0.4)
    build, metal, cloth = PieceBuilder("towel"), style.material("metal", rng), style.material("fabric", rng)
    drop = float(rng.uniform(0.5, 0.75))
    build.board((-0.06, -0.015, drop - 0.03), (0.06, 0, drop + 0.06), style.material(one_of(rng, "wood", "metal"), rng),
                "board")  # fmt: skip
    tube(build, [(0, 0, drop), (0, -0.05, drop - 0.01), (0, -0.06, drop + 0.02)], 0.006, metal, "hook")
    t, u = np.linspace(0, 1, 6), np.linspace(-1, 1, 19)
    rows = []
    for k in t:
        half = wide / 2 * (0.12 + 0.88 * k**0.6)
        y = -0.045 + (0.008 + 0.02 * k) * np.cos(3.5 * np.pi * u)
        rows.append(np.column_stack([half * u, y, np.full(19, drop * (1 - k) + 0.005)]))
    build.sheet(np.stack(rows), cloth, "cloth")
    piece = build.build()
    return fitted(piece, width=width)


@construction("towel")
def folded_towels(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """Folded towels on a small rack of bars at the wall."""
    wide = drawn(rng, width, 0.45, 0.65)
    build, metal = PieceBuilder("towel"), style.material("metal", rng)
    for y in (-0.03, -0.1, -0.17, -0.24):
        build.cylinder((-wide / 2, y, 0.09), (wide / 2, y, 0.09), 0.007, metal, "rail", sides=6)
    for side in (-1, 1):
        x = side * (wide / 2 - 0.01)
        build.board((x - 0.006, -0.25, 0.083), (x + 0.006, 0, 0.097), metal, "bracket")
        build.board((x - 0.012, -0.012, 0), (x + 0.012, 0, 0.14), metal, "bracket")
    z = 0.097
    for _ in range(int(rng.integers(2, 5))):
        thick = float(rng.uniform(0.04, 0.06))
        build.cushion((0, -0.135, z + thick / 2), (0.75 * wide, 0.22, thick * 1.04), style.material("fabric", rng),
                      "cloth", 0.12, steps=6)  # fmt: skip
        z += thick
    return build.build()


@construction("teddy_bear")
def teddy_bear(rng: np.random.Generator, style: Style) -> Piece:
    """A sitting bear."""
    s = float(rng.uniform(0.22, 0.5))
    build, fur = PieceBuilder("teddy bear"), style.material(one_of(rng, "fabric", "carpet"), rng)
    pale, dark = tinted(fur, 1.0, white=0.35), tinted(fur, 0.15)

    def ball(x: float, y: float, z: float, size: tuple[float, float, float], material: Material, part: str,
             steps: int = 6) -> None:  # fmt: skip
        build.cushion((x * s, y * s, z * s), np.array(size) * s, material, part, 0.9, steps)

    ball(0, 0, 0.3, (0.46, 0.4, 0.56), fur, "body")
    ball(0, -0.02, 0.72, (0.44, 0.4, 0.4), fur, "head")
    ball(0, -0.2, 0.66, (0.2, 0.18, 0.16), pale, "head", 5)
    ball(0, -0.28, 0.69, (0.06, 0.05, 0.05), dark, "head", 4)
    for side in (-1, 1):
        ball(side * 0.17, 0.02, 0.91, (0.16, 0.08, 0.16), fur, "ear", 4)
        ball(side * 0.09, -0.19, 0.78, (0.04, 0.04, 0.04), dark, "eye", 4)
        ball(side * 0.26, -0.08, 0.4, (0.15, 0.18, 0.34), fur, "arm", 5)
        ball(side * 0.18, -0.24, 0.09, (0.18, 0.4, 0.18), fur, "leg", 5)
    return build.build()
