"""Things that hang on a wall: pictures, mirrors, boards, clocks. Their backs (highest y) lie on the wall."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.shapes import drawn, image, one_of, tinted
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style


def _size(rng: np.random.Generator, width: float | None, height: float | None,
          small: bool = False) -> tuple[float, float]:  # fmt: skip
    """A picture's size: upright, level or square."""
    long = rng.uniform(0.18, 0.35) if small else rng.uniform(0.4, 1.1)
    aspect = float(rng.choice([0.7, 0.75, 1.0, 1.33, 1.5]))
    return drawn(rng, width, long, long * 1.02), drawn(rng, height, long / aspect, long / aspect * 1.02)


def _frame(build: PieceBuilder, width: float, height: float, bar: float, depth: float, material: Material) -> None:
    """Four bars around (0, height / 2), their backs at y = 0."""
    x = width / 2
    for a, b in ((-x, -x + bar), (x - bar, x)):
        build.board((a, -depth, 0), (b, 0, height), material, "frame")
    for c, d in ((0.0, bar), (height - bar, height)):
        build.board((-x + bar, -depth, c), (x - bar, 0, d), material, "frame")


def _mount(rng: np.random.Generator, style: Style) -> Material:
    """Plain card in a pale colour, or seldom a dark one."""
    card = style.material("plastic", rng)
    return tinted(card, 0.6, white=0.75) if rng.random() < 0.8 else tinted(card, 0.4)


@construction("picture")
def framed_picture(rng: np.random.Generator, style: Style, width: float | None = None,
                   height: float | None = None) -> Piece:  # fmt: skip
    """A picture in a frame, with or without a mount of paper around it."""
    width, height = _size(rng, width, height, small=rng.random() < 0.35)
    build, short = PieceBuilder("picture"), min(width, height)
    bar, depth = float(rng.uniform(0.04, 0.1)) * short + 0.008, float(rng.uniform(0.015, 0.035))
    _frame(build, width, height, bar, depth, style.material(one_of(rng, "wood", "painted", "metal", "plastic"), rng))
    mount = float(rng.choice([0.0, rng.uniform(0.06, 0.16)])) * short
    x = width / 2 - bar
    build.board((-x, -depth + 0.008, bar), (x, 0, height - bar), _mount(rng, style), "mount")
    image(build, (-x + mount, bar + mount), (x - mount, height - bar - mount), -depth + 0.007,
          style.material("picture", rng), "image")  # fmt: skip
    return build.build()


@construction("picture")
def canvas(rng: np.random.Generator, style: Style, width: float | None = None,
           height: float | None = None) -> Piece:  # fmt: skip
    """A painting on a stretched canvas without a frame."""
    width, height = _size(rng, width, height)
    build, depth = PieceBuilder("painting"), float(rng.uniform(0.02, 0.04))
    build.board((-width / 2, -depth, 0), (width / 2, 0, height), style.material("fabric", rng), "canvas")
    image(build, (-width / 2, 0), (width / 2, height), -depth - 0.001, style.material("picture", rng), "image")
    return build.build()


@construction("picture")
def poster(rng: np.random.Generator, style: Style, width: float | None = None,
           height: float | None = None) -> Piece:  # fmt: skip
    """A sheet of paper, with a white edge or hung between two rods."""
    width, height = drawn(rng, width, 0.4, 0.7), drawn(rng, height, 0.55, 1.0)
    build = PieceBuilder("poster")
    build.board((-width / 2, -0.003, 0), (width / 2, 0, height), style.material("paper", rng), "paper")
    edge = float(rng.choice([0.0, 0.02, 0.04]))
    image(build, (-width / 2 + edge, edge), (width / 2 - edge, height - edge), -0.004, style.material("picture", rng),
          "image")  # fmt: skip
    if rng.random() < 0.4:
        rod = style.material("wood", rng)
        for z in (0.0, height - 0.02):
            build.board((-width / 2, -0.014, z), (width / 2, 0, z + 0.02), rod, "rod")
    return build.build()


@construction("mirror")
def framed_mirror(rng: np.random.Generator, style: Style, width: float | None = None,
                  height: float | None = None) -> Piece:  # fmt: skip
    """A rectangular mirror in a frame."""
    width, height = drawn(rng, width, 0.4, 0.9), drawn(rng, height, 0.5, 1.2)
    build, bar, depth = PieceBuilder("mirror"), float(rng.uniform(0.015, 0.07)), float(rng.uniform(0.015, 0.04))
    _frame(build, width, height, bar, depth, style.material(one_of(rng, "wood", "painted", "metal"), rng))
    x = width / 2 - bar
    build.board((-x, -depth + 0.006, bar), (x, 0, height - bar), _silver(rng, style), "glass")
    return build.build()


@construction("mirror")
def round_mirror(rng: np.random.Generator, style: Style, width: float | None = None,
                 height: float | None = None) -> Piece:  # fmt: skip
    """A round or oval mirror with a thin rim."""
    width = drawn(rng, width, 0.4, 0.8)
    height = drawn(rng, height, width, width * float(rng.choice([1.0001, 1.5])))
    build, rim = PieceBuilder("mirror"), float(rng.uniform(0.01, 0.04))
    _disc(build, width, height, -0.012, 0.0, style.material(one_of(rng, "wood", "metal", "painted"), rng), "frame")
    _disc(build, width - 2 * rim, height - 2 * rim, -0.018, -0.012, _silver(rng, style), "glass", height / 2)
    return build.build()


@construction("mirror")
def plain_mirror(rng: np.random.Generator, style: Style, width: float | None = None,
                 height: float | None = None) -> Piece:  # fmt: skip
    """A frameless mirror on clips, at times with a small shelf below."""
    width, height = drawn(rng, width, 0.4, 1.0), drawn(rng, height, 0.5, 1.0)
    build, metal = PieceBuilder("mirror"), style.material("metal", rng)
    build.board((-width / 2, -0.008, 0), (width / 2, 0, height), _silver(rng, style), "glass")
    if rng.random() < 0.4:
        build.board((-width / 2, -0.1, 0), (width / 2, 0, 0.015), style.material(one_of(rng, "glass", "wood"), rng),
                    "shelf")  # fmt: skip
    for x in (-0.3 * width, 0.3 * width):
        for z in (0.012, height - 0.012):
            build.box((x, -0.007, z), (0.02, 0.014, 0.024), metal, "clip")
    return build.build()


def _silver(rng: np.random.Generator, style: Style) -> Material:
    """What a mirror shows, roughly: a pale, glossy plane."""
    return tinted(style.material("glass", rng), 1.0, white=0.35)


def _disc(build: PieceBuilder, width: float, height: float, front: float, back: float, material: Material, part: str,
          z: float | None = None) -> None:  # fmt: skip
    """An upright oval plate around height ``z`` (half its height if None), 24 corners."""
    angle = np.linspace(0, 2 * np.pi, 25)
    ring = np.stack([width / 2 * np.cos(angle), np.zeros(25), height / 2 * np.sin(angle)], 1)
    ring = ring + [0, 0, height / 2 if z is None else z]
    near, far = ring + [0, front, 0], ring + [0, back, 0]
    u = angle * (width + height) / 4
    build.strip(near, far, u, 0, abs(back - front), material, part)
    corners = np.concatenate([near[:-1], [near[:-1].mean(axis=0)]])
    faces = np.array([[24, k, (k + 1) % 24] for k in range(24)])
    flat = corners[:, [0, 2]] + [width / 2, 0]
    build.triangles(corners, faces, flat[faces], material, part)


def _tray(build: PieceBuilder, rng: np.random.Generator, width: float, style: Style) -> None:
    """A ledge below a board with pens (or chalk) on it and a wiper."""
    build.board((-0.4 * width, -0.08, 0), (0.4 * width, 0, 0.02), style.material("metal", rng), "tray")
    for k in range(int(rng.integers(1, 5))):
        x = -0.35 * width + 0.16 * k
        build.cylinder((x, -0.05, 0.028), (x + 0.11, -0.05, 0.028), 0.008, style.material("plastic", rng), "pen", 6)
    build.board((0.25 * width, -0.07, 0.02), (0.25 * width + 0.12, -0.02, 0.05), style.material("fabric", rng), "wiper")


def _board(rng: np.random.Generator, build: PieceBuilder, width: float, height: float, face: Material,
           frame: Material) -> None:  # fmt: skip
    bar = float(rng.uniform(0.015, 0.04))
    _frame(build, width, height, bar, 0.025, frame)
    build.board((-width / 2 + bar, -0.015, bar), (width / 2 - bar, 0, height - bar), face, "board")


def _writing(build: PieceBuilder, rng: np.random.Generator, width: float, height: float, ink: Material, low: float,
             y: float) -> None:  # fmt: skip
    """A few lines of strokes, as left by the last lesson."""
    for row in range(int(rng.integers(0, 5))):
        z = height - 0.18 - 0.11 * row
        if z < low + 0.1:
            return
        x = -0.42 * width
        for _ in range(int(rng.integers(2, 7))):
            word = float(rng.uniform(0.05, 0.22))
            if x + word > 0.42 * width:
                break
            image(build, (x, z - 0.012), (x + word, z + 0.012), y, ink, "writing")
            x += word + 0.05


@construction("whiteboard")
def whiteboard(rng: np.random.Generator, style: Style, width: float | None = None,
               height: float | None = None) -> Piece:  # fmt: skip
    """A white board in a thin frame, with a tray, written on or empty."""
    width, height = drawn(rng, width, 1.2, 2.8), drawn(rng, height, 0.9, 1.25)
    build = PieceBuilder("whiteboard")
    white = tinted(style.material("plastic", rng), 0.5, white=0.9)
    _board(rng, build, width, height, white, style.material(one_of(rng, "metal", "plastic", "wood"), rng))
    if rng.random() < 0.8:
        _tray(build, rng, width, style)
    _writing(build, rng, width, height, tinted(style.material("plastic", rng), 0.5), 0.05, -0.017)
    return build.build()


@construction("whiteboard")
def folding_whiteboard(rng: np.random.Generator, style: Style, width: float | None = None,
                       height: float | None = None) -> Piece:  # fmt: skip
    """Three panels side by side."""
    width, height = drawn(rng, width, 2.0, 3.2), drawn(rng, height, 0.9, 1.25)
    build, frame = PieceBuilder("whiteboard"), style.material("metal", rng)
    white = tinted(style.material("plastic", rng), 0.5, white=0.9)
    _board(rng, build, width, height, white, frame)
    for x in (-width / 4, width / 4):
        build.board((x - 0.012, -0.028, 0), (x + 0.012, 0, height), frame, "frame")
    _tray(build, rng, 0.5 * width, style)
    return build.build()


@construction("whiteboard")
def glass_board(rng: np.random.Generator, style: Style, width: float | None = None,
                height: float | None = None) -> Piece:  # fmt: skip
    """A frameless board held off the wall by four round studs."""
    width, height = drawn(rng, width, 0.9, 2.0), drawn(rng, height, 0.8, 1.2)
    build, metal = PieceBuilder("whiteboard"), style.material("metal", rng)
    white = tinted(style.material("plastic", rng), 0.6, white=0.85)
    build.board((-width / 2, -0.03, 0), (width / 2, -0.02, height), white, "board")
    for x in (-width / 2 + 0.06, width / 2 - 0.06):
        for z in (0.06, height - 0.06):
            build.cylinder((x, 0, z), (x, -0.036, z), 0.015, metal, "stud", sides=8)
    _writing(build, rng, width, height, tinted(style.material("plastic", rng), 0.5), 0.05, -0.031)
    return build.build()


@construction("blackboard")
def blackboard(rng: np.random.Generator, style: Style, width: float | None = None,
               height: float | None = None) -> Piece:  # fmt: skip
    """A dark board in a wooden or metal frame, of one panel or with wings, with chalk on its ledge."""
    width, height = drawn(rng, width, 1.8, 3.6), drawn(rng, height, 0.95, 1.3)
    build, frame = PieceBuilder("blackboard"), style.material(one_of(rng, "wood", "metal"), rng)
    slate = tinted(style.material("painted", rng), float(rng.uniform(0.15, 0.35)))
    _board(rng, build, width, height, slate, frame)
    if rng.random() < 0.4:
        for x in (-width / 4, width / 4):
            build.board((x - 0.015, -0.027, 0), (x + 0.015, 0, height), frame, "frame")
    _tray(build, rng, width, style)
    _writing(build, rng, width, height, tinted(style.material("paper", rng), 1.0, white=0.5), 0.05, -0.017)
    return build.build()


@construction("clock")
def wall_clock(rng: np.random.Generator, style: Style) -> Piece:
    """A round clock, or a square one, with hands and marks."""
    size, rim = float(rng.uniform(0.22, 0.42)), style.material(one_of(rng, "plastic", "metal", "wood"), rng)
    build, face = PieceBuilder("clock"), tinted(style.material("plastic", rng), 1.0, white=0.7)
    dark = tinted(style.material("plastic", rng), 0.25)
    if rng.random() < 0.75:
        _disc(build, size, size, -0.035, 0.0, rim, "rim")
        _disc(build, size * 0.88, size * 0.88, -0.0365, -0.03, face, "face", size / 2)
    else:
        build.board((-size / 2, -0.035, 0), (size / 2, 0, size), rim, "rim")
        build.board((-0.44 * size, -0.0365, 0.06 * size), (0.44 * size, -0.03, 0.94 * size), face, "face")
    for hour in range(12):
        angle = hour * np.pi / 6
        x, z = 0.38 * size * np.sin(angle), size / 2 + 0.38 * size * np.cos(angle)
        build.box((x, -0.037, z), (0.03 * size, 0.002, 0.03 * size), dark, "mark")
    for length, angle in ((0.22, rng.uniform(0, 6.28)), (0.34, rng.uniform(0, 6.28))):
        tip = np.array([np.sin(angle), 0, np.cos(angle)]) * length * size + [0, -0.039, size / 2]
        build.cylinder((0, -0.039, size / 2), tip, 0.012 * size, dark, "hand", sides=4)
    return build.build()
