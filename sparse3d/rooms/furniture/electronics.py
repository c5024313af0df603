"""Screens, computers and other office machines; screens look along -y and shine."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder, rotation_x
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.shapes import drawn, image, one_of, tinted, tube, whole_texture
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style


def _case(rng: np.random.Generator, style: Style) -> Material:
    """Black, grey or white plastic, seldom coloured; or metal."""
    shade = float(rng.choice([0.15, 0.2, 0.5, 1.0]))
    material = style.material(one_of(rng, "plastic", "plastic", "metal"), rng)
    return tinted(material, shade, white=float(rng.choice([0.0, 0.03])) if shade < 0.6 else rng.choice([0.3, 0.85]))


def _screen(rng: np.random.Generator, style: Style) -> Material:
    """A lit screen, or now and then a dark one."""
    screen = style.material("screen", rng)
    return screen if rng.random() < 0.75 else tinted(style.material("glass", rng), 0.1, emission=0.0)


def _panel(build: PieceBuilder, rng: np.random.Generator, style: Style, width: float, low: float, height: float,
           case: Material, y: float = 0.0, deep: float = 0.025, edge: float = 0.012) -> None:  # fmt: skip
    """A flat screen from ``low`` upwards whose front lies at ``y``."""
    build.board((-width / 2, y, low), (width / 2, y + deep, low + height), case, "case")
    image(build, (-width / 2 + edge, low + edge), (width / 2 - edge, low + height - edge), y - 0.001,
          _screen(rng, style), "screen")  # fmt: skip


def _stand(build: PieceBuilder, rng: np.random.Generator, case: Material, width: float, top: float,
           y: float = 0.03) -> None:  # fmt: skip
    """A neck up to ``top`` on a square foot, a round foot, or a bent plate."""
    kind = one_of(rng, "square", "round", "plate")
    if kind == "round":
        build.cylinder((0, y + 0.02, 0), (0, y + 0.02, 0.014), 0.3 * width, case, "stand", sides=16)
    else:
        build.board((-0.28 * width, y - 0.09, 0), (0.28 * width, y + 0.1, 0.012), case, "stand")
    half = 0.14 * width if kind == "plate" else 0.03
    build.board((-half, y, 0.01), (half, y + (0.012 if kind == "plate" else 0.035), top), case, "stand")


@construction("monitor")
def flat_monitor(rng: np.random.Generator, style: Style) -> Piece:
    """A flat screen on a stand."""
    width, case = float(rng.uniform(0.42, 0.62)), _case(rng, style)
    build, low = PieceBuilder("monitor"), float(rng.uniform(0.06, 0.14))
    height = width * float(rng.choice([0.58, 0.62, 0.78]))
    _panel(build, rng, style, width, low, height, case, edge=float(rng.choice([0.008, 0.02])))
    _stand(build, rng, case, width, low + 0.5 * height)
    return build.build()


@construction("monitor")
def wide_monitor(rng: np.random.Generator, style: Style) -> Piece:
    """A wide screen on two splayed feet, or a pair of upright screens on one beam."""
    case, build = _case(rng, style), PieceBuilder("monitor")
    if rng.random() < 0.5:
        width, low = float(rng.uniform(0.68, 0.85)), 0.09
        height = 0.43 * width
        _panel(build, rng, style, width, low, height, case, edge=0.008)
        build.board((-0.02, 0.02, 0.06), (0.02, 0.05, low + 0.6 * height), case, "stand")
        for side in (-1, 1):
            tube(build, [(0, 0.035, 0.08), (side * 0.2, -0.06, 0.01)], 0.01, case, "stand")
            tube(build, [(0, 0.035, 0.08), (side * 0.12, 0.12, 0.01)], 0.01, case, "stand")
        return build.build()
    width, height, low = 0.31, 0.52, 0.07
    for side in (-1, 1):
        x = side * (width / 2 + 0.004)
        build.board((x - width / 2, 0, low), (x + width / 2, 0.025, low + height), case, "case")
        image(build, (x - width / 2 + 0.01, low + 0.01), (x + width / 2 - 0.01, low + height - 0.01), -0.001,
              _screen(rng, style), "screen")  # fmt: skip
    build.board((-0.25, 0.025, low + 0.24), (0.25, 0.05, low + 0.29), case, "stand")
    _stand(build, rng, case, 2 * width, low + 0.29, y=0.05)
    return build.build()


@construction("monitor")
def tube_monitor(rng: np.random.Generator, style: Style) -> Piece:
    """An old monitor with a deep back."""
    size, case = float(rng.uniform(0.36, 0.44)), _case(rng, style)
    build, low, height = PieceBuilder("monitor"), 0.05, 0.85 * size
    _panel(build, rng, style, size, low, height, case, deep=0.12, edge=0.035)
    ring = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]])
    front, back = (np.column_stack([ring[:, 0] * k * size / 2, np.full(5, y), low + height / 2 + ring[:, 1] * k
                   * height / 2]) for k, y in ((0.96, 0.12), (0.55, 0.34)))  # fmt: skip
    build.strip(front, back, np.arange(5) * size, 0, 0.25, case, "case")
    build.quads(back[None, :4], back[None, :4, [0, 2]], case, "case")
    build.cylinder((0, 0.12, 0), (0, 0.12, low + 0.01), (0.13, 0.08), case, "stand", sides=14)
    return build.build()


@construction("tv")
def tv_on_foot(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A television on a middle foot."""
    wide, case = drawn(rng, width, 0.8, 1.4), _case(rng, style)
    build, low = PieceBuilder("tv"), 0.06
    _panel(build, rng, style, wide, low, 0.575 * wide, case, deep=0.035, edge=0.012)
    build.board((-0.25 * wide, 0.035, low + 0.06), (0.25 * wide, 0.07, low + 0.35 * wide), case, "case")
    build.board((-0.2 * wide, -0.1, 0), (0.2 * wide, 0.13, 0.015), case, "stand")
    build.board((-0.06, 0.02, 0.01), (0.06, 0.05, low + 0.08), case, "stand")
    return build.build()


@construction("tv")
def tv_on_feet(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """A thin television on two feet near its ends."""
    wide, case = drawn(rng, width, 0.9, 1.5), _case(rng, style)
    build, low = PieceBuilder("tv"), 0.07
    _panel(build, rng, style, wide, low, 0.57 * wide, case, deep=0.02, edge=0.008)
    build.board((-0.35 * wide, 0.02, low), (0.35 * wide, 0.06, low + 0.3 * wide), case, "case")
    for side in (-1, 1):
        for end in (-0.1, 0.14):
            leg = [(side * 0.36 * wide, 0.012, low + 0.01), (side * 0.38 * wide, end, 0.008)]
            tube(build, leg, 0.008, case, "foot")
    return build.build()


@construction("tv")
def tv_with_speakers(rng: np.random.Generator, style: Style, width: float | None = None) -> Piece:
    """An older, thicker television with a band of cloth in front of its speakers."""
    wide, case = drawn(rng, width, 0.7, 1.1), _case(rng, style)
    build, low, height = PieceBuilder("tv"), 0.05, 0.62 * wide
    band = 0.09 * wide
    build.board((-wide / 2, 0, low), (wide / 2, 0.09, low + height), case, "case")
    image(build, (-wide / 2 + 0.03, low + band + 0.02), (wide / 2 - 0.03, low + height - 0.03), -0.001,
          _screen(rng, style), "screen")  # fmt: skip
    build.board((-wide / 2 + 0.02, -0.004, low + 0.01), (wide / 2 - 0.02, 0, low + band), style.material("fabric", rng),
                "speaker")  # fmt: skip
    build.turned([(0, 0), (0.24 * wide, 0), (0.22 * wide, 0.4), (0.06, 1)], case, "stand", (0, 0.045, 0),
                 (0, 0.045, low + 0.01), sides=18)  # fmt: skip
    return build.build()


@construction("laptop")
def laptop(rng: np.random.Generator, style: Style) -> Piece:
    """Open, its lid leaning back, or shut."""
    width, case = float(rng.uniform(0.29, 0.38)), _case(rng, style)
    build, depth = PieceBuilder("laptop"), 0.68 * width
    dark = tinted(style.material("plastic", rng), 0.15)
    build.board((-width / 2, -depth / 2, 0), (width / 2, depth / 2, 0.016), case, "base")
    if rng.random() < 0.15:
        build.board((-width / 2, -depth / 2, 0.016), (width / 2, depth / 2, 0.023), case, "lid")
        return build.build()
    for row in range(4):
        y = 0.36 * depth - row * 0.1 * depth
        build.board((-0.44 * width, y - 0.04 * depth, 0.016), (0.44 * width, y + 0.04 * depth, 0.018), dark, "key")
    build.board((-0.12 * width, -0.42 * depth, 0.016), (0.12 * width, -0.12 * depth, 0.0165), dark, "touchpad")
    lean = float(rng.uniform(0.1, 0.55))
    R = rotation_x(-lean)
    hinge = np.array([0, depth / 2 - 0.004, 0.014])
    tall = 0.66 * width
    build.box(hinge + R @ [0, 0.004, tall / 2], (width, 0.007, tall), case, "lid", tilt=-lean)
    low, high, x = 0.02, tall - 0.01, width / 2 - 0.01
    corners = np.array([[-x, -0.0005, low], [x, -0.0005, low], [x, -0.0005, high], [-x, -0.0005, high]])
    screen = _screen(rng, style)
    build.quads((corners @ R.T + hinge)[None], whole_texture(screen)[None], screen, "screen")
    return build.build()


@construction("keyboard")
def keyboard(rng: np.random.Generator, style: Style) -> Piece:
    """Rows of keys on a slightly sloping case, with or without a block of numbers."""
    full = rng.random() < 0.6
    width, depth = (0.44 if full else 0.3) * rng.uniform(0.95, 1.05), rng.uniform(0.12, 0.16)
    build, case = PieceBuilder("keyboard"), _case(rng, style)
    keys = case if rng.random() < 0.3 else _case(rng, style)
    build.box((0, 0, 0.014), (width, depth, 0.014), case, "case", tilt=0.06)
    blocks = ((-0.48, 0.12), (0.15, 0.27), (0.3, 0.48)) if full else ((-0.48, 0.48),)
    for row in range(5):
        y = (row - 2) * 0.17 * depth
        for a, b in blocks:
            build.box(((a + b) / 2 * width, y, 0.022 + 0.06 * y), ((b - a) * width, 0.14 * depth, 0.006), keys, "key",
                      tilt=0.06)  # fmt: skip
    return build.build()


@construction("mouse")
def mouse(rng: np.random.Generator, style: Style) -> Piece:
    """A rounded body with a wheel, with or without a cable."""
    build, case = PieceBuilder("mouse"), _case(rng, style)
    build.cushion((0, 0, 0.016), (0.062, 0.108, 0.032), case, "body", 0.6, steps=6)
    build.cylinder((-0.004, -0.03, 0.027), (0.004, -0.03, 0.027), 0.009, _case(rng, style), "wheel", sides=8)
    if rng.random() < 0.5:
        tube(build, [(0, 0.05, 0.012), (0.01, 0.1, 0.003), (-0.02, 0.18, 0.003)], 0.003, case, "cable", sides=4)
    return build.build()


@construction("computer_tower")
def computer_tower(rng: np.random.Generator, style: Style) -> Piece:
    """A tall case with drives, a button and a grille in front."""
    width, depth, height = rng.uniform(0.15, 0.22), rng.uniform(0.36, 0.5), rng.uniform(0.34, 0.48)
    build, case = PieceBuilder("computer tower"), _case(rng, style)
    front = case if rng.random() < 0.4 else _case(rng, style)
    build.board((-width / 2, -depth / 2 + 0.015, 0.012), (width / 2, depth / 2, height), case, "case")
    build.board((-width / 2, -depth / 2, 0.012), (width / 2, -depth / 2 + 0.015, height), front, "front")
    for x in (-0.35 * width, 0.35 * width):
        build.board((x - 0.02, -0.4 * depth, 0), (x + 0.02, 0.4 * depth, 0.012), front, "foot")
    dark, y = tinted(style.material("plastic", rng), 0.25), -depth / 2
    for k in range(int(rng.integers(0, 4))):
        z = height - 0.07 - 0.05 * k
        build.board((-0.42 * width, y - 0.003, z), (0.42 * width, y, z + 0.042), dark, "drive")
    for k in range(int(rng.integers(3, 8))):
        z = 0.04 + 0.02 * k
        build.board((-0.35 * width, y - 0.002, z), (0.35 * width, y, z + 0.008), dark, "grille")
    build.cylinder((0.3 * width, y, height - 0.03), (0.3 * width, y - 0.006, height - 0.03), 0.01, dark, "button", 8)
    return build.build()


@construction("printer")
def desktop_printer(rng: np.random.Generator, style: Style) -> Piece:
    """A low box with a paper tray at the back or below and a sheet coming out."""
    width, depth, height = rng.uniform(0.38, 0.48), rng.uniform(0.3, 0.4), rng.uniform(0.16, 0.26)
    build, case = PieceBuilder("printer"), _case(rng, style)
    dark, paper, y = _case(rng, style), style.material("paper", rng), -depth / 2
    build.board((-width / 2, y, 0), (width / 2, depth / 2, height), case, "case")
    build.board((-0.46 * width, y + 0.02, height), (0.46 * width, depth / 2 - 0.03, height + 0.03), dark, "lid")
    build.board((-0.32 * width, y - 0.12, 0.05), (0.32 * width, y, 0.062), dark, "tray")
    build.board((-0.105, y - 0.1, 0.062), (0.105, y, 0.066), paper, "paper")
    if rng.random() < 0.5:
        build.box((0, depth / 2 - 0.02, height + 0.09), (0.24, 0.008, 0.18), dark, "tray", tilt=-0.35)
        build.box((0, depth / 2 - 0.03, height + 0.1), (0.21, 0.004, 0.2), paper, "paper", tilt=-0.35)
    image(build, (0.2 * width, 0.7 * height), (0.42 * width, 0.9 * height), y - 0.002, _screen(rng, style), "screen")
    return build.build()


@construction("printer")
def office_copier(rng: np.random.Generator, style: Style) -> Piece:
    """A laser printer with drawers below and an output tray in its top."""
    width, depth, height = rng.uniform(0.4, 0.52), rng.uniform(0.4, 0.5), rng.uniform(0.32, 0.5)
    build, case, dark = PieceBuilder("printer"), _case(rng, style), _case(rng, style)
    y = -depth / 2
    build.board((-width / 2, y, 0), (width / 2, depth / 2, 0.7 * height), case, "case")
    build.board((-width / 2, y + 0.12, 0.7 * height), (width / 2, depth / 2, height), case, "case")
    build.board((-0.3 * width, y + 0.01, 0.7 * height), (0.3 * width, y + 0.12, 0.71 * height), dark, "tray")
    build.board((-0.11, y + 0.02, 0.71 * height), (0.11, y + 0.12, 0.725 * height), style.material("paper", rng),
                "paper")  # fmt: skip
    for k in range(int(rng.integers(1, 3))):
        z = 0.03 + 0.22 * height * k
        build.board((-0.46 * width, y - 0.006, z), (0.46 * width, y, z + 0.19 * height), case, "drawer")
        build.board((-0.12 * width, y - 0.012, z + 0.11 * height), (0.12 * width, y - 0.006, z + 0.15 * height), dark,
                    "handle")  # fmt: skip
    return build.build()


@construction("telephone")
def telephone(rng: np.random.Generator, style: Style) -> Piece:
    """A desk telephone: a wedge with keys and a receiver lying across or along it."""
    build, case = PieceBuilder("telephone"), _case(rng, style)
    slope, keys = 0.25, _case(rng, style)
    width, depth = float(rng.uniform(0.17, 0.23)), float(rng.uniform(0.17, 0.21))
    outline = np.array([[-depth / 2, 0], [depth / 2, 0], [depth / 2, 0.075], [-depth / 2, 0.025]])
    near, far = (np.column_stack([np.full(4, x), outline]) for x in (-width / 2, width / 2))
    build.strip(np.vstack([near, near[:1]]), np.vstack([far, far[:1]]), np.arange(5) * 0.1, 0, width, case, "base")
    build.quads(np.stack([near, far]), np.stack([outline, outline]), case, "base")
    for row in range(4):
        for col in range(3):
            y = -0.06 + 0.03 * row
            z = 0.05 + np.tan(slope) * y
            build.box((0.02 + 0.025 * col, y, z + 0.001), (0.018, 0.02, 0.01), keys, "key", tilt=slope)
    x = -width / 2 + 0.032
    build.box((x, 0, 0.082), (0.035, 0.19, 0.022), case, "receiver", tilt=slope)
    for y in (-0.075, 0.075):
        z = 0.066 + np.tan(slope) * y
        build.box((x, y, z), (0.042, 0.05, 0.034), case, "receiver", tilt=slope)
    return build.build()
